//! Hamiltonian Monte Carlo with a jittered number of leapfrog steps.

use ndarray::Array2;
use rand::RngExt;
use rand::seq::IndexedRandom;

use super::{Ends, Kernel, Reference, StepStats, Walkers, accept, level, lost, reflect, sum_of_squares};
use crate::math::random::Generator;
use crate::math::simd::{Lanes, dispatch, fill_normal};

/// Leapfrog trajectories accepted by the change of total energy (Duane, Kennedy, Pendleton & Roweth 1987,
/// doi:10.1016/0370-2693(87)91197-X; Neal 2011, arXiv:1206.1901).
///
/// The number of steps is drawn anew each time, uniformly from 1 to `longest`, so that no periodic orbit can trap a chain.
/// One trajectory in ten takes steps of a quarter of the size, and one in ten of a sixteenth, for regions that are stiffer
/// than most of the mass: chains that have come there would be refused for ever, and few would come. Positions are in units of the
/// path's scales; walls of a box reflect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hmc {
    /// The largest number of leapfrog steps, at least 1.
    pub longest: usize,
}

/// What the steps of a trajectory are multiplied by, each as likely as the others.
const FACTORS: [f64; 10] = [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0 / 4.0, 1.0 / 16.0];

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
        let step = scale * *FACTORS.choose(generator).expect("there are ten");
        let mut momenta = Array2::zeros(walkers.states.dim());
        fill_normal(&mut Lanes::new(&mut *generator), slice_mut(&mut momenta));
        let mut states = walkers.states.clone();
        let gradient = walkers.gradient.as_ref().expect("chains of HMC are made with gradients");
        let mut log_ratio = vec![0.0; states.nrows()];
        kinetic(&momenta, &mut log_ratio);
        let push = Push { beta, kick: 0.5 * step, drift: step };
        push.leap(ends.reference(), &mut states, &mut momenta, gradient);
        let (mut target, mut gradient) = ends.evaluate_with_gradient(states.view());
        for _ in 1..steps {
            Push { kick: step, ..push }.leap(ends.reference(), &mut states, &mut momenta, &gradient);
            (target, gradient) = ends.evaluate_with_gradient(states.view());
        }
        let log_reference = ends.reference().log_densities(&states);
        push.kick(ends.reference(), &states, &mut momenta, &gradient);
        let mut after = vec![0.0; states.nrows()];
        kinetic(&momenta, &mut after);
        for (chain, ratio) in log_ratio.iter_mut().enumerate() {
            let lost = lost(walkers, target[chain], chain);
            *ratio -= level(beta, walkers.ends(chain), lost);
            *ratio += level(beta, (log_reference[chain], target[chain]), lost) - after[chain];
        }
        let proposals = Walkers { states, reference: log_reference, target, gradient: Some(gradient) };
        accept(walkers, proposals, &log_ratio, scale, generator)
    }
}

/// What moves chains along: p += ε s ∇ log f_β with ε = `kick`, and x += δ s p with δ = `drift`, s the scales.
#[derive(Clone, Copy, Debug)]
struct Push {
    beta: f64,
    kick: f64,
    drift: f64,
}

impl Push {
    /// The kick and then the drift of every chain; walls reflect.
    fn leap(
        self,
        reference: &Reference,
        states: &mut Array2<f64>,
        momenta: &mut Array2<f64>,
        gradient: &Array2<f64>,
    ) {
        let Some((lower, upper)) = reference.bounds() else {
            return self.over(reference, states, momenta, gradient);
        };
        self.kick(reference, states, momenta, gradient);
        for (mut state, mut momentum) in states.rows_mut().into_iter().zip(momenta.rows_mut()) {
            for (i, scale) in reference.scales().iter().enumerate() {
                let (inside, turned) =
                    reflect(state[i] + self.drift * scale * momentum[i], lower[i], upper[i]);
                state[i] = inside;
                if turned {
                    momentum[i] = -momentum[i];
                }
            }
        }
    }

    /// The kick alone.
    fn kick(
        self,
        reference: &Reference,
        states: &Array2<f64>,
        momenta: &mut Array2<f64>,
        gradient: &Array2<f64>,
    ) {
        let dim = states.ncols().max(1);
        let pulls = self.shaped(reference, states, momenta);
        let (states, momenta, gradient) = (slice(states), slice_mut(momenta), slice(gradient));
        dispatch(
            #[inline(always)]
            || {
                let rows = states.chunks_exact(dim).zip(momenta.chunks_exact_mut(dim));
                for (row, ((state, momentum), gradient)) in rows.zip(gradient.chunks_exact(dim)).enumerate() {
                    slow(state, momentum, gradient, reference, self.brake(pulls.as_deref(), row));
                }
            },
        );
    }

