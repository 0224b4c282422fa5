//! The path of an Ising model on a lattice: 64 chains to a machine word.

use std::any::Any;
use std::sync::Arc;

use ndarray::{Array2, ArrayView2, ArrayViewMut2};
use rand::Rng;

use super::{Counts, Ensemble, Move, Path, StepStats, sibling, sibling_mut};
use crate::error::Result;
use crate::math::Stream;
use crate::math::random::Generator;
use crate::models::{Ising, Model, Space, downcast};

/// Chains to a machine word.
const LANES: usize = 64;

/// log f_β(s) = β J Σ_{⟨ij⟩} sᵢsⱼ + h Σ sᵢ: the field stays, the coupling grows, so log Z₀ = N log(2 cosh h).
///
/// The kernel is a sweep of single-site Gibbs updates, colour class by colour class of the lattice (a chequerboard where every
/// wrapped side is even). Each chain draws its own random numbers: a word of uniform bits per binary digit of the threshold,
/// until all 64 comparisons are decided, so probabilities are exact to 2⁻⁶⁴.
#[derive(Debug)]
pub struct IsingPath {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    model: Arc<Ising>,
    bonds: Vec<(usize, usize)>,
    /// Sites in the order of a sweep, with their neighbours.
    sweep: Vec<(usize, Vec<usize>)>,
    degrees: usize,
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
        let sweep = model
            .lattice()
            .colouring()
            .into_iter()
            .flatten()
            .map(|site| (site, neighbours[site].clone()))
            .collect();
        let bonds = model.lattice().bonds();
        Self { shared: Arc::new(Shared { model, bonds, sweep, degrees }) }
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
            let bit = u64::from(spin > 0.0) << (chain % LANES);
            block.words[site * block.width + chain / LANES] |= bit;
        }
        Ok(Box::new(block))
    }

    fn kernel(&self) -> String {
        "coloured single-site Gibbs, 64 chains to a word".into()
    }
}

/// Chains as bits: word `site · width + k` holds the spins of chains 64k … 64k + 63 at `site`, 1 for up.
struct IsingEnsemble {
    shared: Arc<Shared>,
    chains: usize,
    width: usize,
    words: Vec<u64>,
    /// Σ_{⟨ij⟩} sᵢsⱼ of each chain, while it is up to date.
    pairs: Option<Vec<f64>>,
    generator: Generator,
    counts: Counts,
}

impl IsingEnsemble {
    fn new(shared: Arc<Shared>, chains: usize, stream: Stream) -> Self {
        let width = chains.div_ceil(LANES);
        let words = vec![0; shared.model.lattice().sites() * width];
        Self {
            shared,
            chains,
            width,
            words,
            pairs: None,
            generator: stream.generator(),
            counts: Counts::default(),
        }
    }

    /// One sweep at coupling βJ, in the order of the colouring or against it.
    fn sweep(&mut self, beta: f64, reversed: bool) {
        let shared = Arc::clone(&self.shared);
        let thresholds =
            Thresholds::new(beta * shared.model.coupling(), shared.model.field(), shared.degrees);
        let update = |block: &mut Self, (site, neighbours): &(usize, Vec<usize>)| {
            for k in 0..block.width {
                let up = block.count_up(neighbours, k);
                let word = thresholds.draw(neighbours.len(), up, &mut block.generator);
                block.words[site * block.width + k] = word;
            }
        };
        if reversed {
            shared.sweep.iter().rev().for_each(|site| update(self, site));
        } else {
            shared.sweep.iter().for_each(|site| update(self, site));
        }
        self.pairs = None;
    }

    /// The number of neighbours that are up, in three binary digits per chain (four neighbours at most).
    fn count_up(&self, neighbours: &[usize], k: usize) -> [u64; 3] {
        let mut digits = [0u64; 3];
        for &site in neighbours {
            let word = self.words[site * self.width + k];
            let carry = digits[0] & word;
            digits[0] ^= word;
            digits[2] |= digits[1] & carry;
            digits[1] ^= carry;
        }
        digits
    }

    fn pairs(&mut self) -> &[f64] {
        if self.pairs.is_none() {
            let bonds = self.shared.bonds.len() as f64;
            let mut pairs = vec![0.0; self.chains];
            for k in 0..self.width {
                let unlike = count_lanes(
                    self.shared
                        .bonds
                        .iter()
                        .map(|&(a, b)| self.words[a * self.width + k] ^ self.words[b * self.width + k]),
                );
                for (lane, count) in unlike.iter().enumerate() {
                    if let Some(value) = pairs.get_mut(k * LANES + lane) {
                        *value = bonds - 2.0 * f64::from(*count);
                    }
                }
            }
            self.pairs = Some(pairs);
            self.counts.energy_evaluations += self.chains as u64;
        }
        self.pairs.as_deref().expect("computed just above")
    }

    fn up_spins(&self) -> Vec<f64> {
        let mut up = vec![0.0; self.chains];
        for k in 0..self.width {
            let counts = count_lanes(self.words.iter().skip(k).step_by(self.width).copied());
            for (lane, count) in counts.iter().enumerate() {
                if let Some(value) = up.get_mut(k * LANES + lane) {
                    *value = f64::from(*count);
                }
            }
        }
        up
    }
}

