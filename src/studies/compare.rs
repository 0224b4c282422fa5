//! Estimators on one model at equal cost, several times each.

use std::sync::Arc;

use super::comparison::{Comparison, Replicate, Standing, Truth};
use super::prices::Prices;
use crate::error::{Error, Result};
use crate::estimators::{Counts, Estimate, Estimator, Guarantee, Interval, Monitor, Settings, Silent};
use crate::math::{log_mean_exp, statistics};
use crate::models::Model;

/// Seconds that an exact or numerical method may take.
const SOON: f64 = 10.0;
/// Memory that it may take, in bytes.
const SMALL: f64 = 4e9;

/// What to compare.
#[derive(Debug)]
pub struct Contest<'a> {
    /// The estimators.
    pub methods: &'a [&'a dyn Estimator],
    /// Budgets of a single run in sweeps, rising.
    pub budgets: &'a [u64],
    /// Independent runs of each estimator at each budget.
    pub replicates: usize,
    /// Seed, confidence level and data; what a run costs is the budget's to say.
    pub settings: Settings,
    /// log Z, where it is known from elsewhere.
    pub known: Option<Truth>,
}

/// Runs every estimator that applies at every budget with independent seeds.
///
/// Exact and numerical methods run once, if they are predicted to take under ten seconds; the first that succeeds gives the truth,
/// unless one is known. Where there is none, the truth is the consensus: the mean, by 1/SE², of the samplers of which most runs at
/// the largest budget converged. Replicates of an estimator with `E[Ẑ] = Z` are combined as log (1/R) Σ Ẑᵣ, those with
/// `E[1/Ẑ] = 1/Z` accordingly, both with the jackknife's error; all others by the mean of log Ẑ.
///
/// # Errors
/// What an estimator reports, unless it is that it does not apply; [`Error::Setting`] where none applies, or for budgets out of
/// range.
pub fn compare(model: &Arc<dyn Model>, contest: &Contest<'_>, monitor: &dyn Monitor) -> Result<Comparison> {
    let mut left_out = Vec::new();
    let mut applicable = Vec::new();
    for &method in contest.methods {
        match method.plan(model) {
            Ok(plan) if plan.seconds.is_some_and(|seconds| seconds > SOON) || plan.bytes > SMALL => {
                left_out.push((method.name().to_owned(), "it would take over ten seconds or 4 GB".into()));
            }
            Ok(_) => applicable.push(method),
            Err(error) => left_out.push((method.name().to_owned(), reason(&error))),
        }
    }
    let prices = Prices::measure(model)?;
    let mut standings = Vec::new();
    for &method in &applicable {
        let largest = contest.budgets.len() - 1;
        let budgets = if samples(method) { contest.budgets } else { &contest.budgets[largest..] };
        let runs = if samples(method) { contest.replicates } else { 1 };
        monitor.begin(method.name(), (budgets.len() * runs) as u64);
        for &budget in budgets {
            match replicate(method, model, contest, budget, runs, monitor) {
                Ok(found) => standings.push(standing(method, budget as f64, &found, contest, &prices)),
                Err(Error::NotApplicable { reason, .. } | Error::NotReached { message: reason, .. }) => {
                    left_out.push((method.name().to_owned(), reason));
                    break;
                }
                Err(error) => return Err(error),
            }
        }
    }
    if standings.is_empty() {
        return Err(Error::setting("--methods", "", "none of them applies to this model"));
    }
    let truth = contest.known.clone().or_else(|| exact(&standings)).or_else(|| consensus(&standings));
    if let Some(truth) = &truth {
        for standing in &mut standings {
            hold_against(standing, truth);
        }
    }
    rank(&mut standings);
    Ok(Comparison {
        truth,
        budgets: contest.budgets.iter().map(|&budget| budget as f64).collect(),
        replicates: contest.replicates,
        conflicts: conflicts(&standings),
        standings,
        left_out,
        prices,
    })
}

/// Whether chance has a part in it.
fn samples(method: &dyn Estimator) -> bool {
    !matches!(method.guarantee(), Guarantee::Exact | Guarantee::Numerical)
}

fn reason(error: &Error) -> String {
    match error {
        Error::NotApplicable { reason, .. } => reason.clone(),
        other => other.to_string(),
    }
}

fn replicate(
    method: &dyn Estimator,
    model: &Arc<dyn Model>,
    contest: &Contest<'_>,
    budget: u64,
    runs: usize,
    monitor: &dyn Monitor,
) -> Result<Vec<Estimate>> {
    (0..runs as u64)
        .map(|run| {
            let seed = contest.settings.seed.wrapping_add(run);
            let budget = samples(method).then_some(budget);
            let settings = Settings { budget, seed, ..contest.settings.clone() };
            let found = method.estimate(model, &settings, &Silent);
            monitor.advance(1);
            found
        })
        .collect()
}

