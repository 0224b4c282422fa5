//! Random-walk Metropolis.

use rand_distr::{Distribution, StandardNormal};

use super::{Ends, Kernel, StepStats, Walkers, accept, level, lost, reflect};
use crate::math::random::Generator;

/// x′ = x + ε s ξ with normal ξ, accepted with probability min(1, f_β(x′)/f_β(x)); needs no gradient.
///
/// Walls of a box reflect, which keeps the proposal symmetric.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RandomWalk;

impl Kernel for RandomWalk {
    fn name(&self) -> &'static str {
        "random-walk Metropolis"
    }

    fn uses_gradients(&self) -> bool {
        false
    }

    fn target_acceptance(&self) -> f64 {
        0.3
    }

    fn step(
        &self,
        walkers: &mut Walkers,
        ends: &mut dyn Ends,
        beta: f64,
        scale: f64,
        generator: &mut Generator,
    ) -> StepStats {
        let mut states = walkers.states.clone();
        let (scales, bounds) = (ends.reference().scales(), ends.reference().bounds());
        for mut state in states.rows_mut() {
            for (i, x) in state.iter_mut().enumerate() {
                let noise: f64 = StandardNormal.sample(generator);
                *x += scale * scales[i] * noise;
                if let Some((lower, upper)) = bounds {
                    *x = reflect(*x, lower[i], upper[i]).0;
                }
            }
        }
        let proposals = Walkers::new(states, ends, false);
        let log_ratio: Vec<f64> = (0..walkers.states.nrows())
            .map(|chain| {
                let lost = lost(walkers, proposals.target[chain], chain);
                level(beta, proposals.ends(chain), lost) - level(beta, walkers.ends(chain), lost)
            })
            .collect();
        accept(walkers, proposals, &log_ratio, scale, generator)
    }
}
