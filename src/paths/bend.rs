//! How a path of bits leaves the straight line between the biases of its reference and of its model.

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};

use crate::error::{Error, Result};
use crate::math::linear::Cholesky;

/// Least variance of a bit that a change of its bias is reckoned with.
const LEAST_VARIANCE: f64 = 0.02;
/// What is added to the diagonal of the normal equations, as a share of its mean: few rungs do not tell all coefficients.
const RIDGE: f64 = 1e-3;

/// What is added to the biases at β: β(1 − β) Σⱼ (2β − 1)ʲ aⱼ for 0 ≤ β ≤ 1, so nothing at either end.
///
/// Any bend makes a valid path. A good one takes the means of all bits straight from the reference's to the model's, in the manner of
/// paths that average moments (Grosse, Maddison & Salakhutdinov 2013, "Annealing between distributions by averaging moments", NIPS 26).
/// Where biases go straight instead, modes that hold a tenth of the model's mass can hold a ten-thousandth of it at β = 0.9, and are
/// hardly ever found.
#[derive(Clone, Debug, PartialEq)]
pub struct Bend {
    /// aⱼ, (terms, bits).
    coefficients: Array2<f64>,
}

impl Bend {
    /// Terms of the sum.
    pub const TERMS: usize = 3;

    /// None, of so many bits.
    #[must_use]
    pub fn none(bits: usize) -> Self {
        Self { coefficients: Array2::zeros((Self::TERMS, bits)) }
    }

    /// aⱼ, a row each.
    ///
    /// # Errors
    /// [`Error::Data`] for another number of rows or a value that is not finite.
    pub fn new(coefficients: Array2<f64>) -> Result<Self> {
        if coefficients.nrows() != Self::TERMS || coefficients.iter().any(|a| !a.is_finite()) {
            let (rows, terms) = (coefficients.nrows(), Self::TERMS);
            return Err(Error::data(format!("a bend is {terms} rows of finite values, not {rows}")));
        }
        Ok(Self { coefficients })
    }

