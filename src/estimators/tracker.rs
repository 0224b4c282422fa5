//! log Z of one model after another, such as the machine after each epoch of a training, by chains that follow them.

use std::fmt;
use std::sync::Arc;

use ndarray::{Array2, ArrayView2};
use serde::{Deserialize, Serialize};

use super::annealing::{Resampling, families};
use super::estimate::Direction;
use super::monitor::{Monitor, Silent};
use super::phases::Phases;
use super::pilot::{self, Rounds};
use super::quadrature::Quadrature;
use super::settings::{LEAST_BUDGET, Settings};
use super::verdict::doubts_about;
use super::walk::{Pair, Walkers};
use super::{Estimator, quickest_exact};
use crate::error::{Error, Result};
use crate::math::{LogWeights, Stream};
use crate::models::{Model, energies};
use crate::paths::Schedule;

/// Variance of E′ − E over the data, at most, that one rung between two models may have: there the log-weights of chains that forget
/// everything at each rung would spread by the square root of it over the rungs.
const AIMED: f64 = 1.0;
/// Most dimensions in which log Z is integrated numerically.
const MOST_INTEGRATED: usize = 2;
/// Fewest rungs between two models: sweeps cost little there, and let chains move on.
const LEAST_RUNGS: usize = 8;
/// Fewest rungs of annealing.
const LEAST_ANNEALED: f64 = 128.0;
/// Chains are annealed anew where the standard error has grown to this many times what annealing last gave, and to this many nats, but
/// not before so many models: a training that runs ahead of its chains would pay for annealing at every epoch.
const MOST_GROWN: f64 = 2.0;
const TOLERATED: f64 = 0.25;
const LEAST_AGE: usize = 5;
/// How many times the sweeps a model gets whose log Z matters more than others'.
const RENEWAL: u64 = 4;

/// How a [`Tracker`] follows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tracking {
    /// Chains.
    pub chains: usize,
    /// Sweeps of single chains that annealing them anew takes at most, pilots among them, but for four times as many when
    /// [renewed](Tracker::renew).
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
        if !(128..=1 << 20).contains(&self.chains) {
            return Err(Error::setting("--walkers", self.chains, "between 128 and 1048576"));
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
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Exact => "exact",
            Self::Quadrature => "quadrature",
            Self::Annealed => "annealed",
            Self::Followed => "followed",
        })
    }
}

/// log Z of one model of the sequence.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tracked {
    /// In nats.
    pub log_z: f64,
    /// Its standard error; 0 where it is exact or integrated, infinite where chains descend from too few starts for it to be known.
    pub std_err: f64,
    /// How it was found.
    pub source: Source,
    /// ESS of the families that chains descend from; infinite where log Z is exact.
    pub effective_sample_size: f64,
    /// Where chains that had followed were annealed anew: what following gave, and its standard error.
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

/// What chains have become, and all that is needed to go on from there.
#[derive(Clone, Debug, PartialEq)]
pub struct Walked {
    /// A state per row.
    pub states: Array2<f64>,
    /// Log-weights, whose log-mean estimates log Z.
    pub log_weights: Vec<f64>,
    /// The start, when they were last annealed, that each descends from.
    pub starts: Vec<usize>,
    /// Models since then.
    pub age: usize,
    /// The standard error that annealing gave then.
    pub annealed_std_err: f64,
}

impl Walked {
    /// Sums of the weights of each start's descendants.
    fn families(&self) -> LogWeights {
        families(&LogWeights::new(self.log_weights.clone()), &self.starts)
    }

    fn found(&self) -> (f64, f64, f64) {
        let families = self.families();
        let trusted = doubts_about(&families).is_empty();
        let std_err = if trusted { families.std_err() } else { f64::INFINITY };
        (families.log_mean(), std_err, families.effective_sample_size())
    }
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
/// error is in them and later ones add to it; where these are too few or too unequal for an error bar to be trusted, as the verdict of an
/// estimate judges it, the standard error is infinite. Chains are annealed anew where, after five models or more, the standard error has
/// come to twice what annealing gave (and 0.25 nats), after `every` models, and where the next model is so far that following it would
/// take more rungs than annealing; [`Tracked::discrepancy`] says how far following was off.
///
/// On continuous spaces log Z is integrated numerically in up to two dimensions, and beyond every model is annealed anew. No clock
/// decides anything: the same models and settings give the same numbers.
#[derive(Debug)]
pub struct Tracker {
    settings: Tracking,
    /// How many models there were.
    count: usize,
    renewed: bool,
    at: Option<(Arc<dyn Model>, Walked)>,
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

    /// Goes on after `count` models, of which `model` was the last, with chains as they were then; `None` where its log Z was exact.
    ///
    /// # Errors
    /// [`Error::Data`] where chains do not fit the model or each other.
    pub fn resume(mut self, count: usize, model: &Arc<dyn Model>, walked: Option<Walked>) -> Result<Self> {
        self.count = count;
        if let Some(walked) = walked {
            model.space().check(walked.states.view())?;
            let chains = walked.states.nrows();
            let fits = walked.log_weights.len() == chains
                && walked.starts.len() == chains
                && walked.starts.iter().all(|&start| start < chains)
                && walked.log_weights.iter().all(|w| *w < f64::INFINITY);
            if !fits {
                return Err(Error::data(format!(
                    "{chains} chains with {} weights and {} starts are no tracker's",
                    walked.log_weights.len(),
                    walked.starts.len()
                )));
            }
            self.at = Some((Arc::clone(model), walked));
        }
        Ok(self)
    }

