//! The path of an Ising model on a lattice: 64 chains to a machine word, eight sites at once.

use std::sync::Arc;

use ndarray::ArrayView2;

use super::{Ensemble, Path};
use crate::error::Result;
use crate::math::Stream;
use crate::models::{Ising, Model, Space, downcast};

mod block;
mod order;
mod tally;
mod thresholds;

use block::IsingBlock;
use order::Order;

/// Chains to a machine word.
const CHAINS: usize = 64;

/// Words that are updated at once: as many random bits as the vector generator makes.
const WIDTH: usize = 8;

type Words = [u64; WIDTH];

/// log f_β(s) = β J Σ_{⟨ij⟩} sᵢsⱼ + h Σ sᵢ: the field stays, the coupling grows, so log Z₀ = N log(2 cosh h).
///
/// The kernel is a sweep of single-site Gibbs updates, colour class by colour class of the lattice (a chequerboard where every
/// wrapped side is even). Each chain draws its own random numbers: a word of uniform bits per binary digit of the threshold,
/// until all comparisons are decided, so probabilities are exact to 2⁻⁶⁴.
#[derive(Debug)]
pub struct IsingPath {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    model: Arc<Ising>,
    bonds: usize,
    degrees: usize,
    order: Order,
}

/// The bit-packed path for a model that is a lattice Ising model.
pub(super) fn for_model(
    model: &Arc<dyn Model>,
    _data: Option<ArrayView2<'_, f64>>,
) -> Option<Result<Arc<dyn Path>>> {
    downcast::<Ising>(model).map(|ising| Ok(Arc::new(IsingPath::new(ising)) as Arc<dyn Path>))
}

impl IsingPath {
    /// The path of `model`.
    #[must_use]
    pub fn new(model: Arc<Ising>) -> Self {
        let neighbours = model.lattice().neighbours();
        let degrees = neighbours.iter().map(Vec::len).max().unwrap_or(0);
        let order = Order::new(&neighbours, &model.lattice().colouring());
        let bonds = model.lattice().bonds().len();
        Self { shared: Arc::new(Shared { model, bonds, degrees, order }) }
    }
}

impl Path for IsingPath {
    fn space(&self) -> Space {
        self.shared.model.space()
    }

    fn log_z_reference(&self) -> f64 {
        let field = self.shared.model.field().abs();
        // log(2 cosh h) = |h| + log(1 + e^{−2|h|}), which does not overflow.
        self.shared.model.lattice().sites() as f64 * (field + (-2.0 * field).exp().ln_1p())
    }

    fn sample_reference(&self, chains: usize, stream: Stream) -> Box<dyn Ensemble> {
        Box::new(IsingBlock::from_reference(Arc::clone(&self.shared), chains, stream))
    }

    fn adopt(&self, states: ArrayView2<'_, f64>, stream: Stream) -> Result<Box<dyn Ensemble>> {
        self.space().check(states)?;
        Ok(Box::new(IsingBlock::at(Arc::clone(&self.shared), states, stream)))
    }

