//! log of the ratio of the partition functions of two models, without either: by a walk from one to the other and back.

use std::sync::Arc;

use ndarray::{Array2, ArrayView2, Axis, s};

use super::bar::bar;
use super::comparison::{self, Answer};
use super::estimate::Analysis;
use super::estimate::{Diagnostics, Direction, Estimate, Guarantee, Role, Trace, Verdict};
use super::monitor::Monitor;
use super::phases::Phases;
use super::pilot::left;
use super::report::interval;
use super::resampling::systematic;
use super::settings::Settings;
use super::verdict::doubts_about;
use super::walk::{Pair, Walked, Walkers, step};
use super::warnings::Warning;
use crate::error::{Error, Result};
use crate::math::Stream;
use crate::models::{Model, blend, energies};
use crate::paths::{Counts, Move, Schedule};

/// Starts of a pilot, at most, and rungs of the first; each further one doubles them.
const PILOT: usize = 128;
const FIRST_RUNGS: usize = 8;
/// Most rungs: each makes a model and the path to it.
const MOST_RUNGS: usize = 2048;
/// Variance of log-weights at which pilots end, and the one that the reported walks aim at.
const SETTLED: f64 = 2.0;
const AIMED: f64 = 0.3;
/// Steps at an end before chains that were picked by weight count, as a share of the rungs.
const SETTLING: f64 = 0.5;

/// States of the first model, where walks start.
#[derive(Clone, Copy, Debug)]
pub struct Starts<'a> {
    /// A state per row: up to 128 for pilots and all others for the reported walk.
    pub states: ArrayView2<'a, f64>,
    /// Whether they are independent draws from the model itself.
    pub exact: bool,
}

