//! Products of independent coordinates on a finite space.

use std::sync::Arc;

use ndarray::{Array1, Array2, ArrayView2, Axis};
use rand::RngExt;

use super::{Domain, Model, Sampler, Space, check_finite};
use crate::error::{Error, Result};
use crate::math::log_sum_exp;
use crate::math::random::Generator;

/// E(x) = −Σᵢ tᵢ(xᵢ) over bits, spins or categories; log Z = Σᵢ log Σₖ exp(tᵢ(k)).
///
/// ```
/// use lnz::models::{Independent, Model};
/// let spins = Independent::spins(ndarray::array![0.5, -1.0])?;
/// assert_eq!(spins.energy(ndarray::array![[1.0, 1.0]].view())[0], 0.5);
/// let log_z = (2.0 * 0.5f64.cosh()).ln() + (2.0 * 1f64.cosh()).ln();
/// assert!((spins.closed_form().expect("a product has one") - log_z).abs() < 1e-12);
/// # Ok::<(), lnz::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Independent {
    domain: Domain,
    table: Array2<f64>,
}

impl Independent {
    /// tᵢ(x) = hᵢ x for x ∈ {0, 1}, from fields h (d).
    ///
    /// # Errors
    /// [`Error::Model`] for no fields or one that is not finite.
    pub fn bits(fields: Array1<f64>) -> Result<Self> {
        let table = Array2::from_shape_fn((fields.len(), 2), |(i, k)| if k == 0 { 0.0 } else { fields[i] });
        Self::new(Domain::Bits, table)
    }

    /// tᵢ(s) = hᵢ s for s ∈ {−1, +1}, from fields h (d).
    ///
    /// # Errors
    /// As [`Independent::bits`].
    pub fn spins(fields: Array1<f64>) -> Result<Self> {
        let table =
            Array2::from_shape_fn((fields.len(), 2), |(i, k)| if k == 0 { -fields[i] } else { fields[i] });
        Self::new(Domain::Spins, table)
    }

    /// tᵢ(k) = fields[i, k] for k ∈ {0 … q − 1}, from fields (d, q).
    ///
    /// # Errors
    /// As [`Independent::bits`].
    pub fn categories(fields: Array2<f64>) -> Result<Self> {
        Self::new(Domain::Categories { states: fields.ncols() }, fields)
    }

    fn new(domain: Domain, table: Array2<f64>) -> Result<Self> {
        if table.is_empty() {
            let (dim, states) = table.dim();
            return Err(Error::model(
                "independent",
                format!("{dim} coordinates of {states} values; both must be at least 1"),
            ));
        }
        check_finite("independent", "fields", &table)?;
        // Rows are read as slices.
        Ok(Self { domain, table: table.as_standard_layout().into_owned() })
    }

    /// tᵢ(k) at [i, k], with the values of a coordinate in the order of [`Space::values`].
    #[must_use]
    pub fn table(&self) -> &Array2<f64> {
        &self.table
    }

    fn row_log_z(&self, index: usize) -> f64 {
        log_sum_exp(self.table.row(index).as_slice().expect("the table is in standard layout"))
    }
}

impl Model for Independent {
    fn kind(&self) -> &'static str {
        "independent"
    }

    fn space(&self) -> Space {
        Space::new(self.table.nrows(), self.domain.clone())
    }

    fn energy(&self, states: ArrayView2<'_, f64>) -> Array1<f64> {
        let spins = self.domain == Domain::Spins;
        let index = |x: f64| if spins { usize::from(x > 0.0) } else { x as usize };
        states
            .rows()
            .into_iter()
            .map(|x| -x.iter().zip(self.table.rows()).map(|(&x, terms)| terms[index(x)]).sum::<f64>())
            .collect()
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        vec![("coordinates", self.table.nrows().to_string()), ("values each", self.table.ncols().to_string())]
    }

    fn closed_form(&self) -> Option<f64> {
        Some((0..self.table.nrows()).map(|i| self.row_log_z(i)).sum())
    }

    fn sampler(&self) -> Option<&dyn Sampler> {
        Some(self)
    }

    fn at_temperature(self: Arc<Self>, temperature: f64) -> Arc<dyn Model> {
        Arc::new(Self { domain: self.domain.clone(), table: &self.table / temperature })
    }
}

impl Sampler for Independent {
    fn sample(&self, count: usize, generator: &mut Generator) -> Array2<f64> {
        let values = self.space().values().expect("its spaces are finite");
        let mut draws = Array2::zeros((count, self.table.nrows()));
        for (i, mut column) in draws.axis_iter_mut(Axis(1)).enumerate() {
            let log_z = self.row_log_z(i);
            let probabilities: Vec<f64> = self.table.row(i).iter().map(|t| (t - log_z).exp()).collect();
            for x in &mut column {
                *x = values[pick(&probabilities, generator)];
            }
        }
        draws
    }
}

/// An index drawn with these probabilities, which add up to one.
pub(crate) fn pick(probabilities: &[f64], generator: &mut Generator) -> usize {
    let mut left: f64 = generator.random();
    for (k, probability) in probabilities.iter().enumerate() {
        left -= probability;
        if left < 0.0 {
            return k;
        }
    }
    // Rounding left less than the sum of all: the last value that can be.
    probabilities.iter().rposition(|&p| p > 0.0).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::checks::{
        all_states, assert_moments, assert_temperature, log_z_by_summation, moments_by_summation,
    };
    use ndarray::array;

    fn examples() -> [Independent; 3] {
        [
            Independent::bits(array![0.5, -1.5, 2.0]),
            Independent::spins(array![0.5, -1.5, 2.0]),
            Independent::categories(array![[0.1, -0.7, 1.9], [2.0, 0.0, -1.0]]),
        ]
        .map(|model| model.expect("finite fields"))
    }

    #[test]
    fn closed_form_is_the_sum() {
        for model in examples() {
            assert!(
                (model.closed_form().expect("a product has one") - log_z_by_summation(&model)).abs() < 1e-12
            );
            assert_temperature(model.clone(), all_states(&model).view());
        }
    }

    #[test]
    fn energies_follow_the_fields() {
        let [bits, spins, categories] = examples();
        assert_eq!(bits.energy(array![[1.0, 0.0, 1.0]].view())[0], -2.5);
        assert_eq!(spins.energy(array![[1.0, -1.0, 1.0]].view())[0], -4.0);
        assert!((categories.energy(array![[2.0, 0.0]].view())[0] + 3.9).abs() < 1e-15);
    }

    #[test]
    fn draws_have_the_right_moments() {
        for model in examples() {
            let (mean, covariance) = moments_by_summation(&model);
            assert_moments(&model, &mean, &covariance);
        }
    }

    #[test]
    fn empty_and_infinite_fields_are_refused() {
        assert!(Independent::bits(array![]).is_err());
        assert!(Independent::categories(Array2::zeros((3, 0))).is_err());
        assert!(Independent::spins(array![f64::INFINITY]).is_err());
    }
}