    /// aⱼ, a row each.
    #[must_use]
    pub fn coefficients(&self) -> ArrayView2<'_, f64> {
        self.coefficients.view()
    }

    /// What is added to the biases at β.
    #[must_use]
    pub fn at(&self, beta: f64) -> Array1<f64> {
        Array1::from(Self::basis(beta).to_vec()).dot(&self.coefficients)
    }

    /// β(1 − β) (2β − 1)ʲ; 0 outside 0 … 1.
    #[must_use]
    pub fn basis(beta: f64) -> [f64; Self::TERMS] {
        let within = (beta * (1.0 - beta)).max(0.0);
        std::array::from_fn(|j| within * (2.0 * beta - 1.0).powi(j as i32))
    }

    /// First and second derivatives of the [basis](Self::basis).
    #[must_use]
    pub fn basis_derivatives(beta: f64) -> [[f64; Self::TERMS]; 2] {
        // With x = 2β − 1 a term is (xʲ − xʲ⁺²)/4.
        let x = 2.0 * beta - 1.0;
        let power = |factor: f64, exponent: i32| if factor == 0.0 { 0.0 } else { factor * x.powi(exponent) };
        [
            std::array::from_fn(|j| {
                let (n, j) = (j as f64, j as i32);
                0.5 * (power(n, j - 1) - power(n + 2.0, j + 1))
            }),
            std::array::from_fn(|j| {
                let (n, j) = (j as f64, j as i32);
                power(n * (n - 1.0), j - 2) - power((n + 2.0) * (n + 1.0), j)
            }),
        ]
    }

    /// Nearer to a bend under which means go straight from those of the reference to those of the model, given the `means` under this
    /// one at each β, (betas, bits): by `share` of the way that bits which did not depend on each other would have to go, by least
    /// squares.
    #[must_use]
    pub fn better(
        &self,
        betas: &[f64],
        means: ArrayView2<'_, f64>,
        (reference, model): (ArrayView1<'_, f64>, ArrayView1<'_, f64>),
        share: f64,
    ) -> Self {
        let basis = Array2::from_shape_fn((betas.len(), Self::TERMS), |(k, j)| Self::basis(betas[k])[j]);
        let mut normal = basis.t().dot(&basis);
        let ridge = RIDGE * normal.diag().mean().unwrap_or(0.0);
        normal.diag_mut().mapv_inplace(|value| value + ridge);
        // No rung lies between the ends: nothing to tell it by.
        let Ok(factor) = Cholesky::new(normal.view()) else { return self.clone() };
        let pulls = Array2::from_shape_fn(means.dim(), |(k, i)| {
            let mean = (1.0 - betas[k]) * reference[i] + betas[k] * model[i];
            share * (mean - means[(k, i)]) / (mean * (1.0 - mean)).max(LEAST_VARIANCE)
        });
        let mut coefficients = basis.t().dot(&pulls);
        for mut column in coefficients.axis_iter_mut(Axis(1)) {
            let solved = factor.solve(column.to_owned());
            column.assign(&solved);
        }
        Self { coefficients: &self.coefficients + &coefficients }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derivatives_are_those_of_the_basis() {
        for beta in [0.1, 0.5, 0.83] {
            let step = 1e-4;
            let [below, here, above] = [beta - step, beta, beta + step].map(Bend::basis);
            let [first, second] = Bend::basis_derivatives(beta);
            for j in 0..Bend::TERMS {
                assert!((first[j] - (above[j] - below[j]) / (2.0 * step)).abs() < 1e-6, "{beta} {j}");
                let curvature = (above[j] - 2.0 * here[j] + below[j]) / (step * step);
                assert!((second[j] - curvature).abs() < 1e-5, "{beta} {j}");
            }
        }
        assert_eq!([-0.5, 0.0, 1.0, 1.5].map(Bend::basis), [[0.0; Bend::TERMS]; 4]);
    }

    /// Independent bits whose biases swing away between the ends: the bend undoes it.
    #[test]
    fn means_are_drawn_to_the_straight_line() {
        let betas: Vec<f64> = (0..=16).map(|k| f64::from(k) / 16.0).collect();
        let (reference, model) = (Array1::from(vec![0.5, 0.2]), Array1::from(vec![0.6, 0.1]));
        let logit = |mean: f64| (mean / (1.0 - mean)).ln();
        let straight = Array2::from_shape_fn((betas.len(), 2), |(k, i)| {
            (1.0 - betas[k]) * reference[i] + betas[k] * model[i]
        });
        let means_with = |bend: &Bend| {
            Array2::from_shape_fn((betas.len(), 2), |(k, i)| {
                let swing = (i as f64 + 1.0) * betas[k].sqrt() * (1.0 - betas[k]);
                1.0 / (1.0 + (swing - logit(straight[(k, i)]) - bend.at(betas[k])[i]).exp())
            })
        };
        let away = |bend: &Bend| (&means_with(bend) - &straight).mapv(f64::abs).sum();
        let ends = (reference.view(), model.view());
        let mut bend = Bend::none(2);
        let before = away(&bend);
        for _ in 0..8 {
            bend = bend.better(&betas, means_with(&bend).view(), ends, 0.7);
        }
        assert!(away(&bend) < 0.1 * before, "{} of {before}", away(&bend));
        let untold = Bend::none(2).better(&[0.0, 1.0], Array2::zeros((2, 2)).view(), ends, 1.0);
        assert_eq!(untold, Bend::none(2));
    }

    #[test]
    fn coefficients_are_checked() {
        assert!(Bend::new(Array2::zeros((Bend::TERMS, 3))).is_ok());
        assert!(Bend::new(Array2::zeros((2, 3))).is_err());
        assert!(Bend::new(Array2::from_elem((Bend::TERMS, 3), f64::NAN)).is_err());
    }
}
