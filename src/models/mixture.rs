//! Mixtures of normal distributions with unnormalised weights.

use std::sync::Arc;

use ndarray::{Array1, Array2, Array3, ArrayView2, Axis};

use super::independent::pick;
use super::{Gaussian, Gradient, Model, Sampler, Space, Tempered};
use crate::error::{Error, Result};
use crate::math::log_sum_exp;
use crate::math::random::Generator;
use crate::wording::number;

/// E(x) = −log Σₖ wₖ N(x; μₖ, Σₖ) on ℝᵈ with weights wₖ > 0 of any sum; log Z = log Σₖ wₖ.
///
/// At another temperature the model is [`Tempered`], whose log Z has no formula.
///
/// ```
/// use lnz::models::{Mixture, Model};
/// use ndarray::{Array3, array};
/// let widths = Array3::from_shape_vec((2, 1, 1), vec![1.0, 0.25]).expect("two 1x1 matrices");
/// let mixture = Mixture::new(array![1.0, 3.0], array![[0.0], [5.0]], widths)?;
/// assert!((mixture.closed_form().expect("at T = 1 there is one") - 4f64.ln()).abs() < 1e-12);
/// # Ok::<(), lnz::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Mixture {
    weights: Array1<f64>,
    /// Each scaled so that its Z is its weight.
    components: Vec<Gaussian>,
}

impl Mixture {
    /// Weights (k), means (k, d) and covariances (k, d, d).
    ///
    /// # Errors
    /// [`Error::Model`] when there is no component, shapes disagree, a weight is not positive and finite or a covariance not
    /// symmetric; [`Error::NotNormalisable`] when one is not positive definite.
    pub fn new(weights: Array1<f64>, means: Array2<f64>, covariances: Array3<f64>) -> Result<Self> {
        let (count, dim) = means.dim();
        if count == 0 || weights.len() != count || covariances.dim() != (count, dim, dim) {
            return Err(Error::model(
                "mixture",
                format!(
                    "{} weights, means of shape {:?} and covariances of shape {:?}; they must be (k), (k, d) and (k, d, d) with k ≥ 1",
                    weights.len(),
                    means.dim(),
                    covariances.dim()
                ),
            ));
        }
        if let Some((k, weight)) = weights.iter().enumerate().find(|(_, w)| !w.is_normal() || **w < 0.0) {
            return Err(Error::model(
                "mixture",
                format!("weight {k} is {}; weights are positive and finite", number(*weight)),
            ));
        }
        let components = (0..count)
            .map(|k| {
                let mean = means.row(k).to_owned();
                let covariance = covariances.index_axis(Axis(0), k).to_owned();
                Gaussian::from_covariance(mean, covariance, 0.0)
                    .map(|component| component.with_log_z(weights[k].ln()))
                    .map_err(|error| in_component(k, error))
            })
            .collect::<Result<_>>()?;
        Ok(Self { weights, components })
    }

    /// w (k).
    #[must_use]
    pub fn weights(&self) -> &Array1<f64> {
        &self.weights
    }

    /// The components, each with Z equal to its weight.
    #[must_use]
    pub fn components(&self) -> &[Gaussian] {
        &self.components
    }
}

/// The same error, told of component `k` of a mixture.
fn in_component(k: usize, error: Error) -> Error {
    match error {
        Error::Model { message, .. } => Error::model("mixture", format!("component {k}: {message}")),
        Error::NotNormalisable { message, .. } => {
            Error::NotNormalisable { model: "mixture", message: format!("component {k}: {message}") }
        }
        other => other,
    }
}

