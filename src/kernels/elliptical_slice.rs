//! Elliptical slice sampling: moves without a step size, from a normal reference.

use std::f64::consts::TAU;

use ndarray::{Array2, Axis};
use rand::RngExt;

use super::{Ends, Kernel, StepStats, Walkers};
use crate::math::random::Generator;
use crate::math::simd::{Lanes, fill_normal};

/// Shrinkages after which a chain stays where it is: by then its bracket is narrower than rounding.
const MOST_SHRINKAGES: usize = 100;

/// With f_β = f₀ e^ℓ, ℓ = β (log f₁ − log f₀) and f₀ normal: x′ = c + (x − c) cos θ + ν sin θ for a fresh ν ~ f₀ − c, with θ from a
/// bracket that shrinks towards 0 until ℓ(x′) exceeds ℓ(x) + log u (Murray, Adams & MacKay 2010, arXiv:1001.0175).
///
/// Reversible for every β, needs no gradient and no step size, and always moves. All chains of a block shrink their brackets together,
/// and only those still outside their slice are evaluated. It suits models that are a normal distribution times a mild factor: where
/// f₁ is much narrower than f₀, brackets shrink many times and moves are short.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EllipticalSlice;

/// β (log f₁ − log f₀): 0 at β = 0 whatever f₁ is.
fn tilt(beta: f64, reference: f64, target: f64) -> f64 {
    if beta == 0.0 { 0.0 } else { beta * (target - reference) }
}

impl Kernel for EllipticalSlice {
    fn name(&self) -> &'static str {
        "elliptical slice sampling"
    }

    fn uses_gradients(&self) -> bool {
        false
    }

    fn target_acceptance(&self) -> f64 {
        1.0
    }

    fn has_step_size(&self) -> bool {
        false
    }

    fn needs_normal_reference(&self) -> bool {
        true
    }

    fn step(
        &self,
        walkers: &mut Walkers,
        ends: &mut dyn Ends,
        beta: f64,
        _scale: f64,
        generator: &mut Generator,
    ) -> StepStats {
        let (chains, dim) = walkers.states.dim();
        let (centre, scales) = (ends.reference().centre().to_vec(), ends.reference().scales().to_vec());
        let mut noise = Array2::zeros((chains, dim));
        let whole = noise.as_slice_mut().expect("a fresh array is contiguous");
        fill_normal(&mut Lanes::new(&mut *generator), whole);
        let mut levels = Vec::with_capacity(chains);
        let mut brackets = Vec::with_capacity(chains);
        for chain in 0..chains {
            // 1 − u, so that its logarithm is finite.
            let uniform: f64 = 1.0 - generator.random::<f64>();
            levels.push(tilt(beta, walkers.reference[chain], walkers.target[chain]) + uniform.ln());
            let angle = TAU * generator.random::<f64>();
            brackets.push((angle, angle - TAU, angle));
        }
        let mut open: Vec<usize> = (0..chains).collect();
        for _ in 0..MOST_SHRINKAGES {
            if open.is_empty() {
                break;
            }
            let mut states = walkers.states.select(Axis(0), &open);
            for (mut state, &chain) in states.rows_mut().into_iter().zip(&open) {
                let (sine, cosine) = brackets[chain].0.sin_cos();
                for i in 0..dim {
                    state[i] =
                        centre[i] + (state[i] - centre[i]) * cosine + scales[i] * noise[[chain, i]] * sine;
                }
            }
            let proposals = Walkers::new(states, ends, false);
            let mut outside = Vec::new();
            for (row, &chain) in open.iter().enumerate() {
                let tilt = tilt(beta, proposals.reference[row], proposals.target[row]);
                // NaN is taken, so that it reaches the weights and is reported.
                if tilt < levels[chain] {
                    let (angle, low, high) = &mut brackets[chain];
                    *(if *angle < 0.0 { low } else { high }) = *angle;
                    brackets[chain].0 = {
                        let (_, low, high) = brackets[chain];
                        low + (high - low) * generator.random::<f64>()
                    };
                    outside.push(chain);
                } else {
                    walkers.assign(chain, &proposals, row);
                }
            }
            open = outside;
        }
        StepStats::default()
    }
}
