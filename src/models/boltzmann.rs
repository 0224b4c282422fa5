//! Boltzmann machines without hidden units: binary units with any pairwise couplings.

use std::sync::Arc;

use ndarray::{Array1, Array2, ArrayView2};

use super::{LowerBounds, Model, Space, Units, check_finite, downcast, symmetric};
use crate::error::{Error, Result};
use crate::math::products;
use crate::wording::number;

/// E(x) = −½ xᵀJx − h·x + offset over bits or spins, with J symmetric and zero on its diagonal.
///
/// ```
/// use lnz::models::{Boltzmann, Model, Units};
/// use ndarray::array;
/// let pair = Boltzmann::new(array![[0.0, 0.7], [0.7, 0.0]], array![0.1, -0.2], Units::Spins)?;
/// assert!((pair.energy(array![[1.0, -1.0]].view())[0] - (0.7 - 0.3)).abs() < 1e-12);
/// # Ok::<(), lnz::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Boltzmann {
    units: Units,
    couplings: Array2<f64>,
    fields: Array1<f64>,
    edges: Vec<(usize, usize, f64)>,
    offset: f64,
}

impl Boltzmann {
    /// Couplings J (d, d) and fields h (d).
    ///
    /// # Errors
    /// [`Error::Model`] when shapes disagree, a parameter is not finite, J is not symmetric or its diagonal not zero.
    pub fn new(couplings: Array2<f64>, fields: Array1<f64>, units: Units) -> Result<Self> {
        let couplings = pairwise("boltzmann", couplings, fields.len())?;
        check_finite("boltzmann", "the fields h", &fields)?;
        let edges = edges(&couplings);
        Ok(Self { units, couplings, fields, edges, offset: 0.0 })
    }

    /// The same machine with an energy raised by `offset`, so that log Z falls by it.
    ///
    /// # Errors
    /// [`Error::Model`] for an offset that is not finite.
    pub fn with_offset(mut self, offset: f64) -> Result<Self> {
        check_finite("boltzmann", "the offset", &[offset])?;
        self.offset += offset;
        Ok(self)
    }

    /// What is added to the energy of every state.
    #[must_use]
    pub fn offset(&self) -> f64 {
        self.offset
    }

    /// J.
    #[must_use]
    pub fn couplings(&self) -> &Array2<f64> {
        &self.couplings
    }

    /// h.
    #[must_use]
    pub fn fields(&self) -> &Array1<f64> {
        &self.fields
    }

    /// Whether states are bits or spins.
    #[must_use]
    pub fn units(&self) -> Units {
        self.units
    }

    /// Every (i, j, Jᵢⱼ) with i < j and Jᵢⱼ ≠ 0.
    #[must_use]
    pub fn edges(&self) -> &[(usize, usize, f64)] {
        &self.edges
    }

    /// Whether flipping all units leaves E alone: h = 0 for spins, and hᵢ = −½ Σⱼ Jᵢⱼ up to rounding for bits.
    #[must_use]
    pub fn is_even(&self) -> bool {
        let spins = self.units == Units::Spins;
        self.fields.iter().zip(self.couplings.rows()).all(|(field, row)| {
            let size = field.abs() + 0.5 * row.mapv(f64::abs).sum();
            if spins { *field == 0.0 } else { (field + 0.5 * row.sum()).abs() <= 1e-9 * size }
        })
    }

    /// The units that each unit is coupled to.
    #[must_use]
    pub fn neighbours(&self) -> Vec<Vec<usize>> {
        neighbours(self.fields.len(), &self.edges)
    }
}

/// Checks couplings between `dim` units: finite, (d, d), symmetric, zero diagonal.
pub(super) fn pairwise(model: &'static str, couplings: Array2<f64>, dim: usize) -> Result<Array2<f64>> {
    if dim == 0 || couplings.dim() != (dim, dim) {
        let (rows, columns) = couplings.dim();
        return Err(Error::model(
            model,
            format!(
                "J is {rows}x{columns} and the fields are for {dim} units; J must be d x d for d ≥ 1 units"
            ),
        ));
    }
    let couplings = symmetric(model, "J", couplings)?;
    match couplings.diag().iter().enumerate().find(|(_, value)| **value != 0.0) {
        Some((i, value)) => Err(Error::model(
            model,
            format!(
                "J[{i}, {i}] is {}; the diagonal must be zero: of bits it is a field, of spins or categories a constant",
                number(*value)
            ),
        )),
        None => Ok(couplings),
    }
}

/// The nonzero couplings above the diagonal.
pub(super) fn edges(couplings: &Array2<f64>) -> Vec<(usize, usize, f64)> {
    couplings
        .indexed_iter()
        .filter(|&((i, j), &value)| i < j && value != 0.0)
        .map(|((i, j), &value)| (i, j, value))
        .collect()
}

/// The ends of the edges that meet at each of `dim` units.
pub(super) fn neighbours(dim: usize, edges: &[(usize, usize, f64)]) -> Vec<Vec<usize>> {
    let mut lists = vec![Vec::new(); dim];
    for &(i, j, _) in edges {
        lists[i].push(j);
        lists[j].push(i);
    }
    lists
}

