//! The walk of chains from one model to another through the models between them.

use std::sync::Arc;

use ndarray::{Array1, Array2, ArrayView2, Axis};
use rayon::prelude::*;

use super::annealing::{Resampling, accumulate};
use super::estimate::{Direction, Rung};
use super::monitor::Monitor;
use super::resampling::systematic;
use crate::error::Result;
use crate::math::{LogWeights, Stream};
use crate::models::{Model, blend};
use crate::paths::{self, Counts, Move, Population, Schedule};

/// Rows whose energies are computed together.
const BATCH: usize = 64;

/// The two ends.
#[derive(Clone, Copy)]
pub(super) struct Pair<'a> {
    pub one: &'a Arc<dyn Model>,
    pub other: &'a Arc<dyn Model>,
}

/// Chains that set out, with what they are worth.
pub(super) struct Walkers {
    pub states: Array2<f64>,
    pub log_weights: Vec<f64>,
    /// The start that each descends from.
    pub starts: Vec<usize>,
}

impl Walkers {
    /// Chains of weight 1, each its own start.
    pub(super) fn at(states: ArrayView2<'_, f64>) -> Self {
        let chains = states.nrows();
        Self { states: states.to_owned(), log_weights: vec![0.0; chains], starts: (0..chains).collect() }
    }
}

/// Chains that have arrived.
pub(super) struct Walked {
    pub weights: LogWeights,
    pub states: Array2<f64>,
    /// The start that each descends from.
    pub starts: Vec<usize>,
    pub rungs: Vec<Rung>,
}

impl Pair<'_> {
    /// From β = 0 to 1 or back, one kernel step at each rung; `resampling` as in [`annealing::forward`](super::annealing::forward).
    pub(super) fn walk(
        self,
        walkers: Walkers,
        schedule: &Schedule,
        direction: Direction,
        resampling: Option<Resampling>,
        stream: Stream,
        monitor: &dyn Monitor,
    ) -> Result<(Walked, Counts)> {
        let back = direction == Direction::Reverse;
        let mut betas = schedule.betas().to_vec();
        if back {
            betas.reverse();
        }
        let Walkers { states, log_weights: mut weights, mut starts } = walkers;
        let chains = states.nrows();
        let mut rungs: Vec<Rung> = Vec::with_capacity(schedule.rungs());
        let mut counts = Counts::default();
        let at = |beta: f64, states: ArrayView2<'_, f64>, stream: Stream| {
            let path = paths::for_model(&blend(self.one, self.other, beta)?, None)?;
            Population::adopt(path.as_ref(), states, stream)
        };
        let mut here = at(betas[0], states.view(), stream.child(0))?;
        for (k, &beta) in betas[1..].iter().enumerate() {
            // Each rung's step comes right after it was reached on the way there, so right before it is left on the way back.
            if back {
                here.step(1.0, Move::Reversed);
            }
            let mut next = at(beta, here.states().view(), stream.child(k as u64 + 1))?;
            let (before, after) = (here.log_density(&[1.0]), next.log_density(&[1.0]));
            // A chain that is where no weight is stays without.
            let gain = |(&before, &after): (&f64, &f64)| {
                if before == f64::NEG_INFINITY { before } else { after - before }
            };
            let gains: Vec<f64> = before.iter().zip(&after).map(gain).collect();
            counts += here.counts();
            here = next;
            paths::check(&gains, beta)?;
            let squares: Vec<f64> = gains.iter().map(|gain| 2.0 * gain).collect();
            let rung = accumulate(&mut weights, &gains, &squares, beta);
            let ess = rung.effective_sample_size;
            rungs.push(rung);
            if let Some(Resampling { below, stream }) = resampling
                && ess > 0.0
                && ess < below * chains as f64
            {
                let old = LogWeights::new(std::mem::take(&mut weights));
                let picks = systematic(&old.normalised(), chains, stream.child(k as u64));
                starts = here.resample(&picks).into_iter().map(|ancestor| starts[ancestor]).collect();
                weights = vec![old.log_mean(); chains];
            }
            if !back {
                here.step(1.0, Move::Forward);
            }
            monitor.advance(1);
        }
        counts += here.counts();
        Ok((Walked { weights: LogWeights::new(weights), states: here.states(), starts, rungs }, counts))
    }
}

/// Kernel steps that leave `model` invariant.
pub(super) fn step(
    model: &Arc<dyn Model>,
    states: &Array2<f64>,
    steps: usize,
    movement: Move,
    stream: Stream,
    counts: &mut Counts,
) -> Result<Array2<f64>> {
    let path = paths::for_model(model, None)?;
    let mut population = Population::adopt(path.as_ref(), states.view(), stream)?;
    for _ in 0..steps {
        population.step(1.0, movement);
    }
    *counts += population.counts();
    Ok(population.states())
}

/// E of every row, over the threads.
pub(super) fn energies(model: &Arc<dyn Model>, states: ArrayView2<'_, f64>) -> Array1<f64> {
    let batches: Vec<_> = states.axis_chunks_iter(Axis(0), BATCH).collect();
    let parts: Vec<Array1<f64>> = batches.into_par_iter().map(|batch| model.energy(batch)).collect();
    parts.into_iter().flatten().collect()
}
