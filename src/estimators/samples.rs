//! The states that a ladder keeps of its rungs.

use ndarray::{Array1, Array2, s};
use rayon::prelude::*;

use crate::math::statistics::split_r_hat;
use crate::paths::Schedule;

/// States in equilibrium at every rung, as energies.
#[derive(Clone, Debug, PartialEq)]
pub struct Samples {
    /// The rungs.
    pub schedule: Schedule,
    /// How many systems.
    pub systems: usize,
    /// Reduced energies −log f_k(x) at every rung k of every kept state, (K + 1, N): first all states of rung 0, then those of rung
    /// 1 …, for each rung round by round, and within a round system by system.
    pub energies: Array2<f64>,
    /// ∂_β and ∂²_β of log f_β at the rung that a state was kept from, (2, N).
    pub derivatives: Array2<f64>,
    /// log f just below β = 1 less log f₁ of the states kept from the last rung: 0 but on paths that jump there
    /// ([`Path::smooth`](crate::paths::Path::smooth)).
    pub jumps: Array1<f64>,
}

impl Samples {
    /// States kept from each rung.
    #[must_use]
    pub fn kept(&self) -> usize {
        self.energies.ncols() / self.energies.nrows()
    }

    /// The largest R̂ of a rung, of ∂_β log f_β over the systems ([`split_r_hat`]): how much of the run they remember. NaN where a run is
    /// too short for any.
    #[must_use]
    pub fn r_hat(&self) -> f64 {
        let (rungs, kept) = (self.energies.nrows(), self.kept());
        let slopes = self.derivatives.row(0);
        let of_rung = |k: usize| {
            let of_rung = slopes.slice(s![k * kept..(k + 1) * kept]);
            let rounds = of_rung.to_shape((kept / self.systems, self.systems));
            split_r_hat(rounds.expect("every round keeps a state of each system").view())
        };
        (0..rungs).into_par_iter().map(of_rung).reduce(|| f64::NAN, f64::max)
    }

    /// The system of each kept state.
    #[must_use]
    pub fn clusters(&self) -> Vec<usize> {
        (0..self.energies.ncols()).map(|n| n % self.systems).collect()
    }
}
