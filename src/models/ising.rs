//! The Ising model with one coupling and one field on a lattice.

use std::sync::Arc;

use ndarray::{Array1, ArrayView2};

use super::{Domain, Lattice, LowerBounds, Model, Space, check_finite, downcast};
use crate::error::Result;
use crate::wording::number;

/// E(s) = −J Σ_{⟨ij⟩} sᵢ sⱼ − h Σᵢ sᵢ over the bonds of a [`Lattice`], s ∈ {−1, +1}ᵈ.
///
/// ```
/// use lnz::models::{Ising, Lattice, Model};
/// let ising = Ising::new(Lattice::Ring { sites: 3 }, 0.5, 0.1)?;
/// let up = ndarray::Array2::ones((1, 3));
/// assert!((ising.energy(up.view())[0] - (-1.5 - 0.3)).abs() < 1e-12);
/// # Ok::<(), lnz::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Ising {
    lattice: Lattice,
    coupling: f64,
    field: f64,
    bonds: Arc<[(usize, usize)]>,
}

impl Ising {
    /// Coupling J (ferromagnetic if positive) and field h on `lattice`.
    ///
    /// # Errors
    /// [`Error::Model`](crate::Error::Model) for parameters that are not finite or a lattice with a side too short.
    pub fn new(lattice: Lattice, coupling: f64, field: f64) -> Result<Self> {
        let lattice = lattice.checked()?;
        check_finite("ising", "coupling or field", &[coupling, field])?;
        Ok(Self { lattice, coupling, field, bonds: lattice.bonds().into() })
    }

    /// The lattice.
    #[must_use]
    pub fn lattice(&self) -> Lattice {
        self.lattice
    }

    /// J.
    #[must_use]
    pub fn coupling(&self) -> f64 {
        self.coupling
    }

    /// h.
    #[must_use]
    pub fn field(&self) -> f64 {
        self.field
    }
}

impl Model for Ising {
    fn kind(&self) -> &'static str {
        "ising"
    }

    fn space(&self) -> Space {
        Space::new(self.lattice.sites(), Domain::Spins)
    }

    fn energy(&self, states: ArrayView2<'_, f64>) -> Array1<f64> {
        states
            .rows()
            .into_iter()
            .map(|s| {
                let pairs: f64 = self.bonds.iter().map(|&(a, b)| s[a] * s[b]).sum();
                -self.coupling * pairs - self.field * s.sum()
            })
            .collect()
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        vec![
            ("lattice", self.lattice.to_string()),
            ("coupling J", number(self.coupling)),
            ("field h", number(self.field)),
        ]
    }

    fn lower_bounds(&self) -> Option<&dyn LowerBounds> {
        Some(self)
    }

    fn at_temperature(self: Arc<Self>, temperature: f64) -> Arc<dyn Model> {
        Arc::new(Self {
            coupling: self.coupling / temperature,
            field: self.field / temperature,
            ..(*self).clone()
        })
    }

    fn toward(&self, other: &Arc<dyn Model>, share: f64) -> Option<Arc<dyn Model>> {
        let other = downcast::<Self>(other).filter(|other| other.lattice == self.lattice)?;
        Some(Arc::new(Self {
            coupling: (1.0 - share) * self.coupling + share * other.coupling,
            field: (1.0 - share) * self.field + share * other.field,
            ..self.clone()
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::checks::{all_states, assert_temperature, log_z_by_summation};
    use crate::models::{Boltzmann, Units};
    use ndarray::Array2;

    /// Eigenvalues of the ring's transfer matrix: e^J cosh h ± √(e^{2J} sinh² h + e^{−2J}).
    #[test]
    fn a_ring_is_its_transfer_matrix() {
        for (coupling, field) in [(0.7, 0.3), (-0.4, 0.9f64)] {
            let ring = Ising::new(Lattice::Ring { sites: 9 }, coupling, field).expect("a valid ring");
            let middle = coupling.exp() * field.cosh();
            let spread = ((2.0 * coupling).exp() * field.sinh().powi(2) + (-2.0 * coupling).exp()).sqrt();
            let exact = ((middle + spread).powi(9) + (middle - spread).powi(9)).ln();
            assert!((log_z_by_summation(&ring) - exact).abs() < 1e-12);
        }
    }

    #[test]
    fn a_lattice_is_a_boltzmann_machine() {
        for lattice in [Lattice::Torus { rows: 3, columns: 3 }, Lattice::Grid { rows: 2, columns: 5 }] {
            let ising = Ising::new(lattice, 0.4, -0.2).expect("a valid lattice");
            let mut couplings = Array2::zeros((lattice.sites(), lattice.sites()));
            for (i, j) in lattice.bonds() {
                couplings[[i, j]] = 0.4;
                couplings[[j, i]] = 0.4;
            }
            let fields = Array1::from_elem(lattice.sites(), -0.2);
            let machine = Boltzmann::new(couplings, fields, Units::Spins).expect("symmetric");
            assert!((log_z_by_summation(&ising) - log_z_by_summation(&machine)).abs() < 1e-12);
            assert_temperature(ising.clone(), all_states(&ising).view());
        }
    }

    #[test]
    fn bad_parameters_are_refused() {
        assert!(Ising::new(Lattice::Ring { sites: 2 }, 1.0, 0.0).is_err());
        assert!(Ising::new(Lattice::Ring { sites: 4 }, f64::NAN, 0.0).is_err());
    }
}