/// How many of the words have each bit set: words are added three at a time into binary digits held one digit to a word.
fn count_lanes(words: impl Iterator<Item = u64>) -> [u32; LANES] {
    // 2²⁴ sites have at most 2²⁵ bonds.
    let mut digits = [0u64; 27];
    let mut add = |from: usize, mut carry: u64| {
        let mut digit = from;
        while carry != 0 {
            let sum = digits[digit] ^ carry;
            carry &= digits[digit];
            digits[digit] = sum;
            digit += 1;
        }
    };
    let mut words = words.fuse();
    while let Some(a) = words.next() {
        let (b, c) = (words.next().unwrap_or(0), words.next().unwrap_or(0));
        add(0, a ^ b ^ c);
        add(1, (a & b) | (c & (a ^ b)));
    }
    let mut counts = [0; LANES];
    for (place, digit) in digits.iter().enumerate() {
        for (lane, count) in counts.iter_mut().enumerate() {
            *count += (((digit >> lane) & 1) as u32) << place;
        }
    }
    counts
}

/// P(up | k of n neighbours up) as binary fractions, for each n.
struct Thresholds {
    /// [n][digit][k]: all ones where the digit of weight 2^{−1−digit} is 1.
    digits: Vec<[[u64; 5]; 64]>,
}

impl Thresholds {
    fn new(coupling: f64, field: f64, degrees: usize) -> Self {
        let digits = (0..=degrees)
            .map(|n| {
                let mut table = [[0u64; 5]; 64];
                for k in 0..=n {
                    let local = coupling * (2.0 * k as f64 - n as f64) + field;
                    let probability = 1.0 / (1.0 + (-2.0 * local).exp());
                    // The conversion saturates: a probability that rounds to one is 1 − 2⁻⁶⁴.
                    let fraction = (probability * 2f64.powi(64)) as u64;
                    for (digit, row) in table.iter_mut().enumerate() {
                        row[k] = if fraction >> (63 - digit) & 1 == 1 { u64::MAX } else { 0 };
                    }
                }
                table
            })
            .collect();
        Self { digits }
    }

    /// 64 spins, each up with the probability that belongs to its count of up neighbours.
    fn draw(&self, degree: usize, up: [u64; 3], generator: &mut Generator) -> u64 {
        let [ones, twos, fours] = up;
        let is = [!ones & !twos & !fours, ones & !twos, !ones & twos, ones & twos, fours];
        let mut undecided = u64::MAX;
        let mut spins = 0;
        for row in &self.digits[degree] {
            let threshold = (0..5).fold(0, |sum, k| sum | (is[k] & row[k]));
            let uniform = generator.next_u64();
            // u < p is decided at the first digit where they differ: there p has a 1 and u a 0.
            spins |= undecided & threshold & !uniform;
            undecided &= !(threshold ^ uniform);
            if undecided == 0 {
                break;
            }
        }
        spins
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
        for site in self.words.chunks_mut(self.width) {
            for &(to, from) in moves {
                let bit = (site[from / LANES] >> (from % LANES)) & 1;
                let word = &mut site[to / LANES];
                *word = (*word & !(1 << (to % LANES))) | (bit << (to % LANES));
            }
        }
        self.pairs = None;
    }

    fn copy_chains_from(&mut self, other: &dyn Ensemble, moves: &[(usize, usize)]) {
        let other: &Self = sibling(other);
        let theirs = other.words.chunks(other.width);
        for (site, theirs) in self.words.chunks_mut(self.width).zip(theirs) {
            for &(to, from) in moves {
                let bit = (theirs[from / LANES] >> (from % LANES)) & 1;
                let word = &mut site[to / LANES];
                *word = (*word & !(1 << (to % LANES))) | (bit << (to % LANES));
            }
        }
        self.pairs = None;
    }

    fn exchange(&mut self, other: &mut dyn Ensemble, mask: &[bool]) {
        let other: &mut Self = sibling_mut(other);
        let mut masks = vec![0u64; self.width];
        for (chain, _) in mask.iter().enumerate().filter(|(_, swap)| **swap) {
            masks[chain / LANES] |= 1 << (chain % LANES);
        }
        let theirs = other.words.chunks_mut(other.width);
        for (mine, theirs) in self.words.chunks_mut(self.width).zip(theirs) {
            for ((a, b), mask) in mine.iter_mut().zip(theirs).zip(&masks) {
                let changed = (*a ^ *b) & mask;
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
        Array2::from_shape_fn((self.chains, self.shared.model.lattice().sites()), |(chain, site)| {
            let bit = (self.words[site * self.width + chain / LANES] >> (chain % LANES)) & 1;
            2.0 * bit as f64 - 1.0
        })
    }

    fn counts(&self) -> Counts {
        self.counts
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_are_counted_like_single_bits() {
        let mut generator = Stream::new(1).generator();
        for length in [0, 1, 2, 3, 7, 100] {
            let words: Vec<u64> = (0..length).map(|_| generator.next_u64()).collect();
            let counts = count_lanes(words.iter().copied());
            for lane in 0..LANES {
                let expected: u64 = words.iter().map(|w| (w >> lane) & 1).sum();
                assert_eq!(u64::from(counts[lane]), expected);
            }
        }
    }

    /// Each count of up neighbours draws with its own probability: 64 × 20,000 draws within 4.5 standard errors.
    #[test]
    fn spins_come_up_as_often_as_they_should() {
        let thresholds = Thresholds::new(0.4, 0.1, 4);
        let mut generator = Stream::new(2).generator();
        for k in 0..5usize {
            let up = std::array::from_fn(|digit| if k >> digit & 1 == 1 { u64::MAX } else { 0 });
            let ones: u32 = (0..20_000).map(|_| thresholds.draw(4, up, &mut generator).count_ones()).sum();
            let n = 64.0 * 20_000.0;
            let p = 1.0 / (1.0 + (-2.0 * (0.4 * (2.0 * k as f64 - 4.0) + 0.1)).exp());
            assert!((f64::from(ones) / n - p).abs() < 4.5 * (p * (1.0 - p) / n).sqrt(), "{k}");
        }
    }
}