fn standing(
    method: &dyn Estimator,
    budget: f64,
    found: &[Estimate],
    contest: &Contest<'_>,
    prices: &Prices,
) -> Standing {
    let values: Vec<f64> = found.iter().map(|estimate| estimate.log_z).collect();
    let mean_of = |value: &dyn Fn(&Estimate) -> Option<f64>| {
        let known: Vec<f64> = found.iter().filter_map(value).collect();
        (!known.is_empty()).then(|| statistics::mean(&known))
    };
    let guarantee = found[0].guarantee.clone();
    let claimed = mean_of(&|estimate| estimate.std_err);
    let (log_z, spread_error) = combine(&values, &guarantee);
    // One replicate has no spread, and stands by its own error.
    let std_err = if values.len() > 1 { claimed.and(spread_error) } else { claimed };
    let level = contest.settings.level;
    let interval = std_err.filter(|error| error.is_finite()).map(|error| {
        let degrees = if values.len() > 1 { values.len() as f64 - 1.0 } else { 1e6 };
        let half = statistics::student_quantile(level, degrees) * error;
        Interval { lower: log_z - half, upper: log_z + half, level }
    });
    let mut total = Counts::default();
    for estimate in found {
        total += estimate.cost.of_the_answer();
    }
    let runs = found.len() as u64;
    let counts = Counts {
        energy_evaluations: total.energy_evaluations / runs,
        gradient_evaluations: total.gradient_evaluations / runs,
        sweeps: total.sweeps / runs,
    };
    let seconds = mean_of(&|estimate| Some(estimate.cost.seconds)).unwrap_or(0.0);
    Standing {
        method: method.name().into(),
        guarantee,
        budget,
        log_z,
        std_err,
        interval,
        error: None,
        z: None,
        root_mean_square_error: None,
        spread: (values.len() > 1).then(|| statistics::variance(&values).sqrt()),
        claimed,
        effective_sample_size: mean_of(&|estimate| estimate.diagnostics.effective_sample_size),
        counts,
        cost: if samples(method) { prices.in_sweeps(&counts) } else { seconds / prices.whole_sweep },
        seconds,
        converged: found.iter().filter(|estimate| estimate.verdict.is_converged()).count(),
        runs: found
            .iter()
            .map(|estimate| Replicate {
                seed: estimate.seed,
                log_z: estimate.log_z,
                std_err: estimate.std_err,
                converged: estimate.verdict.is_converged(),
            })
            .collect(),
    }
}

/// All replicates as one number, with the standard error that their spread gives it.
fn combine(values: &[f64], guarantee: &Guarantee) -> (f64, Option<f64>) {
    let whole = |values: &[f64]| match guarantee {
        Guarantee::UnbiasedZ => log_mean_exp(values),
        Guarantee::StochasticUpper => {
            let inverse: Vec<f64> = values.iter().map(|value| -value).collect();
            -log_mean_exp(&inverse)
        }
        _ => statistics::mean(values),
    };
    if values.len() < 2 {
        return (whole(values), None);
    }
    let without: Vec<f64> =
        (0..values.len()).map(|i| whole(&[&values[..i], &values[i + 1..]].concat())).collect();
    let count = values.len() as f64;
    // The jackknife: for a mean this is sd/√R.
    let std_err = ((count - 1.0) / count * (count - 1.0) * statistics::variance(&without)).sqrt();
    (whole(values), Some(std_err))
}

fn exact(standings: &[Standing]) -> Option<Truth> {
    let first = standings.iter().find(|standing| {
        matches!(standing.guarantee, Guarantee::Exact | Guarantee::Numerical) && standing.converged == 1
    })?;
    Some(Truth { log_z: first.log_z, std_err: 0.0, source: first.method.clone() })
}

/// The mean of the samplers that mostly converged at the largest budget, by 1/SE².
fn consensus(standings: &[Standing]) -> Option<Truth> {
    let largest = standings.iter().map(|standing| standing.budget).fold(0.0, f64::max);
    let voters: Vec<(f64, f64)> = standings
        .iter()
        .filter(|standing| standing.budget == largest && 2 * standing.converged > standing.runs.len())
        .filter_map(|standing| Some((standing.log_z, standing.std_err?)))
        .filter(|(_, error)| error.is_finite() && *error > 0.0)
        .collect();
    let weight: f64 = voters.iter().map(|(_, error)| error.powi(-2)).sum();
    (weight > 0.0).then(|| Truth {
        log_z: voters.iter().map(|(value, error)| value * error.powi(-2)).sum::<f64>() / weight,
        std_err: weight.powf(-0.5),
        source: "consensus".into(),
    })
}

fn hold_against(standing: &mut Standing, truth: &Truth) {
    let error = standing.log_z - truth.log_z;
    standing.error = Some(error);
    standing.z =
        standing.std_err.map(|std_err| error / std_err.hypot(truth.std_err)).filter(|z| z.is_finite());
    let squares: Vec<f64> = standing.runs.iter().map(|run| (run.log_z - truth.log_z).powi(2)).collect();
    standing.root_mean_square_error = Some(statistics::mean(&squares).sqrt());
}

/// The largest budget first; within a budget by root-mean-square error, else by spread, else by the claimed error.
fn rank(standings: &mut [Standing]) {
    let badness = |standing: &Standing| {
        let known = standing.root_mean_square_error.or(standing.spread).or(standing.claimed);
        known.filter(|badness| !badness.is_nan()).unwrap_or(0.0)
    };
    standings.sort_by(|a, b| b.budget.total_cmp(&a.budget).then_with(|| badness(a).total_cmp(&badness(b))));
}

fn conflicts(standings: &[Standing]) -> Vec<(String, String)> {
    let largest = standings.first().map_or(0.0, |standing| standing.budget);
    let sampled: Vec<(&Standing, Interval)> = standings
        .iter()
        .filter(|standing| standing.budget == largest)
        .filter_map(|standing| Some((standing, standing.interval?)))
        .collect();
    let mut pairs = Vec::new();
    for (i, (one, a)) in sampled.iter().enumerate() {
        for (other, b) in &sampled[i + 1..] {
            if a.upper < b.lower || b.upper < a.lower {
                pairs.push((one.method.clone(), other.method.clone()));
            }
        }
    }
    pairs
}
