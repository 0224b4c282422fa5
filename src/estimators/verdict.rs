//! Whether to believe a weighted estimate.

use super::comparison::doubts;
use super::estimate::{Evidence, Verdict};
use super::warnings::Warning;
use crate::math::LogWeights;

/// The least ESS whose delta-method interval can be trusted.
pub(crate) const LEAST_EFFECTIVE: f64 = 100.0;

/// The largest Pareto shape that is safe with `chains` weights: min(0.7, 1 − 1/log₁₀ N) (Vehtari et al., arXiv:1507.02646).
pub(crate) fn largest_shape(chains: usize) -> f64 {
    0.7f64.min(1.0 - 1.0 / (chains as f64).log10())
}

/// *Converged* needs ESS ≥ 100, a light tail, and agreement of all independent evidence, of which there must be some.
pub(crate) fn judge(weights: &LogWeights, log_z: f64, std_err: f64, evidence: &[Evidence]) -> Verdict {
    let mut reasons = doubts_about(weights);
    reasons.extend(doubts(log_z, std_err, evidence));
    Verdict::from_reasons(reasons)
}

/// What speaks against weights on their own: ESS and tail.
pub(crate) fn doubts_about(weights: &LogWeights) -> Vec<Warning> {
    let mut reasons = Vec::new();
    let effective_sample_size = weights.effective_sample_size();
    if effective_sample_size < LEAST_EFFECTIVE {
        reasons.push(Warning::FewEffectiveSamples { effective_sample_size, least: LEAST_EFFECTIVE });
    }
    let most = largest_shape(weights.len());
    if let Some(pareto_shape) = weights.pareto_shape()
        && pareto_shape >= most
    {
        reasons.push(Warning::HeavyTail { pareto_shape, most });
    }
    reasons
}
