//! Pilot runs: they choose schedule, rungs, chains and kernel parameters, and nothing that they see is reported as the answer.

mod bend;
mod choice;
mod explore;
mod series;
mod variance;

use std::sync::Arc;
use std::time::Instant;

use ndarray::Array2;

use self::choice::{Chosen, choose};
use self::explore::explore;
use self::series::Series;
use self::variance::{log_variance, relative_variance, shares, spread};
use super::annealing::{Annealed, Resampling};
use super::decisions::{Decisions, FlatStart};
use super::estimate::{PilotRecord, Role};
use super::phases::Phases;
use super::resampling::systematic;
use super::rounds::{self, Rounds};
use super::settings::{ScheduleChoice, Settings};
use super::warnings::Warning;
use super::waste_free::{self, Islands};
use crate::error::Result;
use crate::math::roots::bisect;
use crate::math::{LogWeights, Stream};
use crate::models::Model;
use crate::paths::{self, Choices, Move, PILOT_CHAINS, Path, Population, Schedule, Start};

/// Chains of a pilot, and of each explorer, where the path does not ask for more.
const CHAINS: usize = PILOT_CHAINS;
/// Rungs of the first pilot; each further one doubles them.
const FIRST_RUNGS: usize = 32;
/// Variance of log-weights at which the last pilot is good enough to extrapolate from: where chains mix slowly it falls more
/// slowly than 1/K, so not from far.
const SETTLED: f64 = 2.5;
/// Share of the time limit that pilots may use.
const SHARE: f64 = 0.25;
/// Rungs of each explorer, and the fewest where all of them would take more than this share of the time limit.
const EXPLORING_RUNGS: usize = 64;
const LEAST_EXPLORING_RUNGS: usize = 8;
const EXPLORING: f64 = 0.15;
/// Fewest rungs of the reported round: easy models cost nothing, and have lighter tails for it.
const LEAST_RUNGS: usize = 128;
/// Chains of the reported round unless more are needed or asked for.
pub(crate) const REPORTED_CHAINS: usize = 1024;
/// Rungs beyond which a round that resamples is content with a larger variance: its cost is what a user waits for.
const MANY_RUNGS: f64 = 1024.0;
const FRUGAL_VARIANCE: f64 = 1.0;
/// Fewest chains where a budget decides.
const LEAST_CHAINS: usize = 256;
/// Variance of log-weights to aim at where a run is evidence: with 1,024 chains a standard error of 0.06.
const EVIDENT_VARIANCE: f64 = 1.5;
/// How many times the rungs of the reported round it may have.
const MOST_MORE: f64 = 3.0;
/// Coordinates that all chains together may have: a few GiB in the widest layouts.
const MOST_COORDINATES: usize = 1 << 28;
/// Rungs that a run from a flat reference may take however few the answer has, and how many times the answer's it may have; what it
/// costs beyond the second forward run whose place it takes, in walks of all chains.
const MOST_FLAT_RUNGS: usize = 2048;
const FLAT_MORE: usize = 2;
const FLAT_SHARE: f64 = 0.25;
/// Chains that a reference is fitted to at least, and the share of them that must have started where the model has mass for their
/// weights to say how.
const LEAST_STANDING: usize = 16;
const FEW_STARTS: f64 = 0.1;
/// Variance of log-weights to aim at: ESS/N = e^{−0.7} ≈ ½, which leaves room for ESS ≥ 100 and a light tail.
const AIMED_VARIANCE: f64 = 0.7;

/// What the pilots settled: everything that the reported round needs, frozen.
#[derive(Debug)]
pub struct Plan {
    /// The path with reference and kernel fitted.
    pub path: Arc<dyn Path>,
    /// The schedule of the reported round.
    pub schedule: Schedule,
    /// Its chains.
    pub chains: usize,
    /// Whether they are resampled.
    pub resampled: bool,
    /// Barrier Λ as the last pilot saw it.
    pub barrier: f64,
    /// The barrier as rungs share it, and more where chains mix slowly: with K of them the discrepancy of none is above 1/K of it.
    pub length: f64,
    /// What each pilot found.
    pub records: Vec<PilotRecord>,
    /// What was settled, for a replay to follow.
    pub decisions: Decisions,
    /// A run from a flat reference that the answer is to be held against, where it does not start there itself.
    pub flat: Option<FlatRun>,
    /// What cross-checks cost, in walks of all chains up the schedule.
    pub evidence: f64,
}

