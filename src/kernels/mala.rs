//! The Metropolis-adjusted Langevin algorithm.

use super::{Ends, Hmc, Kernel, StepStats, Walkers};
use crate::math::random::Generator;

/// x′ = x + ½ ε² s² ∇ log f_β(x) + ε s ξ, accepted by Metropolis–Hastings (Roberts & Tweedie 1996, doi:10.2307/3318418).
///
/// One leapfrog step of HMC with fresh momenta is this proposal with this acceptance probability, so it is run as that,
/// with the same shorter steps now and then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mala;

impl Kernel for Mala {
    fn name(&self) -> &'static str {
        "MALA"
    }

    fn uses_gradients(&self) -> bool {
        true
    }

    fn target_acceptance(&self) -> f64 {
        0.65
    }

    fn step(
        &self,
        walkers: &mut Walkers,
        ends: &mut dyn Ends,
        beta: f64,
        scale: f64,
        generator: &mut Generator,
    ) -> StepStats {
        Hmc { longest: 1 }.step(walkers, ends, beta, scale, generator)
    }
}
