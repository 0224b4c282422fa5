//! Markov steps on continuous spaces that leave log f_β = (1−β) log f₀ + β log f₁ invariant.
//!
//! A kernel moves a block of [`Walkers`] with everything it knows about them cached; it asks the [`Ends`] of the path for new
//! values. To add one: a file with a type that implements [`Kernel`], its `mod` line, and its name in
//! [`KernelChoice`]. Gibbs kernels need a model's structure
//! and live with the paths that have it.

use std::fmt;

use ndarray::{Array1, Array2, ArrayView2};

use crate::math::random::Generator;

mod choice;
mod elliptical_slice;
mod hmc;
mod mala;
mod random_walk;
pub mod reference;

pub use choice::{KernelChoice, ReferenceChoice};
pub use elliptical_slice::EllipticalSlice;
pub use hmc::Hmc;
pub use mala::Mala;
pub use random_walk::RandomWalk;
pub use reference::Reference;

/// Σ xᵢ², for a caller inside [`dispatch`].
#[inline(always)]
fn sum_of_squares(values: &[f64]) -> f64 {
    const LANES: usize = 16;
    let mut lanes = [0.0; LANES];
    let (whole, rest) = values.as_chunks::<LANES>();
    for values in whole {
        for k in 0..LANES {
            lanes[k] += values[k] * values[k];
        }
    }
    lanes.iter().sum::<f64>() + rest.iter().map(|x| x * x).sum::<f64>()
}

/// Both ends of a geometric path: f₀, and f₁ as the model gives it, counted.
pub trait Ends {
    /// f₀.
    fn reference(&self) -> &Reference;

    /// log f₁(xᵢ) = −E(xᵢ) of each row.
    fn evaluate(&mut self, states: ArrayView2<'_, f64>) -> Array1<f64>;

    /// log f₁(xᵢ) of each row, and ∇E(xᵢ) as rows in standard layout.
    fn evaluate_with_gradient(&mut self, states: ArrayView2<'_, f64>) -> (Array1<f64>, Array2<f64>);
}

/// A block of chains with what is known of them; nothing in it depends on β.
#[derive(Clone, Debug)]
pub struct Walkers {
    /// xᵢ, (n, dim).
    pub states: Array2<f64>,
    /// log f₀(xᵢ).
    pub reference: Array1<f64>,
    /// log f₁(xᵢ).
    pub target: Array1<f64>,
    /// ∇E(xᵢ), (n, dim), for kernels that use it.
    pub gradient: Option<Array2<f64>>,
}

impl Walkers {
    /// Chains at `states`.
    pub fn new(states: Array2<f64>, ends: &mut dyn Ends, gradients: bool) -> Self {
        let states = states.as_standard_layout().into_owned();
        let (target, gradient) = if gradients {
            let (target, gradient) = ends.evaluate_with_gradient(states.view());
            (target, Some(gradient))
        } else {
            (ends.evaluate(states.view()), None)
        };
        let reference = ends.reference().log_densities(&states);
        Self { states, reference, target, gradient }
    }

    /// log f₀ and log f₁ of a chain.
    fn ends(&self, chain: usize) -> (f64, f64) {
        (self.reference[chain], self.target[chain])
    }

    /// Chain `to` becomes chain `from` of `other`.
    pub fn assign(&mut self, to: usize, other: &Self, from: usize) {
        self.states.row_mut(to).assign(&other.states.row(from));
        self.reference[to] = other.reference[from];
        self.target[to] = other.target[from];
        if let (Some(gradient), Some(other)) = (&mut self.gradient, &other.gradient) {
            gradient.row_mut(to).assign(&other.row(from));
        }
    }
}

/// A Markov step with one step size.
pub trait Kernel: Send + Sync + fmt::Debug {
    /// Its name.
    fn name(&self) -> &'static str;

    /// Whether it needs gradients.
    fn uses_gradients(&self) -> bool;

    /// The acceptance that step sizes are tuned to.
    fn target_acceptance(&self) -> f64;

    /// Whether it has a step size.
    fn has_step_size(&self) -> bool {
        true
    }

    /// Whether it leaves f_β alone only where f₀ is normal.
    fn needs_normal_reference(&self) -> bool {
        false
    }

    /// One reversible step of every walker at β with step size `scale`.
    fn step(
        &self,
        walkers: &mut Walkers,
        ends: &mut dyn Ends,
        beta: f64,
        scale: f64,
        generator: &mut Generator,
    ) -> StepStats;
}

/// One kernel step of a block of chains.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StepStats {
    /// Proposals made; 0 for kernels that always accept.
    pub proposals: f64,
    /// Sum of their acceptance probabilities.
    pub accepted: f64,
    /// Step size used (for kernels that have one), summed over proposals.
    pub scale: f64,
}

impl StepStats {
    /// Mean acceptance probability; `None` for kernels that do not propose.
    #[must_use]
    pub fn acceptance(&self) -> Option<f64> {
        (self.proposals > 0.0).then(|| self.accepted / self.proposals)
    }

