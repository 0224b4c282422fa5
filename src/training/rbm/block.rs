//! Rows of a batch, or of chains.

use ndarray::{Array2, Axis};

use super::machine::Machine;
use crate::math::bits::{self, BitRows, Sums};
use crate::math::{products, simd};

/// Rows of data or chains to a task, and visible units to a task of the update. Fixed, so that a machine does not depend on
/// the number of threads that trained it.
pub(super) const BLOCK: usize = 64;

/// Rows of one batch or of the chains, with what the update needs of them.
pub(super) struct Block {
    /// v.
    pub visible: Array2<f32>,
    /// v, where units are bits; to be [unpacked](Block::unpack) into `visible`.
    pub bits: BitRows,
    /// σ(c + vW), and vW until that is [finished](Block::finish).
    pub hidden: Array2<f32>,
    pub visible_sum: Vec<f32>,
    pub hidden_sum: Vec<f32>,
    /// Of squares of real units.
    pub square_sum: Vec<f32>,
    sums: Sums<u32>,
}

impl Block {
    pub(super) fn new(rows: usize, machine: &Machine) -> Self {
        let (visible, hidden) = machine.weights.dim();
        Self {
            visible: Array2::zeros((rows, visible)),
            bits: BitRows::unset(if machine.precision.is_none() { rows } else { 0 }, visible),
            hidden: Array2::zeros((rows, hidden)),
            visible_sum: Vec::new(),
            hidden_sum: Vec::new(),
            square_sum: Vec::new(),
            sums: Sums::default(),
        }
    }

    /// `visible` is what `bits` say.
    pub(super) fn unpack(&mut self) {
        for row in 0..self.bits.len() {
            let values = self.visible.row_mut(row).into_slice();
            bits::unpack(self.bits.row(row), values.expect("rows of a whole array are contiguous"));
        }
    }

    /// `hidden` becomes vW.
    pub(super) fn enter(&mut self, machine: &Machine) {
        match &machine.tables.inward {
            Some(inward) => inward.products(&self.bits, &[], &mut self.hidden, &mut self.sums),
            None => products::multiply(self.visible.view(), machine.weights.view(), self.hidden.view_mut()),
        }
    }

    /// c is added and probabilities taken where `hidden` holds vW.
    pub(super) fn finish(&mut self, machine: &Machine) {
        let bias = &machine.hidden_bias;
        for row in flat_mut(&mut self.hidden).chunks_mut(bias.len()) {
            simd::dispatch(
                #[inline(always)]
                || {
                    for (a, c) in row.iter_mut().zip(bias) {
                        *a = simd::sigmoid(*a + c);
                    }
                },
            );
        }
        self.visible_sum = self.visible.sum_axis(Axis(0)).to_vec();
        self.hidden_sum = self.hidden.sum_axis(Axis(0)).to_vec();
        if machine.precision.is_some() {
            let mut squares = vec![0.0; self.visible.ncols()];
            for row in self.visible.rows() {
                squares.iter_mut().zip(row).for_each(|(sum, u)| *sum += u * u);
            }
            self.square_sum = squares;
        }
    }
}

pub(super) fn flat(array: &Array2<f32>) -> &[f32] {
    array.as_slice().expect("a whole array is contiguous")
}

pub(super) fn flat_mut(array: &mut Array2<f32>) -> &mut [f32] {
    array.as_slice_mut().expect("a whole array is contiguous")
}
