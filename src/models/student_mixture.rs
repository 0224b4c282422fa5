//! Mixtures of multivariate Student t distributions: separated modes with heavy tails.

use std::f64::consts::PI;
use std::sync::Arc;

use ndarray::{Array1, Array2, ArrayView2, Axis};
use rand::RngExt;
use rand_distr::{ChiSquared, Distribution, StandardNormal};
use statrs::function::gamma::ln_gamma;

use super::independent::pick;
use super::{Domain, Gradient, Model, Sampler, Space, Tempered, check_finite};
use crate::error::{Error, Result};
use crate::math::log_sum_exp;
use crate::math::random::Generator;
use crate::wording::number;

/// exp(−E(x)) = Σₖ wₖ t_ν(x − μₖ) on ℝᵈ, t_ν(x) ∝ (1 + |x|²/ν)^{−(ν+d)/2} normalised; log Z = log Σₖ wₖ.
///
/// ```
/// use lnz::models::{Model, StudentMixture};
/// use ndarray::array;
/// let mixture = StudentMixture::new(array![1.0, 2.0], array![[0.0], [5.0]], 1.0)?;
/// assert!((mixture.closed_form().expect("its weights' sum") - 3f64.ln()).abs() < 1e-12);
/// # Ok::<(), lnz::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct StudentMixture {
    weights: Array1<f64>,
    means: Array2<f64>,
    freedom: f64,
}

impl StudentMixture {
    /// Weights (k), means (k, d) and degrees of freedom ν.
    ///
    /// # Errors
    /// [`Error::Model`] when there is no component or no dimension, shapes disagree, or a weight or ν is not positive and finite.
    pub fn new(weights: Array1<f64>, means: Array2<f64>, freedom: f64) -> Result<Self> {
        let refuse = |message: String| Err(Error::model("student-mixture", message));
        if means.is_empty() || weights.len() != means.nrows() {
            let (count, shape) = (weights.len(), means.dim());
            return refuse(format!(
                "{count} weights and means of shape {shape:?}; they must be (k) and (k, d) with k, d ≥ 1"
            ));
        }
        check_finite("student-mixture", "the means", &means)?;
        let positive = |value: &f64| (1e-100..=1e100).contains(value);
        if let Some((k, weight)) = weights.iter().enumerate().find(|(_, weight)| !positive(weight)) {
            return refuse(format!("weight {k} is {}; weights are positive and finite", number(*weight)));
        }
        if !positive(&freedom) {
            return refuse(format!("{} degrees of freedom; they are positive and finite", number(freedom)));
        }
        Ok(Self { weights, means, freedom })
    }

    /// (ν + d)/2.
    fn power(&self) -> f64 {
        0.5 * (self.freedom + self.means.ncols() as f64)
    }

    /// log t_ν(0).
    fn log_peak(&self) -> f64 {
        let half = 0.5 * self.means.ncols() as f64;
        ln_gamma(self.power()) - ln_gamma(0.5 * self.freedom) - half * (self.freedom * PI).ln()
    }
}

impl Model for StudentMixture {
    fn kind(&self) -> &'static str {
        "student-mixture"
    }

    fn space(&self) -> Space {
        Space::new(self.means.ncols(), Domain::Real)
    }

    fn energy(&self, states: ArrayView2<'_, f64>) -> Array1<f64> {
        self.energy_and_gradient(states).0
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        vec![
            ("dimension", self.means.ncols().to_string()),
            ("components", self.weights.len().to_string()),
            ("degrees of freedom", number(self.freedom)),
        ]
    }

    fn closed_form(&self) -> Option<f64> {
        Some(self.weights.sum().ln())
    }

    fn gradient(&self) -> Option<&dyn Gradient> {
        Some(self)
    }

    fn sampler(&self) -> Option<&dyn Sampler> {
        Some(self)
    }

    fn at_temperature(self: Arc<Self>, temperature: f64) -> Arc<dyn Model> {
        Arc::new(Tempered::new(self, temperature))
    }
}