/// A run from a flat reference, with pilots of its own.
#[derive(Debug)]
pub struct FlatRun {
    /// Its path.
    pub path: Arc<dyn Path>,
    /// Its schedule: twice the answer's rungs, or 4,096.
    pub schedule: Schedule,
}

impl Plan {
    /// The reported round, or another one like it: exact draws from the reference, walked up the schedule.
    ///
    /// # Errors
    /// As [`forward`](super::annealing::forward).
    pub fn anneal(&self, name: &str, stream: Stream, phases: &mut Phases<'_>) -> Result<Annealed> {
        let population = Population::from_reference(self.path.as_ref(), self.chains, stream);
        let resampling = self.resampled.then(|| Resampling::at_half(stream.child(u64::MAX)));
        phases.forward(name, population, &self.schedule, Move::Forward, resampling)
    }

    /// The schedule and the islands of a waste-free round that takes as many sweeps as the reported round would.
    ///
    /// Rungs are as few as leave every rung's weights an ESS of half of them, e^{−d²} = ½ for the discrepancy d of a rung, but for
    /// sixteen, and the sweeps that this saves go into more states at each.
    pub(crate) fn waste_free(&self, length: usize, settings: &Settings) -> (Schedule, Islands) {
        let sweeps = self.chains * self.schedule.rungs();
        let least = settings.chains.unwrap_or(waste_free::LEAST_ISLANDS * waste_free::LEAST_CHAINS * length);
        let wanted =
            ((self.length / std::f64::consts::LN_2.sqrt()).ceil() as usize).max(waste_free::LEAST_RUNGS);
        let rungs = if matches!(settings.schedule, ScheduleChoice::Given(_)) {
            self.schedule.rungs()
        } else if let Some(rungs) = settings.rungs {
            rungs
        } else if self.decisions.out_of_time || settings.budget.is_some() {
            wanted.min((sweeps / least).max(1))
        } else {
            wanted
        };
        let states = settings.chains.unwrap_or_else(|| least.max(sweeps / rungs));
        (self.schedule.with_rungs(rungs), Islands::divide(states, length))
    }

    /// log Ẑ and its standard error from a walk up.
    pub(crate) fn upward(&self, up: &Annealed) -> (f64, f64) {
        (self.path.log_z_reference() + up.weights.log_mean(), up.families.std_err())
    }

    /// log Ẑ and its standard error from a walk down, with a walk up that saw which part of the reference the model supports.
    ///
    /// A walk down never leaves the model's support S, so the mean of its weights is Z₀ P₀(S)/Z.
    pub(crate) fn downward(&self, down: &Annealed, up: &Annealed) -> (f64, f64) {
        let (log_support, error) = up.log_support();
        (
            self.path.log_z_reference() + log_support - down.weights.log_mean(),
            down.families.std_err().hypot(error),
        )
    }

    /// What a reader should know of how the round was planned and what came of it.
    pub(crate) fn warnings(&self, std_err: f64, settings: &Settings) -> Vec<Warning> {
        let mut warnings = Vec::new();
        if std_err > settings.target_se && settings.budget.is_none() {
            let (target, out_of_time) = (settings.target_se, self.decisions.out_of_time);
            warnings.push(Warning::TargetMissed { std_err, target, out_of_time });
        }
        if self.decisions.quadrature == Some(false) {
            warnings.push(Warning::NoTime { what: "the cross-check by numerical integration".into() });
        }
        if let Some(starts) = self.decisions.bounds {
            warnings.push(Warning::NoTime {
                what: match starts {
                    0 => "a lower bound from more than the first landmarks".into(),
                    _ => format!("a lower bound from more than {starts} states"),
                },
            });
        }
        if self.path.start() == Some(Start::Open) {
            warnings.push(Warning::GuessedBaseRates);
        }
        warnings
    }
}

