//! All chains of a run: blocks of a fixed number of chains, threads over them, and what crosses them.

use ndarray::{Array2, ArrayView2, Axis};
use rayon::prelude::*;

use super::{Counts, Ensemble, Move, Path, StepStats};
use crate::error::{Error, Result};
use crate::math::Stream;

/// Chains to a block, where a path does not say otherwise ([`Path::block_size`]): one machine word of a lattice's spins, and enough
/// rows for matrix products to run near their best.
pub const BLOCK: usize = 64;

/// Blocks of chains on one path.
pub struct Population {
    blocks: Vec<Box<dyn Ensemble>>,
    chains: usize,
    /// Chains to a block.
    block: usize,
    /// Work of chains that are gone.
    gone: Counts,
}

impl std::fmt::Debug for Population {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Population").field("chains", &self.chains).finish_non_exhaustive()
    }
}

impl Population {
    /// `chains` exact draws from the path's reference; block i uses stream i of `stream`.
    #[must_use]
    pub fn from_reference(path: &dyn Path, chains: usize, stream: Stream) -> Self {
        let block = path.block_size(chains);
        let blocks = (0..chains.div_ceil(block))
            .into_par_iter()
            .map(|i| path.sample_reference(block.min(chains - i * block), stream.child(i as u64)))
            .collect();
        Self { blocks, chains, block, gone: Counts::default() }
    }

    /// Chains at given states.
    ///
    /// # Errors
    /// As [`Path::adopt`].
    pub fn adopt(path: &dyn Path, states: ArrayView2<'_, f64>, stream: Stream) -> Result<Self> {
        let adopt = |rows: ArrayView2<'_, f64>, stream| path.adopt(rows, stream);
        Self::of_blocks(states, path.block_size(states.nrows()), stream, adopt)
    }

    /// Blocks of up to `block` chains each that `adopt` puts at given states.
    pub(super) fn of_blocks(
        states: ArrayView2<'_, f64>,
        block: usize,
        stream: Stream,
        adopt: impl Fn(ArrayView2<'_, f64>, Stream) -> Result<Box<dyn Ensemble>>,
    ) -> Result<Self> {
        let blocks = states
            .axis_chunks_iter(Axis(0), block)
            .enumerate()
            .map(|(i, rows)| adopt(rows, stream.child(i as u64)))
            .collect::<Result<_>>()?;
        Ok(Self { blocks, chains: states.nrows(), block, gone: Counts::default() })
    }

    /// How many chains.
    #[must_use]
    pub fn chains(&self) -> usize {
        self.chains
    }

    /// Work done so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let mut counts = self.gone;
        for block in &self.blocks {
            counts += block.counts();
        }
        counts
    }

    /// All states as rows.
    #[must_use]
    pub fn states(&self) -> Array2<f64> {
        let Some(first) = self.blocks.first().map(|block| block.states()) else {
            return Array2::zeros((0, 0));
        };
        let mut states = Array2::zeros((self.chains, first.ncols()));
        // A block at a time, so that no second copy of all chains is ever held.
        for (mut rows, block) in states.axis_chunks_iter_mut(Axis(0), self.block).zip(&self.blocks) {
            rows.assign(&block.states());
        }
        states
    }

    /// Counts work that led to these chains and was done elsewhere.
    pub(crate) fn add_counts(&mut self, counts: Counts) {
        self.gone += counts;
    }

    /// Lets all chains go; what was counted is kept.
    pub(crate) fn dismiss(&mut self) {
        self.gone = self.counts();
        self.blocks.clear();
        self.chains = 0;
    }

