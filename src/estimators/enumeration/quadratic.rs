//! Sums over bits whose log-weight is a quadratic form.

use ndarray::{Array1, Array2};
use rayon::prelude::*;

use super::sums;
use crate::estimators::Monitor;
use crate::math::simd::dispatch;
use crate::math::{log_add_exp, log_sum_exp};

/// Low bits whose 2¹¹ configurations are added up together.
const BLOCK_BITS: usize = 11;
/// Blocks that one task takes.
const TASK_BITS: usize = 6;

/// log w(x) = constant + Σᵢ lᵢ xᵢ + Σ_{i<j} qᵢⱼ xᵢ xⱼ over x ∈ {0,1}ⁿ.
///
/// The quadratic form of the low bits is tabulated once. For each setting of the high bits the fields on the low bits are summed
/// afresh, and their 2ᵏ subset sums come by doubling, one addition each: log w of every configuration costs two additions, and
/// all stays in log space, so that no parameter is too large.
#[derive(Clone, Debug)]
pub(super) struct Quadratic {
    constant: f64,
    linear: Array1<f64>,
    /// qᵢⱼ symmetric, zero diagonal.
    pairs: Array2<f64>,
}

impl Quadratic {
    /// From the constant, l and q; only what lies above q's diagonal is read.
    pub(super) fn of_bits(constant: f64, linear: Array1<f64>, pairs: Array2<f64>) -> Self {
        let n = linear.len();
        let pairs = Array2::from_shape_fn((n, n), |(i, j)| match i.cmp(&j) {
            std::cmp::Ordering::Less => pairs[[i, j]],
            std::cmp::Ordering::Equal => 0.0,
            std::cmp::Ordering::Greater => pairs[[j, i]],
        });
        Self { constant, linear, pairs }
    }

    /// The same form over spins s = 2x − 1: Σ lᵢ sᵢ + Σ_{i<j} qᵢⱼ sᵢ sⱼ.
    pub(super) fn of_spins(constant: f64, linear: Array1<f64>, pairs: Array2<f64>) -> Self {
        let spins = Self::of_bits(constant, linear, pairs);
        let sums = spins.pairs.sum_axis(ndarray::Axis(1));
        Self {
            constant: constant - spins.linear.sum() + 0.5 * sums.sum(),
            linear: 2.0 * (&spins.linear - &sums),
            pairs: 4.0 * spins.pairs,
        }
    }

    /// Seconds a configuration takes on one thread, measured on one core at 2.8 GHz with AVX-512.
    pub(super) const PACE: f64 = 3.3e-9;

    /// Seconds that [`Quadratic::log_sum`] takes for `bits` bits on `threads` threads.
    pub(super) fn seconds(bits: usize, threads: usize) -> f64 {
        let tasks = (bits.saturating_sub(BLOCK_BITS + TASK_BITS) as f64).exp2();
        Self::PACE * (bits as f64).exp2() / tasks.min(threads as f64) + 1e-5
    }

    fn bits(&self) -> usize {
        self.linear.len()
    }

    fn low(&self) -> usize {
        self.bits().min(BLOCK_BITS)
    }

    /// log w of all settings of the low bits while the high ones are 0.
    fn low_table(&self) -> Vec<f64> {
        let mut table = vec![self.constant];
        for bit in 0..self.low() {
            for x in 0..table.len() {
                let field: f64 = (0..bit).filter(|j| x >> j & 1 == 1).map(|j| self.pairs[[bit, j]]).sum();
                table.push(table[x] + (self.linear[bit] + field));
            }
        }
        table
    }

    /// log w of all settings of the low bits for this setting of the high ones.
    fn fill(&self, table: &[f64], high: u64, out: &mut [f64]) {
        let low = self.low();
        let on: Vec<usize> = (low..self.bits()).filter(|bit| high >> (bit - low) & 1 == 1).collect();
        let mut base = 0.0;
        for (place, &bit) in on.iter().enumerate() {
            base += self.linear[bit] + on[..place].iter().map(|&other| self.pairs[[bit, other]]).sum::<f64>();
        }
        let fields: [f64; BLOCK_BITS] = std::array::from_fn(|bit| {
            if bit < low { on.iter().map(|&other| self.pairs[[bit, other]]).sum() } else { 0.0 }
        });
        dispatch(
            #[inline(always)]
            || {
                out[0] = base;
                for (bit, field) in fields[..low].iter().enumerate() {
                    let (done, next) = out.split_at_mut(1 << bit);
                    for (to, from) in next.iter_mut().zip(done.iter()) {
                        *to = from + field;
                    }
                }
                for (value, own) in out.iter_mut().zip(table) {
                    *value += own;
                }
            },
        );
    }

    /// log Σₓ w(x). Blocks are computed apart and added in order, so any number of threads gives the same bits.
    pub(super) fn log_sum(&self, monitor: &dyn Monitor) -> f64 {
        const CHUNK: u64 = 4096;
        let table = self.low_table();
        let task_bits = (self.bits() - self.low()).min(TASK_BITS);
        let tasks = 1u64 << (self.bits() - self.low() - task_bits);
        monitor.begin("enumeration", tasks);
        let mut total = f64::NEG_INFINITY;
        let mut start = 0;
        while start < tasks {
            let end = (start + CHUNK).min(tasks);
            let parts: Vec<f64> = (start..end)
                .into_par_iter()
                .map_init(
                    || vec![0.0; table.len()],
                    |buffer, task| {
                        let mut parts = [f64::NEG_INFINITY; 1 << TASK_BITS];
                        for (k, part) in parts.iter_mut().enumerate().take(1 << task_bits) {
                            self.fill(&table, task << task_bits | k as u64, buffer);
                            *part = sums::log_sum_exp(buffer);
                        }
                        monitor.advance(1);
                        log_sum_exp(&parts)
                    },
                )
                .collect();
            total = log_add_exp(total, log_sum_exp(&parts));
            start = end;
        }
        total
    }

    /// log w(x) of every x, whose bit j is bit j of the index. Takes 8·2ⁿ bytes.
    pub(super) fn log_weights(&self) -> Vec<f64> {
        let table = self.low_table();
        let mut all = vec![0.0; 1 << self.bits()];
        all.par_chunks_mut(table.len())
            .enumerate()
            .for_each(|(high, out)| self.fill(&table, high as u64, out));
        all
    }
}
