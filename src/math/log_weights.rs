//! Weights held by their logarithms: their mean, its error, and whether to believe either.

use super::statistics;

/// log Σ exp(xᵢ), without overflow; −∞ for no terms.
#[must_use]
pub fn log_sum_exp(terms: &[f64]) -> f64 {
    let largest = terms.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if !largest.is_finite() {
        return largest;
    }
    largest + terms.iter().map(|x| (x - largest).exp()).sum::<f64>().ln()
}

/// log of the mean of exp(xᵢ).
#[must_use]
pub fn log_mean_exp(terms: &[f64]) -> f64 {
    log_sum_exp(terms) - (terms.len() as f64).ln()
}

/// log(eˣ + eʸ).
#[must_use]
pub fn log_add_exp(x: f64, y: f64) -> f64 {
    let (low, high) = if x < y { (x, y) } else { (y, x) };
    if high == f64::NEG_INFINITY { high } else { high + (low - high).exp().ln_1p() }
}

/// Log-weights log wᵢ of independent chains, with what follows from them.
///
/// ```
/// let weights = lnz::math::LogWeights::new(vec![0.0, 2f64.ln(), 3f64.ln()]);
/// assert!((weights.log_mean() - 2f64.ln()).abs() < 1e-12);
/// assert!((weights.effective_sample_size() - 36.0 / 14.0).abs() < 1e-12);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct LogWeights {
    log: Vec<f64>,
    log_sum: f64,
}

impl LogWeights {
    /// Weights of which none is NaN or +∞; −∞ is a weight of zero.
    ///
    /// # Panics
    /// On NaN or +∞, which the ensembles refuse earlier, with the chain and β at which they arose.
    #[must_use]
    pub fn new(log: Vec<f64>) -> Self {
        assert!(log.iter().all(|w| *w < f64::INFINITY), "log-weights are finite or -inf");
        let log_sum = log_sum_exp(&log);
        Self { log, log_sum }
    }

    /// The log-weights.
    #[must_use]
    pub fn log(&self) -> &[f64] {
        &self.log
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.log.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.log.is_empty()
    }

    /// log((1/N) Σ wᵢ).
    #[must_use]
    pub fn log_mean(&self) -> f64 {
        self.log_sum - (self.log.len() as f64).ln()
    }

    /// wᵢ / Σ w; all equal when every weight is zero.
    #[must_use]
    pub fn normalised(&self) -> Vec<f64> {
        if self.log_sum == f64::NEG_INFINITY {
            return vec![1.0 / self.log.len() as f64; self.log.len()];
        }
        self.log.iter().map(|w| (w - self.log_sum).exp()).collect()
    }

    /// ESS = (Σw)² / Σw², between 1 and N; 0 when every weight is zero.
    #[must_use]
    pub fn effective_sample_size(&self) -> f64 {
        if self.log_sum == f64::NEG_INFINITY {
            return 0.0;
        }
        let twice: Vec<f64> = self.log.iter().map(|w| 2.0 * w).collect();
        (2.0 * self.log_sum - log_sum_exp(&twice)).exp()
    }

    /// Standard error of [`LogWeights::log_mean`] by the delta method: sd(w) / (mean(w) √N).
    #[must_use]
    pub fn std_err(&self) -> f64 {
        let n = self.log.len() as f64;
        if self.log_sum == f64::NEG_INFINITY || n < 2.0 {
            return f64::INFINITY;
        }
        ((n / self.effective_sample_size() - 1.0).max(0.0) / (n - 1.0)).sqrt()
    }

    /// Sample variance of the log-weights (Neal: about one is ideal for annealed importance sampling).
    #[must_use]
    pub fn variance(&self) -> f64 {
        statistics::variance(&self.log)
    }

    /// Pareto shape k̂ of the largest weights (Vehtari et al., arXiv:1507.02646); `None` below 25 weights.
    #[must_use]
    pub fn pareto_shape(&self) -> Option<f64> {
        statistics::pareto_shape(&self.log)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shifting_log_weights_shifts_their_mean_only() {
        let base = LogWeights::new(vec![0.3, -1.0, 2.0, 0.0]);
        let shifted = LogWeights::new(base.log().iter().map(|w| w + 1e4).collect());
        assert!((shifted.log_mean() - base.log_mean() - 1e4).abs() < 1e-9);
        assert!((shifted.effective_sample_size() - base.effective_sample_size()).abs() < 1e-9);
        assert!((shifted.std_err() - base.std_err()).abs() < 1e-9);
    }

    #[test]
    fn std_err_is_the_delta_method_on_plain_weights() {
        let w = [1.0f64, 2.0, 4.0, 0.5, 3.0];
        let weights = LogWeights::new(w.iter().map(|w| w.ln()).collect());
        let n = w.len() as f64;
        let mean = w.iter().sum::<f64>() / n;
        let sd = (w.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt();
        assert!((weights.std_err() - sd / (mean * n.sqrt())).abs() < 1e-12);
    }

    #[test]
    fn no_mass_is_infinitely_uncertain() {
        let none = LogWeights::new(vec![f64::NEG_INFINITY; 5]);
        assert_eq!(none.log_mean(), f64::NEG_INFINITY);
        assert_eq!(none.effective_sample_size(), 0.0);
        assert_eq!(none.std_err(), f64::INFINITY);
    }

    #[test]
    fn log_add_exp_keeps_infinities() {
        assert_eq!(log_add_exp(f64::NEG_INFINITY, f64::NEG_INFINITY), f64::NEG_INFINITY);
        assert!((log_add_exp(1000.0, 1000.0) - 1000.0 - 2f64.ln()).abs() < 1e-12);
    }
}
