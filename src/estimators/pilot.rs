//! Pilot runs: they choose schedule, rungs, chains and kernel parameters, and nothing that they see is reported as the answer.

use std::sync::Arc;
use std::time::Instant;

use super::annealing::{Annealed, forward};
use super::estimate::{Cost, PilotRecord, Rung};
use super::monitor::Monitor;
use super::resampling::systematic;
use super::settings::{ScheduleChoice, Settings};
use ndarray::{Axis, concatenate};

use crate::error::Result;
use crate::math::roots::bisect;
use crate::math::{LogWeights, Stream};
use crate::paths::{Counts, Move, Path, Pilot, Population, Schedule};

/// Chains of a pilot.
const CHAINS: usize = 128;
/// Rungs of the first pilot; each further one doubles them.
const FIRST_RUNGS: usize = 32;
/// Variance of log-weights at which the last pilot is good enough to extrapolate from.
const SETTLED: f64 = 2.0;
/// Share of the time limit that pilots may use.
const SHARE: f64 = 0.25;
/// Chains of the reported round unless more are needed or asked for.
const REPORTED_CHAINS: usize = 1024;
/// Coordinates that all chains together may have: a few GiB in the widest layouts.
const MOST_COORDINATES: usize = 1 << 28;
/// Variance of log-weights to aim at: ESS/N = e^{−0.7} ≈ ½, which leaves room for ESS ≥ 100 and a light tail.
const AIMED_VARIANCE: f64 = 0.7;
/// More rungs than the extrapolation asks for: it is noisy, and variance falls more slowly than 1/K where chains mix slowly.
const MARGIN: f64 = 2.0;

/// What the pilots settled: everything that the reported round needs, frozen.
#[derive(Debug)]
pub struct Plan {
    /// The path with reference and kernel fitted.
    pub path: Arc<dyn Path>,
    /// The schedule of the reported round.
    pub schedule: Schedule,
    /// Its chains.
    pub chains: usize,
    /// Barrier Λ as the last pilot saw it.
    pub barrier: f64,
    /// What each pilot found.
    pub records: Vec<PilotRecord>,
    /// Whether the time limit cut the rungs short.
    pub out_of_time: bool,
}

