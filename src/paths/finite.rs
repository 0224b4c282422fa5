//! The geometric path of any energy on a finite space.

use std::sync::Arc;

use ndarray::{Array1, Array2, ArrayView2, ArrayViewMut2};
use rand::RngExt;

use super::{Counts, Ensemble, Move, Path, StepStats, sibling, sibling_mut};
use crate::error::Result;
use crate::math::Stream;
use crate::math::random::Generator;
use crate::models::{Model, Space};

/// log f_β(x) = −β E(x) from the uniform distribution, log Z₀ = d log q.
///
/// The kernel is a sweep of single-site Gibbs updates that asks the model for the energies of all values of a site, so a sweep
/// costs d q energies: models with structure deserve a path of their own.
#[derive(Debug)]
pub struct FinitePath {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    model: Arc<dyn Model>,
    space: Space,
    values: Vec<f64>,
}

impl FinitePath {
    /// The path of a model on a finite space; data do not change its uniform reference.
    ///
    /// # Panics
    /// For a model on a continuous space.
    #[must_use]
    pub fn new(model: Arc<dyn Model>, _data: Option<ArrayView2<'_, f64>>) -> Self {
        let space = model.space();
        let values = space.values().expect("this path is for finite spaces");
        Self { shared: Arc::new(Shared { model, space, values }) }
    }

    fn block(&self, states: Array2<f64>, stream: Stream) -> Box<dyn Ensemble> {
        let energies = self.shared.model.energy(states.view());
        let counts = Counts { energy_evaluations: states.nrows() as u64, ..Counts::default() };
        let generator = stream.generator();
        Box::new(FiniteEnsemble { shared: Arc::clone(&self.shared), states, energies, generator, counts })
    }
}

impl Path for FinitePath {
    fn space(&self) -> Space {
        self.shared.space.clone()
    }

    fn log_z_reference(&self) -> f64 {
        self.shared.space.log_count().expect("this path is for finite spaces")
    }

    fn sample_reference(&self, chains: usize, stream: Stream) -> Box<dyn Ensemble> {
        let mut generator = stream.child(0).generator();
        let values = &self.shared.values;
        let states = Array2::from_shape_fn((chains, self.shared.space.dim), |_| {
            values[generator.random_range(0..values.len())]
        });
        self.block(states, stream)
    }

    fn adopt(&self, states: ArrayView2<'_, f64>, stream: Stream) -> Result<Box<dyn Ensemble>> {
        self.shared.space.check(states)?;
        Ok(self.block(states.to_owned(), stream))
    }

    fn kernel(&self) -> String {
        "single-site Gibbs".into()
    }
}

struct FiniteEnsemble {
    shared: Arc<Shared>,
    states: Array2<f64>,
    energies: Array1<f64>,
    generator: Generator,
    counts: Counts,
}

impl Ensemble for FiniteEnsemble {
    fn chains(&self) -> usize {
        self.states.nrows()
    }

    fn log_density(&mut self, betas: &[f64], mut out: ArrayViewMut2<'_, f64>) {
        for ((chain, k), value) in out.indexed_iter_mut() {
            // A forbidden state has density 1 at β = 0, where 0 · ∞ would be NaN.
            *value = if betas[k] == 0.0 { 0.0 } else { -betas[k] * self.energies[chain] };
        }
    }

    fn log_ratio(&mut self, from: f64, to: f64, out: &mut [f64]) {
        for (value, energy) in out.iter_mut().zip(&self.energies) {
            *value = -(to - from) * energy;
        }
    }

    fn derivatives(&mut self, _beta: f64, first: &mut [f64], second: &mut [f64]) {
        for (value, energy) in first.iter_mut().zip(&self.energies) {
            *value = -energy;
        }
        second.fill(0.0);
    }

    fn step(&mut self, beta: f64, movement: Move) -> StepStats {
        let (chains, dim) = self.states.dim();
        let values = self.shared.values.clone();
        let mut energies = Array2::zeros((values.len(), chains));
        let mut logits = vec![0.0; values.len()];
        for k in 0..dim {
            let site = if movement == Move::Reversed { dim - 1 - k } else { k };
            for (s, value) in values.iter().enumerate() {
                self.states.column_mut(site).fill(*value);
                energies.row_mut(s).assign(&self.shared.model.energy(self.states.view()));
            }
            for chain in 0..chains {
                for (logit, energy) in logits.iter_mut().zip(energies.column(chain)) {
                    *logit = if beta == 0.0 { 0.0 } else { -beta * energy };
                }
                // A NaN is taken, so that it reaches the weights and is reported.
                let broken = logits.iter().position(|logit| logit.is_nan());
                let new = broken.unwrap_or_else(|| draw(&logits, &mut self.generator));
                self.states[(chain, site)] = values[new];
                self.energies[chain] = energies[(new, chain)];
            }
        }
        self.counts.sweeps += chains as u64;
        self.counts.energy_evaluations += (chains * dim * values.len()) as u64;
        StepStats::default()
    }

    fn copy_chains(&mut self, moves: &[(usize, usize)]) {
        for &(to, from) in moves {
            let state = self.states.row(from).to_owned();
            self.states.row_mut(to).assign(&state);
            self.energies[to] = self.energies[from];
        }
    }

    fn copy_chains_from(&mut self, other: &dyn Ensemble, moves: &[(usize, usize)]) {
        let other: &Self = sibling(other);
        for &(to, from) in moves {
            self.states.row_mut(to).assign(&other.states.row(from));
            self.energies[to] = other.energies[from];
        }
    }

    fn exchange(&mut self, other: &mut dyn Ensemble, mask: &[bool]) {
        let other: &mut Self = sibling_mut(other);
        for chain in (0..mask.len()).filter(|&chain| mask[chain]) {
            ndarray::Zip::from(self.states.row_mut(chain))
                .and(other.states.row_mut(chain))
                .for_each(std::mem::swap);
            std::mem::swap(&mut self.energies[chain], &mut other.energies[chain]);
        }
    }

    fn states(&self) -> Array2<f64> {
        self.states.clone()
    }

    fn counts(&self) -> Counts {
        self.counts
    }
}

/// An index drawn with probability ∝ exp(logits).
fn draw(logits: &[f64], generator: &mut Generator) -> usize {
    if let [first, second] = logits {
        return usize::from(generator.random::<f64>() * (1.0 + (first - second).exp()) < 1.0);
    }
    let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights = Array1::from_iter(logits.iter().map(|l| (l - largest).exp()));
    let mut left = generator.random::<f64>() * weights.sum();
    for (i, weight) in weights.iter().enumerate() {
        left -= weight;
        if left < 0.0 {
            return i;
        }
    }
    // Rounding may leave a crumb: the largest has positive weight.
    logits.iter().position(|l| *l == largest).unwrap_or(0)
}
