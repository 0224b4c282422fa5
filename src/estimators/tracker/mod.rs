//! log Z of one model after another, such as the machine after each epoch of a training, by chains that follow them.

use std::fmt;
use std::sync::Arc;

use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};

use super::ladder::Positions;
use super::monitor::{Monitor, Silent};
use super::quadrature::Quadrature;
use super::settings::{LEAST_BUDGET, Settings};
use super::{Estimator, quickest_exact};
use crate::error::{Error, Result};
use crate::math::Stream;
use crate::models::Model;

mod ladder;
mod walkers;

pub use walkers::Walkers;

/// Variance of E′ − E over the data, at most, that one rung between two models may have: there the log-weights of chains that forget
/// everything at each rung would spread by the square root of it over the rungs.
const AIMED: f64 = 1.0;
/// Most dimensions in which log Z is integrated numerically.
const MOST_INTEGRATED: usize = 2;
/// How many times the sweeps a model gets whose log Z matters more than others'.
const RENEWAL: u64 = 4;

/// How a [`Tracker`] follows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tracking {
    /// Chains that walk from model to model; none of them leaves it all to a tempering ladder, where there can be one.
    pub chains: usize,
    /// Sweeps of single chains that annealing them anew takes at most, pilots among them, but for four times as many when
    /// [renewed](Tracker::renew); and as many that the longest run of a ladder takes.
    pub anchor: u64,
    /// Models after which they are annealed anew, whatever they are worth.
    pub every: usize,
    /// log Z is computed instead where an exact method is predicted to take no longer than this, in seconds.
    pub quick: f64,
    /// The seed of all random streams.
    pub seed: u64,
}

impl Default for Tracking {
    fn default() -> Self {
        Self { chains: 1024, anchor: 1 << 21, every: 10, quick: 0.5, seed: 1 }
    }
}

impl Tracking {
    /// Checks every value.
    ///
    /// # Errors
    /// [`Error::Setting`] naming the option, its value and what would be right.
    pub fn check(&self) -> Result<()> {
        if self.chains != 0 && !(128..=1 << 20).contains(&self.chains) {
            return Err(Error::setting("--walkers", self.chains, "0, or between 128 and 1048576"));
        }
        let least = LEAST_BUDGET.max(64 * self.chains as u64);
        if self.anchor < least {
            let expected = format!("at least {least} sweeps for {} chains", self.chains);
            return Err(Error::setting("--anchor-sweeps", self.anchor, expected));
        }
        if self.every == 0 {
            return Err(Error::setting("--anchor-every", 0, "1 for every model, or more"));
        }
        Ok(())
    }
}

/// How one log Z was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// By an exact method.
    Exact,
    /// By numerical integration, in up to two dimensions.
    Quadrature,
    /// Chains were annealed from the reference of this model.
    Annealed,
    /// Chains followed from the model before.
    Followed,
    /// By a tempering ladder.
    Tempered,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Exact => "exact",
            Self::Quadrature => "quadrature",
            Self::Annealed => "annealed",
            Self::Followed => "followed",
            Self::Tempered => "tempered",
        })
    }
}

/// log Z of one model of the sequence.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tracked {
    /// In nats.
    pub log_z: f64,
    /// Its standard error; 0 where it is exact or integrated, infinite where chains descend from too few starts for it to be known, or
    /// systems of a ladder travel too little or keep to states of their own.
    pub std_err: f64,
    /// How it was found.
    pub source: Source,
    /// ESS of the families that chains descend from, or systems of a ladder; infinite where log Z is exact.
    pub effective_sample_size: f64,
    /// Where chains were annealed anew: what those that had followed, or a ladder, gave, and its standard error.
    pub followed: Option<(f64, f64)>,
}

impl Tracked {
    /// How many standard errors following and annealing are apart, where both were done.
    #[must_use]
    pub fn discrepancy(&self) -> Option<f64> {
        let (log_z, std_err) = self.followed?;
        let both = std_err.hypot(self.std_err);
        both.is_finite().then(|| (log_z - self.log_z) / both)
    }
}

/// What a tracker goes on from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    /// Models since chains were last annealed.
    pub age: usize,
    /// Chains that follow.
    pub walkers: Option<Walkers>,
    /// A ladder that goes on, and where it ended.
    pub ladder: Option<Positions>,
}