/// Runs pilots until the variance of their log-weights is small enough to extrapolate from, and settles the reported round.
///
/// Pilot r has 128 chains and 32·2ʳ rungs, at the schedule that the one before it suggested. The variance of log-weights falls
/// as 1/K, so K = K_pilot · s²/0.7 rungs give ESS ≈ N/2; N = 1,024 chains, or as many as the target standard error needs by
/// SE² = (e^{s²} − 1)/N. Whatever the pilots would like, `max_time` bounds the rungs (counted with `overhead` runs' worth of
/// evidence).
///
/// # Errors
/// As [`forward`].
pub fn plan(
    mut path: Arc<dyn Path>,
    settings: &Settings,
    overhead: f64,
    monitor: &dyn Monitor,
    cost: &mut Cost,
) -> Result<Plan> {
    let start = Instant::now();
    let stream = Stream::new(settings.seed).child(1);
    let mut curve = first_curve(settings)?;
    let mut records: Vec<PilotRecord> = Vec::new();
    let mut barrier = 0.0;
    let mut variance = f64::INFINITY;
    let mut pace = 0.0;
    let mut rungs = FIRST_RUNGS;
    let most = settings.rungs.unwrap_or(usize::MAX).max(FIRST_RUNGS);
    if let Some(explored) = explore(path.as_ref(), stream.child(999), monitor, cost)? {
        path = explored;
    }
    while rungs <= most {
        // The first two rounds fit reference and kernel; only a round after them measures what will be run.
        let settled = records.len() > 2 && variance <= SETTLED;
        let spent = start.elapsed().as_secs_f64();
        let predicted = pace * (CHAINS * rungs) as f64;
        if settled || (!records.is_empty() && spent + predicted > SHARE * settings.max_time) {
            break;
        }
        let begin = Instant::now();
        monitor.begin(&format!("pilot {}", records.len() + 1), rungs as u64);
        let schedule = curve.with_rungs(rungs);
        let population =
            Population::from_reference(path.as_ref(), CHAINS, stream.child(records.len() as u64));
        let run = forward(population, &schedule, Move::Adapting, monitor)?;
        let seconds = begin.elapsed().as_secs_f64();
        pace = seconds / (CHAINS * rungs) as f64;
        cost.add(&format!("pilot {}", records.len() + 1), seconds, run.population.counts());

        barrier = run.rungs.iter().map(|rung| rung.discrepancy).sum();
        variance = spread(&run.weights);
        if settings.schedule == ScheduleChoice::EqualBarrier {
            curve = schedule.equal_barrier(&shares(&run.rungs), rungs);
        }
        let record = PilotRecord {
            chains: CHAINS,
            rungs,
            log_z: path.log_z_reference() + run.weights.log_mean(),
            std_err: run.weights.std_err(),
            effective_sample_size: run.weights.effective_sample_size(),
            barrier,
        };
        monitor.note(&format!(
            "pilot {}: {rungs} rungs, log Z = {:.2} ± {:.2}, ESS {:.0} of {CHAINS}, barrier {barrier:.1}",
            records.len() + 1,
            record.log_z,
            record.std_err,
            record.effective_sample_size
        ));
        records.push(record);
        let picks = fairly_weighted(&run.weights, stream.child(1_000 + records.len() as u64));
        let states = run.population.pick(&picks);
        if let Some(tuned) = path.tuned(&Pilot { rungs: &run.steps, states: states.view() }) {
            path = tuned;
        }
        if variance > SETTLED || records.len() > 2 {
            rungs *= 2;
        }
    }

    let last = records.last().expect("the first pilot always runs");
    let wanted_error = settings.target_se;
    let chains = settings.chains.unwrap_or_else(|| {
        let needed = AIMED_VARIANCE.exp_m1() / (wanted_error * wanted_error);
        (needed.min(1e7) as usize).next_multiple_of(64).max(REPORTED_CHAINS)
    });
    let budget = (settings.max_time - start.elapsed().as_secs_f64()).max(0.1 * settings.max_time)
        / (pace * (1.0 + overhead));
    // Chains beyond the usual number are worth having only with enough rungs for each.
    let enough = MARGIN * last.rungs as f64 * variance / AIMED_VARIANCE;
    let room = ((budget / enough.max(1.0)) as usize).min(MOST_COORDINATES / path.space().dim.max(1));
    let out_of_room = settings.chains.is_none() && chains > room.max(REPORTED_CHAINS);
    let chains = if out_of_room { room.max(REPORTED_CHAINS).next_multiple_of(64) } else { chains };
    let aimed = AIMED_VARIANCE.min(0.8 * (chains as f64 * wanted_error * wanted_error).ln_1p());
    let wanted = (MARGIN * last.rungs as f64 * variance / aimed).max(barrier * barrier / aimed);
    let affordable = (budget / chains as f64).max(1.0);
    let given = matches!(settings.schedule, ScheduleChoice::Given(_));
    let rungs = if given {
        curve.rungs()
    } else {
        settings.rungs.unwrap_or_else(|| wanted.max(FIRST_RUNGS as f64).min(affordable).ceil() as usize)
    };
    let schedule = if given { curve } else { reported_schedule(settings, &curve, rungs) };
    let out_of_time = out_of_room || (settings.rungs.is_none() && !given && wanted > affordable);
    Ok(Plan { path, schedule, chains, barrier, records, out_of_time })
}

