//! Methods for log Z: the contract, the registry, and one file per estimator.
//!
//! To add an estimator: one file with a type that implements [`Estimator`], its `mod` line, and one line in [`REGISTRY`];
//! help, `lnz list` and the contract tests follow from the registry.

use std::fmt;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::models::Model;
use crate::models::tails::{Tails, tails};
use crate::wording::duration;

pub mod ais;
pub mod annealing;
pub mod bar;
pub mod between;
pub mod closed_form;
pub mod curve;
mod deadline;
pub mod enumeration;
pub mod estimate;
pub(crate) mod evidence;
pub(crate) mod floor;
pub mod importance;
pub mod kaufman;
pub mod mbar;
pub mod monitor;
pub mod phases;
pub mod pilot;
pub mod quadrature;
mod report;
pub mod resampling;
pub mod reverse;
pub mod settings;
pub mod smc;
pub mod tempering;
pub mod thermodynamic;
pub mod tracker;
pub mod transfer_matrix;
pub(crate) mod verdict;
mod walk;
pub mod warnings;
pub mod waste_free;

pub use estimate::{
    Cost, Counts, Diagnostics, Direction, Estimate, Evidence, Guarantee, Interval, Phase, Role, Trace,
    Verdict,
};
pub use monitor::{Monitor, Silent};
pub use settings::{Decisions, KernelChoice, ReferenceChoice, ScheduleChoice, Settings};
pub use warnings::Warning;

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

/// Every estimator that a user can name, in the order that `lnz list` shows them.
///
/// Where exact methods would take equally long, [`quickest_exact`] prefers the earlier one.
pub const REGISTRY: &[&dyn Estimator] = &[
    &closed_form::ClosedForm,
    &kaufman::Kaufman,
    &transfer_matrix::TransferMatrix,
    &enumeration::Enumeration,
    &quadrature::Quadrature,
    &ais::Ais,
    &smc::Smc,
    &reverse::ReverseAis,
    &reverse::Sandwich,
    &tempering::Tempering,
    &thermodynamic::Thermodynamic,
    &importance::Importance,
];

/// The estimator called `name`.
///
/// # Errors
/// [`Error::Setting`] listing the names there are.
pub fn by_name(name: &str) -> Result<&'static dyn Estimator> {
    REGISTRY.iter().copied().find(|e| e.name() == name).ok_or_else(|| {
        let names: Vec<_> = REGISTRY.iter().map(|e| e.name()).collect();
        Error::setting("--method", name, format!("methods are auto, {}", names.join(", ")))
    })
}

/// The exact estimator that would finish soonest, with its plan; `None` where no exact method applies.
#[must_use]
pub fn quickest_exact(model: &Arc<dyn Model>) -> Option<(&'static dyn Estimator, Plan)> {
    REGISTRY
        .iter()
        .filter(|e| e.guarantee() == Guarantee::Exact)
        .filter_map(|&e| Some((e, e.plan(model).ok()?)))
        .min_by(|(_, a), (_, b)| a.seconds.unwrap_or(0.0).total_cmp(&b.seconds.unwrap_or(0.0)))
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