/// Follows a sequence of models with chains that take no part in choosing them.
///
/// The first model's log Z comes from annealed chains ([`Smc`](super::smc::Smc)) and their weights. From each model to the next the
/// same chains walk along (1 − β) E + β E′, collect Σ E_{βk}(x) − E_{βk+1}(x), make a kernel step at each rung and are resampled where
/// their ESS falls below N/2 (Jarzynski 1997, doi:10.1103/PhysRevLett.78.2690; along a training: Carbone, Hua, Coste &
/// Vanden-Eijnden 2023, arXiv:2305.19414; Desjardins, Courville & Bengio 2011). The mean of the weights is unbiased for Z of every model
/// that chains walk to, given the models: which they are, and how many rungs lie between two of them, depends on the training and its
/// data, but not on these chains. (Chains that also drive the training are not so: each update raises the energy at the very states that
/// it was taken from.) log Z itself is low on average, as in all annealing.
///
/// Errors are those of the families that descend from each start (Lee & Whiteley 2018, doi:10.1093/biomet/asy028), so the annealing's
/// error is in them and later ones add to it. Chains are annealed anew where, after five models or more, the standard error has come to
/// twice what annealing gave (and 0.25 nats), after `every` models, and where the next model is so far that following it would take more
/// rungs than annealing; [`Tracked::discrepancy`] says how far following was off.
///
/// Where families are too few or too unequal for an error bar to be trusted, as the verdict of an estimate judges it, a tempering
/// ladder ([`Tempering`](super::tempering::Tempering)) takes over and goes on from model to model: a training that learns fast moves
/// mass between modes faster than weights can follow, but exchanges between rungs can. At each model its path is fitted and it runs
/// again, and as much longer as the last run calls for, until nothing of itself speaks against it or it has taken as many sweeps as
/// annealing may. Its systems, 32 or 64, are independent, so their spread is its error; it is infinite where the systems make less than
/// two round trips each, their R̂ stays above 1.03, or the halves of the run differ. Annealing takes back, after `every` models, where
/// its own error bar can be trusted.
///
/// On continuous spaces log Z is integrated numerically in up to two dimensions, and beyond every model is annealed anew. No clock
/// decides anything: the same models and settings give the same numbers.
#[derive(Debug)]
pub struct Tracker {
    settings: Tracking,
    /// How many models there were.
    count: usize,
    renewed: bool,
    at: Option<(Arc<dyn Model>, State)>,
}

impl Tracker {
    /// A tracker that has seen no model yet.
    ///
    /// # Errors
    /// As [`Tracking::check`].
    pub fn new(settings: Tracking) -> Result<Self> {
        settings.check()?;
        Ok(Self { settings, count: 0, renewed: false, at: None })
    }

    /// Goes on after `count` models, of which `model` was the last, from a state as it was then; `None` where its log Z was exact.
    ///
    /// # Errors
    /// [`Error::Data`] where states do not fit the model or each other.
    pub fn resume(mut self, count: usize, model: &Arc<dyn Model>, state: Option<State>) -> Result<Self> {
        self.count = count;
        if let Some(state) = state {
            if let Some(walkers) = &state.walkers {
                walkers.check(&**model)?;
            }
            if let Some(Positions { schedule, states }) = &state.ladder {
                let systems = states.first().map_or(0, ndarray::ArrayBase::nrows);
                if states.len() != schedule.betas().len()
                    || systems < 2
                    || states.iter().any(|states| states.nrows() != systems)
                {
                    return Err(Error::data(format!(
                        "{} lots of states, {systems} in the first, are no ladder's of {} rungs",
                        states.len(),
                        schedule.betas().len()
                    )));
                }
                states.iter().try_for_each(|states| model.space().check(states.view()))?;
            }
            self.at = Some((Arc::clone(model), state));
        }
        Ok(self)
    }

    /// Has the chains annealed anew at the next model, whatever they are worth, and with four times the sweeps: for one whose log Z
    /// matters more than others'.
    pub fn renew(&mut self) {
        self.renewed = true;
    }

    /// What it goes on from; `None` where log Z of the last model was exact.
    #[must_use]
    pub fn state(&self) -> Option<&State> {
        self.at.as_ref().map(|(_, state)| state)
    }

    /// log Z of the next model. Over rows of `data`, which both models are likely to visit, it judges how many rungs lie between them.
    ///
    /// # Errors
    /// As an estimate by [`Smc`](super::smc::Smc); [`Error::Data`] for a model on another space than the one before.
    pub fn follow(
        &mut self,
        model: &Arc<dyn Model>,
        data: ArrayView2<'_, f64>,
        monitor: &dyn Monitor,
    ) -> Result<Tracked> {
        let stream = Stream::new(self.settings.seed).child(20).child(self.count as u64);
        self.count += 1;
        if let Some(tracked) = self.without_chance(model)? {
            self.at = None;
            return Ok(tracked);
        }
        let effort = if std::mem::take(&mut self.renewed) { RENEWAL } else { 1 };
        let (tracked, state) = self.chase(model, data, effort, stream, monitor)?;
        self.at = Some((Arc::clone(model), state));
        Ok(tracked)
    }