/// Fits the path to what short runs from its explorers found together; `None` if it has none.
///
/// Each chain's weight is an unbiased estimate of Z whatever reference it came from, so the runs pool as one weighted population.
fn explore(
    path: &dyn Path,
    stream: Stream,
    monitor: &dyn Monitor,
    cost: &mut Cost,
) -> Result<Option<Arc<dyn Path>>> {
    let explorers = path.explorers();
    if explorers.is_empty() {
        return Ok(None);
    }
    let begin = Instant::now();
    let rungs = 2 * FIRST_RUNGS;
    monitor.begin("exploration", (rungs * explorers.len()) as u64);
    let mut log_weights = Vec::new();
    let mut states = Vec::new();
    let mut counts = Counts::default();
    for (i, explorer) in explorers.iter().enumerate() {
        let population = Population::from_reference(explorer.as_ref(), CHAINS, stream.child(i as u64));
        let run = forward(population, &Schedule::linear(rungs), Move::Adapting, monitor)?;
        log_weights.extend_from_slice(run.weights.log());
        counts += run.population.counts();
        states.push(run.population.states());
    }
    let views: Vec<_> = states.iter().map(|states| states.view()).collect();
    let states = concatenate(Axis(0), &views).expect("states of one space have one width");
    let picks = fairly_weighted(&LogWeights::new(log_weights), stream.child(u64::MAX));
    cost.add("exploration", begin.elapsed().as_secs_f64(), counts);
    Ok(path.tuned(&Pilot { rungs: &[], states: states.select(Axis(0), &picks).view() }))
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

/// How much of the rungs each step of a pilot's schedule deserves.
///
/// Where chains mix between rungs, the variance of the log-weights grows by the squared discrepancy d² at each, and shares in
/// proportion to d are best: that is the barrier. Where they mix slowly it grows faster, because errors of neighbouring rungs
/// add up instead of averaging out. A stretch of n rungs over which the variance grew by v would have grown by vn/m with m
/// rungs, so Σ vᵢnᵢ/mᵢ is least for mᵢ ∝ √(vᵢnᵢ), which is the barrier again where v = nd². Growth is taken over stretches of a
/// twenty-fourth of the schedule, because a pilot's 128 chains are few.
fn shares(rungs: &[Rung]) -> Vec<f64> {
    let mut shares = Vec::with_capacity(rungs.len());
    let mut before = 0.0;
    for stretch in rungs.chunks(rungs.len().div_ceil(24)) {
        let after = stretch[stretch.len() - 1].log_weight_variance;
        let squares: f64 = stretch.iter().map(|rung| rung.discrepancy.powi(2)).sum();
        let sum: f64 = stretch.iter().map(|rung| rung.discrepancy).sum();
        let growth = if after.is_finite() { (after - before).max(squares) } else { squares };
        let whole = (growth * stretch.len() as f64).sqrt();
        shares
            .extend(stretch.iter().map(|rung| if sum > 0.0 { whole * rung.discrepancy / sum } else { 0.0 }));
        before = after;
    }
    shares
}

/// The variance that normal log-weights with this ESS would have, or four fifths of the sample's own where that is more.
fn spread(weights: &LogWeights) -> f64 {
    let share = weights.effective_sample_size() / weights.len() as f64;
    (-share.ln()).max(0.8 * weights.variance())
}

/// States drawn from a weighted population with probabilities in proportion to the weights, systematically.
pub(crate) fn equally_weighted(run: &Annealed, stream: Stream) -> ndarray::Array2<f64> {
    let picks = systematic(&run.weights.normalised(), run.weights.len(), stream);
    run.population.pick(&picks)
}

/// Indices drawn in proportion to the weights raised to the largest power ≤ 1 that leaves an ESS of a quarter of them: what is
/// fitted to a few heavy chains is fitted to their modes only.
fn fairly_weighted(weights: &LogWeights, stream: Stream) -> Vec<usize> {
    let least = 0.25 * weights.len() as f64;
    let at = |power: f64| LogWeights::new(weights.log().iter().map(|w| (power * w).max(-1e300)).collect());
    let power = if at(1.0).effective_sample_size() >= least {
        1.0
    } else {
        bisect(0.0, 1.0, |power| at(power).effective_sample_size() - least)
    };
    systematic(&at(power).normalised(), weights.len(), stream)
}