/// Runs pilots until the variance of their log-weights is small enough to extrapolate from, and settles the reported round.
///
/// On finite spaces a flat reference is tried first, and kept unless a fitted one serves much better; then the answer is held against a
/// run from the flat one ([`Plan::flat`]).
///
/// Pilots have 128 chains each (or as many as the path's reference needs to be fitted), 32 rungs at first, and twice as many as soon as
/// two have fitted reference and kernel or the variance is above 2.5; each runs at the schedule that the one before it suggested. A
/// path that can be bent ([`Bend`](crate::paths::Bend)) is, after the second pilot, where its barrier is 6 or more: by up to 40 short
/// runs of a tempering ladder, which take a tenth of the limit at most. The variance s² of log-weights falls as K^−a with ½ ≤ a ≤ 1,
/// a as the last three pilots on the final path saw it, so K = K_pilot (s²/0.7)^(1/a) rungs, and no fewer than the pilot's, give
/// ESS ≈ N/2; N = 1,024 chains, or as many as the target standard error needs by SE² = (e^{s²} − 1)/N. A round that resamples and would
/// take more than 1,024 rungs aims at s² = 1 instead, for half of the cost. Whatever the pilots would like, `max_time` bounds the rungs,
/// so that all of `rounds` have room; or `budget` says how many there are, with fewer chains where 1,024 would leave each too few; or
/// `replay` says what an earlier run decided, and no clock is asked.
///
/// # Errors
/// [`Error::Setting`](crate::Error::Setting) for settings that make no sense; as [`forward`](super::annealing::forward).
pub fn plan(
    model: &Arc<dyn Model>,
    settings: &Settings,
    rounds: impl Fn(&dyn Path) -> Rounds,
    phases: &mut Phases<'_>,
) -> Result<Plan> {
    settings.check()?;
    phases.role = Role::Pilot;
    let begin = Instant::now();
    let stream = Stream::new(settings.seed).child(1);
    let choices = Choices { kernel: settings.kernel, reference: settings.reference };
    let path = paths::chosen(model, settings.data.as_ref().map(|data| data.view()), choices)?;
    let explored = explore(path.as_ref(), stream.child(999), &exploring(settings), phases)?;
    let explored_rungs = explored.as_ref().map(|(_, rungs)| *rungs).filter(|rungs| *rungs < EXPLORING_RUNGS);
    let path = explored.map_or(path, |(explored, _)| explored);
    let Rounds { answer, evidence, resampled } = rounds(path.as_ref());
    let checked = evidence > 0.0;
    let Chosen { answer: series, check, pilots: (pilots, bends), flat } =
        choose(path, checked, (settings, begin, stream), phases)?;
    let check = check.filter(|_| checked);
    let evidence = if check.is_some() { evidence + FLAT_SHARE } else { evidence };
    let Series { barrier, length, support, pace, .. } = series;
    let wanted_error = settings.target_se;
    let rungs_for = |aimed: f64| series.rungs_for(aimed);
    let frugal = resampled && rungs_for(AIMED_VARIANCE) > MANY_RUNGS;
    let aimed = if frugal { FRUGAL_VARIANCE } else { AIMED_VARIANCE };
    let usual = ((REPORTED_CHAINS as f64 / support) as usize).next_multiple_of(64);
    let chains = settings.chains.unwrap_or_else(|| {
        let needed = relative_variance(aimed, resampled) / (support * wanted_error * wanted_error);
        (needed.min(1e7) as usize).next_multiple_of(64).max(usual)
    });
    // Steps of single chains that the reported round may take.
    let steps = match settings.budget {
        Some(budget) => left(budget as f64, phases.cost.counts.sweeps as f64) / answer,
        None => left(settings.max_time, begin.elapsed().as_secs_f64()) / (pace * (answer + evidence)),
    };
    // Chains beyond the usual number are worth having only with enough rungs for each, and no budget must be spent on more than
    // have enough.
    let enough = rungs_for(aimed);
    let room = ((steps / enough.max(1.0)) as usize).min(MOST_COORDINATES / series.path.space().dim.max(1));
    let hurried = steps < (usual * LEAST_RUNGS) as f64;
    let fewest = if settings.budget.is_some() || hurried { LEAST_CHAINS } else { usual };
    let out_of_room = settings.chains.is_none() && chains > room.max(fewest);
    let chains = if out_of_room { room.max(fewest).next_multiple_of(64) } else { chains };
    let allowed = chains as f64 * support * wanted_error * wanted_error;
    let aimed = aimed.min(0.8 * log_variance(allowed, resampled));
    let wanted = rungs_for(aimed).max(barrier * barrier / aimed);
    // Few chains have more of them in the evidence, for each of their own.
    let share = |chains| rounds::chains(series.path.as_ref(), chains) as f64 / chains as f64;
    let walks = answer + evidence * (share(chains) / share(usual)).max(1.0);
    let crowded = if settings.budget.is_some() { 1.0 } else { walks / (answer + evidence) };
    let affordable = (steps / (crowded * chains as f64)).max(1.0);
    let given = matches!(settings.schedule, ScheduleChoice::Given(_));
    let rungs = if given {
        series.curve.rungs()
    } else {
        settings.rungs.unwrap_or_else(|| match settings.budget {
            Some(_) => affordable as usize,
            None => wanted.max(LEAST_RUNGS as f64).min(affordable).ceil() as usize,
        })
    };
    let out_of_time = out_of_room || (settings.rungs.is_none() && !given && wanted > affordable);
    let mut decisions = settings.replay.unwrap_or(Decisions {
        pilots,
        chains,
        rungs,
        sweeps: None,
        trial: None,
        exploring: explored_rungs,
        bends,
        flat,
        placing: None,
        integration: None,
        bounds: None,
        quadrature: None,
        out_of_time,
    });
    let Decisions { chains, rungs, .. } = decisions;
    let schedule_of = |curve: Schedule, rungs| {
        if given { curve } else { reported_schedule(settings, &curve, rungs) }
    };
    let flat = check.map(|flat| {
        // All that it may have: it was not chosen because it needs more, or because its pilots were too short to tell.
        let room = if settings.replay.is_some() { f64::INFINITY } else { FLAT_MORE as f64 * affordable };
        let wanted = (FLAT_MORE * rungs).max(2 * MOST_FLAT_RUNGS).min(room as usize);
        let rungs = decisions.flat.and_then(|decided| decided.rungs).unwrap_or(wanted);
        decisions.flat = decisions.flat.map(|decided| FlatStart { rungs: Some(rungs), ..decided });
        FlatRun { schedule: schedule_of(flat.curve, rungs), path: flat.path }
    });
    let Series { path, curve, records, .. } = series;
    let schedule = schedule_of(curve, rungs);
    phases.role = Role::Answer;
    Ok(Plan { path, schedule, chains, resampled, barrier, length, records, decisions, flat, evidence })
}

