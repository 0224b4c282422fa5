//! The multivariate normal distribution with an arbitrary constant.

use std::f64::consts::PI;
use std::sync::Arc;

use ndarray::{Array1, Array2, ArrayView2, Axis};
use rand::RngExt;
use rand_distr::StandardNormal;

use super::{Domain, Gradient, Model, Sampler, Space, check_finite, symmetric};
use crate::error::{Error, Result};
use crate::math::linear::{BadPivot, Cholesky};
use crate::math::products;
use crate::math::random::{Generator, Stream};
use crate::wording::number;

/// E(x) = ½ (x − μ)ᵀ Λ (x − μ) − s on ℝᵈ, with log Z = s + ½ d log 2π − ½ log |Λ|.
///
/// ```
/// use lnz::models::{Gaussian, Model};
/// let gaussian = Gaussian::from_precision(ndarray::array![1.0], ndarray::array![[4.0]], 0.5)?;
/// assert_eq!(gaussian.energy(ndarray::array![[2.0]].view())[0], 1.5);
/// let log_z = 0.5 + 0.5 * (2.0 * std::f64::consts::PI / 4.0).ln();
/// assert!((gaussian.closed_form().expect("Gaussians have one") - log_z).abs() < 1e-12);
/// # Ok::<(), lnz::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Gaussian {
    mean: Array1<f64>,
    precision: Array2<f64>,
    /// Of the precision.
    factor: Cholesky,
    log_scale: f64,
}

impl Gaussian {
    /// Mean μ (d), precision Λ (d, d) and `log_scale` s.
    ///
    /// # Errors
    /// [`Error::Model`] when shapes disagree, Λ is not symmetric or a parameter is not finite;
    /// [`Error::NotNormalisable`] when Λ is not positive definite.
    pub fn from_precision(mean: Array1<f64>, precision: Array2<f64>, log_scale: f64) -> Result<Self> {
        let precision = checked(&mean, precision, "the precision", log_scale)?;
        let factor = Cholesky::new(precision.view()).map_err(|pivot| indefinite("the precision", pivot))?;
        Ok(Self { mean, precision, factor, log_scale })
    }

    /// Mean μ (d), covariance Λ⁻¹ (d, d) and `log_scale` s.
    ///
    /// # Errors
    /// As [`Gaussian::from_precision`], of the covariance.
    pub fn from_covariance(mean: Array1<f64>, covariance: Array2<f64>, log_scale: f64) -> Result<Self> {
        let covariance = checked(&mean, covariance, "the covariance", log_scale)?;
        let factor = Cholesky::new(covariance.view()).map_err(|pivot| indefinite("the covariance", pivot))?;
        Self::from_precision(mean, factor.inverse(), log_scale)
    }

    /// A reference without symmetries: standard deviations between 0.2 and 2 along random directions (condition number of Λ
    /// at most 100), a mean around one, and a constant.
    ///
    /// # Errors
    /// [`Error::Model`] when `dim` is 0.
    pub fn random(dim: usize, seed: u64) -> Result<Self> {
        let mut generator = Stream::new(seed).child(dim as u64).generator();
        let mut normal =
            |count: usize| Array1::from_shape_simple_fn(count, || generator.sample::<f64, _>(StandardNormal));
        let mean = 1.0 + normal(dim);
        let log_scale = normal(1)[0];
        // Quantiles of a log-uniform spectrum, then turned by Householder reflections, which keep it exactly.
        let mut precision = Array2::from_diag(&Array1::from_iter(
            (0..dim).map(|i| 0.25 * 100f64.powf((i as f64 + 0.5) / dim as f64)),
        ));
        for _ in 0..dim.min(32) {
            let mut axis = normal(dim);
            axis /= axis.dot(&axis).sqrt();
            let image = precision.dot(&axis);
            let middle = axis.dot(&image);
            // (I − 2uuᵀ) A (I − 2uuᵀ) = A − uyᵀ − yuᵀ with y = 2 (Au − (uᵀAu) u).
            let correction = 2.0 * (&image - &(middle * &axis));
            for i in 0..dim {
                for j in 0..dim {
                    precision[[i, j]] -= axis[i] * correction[j] + correction[i] * axis[j];
                }
            }
        }
        Self::from_precision(mean, precision, log_scale)
    }

    /// The same distribution with the constant that makes its log Z this.
    #[must_use]
    pub(crate) fn with_log_z(mut self, log_z: f64) -> Self {
        self.log_scale += log_z - self.log_z();
        self
    }

    /// μ.
    #[must_use]
    pub fn mean(&self) -> &Array1<f64> {
        &self.mean
    }

    /// Λ.
    #[must_use]
    pub fn precision(&self) -> &Array2<f64> {
        &self.precision
    }

    /// The Cholesky factor of Λ.
    #[must_use]
    pub fn factor(&self) -> &Cholesky {
        &self.factor
    }

    /// s.
    #[must_use]
    pub fn log_scale(&self) -> f64 {
        self.log_scale
    }

    fn log_z(&self) -> f64 {
        0.5 * (self.mean.len() as f64 * (2.0 * PI).ln() - self.factor.log_determinant()) + self.log_scale
    }
}

fn checked(mean: &Array1<f64>, matrix: Array2<f64>, name: &str, log_scale: f64) -> Result<Array2<f64>> {
    if mean.is_empty() {
        return Err(Error::model("gaussian", "the mean is empty; a Gaussian needs a dimension"));
    }
    if matrix.dim() != (mean.len(), mean.len()) {
        let (rows, columns) = matrix.dim();
        return Err(Error::model(
            "gaussian",
            format!(
                "the mean has length {0}, but {name} is {rows}x{columns}; it must be {0}x{0}",
                mean.len()
            ),
        ));
    }
    check_finite("gaussian", "the mean", mean)?;
    check_finite("gaussian", "log_scale", &[log_scale])?;
    symmetric("gaussian", name, matrix)
}

