//! A block of chains of spins.

use std::sync::Arc;

use ndarray::{Array2, ArrayView2, ArrayViewMut2};

use super::order::{Order, Run, at};
use super::tally::Tally;
use super::thresholds::{DEGREES, Random, Thresholds};
use super::{CHAINS, Shared, WIDTH};
use crate::math::Stream;
use crate::math::simd::{Lanes, dispatch};
use crate::paths::{Counts, Ensemble, Move, StepStats, sibling, sibling_mut};

/// Chains as bits: word `k · len + place` holds the spins of chains 64k … 64k + 63 at a place of the order, 1 for up.
///
/// Words at places without a site stay 0.
pub(super) struct IsingBlock {
    shared: Arc<Shared>,
    chains: usize,
    words: Vec<u64>,
    /// Σ_{⟨ij⟩} sᵢsⱼ of each chain, while it is up to date.
    pairs: Option<Vec<f64>>,
    lanes: Lanes,
    counts: Counts,
}

impl IsingBlock {
    /// Chains drawn from the path's reference.
    pub(super) fn from_reference(shared: Arc<Shared>, chains: usize, stream: Stream) -> Self {
        let mut block = Self::new(shared, chains, stream);
        block.sweep(0.0, false);
        block
    }

    /// Chains at `states`, rows of spins.
    pub(super) fn at(shared: Arc<Shared>, states: ArrayView2<'_, f64>, stream: Stream) -> Self {
        let mut block = Self::new(shared, states.nrows(), stream);
        for ((chain, site), &spin) in states.indexed_iter() {
            let (word, bit) = block.locate(chain, block.shared.order.places()[site]);
            block.words[word] |= u64::from(spin > 0.0) << bit;
        }
        block
    }

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

impl Ensemble for IsingBlock {
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
        let len = self.shared.order.len();
        // Chains that keep their place go a word at a time.
        let (in_place, moves): (Vec<_>, Vec<_>) = moves.iter().partition(|(to, from)| to == from);
        let mut taken = vec![0u64; self.words.len() / len];
        for &(chain, _) in &in_place {
            taken[chain / CHAINS] |= 1 << (chain % CHAINS);
        }
        let blocks = self.words.chunks_exact_mut(len).zip(other.words.chunks_exact(len));
        for ((mine, theirs), taken) in blocks.zip(taken).filter(|(_, taken)| *taken > 0) {
            for (a, b) in mine.iter_mut().zip(theirs) {
                *a = (*a & !taken) | (b & taken);
            }
        }
        for place in 0..len {
            for &(to, from) in &moves {
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
