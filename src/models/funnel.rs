//! Neal's funnel: a normal distribution whose scale is itself random, hard for kernels of one step length.

use std::f64::consts::PI;
use std::sync::Arc;

use ndarray::{Array1, Array2, ArrayView2, s};
use rand::RngExt;
use rand_distr::StandardNormal;

use super::{Domain, Gradient, Model, Sampler, Space, Tempered};
use crate::error::{Error, Result};
use crate::math::random::Generator;

/// The standard deviation of v.
const WIDTH: f64 = 3.0;

/// E(v, x₁ … x_{d−1}) = v²/18 + Σᵢ (xᵢ² e^{−v} + v)/2: v ~ N(0, 3²) and xᵢ | v ~ N(0, eᵛ); log Z = log 3 + ½ d log 2π.
///
/// (Neal 2003, Slice sampling, §8, doi:10.1214/aos/1056562461.)
///
/// ```
/// use lnz::models::{Funnel, Model};
/// let funnel = Funnel::new(2)?;
/// assert_eq!(funnel.energy(ndarray::array![[0.0, 2.0]].view())[0], 2.0);
/// # Ok::<(), lnz::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Funnel {
    dim: usize,
}

impl Funnel {
    /// A funnel in `dim` dimensions, v first.
    ///
    /// # Errors
    /// [`Error::Model`] below two dimensions.
    pub fn new(dim: usize) -> Result<Self> {
        if dim < 2 {
            return Err(Error::model("funnel", format!("dimension {dim}; a funnel has at least 2")));
        }
        Ok(Self { dim })
    }
}

impl Model for Funnel {
    fn kind(&self) -> &'static str {
        "funnel"
    }

    fn space(&self) -> Space {
        Space::new(self.dim, Domain::Real)
    }

    fn energy(&self, states: ArrayView2<'_, f64>) -> Array1<f64> {
        self.energy_and_gradient(states).0
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        vec![("dimension", self.dim.to_string())]
    }

    fn closed_form(&self) -> Option<f64> {
        Some(WIDTH.ln() + 0.5 * self.dim as f64 * (2.0 * PI).ln())
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

impl Gradient for Funnel {
    fn energy_and_gradient(&self, states: ArrayView2<'_, f64>) -> (Array1<f64>, Array2<f64>) {
        let others = (self.dim - 1) as f64;
        let mut gradients = Array2::zeros(states.dim());
        let energies = states
            .rows()
            .into_iter()
            .zip(gradients.rows_mut())
            .map(|(state, mut gradient)| {
                let v = state[0];
                // x e^{−v/2} first: e^{−v} overflows at half the depth.
                let shrink = (-0.5 * v).exp();
                let mut squares = 0.0;
                for i in 1..self.dim {
                    let unit = if state[i] == 0.0 { 0.0 } else { state[i] * shrink };
                    squares += unit * unit;
                    gradient[i] = unit * shrink;
                }
                gradient[0] = v / (WIDTH * WIDTH) + 0.5 * (others - squares);
                0.5 * ((v / WIDTH).powi(2) + squares + others * v)
            })
            .collect();
        (energies, gradients)
    }
}

impl Sampler for Funnel {
    fn sample(&self, count: usize, generator: &mut Generator) -> Array2<f64> {
        let mut draws =
            Array2::<f64>::from_shape_simple_fn((count, self.dim), || generator.sample(StandardNormal));
        for mut row in draws.rows_mut() {
            row[0] *= WIDTH;
            let width = (0.5 * row[0]).exp();
            row.slice_mut(s![1..]).mapv_inplace(|x| x * width);
        }
        draws
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::{Stream, statistics};
    use crate::models::checks::{assert_gradient, assert_temperature};
    use ndarray::{Axis, array};

    /// x integrated by the trapezoid rule on its own scale at each v.
    #[test]
    fn closed_form_is_the_integral() {
        let funnel = Funnel::new(2).expect("two dimensions");
        let grid = |points: usize, half: f64| Array1::linspace(-half, half, points);
        let (vs, units) = (grid(601, 40.0), grid(161, 12.0));
        let mut sum = 0.0;
        for &v in &vs {
            let states =
                Array2::from_shape_fn((161, 2), |(i, j)| if j == 0 { v } else { units[i] * (0.5 * v).exp() });
            let step = (units[1] - units[0]) * (0.5 * v).exp();
            sum += funnel.energy(states.view()).mapv(|e| (-e).exp()).sum() * step;
        }
        let found = (sum * (vs[1] - vs[0])).ln();
        assert!((found - funnel.closed_form().expect("it has one")).abs() < 1e-12);
    }

    #[test]
    fn gradient_and_temperature() {
        let funnel = Funnel::new(3).expect("three dimensions");
        let states = array![[0.5, 1.0, -2.0], [-4.0, 0.1, 0.3], [6.0, -20.0, 3.0]];
        assert_gradient(&funnel, states.view());
        assert_temperature(funnel, states.view());
    }

    /// v and the xᵢ e^{−v/2} are independent normal numbers (within 4.5 standard errors); the xᵢ themselves are too
    /// heavy-tailed to test by moments.
    #[test]
    fn draws_have_the_right_scales() {
        let funnel = Funnel::new(4).expect("four dimensions");
        let draws = funnel.sample(20_000, &mut Stream::new(5).generator());
        let widths = draws.column(0).mapv(|v| (0.5 * v).exp()).insert_axis(Axis(1));
        let mut units = &draws / &widths;
        units.column_mut(0).assign(&(&draws.column(0) / WIDTH));
        for i in 0..4 {
            for j in 0..=i {
                let products = (&units.column(i) * &units.column(j)).to_vec();
                let expected = f64::from(u8::from(i == j));
                assert!(
                    (statistics::mean(&products) - expected).abs() < 4.5 * statistics::std_err(&products)
                );
            }
            let values = units.column(i).to_vec();
            assert!(statistics::mean(&values).abs() < 4.5 * statistics::std_err(&values));
        }
    }

    #[test]
    fn one_dimension_is_refused() {
        assert!(Funnel::new(1).is_err());
    }
}