/// Rungs of exploration, from the seconds that the first run took and how many others there are.
fn exploring(settings: &Settings) -> impl Fn(f64, usize) -> usize {
    move |first, others| match settings.replay {
        Some(decided) => decided.exploring.unwrap_or(EXPLORING_RUNGS),
        None if settings.budget.is_some() => EXPLORING_RUNGS,
        None => {
            let left = EXPLORING * settings.max_time - first;
            let rungs = EXPLORING_RUNGS as f64 * left / (others as f64 * first);
            rungs.clamp(LEAST_EXPLORING_RUNGS as f64, EXPLORING_RUNGS as f64) as usize
        }
    }
}

/// A schedule for `path`, another one than the plan's to the same model: one pilot walks the plan's, and says where rungs are needed
/// and whether more of them, at most `MOST_MORE` times as many where `Settings` leave their number open.
pub(crate) fn reschedule(
    path: &dyn Path,
    plan: &Plan,
    settings: &Settings,
    stream: Stream,
    phases: &mut Phases<'_>,
) -> Result<Schedule> {
    if settings.schedule != ScheduleChoice::EqualBarrier {
        return Ok(plan.schedule.clone());
    }
    let rungs = plan.schedule.rungs();
    let population = Population::from_reference(path, path.pilot_chains(), stream);
    let run = phases.forward(
        "pilot of a run from a wider reference",
        population,
        &plan.schedule,
        Move::Forward,
        None,
    )?;
    let fixed = settings.rungs.is_some() || plan.decisions.out_of_time;
    let variance = spread(&run, 1.0);
    let more =
        if fixed || variance.is_nan() { 1.0 } else { (variance / EVIDENT_VARIANCE).clamp(1.0, MOST_MORE) };
    Ok(plan.schedule.equal_barrier(&shares(&run.rungs), (more * rungs as f64).ceil() as usize))
}

