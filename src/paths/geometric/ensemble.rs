//! A block of chains on the geometric path, in the coordinates of its reference.

use std::sync::Arc;

use ndarray::{Array2, ArrayViewMut2};

use super::ends::Counted;
use super::step_size::StepSize;
use crate::kernels::{Ends, Kernel, Walkers, mix};
use crate::math::random::Generator;
use crate::paths::{Counts, Ensemble, Move, StepStats, sibling, sibling_mut};

/// The chains, both ends of the path, and how they move.
pub(super) struct GeometricEnsemble {
    pub(super) ends: Counted,
    pub(super) walkers: Walkers,
    pub(super) kernel: Arc<dyn Kernel>,
    pub(super) step_size: Arc<StepSize>,
    /// The step size that an adapting pilot has come to.
    pub(super) adapted: Option<f64>,
    pub(super) generator: Generator,
}

impl Ensemble for GeometricEnsemble {
    fn chains(&self) -> usize {
        self.walkers.states.nrows()
    }

    fn log_density(&mut self, betas: &[f64], mut out: ArrayViewMut2<'_, f64>) {
        for ((chain, k), value) in out.indexed_iter_mut() {
            *value = mix(betas[k], self.walkers.reference[chain], self.walkers.target[chain]);
        }
    }

    fn log_ratio(&mut self, from: f64, to: f64, out: &mut [f64]) {
        let ends = self.walkers.target.iter().zip(&self.walkers.reference);
        for (value, (target, reference)) in out.iter_mut().zip(ends) {
            *value = (to - from) * (target - reference);
        }
    }

    fn derivatives(&mut self, _beta: f64, first: &mut [f64], second: &mut [f64]) {
        let ends = self.walkers.target.iter().zip(&self.walkers.reference);
        for (value, (target, reference)) in first.iter_mut().zip(ends) {
            *value = target - reference;
        }
        second.fill(0.0);
    }

    fn step(&mut self, beta: f64, movement: Move) -> StepStats {
        let scale = match movement {
            Move::Adapting => self.adapted.unwrap_or_else(|| self.step_size.at(beta)),
            Move::Forward | Move::Reversed => self.step_size.at(beta),
        };
        let stats = self.kernel.step(&mut self.walkers, &mut self.ends, beta, scale, &mut self.generator);
        if movement == Move::Adapting
            && let Some(acceptance) = stats.acceptance()
        {
            let miss = acceptance - self.kernel.target_acceptance();
            self.adapted = Some((scale * (0.7 * miss).exp()).clamp(1e-8, 10.0));
        }
        self.ends.counts.sweeps += self.walkers.states.nrows() as u64;
        stats
    }

    fn copy_chains(&mut self, moves: &[(usize, usize)]) {
        let before = self.walkers.clone();
        for &(to, from) in moves {
            self.walkers.assign(to, &before, from);
        }
    }

    fn copy_chains_from(&mut self, other: &dyn Ensemble, moves: &[(usize, usize)]) {
        let other: &Self = sibling(other);
        for &(to, from) in moves {
            self.walkers.assign(to, &other.walkers, from);
        }
    }

    fn exchange(&mut self, other: &mut dyn Ensemble, mask: &[bool]) {
        let other: &mut Self = sibling_mut(other);
        let mine = self.walkers.clone();
        for chain in (0..mask.len()).filter(|&chain| mask[chain]) {
            self.walkers.assign(chain, &other.walkers, chain);
            other.walkers.assign(chain, &mine, chain);
        }
    }

    fn states(&self) -> Array2<f64> {
        match self.ends.reference().frame() {
            Some(frame) => frame.outward(self.walkers.states.view()),
            None => self.walkers.states.clone(),
        }
    }

    fn counts(&self) -> Counts {
        self.ends.counts
    }
}
