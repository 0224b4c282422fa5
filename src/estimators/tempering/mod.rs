//! Non-reversible parallel tempering, as a user runs it: a ladder fitted by pilots, one frozen run of independent systems, and
//! several estimators on its states.

use std::sync::Arc;
use std::time::Instant;

use ndarray::Array2;

use super::comparison;
use super::estimate::{Diagnostics, Estimate, Guarantee, Role, Rung, Trace, Verdict};
use super::ladder::{
    self, DENSITY, Fit, Length, Observables, PLACING, Positions, SYSTEMS, Start, Tempered, usual_systems,
};
use super::monitor::Monitor;
use super::phases::Phases;
use super::pilot::{self, left};
use super::report::{interval, shown};
use super::rounds::{self, Rounds};
use super::samples::Samples;
use super::settings::Settings;
use super::warnings::Warning;
use super::{Estimator, evidence};
use crate::error::Result;
use crate::math::{Stream, statistics};

use crate::models::Model;
use crate::paths::Path;

pub mod analyses;

pub use analyses::analyse;
pub(crate) use analyses::spread;

/// Round trips of each system that a run is planned for, and without which it is not believed.
const TRIPS: f64 = 10.0;
const LEAST_TRIPS: f64 = 4.0;
/// The largest R̂ of a rung that a run is planned for, and the largest that is believed.
const PLANNED_R_HAT: f64 = 1.01;
pub(crate) const MOST_R_HAT: f64 = 1.03;
/// How many times the first trial a run may be for the sake of R̂: some systems never leave their own part of the space.
const MOST_TRIALS: f64 = 64.0;
/// Pilots that place the rungs, and the rounds of the one that measures what the error will be, to one of theirs.
const PLACINGS: usize = 2;
const MEASURED: usize = 2;
const MEASURING: usize = MEASURED * PLACING;
/// Share of the time limit that these pilots may use, at the pace of annealing, whose chains fill more threads; and the fewest rounds of
/// the former whatever that takes.
const PILOTING: f64 = 0.1;
const LEAST_PLACING: usize = 5;
/// Fewest rounds of the reported run.
const LEAST_ROUNDS: usize = 256;
/// Numbers that a run keeps, energies of its states at all rungs and observables, and the fewest states of a rung in each system whatever that takes.
const MOST_NUMBERS: usize = 1 << 22;
const LEAST_KEPT: usize = 32;
/// Share of the rounds that come before the first that counts.
const BURN_IN: usize = 4;
/// Non-reversible parallel tempering (Syed, Bouchard-Côté, Deligiannidis & Doucet 2022, doi:10.1111/rssb.12464) with the multistate
/// acceptance ratio (Shirts & Chodera 2008, doi:10.1063/1.2978177) on its states.
///
/// In each of 32 independent systems (64 where a machine word holds as many) one chain at every rung takes kernel steps, and
/// neighbouring rungs exchange states, even and odd pairs in turn. Pilots place the rungs so that all exchanges are rejected equally
/// often, with about 2Λ of them (Λ, the sum of rejection rates, hardly depends on their number), and bend the path of an RBM of bits
/// ([`Bend`](crate::paths::Bend)), without which some modes are found too rarely. Another tells how many rounds the target error, ten
/// round trips of each system from the reference to the model and back, and an R̂ of 1.01 need (and one more, longer, where that is
/// many); then one run is reported. It starts where the pilots ended, and a quarter of its rounds comes before the first that counts.
/// log Z is that of `mbar`; `bar`, `stepping-stone-up`, `stepping-stone-down` and `ti` on the same states stand beside it
/// ([`analyses`]).
///
/// Systems are independent and everything within one is not, so the error is that of the systems' influence on the estimate and
/// the interval Student's with S − 1 degrees of freedom. *Converged* needs four round trips of each system on average, an R̂ of
/// ∂_β log f_β between systems of at most 1.03 at every rung ([`split_r_hat`](crate::math::statistics::split_r_hat)), no drift between
/// the halves of the run, and the evidence of annealed runs. None of these proves that every mode was seen; `tests/calibration.md` says
/// how often wrong runs passed them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tempering;

impl Estimator for Tempering {
    fn name(&self) -> &'static str {
        "tempering"
    }

    fn summary(&self) -> &'static str {
        "parallel tempering; MBAR, BAR, stepping stones and TI from one run"
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee::Consistent
    }

    fn run(&self, model: &Arc<dyn Model>, settings: &Settings, monitor: &dyn Monitor) -> Result<Estimate> {
        Ok(sample(model, settings, Observables::NONE, monitor)?.0)
    }
}