impl Model for Mixture {
    fn kind(&self) -> &'static str {
        "mixture"
    }

    fn space(&self) -> Space {
        self.components[0].space()
    }

    fn energy(&self, states: ArrayView2<'_, f64>) -> Array1<f64> {
        let mut terms = Array2::zeros((states.nrows(), self.components.len()));
        for (component, mut column) in self.components.iter().zip(terms.columns_mut()) {
            column.assign(&-component.energy(states));
        }
        terms
            .rows()
            .into_iter()
            .map(|row| -log_sum_exp(row.as_slice().expect("rows of a fresh array")))
            .collect()
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        vec![
            ("dimension", self.components[0].mean().len().to_string()),
            ("components", self.components.len().to_string()),
        ]
    }

    fn closed_form(&self) -> Option<f64> {
        Some(log_sum_exp(&self.weights.iter().map(|w| w.ln()).collect::<Vec<_>>()))
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

impl Gradient for Mixture {
    /// ∇E = Σₖ rₖ ∇Eₖ with rₖ = exp(E − Eₖ).
    fn energy_and_gradient(&self, states: ArrayView2<'_, f64>) -> (Array1<f64>, Array2<f64>) {
        let parts: Vec<_> = self.components.iter().map(|c| c.energy_and_gradient(states)).collect();
        let energies = Array1::from_shape_fn(states.nrows(), |row| {
            -log_sum_exp(&parts.iter().map(|(energy, _)| -energy[row]).collect::<Vec<_>>())
        });
        let mut gradients = Array2::zeros(states.dim());
        for (energy, gradient) in &parts {
            let shares = (&energies - energy).mapv_into(f64::exp);
            gradients.zip_mut_with(&(gradient * &shares.insert_axis(Axis(1))), |sum, term| *sum += term);
        }
        (energies, gradients)
    }
}

impl Sampler for Mixture {
    fn sample(&self, count: usize, generator: &mut Generator) -> Array2<f64> {
        let shares = (&self.weights / self.weights.sum()).to_vec();
        let mut draws = Array2::zeros((count, self.components[0].mean().len()));
        for mut row in draws.rows_mut() {
            let component = &self.components[pick(&shares, generator)];
            row.assign(&component.sample(1, generator).row(0));
        }
        draws
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::checks::{assert_gradient, assert_moments, assert_temperature, log_z_by_grid};
    use ndarray::array;

    fn planar() -> Mixture {
        let covariances =
            array![[[1.0, 0.3], [0.3, 0.5]], [[0.2, -0.1], [-0.1, 0.3]], [[2.0, 0.0], [0.0, 0.4]]];
        let means = array![[0.0, 1.0], [4.0, -2.0], [-3.0, -1.0]];
        Mixture::new(array![0.5, 2.0, 1.25], means, covariances).expect("positive definite")
    }

    #[test]
    fn closed_form_is_the_integral() {
        let exact = planar().closed_form().expect("at T = 1 there is one");
        assert!((exact - 3.75f64.ln()).abs() < 1e-14);
        assert!((exact - log_z_by_grid(&planar(), -16.0, 16.0, 401)).abs() < 1e-11);
        assert!(Arc::new(planar()).at_temperature(2.0).closed_form().is_none());
    }

    #[test]
    fn gradient_and_temperature() {
        let states = array![[0.1, 0.2], [2.0, -0.5], [-30.0, 25.0], [4.0, -2.0]];
        assert_gradient(&planar(), states.view());
        assert_temperature(planar(), states.view());
    }

    #[test]
    fn draws_have_the_right_moments() {
        let mixture = planar();
        let shares = mixture.weights() / mixture.weights().sum();
        let mut mean = Array1::zeros(2);
        for (share, component) in shares.iter().zip(mixture.components()) {
            mean.scaled_add(*share, component.mean());
        }
        let mut covariance = Array2::zeros((2, 2));
        for (share, component) in shares.iter().zip(mixture.components()) {
            let away = (component.mean() - &mean).insert_axis(Axis(1));
            covariance.scaled_add(*share, &(component.factor().inverse() + away.dot(&away.t())));
        }
        assert_moments(&mixture, &mean, &covariance);
    }

    #[test]
    fn bad_components_are_named() {
        let message = |weights, covariances| {
            let means = Array2::zeros((2, 1));
            Mixture::new(weights, means, covariances).expect_err("a bad component").to_string()
        };
        assert!(message(array![1.0, 0.0], array![[[1.0]], [[1.0]]]).contains("weight 1 is 0"));
        assert!(message(array![1.0, 1.0], array![[[1.0]], [[-2.0]]]).contains("component 1: the covariance"));
        assert!(message(array![1.0], array![[[1.0]], [[1.0]]]).contains("1 weights"));
    }
}
