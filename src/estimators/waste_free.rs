//! Waste-free sequential Monte Carlo: every state that a chain passes through at a rung counts, on independent islands.

use ndarray::{Array2, ArrayView2, Axis, concatenate};
use rayon::prelude::*;

use super::annealing::{Annealed, accumulate};
use super::estimate::Rung;
use super::monitor::Monitor;
use super::resampling::systematic;
use crate::error::{Error, Result};
use crate::math::{LogWeights, Stream, log_mean_exp};
use crate::paths::{BLOCK, Counts, Ensemble, Move, Path, Population, Schedule, StepStats, check};

/// Fewest islands of a reported round: each gives one weight, and a verdict asks for an ESS of 100.
pub(crate) const LEAST_ISLANDS: usize = 128;
/// Fewest chains of an island: with less, what one ancestor left is half of it.
pub(crate) const LEAST_CHAINS: usize = 4;

/// Fewest rungs of a reported round: on easy models they cost no more sweeps, and their weights have lighter tails. (On an RBM with
/// rare heavy modes, ref:rbm?visible=12&hidden=8&scale=8, intervals from the two to four rungs of ESS ½ covered in 72 of 100
/// runs, from sixteen in 91, without waste-free moves in 84.)
pub(crate) const LEAST_RUNGS: usize = 16;

/// How the states at a rung are divided: count · chains · length of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Islands {
    /// Islands, between which no state ever goes.
    pub count: usize,
    /// Chains of an island, M; the ancestors that are drawn at each rung.
    pub chains: usize,
    /// States of a chain at a rung, P: its ancestor, and P − 1 kernel steps.
    pub length: usize,
}

impl Islands {
    /// States at a rung.
    #[must_use]
    pub fn states(&self) -> usize {
        self.count * self.chains * self.length
    }

    /// At least `states`, on chains of `length`: as large islands as leave enough of them, up to a block of chains, because the
    /// mean over islands loses least where each has little variance.
    pub(crate) fn divide(states: usize, length: usize) -> Self {
        let most = states / (LEAST_ISLANDS * length);
        let chains = (1 << most.max(1).ilog2()).clamp(LEAST_CHAINS, BLOCK);
        Self { count: states.div_ceil(chains * length).max(LEAST_ISLANDS), chains, length }
    }
}

/// From f₀ to f₁ without waste (Dau & Chopin 2022, doi:10.1111/rssb.12475, arXiv:2011.02328).
///
/// An island starts with N = M·P exact draws from f₀. At rung k each state has the weight f_{βk}/f_{βk−1}; M ancestors are drawn
/// in proportion to these, systematically, each makes P − 1 kernel steps at β_k, and the ancestors and all that they pass through
/// are the N states, equally weighted again, of the next rung. Ẑᵢ = Z₀ Π_k mean weight at k.
///
/// `E[Ẑᵢ] = Z` exactly: given a population, the expected mean of any φ over the next one is Σ Wⱼ (Q φ)(xⱼ) with
/// Q = (1/P) Σ_p K^p, p from 0 to P − 1, which leaves f_{βk} invariant as K does; so this is sequential Monte Carlo with the kernel Q
/// that resamples at every rung. No weight is carried over.
///
/// The states of an island depend on one another in ways that no formula of the weights tells, so the islands are the sample:
/// they share nothing, `weights` are their log Ẑᵢ − log Z₀, and these have all that independent weights have. The chains of the
/// answer are one state of each island, drawn by its weights.
///
/// A thread holds P blocks of chains at a time, however many islands there are.
///
/// # Errors
/// [`Error::NonFinite`] when a weight becomes NaN or +∞.
pub fn forward(
    path: &dyn Path,
    schedule: &Schedule,
    islands: Islands,
    stream: Stream,
    monitor: &dyn Monitor,
) -> Result<Annealed> {
    let together = (BLOCK / islands.chains).max(1);
    let groups: Vec<Walked> = (0..islands.count.div_ceil(together))
        .into_par_iter()
        .map(|number| {
            let first = number * together;
            let group = Islands { count: together.min(islands.count - first), ..islands };
            Group::new(path, group, first * islands.chains, stream.child(number as u64))
                .walk(schedule, monitor)
        })
        .collect::<Result<_>>()?;

    let mut log_weights = vec![0.0; islands.count];
    let mut rungs = Vec::with_capacity(schedule.rungs());
    for (k, &beta) in schedule.betas()[1..].iter().enumerate() {
        let of_islands = |of: fn(&Means) -> &Vec<f64>| -> Vec<f64> {
            groups.iter().flat_map(|group| of(&group.means[k])).copied().collect()
        };
        let mut step = StepStats::default();
        for group in &groups {
            step += group.steps[k];
        }
        let rung = accumulate(
            &mut log_weights,
            &of_islands(|means| &means.first),
            &of_islands(|means| &means.second),
            beta,
        );
        rungs.push(Rung { acceptance: step.acceptance(), step_size: step.mean_scale(), ..rung });
    }
    let tops: Vec<ArrayView2<'_, f64>> = groups.iter().map(|group| group.tops.view()).collect();
    let tops = concatenate(Axis(0), &tops).expect("states of one space have one width");
    let mut population = Population::adopt(path, tops.view(), stream.child(u64::MAX))?;
    for group in &groups {
        population.add_counts(group.counts);
    }
    let weights = LogWeights::new(log_weights);
    Ok(Annealed {
        families: weights.clone(),
        starts: (0..weights.len()).collect(),
        weights,
        resampled_after: (0..schedule.rungs() - 1).collect(),
        support: groups.iter().map(|group| group.inside).sum::<usize>() as f64 / islands.states() as f64,
        rungs,
        steps: Vec::new(),
        population,
    })
}

