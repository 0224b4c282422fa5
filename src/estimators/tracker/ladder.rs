//! A tempering ladder that goes on from model to model.

use std::sync::Arc;

use ndarray::ArrayView2;

use super::{Source, Tracked};
use crate::error::Result;
use crate::estimators::ladder::{self, Fit, Length, Observables, Positions, Start, usual_systems};
use crate::estimators::monitor::Monitor;
use crate::estimators::phases::Phases;
use crate::estimators::settings::Settings;
use crate::estimators::tempering::{MOST_R_HAT, analyse, doubts, forgetting};
use crate::math::Stream;
use crate::models::Model;
use crate::paths::{self, Schedule};

/// Rungs of the first ladder, and the runs that place them.
const FIRST_RUNGS: usize = 16;
const PLACINGS: usize = 2;
/// Fewest rounds of a run that counts.
const LEAST_ROUNDS: usize = 32;
/// The first run at a model takes this share of the most sweeps; the next ones at least twice as many as the one before, and by this
/// factor more than its R̂ calls for.
const FIRST_SHARE: usize = 4;
const MARGIN: f64 = 1.2;
/// Share of the rounds of the first run that come before the first that counts.
const BURN_IN: usize = 4;
/// Round trips between reference and model, of each system on average, that a run is believed with. What else it needs is what
/// tempering is judged by.
const LEAST_TRIPS: f64 = 2.0;

/// log Z of `model` from a ladder that starts at `before`, or else anew; and where it ended. `None` on continuous spaces, where step
/// sizes would have to be fitted first.
///
/// The path is bent anew. What systems remember of the model before is forgotten in runs of growing length, of which the last counts:
/// that which can be believed, or that of so many sweeps.
pub(super) fn climb(
    model: &Arc<dyn Model>,
    data: ArrayView2<'_, f64>,
    before: Option<Positions>,
    sweeps: u64,
    stream: Stream,
    monitor: &dyn Monitor,
) -> Result<Option<(Tracked, Positions)>> {
    if model.space().values().is_none() {
        return Ok(None);
    }
    let path = paths::for_model(model, Some(data))?;
    let (systems, schedule, placings) = match &before {
        Some(before) => (before.states[0].nrows(), before.schedule.clone(), 0),
        None => (usual_systems(path.as_ref()), Schedule::linear(FIRST_RUNGS), PLACINGS),
    };
    let mut phases = Phases::new(monitor);
    let mut fit = Fit::new(path, schedule, systems, stream.child(0), &mut phases);
    fit.ends = before;
    fit.place(placings)?;
    fit.bend(usize::MAX)?;
    let Fit { path, schedule, ends, .. } = fit;
    let mut before = ends.expect("a ladder has run").on(schedule);
    let mut run = |before: &Positions, length: Length, label: u64| {
        phases.run("ladder", length.burn_in + length.rounds, |monitor| {
            let start = Start {
                schedule: &before.schedule,
                systems,
                before: Some(before),
                stream: stream.child(label),
            };
            let run = ladder::run(path.as_ref(), start, length, Observables::NONE, monitor)?;
            let counts = run.counts;
            Ok((run, counts))
        })
    };
    let states = before.schedule.betas().len();
    let most = (sweeps as usize / (systems * states)).max(LEAST_ROUNDS);
    let mut rounds = (most / FIRST_SHARE).max(LEAST_ROUNDS);
    let mut burn_in = rounds / BURN_IN;
    let mut label = 1;
    loop {
        let states = before.schedule.betas().len();
        // Looking at all rungs from one costs as much as a step or more.
        let length = Length { burn_in, rounds: rounds - burn_in, every: (states / 2).clamp(1, rounds / 8) };
        let found = run(&before, length, label)?;
        let (r_hat, trips) = (found.samples.r_hat(), found.trips());
        let mbar = analyse(&found.samples)?.swap_remove(0);
        let doubts = doubts(&found, r_hat, LEAST_TRIPS, mbar.std_err, &Settings::default());
        let known = doubts.is_empty();
        before = found.positions().on(found.better_schedule(None));
        if !known && rounds < most {
            let wanted = f64::max(
                MARGIN * forgetting(length.rounds, r_hat, MOST_R_HAT),
                length.rounds as f64 * LEAST_TRIPS / trips,
            );
            rounds = (wanted.min(most as f64) as usize).max(2 * rounds).min(most);
            burn_in = 0;
            label += 1;
            continue;
        }
        let tracked = Tracked {
            log_z: path.log_z_reference() + mbar.log_z,
            std_err: if known { mbar.std_err } else { f64::INFINITY },
            source: Source::Tempered,
            effective_sample_size: systems as f64,
            followed: None,
        };
        return Ok(Some((tracked, before)));
    }
}
