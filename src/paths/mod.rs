//! Families f_β, 0 ≤ β ≤ 1, from a reference of known log Z to the model, and blocks of chains that walk on them.
//!
//! Estimators see a [`Path`] and [`Ensemble`]s on it, never a model's storage: an RBM wants f32 rows with its pre-activations
//! cached, a lattice wants 64 chains in a machine word. To add a fast path for a model: one file with a type that implements
//! [`Path`], its `mod` line, and one line in `FAST`; models without one walk the geometric path ([`geometric`], [`finite`]).

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use ndarray::{Array2, ArrayView1, ArrayView2, ArrayViewMut2};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
pub use crate::kernels::StepStats;
use crate::kernels::{KernelChoice, ReferenceChoice};
use crate::math::Stream;
use crate::models::tails::tails;
use crate::models::{Model, Space};

mod bend;
pub mod finite;
pub mod geometric;
pub mod ising;
mod lean;
pub mod pairwise;
mod population;
pub mod rbm;
mod schedule;

pub use bend::Bend;
pub(crate) use population::check;
pub use population::{BLOCK, Population};
pub use schedule::Schedule;

/// A family f_β of unnormalised densities: f₀ has a known log Z and exact draws, f₁ = exp(−E).
pub trait Path: Send + Sync + fmt::Debug {
    /// Where states lie.
    fn space(&self) -> Space;

    /// log Z₀ = log ∫ f₀.
    fn log_z_reference(&self) -> f64;

    /// `chains` independent exact draws from f₀. The block owns its random stream from here on.
    fn sample_reference(&self, chains: usize, stream: Stream) -> Box<dyn Ensemble>;

    /// Chains put at given states, rows of the model's space: for reverse runs and for resuming.
    ///
    /// # Errors
    /// [`Error::Data`] for rows outside the space.
    fn adopt(&self, states: ArrayView2<'_, f64>, stream: Stream) -> Result<Box<dyn Ensemble>>;

    /// The same path with reference and kernel fitted to what a pilot saw; `None` when there is nothing to fit.
    fn tuned(&self, _pilot: &Pilot<'_>) -> Option<Arc<dyn Path>> {
        None
    }

    /// How the path bends; `None` for one that cannot.
    fn bend(&self) -> Option<&Bend> {
        None
    }

    /// The same path bent so, of as many bits; `None` where it cannot.
    fn bent(&self, _bend: Bend) -> Option<Arc<dyn Path>> {
        None
    }

    /// A [better bend](Bend::better), given the mean state at each of these βs, (betas, dim), and what the model's is thought to be;
    /// `None` for a path that cannot.
    fn better_bend(
        &self,
        _betas: &[f64],
        _means: ArrayView2<'_, f64>,
        _model: ArrayView1<'_, f64>,
        _share: f64,
    ) -> Option<Bend> {
        None
    }

    /// The same path from a reference that nothing leans: every state, or every state of the hidden units, is as likely as any other.
    /// `None` where this path starts there, on every run, or on ℝᵈ, where there is none.
    ///
    /// A reference that was fitted to chains in some of a model's modes has forgotten the others, and so has everything that starts
    /// from it.
    fn flat(&self) -> Option<Arc<dyn Path>> {
        None
    }

    /// Where the reference comes from, on finite spaces where there is more than one kind of it.
    fn start(&self) -> Option<Start> {
        None
    }

    /// Paths for a first look around, where the path's own reference is a mere guess: several widths of it, say.
    fn explorers(&self) -> Vec<Arc<dyn Path>> {
        Vec::new()
    }

    /// The same path from a reference that is deliberately much wider, where that makes sense: a run from it is evidence
    /// that does not share the reference's blind spots.
    fn widened(&self) -> Option<Arc<dyn Path>> {
        None
    }

    /// The same path with a kernel of much shorter steps, where it has a step size: it does not share the kernel's blind spots.
    fn finer(&self) -> Option<Arc<dyn Path>> {
        None
    }

    /// Chains to a block, in a population of `chains`: a block is what one thread works on. It may depend on the path and on
    /// `chains` but on nothing else, so that a run's numbers do not depend on how many threads share the blocks.
    fn block_size(&self, _chains: usize) -> usize {
        BLOCK
    }

    /// The same path without jumps, where this one has any: f₁ is always what it should be, but below β = 1 a path may go by a
    /// cheaper approximation of it, and the step to β = 1 sets that right. Integrals over β need a path without.
    fn smooth(&self) -> Option<Arc<dyn Path>> {
        None
    }

    /// How many chains a pilot needs to fit what the path fits to it.
    fn pilot_chains(&self) -> usize {
        PILOT_CHAINS
    }

    /// The kernel, in words.
    fn kernel(&self) -> String;

    /// The reference, in words, where there is more than one kind.
    fn reference(&self) -> Option<String> {
        None
    }
}

/// Where the reference of a path on a finite space comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// From nothing: it is flat, and stays so.
    Flat,
    /// From pilots, flat until one has run.
    Open,
    /// From data, or from base rates that a file stores.
    Known,
}

