//! Independent evidence for an annealed estimate: weights cannot see a part of the space that no chain visited.

use std::sync::Arc;
use std::time::Instant;

use ndarray::Array2;

use super::annealing::Annealed;
use super::comparison::{Answer, FORWARD_BELOW, LIMIT, WEAK_FLAT};
use super::decisions::{Decisions, FlatStart};
use super::estimate::{Direction, Role};
use super::floor::{Room, floor, some};
use super::phases::Phases;
use super::pilot::{FlatRun, Plan, equally_weighted, resampling, reschedule};
use super::quadrature::{self, CrossCheck};
use super::rounds;
use super::settings::{MOST_FLAT_RUNS, Settings};
use crate::error::Result;
use crate::math::{LogWeights, Stream};
use crate::models::Model;
use crate::paths::{Counts, Move, Path, Population};

/// Share of the time limit that numerical integration may take, and what the limit is stretched by for the lower bound, which comes last.
const INTEGRATING: f64 = 0.1;
const LAST: f64 = 1.05;

/// A second forward run, from a flat reference where the answer's is another; one from a wider reference where the path has one; and a
/// reverse run from exact draws if the model has them, else from overcooled chains, or on continuous spaces from where the second run
/// ended, moved on and back by a kernel of shorter steps: what one step size cannot reach, the narrow part of a funnel say, another may.
///
/// Last, a certain lower bound, where there is one: a mode that no chain found may hold more than all that they did find.
///
/// Annealing that lags behind equilibrium errs low forwards and high backwards, so the two sides disagree where either is wrong
/// for that reason.
pub(crate) fn gather(
    model: &Arc<dyn Model>,
    plan: &mut Plan,
    settings: &Settings,
    phases: &mut Phases<'_>,
) -> Result<Vec<Answer>> {
    phases.role = Role::Evidence;
    let stream = Stream::new(settings.seed).child(3);
    let wide = plan.path.widened();
    let chains = rounds::chains(plan.path.as_ref(), plan.chains);
    let schedule = &plan.schedule;
    let rungs = schedule.rungs();
    let size = format!("({chains} chains, {rungs} rungs)");
    let mut answers = Vec::new();

    let resampling = |label| resampling(plan.path.as_ref(), stream.child(label));
    // A second run forwards: from a flat reference where the answer does not start there, which sees what the answer's has forgotten.
    let (mut second, answer) = if let Some(flat) = &plan.flat {
        let (run, runs, answer) = from_flat(flat, (plan, chains), settings, stream, phases)?;
        plan.decisions.flat = plan.decisions.flat.map(|decided| FlatStart { runs: Some(runs), ..decided });
        (run, answer)
    } else {
        let population = Population::from_reference(plan.path.as_ref(), chains, stream.child(0));
        let name = "second forward run";
        let run = phases.forward(name, population, schedule, Move::Forward, resampling(10))?;
        let answer = Answer {
            source: format!("a {name} {size}"),
            walk: (Direction::Forward, rungs),
            found: plan.upward(&run),
            below: FORWARD_BELOW,
        };
        (run, answer)
    };
    answers.push(answer);

    // What is still to be asked of these chains is taken now, so that they need not be kept beside those of later walks.
    let visited = some(second.population.states().view());
    let ends = (model.sampler().is_none() && wide.is_some())
        .then(|| equally_weighted(&second, chains, stream.child(3)));
    let walled = second.support < 1.0;
    second.dismiss_chains();
    second.rungs = Vec::new();
    if let Some(wide) = &wide {
        let schedule = reschedule(wide.as_ref(), plan, settings, stream.child(5), phases)?;
        let rungs = schedule.rungs();
        let population = Population::from_reference(wide.as_ref(), chains, stream.child(1));
        let name = "run from a wider reference";
        let run = phases.forward(name, population, &schedule, Move::Forward, resampling(11))?;
        answers.push(Answer {
            source: format!("annealing from a much wider reference ({chains} chains, {rungs} rungs)"),
            walk: (Direction::Forward, rungs),
            found: (wide.log_z_reference() + run.weights.log_mean(), run.families.std_err()),
            below: FORWARD_BELOW,
        });
    }

    let (population, starts, below) = tops(model, plan, ends, walled, (chains, rungs), stream, phases)?;
    let found = match population {
        Some(population) => {
            let down = phases.reverse("reverse run", population, schedule, resampling(12))?;
            plan.downward(&down, &second)
        }
        None => (f64::NEG_INFINITY, f64::INFINITY),
    };
    answers.push(Answer {
        source: format!("reverse annealing from {starts} {size}"),
        walk: (Direction::Reverse, rungs),
        found,
        below,
    });
    answers.extend(integral(model, &mut plan.decisions, settings, phases)?);
    let data = settings.data.as_ref().map(|data| data.view());
    let most = settings.replay.and_then(|decided| decided.bounds);
    let room = Room { deadline: phases.deadline(settings, LAST), most };
    let (bound, cut) = floor(model, data, visited.view(), room, phases)?;
    plan.decisions.bounds = cut;
    answers.extend(bound);
    Ok(answers)
}