/// log Z′ − log Z of two models on one finite space, by annealing along E_β = (1 − β) E + β E′ and back.
///
/// Chains start at draws from the first model, collect Σ E_{βk}(x) − E_{βk+1}(x) while kernels of the models between carry them to
/// the second ([`blend`]: within the family where it can be, so that a machine's kernel is block Gibbs), are resampled there in
/// proportion to their weights, settle, and go back by time-reversed kernels. The estimate is Bennett's acceptance ratio of both
/// ([`bar`]). It takes few rungs where the models are alike, such as two checkpoints of one training; hidden units of machines are
/// paired by number, so machines that were trained apart are far from each other. Pilots choose the rungs, where `settings` do not say
/// how many.
///
/// With exact starts the way there is unbiased for Z′/Z; otherwise all is conditional on the starts being draws from the first
/// model, and the standard error takes them as independent of each other, which copies of few annealed chains are only after they have
/// moved on. *Converged* needs an ESS of 100 and light tails both ways, and that the two ways agree. A mode of the second model that no
/// chain finds from the first remains unseen.
///
/// # Errors
/// [`Error::Data`] for models or starts of different spaces, [`Error::NotApplicable`] on continuous spaces,
/// [`Error::NotReached`] where the two do not overlap at all.
pub fn between(
    one: &Arc<dyn Model>,
    other: &Arc<dyn Model>,
    starts: Starts<'_>,
    settings: &Settings,
    monitor: &dyn Monitor,
) -> Result<Estimate> {
    settings.check()?;
    let space = one.space();
    blend(one, other, 0.5)?;
    space.check(starts.states)?;
    if space.values().is_none() {
        return Err(Error::NotApplicable {
            estimator: "between",
            reason: "walks between two models are made on finite spaces only; estimate the log Z of both"
                .into(),
        });
    }
    let total = starts.states.nrows();
    if total < 8 {
        return Err(Error::data(format!(
            "{total} starts; a walk from one model to another needs at least 8"
        )));
    }
    let pilots = PILOT.min(total / 2);
    let (few, many) = (starts.states.slice(s![..pilots, ..]), starts.states.slice(s![pilots.., ..]));
    let stream = Stream::new(settings.seed).child(10);
    let pair = Pair { one, other };
    let mut phases = Phases::new(monitor);

    phases.role = Role::Pilot;
    let mut schedule = Schedule::linear(FIRST_RUNGS);
    let (mut variance, mut rungs, mut pace) = (f64::INFINITY, FIRST_RUNGS, 0.0);
    for number in 0.. {
        let name = format!("pilot {}", number + 1);
        let walk = walk(pair, &name, few, &schedule, Direction::Forward, stream.child(number), &mut phases)?;
        variance = walk.weights.variance();
        pace = phases.last_seconds() / (rungs * few.nrows()) as f64;
        let shares: Vec<f64> = walk.rungs.iter().map(|rung| rung.discrepancy).collect();
        rungs = schedule.rungs();
        let spent = phases.cost.seconds + 2.0 * pace * (rungs * few.nrows()) as f64;
        let longest = settings.rungs.unwrap_or(MOST_RUNGS);
        if variance <= SETTLED || 2 * rungs > longest || spent > 0.25 * settings.max_time {
            schedule = schedule.equal_barrier(&shares, rungs);
            break;
        }
        rungs *= 2;
        schedule = schedule.equal_barrier(&shares, rungs);
    }
    // A way there, one back, and a stay between.
    let steps = left(settings.max_time, phases.cost.seconds) / (pace * (2.0 + SETTLING));
    let affordable = ((steps / many.nrows() as f64) as usize).clamp(1, MOST_RUNGS);
    let wanted = (rungs as f64 * variance / AIMED).clamp(FIRST_RUNGS as f64, MOST_RUNGS as f64) as usize;
    let schedule = schedule.with_rungs(settings.rungs.unwrap_or(wanted.max(rungs).min(affordable)));

    phases.role = Role::Answer;
    let up = walk(pair, "there", many, &schedule, Direction::Forward, stream.child(100), &mut phases)?;
    let ends = settled(other, &up, schedule.rungs(), stream.child(101), &mut phases)?;
    let stream = stream.child(102);
    let down = walk(pair, "and back", ends.view(), &schedule, Direction::Reverse, stream, &mut phases)?;
    let ratio = bar(up.weights.log(), down.weights.log())?;
    let (log_z, std_err) = (ratio.log_ratio, ratio.std_err);

    let there = (up.weights.log_mean(), up.weights.std_err());
    let back = (-down.weights.log_mean(), down.weights.std_err());
    let side = |source: &str, direction, found| Answer {
        source: source.into(),
        walk: (direction, schedule.rungs()),
        found,
        below: comparison::LIMIT,
    };
    let answers = vec![side("the way back", Direction::Reverse, back)];
    let compared = comparison::compare(answers, there.0, there.1);
    let mut reasons = doubts_about(&up.weights);
    reasons.extend(doubts_about(&down.weights));
    reasons.extend(comparison::doubts(there.0, there.1, &compared));
    let mut warnings = Vec::new();
    if std_err > settings.target_se {
        let (target, out_of_time) = (settings.target_se, schedule.rungs() < wanted);
        warnings.push(Warning::TargetMissed { std_err, target, out_of_time });
    }
    let named = |name: &str, (log_z, std_err)| Analysis { name: name.into(), log_z, std_err };
    Ok(Estimate {
        log_z,
        std_err: Some(std_err),
        interval: Some(interval(log_z, std_err, many.nrows(), settings.level)),
        method: "between".into(),
        guarantee: if starts.exact {
            Guarantee::Consistent
        } else {
            Guarantee::Conditional("the draws from the first model".into())
        },
        verdict: Verdict::from_reasons(reasons),
        warnings,
        cost: phases.cost,
        diagnostics: Diagnostics {
            chains: Some(many.nrows()),
            rungs: Some(schedule.rungs()),
            effective_sample_size: Some(
                up.weights.effective_sample_size().min(down.weights.effective_sample_size()),
            ),
            barrier: Some(up.rungs.iter().map(|rung| rung.discrepancy).sum()),
            analyses: vec![named("bar", (log_z, std_err)), named("there", there), named("back", back)],
            evidence: compared,
            ..Diagnostics::default()
        },
        seed: settings.seed,
        trace: Trace {
            schedule: schedule.betas().to_vec(),
            log_weights: up.weights.log().to_vec(),
            rungs: up.rungs,
            ..Trace::default()
        },
    })
}

/// Rungs that a walk between two models is likely to need, from how much their energies differ over states that both are likely
/// to visit (data, say): the variance of E′ − E, over the variance that walks aim at.
#[must_use]
pub fn rungs_needed(one: &Arc<dyn Model>, other: &Arc<dyn Model>, states: ArrayView2<'_, f64>) -> f64 {
    let differences = energies(&**other, states) - energies(&**one, states);
    differences.var(1.0) / AIMED
}

/// A walk of equally weighted chains as a phase.
fn walk(
    pair: Pair<'_>,
    name: &str,
    starts: ArrayView2<'_, f64>,
    schedule: &Schedule,
    direction: Direction,
    stream: Stream,
    phases: &mut Phases<'_>,
) -> Result<Walked> {
    phases.run(name, schedule.rungs(), |monitor| {
        pair.walk(Walkers::at(starts), schedule, direction, None, stream, monitor)
    })
}

/// Chains at the second model: picked by weight, and moved on until copies have parted.
fn settled(
    other: &Arc<dyn Model>,
    up: &Walked,
    rungs: usize,
    stream: Stream,
    phases: &mut Phases<'_>,
) -> Result<Array2<f64>> {
    let picks = systematic(&up.weights.normalised(), up.weights.len(), stream.child(0));
    let starts = up.states.select(Axis(0), &picks);
    let steps = ((SETTLING * rungs as f64) as usize).max(10);
    phases.run("settling", steps, |_| {
        let mut counts = Counts::default();
        let states = step(other, &starts, steps, Move::Forward, stream.child(1), &mut counts)?;
        Ok((states, counts))
    })
}
