//! Independent evidence for an annealed estimate: weights cannot see a part of the space that no chain visited.

use std::sync::Arc;
use std::time::Instant;

use super::annealing::{forward, reverse};
use super::estimate::{Cost, Evidence};
use super::monitor::Monitor;
use super::pilot::{Plan, equally_weighted};
use super::warnings::Warning;
use crate::error::Result;
use crate::math::Stream;
use crate::models::Model;
use crate::paths::{Move, Path, Population};

/// What the evidence costs, in units of the reported round: two runs of half the chains over half the rungs; on continuous
/// spaces, where references are guesses and energies cheap, three runs of the full size.
pub(crate) fn overhead(path: &dyn Path) -> f64 {
    if path.widened().is_some() { 3.0 } else { 0.5 }
}

/// Differences of more combined standard errors than this are disagreement: normal errors would exceed it once in 140
/// comparisons, which is what a sharp eye costs.
pub(crate) const LIMIT: f64 = 2.7;

/// A second forward run, from a wider reference where the path has one, and a reverse run from exact draws if the model has
/// them, else from where the second run ended.
///
/// Annealing that lags behind equilibrium errs low forwards and high backwards, so the two sides disagree where either is wrong
/// for that reason.
pub(crate) fn gather(
    model: &Arc<dyn Model>,
    plan: &Plan,
    seed: u64,
    monitor: &dyn Monitor,
    cost: &mut Cost,
) -> Result<Vec<(String, f64, f64)>> {
    let stream = Stream::new(seed).child(3);
    let wide = plan.path.widened();
    let share = if wide.is_some() { 1 } else { 2 };
    let chains = (plan.chains / share).max(128);
    let rungs = (plan.schedule.rungs() / share).max(1);
    let schedule = plan.schedule.with_rungs(rungs);
    let mut found = Vec::new();

    let begin = Instant::now();
    monitor.begin("second forward run", rungs as u64);
    let population = Population::from_reference(plan.path.as_ref(), chains, stream.child(0));
    let second = forward(population, &schedule, Move::Forward, monitor)?;
    let reference = plan.path.log_z_reference();
    found.push((
        format!("a second forward run ({chains} chains, {rungs} rungs)"),
        reference + second.weights.log_mean(),
        second.weights.std_err(),
    ));
    cost.add("second forward run", begin.elapsed().as_secs_f64(), second.population.counts());

    if let Some(wide) = wide {
        found.push(from_wider_reference(wide.as_ref(), plan, chains, stream.child(1), monitor, cost)?);
    }

    let begin = Instant::now();
    monitor.begin("reverse run", rungs as u64);
    let (starts, source) = match model.sampler() {
        Some(sampler) => (
            sampler.sample(chains, &mut stream.child(2).generator()),
            format!("reverse annealing from exact draws ({chains} chains, {rungs} rungs)"),
        ),
        None => (
            equally_weighted(&second, stream.child(3)),
            format!("reverse annealing from the second run's ends ({chains} chains, {rungs} rungs)"),
        ),
    };
    let mut population = Population::adopt(plan.path.as_ref(), starts.view(), stream.child(4))?;
    if model.sampler().is_none() {
        // Copies of one chain must part before they count as several.
        for _ in 0..(rungs / 10).clamp(1, 200) {
            population.step(1.0, Move::Forward);
        }
    }
    let down = reverse(population, &schedule, monitor)?;
    found.push((source, reference - down.weights.log_mean(), down.weights.std_err()));
    cost.add("reverse run", begin.elapsed().as_secs_f64(), down.population.counts());
    Ok(found)
}

fn from_wider_reference(
    wide: &dyn Path,
    plan: &Plan,
    chains: usize,
    stream: Stream,
    monitor: &dyn Monitor,
    cost: &mut Cost,
) -> Result<(String, f64, f64)> {
    let begin = Instant::now();
    let rungs = plan.schedule.rungs();
    monitor.begin("run from a wider reference", rungs as u64);
    let population = Population::from_reference(wide, chains, stream);
    let run = forward(population, &plan.schedule, Move::Forward, monitor)?;
    cost.add("run from a wider reference", begin.elapsed().as_secs_f64(), run.population.counts());
    Ok((
        format!("annealing from a three times wider reference ({chains} chains, {rungs} rungs)"),
        wide.log_z_reference() + run.weights.log_mean(),
        run.weights.std_err(),
    ))
}

/// Holds each independent answer against the estimate.
pub(crate) fn compare(found: Vec<(String, f64, f64)>, log_z: f64, std_err: f64) -> Vec<Evidence> {
    found
        .into_iter()
        .map(|(source, other, error)| Evidence {
            agrees: distance(log_z, std_err, other, error) <= LIMIT,
            source,
            log_z: other,
            std_err: error,
        })
        .collect()
}

/// An independent answer that is less certain than this many nats supports nothing: it would agree with a wrong number, too. (With
/// 512 chains this is an ESS of about 16, below which a standard error means little anyway.)
const WEAK: f64 = 0.25;

/// What speaks against an estimate among the evidence, or in the lack of it.
pub(crate) fn doubts(log_z: f64, std_err: f64, evidence: &[Evidence]) -> Vec<Warning> {
    if evidence.is_empty() {
        return vec![Warning::NoEvidence { reason: "none was gathered".into() }];
    }
    let doubt = |other: &Evidence| {
        let source = other.source.clone();
        if !other.agrees {
            let z = distance(log_z, std_err, other.log_z, other.std_err);
            Some(Warning::Disagreement { source, other: other.log_z, z })
        } else if other.std_err > WEAK {
            Some(Warning::WeakEvidence { source, std_err: other.std_err })
        } else {
            None
        }
    };
    evidence.iter().filter_map(doubt).collect()
}

/// |x − y| in combined standard errors; infinite errors prove nothing, and count as disagreement.
fn distance(x: f64, x_error: f64, y: f64, y_error: f64) -> f64 {
    let combined = x_error.hypot(y_error);
    if combined.is_finite() { (x - y).abs() / combined.max(1e-9) } else { f64::INFINITY }
}