    fn kernel(&self) -> String {
        "coloured single-site Gibbs, 64 chains to a word".into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::Lattice;
    use crate::paths::Move;
    use ndarray::Array2;

    const LATTICES: [Lattice; 7] = [
        Lattice::Ring { sites: 9 },
        Lattice::Torus { rows: 3, columns: 3 },
        Lattice::Torus { rows: 3, columns: 4 },
        Lattice::Grid { rows: 2, columns: 3 },
        Lattice::Grid { rows: 1, columns: 1 },
        Lattice::Grid { rows: 3, columns: 3 },
        Lattice::Grid { rows: 2, columns: 5 },
    ];

    fn path(lattice: Lattice, coupling: f64, field: f64) -> IsingPath {
        IsingPath::new(Arc::new(Ising::new(lattice, coupling, field).expect("a valid lattice")))
    }

    /// Larger lattices than rows of eight, of odd and of even sides, and more chains than a word holds.
    #[test]
    fn sums_over_bits_are_sums_over_states() {
        let large = [
            Lattice::Torus { rows: 17, columns: 19 },
            Lattice::Torus { rows: 16, columns: 32 },
            Lattice::Grid { rows: 5, columns: 40 },
            Lattice::Ring { sites: 101 },
        ];
        for lattice in LATTICES.into_iter().chain(large) {
            let path = path(lattice, 0.3, 0.2);
            for chains in [1, 64, 100] {
                let mut block = path.sample_reference(chains, Stream::new(3));
                block.step(0.7, Move::Forward);
                block.step(0.9, Move::Reversed);
                let states = block.states();
                let mut out = Array2::zeros((chains, 1));
                block.log_density(&[1.0], out.view_mut());
                let energies = path.shared.model.energy(states.view());
                for chain in 0..chains {
                    assert!((out[(chain, 0)] + energies[chain]).abs() < 1e-9, "{lattice}, chain {chain}");
                }
                let again = path.adopt(states.view(), Stream::new(4)).expect("spins").states();
                assert_eq!(states, again);
            }
        }
    }

    /// Chains from the reference come to the model's distribution: every state's share, by χ² against enumeration over 65,536
    /// chains, within 6 standard deviations (α below 1e-7 for each of 14).
    #[test]
    fn small_lattices_reach_their_distribution() {
        for lattice in LATTICES {
            let path = path(lattice, 0.25, -0.15);
            let sites = lattice.sites();
            let states = Array2::from_shape_fn((1 << sites, sites), |(number, site)| {
                2.0 * (number >> (sites - 1 - site) & 1) as f64 - 1.0
            });
            let weights = path.shared.model.energy(states.view()).mapv(|energy| (-energy).exp());
            let total = weights.sum();
            for movement in [Move::Forward, Move::Reversed] {
                let chains = 65_536;
                let mut block = path.sample_reference(chains, Stream::new(5));
                for _ in 0..40 {
                    block.step(1.0, movement);
                }
                let mut found = vec![0.0; weights.len()];
                for row in block.states().rows() {
                    found[row.iter().fold(0, |number, spin| 2 * number + usize::from(*spin > 0.0))] += 1.0;
                }
                let (mut chi2, mut degrees) = (0.0, -1.0);
                // States too rare for χ² are taken together.
                let (mut rare, mut rare_expected) = (0.0, 0.0);
                for (found, weight) in found.iter().zip(&weights) {
                    let expected = chains as f64 * weight / total;
                    if expected < 8.0 {
                        (rare, rare_expected) = (rare + found, rare_expected + expected);
                    } else {
                        chi2 += (found - expected).powi(2) / expected;
                        degrees += 1.0;
                    }
                }
                if rare_expected >= 8.0 {
                    chi2 += (rare - rare_expected).powi(2) / rare_expected;
                    degrees += 1.0;
                }
                let excess = (chi2 - degrees) / f64::sqrt(2.0 * degrees);
                assert!(excess < 6.0, "{lattice}, {movement:?}: {excess:.1}");
            }
        }
    }

    /// Chains of a word are independent: over 4,000 sweeps of a lattice that forgets within a few, no two chains' magnetisations
    /// correlate, nor do their first spins, by more than 5.5 standard errors (α = 4e-8 for each of 4,032).
    #[test]
    fn chains_of_a_word_are_independent() {
        const SWEEPS: usize = 4000;
        let path = path(Lattice::Torus { rows: 4, columns: 8 }, 0.1, 0.0);
        let mut block = path.sample_reference(CHAINS, Stream::new(6));
        let mut series = [(); 2].map(|()| Array2::zeros((SWEEPS, CHAINS)));
        for sweep in 0..SWEEPS {
            for _ in 0..4 {
                block.step(1.0, Move::Forward);
            }
            let states = block.states();
            series[0].row_mut(sweep).assign(&states.sum_axis(ndarray::Axis(1)));
            series[1].row_mut(sweep).assign(&states.column(0));
        }
        for series in series {
            // Both have mean 0 by symmetry.
            let products = series.t().dot(&series);
            for a in 0..CHAINS {
                for b in 0..a {
                    let scale = f64::sqrt(products[(a, a)] * products[(b, b)] / SWEEPS as f64);
                    assert!(products[(a, b)].abs() < 5.5 * scale, "chains {a} and {b}");
                }
            }
        }
    }
}