/// Chains of a pilot, where a path does not ask for more.
pub(crate) const PILOT_CHAINS: usize = 128;

/// What a person chose of a path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Choices {
    /// The Markov step.
    pub kernel: KernelChoice,
    /// Where chains start.
    pub reference: ReferenceChoice,
}

/// What a pilot run saw, for [`Path::tuned`].
#[derive(Debug)]
pub struct Pilot<'a> {
    /// One entry per step of the pilot's schedule.
    pub rungs: &'a [RungStats],
    /// Equally weighted draws, roughly from the model.
    pub states: ArrayView2<'a, f64>,
}

/// How a kernel fared at one rung.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RungStats {
    /// Where.
    pub beta: f64,
    /// What the population's steps said.
    pub step: StepStats,
}

/// How [`Ensemble::step`] moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// The kernel K_β, which leaves f_β invariant.
    Forward,
    /// Its time reversal: f_β(x) K_β(x→y) = f_β(y) K̃_β(y→x). Sweeps go in the opposite order; reversible kernels are their own.
    Reversed,
    /// As `Forward`, but step sizes follow the acceptance from step to step. For pilots only: the kernel depends on the past.
    Adapting,
}

/// One block of chains, in whatever layout makes its path fast.
///
/// Slices and columns have one entry per chain. All blocks of one path are siblings: they may be mixed in
/// [`Ensemble::copy_chains_from`] and [`Ensemble::exchange`], which panic on anything else.
pub trait Ensemble: Send + Any {
    /// How many chains.
    fn chains(&self) -> usize;

    /// log f_β(xᵢ) at each β, as (chains, betas).
    fn log_density(&mut self, betas: &[f64], out: ArrayViewMut2<'_, f64>);

    /// log f_to(xᵢ) − log f_from(xᵢ); the path decides what −∞ − (−∞) is.
    fn log_ratio(&mut self, from: f64, to: f64, out: &mut [f64]);

    /// ∂_β and ∂²_β of log f_β(xᵢ); the second is 0 on a path linear in β.
    fn derivatives(&mut self, beta: f64, first: &mut [f64], second: &mut [f64]);

    /// One kernel step of every chain at β. On finite spaces β may exceed 1, where f_β is colder than the model.
    fn step(&mut self, beta: f64, movement: Move) -> StepStats;

    /// Chain `to` becomes a copy of chain `from` of this block, for each (to, from); no `from` is also a `to`.
    fn copy_chains(&mut self, moves: &[(usize, usize)]);

    /// Chain `to` becomes a copy of chain `from` of a sibling block, for each (to, from).
    fn copy_chains_from(&mut self, other: &dyn Ensemble, moves: &[(usize, usize)]);

    /// Swaps chain i with chain i of a sibling block where `mask[i]`: a tempering exchange.
    fn exchange(&mut self, other: &mut dyn Ensemble, mask: &[bool]);

    /// The chains' states as rows of the model's space.
    fn states(&self) -> Array2<f64>;

    /// Work done by this block so far.
    fn counts(&self) -> Counts;
}

/// A block as the sibling that it must be.
///
/// # Panics
/// When it is of another type.
#[must_use]
pub fn sibling<T: Ensemble>(block: &dyn Ensemble) -> &T {
    let block: &dyn Any = block;
    block.downcast_ref().expect("blocks of one path are of one type")
}

/// A block as the sibling that it must be.
///
/// # Panics
/// When it is of another type.
pub fn sibling_mut<T: Ensemble>(block: &mut dyn Ensemble) -> &mut T {
    let block: &mut dyn Any = block;
    block.downcast_mut().expect("blocks of one path are of one type")
}

/// Work, as counted where it is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Energies of single states (a cached one counts when it is first computed).
    pub energy_evaluations: u64,
    /// Gradients of single states.
    pub gradient_evaluations: u64,
    /// Kernel steps of single chains.
    pub sweeps: u64,
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.energy_evaluations += other.energy_evaluations;
        self.gradient_evaluations += other.gradient_evaluations;
        self.sweeps += other.sweeps;
    }
}

