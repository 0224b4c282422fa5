//! What the rounds after the pilots cost, for the plan to leave room.

use crate::paths::Path;

/// What is to come after the pilots, in units of one walk of all chains up the schedule.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rounds {
    /// Walks that the answer is made from.
    pub answer: f64,
    /// Walks that it is held against.
    pub evidence: f64,
    /// Whether the former resample.
    pub resampled: bool,
}

/// What the evidence costs, in units of the reported round: two and a half walks of a quarter of the chains, because fewer rungs
/// would miss more than fewer chains do; on continuous spaces, where references are guesses and energies cheap, four of the full
/// size and one of up to three times the rungs.
pub(crate) fn evidence(path: &dyn Path) -> f64 {
    if path.widened().is_some() { 7.0 } else { 0.7 }
}

/// Chains of a walk of the evidence, where the answer has so many.
pub(crate) fn chains(path: &dyn Path, answer: usize) -> usize {
    if path.widened().is_some() { answer } else { answer / 4 }.max(128)
}

/// One walk for the answer, and the evidence.
pub(crate) fn one_walk(path: &dyn Path) -> Rounds {
    Rounds { answer: 1.0, evidence: evidence(path), resampled: false }
}