/// The run of [`Tempering`], and the observables of every state that it keeps, (quantities, N).
///
/// # Errors
/// As [`Tempering`].
pub(crate) fn sample(
    model: &Arc<dyn Model>,
    settings: &Settings,
    observables: Observables<'_>,
    monitor: &dyn Monitor,
) -> Result<(Estimate, Array2<f64>)> {
    let began = Instant::now();
    let mut phases = Phases::new(monitor);
    let rounds = |path: &dyn Path| {
        let evidence = rounds::evidence(path);
        // Where time is short the ladder gets as much of it as the evidence; a budget does not count that.
        let answer = if settings.budget.is_some() { 1.0 } else { 1.0 + evidence };
        Rounds { answer, evidence, resampled: true }
    };
    // Systems and rungs are the ladder's; annealing chooses its own, and the evidence is annealed.
    let annealing = Settings { chains: None, rungs: None, ..settings.clone() };
    let mut plan = pilot::plan(model, &annealing, rounds, &mut phases)?;
    let usual = settings.chains.unwrap_or_else(|| usual_systems(plan.path.as_ref()));
    let fewest = settings.chains.unwrap_or(SYSTEMS);
    let stream = Stream::new(settings.seed).child(8);

    phases.role = Role::Pilot;
    let room = phases.affordable(settings, PILOTING);
    let first = settings.rungs.unwrap_or(((DENSITY * plan.barrier).ceil() as usize).max(2));
    let placing = match settings.replay {
        Some(decisions) => decisions.placing,
        None => room.and_then(|steps| {
            // Half as many rounds again do not count.
            let rounds =
                |systems: usize| steps / (1.5 * ((PLACINGS + MEASURED) * (first + 1) * systems) as f64);
            let few = rounds(usual) < PLACING as f64;
            few.then(|| (rounds(fewest) as usize).clamp(LEAST_PLACING, PLACING))
        }),
    };
    let systems = if placing.is_some() { fewest } else { usual };
    let mut fit =
        Fit::new(Arc::clone(&plan.path), plan.schedule.with_rungs(first), systems, stream, &mut phases);
    fit.rungs = settings.rungs;
    fit.placing = placing.unwrap_or(PLACING);
    let measuring = MEASURED * fit.placing;
    fit.place(PLACINGS)?;
    let Fit { schedule, ends, .. } = fit;
    let path = plan.path.as_ref();
    let states = schedule.betas().len();
    let measure = |name: &str, rounds: usize, before: &Positions, label: u64, phases: &mut Phases<'_>| {
        let start = Start { schedule: &schedule, systems, before: Some(before), stream: stream.child(label) };
        let length = Length { burn_in: measuring / 2, rounds, every: keeping(rounds, systems, states, 0) };
        let run = temper(name, path, start, length, Observables::NONE, phases)?;
        let affordable = if let Some(budget) = settings.budget {
            let spent = phases.cost.counts.sweeps as f64;
            left(budget as f64, spent) / (systems * states) as f64 * BURN_IN as f64 / (BURN_IN + 1) as f64
        } else {
            let pace = phases.last_seconds() / (length.burn_in + length.rounds) as f64;
            0.5 * left(settings.max_time, began.elapsed().as_secs_f64()) / pace
        };
        Trial::of(&run, rounds, affordable, settings)
    };
    let mut trial = measure("ladder 3", measuring, &ends.expect("the ladder has run"), 2, &mut phases)?;
    // A trial that is far shorter than what systems take to forget sees only a part of that.
    let longer = match settings.replay {
        Some(decisions) => decisions.trial,
        None => Some((0.25 * trial.forgetting.min(0.5 * trial.affordable)) as usize)
            .filter(|rounds| *rounds > 2 * MEASURING),
    };
    if let Some(rounds) = longer {
        trial = measure("ladder 4", rounds, &trial.ends, 4, &mut phases)?;
    }
    (plan.decisions.trial, plan.decisions.placing) = (longer, placing);
    let wanted = trial.wanted.max(trial.forgetting);
    let affordable = settings
        .replay
        .and_then(|decisions| decisions.sweeps)
        .map_or(trial.affordable, |sweeps| sweeps as f64);
    let replayed = settings.replay.is_some();
    if !replayed {
        plan.decisions.out_of_time = settings.budget.is_none() && wanted > affordable;
    }
    let rounds = if replayed || settings.budget.is_some() {
        affordable
    } else {
        wanted.max(LEAST_ROUNDS as f64).min(affordable)
    };
    let rounds = (rounds as usize).max(2);
    plan.decisions.sweeps = Some(rounds);

    phases.role = Role::Answer;
    let every = keeping(rounds, systems, states, observables.number);
    let length = Length { burn_in: rounds / BURN_IN, rounds, every };
    let from = Start { schedule: &schedule, systems, before: Some(&trial.ends), stream: stream.child(3) };
    let run = temper("tempering", path, from, length, observables, &mut phases)?;
    drop(trial);
    let mut analyses = analyse(&run.samples)?;
    let reference = plan.path.log_z_reference();
    for analysis in &mut analyses {
        analysis.log_z += reference;
    }
    let (log_z, std_err) = (analyses[0].log_z, analyses[0].std_err);

    let found = evidence::gather(model, &mut plan, settings, &mut phases)?;
    let evidence = comparison::compare(found, log_z, std_err);
    let r_hat = run.samples.r_hat();
    let mut reasons = doubts(&run, r_hat, LEAST_TRIPS, std_err, settings);
    reasons.extend(comparison::doubts(log_z, std_err, &evidence));
    let top = run.populations.last().expect("a ladder has rungs");
    let estimate = Estimate {
        log_z,
        std_err: Some(std_err),
        interval: Some(interval(log_z, std_err, systems, settings.level)),
        method: Tempering.name().into(),
        guarantee: Tempering.guarantee(),
        verdict: Verdict::from_reasons(reasons),
        warnings: plan.warnings(std_err, settings),
        cost: phases.cost,
        diagnostics: Diagnostics {
            chains: Some(systems),
            rungs: Some(schedule.rungs()),
            barrier: Some(run.barrier()),
            swap_rates: run.swap_rates.clone(),
            round_trips: Some(run.round_trips.iter().sum()),
            r_hat: Some(r_hat).filter(|r_hat| r_hat.is_finite()),
            analyses,
            evidence,
            ..Diagnostics::default()
        },
        seed: settings.seed,
        trace: Trace {
            schedule: schedule.betas().to_vec(),
            log_weights: Vec::new(),
            rungs: rungs(&run.samples),
            pilots: plan.records,
            decisions: Some(plan.decisions),
            draws: shown(top.states().view()),
            samples: Some((run.samples, reference)),
        },
    };
    Ok((estimate, run.observed))
}

