//! A tempering ladder that goes on from model to model.

use std::sync::Arc;

use ndarray::ArrayView2;

use super::{Source, Tracked};
use crate::error::Result;
use crate::estimators::monitor::Monitor;
use crate::estimators::phases::Phases;
use crate::estimators::tempering::{
    Length, Observables, Positions, Start, analyse, forgetting, ladder, usual_systems,
};
use crate::math::Stream;
use crate::models::Model;
use crate::paths::{self, Schedule};

/// Rungs of the first ladder, and the runs and their rounds that place them.
const FIRST_RUNGS: usize = 16;
const FITS: u64 = 3;
const FITTING: usize = 100;
/// Fewest rounds of a run that counts.
const LEAST_ROUNDS: usize = 32;
/// The first run at a model takes this share of the most sweeps; the next ones at least twice as many as the one before, and by this
/// factor more than its R̂ calls for.
const FIRST_SHARE: usize = 8;
const MARGIN: f64 = 1.2;
/// Share of the rounds of the first run that come before the first that counts.
const BURN_IN: usize = 4;
/// What a run is believed with: round trips between reference and model of each system, on average, and R̂ of the rungs. In two runs
/// on each of four 784×500 machines under training, those with R̂ up to 1.14 differed by no more than their errors say, and shorter ones
/// above 1.2 were off by up to five of theirs.
const LEAST_TRIPS: f64 = 2.0;
const MOST_R_HAT: f64 = 1.15;

/// log Z of `model` from a ladder that starts at `before`, or else anew; and where it ended. `None` on continuous spaces, where step
/// sizes would have to be fitted first.
///
/// What systems remember of the model before is forgotten in runs of growing length, of which the last counts: that which can be
/// believed, or that of so many sweeps.
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
    let systems =
        before.as_ref().map_or_else(|| usual_systems(path.as_ref()), |before| before.states[0].nrows());
    let mut phases = Phases::new(monitor);
    let mut run = |schedule: &Schedule, before: Option<&Positions>, length: Length, label: u64| {
        phases.run("ladder", length.burn_in + length.rounds, |monitor| {
            let start = Start { schedule, systems, before, stream: stream.child(label) };
            let run = ladder::run(path.as_ref(), start, length, Observables::NONE, monitor)?;
            let counts = run.counts;
            Ok((run, counts))
        })
    };
    let mut before = if let Some(before) = before {
        before
    } else {
        let length = Length { burn_in: FITTING / 2, rounds: FITTING, every: FITTING };
        let mut fitted = run(&Schedule::linear(FIRST_RUNGS), None, length, 0)?;
        for fit in 1..FITS {
            fitted = run(&fitted.better_schedule(None), Some(&fitted.positions()), length, fit)?;
        }
        fitted.positions().on(fitted.better_schedule(None))
    };
    let states = before.schedule.betas().len();
    let most = (sweeps as usize / (systems * states)).max(LEAST_ROUNDS);
    let mut rounds = (most / FIRST_SHARE).max(LEAST_ROUNDS);
    let mut burn_in = rounds / BURN_IN;
    let mut label = FITS;
    loop {
        let states = before.schedule.betas().len();
        // Looking at all rungs from one costs as much as a step or more.
        let length = Length { burn_in, rounds: rounds - burn_in, every: (states / 2).clamp(1, rounds / 8) };
        let found = run(&before.schedule, Some(&before), length, label)?;
        let (r_hat, trips) = (found.samples.r_hat(), found.trips());
        let known = trips >= LEAST_TRIPS && r_hat <= MOST_R_HAT;
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
        let mbar = analyse(&found.samples)?.swap_remove(0);
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
