//! Answers to the same question that are held against an estimate, and what speaks against it among them.

use super::estimate::{Direction, Evidence};
use super::warnings::Warning;

/// Another answer to the same question.
pub(crate) struct Answer {
    /// What gave it.
    pub source: String,
    /// From where to where it walked, and over how many rungs.
    pub walk: (Direction, usize),
    /// Its log Ẑ and standard error.
    pub found: (f64, f64),
    /// How many combined standard errors below the estimate it may lie without speaking against it.
    pub below: f64,
}

/// An answer this many combined standard errors above the estimate disagrees with it: normal errors would reach it once in 160
/// comparisons, which is what a sharp eye costs.
pub(crate) const LIMIT: f64 = 2.5;

/// The same of an answer from a flat reference, which may lie above for one reason only: normal errors reach it once in 44.
const FLAT_ABOVE: f64 = 2.0;

/// A difference of less than this many nats is no missed mode, so a sharp eye would see chance alone: there it takes `PLAIN` errors.
const SLIGHT: f64 = 0.05;
const PLAIN: f64 = 4.0;

/// Limit for forward runs that lie below the estimate: they err low, so that says little about the higher number.
pub(crate) const FORWARD_BELOW: f64 = 4.0;

/// Holds each independent answer against the estimate.
pub(crate) fn compare(answers: Vec<Answer>, log_z: f64, std_err: f64) -> Vec<Evidence> {
    answers
        .into_iter()
        .map(|Answer { source, walk: (direction, rungs), found: (other, error), below }| Evidence {
            agrees: {
                let above = if direction == Direction::Flat { FLAT_ABOVE } else { LIMIT };
                let (above, below) =
                    if (other - log_z).abs() < SLIGHT { (PLAIN, below.max(PLAIN)) } else { (above, below) };
                (-below..=above).contains(&score(log_z, std_err, other, error))
            },
            source,
            direction,
            rungs,
            log_z: other,
            std_err: error,
        })
        .collect()
}

/// An independent answer that is less certain than this many nats supports nothing: it would agree with a wrong number, too. (With
/// 512 chains this is an ESS of about 40, below which a standard error means little anyway.)
const WEAK: f64 = 0.15;

/// The same of a run from a flat reference, which is far away where a fitted one serves better: with it a mode as heavy as all that were
/// found together, log 2, still stands out by [`FLAT_ABOVE`].
pub(crate) const WEAK_FLAT: f64 = 0.5 * std::f64::consts::LN_2;
/// Nor does one whose standard error is this many times the answer's at like effort, unless it is small: it did not see what made the
/// answer so certain, or the answer did not see what makes it so uncertain.
const VAGUE: f64 = 10.0;
const SLIGHT_ERROR: f64 = 0.02;

fn largest_error(direction: Direction) -> f64 {
    if direction == Direction::Flat { WEAK_FLAT } else { WEAK }
}

/// What speaks against an estimate among the evidence, or in the lack of it.
pub(crate) fn doubts(log_z: f64, std_err: f64, evidence: &[Evidence]) -> Vec<Warning> {
    if evidence.is_empty() {
        return vec![Warning::NoEvidence { reason: "none was gathered".into() }];
    }
    let doubt = |other: &Evidence| {
        let source = other.source.clone();
        if other.direction == Direction::Bound {
            let by = other.log_z - log_z;
            (!other.agrees).then_some(Warning::BelowBound { bound: other.log_z, by })
        } else if !other.log_z.is_finite() {
            Some(Warning::NoEvidence {
                reason: format!("no chain of {source} came to a state of finite energy"),
            })
        } else if !other.agrees {
            let z = score(log_z, std_err, other.log_z, other.std_err).abs();
            Some(Warning::Disagreement { source, other: other.log_z, z })
        } else if other.direction == Direction::Reverse
            && score(log_z, std_err, other.log_z, other.std_err) < -FORWARD_BELOW
        {
            // Chains that fell into a phase of little mass: they cannot lie above, which is all that they were asked.
            None
        } else if other.std_err > largest_error(other.direction).min((VAGUE * std_err).max(SLIGHT_ERROR)) {
            Some(Warning::WeakEvidence { source, std_err: other.std_err })
        } else {
            None
        }
    };
    evidence.iter().filter_map(doubt).chain(apart(evidence)).collect()
}

/// The widest gap from an answer of forward annealing up to one of reverse annealing, where their errors do not allow for it: an
/// estimate with a larger error than theirs may lie between two that cannot both be right. (Annealing that lags errs low forwards and
/// high backwards.)
fn apart(evidence: &[Evidence]) -> Option<Warning> {
    let of = |direction| evidence.iter().filter(move |other| other.direction == direction);
    let gaps = of(Direction::Forward).flat_map(|low| of(Direction::Reverse).map(move |high| (low, high)));
    gaps.map(|(low, high)| (low, high, score(low.log_z, low.std_err, high.log_z, high.std_err)))
        .filter(|(low, high, z)| *z > PLAIN && high.log_z - low.log_z > SLIGHT)
        .max_by(|one, other| one.2.total_cmp(&other.2))
        .map(|(low, high, z)| Warning::SidesApart {
            below: low.source.clone(),
            lower: low.log_z,
            above: high.source.clone(),
            upper: high.log_z,
            z,
        })
}

/// y − x in combined standard errors; infinite errors prove nothing, and count as disagreement.
fn score(x: f64, x_error: f64, y: f64, y_error: f64) -> f64 {
    let combined = x_error.hypot(y_error);
    if combined.is_finite() { (y - x) / combined.max(1e-9) } else { f64::INFINITY }
}
