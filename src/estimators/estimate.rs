//! What an estimator returns: the number, how far to trust it, what it cost, and what was seen on the way.

use serde::{Deserialize, Serialize};

use super::decisions::Decisions;
use super::samples::Samples;
use super::warnings::Warning;
pub use crate::paths::Counts;

/// An estimate of log Z, in nats.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Estimate {
    /// The estimate of log Z.
    pub log_z: f64,
    /// Its standard error; `None` for methods without sampling error.
    pub std_err: Option<f64>,
    /// An interval that covers log Z at its level; `None` for exact methods.
    pub interval: Option<Interval>,
    /// The estimator's name in the registry.
    pub method: String,
    /// In which sense the number is right.
    pub guarantee: Guarantee,
    /// Whether to believe it.
    pub verdict: Verdict,
    /// What a reader should know, each with advice.
    pub warnings: Vec<Warning>,
    /// What it took.
    pub cost: Cost,
    /// Figures to judge the run by.
    pub diagnostics: Diagnostics,
    /// The seed of the random streams.
    pub seed: u64,
    /// Arrays for plots, audits and re-runs; empty for exact methods.
    #[serde(default, skip_serializing_if = "Trace::is_empty")]
    pub trace: Trace,
}

impl Estimate {
    /// A number without sampling error.
    pub(crate) fn exact(method: &str, log_z: f64, guarantee: Guarantee, cost: Cost) -> Self {
        Self {
            log_z,
            std_err: None,
            interval: None,
            method: method.into(),
            guarantee,
            verdict: Verdict::Converged,
            warnings: Vec::new(),
            cost,
            diagnostics: Diagnostics::default(),
            seed: 0,
            trace: Trace::default(),
        }
    }
}

/// lower ≤ log Z ≤ upper at confidence `level`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The lower end.
    pub lower: f64,
    /// The upper end.
    pub upper: f64,
    /// The share of runs whose interval covers, e.g. 0.95.
    pub level: f64,
}

/// In which sense an estimate is right.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Guarantee {
    /// Equal to log Z up to rounding.
    Exact,
    /// Deterministic, with a heuristic error estimate (quadrature).
    Numerical,
    /// `E[Ẑ] = Z`, so log Ẑ is low on average and exceeds log Z + b with probability at most e⁻ᵇ.
    UnbiasedZ,
    /// Right in the limit of long runs.
    Consistent,
    /// A lower bound in expectation.
    StochasticLower,
    /// An upper bound in expectation.
    StochasticUpper,
    /// As good as what it was started from.
    Conditional(String),
}

impl std::fmt::Display for Guarantee {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exact => f.write_str("exact"),
            Self::Numerical => f.write_str("numerical, heuristic error"),
            Self::UnbiasedZ => f.write_str("unbiased for Z, so low on average for log Z"),
            Self::Consistent => f.write_str("consistent"),
            Self::StochasticLower => f.write_str("a lower bound on average"),
            Self::StochasticUpper => f.write_str("an upper bound on average"),
            Self::Conditional(on) => write!(f, "conditional on {on}"),
        }
    }
}

/// Whether to believe an estimate.
///
/// *Converged* is the agreement of checks, not a proof. On finite spaces one of them starts from a flat reference, or the answer itself
/// does: before, all started where pilots had fitted the reference, and agreed on wrong numbers of models with several modes. What
/// neither a flat reference, quenched chains nor a lower bound finds is still not seen, and on continuous spaces neither is a narrow
/// spike inside a broad slab.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Every check passed.
    Converged,
    /// At least one check failed.
    NotConverged {
        /// Which, each with what to try.
        reasons: Vec<Warning>,
    },
}

impl Verdict {
    /// Converged if there is no reason against it.
    #[must_use]
    pub fn from_reasons(reasons: Vec<Warning>) -> Self {
        if reasons.is_empty() { Self::Converged } else { Self::NotConverged { reasons } }
    }

    /// Whether it is [`Verdict::Converged`].
    #[must_use]
    pub fn is_converged(&self) -> bool {
        matches!(self, Self::Converged)
    }
}

