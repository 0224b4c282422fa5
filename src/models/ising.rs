//! The Ising model with one coupling and one field on a lattice.

use std::sync::Arc;

use ndarray::{Array1, ArrayView2};

use super::{Domain, Lattice, Model, Space, check_finite};
use crate::error::Result;

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
    /// [`Error::Model`] for parameters that are not finite or a lattice with a side too short.
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
            ("coupling J", self.coupling.to_string()),
            ("field h", self.field.to_string()),
        ]
    }

    fn at_temperature(self: Arc<Self>, temperature: f64) -> Arc<dyn Model> {
        Arc::new(Self {
            coupling: self.coupling / temperature,
            field: self.field / temperature,
            ..(*self).clone()
        })
    }
}
