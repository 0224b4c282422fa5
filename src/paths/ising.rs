//! The path of an Ising model on a lattice: 64 chains to a machine word, eight sites at once.

use std::sync::Arc;

use ndarray::{Array2, ArrayView2, ArrayViewMut2};

use self::order::{Order, Run, at};
use self::tally::Tally;
use self::thresholds::{DEGREES, Random, Thresholds};
use super::{Counts, Ensemble, Move, Path, StepStats, sibling, sibling_mut};
use crate::error::Result;
use crate::math::Stream;
use crate::math::simd::{Lanes, dispatch};
use crate::models::{Ising, Model, Space, downcast};

mod order;
mod tally;
mod thresholds;

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
        let mut block = IsingEnsemble::new(Arc::clone(&self.shared), chains, stream);
        block.sweep(0.0, false);
        Box::new(block)
    }

    fn adopt(&self, states: ArrayView2<'_, f64>, stream: Stream) -> Result<Box<dyn Ensemble>> {
        self.space().check(states)?;
        let mut block = IsingEnsemble::new(Arc::clone(&self.shared), states.nrows(), stream);
        for ((chain, site), &spin) in states.indexed_iter() {
            let (word, bit) = block.locate(chain, self.shared.order.places()[site]);
            block.words[word] |= u64::from(spin > 0.0) << bit;
        }
        Ok(Box::new(block))
    }

    fn kernel(&self) -> String {
        "coloured single-site Gibbs, 64 chains to a word".into()
    }
}

/// Chains as bits: word `k · len + place` holds the spins of chains 64k … 64k + 63 at a place of the order, 1 for up.
///
/// Words at places without a site stay 0.
struct IsingEnsemble {
    shared: Arc<Shared>,
    chains: usize,
    words: Vec<u64>,
    /// Σ_{⟨ij⟩} sᵢsⱼ of each chain, while it is up to date.
    pairs: Option<Vec<f64>>,
    lanes: Lanes,
    counts: Counts,
}

impl IsingEnsemble {
    fn new(shared: Arc<Shared>, chains: usize, stream: Stream) -> Self {
        let words = vec![0; shared.order.len() * chains.div_ceil(CHAINS)];
        Self { shared, chains, words, pairs: None, lanes: stream.lanes(), counts: Counts::default() }
    }

    /// The index of the word that holds `chain` at `place`, and the chain's bit in it.
    fn locate(&self, chain: usize, place: usize) -> (usize, usize) {
        (chain / CHAINS * self.shared.order.len() + place, chain % CHAINS)
    }

    /// One sweep at coupling βJ, in the order of the colouring or against it.
    fn sweep(&mut self, beta: f64, reversed: bool) {
        let Shared { model, order, degrees, .. } = &*self.shared;
        let thresholds = Thresholds::new(beta * model.coupling(), model.field(), *degrees);
        let words = &mut self.words;
        let lanes = &mut self.lanes;
        dispatch(
            #[inline(always)]
            || {
                for words in words.chunks_exact_mut(order.len()) {
                    let runs = order.runs();
                    for i in 0..runs.len() {
                        let run = &runs[if reversed { runs.len() - 1 - i } else { i }];
                        match run.degree {
                            0 => update::<0>(order, run, &thresholds, words, lanes),
                            1 => update::<1>(order, run, &thresholds, words, lanes),
                            2 => update::<2>(order, run, &thresholds, words, lanes),
                            3 => update::<3>(order, run, &thresholds, words, lanes),
                            DEGREES => update::<DEGREES>(order, run, &thresholds, words, lanes),
                            _ => unreachable!("a lattice of one or two dimensions"),
                        }
                    }
                }
            },
        );
        self.pairs = None;
    }

    fn pairs(&mut self) -> &[f64] {
        if self.pairs.is_none() {
            let order = &self.shared.order;
            let (runs, times) = order.covering();
            let bonds = self.shared.bonds as f64;
            let mut pairs = Vec::with_capacity(self.chains);
            for words in self.words.chunks_exact_mut(order.len()) {
                let mut unlike = Tally::new();
                dispatch(
                    #[inline(always)]
                    || {
                        for run in runs {
                            match run.degree {
                                0 => {}
                                1 => compare::<1>(order, run, words, &mut unlike),
                                2 => compare::<2>(order, run, words, &mut unlike),
                                3 => compare::<3>(order, run, words, &mut unlike),
                                DEGREES => compare::<DEGREES>(order, run, words, &mut unlike),
                                _ => unreachable!("a lattice of one or two dimensions"),
                            }
                        }
                    },
                );
                pairs.extend(unlike.counts().map(|count| bonds - 2.0 * f64::from(count / times)));
            }
            pairs.truncate(self.chains);
            self.pairs = Some(pairs);
            self.counts.energy_evaluations += self.chains as u64;
        }
        self.pairs.as_deref().expect("computed just above")
    }

    fn up_spins(&self) -> Vec<f64> {
        let mut up = Vec::with_capacity(self.chains);
        for words in self.words.chunks_exact(self.shared.order.len()) {
            let mut tally = Tally::new();
            for words in self.shared.order.sites(words) {
                tally.add_one(*words);
            }
            up.extend(tally.counts().map(f64::from));
        }
        up.truncate(self.chains);
        up
    }
}

