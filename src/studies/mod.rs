//! Estimators run many times: held against each other, against references of known log Z, and against their own error bars.

pub mod calibrate;
pub mod compare;
pub mod comparison;
pub mod prices;
pub mod references;
pub mod verify;

pub use calibrate::{Calibration, Calibrations, Hard, calibrate};
pub use compare::{Contest, compare};
pub use comparison::{Comparison, Replicate, Standing, Truth};
pub use prices::Prices;
pub use references::Known;
pub use verify::{Check, Honesty, SignFlipped, Verification, verify};
