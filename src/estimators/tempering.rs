//! Non-reversible parallel tempering and its stepping-stone estimate.

use ndarray::{Array2, Axis};
use rand::RngExt;

use super::monitor::Monitor;
use crate::error::Result;
use crate::math::{Stream, log_add_exp, log_mean_exp, statistics};
use crate::paths::{Move, Path, Population, Schedule};

/// What independent tempering systems measured.
#[derive(Debug)]
pub struct Tempering {
    /// log of the mean over rounds of f_{β(k+1)}/f_{βk} under f_{βk}, (systems, K).
    pub log_ratios: Array2<f64>,
    /// Mean probability of each exchange, between rungs k and k + 1.
    pub swap_rates: Vec<f64>,
    /// One population per rung, where it ended.
    pub populations: Vec<Population>,
}

impl Tempering {
    /// Stepping-stone estimate of log Z₁/Z₀ (Xie, Lewis, Fan, Kuo & Chen 2011, doi:10.1093/sysbio/syq085) and its error:
    /// Σ_k log mean over systems and rounds of f_{β(k+1)}/f_{βk}, with a jackknife over systems, because exchanges correlate all
    /// rungs of one system.
    #[must_use]
    pub fn stepping_stone(&self) -> (f64, f64) {
        let systems = self.log_ratios.nrows();
        let without = |left_out: Option<usize>| -> f64 {
            self.log_ratios
                .axis_iter(Axis(1))
                .map(|column| {
                    let kept: Vec<f64> = column
                        .iter()
                        .enumerate()
                        .filter(|(i, _)| Some(*i) != left_out)
                        .map(|(_, r)| *r)
                        .collect();
                    log_mean_exp(&kept)
                })
                .sum()
        };
        let leave_one_out: Vec<f64> = (0..systems).map(|i| without(Some(i))).collect();
        if systems < 2 {
            return (without(None), f64::INFINITY);
        }
        let n = systems as f64;
        let variance = (n - 1.0).powi(2) / n * statistics::variance(&leave_one_out);
        (without(None), variance.sqrt())
    }
}

/// Runs `systems` independent ladders with one chain per rung for `burn_in + rounds` rounds of one kernel step at every rung and
/// one sweep of exchanges, even pairs and odd pairs in turn (Syed, Bouchard-Côté, Deligiannidis & Doucet 2022,
/// doi:10.1111/rssb.12464). Chain i of every rung's population belongs to system i.
///
/// # Errors
/// [`Error::NonFinite`](crate::Error::NonFinite) when a density ratio becomes NaN or +∞.
pub fn run(
    path: &dyn Path,
    schedule: &Schedule,
    systems: usize,
    burn_in: usize,
    rounds: usize,
    stream: Stream,
    monitor: &dyn Monitor,
) -> Result<Tempering> {
    let betas = schedule.betas();
    let pairs = schedule.rungs();
    // Each rung starts from reference draws; burn-in carries them to their own distribution.
    let mut populations: Vec<Population> =
        (0..betas.len()).map(|k| Population::from_reference(path, systems, stream.child(k as u64))).collect();
    let mut generator = stream.child(u64::MAX).generator();
    let mut sums = Array2::from_elem((systems, pairs), f64::NEG_INFINITY);
    let mut swaps = vec![(0.0, 0.0); pairs];
    for round in 0..burn_in + rounds {
        for (population, &beta) in populations.iter_mut().zip(betas) {
            population.step(beta, Move::Forward);
        }
        if round >= burn_in {
            for k in 0..pairs {
                let ratios = populations[k].log_ratio(betas[k], betas[k + 1])?;
                for (sum, ratio) in sums.column_mut(k).iter_mut().zip(ratios) {
                    *sum = log_add_exp(*sum, ratio);
                }
            }
        }
        for k in (round % 2..pairs).step_by(2) {
            let [low, high] =
                populations.get_disjoint_mut([k, k + 1]).expect("two different rungs of the ladder");
            let below = low.log_ratio(betas[k], betas[k + 1])?;
            let above = high.log_ratio(betas[k], betas[k + 1])?;
            let mask: Vec<bool> = below
                .iter()
                .zip(&above)
                .map(|(below, above)| {
                    // Two forbidden states, −∞ − (−∞), stay where they are.
                    let gain = below - above;
                    let probability = if gain.is_nan() { 0.0 } else { gain.exp().min(1.0) };
                    swaps[k].0 += probability;
                    swaps[k].1 += 1.0;
                    generator.random::<f64>() < probability
                })
                .collect();
            low.exchange(high, &mask);
        }
        monitor.advance(1);
    }
    sums -= (rounds as f64).ln();
    let swap_rates = swaps.iter().map(|(sum, count)| sum / f64::max(*count, 1.0)).collect();
    Ok(Tempering { log_ratios: sums, swap_rates, populations })
}
