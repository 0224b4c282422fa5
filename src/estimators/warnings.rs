//! What a reader of an estimate should know: the figures inside, and advice in the words of the command line.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::wording::decimals;

/// A reason for doubt. Its `Display` says what was seen and what to try next.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
#[non_exhaustive]
pub enum Warning {
    /// The effective sample size is below what the interval needs.
    FewEffectiveSamples {
        /// ESS of the reported weights.
        effective_sample_size: f64,
        /// The least that is accepted.
        least: f64,
    },
    /// The largest weights have a heavy tail.
    HeavyTail {
        /// k̂.
        pareto_shape: f64,
        /// The largest value accepted for this number of chains.
        most: f64,
    },
    /// An independent answer differs by more than the errors allow.
    Disagreement {
        /// What gave the other answer.
        source: String,
        /// Its log Z.
        other: f64,
        /// The difference in combined standard errors.
        z: f64,
    },
    /// Independent answers from below and from above differ from each other by more than their errors allow.
    SidesApart {
        /// Where the lower one came from.
        below: String,
        /// Its log Z.
        lower: f64,
        /// Where the upper one came from.
        above: String,
        /// Its log Z.
        upper: f64,
        /// The difference in combined standard errors.
        z: f64,
    },
    /// The estimate lies below what log Z certainly is not below.
    BelowBound {
        /// The bound.
        bound: f64,
        /// By how many nats at least the estimate is wrong.
        by: f64,
    },
    /// An independent answer is too uncertain to support anything.
    WeakEvidence {
        /// What gave it.
        source: String,
        /// Its standard error.
        std_err: f64,
    },
    /// Nothing independent was available to hold against the estimate.
    NoEvidence {
        /// Why not.
        reason: String,
    },
    /// The standard error asked for was not reached.
    TargetMissed {
        /// What was reached.
        std_err: f64,
        /// What was asked.
        target: f64,
        /// Whether the time limit was what stopped it.
        out_of_time: bool,
    },
    /// The time limit left no room for a part of the run.
    NoTime {
        /// Which.
        what: String,
    },
    /// A kernel's proposals were hardly ever accepted somewhere.
    LowAcceptance {
        /// The least acceptance.
        acceptance: f64,
        /// The β where it was seen.
        beta: f64,
    },
    /// Chains drifted while they should have been in equilibrium.
    Drift {
        /// The estimated effect on log Z, in nats.
        lag: f64,
        /// The standard error it is held against.
        std_err: f64,
    },
    /// States of a tempering run hardly went from the reference to the model and back.
    FewRoundTrips {
        /// Round trips of a system, on average.
        trips: f64,
        /// The least that is accepted.
        least: f64,
    },
    /// Systems of a tempering run kept to states of their own.
    SystemsApart {
        /// The largest R̂ of a rung.
        r_hat: f64,
        /// The largest that is accepted.
        most: f64,
    },
    /// Averages at some temperature rest on few of the states of a tempering run.
    FewReweighted {
        /// The temperature.
        temperature: f64,
        /// How many states they are worth.
        effective_samples: f64,
        /// The least that is accepted.
        least: f64,
    },
    /// The error of numerical integration is not small against the sampling error.
    Discretisation {
        /// Its estimate, in nats.
        error: f64,
        /// The standard error it is held against.
        std_err: f64,
    },
    /// The reference's base rates were guessed, because neither data nor stored rates were given.
    GuessedBaseRates,
    /// The integral of exp(−E) could not be shown to be finite.
    MayNotNormalise {
        /// What was seen.
        reason: String,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FewEffectiveSamples { effective_sample_size, least } => write!(
                f,
                "effective sample size {effective_sample_size:.0} is below {least:.0}, so neither the estimate nor its error bar \
                 can be trusted; more rungs help most (--rungs, or a longer --max-time)"
            ),
            Self::HeavyTail { pareto_shape, most } => write!(
                f,
                "the largest weights have a heavy tail (Pareto shape {pareto_shape:.2}, at most {most:.2} is safe): a few chains \
                 decide the answer; more rungs help most (--rungs, or a longer --max-time)"
            ),
            Self::Disagreement { source, other, z } => write!(
                f,
                "{source} says log Z = {}, {z:.1} combined standard errors away: some chains missed a part of the space; \
                 try more rungs (--rungs), --data, or another --method",
                decimals(*other, 3)
            ),
            Self::SidesApart { below, lower, above, upper, z } => write!(
                f,
                "{below} says log Z = {}, but {above} {}, {z:.1} combined standard errors higher: each may agree with the estimate, and \
                 one of them is wrong; more rungs help most (--rungs, or a longer --max-time)",
                decimals(*lower, 3),
                decimals(*upper, 3)
            ),
            Self::BelowBound { bound, by } => write!(
                f,
                "log Z is certainly not below {bound:.3}, so the estimate is wrong by {by:.3} nats at least: no chain found a mode \
                 that holds more than all others; try an exact method, or a reference fitted to data that lie there (--data)"
            ),
            Self::WeakEvidence { source, std_err } => write!(
                f,
                "{source} is too uncertain (standard error {std_err:.2}) to support the estimate; more rungs help most (--rungs, \
                 or a longer --max-time)"
            ),
            Self::NoEvidence { reason } => {
                write!(f, "no independent evidence: {reason}")
            }
            Self::TargetMissed { std_err, target, out_of_time } => {
                write!(f, "standard error {std_err:.3} misses the target of {target:.3}")?;
                if *out_of_time {
                    f.write_str("; the time limit stopped it, try a longer --max-time")
                } else {
                    f.write_str("; try more --chains or --rungs")
                }
            }
            Self::NoTime { what } => write!(f, "there was no time for {what}; a longer --max-time gives it some"),
            Self::LowAcceptance { acceptance, beta } => write!(
                f,
                "only {:.1} % of proposals were accepted near beta = {beta:.3}: chains hardly moved there",
                100.0 * acceptance
            ),
            Self::Drift { lag, std_err } => write!(
                f,
                "chains were still drifting (worth about {lag:.3} nat, standard error {std_err:.3}); more rungs or sweeps bring \
                 them closer to equilibrium (--rungs)"
            ),
            Self::FewRoundTrips { trips, least } => write!(
                f,
                "only {trips:.1} round trips between reference and model for each system ({least:.0} are needed): the run remembers \
                 where it started; a longer --max-time helps, or --method smc"
            ),
            Self::SystemsApart { r_hat, most } => write!(
                f,
                "systems kept to states of their own (R-hat {r_hat:.2}, at most {most:.2} is accepted): the run is too short for what \
                 it has to explore; a longer --max-time helps, or --method smc"
            ),
            Self::FewReweighted { temperature, effective_samples, least } => write!(
                f,
                "averages at temperature {temperature} rest on {effective_samples:.0} effective samples ({least:.0} are needed); a \
                 smaller --target-se takes more, and so does a narrower range of temperatures"
            ),
            Self::Discretisation { error, std_err } => write!(
                f,
                "the integration over beta may be off by {error:.3} nat (standard error {std_err:.3}); use more --rungs"
            ),
            Self::GuessedBaseRates => f.write_str(
                "annealing starts from base rates guessed by a pilot; --data FILE with training data gives a better start",
            ),
            Self::MayNotNormalise { reason } => {
                write!(f, "exp(-E) may have no finite integral: {reason}")
            }
        }
    }
}
