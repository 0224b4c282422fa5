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

/// What the evidence costs, in units of the reported round: three walks of half the chains over half the rungs; on continuous
/// spaces, where references are guesses and energies cheap, four of the full size.
pub(crate) fn overhead(path: &dyn Path) -> f64 {
    if path.widened().is_some() { 4.0 } else { 0.8 }
}

/// Differences of more combined standard errors than this are disagreement: normal errors would exceed it once in 80
/// comparisons, which is what a sharp eye costs.
pub(crate) const LIMIT: f64 = 2.5;

/// A second forward run; one from a wider reference where the path has one; and a reverse run from exact draws if the model has
/// them, else from overcooled chains, or on continuous spaces from where the second run ended.
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
    let on_continuous_space = wide.is_some();
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
    monitor.begin("reverse run", 2 * rungs as u64);
    let size = format!("({chains} chains, {rungs} rungs)");
    let (mut population, source) = if let Some(sampler) = model.sampler() {
        let starts = sampler.sample(chains, &mut stream.child(2).generator());
        let population = Population::adopt(plan.path.as_ref(), starts.view(), stream.child(4))?;
        (population, format!("reverse annealing from exact draws {size}"))
    } else if on_continuous_space {
        let starts = equally_weighted(&second, stream.child(3));
        let population = Population::adopt(plan.path.as_ref(), starts.view(), stream.child(4))?;
        (population, format!("reverse annealing from the second run's ends {size}"))
    } else {
        let population = overcooled(plan.path.as_ref(), chains, rungs, stream.child(4));
        (population, format!("reverse annealing from overcooled chains {size}"))
    };
    if model.sampler().is_none() {
        // Copies of one chain must part, and overcooled chains come back to β = 1, before they count.
        for _ in 0..rungs {
            population.step(1.0, Move::Forward);
            monitor.advance(1);
        }
    }
    let down = reverse(population, &schedule, monitor)?;
    found.push((source, reference - down.weights.log_mean(), down.weights.std_err()));
    cost.add("reverse run", begin.elapsed().as_secs_f64(), down.population.counts());
    Ok(found)
}

/// Chains taken from the reference to β = 2 in a hurry and back to 1.
///
/// They favour whatever has low energy, so they fall into a phase that slow annealing never leaves its own for: above a
/// first-order transition they start in the ordered one, and the work of their reversal gives that phase's log Z, which annealing
/// from the disordered side does not see.
fn overcooled(path: &dyn Path, chains: usize, rungs: usize, stream: Stream) -> Population {
    const COLD: f64 = 2.0;
    let mut population = Population::from_reference(path, chains, stream);
    let down = (rungs / 8).max(20);
    for k in 1..=down {
        population.step(COLD * k as f64 / down as f64, Move::Forward);
    }
    for k in 1..=20 {
        population.step(COLD + (1.0 - COLD) * f64::from(k) / 20.0, Move::Forward);
    }
    population
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
/// 512 chains this is an ESS of about 40, below which a standard error means little anyway.)
const WEAK: f64 = 0.15;

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