/// What an estimate took, all phases together and each apart.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Evaluations and sweeps.
    #[serde(flatten)]
    pub counts: Counts,
    /// Wall-clock seconds.
    pub seconds: f64,
    /// Seconds and counts of each phase in order.
    #[serde(default)]
    pub phases: Vec<Phase>,
}

impl Cost {
    /// Adds a phase and its share of the whole.
    pub fn add(&mut self, name: &str, role: Role, seconds: f64, counts: Counts) {
        self.counts += counts;
        self.seconds += seconds;
        self.phases.push(Phase { name: name.into(), role, seconds, counts });
    }

    /// Adds what was done before.
    pub(crate) fn join(&mut self, before: Self) {
        self.counts += before.counts;
        self.seconds += before.seconds;
        self.phases.splice(0..0, before.phases);
    }

    /// What a method of one phase took.
    pub(crate) fn of_one(name: &str, seconds: f64, counts: Counts) -> Self {
        let mut cost = Self::default();
        cost.add(name, Role::Answer, seconds, counts);
        cost
    }

    /// What the number itself took: everything but the evidence that the verdict rests on.
    #[must_use]
    pub fn of_the_answer(&self) -> Counts {
        let mut counts = Counts::default();
        for phase in self.phases.iter().filter(|phase| phase.role != Role::Evidence) {
            counts += phase.counts;
        }
        counts
    }
}

/// One part of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Phase {
    /// What was done.
    pub name: String,
    /// What it was for.
    pub role: Role,
    /// Wall-clock seconds.
    pub seconds: f64,
    /// Evaluations and sweeps.
    #[serde(flatten)]
    pub counts: Counts,
}

/// What a phase is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// It chooses schedule, rungs, chains and kernels.
    Pilot,
    /// The reported number comes from it.
    Answer,
    /// The reported number is held against it.
    Evidence,
}

/// Figures to judge a run by; those that do not apply are absent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Diagnostics {
    /// Independent chains, or what else is independent ([`Diagnostics::sample`]).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chains: Option<usize>,
    /// States at a rung, on all islands together, where every state counts that a chain passes through.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub states: Option<usize>,
    /// Steps of the schedule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rungs: Option<usize>,
    /// The Markov step, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel: Option<String>,
    /// Where chains started, in words, on spaces where there is more than one kind of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// (Σw)² / Σw² of the reported weights.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effective_sample_size: Option<f64>,
    /// Pareto shape k̂ of the largest weights.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pareto_shape: Option<f64>,
    /// Variance of the log-weights, summed over the stretches between resamplings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_weight_variance: Option<f64>,
    /// How often chains were resampled, where they may be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resamplings: Option<usize>,
    /// Barrier Λ of the path as the last pilot saw it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub barrier: Option<f64>,
    /// Least acceptance over the rungs, for kernels that propose.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acceptance_least: Option<f64>,
    /// Mean acceptance over the rungs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acceptance_mean: Option<f64>,
    /// Estimated error of numerical integration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub discretisation_error: Option<f64>,
    /// Left and right sums of thermodynamic integration, which bracket log Z at equilibrium where the integrand is monotone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bracket: Option<[f64; 2]>,
    /// Difference between the ways up and down of thermodynamic integration: twice the lag behind equilibrium.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lag: Option<f64>,
    /// Largest autocorrelation time over the rungs, in sweeps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub autocorrelation_time: Option<f64>,
    /// Mean probability that an exchange between neighbouring rungs of a tempering ladder is accepted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub swap_rates: Vec<f64>,
    /// How often states went from the reference to the model and back, in all systems together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub round_trips: Option<u64>,
    /// The largest R̂ of a rung of a tempering run, over its systems: near 1 where none keeps to states of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub r_hat: Option<f64>,
    /// Several estimators on the same states, the reported one first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub analyses: Vec<Analysis>,
    /// Independent answers to the same question.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<Evidence>,
}

impl Diagnostics {
    /// What [`Diagnostics::chains`] counts: chains, systems of them, or islands.
    #[must_use]
    pub fn sample(&self) -> &'static str {
        if self.states.is_some() {
            "islands"
        } else if self.swap_rates.is_empty() {
            "chains"
        } else {
            "systems"
        }
    }
}

