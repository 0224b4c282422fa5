//! The built-in references that verification and calibration use, and the truth about them.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::estimators::{Estimator, Settings, Silent, quickest_exact};
use crate::models::{Model, Tempered, builtin};

/// A built-in reference with its log Z.
#[derive(Debug)]
pub struct Known {
    /// How it is written.
    pub spec: &'static str,
    /// The model.
    pub model: Arc<dyn Model>,
    /// log Z by [`Known::by`].
    pub log_z: f64,
    /// The exact method that gave it.
    pub by: &'static dyn Estimator,
}

impl Known {
    /// `spec` with log Z by the quickest exact method.
    ///
    /// # Errors
    /// As [`builtin::parse`] and the method.
    ///
    /// # Panics
    /// Where no exact method applies: then it is no reference.
    pub fn new(spec: &'static str) -> Result<Self> {
        Self::of(spec, builtin::parse(spec)?)
    }

    /// Any model, written as `spec`, with log Z by the quickest exact method.
    ///
    /// # Errors
    /// As the method.
    ///
    /// # Panics
    /// As [`Known::new`].
    pub fn of(spec: &'static str, model: Arc<dyn Model>) -> Result<Self> {
        let (by, _) = quickest_exact(&model).expect("every reference has an exact method");
        let log_z = by.estimate(&model, &Settings::default(), &Silent)?.log_z;
        Ok(Self { spec, model, log_z, by })
    }

    /// The model as a user's own would be: one that cannot be sampled exactly, so that no verdict rests on exact draws.
    #[must_use]
    pub fn without_sampler(&self) -> Arc<dyn Model> {
        if self.model.sampler().is_some() {
            // A temperature of 1 hides the sampler and changes nothing else.
            Arc::new(Tempered::new(Arc::clone(&self.model), 1.0))
        } else {
            Arc::clone(&self.model)
        }
    }
}

/// Whether `only` is in `METHOD on REFERENCE`, and a number that it ends in ends there too: `dim=10` is not in `dim=100`.
pub(super) fn is_chosen(only: Option<&str>, method: &str, spec: &str) -> bool {
    let digit = |c: char| c.is_ascii_digit();
    only.is_none_or(|only| {
        let whole = format!("{method} on {spec}");
        whole.match_indices(only).any(|(at, _)| {
            let rest = &whole[at + only.len()..];
            !(only.ends_with(digit) && rest.starts_with(digit))
        })
    })
}

/// What is said where `only` leaves nothing to do.
pub(super) fn none_chosen(only: Option<&str>) -> Error {
    let expected = "nothing has this in `METHOD on REFERENCE`; try smc, tempering, ising or funnel";
    Error::setting("--only", only.unwrap_or_default(), expected)
}

#[cfg(test)]
mod tests {
    use super::is_chosen;

    #[test]
    fn a_number_is_chosen_whole() {
        let chosen = |only| {
            ["ref:gaussian?dim=10", "ref:gaussian?dim=100"].map(|spec| is_chosen(Some(only), "smc", spec))
        };
        assert_eq!(chosen("smc on ref:gaussian?dim=10"), [true, false]);
        assert_eq!(chosen("dim=100"), [false, true]);
        assert_eq!(chosen("gauss"), [true, true]);
        assert_eq!(chosen("ais"), [false, false]);
        assert!(
            is_chosen(None, "smc", "ref:banana") && is_chosen(Some("dim=1"), "smc", "ref:x?dim=16&y=dim=1")
        );
    }
}
