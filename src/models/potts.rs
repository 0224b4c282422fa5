//! The Potts model: categories that gain energy by agreeing, on a lattice or any graph.

use std::sync::Arc;

use ndarray::{Array1, Array2, ArrayView2};

use super::boltzmann::{edges, neighbours, pairwise};
use super::{Domain, Lattice, LowerBounds, Model, Space, check_finite, downcast};
use crate::error::{Error, Result};
use crate::wording::number;

/// E(x) = −Σ_{i<j} Jᵢⱼ δ(xᵢ, xⱼ) − Σᵢ hᵢ(xᵢ) over {0 … q − 1}ᵈ.
///
/// Couplings are held as a list of the nonzero ones, so a large lattice costs no d × d matrix.
///
/// ```
/// use lnz::models::{Lattice, Model, Potts};
/// let potts = Potts::on_lattice(Lattice::Ring { sites: 3 }, 0.5, ndarray::array![0.1, 0.0, 0.0])?;
/// assert!((potts.energy(ndarray::array![[0.0, 0.0, 2.0]].view())[0] + 0.7).abs() < 1e-12);
/// # Ok::<(), lnz::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Potts {
    fields: Array2<f64>,
    edges: Vec<(usize, usize, f64)>,
    /// The lattice and its one coupling, where that is what the edges are.
    lattice: Option<(Lattice, f64)>,
}

impl Potts {
    /// Couplings J (d, d), symmetric with zero diagonal, and fields h (d, q).
    ///
    /// # Errors
    /// [`Error::Model`] when shapes disagree, a parameter is not finite, J is not symmetric or its diagonal not zero.
    pub fn new(couplings: Array2<f64>, fields: Array2<f64>) -> Result<Self> {
        let couplings = pairwise("potts", couplings, fields.nrows())?;
        check_fields(&fields)?;
        Ok(Self { fields, edges: edges(&couplings), lattice: None })
    }

    /// One coupling on every bond of `lattice` and the same field h (q) at every site.
    ///
    /// # Errors
    /// [`Error::Model`] for parameters that are not finite, an empty field or a lattice with a side too short.
    pub fn on_lattice(lattice: Lattice, coupling: f64, field: Array1<f64>) -> Result<Self> {
        let lattice = lattice.checked()?;
        check_finite("potts", "the coupling", &[coupling])?;
        let states = field.len();
        if lattice.sites().saturating_mul(states) > 1 << 28 {
            return Err(Error::model(
                "potts",
                format!("{states} states on a {lattice} are more than 2^28 fields"),
            ));
        }
        let fields = Array2::from_shape_fn((lattice.sites(), states), |(_, k)| field[k]);
        check_fields(&fields)?;
        let edges = lattice.bonds().into_iter().map(|(i, j)| (i.min(j), i.max(j), coupling)).collect();
        Ok(Self { fields, edges, lattice: Some((lattice, coupling)) })
    }

    /// h (d, q).
    #[must_use]
    pub fn fields(&self) -> &Array2<f64> {
        &self.fields
    }

    /// Whether permuting the states of all sites leaves E alone: no site's field prefers any.
    #[must_use]
    pub fn is_even(&self) -> bool {
        self.fields.rows().into_iter().all(|row| row.iter().all(|field| *field == row[0]))
    }

    /// q.
    #[must_use]
    pub fn states(&self) -> usize {
        self.fields.ncols()
    }

    /// Every coupled pair once, as (i, j, Jᵢⱼ) with i < j.
    #[must_use]
    pub fn edges(&self) -> &[(usize, usize, f64)] {
        &self.edges
    }

    /// The sites that each site is coupled to.
    #[must_use]
    pub fn neighbours(&self) -> Vec<Vec<usize>> {
        neighbours(self.fields.nrows(), &self.edges)
    }

    /// The lattice, if it was made on one.
    #[must_use]
    pub fn lattice(&self) -> Option<Lattice> {
        self.lattice.map(|(lattice, _)| lattice)
    }

    /// The coupling of every bond, if it was made on a lattice.
    #[must_use]
    pub fn coupling(&self) -> Option<f64> {
        self.lattice.map(|(_, coupling)| coupling)
    }
}

fn check_fields(fields: &Array2<f64>) -> Result<()> {
    if fields.ncols() == 0 {
        return Err(Error::model("potts", "fields for 0 states; a site needs at least one"));
    }
    check_finite("potts", "the fields h", fields)
}

