//! What evaluations and sweeps cost on one model, measured, so that different methods can be held to one budget.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::math::Stream;
use crate::models::Model;
use crate::paths::{self, Counts, Move, Population};

/// Chains that are timed: enough blocks for every thread of a large machine.
const CHAINS: usize = 1024;
/// How long to time.
const LONG_ENOUGH: Duration = Duration::from_millis(100);

/// Seconds per call on one model, on all threads of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prices {
    /// An energy of one state.
    pub energy: f64,
    /// A gradient at one state.
    pub gradient: f64,
    /// A kernel step of one chain, apart from the energies and gradients in it.
    pub sweep: f64,
    /// A kernel step with all that it contains and the weight that annealing takes at it: the unit of cost.
    pub whole_sweep: f64,
}

impl Prices {
    /// Times steps and weights of 1,024 chains halfway between reference and model for a tenth of a second.
    ///
    /// # Errors
    /// As [`paths::for_model`] and [`Population::log_ratio`].
    pub fn measure(model: &Arc<dyn Model>) -> Result<Self> {
        let path = paths::for_model(model, None)?;
        let mut population = Population::from_reference(path.as_ref(), CHAINS, Stream::new(0));
        population.step(0.5, Move::Adapting);
        let (mut stepping, mut weighing) = (Duration::ZERO, Duration::ZERO);
        let (mut in_steps, mut in_weights) = (Counts::default(), Counts::default());
        while stepping + weighing < LONG_ENOUGH {
            let before = population.counts();
            let start = Instant::now();
            population.step(0.5, Move::Forward);
            stepping += start.elapsed();
            let between = population.counts();
            let start = Instant::now();
            population.log_ratio(0.5, 0.501)?;
            weighing += start.elapsed();
            in_steps += between - before;
            in_weights += population.counts() - between;
        }
        let per = |seconds: f64, count: u64| if count > 0 { seconds.max(0.0) / count as f64 } else { 0.0 };
        let energy = per(weighing.as_secs_f64(), in_weights.energy_evaluations);
        let moving = stepping.as_secs_f64() - energy * in_steps.energy_evaluations as f64;
        let by_gradient = in_steps.gradient_evaluations > 0;
        Ok(Self {
            energy,
            gradient: per(moving, in_steps.gradient_evaluations),
            sweep: if by_gradient { 0.0 } else { per(moving, in_steps.sweeps) },
            whole_sweep: per((stepping + weighing).as_secs_f64(), in_steps.sweeps),
        })
    }

    /// What `counts` cost, in sweeps.
    #[must_use]
    pub fn in_sweeps(&self, counts: &Counts) -> f64 {
        let seconds = self.energy * counts.energy_evaluations as f64
            + self.gradient * counts.gradient_evaluations as f64
            + self.sweep * counts.sweeps as f64;
        seconds / self.whole_sweep
    }
}
