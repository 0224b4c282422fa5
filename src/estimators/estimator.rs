//! The contract of every method, and what methods of any kind check alike.

use std::fmt;
use std::sync::Arc;

use super::estimate::{Estimate, Guarantee};
use super::monitor::Monitor;
use super::settings::Settings;
use super::warnings::Warning;
use crate::error::{Error, Result};
use crate::models::Model;
use crate::models::tails::{Tails, tails};
use crate::wording::duration;

/// A method for log Z.
pub trait Estimator: Send + Sync + fmt::Debug {
    /// Its name on the command line.
    fn name(&self) -> &'static str;

    /// One line for `lnz list`.
    fn summary(&self) -> &'static str;

    /// In which sense its numbers are right.
    fn guarantee(&self) -> Guarantee;

    /// Whether it applies to `model`, and what it would take. A sampler that applies everywhere need not say so.
    ///
    /// # Errors
    /// [`Error::NotApplicable`] with the reason.
    fn plan(&self, _model: &Arc<dyn Model>) -> Result<Plan> {
        Ok(Plan::default())
    }

    /// What [`Estimator::estimate`] does, for a model whose energies do not fail.
    ///
    /// # Errors
    /// As [`Estimator::estimate`].
    fn run(&self, model: &Arc<dyn Model>, settings: &Settings, monitor: &dyn Monitor) -> Result<Estimate>;

    /// log Z of `model`.
    ///
    /// # Errors
    /// As [`Estimator::plan`]; [`Model::failure`] where the model has one; [`Error::NonFinite`] when an energy is NaN;
    /// [`Error::Setting`] for settings that make no sense; [`Error::NotReached`] from numerical methods without an acceptable answer.
    fn estimate(
        &self,
        model: &Arc<dyn Model>,
        settings: &Settings,
        monitor: &dyn Monitor,
    ) -> Result<Estimate> {
        let found = self.run(model, settings, monitor);
        // What else went wrong, or did not, follows from energies that are NaN since.
        if let Some(failure) = model.failure() {
            return Err(failure);
        }
        let mut found = found?;
        if !matches!(found.guarantee, Guarantee::Exact | Guarantee::Numerical)
            && let Ok(Tails::Unsure(reason)) = tails(&**model)
        {
            found.warnings.push(Warning::MayNotNormalise { reason });
        }
        Ok(found)
    }
}

/// What an estimator would take.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Plan {
    /// Predicted seconds on this machine; `None` for a sampler, which takes what it is given.
    pub seconds: Option<f64>,
    /// Predicted bytes of memory beyond the model, 0 where it does not matter.
    pub bytes: f64,
}

/// Refuses an exact method that is predicted to run longer than `--max-time`.
pub(crate) fn within_time(estimator: &'static str, seconds: f64, settings: &Settings) -> Result<()> {
    if seconds <= settings.max_time {
        return Ok(());
    }
    Err(Error::NotApplicable {
        estimator,
        reason: format!(
            "it would take about {}, more than the limit of {} (--max-time)",
            duration(seconds),
            duration(settings.max_time)
        ),
    })
}

/// A sum's logarithm, if it is finite.
///
/// # Errors
/// [`Error::NotNormalisable`] for Z = 0, [`Error::NonFinite`] for NaN or +∞.
pub(crate) fn usable(model: &Arc<dyn Model>, log_z: f64) -> Result<f64> {
    if log_z.is_finite() {
        Ok(log_z)
    } else if log_z == f64::NEG_INFINITY {
        Err(Error::NotNormalisable {
            model: model.kind(),
            message: "every state has energy +inf, so Z = 0; at least one must have a finite energy".into(),
        })
    } else {
        Err(Error::NonFinite { chain: 0, beta: 1.0, value: log_z, state: Vec::new() })
    }
}
