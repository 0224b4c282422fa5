//! The walk along a schedule that annealed importance sampling, sequential Monte Carlo, their pilots and their reversal share.
//!
//! It keeps its chains, one number a chain for each of up to 64 rungs, and less than 200 bytes of what it saw at each rung.

use ndarray::Array2;

use super::estimate::Rung;
use super::monitor::Monitor;
use super::resampling::systematic;
use crate::error::Result;
use crate::math::{LogWeights, Stream, log_sum_exp};
use crate::paths::{Ensemble, Move, Population, RungStats, Schedule, StepStats};

/// Rungs that a block runs through before all blocks meet to report. Bounds memory; the numbers do not depend on it.
const CHUNK: usize = 64;
/// How often in a walk blocks meet at least where chains may be resampled.
const MEETINGS: usize = 32;

/// When chains that fell behind give way to copies of those that did not.
#[derive(Clone, Copy, Debug)]
pub struct Resampling {
    /// ESS/N below which chains are resampled, in proportion to their weights and systematically.
    pub below: f64,
    /// What chance is taken from.
    pub stream: Stream,
}

impl Resampling {
    /// Below N/2.
    #[must_use]
    pub fn at_half(stream: Stream) -> Self {
        Self { below: 0.5, stream }
    }
}

/// A population that has walked, with its weights.
#[derive(Debug)]
pub struct Annealed {
    /// Log-weights of the chains as they ended: of f₁/f₀ upwards, of f₀/f₁ downwards. Resampling gives all chains their mean, so
    /// the mean of weights at the end is unbiased for Z₁/Z₀ or Z₀/Z₁ either way.
    pub weights: LogWeights,
    /// What each start has become: the sum of its descendants' weights, 0 if it has none. Without resampling these are `weights`;
    /// with it they have the same mean, and it is their spread that tells the error of that (Chan & Lai 2013,
    /// doi:10.1214/13-AOS1172; Lee & Whiteley 2018, doi:10.1093/biomet/asy028).
    pub families: LogWeights,
    /// The start that each chain descends from.
    pub starts: Vec<usize>,
    /// The steps, counted from 0, after which chains were resampled.
    pub resampled_after: Vec<usize>,
    /// Share of the chains with a weight above zero after the first step: upwards from reference draws, an estimate of the
    /// reference's mass where the model has any.
    pub support: f64,
    /// What was seen at each step.
    pub rungs: Vec<Rung>,
    /// How the kernel fared at each step.
    pub steps: Vec<RungStats>,
    /// The chains where they ended.
    pub population: Population,
}

impl Annealed {
    /// log of [`Annealed::support`], and its standard error; 0 ± 0 where every chain counts.
    #[must_use]
    pub fn log_support(&self) -> (f64, f64) {
        let chains = self.weights.len() as f64;
        (self.support.ln(), ((1.0 - self.support) / (self.support * chains)).sqrt())
    }

    /// Lets the chains and the kernel's record go, for a walk whose weights and rungs are all that is still wanted.
    pub(crate) fn dismiss_chains(&mut self) {
        self.population.dismiss();
        self.steps = Vec::new();
    }
}

/// From f₀ to f₁ (Neal 2001, doi:10.1023/A:1008923215028): for k = 1 … K, w += log f_{βk}(x) − log f_{βk−1}(x), then one kernel
/// step at β_k. With `resampling` it is sequential Monte Carlo (Del Moral, Doucet & Jasra 2006,
/// doi:10.1111/j.1467-9868.2006.00553.x).
///
/// # Errors
/// [`Error::NonFinite`](crate::Error::NonFinite) when a weight becomes NaN or +∞.
pub fn forward(
    population: Population,
    schedule: &Schedule,
    movement: Move,
    resampling: Option<Resampling>,
    monitor: &dyn Monitor,
) -> Result<Annealed> {
    let steps: Vec<(f64, f64)> = schedule.betas().windows(2).map(|pair| (pair[0], pair[1])).collect();
    walk(population, &steps, resampling, monitor, &|block, (from, to), out| {
        block.log_ratio(from, to, out);
        (to, block.step(to, movement))
    })
}

/// From f₁ to f₀, the exact reversal of [`forward`]: for k = K … 1, one time-reversed step at β_k, then
/// w += log f_{βk−1}(x) − log f_{βk}(x). With exact starts the mean of exp(w) is unbiased for Z₀/Z₁.
///
/// # Errors
/// As [`forward`].
pub fn reverse(
    population: Population,
    schedule: &Schedule,
    resampling: Option<Resampling>,
    monitor: &dyn Monitor,
) -> Result<Annealed> {
    let steps: Vec<(f64, f64)> = schedule.betas().windows(2).rev().map(|pair| (pair[1], pair[0])).collect();
    walk(population, &steps, resampling, monitor, &|block, (from, to), out| {
        let stats = block.step(from, Move::Reversed);
        block.log_ratio(from, to, out);
        (from, stats)
    })
}

