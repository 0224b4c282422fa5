//! Restricted Boltzmann machines with Gaussian visible and Bernoulli hidden units.

use std::fmt;
use std::sync::Arc;

use ndarray::{Array1, Array2, ArrayView2, Axis};

use super::rbm::softplus;
use super::{Domain, Gradient, HiddenUnits, LowerBounds, Model, Space, check_finite};
use crate::error::{Error, Result};
use crate::math::products;
use crate::wording::number;

/// How σ scales the term that couples visible and hidden units; the two agree where σ = 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Convention {
    /// Σᵢⱼ vᵢ Wᵢⱼ hⱼ / σᵢ² (Cho, Ilin & Raiko 2011, doi:10.1007/978-3-642-21735-7_2).
    #[default]
    Cho,
    /// Σᵢⱼ vᵢ Wᵢⱼ hⱼ / σᵢ (Hinton 2010, A practical guide to training RBMs, §13.2, doi:10.1007/978-3-642-35289-8_32).
    Hinton,
}

impl fmt::Display for Convention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cho => "cho (v W h / sigma^2)",
            Self::Hinton => "hinton (v W h / sigma)",
        })
    }
}

/// E(v, h) = Σᵢ (vᵢ − bᵢ)² / 2σᵢ² − vᵀ W̃ h − c·h on ℝᵈ × {0, 1}ᵐ with h summed out:
/// E(v) = Σᵢ (vᵢ − bᵢ)² / 2σᵢ² − Σⱼ softplus(cⱼ + (vW̃)ⱼ).
///
/// W̃ is W with row i divided by σᵢ² or σᵢ ([`Convention`]), and all that the model holds. Z is finite for every σ > 0. At
/// temperature T the joint energy E(v, h) is divided, so p(v) is not exp(−E(v)/T): a Gaussian RBM at T is one with σ² T, W̃/T
/// and c/T.
///
/// ```
/// use ndarray::array;
/// use lnz::models::{GaussianRbm, Model, gaussian_rbm::Convention};
/// let rbm = GaussianRbm::new(array![[3.0]], array![1.0], array![-0.5], array![2.0], Convention::Cho)?;
/// let energy = rbm.energy(array![[2.0]].view())[0];
/// assert!((energy - (0.125 - 1f64.exp().ln_1p())).abs() < 1e-12);
/// # Ok::<(), lnz::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct GaussianRbm {
    scaled_weights: Array2<f64>,
    visible_bias: Array1<f64>,
    hidden_bias: Array1<f64>,
    sigma: Array1<f64>,
    convention: Convention,
}

impl GaussianRbm {
    /// W (visible, hidden), b (visible), c (hidden) and σ (visible), not its square or logarithm.
    ///
    /// # Errors
    /// [`Error::Model`] when lengths disagree, a side is empty, a parameter is not finite or a σ not positive.
    pub fn new(
        weights: Array2<f64>,
        visible_bias: Array1<f64>,
        hidden_bias: Array1<f64>,
        sigma: Array1<f64>,
        convention: Convention,
    ) -> Result<Self> {
        const MODEL: &str = "gaussian-rbm";
        let (visible, hidden) = weights.dim();
        if visible == 0 || hidden == 0 {
            return Err(Error::model(MODEL, format!("W is {visible}x{hidden}; both sides need a unit")));
        }
        let lengths = [visible_bias.len(), hidden_bias.len(), sigma.len()];
        if lengths != [visible, hidden, visible] {
            return Err(Error::model(
                MODEL,
                format!(
                    "W is {visible}x{hidden} (visible, hidden), but the visible bias has length {}, the hidden bias {} and \
                     sigma {}",
                    lengths[0], lengths[1], lengths[2]
                ),
            ));
        }
        check_finite(MODEL, "W", &weights)?;
        check_finite(MODEL, "the visible bias", &visible_bias)?;
        check_finite(MODEL, "the hidden bias", &hidden_bias)?;
        // 1/σ² must be a normal number too, or energies are not.
        if let Some((i, value)) =
            sigma.iter().enumerate().find(|(_, s)| **s <= 0.0 || !(*s * *s).recip().is_normal())
        {
            return Err(Error::model(
                MODEL,
                format!("sigma[{i}] is {}; standard deviations are positive and finite", number(*value)),
            ));
        }
        let divisor = match convention {
            Convention::Cho => sigma.mapv(|s| s * s),
            Convention::Hinton => sigma.clone(),
        };
        let scaled_weights = weights / divisor.insert_axis(Axis(1));
        check_finite(MODEL, "W divided by sigma", &scaled_weights)?;
        // Integrated over v, the energy is quadratic in σW̃ and bilinear in b and W̃.
        let sizes: Array1<f64> = scaled_weights
            .indexed_iter()
            .map(|((i, _), w)| (w * sigma[i]).powi(2) + (w * visible_bias[i]).abs())
            .collect();
        check_finite(MODEL, "(sigma W)^2 + |b W| with W divided by sigma", &sizes)?;
        Ok(Self { scaled_weights, visible_bias, hidden_bias, sigma, convention })
    }