/// A block of chains of whole islands, with all states that they passed through at the present rung.
struct Group {
    islands: Islands,
    /// The number of its first chain among all.
    first: usize,
    chains: Box<dyn Ensemble>,
    /// Where they were p steps after their ancestors.
    passed: Vec<Box<dyn Ensemble>>,
    stream: Stream,
}

/// What a group of islands found.
struct Walked {
    /// At each rung.
    means: Vec<Means>,
    /// How the kernel fared at each rung.
    steps: Vec<StepStats>,
    /// Starts with a weight above zero.
    inside: usize,
    /// A state of each island at β = 1.
    tops: Array2<f64>,
    counts: Counts,
}

/// Logarithms of the mean weight and of the mean square of weights, of each island.
struct Means {
    first: Vec<f64>,
    second: Vec<f64>,
}

impl Group {
    fn new(path: &dyn Path, islands: Islands, first: usize, stream: Stream) -> Self {
        let sample =
            |label: usize| path.sample_reference(islands.count * islands.chains, stream.child(label as u64));
        // The chains' own draws are overwritten by the first ancestors.
        let (chains, passed) = (sample(islands.length), (0..islands.length).map(sample).collect());
        Self { islands, first, chains, passed, stream: stream.child(u64::MAX) }
    }

    fn walk(mut self, schedule: &Schedule, monitor: &dyn Monitor) -> Result<Walked> {
        let betas = schedule.betas();
        let width = self.islands.count * self.islands.chains;
        let size = self.islands.chains * self.islands.length;
        // An island is a stretch of these, and states of one chain are neighbours: the closer two states are the better, for
        // systematic resampling takes even steps.
        let mut increments = vec![0.0; width * self.islands.length];
        let mut column = vec![0.0; width];
        for (step, passed) in self.passed.iter_mut().enumerate() {
            passed.log_ratio(betas[0], betas[1], &mut column);
            spread(&column, step, self.islands.length, &mut increments);
        }
        self.check(&increments, betas[1])?;
        let inside = increments.iter().filter(|w| w.is_finite()).count();
        let (mut means, mut steps) = (Vec::new(), Vec::new());
        let everyone: Vec<(usize, usize)> = (0..width).map(|chain| (chain, chain)).collect();
        for (k, &beta) in betas[1..].iter().enumerate() {
            let weights: Vec<LogWeights> =
                increments.chunks(size).map(|island| LogWeights::new(island.to_vec())).collect();
            means.push(Means {
                first: weights.iter().map(LogWeights::log_mean).collect(),
                second: weights.iter().map(mean_square).collect(),
            });
            let mut stats = StepStats::default();
            if let Some(&next) = betas.get(k + 2) {
                self.resample(&weights, self.stream.child(k as u64));
                for (step, passed) in self.passed.iter_mut().enumerate() {
                    if step > 0 {
                        stats += self.chains.step(beta, Move::Forward);
                    }
                    self.chains.log_ratio(beta, next, &mut column);
                    spread(&column, step, self.islands.length, &mut increments);
                    passed.copy_chains_from(self.chains.as_ref(), &everyone);
                }
                self.check(&increments, next)?;
            }
            steps.push(stats);
            monitor.advance(width as u64);
        }
        let weights: Vec<LogWeights> =
            increments.chunks(size).map(|island| LogWeights::new(island.to_vec())).collect();
        let mut counts = self.chains.counts();
        for passed in &self.passed {
            counts += passed.counts();
        }
        Ok(Walked { means, steps, inside, tops: self.draw(&weights), counts })
    }

