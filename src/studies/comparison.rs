//! What a comparison of estimators on one model found.

use serde::{Deserialize, Serialize};

use super::prices::Prices;
use crate::estimators::{Counts, Guarantee, Interval};

/// Estimators on one model at equal cost, each run several times.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// What log Z the estimators are held against, if there is any.
    pub truth: Option<Truth>,
    /// Budgets of a single run, in sweeps or what costs as much as them, rising.
    pub budgets: Vec<f64>,
    /// Independent runs of every estimator at every budget.
    pub replicates: usize,
    /// One per estimator and budget: the largest budget first, and within a budget the best first.
    pub standings: Vec<Standing>,
    /// Pairs of estimators whose combined intervals at the largest budget do not overlap.
    pub conflicts: Vec<(String, String)>,
    /// Estimators that do not apply, each with the reason.
    pub left_out: Vec<(String, String)>,
    /// What evaluations and sweeps cost here.
    pub prices: Prices,
}

/// What the estimates are held against.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Truth {
    /// log Z.
    pub log_z: f64,
    /// Its standard error, 0 for an exact value.
    pub std_err: f64,
    /// Where it comes from: an exact method's name, or `consensus`.
    pub source: String,
}

/// One estimator at one budget.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    /// The estimator's name.
    pub method: String,
    /// In which sense its numbers are right, which also says to which side they err.
    pub guarantee: Guarantee,
    /// The budget of a run.
    pub budget: f64,
    /// All replicates together.
    pub log_z: f64,
    /// Standard error of that, from the spread of the replicates; `None` for exact methods.
    pub std_err: Option<f64>,
    /// Interval of the replicates together; `None` for exact methods.
    pub interval: Option<Interval>,
    /// `log_z` minus the truth.
    pub error: Option<f64>,
    /// That error in standard errors (the truth's included).
    pub z: Option<f64>,
    /// √ mean (log Ẑ − log Z)² of a single run.
    pub root_mean_square_error: Option<f64>,
    /// Standard deviation of log Ẑ between replicates.
    pub spread: Option<f64>,
    /// Mean of the standard errors that single runs claim: honest where it is about `spread`.
    pub claimed: Option<f64>,
    /// Mean ESS of a run.
    pub effective_sample_size: Option<f64>,
    /// Mean work of a run for pilots and answer, as the ensembles count it; the evidence for the verdict comes on top.
    pub counts: Counts,
    /// The same, priced, in sweeps; of exact and numerical methods the time.
    pub cost: f64,
    /// Mean wall-clock seconds of a run.
    pub seconds: f64,
    /// How many replicates said *converged*.
    pub converged: usize,
    /// The replicates.
    pub runs: Vec<Replicate>,
}

/// One run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Replicate {
    /// Its seed.
    pub seed: u64,
    /// Its log Ẑ.
    pub log_z: f64,
    /// The standard error that it claims; `None` for exact methods.
    pub std_err: Option<f64>,
    /// Whether it said *converged*.
    pub converged: bool,
}