    /// Runs `work` on every block and its rows of `out`, (chains, columns) of f64, over the threads of the current pool;
    /// answers in the order of the blocks.
    pub fn map_blocks<R: Send>(
        &mut self,
        out: &mut Array2<f64>,
        work: impl Fn(&mut dyn Ensemble, ndarray::ArrayViewMut2<'_, f64>) -> R + Sync,
    ) -> Vec<R> {
        assert_eq!(out.nrows(), self.chains, "a row per chain");
        // One block is one thread's, and short work on it should not pay for being handed on.
        if let [block] = self.blocks.as_mut_slice() {
            return vec![work(block.as_mut(), out.view_mut())];
        }
        let rows: Vec<_> = out.axis_chunks_iter_mut(Axis(0), self.block).collect();
        self.blocks.par_iter_mut().zip(rows).map(|(block, rows)| work(block.as_mut(), rows)).collect()
    }

    /// log f_to − log f_from of every chain.
    ///
    /// # Errors
    /// [`Error::NonFinite`] for NaN or +∞.
    pub fn log_ratio(&mut self, from: f64, to: f64) -> Result<Vec<f64>> {
        let mut out = Array2::zeros((self.chains, 1));
        self.map_blocks(&mut out, |block, mut rows| {
            block.log_ratio(from, to, rows.as_slice_mut().expect("one column is contiguous"));
        });
        let ratios = out.into_raw_vec_and_offset().0;
        check(&ratios, to).map_err(|error| self.located(error))?;
        Ok(ratios)
    }

    /// Says where the chain is that an error is about.
    pub(crate) fn located(&self, error: Error) -> Error {
        match error {
            Error::NonFinite { chain, beta, value, .. } => Error::NonFinite {
                chain,
                beta,
                value,
                state: self.pick(&[chain]).into_raw_vec_and_offset().0,
            },
            other => other,
        }
    }

    /// log f_β of every chain at every β, (chains, betas).
    pub fn log_density(&mut self, betas: &[f64]) -> Array2<f64> {
        let mut out = Array2::zeros((self.chains, betas.len()));
        self.map_blocks(&mut out, |block, rows| block.log_density(betas, rows));
        out
    }

    /// One kernel step of every chain.
    pub fn step(&mut self, beta: f64, movement: Move) -> StepStats {
        if let [block] = self.blocks.as_mut_slice() {
            return block.step(beta, movement);
        }
        let steps: Vec<_> = self.blocks.par_iter_mut().map(|block| block.step(beta, movement)).collect();
        let mut total = StepStats::default();
        for step in steps {
            total += step;
        }
        total
    }

    /// Chains become copies of the chains `picks`, each as often as it is picked, and the answer says of which one each: a chain
    /// that is picked at all stays where it is, and only the others are overwritten.
    ///
    /// # Panics
    /// Unless there is one pick per chain.
    pub fn resample(&mut self, picks: &[usize]) -> Vec<usize> {
        assert_eq!(picks.len(), self.chains, "a pick per chain");
        let mut offspring = vec![0usize; self.chains];
        for &pick in picks {
            offspring[pick] += 1;
        }
        let mut ancestors: Vec<usize> = (0..self.chains).collect();
        let mut dead = (0..self.chains).filter(|&i| offspring[i] == 0);
        let mut moves: Vec<(usize, usize)> = Vec::new();
        for (from, &count) in offspring.iter().enumerate() {
            for _ in 1..count {
                let to = dead.next().expect("as many chains die as are copied");
                ancestors[to] = from;
                moves.push((to, from));
            }
        }
        let block = self.block;
        let blocks_of = |(to, from): &(usize, usize)| (to / block, from / block);
        moves.sort_unstable_by_key(blocks_of);
        for group in moves.chunk_by(|a, b| blocks_of(a) == blocks_of(b)) {
            let (target, source) = blocks_of(&group[0]);
            let here: Vec<_> = group.iter().map(|(to, from)| (to % block, from % block)).collect();
            if target == source {
                self.blocks[target].copy_chains(&here);
            } else {
                let [to, from] = self
                    .blocks
                    .get_disjoint_mut([target, source])
                    .expect("two different blocks of the population");
                to.copy_chains_from(from.as_ref(), &here);
            }
        }
        ancestors
    }

    /// Swaps chain i with chain i of `other`, a population on the same path with as many chains, where `mask[i]`.
    ///
    /// # Panics
    /// When the numbers of chains differ.
    pub fn exchange(&mut self, other: &mut Population, mask: &[bool]) {
        assert_eq!(self.chains, other.chains, "populations of one size");
        assert_eq!(mask.len(), self.chains, "a choice per chain");
        for ((mine, theirs), mask) in
            self.blocks.iter_mut().zip(&mut other.blocks).zip(mask.chunks(self.block))
        {
            mine.exchange(theirs.as_mut(), mask);
        }
    }

    /// States of the chains `picks`, as rows.
    #[must_use]
    pub fn pick(&self, picks: &[usize]) -> Array2<f64> {
        let mut rows: Option<Array2<f64>> = None;
        for (number, block) in self.blocks.iter().enumerate() {
            let states = block.states();
            let rows = rows.get_or_insert_with(|| Array2::zeros((picks.len(), states.ncols())));
            let of_block = picks.iter().enumerate().filter(|(_, pick)| **pick / self.block == number);
            for (i, pick) in of_block {
                rows.row_mut(i).assign(&states.row(pick % self.block));
            }
        }
        rows.unwrap_or_else(|| Array2::zeros((0, 0)))
    }
}

/// Refuses NaN and +∞ among log-densities, naming the chain.
pub(crate) fn check(values: &[f64], beta: f64) -> Result<()> {
    match values.iter().position(|v| v.is_nan() || *v == f64::INFINITY) {
        Some(chain) => Err(Error::NonFinite { chain, beta, value: values[chain], state: Vec::new() }),
        None => Ok(()),
    }
}