    /// log Z of a model where no chance is needed for it.
    fn without_chance(&self, model: &Arc<dyn Model>) -> Result<Option<Tracked>> {
        let known = |log_z: f64, std_err: f64, source: Source| Tracked {
            log_z,
            std_err,
            source,
            effective_sample_size: f64::INFINITY,
            followed: None,
        };
        let quick = |seconds: Option<f64>| seconds.is_none_or(|seconds| seconds <= self.settings.quick);
        if let Some((exact, _)) = quickest_exact(model).filter(|(_, plan)| quick(plan.seconds)) {
            let found = exact.estimate(model, &Settings::default(), &Silent)?;
            return Ok(Some(known(found.log_z, 0.0, Source::Exact)));
        }
        let space = model.space();
        if space.values().is_none() && space.dim <= MOST_INTEGRATED && self.settings.quick >= 0.0 {
            let limits = Settings { max_time: f64::MAX, ..Settings::default() };
            if let Ok(found) = Quadrature.estimate(model, &limits, &Silent) {
                return Ok(Some(known(found.log_z, found.std_err.unwrap_or(0.0), Source::Quadrature)));
            }
        }
        Ok(None)
    }

    /// log Z by chains, with `effort` times the usual sweeps, and what they have become.
    fn chase(
        &mut self,
        model: &Arc<dyn Model>,
        data: ArrayView2<'_, f64>,
        effort: u64,
        stream: Stream,
        monitor: &dyn Monitor,
    ) -> Result<(Tracked, State)> {
        let Tracking { chains, anchor, every, .. } = self.settings;
        let before = self.at.take();
        let first = before.is_none();
        let (mut state, walkers, too_far) = match before {
            Some((before, State { age, walkers: Some(walkers), ladder })) => {
                let pair = (&before, model);
                let walkers = walkers.walk(pair, data, &self.settings, stream.child(0), monitor)?;
                let too_far = walkers.is_none();
                (State { age: age + 1, walkers: None, ladder }, walkers, too_far)
            }
            Some((_, state)) => (State { age: state.age + 1, ..state }, None, false),
            None => (State::default(), None, false),
        };
        let due = first || effort > 1 || state.age >= every;

        // Chains that still know their error.
        let mut found = walkers.as_ref().map(|walkers| walkers.tracked(Source::Followed));
        let followed = found.filter(|found| found.std_err.is_finite());
        if let (Some(followed), Some(walkers)) = (followed, &walkers)
            && !due
            && !walkers.are_worn(state.age, followed.std_err)
        {
            state.walkers = Some(walkers.clone());
            return Ok((followed, state));
        }

        // A ladder, where they do not, or beside annealing where one is going on.
        let mut annealing = chains > 0 && (due || too_far || followed.is_some());
        let climb = |state: &mut State| {
            let sweeps = effort * anchor;
            let climbed = ladder::climb(model, data, state.ladder.take(), sweeps, stream.child(2), monitor)?;
            Ok::<_, Error>(climbed.map(|(tracked, positions)| {
                state.ladder = Some(positions);
                tracked
            }))
        };
        let mut climbed = None;
        if !annealing || (state.ladder.is_some() && followed.is_none()) {
            climbed = climb(&mut state)?;
            annealing |= climbed.is_none();
            found = climbed.or(found);
        }
        if !annealing {
            return Ok((found.expect("the ladder's"), state));
        }

        // Annealing, and the ladder after all where that has no error bar either.
        state.age = 0;
        let chains = if chains == 0 { Tracking::default().chains } else { chains };
        let size = (chains, effort * anchor);
        let walkers = Walkers::annealed(model, data, size, stream.child(1), monitor)?;
        let annealed = walkers.tracked(Source::Annealed);
        if annealed.std_err.is_infinite() {
            if climbed.is_none() {
                climbed = climb(&mut state)?;
            }
            if let Some(climbed) = climbed {
                return Ok((climbed, state));
            }
        }
        state.walkers = Some(walkers);
        Ok((Tracked { followed: found.map(|found| (found.log_z, found.std_err)), ..annealed }, state))
    }
}
