//! The many-well: pairs of a double well and a normal coordinate, so 2^{d/2} separated modes.

use std::f64::consts::PI;
use std::sync::Arc;

use ndarray::{Array1, Array2, ArrayView2};
use rand::RngExt;
use rand_distr::StandardNormal;

use super::{Domain, Gradient, Model, Sampler, Space, Tempered};
use crate::error::{Error, Result};
use crate::math::log_sum_exp;
use crate::math::random::Generator;

/// E = Σ over pairs (x, y) of x⁴ − 6x² − ½x + ½y²; log Z is d/2 times that of one pair, and 164.695675 for d = 32.
///
/// The usual hard target for samplers (Noé, Olsson, Köhler & Wu 2019, doi:10.1126/science.aaw1147;
/// Midgley et al., arXiv:2208.01893). Coordinates are x₁, y₁, x₂, y₂, ….
///
/// ```
/// use lnz::models::{ManyWell, Model};
/// let log_z = ManyWell::new(32)?.closed_form().expect("by quadrature");
/// assert!((log_z - 164.695_675).abs() < 1e-6);
/// # Ok::<(), lnz::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct ManyWell {
    pairs: usize,
}

impl ManyWell {
    /// A many-well in `dim` dimensions.
    ///
    /// # Errors
    /// [`Error::Model`] unless `dim` is even and at least 2.
    pub fn new(dim: usize) -> Result<Self> {
        if dim == 0 || dim % 2 == 1 {
            return Err(Error::model(
                "many-well",
                format!("dimension {dim}; it is made of pairs, so even and at least 2"),
            ));
        }
        Ok(Self { pairs: dim / 2 })
    }
}

fn well(x: f64) -> f64 {
    x * x * (x * x - 6.0) - 0.5 * x
}

/// log ∫ exp(−well(x)) dx by the trapezoid rule, which is exact to rounding here: the integrand is entire and below 1e-200 of its
/// peak at the ends.
fn log_z_of_a_well() -> f64 {
    let step = 1.0 / 64.0;
    let terms: Vec<f64> = (-320..=320).map(|i| -well(f64::from(i) * step)).collect();
    log_sum_exp(&terms) + step.ln()
}

impl Model for ManyWell {
    fn kind(&self) -> &'static str {
        "many-well"
    }

    fn space(&self) -> Space {
        Space::new(2 * self.pairs, Domain::Real)
    }

    fn energy(&self, states: ArrayView2<'_, f64>) -> Array1<f64> {
        self.energy_and_gradient(states).0
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        vec![("dimension", (2 * self.pairs).to_string()), ("modes", format!("2^{}", self.pairs))]
    }

    fn closed_form(&self) -> Option<f64> {
        Some(self.pairs as f64 * (log_z_of_a_well() + 0.5 * (2.0 * PI).ln()))
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

impl Gradient for ManyWell {
    fn energy_and_gradient(&self, states: ArrayView2<'_, f64>) -> (Array1<f64>, Array2<f64>) {
        let mut gradients = Array2::zeros(states.dim());
        let energies = states
            .rows()
            .into_iter()
            .zip(gradients.rows_mut())
            .map(|(state, mut gradient)| {
                let mut energy = 0.0;
                for i in (0..2 * self.pairs).step_by(2) {
                    let (x, y) = (state[i], state[i + 1]);
                    energy += well(x) + 0.5 * y * y;
                    gradient[i] = 4.0 * x * (x * x - 3.0) - 0.5;
                    gradient[i + 1] = y;
                }
                energy
            })
            .collect();
        (energies, gradients)
    }
}

impl Sampler for ManyWell {
    /// By rejection. With r = √3, −well(x) = 9 − (x² − 3)² + x/2 and (x² − 3)² = (x − r)²(x + r)² ≥ 3 (|x| − r)², so on either
    /// side of 0 a normal density around ±r + 1/12 with variance 1/6 and weight exp(±r/2) lies above; half are accepted.
    fn sample(&self, count: usize, generator: &mut Generator) -> Array2<f64> {
        let centre = 3f64.sqrt();
        let right = 1.0 / (1.0 + (-centre).exp());
        Array2::from_shape_fn((count, 2 * self.pairs), |(_, column)| {
            if column % 2 == 1 {
                return generator.sample(StandardNormal);
            }
            loop {
                let side = if generator.random::<f64>() < right { 1.0 } else { -1.0 };
                let normal: f64 = generator.sample(StandardNormal);
                let x = side * centre + 1.0 / 12.0 + normal / 6f64.sqrt();
                let excess = (x * x - 3.0).powi(2) - 3.0 * (x.abs() - centre).powi(2);
                if x * side > 0.0 && generator.random::<f64>() < (-excess).exp() {
                    return x;
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::checks::{assert_gradient, assert_moments, assert_temperature, log_z_by_grid};
    use ndarray::array;

    #[test]
    fn closed_form_is_the_integral() {
        let exact = ManyWell::new(2).expect("one pair").closed_form().expect("by quadrature");
        assert!(
            (exact - log_z_by_grid(&ManyWell::new(2).expect("one pair"), -10.0, 10.0, 801)).abs() < 1e-12
        );
        let published = ManyWell::new(32).expect("sixteen pairs").closed_form().expect("by quadrature");
        assert!((published - 164.695_675).abs() < 1e-6, "{published}");
    }

    #[test]
    fn gradient_and_temperature() {
        let model = ManyWell::new(4).expect("two pairs");
        let states = array![[0.1, 1.0, -1.7, 0.3], [1.8, -2.0, 0.4, 0.0], [-5.0, 3.0, 4.0, -6.0]];
        assert_gradient(&model, states.view());
        assert_temperature(model, states.view());
    }

    #[test]
    fn draws_have_the_right_moments() {
        let step = 1.0 / 128.0;
        let moment = |power: i32| -> f64 {
            (-640..=640)
                .map(|i| f64::from(i) * step)
                .map(|x| x.powi(power) * (-well(x) - log_z_of_a_well()).exp() * step)
                .sum()
        };
        let mean = array![moment(1), 0.0, moment(1), 0.0];
        let spread = moment(2) - moment(1).powi(2);
        let covariance = Array2::from_diag(&array![spread, 1.0, spread, 1.0]);
        assert_moments(&ManyWell::new(4).expect("two pairs"), &mean, &covariance);
    }

    #[test]
    fn odd_dimensions_are_refused() {
        assert!(ManyWell::new(3).is_err());
        assert!(ManyWell::new(0).is_err());
    }
}