impl Model for Boltzmann {
    fn kind(&self) -> &'static str {
        "boltzmann"
    }

    fn space(&self) -> Space {
        Space::new(self.fields.len(), self.units.domain())
    }

    fn energy(&self, states: ArrayView2<'_, f64>) -> Array1<f64> {
        let dim = self.fields.len();
        // A product of dense matrices does some ten times as many couplings a second as a walk along a list.
        if self.edges.len() * 20 < dim * dim {
            return states
                .rows()
                .into_iter()
                .map(|x| {
                    -self.edges.iter().map(|&(i, j, value)| value * x[i] * x[j]).sum::<f64>()
                        - x.dot(&self.fields)
                        + self.offset
                })
                .collect();
        }
        let mut pulls = Array2::zeros(states.dim());
        products::multiply(states, self.couplings.view(), pulls.view_mut());
        states
            .rows()
            .into_iter()
            .zip(pulls.rows())
            .map(|(x, pull)| -0.5 * x.dot(&pull) - x.dot(&self.fields) + self.offset)
            .collect()
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        let mut facts = vec![
            ("units", self.fields.len().to_string()),
            ("nonzero couplings", self.edges.len().to_string()),
        ];
        if self.offset != 0.0 {
            facts.push(("offset", number(self.offset)));
        }
        facts
    }

    fn lower_bounds(&self) -> Option<&dyn LowerBounds> {
        Some(self)
    }

    fn at_temperature(self: Arc<Self>, temperature: f64) -> Arc<dyn Model> {
        let couplings = &self.couplings / temperature;
        let edges = edges(&couplings);
        let fields = &self.fields / temperature;
        Arc::new(Self { units: self.units, couplings, fields, edges, offset: self.offset / temperature })
    }

    fn toward(&self, other: &Arc<dyn Model>, share: f64) -> Option<Arc<dyn Model>> {
        let other = downcast::<Self>(other).filter(|other| other.units == self.units)?;
        let couplings = (1.0 - share) * &self.couplings + share * &other.couplings;
        let fields = (1.0 - share) * &self.fields + share * &other.fields;
        let edges = edges(&couplings);
        let offset = (1.0 - share) * self.offset + share * other.offset;
        Some(Arc::new(Self { units: self.units, couplings, fields, edges, offset }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::checks::{all_states, assert_close, assert_temperature};
    use ndarray::{Axis, array};

    fn couplings() -> Array2<f64> {
        let mut couplings = Array2::from_shape_fn((5, 5), |(i, j)| ((i * j + i + j) as f64 * 1.7).sin());
        couplings.diag_mut().fill(0.0);
        couplings
    }

    fn fields() -> Array1<f64> {
        array![0.3, -0.8, 1.1, 0.0, -0.2]
    }

    #[test]
    fn energies_are_the_double_sum() {
        for units in [Units::Bits, Units::Spins] {
            let model = Boltzmann::new(couplings(), fields(), units).expect("symmetric");
            let states = all_states(&model);
            let expected = states
                .rows()
                .into_iter()
                .map(|x| {
                    let mut energy = 0.0;
                    for i in 0..5 {
                        energy -= fields()[i] * x[i];
                        for j in 0..i {
                            energy -= couplings()[[i, j]] * x[i] * x[j];
                        }
                    }
                    energy
                })
                .collect();
            assert_close(&model.energy(states.view()), &expected, 1e-13);
            assert_temperature(model, states.view());
        }
    }

    /// s = 2x − 1 makes spins with (J, h) bits with J′ = 4J and h′ = 2 (h − J1), raised by Σh − ½ 1ᵀJ1.
    #[test]
    fn spins_are_bits_up_to_a_constant() {
        let spins = Boltzmann::new(couplings(), fields(), Units::Spins).expect("symmetric");
        let shifted = 2.0 * (fields() - couplings().sum_axis(Axis(1)));
        let bits = Boltzmann::new(4.0 * couplings(), shifted, Units::Bits).expect("symmetric");
        let states = all_states(&bits);
        let constant = fields().sum() - 0.5 * couplings().sum();
        let expected = bits.energy(states.view()) + constant;
        assert_close(&spins.energy(states.mapv(|x| 2.0 * x - 1.0).view()), &expected, 1e-13);
    }

    #[test]
    fn sparse_and_dense_energies_agree() {
        let mut couplings = Array2::zeros((60, 60));
        for i in 0..59 {
            couplings[[i, i + 1]] = 0.1 * i as f64 - 2.0;
            couplings[[i + 1, i]] = 0.1 * i as f64 - 2.0;
        }
        let model = Boltzmann::new(couplings.clone(), Array1::linspace(-1.0, 1.0, 60), Units::Spins)
            .expect("symmetric");
        let states = Array2::from_shape_fn((7, 60), |(i, j)| if (i * j + j) % 3 == 0 { 1.0 } else { -1.0 });
        let dense = states
            .rows()
            .into_iter()
            .map(|x| -0.5 * x.dot(&couplings.dot(&x)) - x.dot(model.fields()))
            .collect();
        assert_close(&model.energy(states.view()), &dense, 1e-12);
        assert_eq!(model.neighbours()[5], vec![4, 6]);
        assert_eq!(model.edges().len(), 58, "one coupling is zero");
    }

    #[test]
    fn bad_couplings_are_named() {
        let message = |couplings| {
            Boltzmann::new(couplings, array![0.0, 0.0], Units::Bits).expect_err("bad couplings").to_string()
        };
        assert!(message(array![[0.0, 1.0], [2.0, 0.0]]).contains("[0, 1] is 1 but [1, 0] is 2"));
        assert!(message(array![[0.0, 1.0], [1.0, 0.5]]).contains("J[1, 1] is 0.5"));
        assert!(message(array![[0.0]]).contains("1x1"));
    }
}