    /// Has the chains annealed anew at the next model, whatever they are worth, and with four times the sweeps: for one whose log Z
    /// matters more than others'.
    pub fn renew(&mut self) {
        self.renewed = true;
    }

    /// The chains as they are; `None` where log Z of the last model was exact.
    #[must_use]
    pub fn walked(&self) -> Option<&Walked> {
        self.at.as_ref().map(|(_, walked)| walked)
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
        let quick = |seconds: Option<f64>| seconds.is_none_or(|seconds| seconds <= self.settings.quick);
        if let Some((exact, _)) = quickest_exact(model).filter(|(_, plan)| quick(plan.seconds)) {
            let found = exact.estimate(model, &Settings::default(), &Silent)?;
            self.at = None;
            return Ok(Tracked {
                log_z: found.log_z,
                std_err: 0.0,
                source: Source::Exact,
                effective_sample_size: f64::INFINITY,
                followed: None,
            });
        }
        let space = model.space();
        if space.values().is_none() && space.dim <= MOST_INTEGRATED && self.settings.quick >= 0.0 {
            let limits = Settings { max_time: f64::MAX, ..Settings::default() };
            if let Ok(found) = Quadrature.estimate(model, &limits, &Silent) {
                self.at = None;
                return Ok(Tracked {
                    log_z: found.log_z,
                    std_err: found.std_err.unwrap_or(0.0),
                    source: Source::Quadrature,
                    effective_sample_size: f64::INFINITY,
                    followed: None,
                });
            }
        }
        let followed = match self.at.take() {
            Some((before, walked)) => self.walk(&before, model, walked, data, stream.child(0), monitor)?,
            None => None,
        };
        let renewed = std::mem::take(&mut self.renewed);
        let found = followed.as_ref().map(Walked::found);
        let (walked, source, followed) = match (followed, found) {
            (Some(walked), Some((_, std_err, _)))
                if !renewed
                    && walked.age < self.settings.every
                    && (walked.age < LEAST_AGE
                        || std_err <= TOLERATED.max(MOST_GROWN * walked.annealed_std_err)) =>
            {
                (walked, Source::Followed, None)
            }
            (_, found) => {
                let sweeps = self.settings.anchor * if renewed { RENEWAL } else { 1 };
                let walked = self.anneal(model, data, sweeps, stream.child(1), monitor)?;
                (walked, Source::Annealed, found.map(|(log_z, std_err, _)| (log_z, std_err)))
            }
        };
        let (log_z, std_err, effective_sample_size) = walked.found();
        self.at = Some((Arc::clone(model), walked));
        Ok(Tracked { log_z, std_err, source, effective_sample_size, followed })
    }

    /// From `before` to `model`; `None` where that is not to be done.
    fn walk(
        &self,
        before: &Arc<dyn Model>,
        model: &Arc<dyn Model>,
        walked: Walked,
        data: ArrayView2<'_, f64>,
        stream: Stream,
        monitor: &dyn Monitor,
    ) -> Result<Option<Walked>> {
        if model.space().values().is_none() {
            return Ok(None);
        }
        // Data are no chains: what they decide leaves weights unbiased.
        let variance = (energies(&**model, data) - energies(&**before, data)).var(1.0);
        let most = self.settings.anchor as f64 / self.settings.chains as f64;
        let rungs = variance / AIMED;
        if rungs.is_nan() || rungs > most {
            return Ok(None);
        }
        let schedule = Schedule::linear((rungs.ceil() as usize).max(LEAST_RUNGS));
        let Walked { states, log_weights, starts, age, annealed_std_err } = walked;
        let resampling = Resampling::at_half(stream.child(u64::MAX));
        let pair = Pair { one: before, other: model };
        let walkers = Walkers { states, log_weights, starts };
        let (arrived, _) =
            pair.walk(walkers, &schedule, Direction::Forward, Some(resampling), stream, monitor)?;
        Ok(Some(Walked {
            states: arrived.states,
            log_weights: arrived.weights.log().to_vec(),
            starts: arrived.starts,
            age: age + 1,
            annealed_std_err,
        }))
    }

    /// Chains from the reference of `model`.
    fn anneal(
        &self,
        model: &Arc<dyn Model>,
        data: ArrayView2<'_, f64>,
        sweeps: u64,
        stream: Stream,
        monitor: &dyn Monitor,
    ) -> Result<Walked> {
        use rand::RngExt;
        let settings = Settings {
            budget: Some(sweeps),
            chains: Some(self.settings.chains),
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
        let log_weights = run.weights.log().iter().map(|weight| weight + log_z).collect();
        Ok(Walked {
            states: run.population.states(),
            log_weights,
            starts: run.starts,
            age: 0,
            annealed_std_err: run.families.std_err(),
        })
    }
}