    /// The number of visible units.
    #[must_use]
    pub fn visible(&self) -> usize {
        self.visible_bias.len()
    }

    /// The number of hidden units.
    #[must_use]
    pub fn hidden(&self) -> usize {
        self.hidden_bias.len()
    }

    /// W̃ (visible, hidden): hidden unit j sees cⱼ + (vW̃)ⱼ in either convention.
    #[must_use]
    pub fn scaled_weights(&self) -> &Array2<f64> {
        &self.scaled_weights
    }

    /// b: the mean of v given h = 0; given h it is b + σ² W̃h.
    #[must_use]
    pub fn visible_bias(&self) -> &Array1<f64> {
        &self.visible_bias
    }

    /// c.
    #[must_use]
    pub fn hidden_bias(&self) -> &Array1<f64> {
        &self.hidden_bias
    }

    /// σ: the standard deviation of v given h.
    #[must_use]
    pub fn sigma(&self) -> &Array1<f64> {
        &self.sigma
    }

    /// How W was given.
    #[must_use]
    pub fn convention(&self) -> Convention {
        self.convention
    }

    /// cⱼ + (vW̃)ⱼ, (n, hidden).
    fn pre_activations(&self, states: ArrayView2<'_, f64>) -> Array2<f64> {
        let mut activations = Array2::zeros((states.nrows(), self.hidden()));
        products::multiply(states, self.scaled_weights.view(), activations.view_mut());
        activations + &self.hidden_bias
    }

    /// (vᵢ − bᵢ)/σᵢ², (n, visible), and Σᵢ (vᵢ − bᵢ)²/2σᵢ², (n).
    fn quadratic(&self, states: ArrayView2<'_, f64>) -> (Array2<f64>, Array1<f64>) {
        let centred = &states - &self.visible_bias;
        let slopes = &centred / &self.sigma.mapv(|s| s * s);
        let energies = centred.rows().into_iter().zip(slopes.rows()).map(|(x, g)| 0.5 * x.dot(&g)).collect();
        (slopes, energies)
    }
}

impl Model for GaussianRbm {
    fn kind(&self) -> &'static str {
        "gaussian-rbm"
    }

    fn space(&self) -> Space {
        Space::new(self.visible(), Domain::Real)
    }

    fn energy(&self, states: ArrayView2<'_, f64>) -> Array1<f64> {
        let (_, energies) = self.quadratic(states);
        energies - self.pre_activations(states).mapv_into(softplus).sum_axis(Axis(1))
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        let least = self.sigma.iter().copied().fold(f64::INFINITY, f64::min);
        let largest = self.sigma.iter().copied().fold(0.0, f64::max);
        vec![
            ("visible units", self.visible().to_string()),
            ("hidden units", self.hidden().to_string()),
            (
                "sigma",
                if least == largest {
                    number(least)
                } else {
                    format!("{} to {}", number(least), number(largest))
                },
            ),
            ("convention", self.convention.to_string()),
        ]
    }

    fn gradient(&self) -> Option<&dyn Gradient> {
        Some(self)
    }

    fn lower_bounds(&self) -> Option<&dyn LowerBounds> {
        Some(self)
    }

    fn hidden_units(&self) -> Option<&dyn HiddenUnits> {
        Some(self)
    }

    /// The joint energy E(v, h) divided by T, with h summed out after that.
    fn at_temperature(self: Arc<Self>, temperature: f64) -> Arc<dyn Model> {
        Arc::new(Self {
            scaled_weights: &self.scaled_weights / temperature,
            visible_bias: self.visible_bias.clone(),
            hidden_bias: &self.hidden_bias / temperature,
            sigma: &self.sigma * temperature.sqrt(),
            convention: self.convention,
        })
    }
}

impl HiddenUnits for GaussianRbm {
    /// Σᵢ (vᵢ − bᵢ)²/2σᵢ² and c + vW̃.
    fn activations(&self, states: ArrayView2<'_, f64>) -> (Array1<f64>, Array2<f64>) {
        (self.quadratic(states).1, self.pre_activations(states))
    }
}