/// Runs from a flat reference, of so many chains each: one, and more of them until they are certain enough together to support an
/// estimate, have as many chains as the answer, or leave no time for another. What they found is the mean of all; the first of them
/// stands for the chains.
fn from_flat(
    flat: &FlatRun,
    (plan, chains): (&Plan, usize),
    settings: &Settings,
    stream: Stream,
    phases: &mut Phases<'_>,
) -> Result<(Annealed, usize, Answer)> {
    let name = "run from a flat reference";
    let rungs = flat.schedule.rungs();
    let deadline = phases.deadline(settings, 1.0);
    let most = if settings.budget.is_some() { 1 } else { (plan.chains / chains).clamp(1, MOST_FLAT_RUNS) };
    // Records of runs that knew of one only do not say how many.
    let decided = settings.replay.map(|decided| decided.flat.and_then(|flat| flat.runs).unwrap_or(1));
    let mut walk = |label: u64| {
        let population = Population::from_reference(flat.path.as_ref(), chains, stream.child(label));
        let resampling = resampling(flat.path.as_ref(), stream.child(label + 10));
        phases.forward(name, population, &flat.schedule, Move::Forward, resampling)
    };
    let began = Instant::now();
    let first = walk(0)?;
    let (seconds, mut runs, mut pooled) = (began.elapsed().as_secs_f64(), 1, first.families.clone());
    while runs < decided.unwrap_or(most)
        && (decided.is_some() || (pooled.std_err() > WEAK_FLAT && deadline.leaves(seconds)))
    {
        let more = walk(20 * runs as u64)?;
        pooled = LogWeights::new([pooled.log(), more.families.log()].concat());
        runs += 1;
    }
    let answer = Answer {
        source: format!("a {name} ({} chains, {rungs} rungs)", runs * chains),
        walk: (Direction::Flat, rungs),
        found: (flat.path.log_z_reference() + pooled.log_mean(), pooled.std_err()),
        below: f64::INFINITY,
    };
    Ok((first, runs, answer))
}

/// Numerical integration in up to three dimensions, for no more energies than a tenth of what chains took so far, and no more than a
/// tenth of the time limit: its search for modes asks for one energy at a time, which some programs are slow to answer. A budget of
/// sweeps, by which estimators are compared, leaves no room for it.
fn integral(
    model: &Arc<dyn Model>,
    decisions: &mut Decisions,
    settings: &Settings,
    phases: &mut Phases<'_>,
) -> Result<Option<Answer>> {
    let space = model.space();
    let skipped = settings.replay.is_some_and(|decided| decided.quadrature == Some(false));
    if skipped || space.values().is_some() || space.dim > 3 || settings.budget.is_some() {
        return Ok(None);
    }
    let budget = (phases.cost.counts.energy_evaluations / 10).clamp(20_000, 500_000);
    let deadline = phases.deadline(settings, 1.0).within(INTEGRATING * settings.max_time);
    let found =
        phases.run("quadrature", 0, |_| quadrature::cross_check(model, settings, budget, deadline))?;
    decisions.quadrature = matches!(found, CrossCheck::Late).then_some(false);
    let CrossCheck::Answer(log_z, error) = found else { return Ok(None) };
    Ok(Some(Answer {
        source: "quadrature".into(),
        walk: (Direction::Forward, 1),
        found: (log_z, error),
        below: LIMIT,
    }))
}

/// Chains at β = 1 for a reverse run, from `ends` of the second run where they serve, and none where a `walled` model lets none in; what
/// they are; and how far below the estimate their answer may lie.
fn tops(
    model: &Arc<dyn Model>,
    plan: &Plan,
    ends: Option<Array2<f64>>,
    walled: bool,
    (chains, rungs): (usize, usize),
    stream: Stream,
    phases: &mut Phases<'_>,
) -> Result<(Option<Population>, &'static str, f64)> {
    if let Some(sampler) = model.sampler() {
        let states = sampler.sample(chains, &mut stream.child(2).generator());
        let population = Population::adopt(plan.path.as_ref(), states.view(), stream.child(4))?;
        return Ok((Some(population), "exact draws", LIMIT));
    }
    let finer = plan.path.finer();
    let path = finer.as_deref().unwrap_or(plan.path.as_ref());
    let steps = if ends.is_some() { 2 * rungs } else { rungs / 2 };
    phases.run("starts of a reverse run", steps, |monitor| {
        let (mut population, starts, below) = if let Some(states) = ends {
            (Population::adopt(path, states.view(), stream.child(4))?, "the second run's ends", LIMIT)
        } else {
            (overcooled(path, chains, rungs, stream.child(4)), "overcooled chains", f64::INFINITY)
        };
        if walled && !start_again(&mut population) {
            return Ok(((None, starts, below), population.counts()));
        }
        // Copies of one chain must part, and overcooled chains come back to β = 1, before they count: for the most part a hair
        // below it, where a path may be cheaper.
        for step in 0..steps {
            let beta = if step < steps - steps / 8 { 1f64.next_down() } else { 1.0 };
            population.step(beta, Move::Forward);
            monitor.advance(1);
        }
        // The reverse run goes on with this population, and counts what it did here.
        Ok(((Some(population), starts, below), Counts::default()))
    })
}

/// Chains that stand where the model has no mass, from where no walk down starts, become copies of others; the answer is whether there
/// are others.
fn start_again(population: &mut Population) -> bool {
    let densities = population.log_density(&[1.0]);
    let allowed: Vec<usize> =
        (0..population.chains()).filter(|&chain| densities[[chain, 0]] > f64::NEG_INFINITY).collect();
    if !allowed.is_empty() && allowed.len() < population.chains() {
        let picks: Vec<usize> = allowed.iter().copied().cycle().take(population.chains()).collect();
        population.resample(&picks);
    }
    !allowed.is_empty()
}

/// Chains taken from the reference to β = 2 in a hurry and back to 1.
///
/// They favour whatever has low energy, so they fall into a phase that slow annealing never leaves its own for: above a
/// first-order transition they start in the ordered one, and the work of their reversal gives that phase's log Z, which annealing
/// from the disordered side does not see.
///
/// They need not reach equilibrium among phases. Started in a phase A with the model's distribution restricted to it, the reversal
/// gives log Z_A − log P(A), P(A) the share of forward walks that end in A: above log Z where annealing visits A too rarely, and
/// below it where A is one that annealing prefers. So only an answer above the estimate speaks against it.
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