fn indefinite(name: &str, pivot: BadPivot) -> Error {
    Error::NotNormalisable {
        model: "gaussian",
        message: format!("{name} is not positive definite: {pivot} (rows are counted from 0)"),
    }
}

impl Model for Gaussian {
    fn kind(&self) -> &'static str {
        "gaussian"
    }

    fn space(&self) -> Space {
        Space::new(self.mean.len(), Domain::Real)
    }

    fn energy(&self, states: ArrayView2<'_, f64>) -> Array1<f64> {
        self.energy_and_gradient(states).0
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        vec![
            ("dimension", self.mean.len().to_string()),
            ("log |precision|", format!("{:.6}", self.factor.log_determinant())),
            ("log scale", number(self.log_scale)),
        ]
    }

    fn closed_form(&self) -> Option<f64> {
        Some(self.log_z())
    }

    fn gradient(&self) -> Option<&dyn Gradient> {
        Some(self)
    }

    fn sampler(&self) -> Option<&dyn Sampler> {
        Some(self)
    }

    fn at_temperature(self: Arc<Self>, temperature: f64) -> Arc<dyn Model> {
        Arc::new(Self {
            mean: self.mean.clone(),
            precision: &self.precision / temperature,
            factor: self.factor.scaled(1.0 / temperature),
            log_scale: self.log_scale / temperature,
        })
    }
}

impl Gradient for Gaussian {
    fn energy_and_gradient(&self, states: ArrayView2<'_, f64>) -> (Array1<f64>, Array2<f64>) {
        let centred = &states - &self.mean.view().insert_axis(Axis(0));
        let mut slope = Array2::zeros(states.dim());
        products::multiply(centred.view(), self.precision.view(), slope.view_mut());
        let energies = centred
            .rows()
            .into_iter()
            .zip(slope.rows())
            .map(|(x, g)| 0.5 * x.dot(&g) - self.log_scale)
            .collect();
        (energies, slope)
    }
}

impl Sampler for Gaussian {
    fn sample(&self, count: usize, generator: &mut Generator) -> Array2<f64> {
        let mut draws =
            Array2::from_shape_simple_fn((count, self.mean.len()), || generator.sample(StandardNormal));
        for mut row in draws.rows_mut() {
            self.factor.solve_upper(row.view_mut());
            row += &self.mean;
        }
        draws
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::checks::{assert_gradient, assert_moments, assert_temperature, log_z_by_grid};
    use ndarray::array;

    fn planar() -> Gaussian {
        Gaussian::from_precision(array![0.7, -1.2], array![[2.0, 0.9], [0.9, 1.5]], -0.4)
            .expect("positive definite")
    }

    #[test]
    fn closed_form_is_the_integral() {
        let exact = planar().closed_form().expect("Gaussians have one");
        assert!((exact - log_z_by_grid(&planar(), -12.0, 12.0, 301)).abs() < 1e-12);
        let warm = Arc::new(planar()).at_temperature(1.7);
        let exact = warm.closed_form().expect("Gaussians have one");
        assert!((exact - log_z_by_grid(&*warm, -15.0, 15.0, 301)).abs() < 1e-12);
    }

    #[test]
    fn gradient_and_temperature() {
        let states = array![[0.1, 0.2], [-3.0, 2.5], [40.0, -7.0]];
        assert_gradient(&planar(), states.view());
        assert_temperature(planar(), states.view());
    }

    #[test]
    fn covariance_and_precision_make_the_same_model() {
        let by_covariance = Gaussian::from_covariance(planar().mean.clone(), planar().factor.inverse(), -0.4)
            .expect("definite");
        assert!((&by_covariance.precision - &planar().precision).iter().all(|d| d.abs() < 1e-13));
        assert_moments(&planar(), &planar().mean, &planar().factor.inverse());
        let random = Gaussian::random(5, 3).expect("a dimension");
        assert_moments(&random, &random.mean, &random.factor.inverse());
        let warm = Arc::new(random.clone()).at_temperature(3.0);
        assert_moments(&*warm, &random.mean, &(3.0 * random.factor.inverse()));
    }

    #[test]
    fn random_references_have_the_spectrum_that_they_claim() {
        for dim in [1, 2, 40] {
            let random = Gaussian::random(dim, 1).expect("a dimension");
            let expected: f64 =
                (0..dim).map(|i| (0.25 * 100f64.powf((i as f64 + 0.5) / dim as f64)).ln()).sum();
            assert!((random.factor.log_determinant() - expected).abs() < 1e-9 * dim as f64);
            assert_ne!(random.mean, Gaussian::random(dim, 2).expect("a dimension").mean);
        }
        let random = Gaussian::random(40, 1).expect("a dimension");
        let off_diagonal = random.precision.indexed_iter().filter(|((i, j), _)| i != j).map(|(_, v)| v.abs());
        assert!(off_diagonal.fold(0.0, f64::max) > 1.0);
    }

    #[test]
    fn bad_matrices_are_named() {
        let message = |precision: Array2<f64>| {
            Gaussian::from_precision(array![0.0, 0.0], precision, 0.0).expect_err("a bad matrix").to_string()
        };
        assert!(message(array![[1.0, 2.0], [2.0, 1.0]]).contains("pivot 1 is -3"));
        assert!(message(array![[1.0, 0.2], [0.1, 1.0]]).contains("[0, 1] is 0.2 but [1, 0] is 0.1"));
        assert!(message(array![[1.0]]).contains("1x1"));
        assert!(message(array![[1.0, f64::NAN], [0.0, 1.0]]).contains("NaN"));
        assert!(Gaussian::random(0, 1).is_err());
    }
}
