//! lnz

pub mod error;
pub mod estimators;
pub mod io;
pub mod kernels;
pub mod likelihood;
pub mod math;
pub mod models;
pub mod paths;
pub mod sampling;
pub mod training;

pub use error::{Error, Result};
