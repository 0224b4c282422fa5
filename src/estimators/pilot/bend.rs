//! Bending the path between two pilots.

use std::sync::Arc;

use crate::error::Result;
use crate::estimators::ladder::{DENSITY, Fit, usual_systems};
use crate::estimators::phases::Phases;
use crate::estimators::settings::Settings;
use crate::math::Stream;
use crate::paths::{Path, Schedule};

/// Share of the limit that bending the path may use, and the barrier from which on it is bent: as annealing sees it, about twice as
/// large as a ladder's.
const BENDING: f64 = 0.1;
const LEAST_BARRIER: f64 = 6.0;
/// Fewest runs that are worth it.
const LEAST_BENDS: usize = 10;

/// A path that was bent, its rungs, and in how many runs.
pub(super) struct Bent {
    pub path: Arc<dyn Path>,
    pub schedule: Schedule,
    pub runs: usize,
}

/// How often a path is bent.
#[derive(Clone, Copy, Debug)]
pub(super) enum Runs {
    /// As an earlier run decided.
    Decided(usize),
    /// As its barrier calls for, so often at most.
    AtMost(usize),
}

/// The path bent; `None` where it cannot be bent or need not be, or where there is no room for
/// that.
pub(super) fn bend(
    path: &Arc<dyn Path>,
    curve: &Schedule,
    (barrier, pace): (f64, f64),
    settings: &Settings,
    runs: Runs,
    stream: Stream,
    phases: &mut Phases<'_>,
) -> Result<Option<Bent>> {
    if path.bend().is_none() || barrier < LEAST_BARRIER {
        return Ok(None);
    }
    let schedule = curve.with_rungs((DENSITY * barrier).ceil() as usize);
    let mut fit = Fit::new(Arc::clone(path), schedule, usual_systems(path.as_ref()), stream, phases);
    let sweeps = fit.sweeps() as f64;
    let room = match settings.budget {
        Some(budget) => BENDING * budget as f64 / sweeps,
        None => BENDING * settings.max_time / (pace * sweeps),
    };
    let most = match runs {
        Runs::Decided(runs) => runs,
        Runs::AtMost(_) if room < LEAST_BENDS as f64 => return Ok(None),
        Runs::AtMost(most) => most.min(room as usize),
    };
    let runs = fit.bend(most)?;
    Ok(Some(Bent { path: fit.path, schedule: fit.schedule, runs }))
}
