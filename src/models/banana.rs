//! The banana: a long normal distribution bent along a parabola.

use std::f64::consts::PI;
use std::sync::Arc;

use ndarray::{Array1, Array2, ArrayView2};
use rand::RngExt;
use rand_distr::StandardNormal;

use super::{Domain, Gradient, Model, Sampler, Space, Tempered, check_finite};
use crate::error::{Error, Result};
use crate::math::random::Generator;
use crate::wording::number;

/// The standard deviation along the banana.
const LENGTH: f64 = 10.0;

/// E(x) = x₁²/200 + ½ (x₂ + b (x₁² − 100))² + ½ Σ_{i>2} xᵢ²: N(0, diag(100, 1, …, 1)) twisted by a map that keeps volumes, so
/// log Z = log 10 + ½ d log 2π.
///
/// (Haario, Saksman & Tamminen 1999, doi:10.1007/s001800050022, with b = 0.03 and 0.1.)
///
/// ```
/// use lnz::models::{Banana, Model};
/// let banana = Banana::new(2, 0.1)?;
/// assert_eq!(banana.energy(ndarray::array![[10.0, 2.0]].view())[0], 2.5);
/// # Ok::<(), lnz::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Banana {
    dim: usize,
    bend: f64,
}

impl Banana {
    /// A banana in `dim` dimensions with `bend` b.
    ///
    /// # Errors
    /// [`Error::Model`] below two dimensions, or unless b is finite.
    pub fn new(dim: usize, bend: f64) -> Result<Self> {
        if dim < 2 {
            return Err(Error::model("banana", format!("dimension {dim}; a banana has at least 2")));
        }
        check_finite("banana", "the bend", &[bend])?;
        Ok(Self { dim, bend })
    }
}

impl Model for Banana {
    fn kind(&self) -> &'static str {
        "banana"
    }

    fn space(&self) -> Space {
        Space::new(self.dim, Domain::Real)
    }

    fn energy(&self, states: ArrayView2<'_, f64>) -> Array1<f64> {
        self.energy_and_gradient(states).0
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        vec![("dimension", self.dim.to_string()), ("bend", number(self.bend))]
    }

    fn closed_form(&self) -> Option<f64> {
        Some(LENGTH.ln() + 0.5 * self.dim as f64 * (2.0 * PI).ln())
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

impl Gradient for Banana {
    fn energy_and_gradient(&self, states: ArrayView2<'_, f64>) -> (Array1<f64>, Array2<f64>) {
        let mut gradients = states.to_owned();
        let energies = gradients
            .rows_mut()
            .into_iter()
            .map(|mut row| {
                let rest: f64 = row.iter().skip(2).map(|x| x * x).sum();
                let (along, across) =
                    (row[0] / LENGTH, row[1] + self.bend * (row[0] * row[0] - LENGTH * LENGTH));
                row[0] = along / LENGTH + 2.0 * self.bend * row[0] * across;
                row[1] = across;
                0.5 * (along * along + across * across + rest)
            })
            .collect();
        (energies, gradients)
    }
}

impl Sampler for Banana {
    fn sample(&self, count: usize, generator: &mut Generator) -> Array2<f64> {
        let mut draws = Array2::from_shape_simple_fn((count, self.dim), || generator.sample(StandardNormal));
        for mut row in draws.rows_mut() {
            row[0] *= LENGTH;
            row[1] -= self.bend * (row[0] * row[0] - LENGTH * LENGTH);
        }
        draws
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::checks::{assert_gradient, assert_moments, assert_temperature, log_z_by_grid};
    use ndarray::array;

    #[test]
    fn closed_form_is_the_integral() {
        let banana = Banana::new(2, 0.01).expect("two dimensions");
        let found = log_z_by_grid(&banana, -90.0, 90.0, 1201);
        assert!((found - banana.closed_form().expect("it has one")).abs() < 1e-11, "{found}");
    }

    #[test]
    fn gradient_and_temperature() {
        let banana = Banana::new(3, 0.1).expect("three dimensions");
        let states = array![[0.5, 1.0, -2.0], [-4.0, 8.0, 0.3], [16.0, -20.0, 3.0]];
        assert_gradient(&banana, states.view());
        assert_temperature(banana, states.view());
    }

    /// x₂ has mean 0 and variance 1 + b² Var(x₁²) = 1 + 2 · 10⁴ b², and is uncorrelated with x₁.
    #[test]
    fn draws_have_the_right_moments() {
        let banana = Banana::new(3, 0.1).expect("three dimensions");
        let covariance = Array2::from_diag(&array![100.0, 201.0, 1.0]);
        assert_moments(&banana, &Array1::zeros(3), &covariance);
        let draws = banana.sample(100, &mut crate::math::Stream::new(3).generator());
        let energies = banana.energy(draws.view());
        assert!(energies.mean().expect("draws") < 2.5, "{energies}");
    }

    #[test]
    fn one_dimension_is_refused() {
        assert!(Banana::new(1, 0.1).is_err());
        assert!(Banana::new(2, f64::NAN).is_err());
    }
}
