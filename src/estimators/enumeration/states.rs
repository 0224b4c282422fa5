//! Sums over the states of any finite model, by its energy.

use std::sync::Arc;
use std::time::Instant;

use ndarray::Array2;
use rayon::prelude::*;

use super::{NAME, sums};
use crate::error::{Error, Result};
use crate::estimators::Monitor;
use crate::math::{log_add_exp, log_sum_exp};
use crate::models::{Model, Rbm};

/// States whose energies are asked for at once.
const BATCH: u64 = 1024;

/// All states of a finite space, numbered with coordinate 0 as the lowest digit.
#[derive(Clone, Debug)]
pub(super) struct States {
    model: Arc<dyn Model>,
    values: Vec<f64>,
    dim: usize,
    count: u64,
}

impl States {
    /// `None` for a continuous space or one of more than 2⁶² states.
    pub(super) fn of(model: &Arc<dyn Model>) -> Option<Self> {
        let space = model.space();
        let values = space.values()?;
        let count = (values.len() as u64).checked_pow(u32::try_from(space.dim).ok()?)?;
        (count <= 1 << 62).then(|| Self { model: Arc::clone(model), values, dim: space.dim, count })
    }

    /// The bits of a machine's smaller side, its constant energy left out.
    pub(super) fn of_smaller_side(rbm: &Rbm) -> Self {
        let mut machine = rbm.transposed();
        if rbm.visible() < rbm.hidden() {
            machine = machine.transposed();
        }
        Self::of(&(Arc::new(machine) as Arc<dyn Model>)).expect("callers count the bits first")
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Seconds a state takes on one thread: 50 ns and 5 ns a coordinate, as the lattice models of this crate take on one core
    /// at 2.8 GHz. A dearer energy is stopped by the time limit.
    pub(super) fn pace(dim: usize) -> f64 {
        50e-9 + 5e-9 * dim as f64
    }

    /// Predicted seconds on `threads` threads.
    pub(super) fn seconds(&self, threads: usize) -> f64 {
        let batches = (self.count as f64 / BATCH as f64).max(1.0);
        Self::pace(self.dim) * self.count as f64 / batches.min(threads as f64)
    }

    /// The states numbered `start` to `end` as rows.
    pub(super) fn rows(&self, numbers: impl ExactSizeIterator<Item = u64>) -> Array2<f64> {
        let mut rows = Array2::zeros((numbers.len(), self.dim));
        let base = self.values.len() as u64;
        for (mut row, mut number) in rows.rows_mut().into_iter().zip(numbers) {
            for value in &mut row {
                *value = self.values[(number % base) as usize];
                number /= base;
            }
        }
        rows
    }

    /// −E of a batch of states.
    fn log_weights_of(&self, batch: u64) -> Result<Vec<f64>> {
        let start = batch * BATCH;
        let end = (start + BATCH).min(self.count);
        let energies = self.model.energy(self.rows((start as usize..end as usize).map(|x| x as u64)).view());
        if let Some(at) = energies.iter().position(|e| e.is_nan() || *e == f64::NEG_INFINITY) {
            let chain = start as usize + at;
            let state = self.rows([chain as u64].into_iter()).into_raw_vec_and_offset().0;
            return Err(Error::NonFinite { chain, beta: 1.0, value: -energies[at], state });
        }
        Ok(energies.iter().map(|e| -e).collect())
    }

    /// log Σ exp(−E). Batches are added in order, so any number of threads gives the same bits.
    pub(super) fn log_sum(&self, max_time: f64, monitor: &dyn Monitor) -> Result<f64> {
        const CHUNK: u64 = 256;
        let started = Instant::now();
        let batches = self.count.div_ceil(BATCH);
        monitor.begin("enumeration", batches);
        let mut total = f64::NEG_INFINITY;
        let mut start = 0;
        while start < batches {
            if started.elapsed().as_secs_f64() > max_time {
                return Err(Error::NotReached {
                    estimator: NAME,
                    message: format!(
                        "{} of {} states were added up when the time limit of {max_time} s ran out; try a longer --max-time",
                        start * BATCH,
                        self.count
                    ),
                });
            }
            let end = (start + CHUNK).min(batches);
            let parts: Vec<f64> = (start..end)
                .into_par_iter()
                .map(|batch| {
                    let weights = self.log_weights_of(batch)?;
                    monitor.advance(1);
                    Ok(sums::log_sum_exp(&weights))
                })
                .collect::<Result<_>>()?;
            total = log_add_exp(total, log_sum_exp(&parts));
            start = end;
        }
        Ok(total)
    }

    /// −E of every state, in order. Takes 8 bytes a state.
    pub(super) fn log_weights(&self) -> Result<Vec<f64>> {
        let batches: Vec<Vec<f64>> = (0..self.count.div_ceil(BATCH))
            .into_par_iter()
            .map(|batch| self.log_weights_of(batch))
            .collect::<Result<_>>()?;
        Ok(batches.concat())
    }
}