impl Gradient for GaussianRbm {
    /// ∇E = (v − b)/σ² − W̃ σ(c + vW̃).
    fn energy_and_gradient(&self, states: ArrayView2<'_, f64>) -> (Array1<f64>, Array2<f64>) {
        let (mut gradients, energies) = self.quadratic(states);
        let activations = self.pre_activations(states);
        let energies = energies - activations.mapv(softplus).sum_axis(Axis(1));
        let means = activations.mapv_into(|a| 1.0 / (1.0 + (-a).exp()));
        products::multiply_add(-1.0, means.view(), self.scaled_weights.t(), gradients.view_mut());
        (energies, gradients)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::log_sum_exp;
    use crate::models::checks::{assert_close, assert_gradient, log_z_by_grid};
    use ndarray::array;

    fn weights() -> Array2<f64> {
        array![[1.2, -0.7, 0.4], [-0.3, 2.1, -1.0]]
    }

    fn machine(sigma: Array1<f64>, convention: Convention) -> GaussianRbm {
        GaussianRbm::new(weights(), array![0.5, -1.0], array![0.2, -0.6, 1.0], sigma, convention)
            .expect("valid")
    }

    fn hidden_states() -> Vec<[f64; 3]> {
        (0..8).map(|i| [i & 1, i >> 1 & 1, i >> 2 & 1].map(f64::from)).collect()
    }

    /// −log Σ_h exp(−E(v, h)/T), from the parameters as they were given.
    fn brute_force(v: [f64; 2], sigma: [f64; 2], power: i32, temperature: f64) -> f64 {
        let terms: Vec<f64> = hidden_states()
            .iter()
            .map(|h| {
                let mut energy = 0.0;
                for i in 0..2 {
                    energy += (v[i] - [0.5, -1.0][i]).powi(2) / (2.0 * sigma[i].powi(2));
                    for j in 0..3 {
                        energy -= v[i] * weights()[[i, j]] * h[j] / sigma[i].powi(power);
                    }
                }
                for j in 0..3 {
                    energy -= [0.2, -0.6, 1.0][j] * h[j];
                }
                -energy / temperature
            })
            .collect();
        -log_sum_exp(&terms)
    }

    const STATES: [[f64; 2]; 4] = [[0.0, 0.0], [1.3, -0.4], [-2.0, 3.0], [25.0, -18.0]];
    const SIGMA: [f64; 2] = [0.6, 1.7];

    #[test]
    fn energies_sum_over_hidden_units_in_both_conventions_and_at_any_temperature() {
        let states = ndarray::arr2(&STATES);
        for (convention, power) in [(Convention::Cho, 2), (Convention::Hinton, 1)] {
            let machine = Arc::new(machine(ndarray::arr1(&SIGMA), convention));
            for temperature in [1.0, 2.5] {
                let expected = STATES.iter().map(|&v| brute_force(v, SIGMA, power, temperature)).collect();
                let found = Arc::clone(&machine).at_temperature(temperature).energy(states.view());
                assert_close(&found, &expected, 1e-12);
            }
            assert_gradient(&*machine, states.view());
            assert_gradient(&*machine.at_temperature(0.4), states.view());
        }
        let unit = |convention| machine(array![1.0, 1.0], convention).energy(states.view());
        assert_eq!(unit(Convention::Cho), unit(Convention::Hinton));
    }

    /// Z = Σ_h exp(c·h) Πᵢ ∫ exp(−(v − b)²/2σ² + v (W̃h)ᵢ) dv = Σ_h exp(c·h) Πᵢ √(2π) σᵢ exp(bᵢ aᵢ + σᵢ² aᵢ²/2) with a = W̃h.
    #[test]
    fn the_integral_is_a_sum_over_hidden_states() {
        for convention in [Convention::Cho, Convention::Hinton] {
            let machine = machine(ndarray::arr1(&SIGMA), convention);
            let terms: Vec<f64> = hidden_states()
                .iter()
                .map(|h| {
                    let h = ndarray::arr1(h);
                    let pull = machine.scaled_weights().dot(&h);
                    let mut term = machine.hidden_bias().dot(&h);
                    for i in 0..2 {
                        let sigma = machine.sigma()[i];
                        term += 0.5 * (2.0 * std::f64::consts::PI).ln() + sigma.ln();
                        term += machine.visible_bias()[i] * pull[i] + 0.5 * (sigma * pull[i]).powi(2);
                    }
                    term
                })
                .collect();
            assert!((log_z_by_grid(&machine, -25.0, 25.0, 901) - log_sum_exp(&terms)).abs() < 1e-11);
        }
    }

    #[test]
    fn bad_parameters_are_named() {
        let message = |sigma, visible_bias| {
            GaussianRbm::new(weights(), visible_bias, array![0.0, 0.0, 0.0], sigma, Convention::Cho)
                .expect_err("a bad parameter")
                .to_string()
        };
        assert!(message(array![1.0, 0.0], array![0.0, 0.0]).contains("sigma[1] is 0"));
        assert!(message(array![1.0, -1.0], array![0.0, 0.0]).contains("sigma[1] is -1"));
        assert!(message(array![f64::NAN, 1.0], array![0.0, 0.0]).contains("sigma[0] is NaN"));
        assert!(message(array![1e-200, 1.0], array![0.0, 0.0]).contains("sigma[0]"));
        assert!(message(array![1.0], array![0.0, 0.0]).contains("sigma 1"));
        assert!(message(array![1.0, 1.0], array![0.0, f64::INFINITY]).contains("visible bias"));
    }
}
