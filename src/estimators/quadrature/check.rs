//! Evidence from chance: importance sampling from the modes found, widened, held against the integral.

use ndarray::{Array2, s};
use rand::RngExt;
use rand_distr::StandardNormal;

use super::cells::Peak;
use super::density::{Density, Frame};
use crate::error::Result;
use crate::estimators::estimate::{Direction, Evidence};
use crate::estimators::warnings::Warning;
use crate::math::log_weights::LogWeights;
use crate::math::{Stream, log_sum_exp};

/// What gave the evidence, in reports.
const SOURCE: &str = "importance sampling from the modes, widened 1, 3 and 10 times";
/// Factors by which modes are widened; equal shares of the draws.
const WIDENED: [f64; 3] = [1.0, 3.0, 10.0];
const DRAWS: usize = 1 << 15;
/// The largest standard error that supports anything, and the most of them that two answers may differ by.
const WEAK: f64 = 0.1;
const APART: f64 = 4.0;

/// log Z from independent draws, and what it says against `log_z` ± `error`.
pub(super) fn check(
    density: &Density,
    frame: &Frame,
    peaks: &[Peak],
    heights: &[f64],
    seed: u64,
    log_z: f64,
    error: f64,
) -> Result<(Evidence, Option<Warning>)> {
    let dim = density.dim();
    let masses: Vec<f64> =
        peaks.iter().zip(heights).map(|(p, h)| h + p.widths.iter().map(|w| w.ln()).sum::<f64>()).collect();
    let total = log_sum_exp(&masses);
    let shares: Vec<f64> = masses.iter().map(|mass| (mass - total).exp()).collect();
    let mut generator = Stream::new(seed).child(0xc4ec).generator();
    let mut z = Array2::zeros((DRAWS, dim));
    for (draw, mut row) in z.rows_mut().into_iter().enumerate() {
        let mut left = generator.random::<f64>();
        let chosen = shares
            .iter()
            .position(|share| {
                left -= share;
                left < 0.0
            })
            .unwrap_or(0);
        let peak = &peaks[chosen];
        for axis in 0..dim {
            let normal = generator.sample::<f64, _>(StandardNormal);
            row[axis] = peak.at[axis] + WIDENED[draw % WIDENED.len()] * peak.widths[axis] * normal;
        }
    }
    let states = frame.states(z.view());
    let mut logs = Vec::with_capacity(DRAWS);
    for first in (0..DRAWS).step_by(4096) {
        logs.extend(density.log_of_search(states.slice(s![first..first + 4096, ..]))?);
    }
    let constant = 0.5 * dim as f64 * (2.0 * std::f64::consts::PI).ln() + frame.log_volume;
    let weights = logs.iter().zip(z.rows()).map(|(log, z)| {
        let mut terms = Vec::with_capacity(3 * peaks.len());
        for (peak, share) in peaks.iter().zip(&shares) {
            let squares: f64 = (0..dim).map(|i| ((z[i] - peak.at[i]) / peak.widths[i]).powi(2)).sum();
            let log_volume: f64 = peak.widths.iter().map(|w| w.ln()).sum();
            for factor in WIDENED {
                let normal = -0.5 * squares / (factor * factor) - log_volume - dim as f64 * factor.ln();
                terms.push((share / WIDENED.len() as f64).ln() + normal);
            }
        }
        log - (log_sum_exp(&terms) - constant)
    });
    let weights = LogWeights::new(weights.collect());
    let (other, std_err) = (weights.log_mean(), weights.std_err());
    let weak = std_err.is_nan() || std_err > WEAK;
    let apart = (other - log_z).abs() / std_err.hypot(error);
    let agrees = !weak && apart <= APART;
    let doubt = if weak {
        Some(Warning::WeakEvidence { source: SOURCE.into(), std_err })
    } else if agrees {
        None
    } else {
        Some(Warning::Disagreement { source: SOURCE.into(), other, z: apart })
    };
    // Importance sampling is a walk of one step.
    let (source, direction) = (SOURCE.into(), Direction::Forward);
    Ok((Evidence { source, direction, rungs: 1, log_z: other, std_err, agrees }, doubt))
}