    /// Chains become copies of ancestors, drawn in proportion to the weights of the states that their island passed through.
    fn resample(&mut self, weights: &[LogWeights], stream: Stream) {
        let Islands { chains, length, .. } = self.islands;
        let mut moves = vec![Vec::new(); length];
        for (island, weights) in weights.iter().enumerate() {
            let picks = systematic(&weights.normalised(), chains, stream.child(island as u64));
            for (chain, pick) in picks.into_iter().enumerate() {
                moves[pick % length].push((island * chains + chain, island * chains + pick / length));
            }
        }
        for (passed, moves) in self.passed.iter().zip(&moves).filter(|(_, moves)| !moves.is_empty()) {
            self.chains.copy_chains_from(passed.as_ref(), moves);
        }
    }

    /// A state of each island, drawn by its weights.
    fn draw(&self, weights: &[LogWeights]) -> Array2<f64> {
        let Islands { chains, length, .. } = self.islands;
        let states: Vec<Array2<f64>> = self.passed.iter().map(|passed| passed.states()).collect();
        let mut tops = Array2::zeros((weights.len(), states[0].ncols()));
        for (island, (mut top, weights)) in tops.rows_mut().into_iter().zip(weights).enumerate() {
            let stream = self.stream.child(u64::MAX).child(island as u64);
            let pick = systematic(&weights.normalised(), 1, stream)[0];
            top.assign(&states[pick % length].row(island * chains + pick / length));
        }
        tops
    }

    /// Refuses NaN and +∞, naming the chain.
    fn check(&self, increments: &[f64], beta: f64) -> Result<()> {
        check(increments, beta).map_err(|error| match error {
            Error::NonFinite { chain, beta, value, state } => {
                Error::NonFinite { chain: self.first + chain / self.islands.length, beta, value, state }
            }
            other => other,
        })
    }
}

/// Puts the values of all chains after so many steps among those of all steps.
fn spread(values: &[f64], step: usize, length: usize, out: &mut [f64]) {
    for (chain, value) in out.chunks_exact_mut(length).zip(values) {
        chain[step] = *value;
    }
}

fn mean_square(weights: &LogWeights) -> f64 {
    log_mean_exp(&weights.log().iter().map(|w| 2.0 * w).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn islands_hold_what_is_asked_and_not_much_more() {
        for length in [2, 8, 31, 1024] {
            for states in [1, 512 * length, 513 * length, 100_000, 1_000_000] {
                let islands = Islands::divide(states, length);
                assert!(islands.count >= LEAST_ISLANDS && islands.chains >= LEAST_CHAINS, "{islands:?}");
                assert_eq!(BLOCK % islands.chains, 0, "a block holds whole islands");
                let least = states.max(LEAST_ISLANDS * LEAST_CHAINS * length);
                assert!((least..least + islands.chains * length).contains(&islands.states()), "{islands:?}");
            }
        }
    }
}