/// An independent answer, held against the reported one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// What gave it.
    pub source: String,
    /// From where to where it walked.
    pub direction: Direction,
    /// Rungs of its schedule.
    pub rungs: usize,
    /// Its log Z.
    pub log_z: f64,
    /// Its standard error, 0 for an exact answer.
    pub std_err: f64,
    /// Whether it agrees with the reported estimate within their errors.
    pub agrees: bool,
}

impl Evidence {
    /// By how many combined standard errors it lies above an estimate.
    #[must_use]
    pub fn apart(&self, estimate: &Estimate) -> f64 {
        (self.log_z - estimate.log_z) / estimate.std_err.unwrap_or(0.0).hypot(self.std_err)
    }

    /// What it says of an estimate, in a few words.
    #[must_use]
    pub fn says(&self, estimate: &Estimate) -> &'static str {
        /// Standard errors below the estimate from which on an answer that may lie low no longer looks like agreement.
        const BELOW: f64 = 2.5;
        match (self.direction, self.agrees) {
            (Direction::Bound, true) => "holds",
            (Direction::Bound, false) => "violated",
            (_, false) => "disagrees",
            (_, true) if self.apart(estimate) < -BELOW => "below, as it may be",
            (_, true) => "agrees",
        }
    }
}

/// From where to where an annealed run walked, if it was one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// From the reference to the model: low on average.
    Forward,
    /// From a flat reference to the model, where the answer starts from another: low on average, and lower than the answer where a flat
    /// reference is far away.
    Flat,
    /// From the model to the reference: high on average, if its starts are good.
    Reverse,
    /// Nowhere: a lower bound that holds without any chain.
    Bound,
}

/// The arrays behind a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Trace {
    /// β₀ = 0 … β_K = 1.
    pub schedule: Vec<f64>,
    /// Log-weight of each chain; with resampling, of all that descends from each start; or of each island.
    pub log_weights: Vec<f64>,
    /// One entry per step of the schedule.
    pub rungs: Vec<Rung>,
    /// log Ẑ and the like of each pilot.
    pub pilots: Vec<PilotRecord>,
    /// Energies of the states that a tempering run kept, and log Z of its reference; a record has them in a file of their own.
    #[serde(skip)]
    pub samples: Option<(Samples, f64)>,
    /// What a replay follows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decisions: Option<Decisions>,
    /// States of the model, picked by weight where chains ended (or exact draws, where a run started from such): a few to look at.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub draws: Vec<Vec<f64>>,
}

impl Trace {
    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What was seen at one rung.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Rung {
    /// β at the end of the step.
    pub beta: f64,
    /// log of the mean incremental weight: adds up to log Z − log Z₀.
    pub log_ratio: f64,
    /// Variance of the accumulated log-weights, summed over the stretches between resamplings.
    pub log_weight_variance: f64,
    /// ESS of the accumulated weights.
    pub effective_sample_size: f64,
    /// `√(log E[w²] − 2 log E[w])` of the incremental weights: adds up to the barrier.
    pub discrepancy: f64,
    /// Mean acceptance of the kernel at β; absent for kernels that do not propose.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub acceptance: Option<f64>,
    /// Mean step size of the kernel at β; absent for kernels without one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub step_size: Option<f64>,
    /// Mean over chains of ∂_β log f_β, where the estimator measures it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub derivative: Option<f64>,
    /// Standard error of that mean.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub derivative_std_err: Option<f64>,
}

/// What a pilot found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PilotRecord {
    /// Chains it ran.
    pub chains: usize,
    /// Rungs it used.
    pub rungs: usize,
    /// Its log Ẑ.
    pub log_z: f64,
    /// Its standard error.
    pub std_err: f64,
    /// Its ESS.
    pub effective_sample_size: f64,
    /// The variance of its log-weights, summed over the stretches between resamplings.
    #[serde(default)]
    pub log_weight_variance: f64,
    /// The barrier it measured.
    pub barrier: f64,
}

/// One way to log Z₁/Z₀.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Analysis {
    /// `mbar`, `bar`, `stepping-stone-up`, `stepping-stone-down` or `ti`.
    pub name: String,
    /// Its log Z.
    pub log_z: f64,
    /// Its standard error.
    pub std_err: f64,
}
