//! Methods for log Z: the contract ([`Estimator`]), the registry, and one file per estimator.
//!
//! To add an estimator: one file with a type that implements [`Estimator`], its `mod` line, and one line in [`REGISTRY`];
//! help, `lnz list` and the contract tests follow from the registry.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::models::Model;

pub mod ais;
pub mod annealing;
pub mod bar;
pub mod between;
pub mod closed_form;
pub(crate) mod comparison;
pub mod curve;
mod deadline;
pub mod decisions;
pub mod enumeration;
pub mod estimate;
mod estimator;
pub(crate) mod evidence;
pub(crate) mod floor;
pub mod importance;
pub mod kaufman;
pub mod ladder;
pub mod mbar;
pub mod monitor;
pub mod phases;
pub mod pilot;
pub mod quadrature;
mod report;
pub mod resampling;
pub mod reverse;
pub mod rounds;
pub mod samples;
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

pub use decisions::{Decisions, FlatStart};
pub use estimate::{
    Cost, Counts, Diagnostics, Direction, Estimate, Evidence, Guarantee, Interval, Phase, Role, Trace,
    Verdict,
};
pub use estimator::{Estimator, Plan};
pub(crate) use estimator::{usable, within_time};
pub use monitor::{Monitor, Silent};
pub use settings::{KernelChoice, ReferenceChoice, ScheduleChoice, Settings};
pub use warnings::Warning;

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