/// What is left of a limit, and no less than a tenth of it.
pub(crate) fn left(limit: f64, spent: f64) -> f64 {
    (limit - spent).max(0.1 * limit)
}

fn first_curve(settings: &Settings) -> Result<Schedule> {
    Ok(match &settings.schedule {
        ScheduleChoice::EqualBarrier | ScheduleChoice::Linear => Schedule::linear(FIRST_RUNGS),
        ScheduleChoice::Sigmoidal => Schedule::sigmoidal(FIRST_RUNGS),
        ScheduleChoice::Given(betas) => Schedule::given(betas.clone())?,
    })
}

fn reported_schedule(settings: &Settings, curve: &Schedule, rungs: usize) -> Schedule {
    match settings.schedule {
        ScheduleChoice::Linear => Schedule::linear(rungs),
        ScheduleChoice::Sigmoidal => Schedule::sigmoidal(rungs),
        ScheduleChoice::EqualBarrier | ScheduleChoice::Given(_) => curve.with_rungs(rungs),
    }
}

/// How pilots and evidence resample: on finite spaces only. On continuous ones the reference is fitted to where chains ended, and
/// copies of those in one mode would hide that there are others, from the fit and from the evidence.
pub(crate) fn resampling(path: &dyn Path, stream: Stream) -> Option<Resampling> {
    path.widened().is_none().then(|| Resampling::at_half(stream))
}

/// `count` states drawn from a weighted population with probabilities in proportion to the weights, systematically.
pub(crate) fn equally_weighted(run: &Annealed, count: usize, stream: Stream) -> Array2<f64> {
    run.population.pick(&systematic(&run.weights.normalised(), count, stream))
}

/// The weights that a reference is fitted by: those of a walk, or where walls of the model left few of these, equal ones for all
/// chains that have come to where it allows them, given the log-densities at which chains ended.
fn standing(log_weights: Vec<f64>, densities: impl FnOnce() -> Vec<f64>) -> LogWeights {
    let weighted = log_weights.iter().filter(|weight| weight.is_finite()).count();
    if weighted as f64 >= FEW_STARTS * log_weights.len() as f64 {
        return LogWeights::new(log_weights);
    }
    let equal = |density: f64| if density == f64::NEG_INFINITY { density } else { 0.0 };
    LogWeights::new(densities().into_iter().map(equal).collect())
}

/// Indices drawn in proportion to the weights raised to the largest power ≤ 1 that leaves an ESS of half of them: what is fitted to
/// a few heavy chains is fitted to their modes only. (With a quarter, one reference in twenty on a 16-dimensional product of double
/// wells lost a mode of a seventh of the mass.)
///
/// No index where hardly a chain stands where the model allows it: nothing can be fitted to so few.
fn fairly_weighted(weights: &LogWeights, stream: Stream) -> Vec<usize> {
    let positive = weights.log().iter().filter(|weight| weight.is_finite()).count();
    if positive < LEAST_STANDING {
        return Vec::new();
    }
    let least = 0.5 * positive as f64;
    let at = |power: f64| LogWeights::new(weights.log().iter().map(|w| (power * w).max(-1e300)).collect());
    let power = if at(1.0).effective_sample_size() >= least {
        1.0
    } else {
        bisect(0.0, 1.0, |power| at(power).effective_sample_size() - least)
    };
    systematic(&at(power).normalised(), weights.len(), stream)
}