    /// Kick and drift in one pass, without walls.
    fn over(
        self,
        reference: &Reference,
        states: &mut Array2<f64>,
        momenta: &mut Array2<f64>,
        gradient: &Array2<f64>,
    ) {
        let dim = states.ncols().max(1);
        let pulls = self.shaped(reference, states, momenta);
        let (states, momenta, gradient) = (slice_mut(states), slice_mut(momenta), slice(gradient));
        dispatch(
            #[inline(always)]
            || {
                let rows = states.chunks_exact_mut(dim).zip(momenta.chunks_exact_mut(dim));
                for (row, ((state, momentum), gradient)) in rows.zip(gradient.chunks_exact(dim)).enumerate() {
                    let brake = self.brake(pulls.as_deref(), row);
                    move_on(state, momentum, gradient, reference, brake, self.drift);
                }
            },
        );
    }

    /// The part of the kick that is the reference's own, where it is no normal distribution: its slopes are taken from the momenta
    /// here, or the answer says by what the fused loops have to multiply each chain's pull.
    fn shaped(
        self,
        reference: &Reference,
        states: &Array2<f64>,
        momenta: &mut Array2<f64>,
    ) -> Option<Vec<f64>> {
        if self.beta == 1.0 {
            return None;
        }
        if let Some(slopes) = reference.slopes(states) {
            momenta.scaled_add(-self.kick * (1.0 - self.beta), &slopes);
        }
        reference.pulls(states)
    }

    /// ε (1−β) and ε β: what (x − centre)/s and s ∇E take from the momentum.
    #[inline(always)]
    fn brake(self, pulls: Option<&[f64]>, row: usize) -> (f64, f64) {
        let pull = pulls.map_or(1.0, |pulls| pulls[row]);
        (self.kick * (1.0 - self.beta) * pull, self.kick * self.beta)
    }
}

/// What a momentum loses. An end that has no part in f_β is left out whatever it is, so that 0 · ∞ never makes NaN.
#[inline(always)]
fn loss((pull, slope): (f64, f64), down: f64, up: f64) -> f64 {
    let from_reference = if pull == 0.0 { 0.0 } else { pull * down };
    let from_target = if slope == 0.0 { 0.0 } else { slope * up };
    from_reference + from_target
}

#[inline(always)]
fn slow(state: &[f64], momentum: &mut [f64], gradient: &[f64], reference: &Reference, brake: (f64, f64)) {
    let n = state.len();
    let (momentum, gradient) = (&mut momentum[..n], &gradient[..n]);
    let Reference { centre, scales, rates, .. } = reference;
    let (centre, scales, rates) = (&centre[..n], &scales[..n], &rates[..n]);
    for i in 0..n {
        momentum[i] -= loss(brake, (state[i] - centre[i]) * rates[i], scales[i] * gradient[i]);
    }
}

/// With slices as arguments, so that the compiler knows them apart.
#[inline(always)]
fn move_on(
    state: &mut [f64],
    momentum: &mut [f64],
    gradient: &[f64],
    reference: &Reference,
    brake: (f64, f64),
    drift: f64,
) {
    let n = state.len();
    let (state, momentum, gradient) = (&mut state[..n], &mut momentum[..n], &gradient[..n]);
    let Reference { centre, scales, rates, .. } = reference;
    let (centre, scales, rates) = (&centre[..n], &scales[..n], &rates[..n]);
    for i in 0..n {
        let p = momentum[i] - loss(brake, (state[i] - centre[i]) * rates[i], scales[i] * gradient[i]);
        momentum[i] = p;
        state[i] += drift * scales[i] * p;
    }
}

/// |p|²/2 of every chain.
fn kinetic(momenta: &Array2<f64>, out: &mut [f64]) {
    let rows = slice(momenta).chunks_exact(momenta.ncols().max(1));
    dispatch(
        #[inline(always)]
        || {
            for (out, momentum) in out.iter_mut().zip(rows) {
                *out = 0.5 * sum_of_squares(momentum);
            }
        },
    );
}

fn slice(array: &Array2<f64>) -> &[f64] {
    array.as_slice().expect("arrays of a block are in standard layout")
}

fn slice_mut(array: &mut Array2<f64>) -> &mut [f64] {
    array.as_slice_mut().expect("arrays of a block are in standard layout")
}
