//! Restricted Boltzmann machines whose units are counted from an offset.

use ndarray::Array1;

use super::Rbm;
use crate::error::{Error, Result};

impl Rbm {
    /// The machine with E(v, h) = −(v − μ)ᵀ W (h − λ) − b·(v − μ) − c·(h − λ) of this machine's W, b and c, with offsets μ (visible)
    /// and λ (hidden) in its own units (Melchior, Fischer & Wiskott 2016, arXiv:1311.1354): it has other biases and a constant.
    ///
    /// # Errors
    /// [`Error::Model`] when a length is not that of its side, or a parameter that comes out is not finite.
    pub fn centred(self, visible: &Array1<f64>, hidden: &Array1<f64>) -> Result<Self> {
        if (visible.len(), hidden.len()) != (self.visible(), self.hidden()) {
            return Err(Error::model(
                "rbm",
                format!(
                    "{} visible and {} hidden offsets for {} visible and {} hidden units",
                    visible.len(),
                    hidden.len(),
                    self.visible(),
                    self.hidden()
                ),
            ));
        }
        let (weights, b, c) = self.own_parameters();
        let pulls = weights.dot(hidden);
        let constant = b.dot(visible) + c.dot(hidden) - visible.dot(&pulls);
        let (b, c) = (b - pulls, c - visible.dot(&weights));
        let centred = Self::new(weights, b, c, self.units())?.with_offset(self.own_offset() + constant)?;
        match self.base_rates() {
            Some(rates) => centred.with_base_rates(rates.clone()),
            None => Ok(centred),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::log_sum_exp;
    use crate::models::checks::{all_states, assert_close};
    use crate::models::{Model, Units};
    use ndarray::array;

    const WEIGHTS: [[f64; 2]; 3] = [[0.7, -1.3], [0.2, 0.9], [-1.1, 0.4]];
    const BIASES: ([f64; 3], [f64; 2]) = ([0.3, -0.5, 0.8], [-0.2, 0.6]);

    fn machine(units: Units) -> Rbm {
        Rbm::new(ndarray::arr2(&WEIGHTS), ndarray::arr1(&BIASES.0), ndarray::arr1(&BIASES.1), units)
            .expect("valid parameters")
    }

    /// −b·v − c·h − vᵀWh.
    fn joint_energy(v: &[f64], h: &[f64]) -> f64 {
        let pull = |j: usize| (0..3).map(|i| v[i] * WEIGHTS[i][j]).sum::<f64>() + BIASES.1[j];
        -(0..3).map(|i| v[i] * BIASES.0[i]).sum::<f64>() - (0..2).map(|j| h[j] * pull(j)).sum::<f64>()
    }

    /// E of the centred machine against the formula that defines it.
    #[test]
    fn centring_is_other_biases_and_a_constant() {
        let (mu, lambda) = ([0.4, 0.9, -0.3], [0.7, 0.2]);
        for (units, low) in [(Units::Bits, 0.0), (Units::Spins, -1.0)] {
            let centred = machine(units)
                .centred(&ndarray::arr1(&mu), &ndarray::arr1(&lambda))
                .and_then(|rbm| rbm.with_offset(1.25))
                .expect("lengths fit");
            let states = all_states(&centred);
            let expected = states
                .rows()
                .into_iter()
                .map(|v| {
                    let v: Vec<f64> = v.iter().zip(mu).map(|(v, mu)| v - mu).collect();
                    let terms: Vec<f64> = [[low, low], [low, 1.0], [1.0, low], [1.0, 1.0]]
                        .iter()
                        .map(|h| -1.25 - joint_energy(&v, &[h[0] - lambda[0], h[1] - lambda[1]]))
                        .collect();
                    -log_sum_exp(&terms)
                })
                .collect();
            assert_close(&centred.energy(states.view()), &expected, 1e-13);
            let (weights, b, c) = centred.own_parameters();
            let again = Rbm::new(weights, b, c, units)
                .and_then(|rbm| rbm.with_offset(centred.own_offset()))
                .expect("valid parameters");
            assert_close(&again.energy(states.view()), &expected, 1e-13);
        }
        assert!(machine(Units::Bits).centred(&array![0.0], &array![0.0, 0.0]).is_err());
    }
}
