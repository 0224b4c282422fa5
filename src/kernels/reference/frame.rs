//! Coordinates in which a correlated distribution is round.

use ndarray::{Array1, Array2, ArrayView2, Axis};

use crate::math::linear::Cholesky;
use crate::math::products::multiply;

/// x = m + L z: chains live in z, models in x.
#[derive(Clone, Debug)]
pub struct Frame {
    origin: Array1<f64>,
    factor: Cholesky,
    /// Lᵀ, for rows of z.
    upper: Array2<f64>,
}

impl Frame {
    /// The frame in which N(`origin`, L Lᵀ) is standard, L the factor.
    ///
    /// # Panics
    /// When the lengths differ.
    #[must_use]
    pub fn new(origin: Array1<f64>, factor: Cholesky) -> Self {
        assert_eq!(origin.len(), factor.dim(), "one origin per coordinate");
        let upper = factor.lower().t().as_standard_layout().into_owned();
        Self { origin, factor, upper }
    }

    /// m + L z of each row.
    #[must_use]
    pub fn outward(&self, states: ArrayView2<'_, f64>) -> Array2<f64> {
        let mut out = Array2::zeros(states.dim());
        multiply(states, self.upper.view(), out.view_mut());
        out += &self.origin.view().insert_axis(Axis(0));
        out
    }

    /// L⁻¹ (x − m) of each row.
    #[must_use]
    pub fn inward(&self, states: ArrayView2<'_, f64>) -> Array2<f64> {
        let mut out = &states - &self.origin.view().insert_axis(Axis(0));
        for row in out.rows_mut() {
            self.factor.solve_lower(row);
        }
        out
    }

    /// ∇_z = Lᵀ ∇_x, for rows.
    #[must_use]
    pub fn gradient(&self, gradient: ArrayView2<'_, f64>) -> Array2<f64> {
        let mut out = Array2::zeros(gradient.dim());
        multiply(gradient, self.factor.lower().view(), out.view_mut());
        out
    }

    /// m.
    #[must_use]
    pub fn origin(&self) -> &Array1<f64> {
        &self.origin
    }

    /// L.
    #[must_use]
    pub fn factor(&self) -> &Cholesky {
        &self.factor
    }

    /// log |L|.
    #[must_use]
    pub fn log_volume(&self) -> f64 {
        0.5 * self.factor.log_determinant()
    }
}
