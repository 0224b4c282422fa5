//! What the clock decided in a run, for the record and for a replay.

use serde::{Deserialize, Serialize};

/// What the clock decided in a run, with what else a reader of the record would ask for: the same settings and the same
/// decisions give the same numbers, however fast the machine is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decisions {
    /// Pilots that ran.
    pub pilots: usize,
    /// Chains planned for the reported round.
    pub chains: usize,
    /// Its rungs.
    pub rungs: usize,
    /// Sweeps a rung and direction, where the estimator integrates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sweeps: Option<usize>,
    /// Rounds of a second trial, where a tempering run took one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<usize>,
    /// Rungs of exploration on a continuous space, where the time limit left fewer than usual.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exploring: Option<usize>,
    /// Runs that bent the path, where it can be bent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bends: Option<usize>,
    /// What was run from a flat reference, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flat: Option<FlatStart>,
    /// Rounds of the runs that place the rungs of a ladder, where the time limit left fewer than usual.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placing: Option<usize>,
    /// Chains in each direction and rungs of an integration, where the time limit left fewer than usual.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub integration: Option<(usize, usize)>,
    /// Starts of the lower bound that there was time for, where not for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bounds: Option<usize>,
    /// `false` where there was no time for numerical integration, a cross-check in few dimensions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quadrature: Option<bool>,
    /// Whether the time limit made any of them less than was wanted.
    pub out_of_time: bool,
}

/// What the clock decided of pilots from a flat reference, and of the runs from it that an answer from a fitted one is held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlatStart {
    /// Pilots that ran.
    pub pilots: usize,
    /// Runs that bent their path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bends: Option<usize>,
    /// Rungs of a run that the answer is held against.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rungs: Option<usize>,
    /// How many of these there were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runs: Option<usize>,
}
