//! Where the rungs lie between β = 0 and β = 1.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// 0 = β₀ < β₁ < … < β_K = 1.
///
/// ```
/// use lnz::paths::Schedule;
/// assert_eq!(Schedule::linear(4).betas(), [0.0, 0.25, 0.5, 0.75, 1.0]);
/// assert!(Schedule::given(vec![0.0, 0.6, 0.5, 1.0]).is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Schedule(Vec<f64>);

impl Schedule {
    /// K equal steps.
    ///
    /// # Panics
    /// For K = 0.
    #[must_use]
    pub fn linear(rungs: usize) -> Self {
        assert!(rungs > 0, "a schedule has at least one rung");
        Self((0..=rungs).map(|k| k as f64 / rungs as f64).collect())
    }

    /// K steps along a logistic curve from −4 to 4, rescaled to [0, 1] (Grosse, Ghahramani & Adams 2015, arXiv:1511.02543).
    ///
    /// # Panics
    /// For K = 0.
    #[must_use]
    pub fn sigmoidal(rungs: usize) -> Self {
        let logistic = |t: f64| 1.0 / (1.0 + (-4.0 * (2.0 * t - 1.0)).exp());
        let (low, high) = (logistic(0.0), logistic(1.0));
        Self::linear(rungs).map(|t| (logistic(t) - low) / (high - low))
    }

    /// These βs.
    ///
    /// # Errors
    /// [`Error::Setting`] unless they rise strictly from 0 to 1.
    pub fn given(betas: Vec<f64>) -> Result<Self> {
        let wrong = |value: String| {
            Err(Error::setting("--schedule", value, "a schedule rises strictly from 0 to 1, e.g. 0,0.5,1"))
        };
        if betas.len() < 2 || betas[0] != 0.0 || betas[betas.len() - 1] != 1.0 {
            return wrong(format!("{betas:?}"));
        }
        // NaN compares as nothing, so "not less" is asked for, not "greater".
        let rises = |pair: &[f64]| pair[0].partial_cmp(&pair[1]) == Some(std::cmp::Ordering::Less);
        if let Some(&[before, after]) = betas.windows(2).find(|pair| !rises(pair)) {
            return wrong(format!("{before} before {after}"));
        }
        Ok(Self(betas))
    }

    /// K steps with equal shares of a barrier that grows by `shares[k]` over step k of this schedule, linearly within a step.
    ///
    /// Steps over which no barrier was seen get none of the rungs, so a thousandth of the barrier is spread evenly.
    /// (Syed, Bouchard-Côté, Chern & Doucet, arXiv:2408.12057.)
    ///
    /// # Panics
    /// When there is not one share per step, or K = 0.
    #[must_use]
    pub fn equal_barrier(&self, shares: &[f64], rungs: usize) -> Self {
        assert_eq!(shares.len(), self.rungs(), "one share of the barrier per step");
        let total: f64 = shares.iter().sum();
        let floor = if total > 0.0 { 1e-3 * total } else { 1.0 };
        let mut cumulative = vec![0.0];
        for (share, pair) in shares.iter().zip(self.0.windows(2)) {
            cumulative.push(cumulative[cumulative.len() - 1] + share + floor * (pair[1] - pair[0]));
        }
        let whole = cumulative[cumulative.len() - 1];
        let mut step = 0;
        let refined = Self::linear(rungs).map(|share| {
            let wanted = share * whole;
            while step + 1 < shares.len() && cumulative[step + 1] < wanted {
                step += 1;
            }
            let within = (wanted - cumulative[step]) / (cumulative[step + 1] - cumulative[step]);
            self.0[step] + within.clamp(0.0, 1.0) * (self.0[step + 1] - self.0[step])
        });
        // Rounding can merge neighbours where the barrier is all but vertical; a linear schedule is always valid.
        if refined.0.windows(2).all(|pair| pair[0] < pair[1]) { refined } else { Self::linear(rungs) }
    }

    /// The same curve β(k/K) with another number of steps.
    ///
    /// # Panics
    /// For K = 0.
    #[must_use]
    pub fn with_rungs(&self, rungs: usize) -> Self {
        if rungs == self.rungs() {
            return self.clone();
        }
        self.equal_barrier(&vec![1.0; self.rungs()], rungs)
    }

    fn map(mut self, mut curve: impl FnMut(f64) -> f64) -> Self {
        let last = self.0.len() - 1;
        for beta in &mut self.0[1..last] {
            *beta = curve(*beta);
        }
        self
    }

    /// β₀ … β_K.
    #[must_use]
    pub fn betas(&self) -> &[f64] {
        &self.0
    }

    /// K.
    #[must_use]
    pub fn rungs(&self) -> usize {
        self.0.len() - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sigmoidal_is_symmetric_and_denser_at_the_ends() {
        let betas = Schedule::sigmoidal(10);
        let betas = betas.betas();
        for k in 0..=10 {
            assert!((betas[k] + betas[10 - k] - 1.0).abs() < 1e-12);
        }
        assert!(betas[1] < 0.05);
    }

    #[test]
    fn equal_barrier_puts_rungs_where_the_barrier_is() {
        let schedule = Schedule::linear(4).equal_barrier(&[3.0, 1.0, 0.0, 0.0], 8);
        let betas = schedule.betas();
        assert!((betas[6] - 0.25).abs() < 0.01, "{betas:?}");
        assert_eq!(betas[8], 1.0);
    }

    #[test]
    fn a_flat_barrier_gives_a_linear_schedule() {
        for shares in [[0.0; 5], [2.0; 5]] {
            let betas = Schedule::linear(5).equal_barrier(&shares, 7);
            for (beta, even) in betas.betas().iter().zip(Schedule::linear(7).betas()) {
                assert!((beta - even).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn one_rung_is_a_schedule() {
        assert_eq!(Schedule::sigmoidal(1).betas(), [0.0, 1.0]);
        assert_eq!(Schedule::linear(9).with_rungs(1).betas(), [0.0, 1.0]);
    }
}
