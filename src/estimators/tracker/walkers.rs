//! Chains that walk from one model to the next, and what they are worth.

use std::sync::Arc;

use ndarray::{Array2, ArrayView2};
use rand::RngExt;

use super::{AIMED, Source, Tracked, Tracking};
use crate::error::{Error, Result};
use crate::estimators::annealing::{Resampling, families};
use crate::estimators::estimate::Direction;
use crate::estimators::monitor::Monitor;
use crate::estimators::phases::Phases;
use crate::estimators::pilot;
use crate::estimators::rounds::Rounds;
use crate::estimators::settings::Settings;
use crate::estimators::verdict::doubts_about;
use crate::estimators::walk::{self, Pair};
use crate::math::{LogWeights, Stream};
use crate::models::{Model, energies};
use crate::paths::Schedule;

/// Fewest rungs between two models: sweeps cost little there, and let chains move on.
const LEAST_RUNGS: usize = 8;
/// Fewest rungs of annealing.
const LEAST_ANNEALED: f64 = 128.0;
/// Chains are annealed anew where the standard error has grown to this many times what annealing last gave, and to this many nats, but
/// not before so many models: a training that runs ahead of its chains would pay for annealing at every epoch.
const MOST_GROWN: f64 = 2.0;
const TOLERATED: f64 = 0.25;
const LEAST_AGE: usize = 5;

/// Chains with weights whose log-mean estimates log Z of the model that they have come to.
#[derive(Clone, Debug, PartialEq)]
pub struct Walkers {
    /// A state per row.
    pub states: Array2<f64>,
    /// Log-weights.
    pub log_weights: Vec<f64>,
    /// The start, when they were last annealed, that each descends from.
    pub starts: Vec<usize>,
    /// The standard error that annealing gave then.
    pub annealed_std_err: f64,
}

impl Walkers {
    /// Sums of the weights of each start's descendants.
    fn families(&self) -> LogWeights {
        families(&LogWeights::new(self.log_weights.clone()), &self.starts)
    }

    /// What they say of log Z; the standard error is infinite where families are too few or too unequal for one.
    pub(super) fn tracked(&self, source: Source) -> Tracked {
        let families = self.families();
        let trusted = doubts_about(&families).is_empty();
        Tracked {
            log_z: families.log_mean(),
            std_err: if trusted { families.std_err() } else { f64::INFINITY },
            source,
            effective_sample_size: families.effective_sample_size(),
            followed: None,
        }
    }

    /// Whether chains that were annealed so many models ago, and whose standard error is this now, would be better annealed anew.
    pub(super) fn are_worn(&self, age: usize, std_err: f64) -> bool {
        age >= LEAST_AGE && std_err > TOLERATED.max(MOST_GROWN * self.annealed_std_err)
    }

    pub(super) fn check(&self, model: &dyn Model) -> Result<()> {
        model.space().check(self.states.view())?;
        let chains = self.states.nrows();
        let fit = self.log_weights.len() == chains
            && self.starts.len() == chains
            && self.starts.iter().all(|&start| start < chains)
            && self.log_weights.iter().all(|w| *w < f64::INFINITY);
        if fit {
            return Ok(());
        }
        Err(Error::data(format!(
            "{chains} chains with {} weights and {} starts are no tracker's",
            self.log_weights.len(),
            self.starts.len()
        )))
    }

    /// From `before` to `model`; `None` where that is not to be done. Over rows of `data` it judges how many rungs lie between them.
    pub(super) fn walk(
        self,
        (before, model): (&Arc<dyn Model>, &Arc<dyn Model>),
        data: ArrayView2<'_, f64>,
        settings: &Tracking,
        stream: Stream,
        monitor: &dyn Monitor,
    ) -> Result<Option<Self>> {
        if model.space().values().is_none() {
            return Ok(None);
        }
        // Data are no chains: what they decide leaves weights unbiased.
        let variance = (energies(&**model, data) - energies(&**before, data)).var(1.0);
        let most = settings.anchor as f64 / self.states.nrows() as f64;
        let rungs = variance / AIMED;
        if rungs.is_nan() || rungs > most {
            return Ok(None);
        }
        let schedule = Schedule::linear((rungs.ceil() as usize).max(LEAST_RUNGS));
        let Self { states, log_weights, starts, annealed_std_err } = self;
        let resampling = Resampling::at_half(stream.child(u64::MAX));
        let pair = Pair { one: before, other: model };
        let walkers = walk::Walkers { states, log_weights, starts };
        let (arrived, _) =
            pair.walk(walkers, &schedule, Direction::Forward, Some(resampling), stream, monitor)?;
        Ok(Some(Self {
            states: arrived.states,
            log_weights: arrived.weights.log().to_vec(),
            starts: arrived.starts,
            annealed_std_err,
        }))
    }

    /// Chains from the reference of `model`, for so many sweeps at most.
    pub(super) fn annealed(
        model: &Arc<dyn Model>,
        data: ArrayView2<'_, f64>,
        (chains, sweeps): (usize, u64),
        stream: Stream,
        monitor: &dyn Monitor,
    ) -> Result<Self> {
        let settings = Settings {
            budget: Some(sweeps),
            chains: Some(chains),
            seed: stream.generator().random(),
            data: Some(data.to_owned()),
            ..Settings::default()
        };
        let mut phases = Phases::new(monitor);
        let rounds = |_: &dyn crate::paths::Path| Rounds { answer: 1.1, evidence: 0.0, resampled: true };
        let mut plan = pilot::plan(model, &settings, rounds, &mut phases)?;
        // A budget is spent whole, but what is easy needs less.
        if let Some(last) = plan.records.last() {
            let wanted = (last.rungs as f64 * last.log_weight_variance / AIMED).max(LEAST_ANNEALED);
            plan.schedule = plan.schedule.with_rungs((wanted as usize).min(plan.schedule.rungs()));
        }
        let run = plan.anneal("annealing", stream.child(0), &mut phases)?;
        let log_z = plan.path.log_z_reference();
        let mut walkers = Self {
            states: run.population.states(),
            log_weights: run.weights.log().iter().map(|weight| weight + log_z).collect(),
            starts: run.starts,
            annealed_std_err: 0.0,
        };
        walkers.annealed_std_err = walkers.tracked(Source::Annealed).std_err;
        Ok(walkers)
    }
}
