//! Estimators run many times: held against each other, against references of known log Z, and against their own error bars.

pub mod comparison;

pub use comparison::{Comparison, Replicate, Standing, Truth};
