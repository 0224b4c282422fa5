//! The walk of chains from one model to another through the models between them.

use std::sync::Arc;

use ndarray::{Array2, ArrayView2};

use super::annealing::{Resampling, accumulate};
use super::estimate::{Direction, Rung};
use super::monitor::Monitor;
use super::resampling::systematic;
use crate::error::Result;
use crate::math::{LogWeights, Stream};
use crate::models::{Model, blend};
use crate::paths::{self, Counts, Move, Population, Schedule};

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
    /// Chains at `states` on a path to the model at `beta`, which is that path's own β = 1.
    fn adopt(self, beta: f64, states: &Array2<f64>, stream: Stream) -> Result<Population> {
        let path = paths::for_model(&blend(self.one, self.other, beta)?, None)?;
        Population::adopt(path.as_ref(), states.view(), stream)
    }

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
        let count = states.nrows();
        let mut rungs: Vec<Rung> = Vec::with_capacity(schedule.rungs());
        let mut chains = Chains::at(self, betas[0], &states, stream.child(0))?;
        for (k, pair) in betas.windows(2).enumerate() {
            let (from, to) = (pair[0], pair[1]);
            // Each rung's step comes right after it was reached on the way there, so right before it is left on the way back.
            if back {
                chains.step(from, Move::Reversed);
            }
            let gains = chains.pass(from, to, stream.child(k as u64 + 1))?;
            let squares: Vec<f64> = gains.iter().map(|gain| 2.0 * gain).collect();
            let rung = accumulate(&mut weights, &gains, &squares, to);
            let ess = rung.effective_sample_size;
            rungs.push(rung);
            if let Some(Resampling { below, stream }) = resampling
                && ess > 0.0
                && ess < below * count as f64
            {
                let old = LogWeights::new(std::mem::take(&mut weights));
                let picks = systematic(&old.normalised(), count, stream.child(k as u64));
                let ancestors = chains.population.resample(&picks);
                starts = ancestors.into_iter().map(|ancestor| starts[ancestor]).collect();
                weights = vec![old.log_mean(); count];
            }
            if !back {
                chains.step(to, Move::Forward);
            }
            monitor.advance(1);
        }
        let counts = chains.counts();
        let states = chains.population.states();
        Ok((Walked { weights: LogWeights::new(weights), states, starts, rungs }, counts))
    }
}

/// Chains on their way.
struct Chains<'a> {
    population: Population,
    /// Where the population is not on a family between the two but on a path to the model at one β, the two.
    rebuilt: Option<Pair<'a>>,
    /// Work of populations that are gone.
    gone: Counts,
}

impl<'a> Chains<'a> {
    fn at(pair: Pair<'a>, beta: f64, states: &Array2<f64>, stream: Stream) -> Result<Self> {
        let family = paths::between(pair.one, pair.other, states.view(), stream)?;
        let rebuilt = family.is_none().then_some(pair);
        let population = match family {
            Some(population) => population,
            None => pair.adopt(beta, states, stream)?,
        };
        Ok(Self { population, rebuilt, gone: Counts::default() })
    }

    /// log f_to − log f_from of every chain, which is at β = `to` then.
    fn pass(&mut self, from: f64, to: f64, stream: Stream) -> Result<Vec<f64>> {
        let Some(pair) = self.rebuilt else { return self.population.log_ratio(from, to) };
        let mut next = pair.adopt(to, &self.population.states(), stream)?;
        let (before, after) = (self.population.log_density(&[1.0]), next.log_density(&[1.0]));
        // A chain that is where no weight is stays without.
        let gain = |(&before, &after): (&f64, &f64)| {
            if before == f64::NEG_INFINITY { before } else { after - before }
        };
        let gains: Vec<f64> = before.iter().zip(&after).map(gain).collect();
        self.gone += self.population.counts();
        self.population = next;
        paths::check(&gains, to)?;
        Ok(gains)
    }

    /// A kernel step at `beta`, where the chains are.
    fn step(&mut self, beta: f64, movement: Move) {
        self.population.step(if self.rebuilt.is_some() { 1.0 } else { beta }, movement);
    }

    fn counts(&self) -> Counts {
        let mut counts = self.gone;
        counts += self.population.counts();
        counts
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