type Step<'a> = dyn Fn(&mut dyn Ensemble, (f64, f64), &mut [f64]) -> (f64, StepStats) + Sync + 'a;

fn walk(
    mut population: Population,
    steps: &[(f64, f64)],
    resampling: Option<Resampling>,
    monitor: &dyn Monitor,
    step: &Step<'_>,
) -> Result<Annealed> {
    let chains = population.chains();
    let mut log_weights = vec![0.0; chains];
    let mut rungs: Vec<Rung> = Vec::with_capacity(steps.len());
    let mut kernel = Vec::with_capacity(steps.len());
    let mut support = 1.0;
    let mut starts: Vec<usize> = (0..chains).collect();
    let mut resampled_after = Vec::new();
    // What the variance had grown to when chains were last made equal.
    let mut variance = 0.0;
    let chunk = match resampling {
        Some(_) => (steps.len() / MEETINGS).clamp(1, CHUNK),
        None => CHUNK,
    };
    for chunk in steps.chunks(chunk) {
        let mut increments = Array2::zeros((chains, chunk.len()));
        let stats = population.map_blocks(&mut increments, |block, mut rows| {
            let mut column = vec![0.0; block.chains()];
            let mut stats = Vec::with_capacity(chunk.len());
            for (k, &pair) in chunk.iter().enumerate() {
                stats.push(step(block, pair, &mut column));
                rows.column_mut(k).iter_mut().zip(&column).for_each(|(out, value)| *out = *value);
            }
            stats
        });
        for (k, &(_, to)) in chunk.iter().enumerate() {
            let increments = increments.column(k).to_vec();
            crate::paths::check(&increments, to).map_err(|error| population.located(error))?;
            if rungs.is_empty() {
                support = increments.iter().filter(|w| w.is_finite()).count() as f64 / chains as f64;
            }
            let mut step = StepStats::default();
            for block in &stats {
                step += block[k].1;
            }
            kernel.push(RungStats { beta: stats[0][k].0, step });
            let squares: Vec<f64> = increments.iter().map(|g| 2.0 * g).collect();
            let mut rung = accumulate(&mut log_weights, &increments, &squares, to);
            rung.log_weight_variance += variance;
            rungs.push(Rung { acceptance: step.acceptance(), step_size: step.mean_scale(), ..rung });
        }
        let last = rungs[rungs.len() - 1];
        if let Some(Resampling { below, stream }) = resampling
            && rungs.len() < steps.len()
            && last.effective_sample_size > 0.0
            && last.effective_sample_size < below * chains as f64
        {
            let weights = LogWeights::new(std::mem::take(&mut log_weights));
            let stream = stream.child(resampled_after.len() as u64);
            let ancestors = population.resample(&systematic(&weights.normalised(), chains, stream));
            starts = ancestors.iter().map(|&ancestor| starts[ancestor]).collect();
            log_weights = vec![weights.log_mean(); chains];
            resampled_after.push(rungs.len() - 1);
            // Where some weights are zero their logarithms have no variance, and the others' ESS says what they are worth.
            variance = if last.log_weight_variance.is_finite() {
                last.log_weight_variance
            } else {
                variance - (last.effective_sample_size / chains as f64).ln()
            };
        }
        monitor.advance(chunk.len() as u64);
        monitor.effective_sample_size(rungs.last().map_or(0.0, |rung: &Rung| rung.effective_sample_size));
    }
    let weights = LogWeights::new(log_weights);
    let families = if resampled_after.is_empty() { weights.clone() } else { families(&weights, &starts) };
    Ok(Annealed { weights, families, starts, resampled_after, support, rungs, steps: kernel, population })
}

/// The sum of the weights of all chains that came from each start.
pub(super) fn families(weights: &LogWeights, starts: &[usize]) -> LogWeights {
    let mut sums = vec![0.0; weights.len()];
    for (&start, share) in starts.iter().zip(weights.normalised()) {
        sums[start] += share;
    }
    let log_sum = weights.log_mean() + (weights.len() as f64).ln();
    LogWeights::new(sums.iter().map(|share| share.ln() + log_sum).collect())
}

/// Adds one step's increments, given with their squares, to the log-weights, and says what they told. Expectations are under the
/// weights before the step.
pub(super) fn accumulate(log_weights: &mut [f64], increments: &[f64], squares: &[f64], beta: f64) -> Rung {
    let before = log_sum_exp(log_weights);
    let squares: Vec<f64> = log_weights.iter().zip(squares).map(|(w, g)| w + g).collect();
    for (w, g) in log_weights.iter_mut().zip(increments) {
        *w += g;
    }
    let weights = LogWeights::new(log_weights.to_vec());
    let after = weights.log_mean() + (log_weights.len() as f64).ln();
    Rung {
        beta,
        log_ratio: after - before,
        log_weight_variance: weights.variance(),
        effective_sample_size: weights.effective_sample_size(),
        discrepancy: (log_sum_exp(&squares) + before - 2.0 * after).max(0.0).sqrt(),
        ..Rung::default()
    }
}