impl std::ops::Sub for Counts {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self {
            energy_evaluations: self.energy_evaluations - other.energy_evaluations,
            gradient_evaluations: self.gradient_evaluations - other.gradient_evaluations,
            sweeps: self.sweeps - other.sweeps,
        }
    }
}

type Builder = fn(&Arc<dyn Model>, Option<ArrayView2<'_, f64>>) -> Option<Result<Arc<dyn Path>>>;

/// Paths made for particular models; the first that takes a model serves it.
const FAST: &[Builder] = &[rbm::for_model, ising::for_model, pairwise::for_model];

/// Chains at `states` on the family of models with energies (1 − β) E + β E′, where there is one made for the two: on others, a path to
/// [`blend`](crate::models::blend) serves at each β.
///
/// # Errors
/// As [`Population::adopt`].
pub(crate) fn between(
    one: &Arc<dyn Model>,
    other: &Arc<dyn Model>,
    states: ArrayView2<'_, f64>,
    stream: Stream,
) -> Result<Option<Population>> {
    let Some(bridge) = rbm::Bridge::new(one, other).map(Arc::new) else { return Ok(None) };
    let adopt = |rows: ArrayView2<'_, f64>, stream| bridge.adopt(rows, stream);
    Population::of_blocks(states, 64, stream, adopt).map(Some)
}

/// The best path for `model`, its reference fitted to `data` (rows of the model's space) where given.
///
/// # Errors
/// [`Error::Data`] for data outside the space, [`Error::NotApplicable`] for an
/// RBM so large that rounding alone would decide its log-weights, [`Error::NotNormalisable`] for a
/// density on ℝᵈ whose tails are too heavy to have an integral.
pub fn for_model(model: &Arc<dyn Model>, data: Option<ArrayView2<'_, f64>>) -> Result<Arc<dyn Path>> {
    chosen(model, data, Choices::default())
}

/// As [`for_model`], with the kernel and the reference that were chosen: with any but automatic ones the geometric path.
///
/// # Errors
/// As [`for_model`]; [`Error::Setting`] for a choice that does not apply.
pub fn chosen(
    model: &Arc<dyn Model>,
    data: Option<ArrayView2<'_, f64>>,
    choices: Choices,
) -> Result<Arc<dyn Path>> {
    if let Some(data) = data {
        model.space().check(data)?;
    }
    if choices != Choices::default() {
        if model.space().values().is_some() {
            let expected = "the model's space is finite, where chains move by Gibbs steps; leave it out";
            return Err(match choices.kernel {
                KernelChoice::Auto => Error::setting("--reference", choices.reference.name(), expected),
                kernel => Error::setting("--kernel", kernel.name(), expected),
            });
        }
        tails(&**model)?;
        return Ok(Arc::new(geometric::GeometricPath::chosen(Arc::clone(model), data, choices)?));
    }
    if let Some(path) = FAST.iter().find_map(|build| build(model, data)) {
        return path;
    }
    if model.space().values().is_some() {
        Ok(Arc::new(finite::FinitePath::new(Arc::clone(model), data)))
    } else {
        tails(&**model)?;
        Ok(Arc::new(geometric::GeometricPath::new(Arc::clone(model), data)))
    }
}
