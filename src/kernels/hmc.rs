//! Hamiltonian Monte Carlo with a jittered number of leapfrog steps.

use ndarray::Array2;
use rand::RngExt;
use rand_distr::{Distribution, StandardNormal};

use super::{Ends, Kernel, StepStats, Values, Walkers, accept, mix, reflect};
use crate::math::random::Generator;

/// Leapfrog trajectories accepted by the change of total energy (Duane, Kennedy, Pendleton & Roweth 1987,
/// doi:10.1016/0370-2693(87)91197-X; Neal 2011, arXiv:1206.1901).
///
/// The number of steps is drawn anew each time, uniformly from 1 to `longest`, so that no periodic orbit can trap a chain.
/// Positions are in units of the path's scales; walls of a box reflect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hmc {
    /// The largest number of leapfrog steps, at least 1.
    pub longest: usize,
}

impl Default for Hmc {
    fn default() -> Self {
        Self { longest: 10 }
    }
}

impl Kernel for Hmc {
    fn name(&self) -> &'static str {
        "HMC"
    }

    fn uses_gradients(&self) -> bool {
        true
    }

    fn target_acceptance(&self) -> f64 {
        0.8
    }

    fn step(
        &self,
        walkers: &mut Walkers,
        ends: &mut dyn Ends,
        beta: f64,
        scale: f64,
        generator: &mut Generator,
    ) -> StepStats {
        let steps = generator.random_range(1..=self.longest.max(1));
        let mut momenta =
            Array2::from_shape_simple_fn(walkers.states.dim(), || StandardNormal.sample(generator));
        let before = total(walkers, &momenta, beta);
        let scales = ends.scales().to_vec();
        let bounds = ends.bounds().map(|(lower, upper)| (lower.to_vec(), upper.to_vec()));
        let mut proposals = walkers.clone();
        kick(&mut momenta, &proposals.values, &scales, beta, 0.5 * scale);
        for step in 0..steps {
            for (mut state, mut momentum) in proposals.states.rows_mut().into_iter().zip(momenta.rows_mut()) {
                for i in 0..scales.len() {
                    state[i] += scale * scales[i] * momentum[i];
                    if let Some((lower, upper)) = &bounds {
                        let (inside, turned) = reflect(state[i], lower[i], upper[i]);
                        state[i] = inside;
                        if turned {
                            momentum[i] = -momentum[i];
                        }
                    }
                }
            }
            proposals.values = ends.evaluate(proposals.states.view(), true);
            let last = step + 1 == steps;
            kick(&mut momenta, &proposals.values, &scales, beta, if last { 0.5 * scale } else { scale });
        }
        let after = total(&proposals, &momenta, beta);
        let log_ratio: Vec<f64> = after.iter().zip(&before).map(|(after, before)| after - before).collect();
        accept(walkers, &proposals, &log_ratio, scale, generator)
    }
}

/// log f_β(x) − |p|²/2 of each walker.
fn total(walkers: &Walkers, momenta: &Array2<f64>, beta: f64) -> Vec<f64> {
    momenta
        .rows()
        .into_iter()
        .enumerate()
        .map(|(chain, p)| {
            let log_density = mix(beta, walkers.values.reference[chain], walkers.values.target[chain]);
            log_density - 0.5 * p.dot(&p)
        })
        .collect()
}

/// p += ε s ∇ log f_β.
fn kick(momenta: &mut Array2<f64>, values: &Values, scales: &[f64], beta: f64, epsilon: f64) {
    let (reference, target) = values.gradients.as_ref().expect("HMC asks for gradients");
    for ((mut p, r), t) in momenta.rows_mut().into_iter().zip(reference.rows()).zip(target.rows()) {
        for i in 0..scales.len() {
            p[i] += epsilon * scales[i] * mix(beta, r[i], t[i]);
        }
    }
}
