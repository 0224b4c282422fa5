//! lnz

pub mod error;
pub mod estimators;
pub mod io;
pub mod math;
pub mod models;

pub use error::{Error, Result};