/// What a trial tells of the run to come.
struct Trial {
    /// Where it ended.
    ends: Positions,
    /// Rounds that the target error and ten round trips of each system call for.
    wanted: f64,
    /// Rounds that what systems take to forget calls for.
    forgetting: f64,
    /// Rounds that there is room for.
    affordable: f64,
}

impl Trial {
    fn of(run: &Tempered, rounds: usize, affordable: f64, settings: &Settings) -> Result<Self> {
        let length = rounds as f64;
        let expected = analyse(&run.samples)?[0].std_err * length.sqrt();
        // None at all in so short a run may be few.
        let trips = run.trips().max(0.5) / length;
        Ok(Self {
            wanted: (1.2 * expected / settings.target_se).powi(2).max(TRIPS / trips),
            forgetting: forgetting(rounds, run.samples.r_hat(), PLANNED_R_HAT)
                .min(MOST_TRIALS * MEASURING as f64),
            affordable,
            ends: run.positions(),
        })
    }
}

/// Rounds that bring R̂ down to `wanted`, where so many made it `r_hat`: R̂² − 1 is the share of the variance that systems keep to
/// themselves, which falls as one over the length of a run.
pub(crate) fn forgetting(rounds: usize, r_hat: f64, wanted: f64) -> f64 {
    rounds as f64 * (r_hat.powi(2) - 1.0) / (wanted.powi(2) - 1.0)
}

/// Every how many rounds states are kept: as often as memory allows, but not so often that looking at all rungs from one, which costs
/// as much as a step or more, would take most of the time.
fn keeping(rounds: usize, systems: usize, states: usize, observables: usize) -> usize {
    let most = (MOST_NUMBERS / (systems * states * (states + observables))).max(LEAST_KEPT);
    rounds.div_ceil(most).max(states / 2).min(rounds / 2).max(1)
}

fn temper(
    name: &str,
    path: &dyn Path,
    start: Start<'_>,
    length: Length,
    observables: Observables<'_>,
    phases: &mut Phases<'_>,
) -> Result<Tempered> {
    phases.run(name, length.burn_in + length.rounds, |monitor| {
        let run = ladder::run(path, start, length, observables, monitor)?;
        let counts = run.counts;
        Ok((run, counts))
    })
}

/// The integrand of thermodynamic integration at every rung.
fn rungs(samples: &Samples) -> Vec<Rung> {
    let all = samples.schedule.betas().iter().zip(analyses::integrand(samples));
    all.filter(|(_, (mean, error))| mean.is_finite() && error.is_finite())
        .map(|(&beta, (mean, error))| Rung {
            beta,
            derivative: Some(mean),
            derivative_std_err: Some(error),
            ..Rung::default()
        })
        .collect()
}

/// What speaks against a run on its own: fewer round trips of a system than so many, systems that keep to states of their own, and a
/// drift between the run's halves.
pub(crate) fn doubts(
    run: &Tempered,
    r_hat: f64,
    least_trips: f64,
    std_err: f64,
    settings: &Settings,
) -> Vec<Warning> {
    let mut reasons = Vec::new();
    if r_hat > MOST_R_HAT {
        reasons.push(Warning::SystemsApart { r_hat, most: MOST_R_HAT });
    }
    let trips = run.trips();
    if trips < least_trips {
        reasons.push(Warning::FewRoundTrips { trips, least: least_trips });
    }
    let rounds = run.samples.kept() / run.samples.systems;
    let halves =
        (analyses::areas(&run.samples, 0..rounds / 2), analyses::areas(&run.samples, rounds / 2..rounds));
    if let (Some(first), Some(second)) = halves
        && rounds >= 2
    {
        let drift = (&second - &first).to_vec();
        let (mean, error) = (statistics::mean(&drift).abs(), statistics::std_err(&drift));
        if mean > 3.5 * error && 0.5 * mean > std_err.max(0.5 * settings.target_se) {
            reasons.push(Warning::Drift { lag: 0.5 * mean, std_err });
        }
    }
    reasons
}