impl Model for Potts {
    fn kind(&self) -> &'static str {
        "potts"
    }

    fn space(&self) -> Space {
        Space::new(self.fields.nrows(), Domain::Categories { states: self.states() })
    }

    fn energy(&self, states: ArrayView2<'_, f64>) -> Array1<f64> {
        states
            .rows()
            .into_iter()
            .map(|x| {
                let pairs: f64 = match self.lattice {
                    // Counting is exact and leaves one rounding.
                    Some((_, coupling)) => {
                        coupling * self.edges.iter().filter(|&&(i, j, _)| x[i] == x[j]).count() as f64
                    }
                    None => self.edges.iter().filter(|&&(i, j, _)| x[i] == x[j]).map(|edge| edge.2).sum(),
                };
                -pairs - x.iter().zip(self.fields.rows()).map(|(&x, field)| field[x as usize]).sum::<f64>()
            })
            .collect()
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        let mut facts =
            vec![("sites", self.fields.nrows().to_string()), ("states", self.states().to_string())];
        match self.lattice {
            Some((lattice, coupling)) => {
                let field: Vec<String> = self.fields.row(0).iter().map(|value| number(*value)).collect();
                facts.push(("lattice", lattice.to_string()));
                facts.push(("coupling J", number(coupling)));
                facts.push(("field h", field.join(", ")));
            }
            None => facts.push(("nonzero couplings", self.edges.len().to_string())),
        }
        facts
    }

    fn lower_bounds(&self) -> Option<&dyn LowerBounds> {
        Some(self)
    }

    fn at_temperature(self: Arc<Self>, temperature: f64) -> Arc<dyn Model> {
        Arc::new(Self {
            fields: &self.fields / temperature,
            edges: self.edges.iter().map(|&(i, j, value)| (i, j, value / temperature)).collect(),
            lattice: self.lattice.map(|(lattice, coupling)| (lattice, coupling / temperature)),
        })
    }

    fn toward(&self, other: &Arc<dyn Model>, share: f64) -> Option<Arc<dyn Model>> {
        let other = downcast::<Self>(other).filter(|other| other.fields.dim() == self.fields.dim())?;
        let fields = (1.0 - share) * &self.fields + share * &other.fields;
        if let (Some((lattice, one)), Some((same, two))) = (self.lattice, other.lattice)
            && lattice == same
        {
            let coupling = (1.0 - share) * one + share * two;
            let edges = self.edges.iter().map(|&(i, j, _)| (i, j, coupling)).collect();
            return Some(Arc::new(Self { fields, edges, lattice: Some((lattice, coupling)) }));
        }
        let sites = fields.nrows();
        let mut couplings = Array2::zeros((sites, sites));
        for (share, edges) in [(1.0 - share, &self.edges), (share, &other.edges)] {
            for &(i, j, value) in edges {
                couplings[[i, j]] += share * value;
            }
        }
        Some(Arc::new(Self { fields, edges: edges(&couplings), lattice: None }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::Ising;
    use crate::models::checks::{all_states, assert_close, assert_temperature, log_z_by_summation};
    use ndarray::array;

    #[test]
    fn a_lattice_is_its_matrix_of_couplings() {
        let lattice = Lattice::Grid { rows: 2, columns: 3 };
        let field = array![0.4, -0.3, 0.0];
        let on_lattice = Potts::on_lattice(lattice, -0.7, field.clone()).expect("a valid lattice");
        let mut couplings = Array2::zeros((6, 6));
        for (i, j) in lattice.bonds() {
            couplings[[i, j]] = -0.7;
            couplings[[j, i]] = -0.7;
        }
        let fields = Array2::from_shape_fn((6, 3), |(_, k)| field[k]);
        let dense = Potts::new(couplings, fields).expect("symmetric");
        let states = all_states(&dense);
        assert_close(&on_lattice.energy(states.view()), &dense.energy(states.view()), 1e-13);
        assert_eq!(on_lattice.neighbours()[4].len(), 3);
        assert_eq!((on_lattice.lattice(), dense.lattice()), (Some(lattice), None));
        assert_temperature(on_lattice, states.view());
        assert_temperature(dense, states.view());
    }

    /// On a ring Z is the trace of the N-th power of exp(J δ) diag(exp h), in asymmetric form.
    #[test]
    fn a_ring_is_its_transfer_matrix() {
        let (coupling, field) = (0.8, array![0.4, -0.3, 0.1]);
        let ring =
            Potts::on_lattice(Lattice::Ring { sites: 5 }, coupling, field.clone()).expect("a valid lattice");
        let transfer =
            Array2::from_shape_fn((3, 3), |(a, b)| (field[b] + if a == b { coupling } else { 0.0 }).exp());
        let mut power = Array2::<f64>::eye(3);
        for _ in 0..5 {
            power = power.dot(&transfer);
        }
        assert!((log_z_by_summation(&ring) - power.diag().sum().ln()).abs() < 1e-12);
    }

    /// J δ(x, y) over two states is J/2 (1 + s t) for spins.
    #[test]
    fn two_states_are_an_ising_model() {
        let lattice = Lattice::Torus { rows: 3, columns: 3 };
        let potts = Potts::on_lattice(lattice, 0.6, array![-0.2, 0.2]).expect("a valid lattice");
        let ising = Ising::new(lattice, 0.3, 0.2).expect("a valid lattice");
        let constant = 0.3 * lattice.bonds().len() as f64;
        assert!((log_z_by_summation(&potts) - log_z_by_summation(&ising) - constant).abs() < 1e-12);
    }

    #[test]
    fn large_lattices_are_cheap_and_bad_ones_refused() {
        let lattice = Lattice::Torus { rows: 256, columns: 256 };
        let potts = Potts::on_lattice(lattice, 1.0, array![0.0, 0.5, 0.0]).expect("a valid lattice");
        assert_eq!(potts.energy(Array2::ones((1, 65_536)).view())[0], -2.5 * 65_536.0);
        assert!(Potts::on_lattice(lattice, f64::NAN, array![0.0]).is_err());
        assert!(Potts::on_lattice(lattice, 1.0, array![]).is_err());
        assert!(
            Potts::on_lattice(Lattice::Grid { rows: 1 << 13, columns: 1 << 11 }, 1.0, Array1::zeros(64))
                .is_err()
        );
        assert!(Potts::new(array![[1.0]], array![[0.0, 0.0]]).is_err());
        assert!(Potts::new(array![[0.0]], array![[0.0], [0.0]]).is_err());
    }
}
