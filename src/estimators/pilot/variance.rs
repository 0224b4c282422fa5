//! How the variance of log-weights grew in a pilot, and what it makes of rungs and errors.

use super::PilotRecord;
use crate::estimators::annealing::Annealed;
use crate::estimators::estimate::Rung;

/// How much of the rungs each step of a pilot's schedule deserves.
///
/// Where chains mix between rungs, the variance of the log-weights grows by the squared discrepancy d² at each, and shares in
/// proportion to d are best: that is the barrier. Where they mix slowly it grows faster, because errors of neighbouring rungs
/// add up instead of averaging out. A stretch of n rungs over which the variance grew by v would have grown by vn/m with m
/// rungs, so Σ vᵢnᵢ/mᵢ is least for mᵢ ∝ √(vᵢnᵢ), which is the barrier again where v = nd². Growth is taken over stretches of a
/// twenty-fourth of the schedule, because a pilot's 128 chains are few.
pub(super) fn shares(rungs: &[Rung]) -> Vec<f64> {
    let mut shares = Vec::with_capacity(rungs.len());
    let mut before = 0.0;
    for stretch in rungs.chunks(rungs.len().div_ceil(24)) {
        let after = stretch[stretch.len() - 1].log_weight_variance;
        let squares: f64 = stretch.iter().map(|rung| rung.discrepancy.powi(2)).sum();
        let sum: f64 = stretch.iter().map(|rung| rung.discrepancy).sum();
        let growth = if after.is_finite() { (after - before).max(squares) } else { squares };
        let whole = (growth * stretch.len() as f64).sqrt();
        shares
            .extend(stretch.iter().map(|rung| if sum > 0.0 { whole * rung.discrepancy / sum } else { 0.0 }));
        before = after;
    }
    shares
}

/// The power of the number of rungs at which the variance of log-weights fell over the last pilots, between ½ and 1: at best it is
/// 1, and where chains hardly mix less.
pub(super) fn decay(records: &[PilotRecord]) -> f64 {
    let last = &records[records.len().saturating_sub(3)..];
    let points: Vec<(f64, f64)> = last
        .iter()
        .map(|record| ((record.rungs as f64).ln(), record.log_weight_variance.ln()))
        .filter(|(_, y)| y.is_finite())
        .collect();
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / points.len() as f64;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let along: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    let across: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    if along > 0.0 { (-across / along).clamp(0.5, 1.0) } else { 1.0 }
}

/// N times the square of the relative error of a mean of N weights whose logarithms are normal with this variance.
///
/// e^{s²} − 1; with resampling whenever ESS has fallen to N/2, which s² = log 2 takes, every such stretch adds 1/N and what is
/// left over no more.
pub(super) fn relative_variance(log_variance: f64, resampled: bool) -> f64 {
    let linear = log_variance / std::f64::consts::LN_2;
    if resampled && linear > 1.0 { linear } else { log_variance.exp_m1() }
}

/// The inverse of [`relative_variance`].
pub(super) fn log_variance(relative: f64, resampled: bool) -> f64 {
    if resampled && relative > 1.0 { relative * std::f64::consts::LN_2 } else { relative.ln_1p() }
}

/// What the variance of log-weights grew to in all: for each stretch without resampling, the variance that normal log-weights with
/// this ESS would have, or four fifths of the sample's own where that is more; of the share `support` of the chains that started
/// where the model has any mass.
pub(super) fn spread(run: &Annealed, support: f64) -> f64 {
    let chains = run.weights.len() as f64;
    let (mut total, mut before, mut share) = (0.0, 0.0, support);
    for &end in run.resampled_after.iter().chain([&(run.rungs.len() - 1)]) {
        let Rung { effective_sample_size, log_weight_variance, .. } = run.rungs[end];
        let grown = log_weight_variance - before;
        total += (-(effective_sample_size / (share * chains)).ln()).max(0.8 * grown);
        (before, share) = (log_weight_variance, 1.0);
    }
    total
}