/// Draws the spins of a run's sites anew.
#[inline(always)]
fn update<const DEGREE: usize>(
    order: &Order,
    run: &Run,
    thresholds: &Thresholds,
    words: &mut [u64],
    lanes: &mut Lanes,
) {
    order.copy(run, words);
    let mut random = Random::default();
    let mut generator = lanes.clone();
    for group in 0..run.groups() {
        let around = run.around::<DEGREE>(group, words);
        let mut spins = thresholds.draw(&around, &mut random, &mut generator);
        run.clear_rest(group, &mut spins);
        words[run.first + group * WIDTH..][..WIDTH].copy_from_slice(&spins);
    }
    *lanes = generator;
}

/// Adds up where the sites of a run differ from their neighbours.
#[inline(always)]
fn compare<const DEGREE: usize>(order: &Order, run: &Run, words: &mut [u64], unlike: &mut Tally) {
    order.copy(run, words);
    for group in 0..run.groups() {
        let spins = at(words, run.first + group * WIDTH);
        let mut differences = run.around::<DEGREE>(group, words);
        for words in &mut differences {
            for i in 0..WIDTH {
                words[i] ^= spins[i];
            }
            run.clear_rest(group, words);
        }
        let (pairs, rest) = differences.as_chunks();
        for [a, b] in pairs {
            unlike.add_two(a, b);
        }
        for words in rest {
            unlike.add_one(*words);
        }
    }
}

impl Ensemble for IsingEnsemble {
    fn chains(&self) -> usize {
        self.chains
    }

    fn log_density(&mut self, betas: &[f64], mut out: ArrayViewMut2<'_, f64>) {
        let (coupling, field) = (self.shared.model.coupling(), self.shared.model.field());
        let sites = self.shared.model.lattice().sites() as f64;
        let up = self.up_spins();
        for ((mut row, pairs), up) in out.rows_mut().into_iter().zip(self.pairs()).zip(up) {
            for (value, beta) in row.iter_mut().zip(betas) {
                *value = beta * coupling * pairs + field * (2.0 * up - sites);
            }
        }
    }

    fn log_ratio(&mut self, from: f64, to: f64, out: &mut [f64]) {
        let slope = (to - from) * self.shared.model.coupling();
        for (value, pairs) in out.iter_mut().zip(self.pairs()) {
            *value = slope * pairs;
        }
    }

    fn derivatives(&mut self, _beta: f64, first: &mut [f64], second: &mut [f64]) {
        let coupling = self.shared.model.coupling();
        for (value, pairs) in first.iter_mut().zip(self.pairs()) {
            *value = coupling * pairs;
        }
        second.fill(0.0);
    }

    fn step(&mut self, beta: f64, movement: Move) -> StepStats {
        self.sweep(beta, movement == Move::Reversed);
        self.counts.sweeps += self.chains as u64;
        StepStats::default()
    }

    fn copy_chains(&mut self, moves: &[(usize, usize)]) {
        for place in 0..self.shared.order.len() {
            for &(to, from) in moves {
                let (source, bit) = self.locate(from, place);
                let spin = self.words[source] >> bit & 1;
                let (target, bit) = self.locate(to, place);
                self.words[target] = (self.words[target] & !(1 << bit)) | spin << bit;
            }
        }
        self.pairs = None;
    }

    fn copy_chains_from(&mut self, other: &dyn Ensemble, moves: &[(usize, usize)]) {
        let other: &Self = sibling(other);
        for place in 0..self.shared.order.len() {
            for &(to, from) in moves {
                let (source, bit) = other.locate(from, place);
                let spin = other.words[source] >> bit & 1;
                let (target, bit) = self.locate(to, place);
                self.words[target] = (self.words[target] & !(1 << bit)) | spin << bit;
            }
        }
        self.pairs = None;
    }

    fn exchange(&mut self, other: &mut dyn Ensemble, mask: &[bool]) {
        let other: &mut Self = sibling_mut(other);
        let len = self.shared.order.len();
        let blocks = self.words.chunks_exact_mut(len).zip(other.words.chunks_exact_mut(len));
        for ((mine, theirs), mask) in blocks.zip(mask.chunks(CHAINS)) {
            let swapped = mask.iter().rev().fold(0, |word, swap| word << 1 | u64::from(*swap));
            for (a, b) in mine.iter_mut().zip(theirs) {
                let changed = (*a ^ *b) & swapped;
                *a ^= changed;
                *b ^= changed;
            }
        }
        match (&mut self.pairs, &mut other.pairs) {
            (Some(mine), Some(theirs)) => {
                for chain in (0..mask.len()).filter(|&chain| mask[chain]) {
                    std::mem::swap(&mut mine[chain], &mut theirs[chain]);
                }
            }
            (mine, theirs) => (*mine, *theirs) = (None, None),
        }
    }

    fn states(&self) -> Array2<f64> {
        let places = self.shared.order.places();
        Array2::from_shape_fn((self.chains, places.len()), |(chain, site)| {
            let (word, bit) = self.locate(chain, places[site]);
            2.0 * (self.words[word] >> bit & 1) as f64 - 1.0
        })
    }

    fn counts(&self) -> Counts {
        self.counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::Lattice;

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
