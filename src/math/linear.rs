//! Dense symmetric positive definite matrices: the Cholesky factor, what it solves, and its determinant.

use ndarray::{Array1, Array2, ArrayView2, ArrayViewMut1, s};

/// The lower triangular L with A = L Lᵀ.
///
/// ```
/// use lnz::math::linear::Cholesky;
/// let factor = Cholesky::new(ndarray::array![[4.0, 2.0], [2.0, 5.0]].view())?;
/// assert_eq!(factor.lower(), &ndarray::array![[2.0, 0.0], [1.0, 2.0]]);
/// assert!((factor.log_determinant() - 16f64.ln()).abs() < 1e-12);
/// # Ok::<(), lnz::math::linear::BadPivot>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Cholesky {
    lower: Array2<f64>,
}

/// The first pivot that is not positive beyond rounding: the matrix is indefinite or singular.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("pivot {index} is {value}, not positive beyond rounding")]
pub struct BadPivot {
    /// Its row.
    pub index: usize,
    /// Aᵢᵢ − Σₖ Lᵢₖ² there.
    pub value: f64,
}

impl Cholesky {
    /// Factors the symmetric `matrix` (d, d), of which only the lower triangle is read; d³/3 operations.
    ///
    /// # Errors
    /// [`BadPivot`] where a pivot is at most d ε Aᵢᵢ, so that its sign is not known.
    ///
    /// # Panics
    /// When the matrix is not square.
    pub fn new(matrix: ArrayView2<'_, f64>) -> Result<Self, BadPivot> {
        let dim = matrix.nrows();
        assert_eq!(dim, matrix.ncols(), "a square matrix");
        let mut lower = Array2::<f64>::zeros((dim, dim));
        for i in 0..dim {
            for j in 0..i {
                let inner = lower.slice(s![i, ..j]).dot(&lower.slice(s![j, ..j]));
                lower[[i, j]] = (matrix[[i, j]] - inner) / lower[[j, j]];
            }
            let row = lower.slice(s![i, ..i]);
            let pivot = matrix[[i, i]] - row.dot(&row);
            if pivot.is_nan() || pivot <= dim as f64 * f64::EPSILON * matrix[[i, i]] {
                return Err(BadPivot { index: i, value: pivot });
            }
            lower[[i, i]] = pivot.sqrt();
        }
        Ok(Self { lower })
    }

    /// L, with zeros above its diagonal.
    #[must_use]
    pub fn lower(&self) -> &Array2<f64> {
        &self.lower
    }

    /// d.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.lower.nrows()
    }

    /// The factor √scale L of scale · A, for a positive `scale`.
    #[must_use]
    pub fn scaled(&self, scale: f64) -> Self {
        Self { lower: &self.lower * scale.sqrt() }
    }

    /// log |A| = 2 Σ log Lᵢᵢ.
    #[must_use]
    pub fn log_determinant(&self) -> f64 {
        2.0 * self.lower.diag().iter().map(|pivot| pivot.ln()).sum::<f64>()
    }

    /// x becomes L⁻¹ x.
    ///
    /// # Panics
    /// When the length is not d.
    pub fn solve_lower(&self, mut x: ArrayViewMut1<'_, f64>) {
        assert_eq!(x.len(), self.dim(), "length of a right-hand side");
        for i in 0..x.len() {
            let known = self.lower.slice(s![i, ..i]).dot(&x.slice(s![..i]));
            x[i] = (x[i] - known) / self.lower[[i, i]];
        }
    }

    /// x becomes L⁻ᵀ x: standard normal numbers become a draw with covariance A⁻¹.
    ///
    /// # Panics
    /// When the length is not d.
    pub fn solve_upper(&self, mut x: ArrayViewMut1<'_, f64>) {
        assert_eq!(x.len(), self.dim(), "length of a right-hand side");
        // By rows of L, which lie together in memory, instead of by columns.
        for i in (0..x.len()).rev() {
            x[i] /= self.lower[[i, i]];
            let value = x[i];
            x.slice_mut(s![..i]).scaled_add(-value, &self.lower.slice(s![i, ..i]));
        }
    }

    /// A⁻¹ b.
    ///
    /// # Panics
    /// When the length is not d.
    #[must_use]
    pub fn solve(&self, mut b: Array1<f64>) -> Array1<f64> {
        self.solve_lower(b.view_mut());
        self.solve_upper(b.view_mut());
        b
    }

    /// A⁻¹, symmetric to the last bit.
    #[must_use]
    pub fn inverse(&self) -> Array2<f64> {
        let dim = self.dim();
        let mut inverse = Array2::eye(dim);
        for mut row in inverse.rows_mut() {
            self.solve_lower(row.view_mut());
            self.solve_upper(row);
        }
        for i in 0..dim {
            for j in 0..i {
                let both = 0.5 * (inverse[[i, j]] + inverse[[j, i]]);
                inverse[[i, j]] = both;
                inverse[[j, i]] = both;
            }
        }
        inverse
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn factors_solve_and_invert() {
        let root = Array2::from_shape_fn((6, 6), |(i, j)| {
            ((3 * i + 5 * j) as f64).sin() + f64::from(u8::from(i == j))
        });
        let matrix = root.dot(&root.t()) + 0.1 * Array2::<f64>::eye(6);
        let factor =
            Cholesky::new(matrix.view()).expect("a Gram matrix plus a multiple of I is positive definite");
        let rebuilt = factor.lower().dot(&factor.lower().t());
        assert!((&rebuilt - &matrix).iter().all(|d| d.abs() < 1e-12));
        let identity = matrix.dot(&factor.inverse());
        assert!((&identity - &Array2::<f64>::eye(6)).iter().all(|d| d.abs() < 1e-10));
        let b = Array1::from_iter((0..6).map(|i| i as f64 - 2.0));
        assert!((matrix.dot(&factor.solve(b.clone())) - b).iter().all(|d| d.abs() < 1e-10));
        let shift = factor.scaled(3.0).log_determinant() - factor.log_determinant();
        assert!((shift - 6.0 * 3f64.ln()).abs() < 1e-12);
    }

    #[test]
    fn indefinite_and_singular_matrices_name_their_pivot() {
        let indefinite = array![[1.0, 2.0], [2.0, 1.0]];
        assert_eq!(Cholesky::new(indefinite.view()), Err(BadPivot { index: 1, value: -3.0 }));
        let singular = array![[0.1, 0.3], [0.3, 0.9]];
        assert_eq!(Cholesky::new(singular.view()).map_err(|pivot| pivot.index), Err(1));
        assert!(Cholesky::new(array![[f64::NAN]].view()).is_err());
    }
}
