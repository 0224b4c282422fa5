//! Annealed sequential Monte Carlo with resampling over the whole population.

use super::monitor::Monitor;
use super::resampling::systematic;
use crate::error::Result;
use crate::math::{LogWeights, Stream};
use crate::paths::{Move, Population, Schedule};

/// A population that has walked a schedule with resampling.
#[derive(Debug)]
pub struct Smc {
    /// log of the estimate of Z₁/Z₀, whose exponential is unbiased.
    pub log_ratio: f64,
    /// Weights of the chains since the last resampling.
    pub weights: LogWeights,
    /// β after each resampling.
    pub resampled_at: Vec<f64>,
    /// The chains where they ended.
    pub population: Population,
}

/// From f₀ to f₁ (Del Moral, Doucet & Jasra 2006, doi:10.1111/j.1467-9868.2006.00553.x): weigh as annealing does, and where ESS
/// falls below `threshold`·N, bank the mean weight, resample systematically and start again with equal weights.
///
/// Weights are carried over every rung at which nothing was resampled, so log Ẑ = Σ over resamplings of log mean w, plus the
/// last. One run gives one number: its error comes from independent runs.
///
/// # Errors
/// [`Error::NonFinite`](crate::Error::NonFinite) when a weight becomes NaN or +∞.
pub fn walk(
    mut population: Population,
    schedule: &Schedule,
    threshold: f64,
    stream: Stream,
    monitor: &dyn Monitor,
) -> Result<Smc> {
    let chains = population.chains();
    let mut log_weights = vec![0.0; chains];
    let mut banked = 0.0;
    let mut resampled_at = Vec::new();
    for pair in schedule.betas().windows(2) {
        let (from, to) = (pair[0], pair[1]);
        for (weight, increment) in log_weights.iter_mut().zip(population.log_ratio(from, to)?) {
            *weight += increment;
        }
        let weights = LogWeights::new(log_weights.clone());
        if weights.effective_sample_size() < threshold * chains as f64 && to < 1.0 {
            banked += weights.log_mean();
            let label = resampled_at.len() as u64;
            population.resample(&systematic(&weights.normalised(), chains, stream.child(label)));
            log_weights.fill(0.0);
            resampled_at.push(to);
        }
        population.step(to, Move::Forward);
        monitor.advance(1);
    }
    let weights = LogWeights::new(log_weights);
    Ok(Smc { log_ratio: banked + weights.log_mean(), weights, resampled_at, population })
}