impl Gradient for StudentMixture {
    /// ∇E = Σₖ sₖ (ν + d)(x − μₖ)/(ν + |x − μₖ|²) with s the components' shares at x.
    fn energy_and_gradient(&self, states: ArrayView2<'_, f64>) -> (Array1<f64>, Array2<f64>) {
        let mut gradients = Array2::zeros(states.dim());
        let mut energies = Array1::zeros(states.nrows());
        let offsets: Vec<f64> = self.weights.iter().map(|weight| weight.ln() + self.log_peak()).collect();
        let mut squares = vec![0.0; offsets.len()];
        let mut terms = vec![0.0; offsets.len()];
        for ((state, mut gradient), energy) in
            states.rows().into_iter().zip(gradients.rows_mut()).zip(&mut energies)
        {
            for (k, mean) in self.means.rows().into_iter().enumerate() {
                squares[k] = state.iter().zip(&mean).map(|(x, m)| (x - m) * (x - m)).sum();
                terms[k] = offsets[k] - self.power() * (squares[k] / self.freedom).ln_1p();
            }
            let sum = log_sum_exp(&terms);
            *energy = -sum;
            for (k, mean) in self.means.rows().into_iter().enumerate() {
                let pull = (terms[k] - sum).exp() * 2.0 * self.power() / (self.freedom + squares[k]);
                for ((slope, x), m) in gradient.iter_mut().zip(&state).zip(&mean) {
                    *slope += pull * (x - m);
                }
            }
        }
        (energies, gradients)
    }
}

impl Sampler for StudentMixture {
    /// μ + z √(ν/χ²_ν) with a standard normal z.
    fn sample(&self, count: usize, generator: &mut Generator) -> Array2<f64> {
        let shares = (&self.weights / self.weights.sum()).to_vec();
        let chi_squared = ChiSquared::new(self.freedom).expect("degrees of freedom are positive");
        let mut draws = Array2::zeros((count, self.means.ncols()));
        for mut row in draws.axis_iter_mut(Axis(0)) {
            let mean = self.means.row(pick(&shares, generator));
            let stretch = (self.freedom / chi_squared.sample(generator)).sqrt();
            for (x, m) in row.iter_mut().zip(&mean) {
                *x = m + stretch * generator.sample::<f64, _>(StandardNormal);
            }
        }
        draws
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::checks::{assert_gradient, assert_moments, assert_temperature, log_z_by_grid};
    use ndarray::array;

    fn planar(freedom: f64) -> StudentMixture {
        StudentMixture::new(array![0.5, 2.0], array![[0.0, 1.0], [3.0, -2.0]], freedom).expect("valid")
    }

    /// With 30 degrees of freedom the square of ±60 leaves out 1e-20.
    #[test]
    fn closed_form_is_the_integral() {
        let exact = planar(30.0).closed_form().expect("its weights' sum");
        assert!((exact - 2.5f64.ln()).abs() < 1e-14);
        let found = log_z_by_grid(&planar(30.0), -60.0, 60.0, 601);
        assert!((exact - found).abs() < 1e-11, "{found}");
    }

    #[test]
    fn gradient_and_temperature() {
        let states = array![[0.1, 0.2], [2.0, -0.5], [-30.0, 25.0]];
        assert_gradient(&planar(2.0), states.view());
        assert_temperature(planar(2.0), states.view());
    }

    /// The covariance of a component is ν/(ν − 2).
    #[test]
    fn draws_have_the_right_moments() {
        let mixture = planar(12.0);
        let mean = array![2.4, -1.4];
        let mut covariance = Array2::eye(2) * 1.2;
        for (share, centre) in [(0.2, array![0.0, 1.0]), (0.8, array![3.0, -2.0])] {
            let away = (centre - &mean).insert_axis(Axis(1));
            covariance.scaled_add(share, &away.dot(&away.t()));
        }
        assert_moments(&mixture, &mean, &covariance);
    }

    #[test]
    fn bad_parameters_are_named() {
        let message = |weights, freedom| {
            StudentMixture::new(weights, Array2::zeros((2, 1)), freedom).expect_err("bad").to_string()
        };
        assert!(message(array![1.0, 0.0], 2.0).contains("weight 1 is 0"));
        assert!(message(array![1.0], 2.0).contains("1 weights"));
        assert!(message(array![1.0, 1.0], 0.0).contains("degrees of freedom"));
    }
}