    /// Mean step size; `None` for kernels without one.
    #[must_use]
    pub fn mean_scale(&self) -> Option<f64> {
        (self.proposals > 0.0).then(|| self.scale / self.proposals)
    }
}

impl std::ops::AddAssign for StepStats {
    fn add_assign(&mut self, other: Self) {
        self.proposals += other.proposals;
        self.accepted += other.accepted;
        self.scale += other.scale;
    }
}

/// (1−β) x + β y, where the end points are taken whole so that 0 · ∞ never makes NaN.
#[must_use]
pub fn mix(beta: f64, x: f64, y: f64) -> f64 {
    if beta == 0.0 {
        x
    } else if beta == 1.0 {
        y
    } else {
        (1.0 - beta) * x + beta * y
    }
}

/// The density by which a step between two states is accepted: log f_β of the one that has these `ends`, log f₀ and log f₁; log f₀
/// where f₁ is zero at both.
///
/// Such a chain carries no weight, and f_β does not see where it goes: it walks as the reference does until it meets a state that the
/// model allows, where it would stand still for ever if it were refused.
fn level(beta: f64, (reference, target): (f64, f64), lost: bool) -> f64 {
    if lost { reference } else { mix(beta, reference, target) }
}

/// Replaces the walkers whose proposal is accepted; `log_ratio` is the log of the acceptance ratio of each. Chains where f₁ is zero are
/// left out of what is counted: step sizes are for those that carry weight.
///
/// A proposal near the reference whose density is NaN is taken, so that the NaN reaches the weights and is reported; a trajectory
/// that diverged, where any energy may overflow to NaN, is refused.
fn accept(
    walkers: &mut Walkers,
    mut proposals: Walkers,
    log_ratio: &[f64],
    scale: f64,
    generator: &mut Generator,
) -> StepStats {
    use rand::RngExt;
    let mut stats = StepStats::default();
    for (chain, &log_ratio) in log_ratio.iter().enumerate() {
        let uniform: f64 = generator.random();
        // Within about 1,400 reference standard deviations.
        let broken = proposals.target[chain].is_nan()
            && proposals.reference[chain] > -1e6
            && proposals.states.row(chain).iter().all(|x| x.is_finite());
        let probability = match log_ratio {
            ratio if ratio >= 0.0 => 1.0,
            ratio if ratio.is_nan() => 0.0,
            ratio => ratio.exp(),
        };
        if walkers.target[chain] != f64::NEG_INFINITY {
            stats.proposals += 1.0;
            stats.accepted += probability;
            stats.scale += scale;
        }
        // Most are accepted, so it is the others that are copied.
        if !(broken || uniform < probability) {
            proposals.assign(chain, walkers, chain);
        }
    }
    *walkers = proposals;
    stats
}

/// Whether f₁ is zero both where a chain is and where it would go.
fn lost(before: &Walkers, after: f64, chain: usize) -> bool {
    before.target[chain] == f64::NEG_INFINITY && after == f64::NEG_INFINITY
}

/// Folds a coordinate back into [lower, upper] as a ball between two walls, and says whether its direction has changed.
fn reflect(x: f64, lower: f64, upper: f64) -> (f64, bool) {
    let width = upper - lower;
    if !x.is_finite() || (lower..=upper).contains(&x) {
        return (x, false);
    }
    let turned = (x - lower).rem_euclid(2.0 * width);
    if turned <= width { (lower + turned, false) } else { (upper - (turned - width), true) }
}

#[cfg(test)]
mod tests {
    use super::reflect;

    #[test]
    fn walls_reflect() {
        assert_eq!(reflect(0.25, 0.0, 1.0), (0.25, false));
        assert_eq!(reflect(1.25, 0.0, 1.0), (0.75, true));
        assert_eq!(reflect(-0.25, 0.0, 1.0), (0.25, true));
        assert_eq!(reflect(2.25, 0.0, 1.0), (0.25, false));
    }
}
