//! Estimators run many times: held against each other, against references of known log Z, and against their own error bars.

pub mod compare;
pub mod comparison;
pub mod prices;

pub use compare::{Contest, compare};
pub use comparison::{Comparison, Replicate, Standing, Truth};
pub use prices::Prices;
