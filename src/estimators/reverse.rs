//! Reverse annealing: from exact draws of the model down to the reference, for an upper bound.

use std::sync::Arc;

use ndarray::Array2;

use super::annealing::Annealed;
use super::bar::bar;
use super::comparison::{self, Answer};
use super::enumeration::{MOST_SAMPLED_BITS, exact_sampler};
use super::estimate::Analysis;
use super::estimate::{Direction, Estimate, Guarantee, Role, Verdict};
use super::evidence;
use super::monitor::Monitor;
use super::phases::Phases;
use super::pilot::{self, equally_weighted};
use super::report::{Weighted, at_the_top, interval, shown};
use super::rounds::{self, Rounds};
use super::settings::Settings;
use super::verdict::judge;
use super::{Estimator, Plan};
use crate::error::{Error, Result};
use crate::math::Stream;
use crate::models::{GaussianRbm, Model, Rbm, Sampler, downcast};
use crate::paths::{Counts, Move, Path, Population};

/// Annealing backwards (Grosse, Ghahramani & Adams 2015, arXiv:1511.02543).
///
/// Chains start at exact draws from the model and descend by time-reversed kernels; the mean of exp(w) is unbiased for Z₀/Z, so
/// log Ẑ = log Z₀ − log mean exp(w) is high on average, and P(log Ẑ < log Z − b) ≤ e⁻ᵇ. Needs a model that can be sampled
/// exactly: by its own sampler, or by enumeration of at most 2²⁰ configurations. A forward run is the independent evidence.
///
/// Where the reference has mass on states of energy +∞, chains that come down never see them, and the mean estimates
/// Z₀ P₀(S)/Z, S the model's support; P₀(S) is then measured by the forward run's starts and its error counted. Where the model's
/// tails are much lighter than the reference's (x⁴ against a normal), f₀²/f_β has no finite integral near β = 0: the weights have no
/// variance, the estimate is high for any affordable number of chains, and only the gap to a forward run and k̂ show it.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReverseAis;

impl Estimator for ReverseAis {
    fn name(&self) -> &'static str {
        "reverse-ais"
    }

    fn summary(&self) -> &'static str {
        "annealing down from exact draws: an upper bound on average"
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee::StochasticUpper
    }

    fn plan(&self, model: &Arc<dyn Model>) -> Result<Plan> {
        if can_be_sampled(model) { Ok(Plan::default()) } else { Err(no_sampler()) }
    }

    fn run(&self, model: &Arc<dyn Model>, settings: &Settings, monitor: &dyn Monitor) -> Result<Estimate> {
        let mut phases = Phases::new(monitor);
        let plan = pilot::plan(
            model,
            settings,
            |_| Rounds { answer: 1.0, evidence: 1.0, resampled: false },
            &mut phases,
        )?;
        let stream = Stream::new(settings.seed);
        let starts = exact_draws(model, plan.chains, stream.child(6))?.ok_or_else(no_sampler)?;
        monitor.follows(1.0);
        let run = descend(&plan, &starts, stream.child(4), &mut phases)?;
        phases.role = Role::Evidence;
        let up = plan.anneal("forward run", stream.child(3), &mut phases)?;
        let (log_z, std_err) = plan.downward(&run, &up);
        let found = vec![Answer {
            source: "a forward run".into(),
            walk: (Direction::Forward, plan.schedule.rungs()),
            found: plan.upward(&up),
            below: comparison::LIMIT,
        }];
        Weighted {
            method: self.name(),
            guarantee: self.guarantee(),
            log_z,
            std_err,
            evidence: comparison::compare(found, log_z, std_err),
            draws: shown(starts.view()),
            run,
            plan,
        }
        .report(settings, phases.cost)
    }
}

/// Both directions at full size, combined.
///
/// Forward annealing from the reference is low on average, reverse annealing from exact draws is high on average: where the two
/// agree, log Z lies between, and where they do not, the verdict says so. With exact draws the estimate is Bennett's acceptance ratio
/// of the log-weights of both, the best that they allow together ([`bar`]; Crooks 1999, doi:10.1103/PhysRevE.60.2721), with its
/// asymptotic error. Without them the reverse run starts where a second forward run ended; then it, and the acceptance ratio, are
/// conditional on that run having found all modes: they are shown, and the forward side alone is reported. The gap between the two
/// sides is a diagnostic and enters no error bar.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sandwich;

impl Estimator for Sandwich {
    fn name(&self) -> &'static str {
        "sandwich"
    }

    fn summary(&self) -> &'static str {
        "forward and reverse annealing together, low and high on average"
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee::Consistent
    }

    fn run(&self, model: &Arc<dyn Model>, settings: &Settings, monitor: &dyn Monitor) -> Result<Estimate> {
        let mut phases = Phases::new(monitor);
        let exact = can_be_sampled(model);
        let rounds = |path: &dyn Path| {
            if exact {
                Rounds { answer: 2.0, evidence: 0.0, resampled: false }
            } else {
                Rounds { answer: 3.5, ..rounds::one_walk(path) }
            }
        };
        let plan = pilot::plan(model, settings, rounds, &mut phases)?;
        let stream = Stream::new(settings.seed);
        monitor.follows(if exact { 1.0 } else { plan.evidence });
        let up = plan.anneal("annealing", stream.child(2), &mut phases)?;
        let (low, low_error) = plan.upward(&up);
        let mut forward = Weighted {
            method: self.name(),
            guarantee: self.guarantee(),
            log_z: low,
            std_err: low_error,
            evidence: Vec::new(),
            draws: at_the_top(&up, model.space().dim, settings.seed),
            run: up,
            plan,
        };
        let Some(starts) = exact_draws(model, forward.plan.chains, stream.child(6))? else {
            let second = forward.plan.anneal("second forward run", stream.child(7), &mut phases)?;
            if second.weights.log_mean() == f64::NEG_INFINITY {
                return Err(Error::NotReached {
                    estimator: "sandwich",
                    message: "no chain of the second forward run came to a state of finite energy, so no reverse run starts there; give --data"
                        .into(),
                });
            }
            let starts = equally_weighted(&second, forward.plan.chains, stream.child(8));
            drop(second);
            let down = descend_settled(&forward.plan, &starts, stream.child(4), &mut phases)?;
            let analyses = sides(&forward, &down);
            let found = evidence::gather(model, &mut forward.plan, settings, &mut phases)?;
            forward.evidence = comparison::compare(found, low, low_error);
            forward.guarantee =
                Guarantee::Conditional("the forward runs, where the reverse run starts".into());
            let mut estimate = forward.report(settings, phases.cost)?;
            estimate.diagnostics.analyses = analyses;
            return Ok(estimate);
        };
        let down = descend(&forward.plan, &starts, stream.child(4), &mut phases)?;
        let (high, high_error) = forward.plan.downward(&down, &forward.run);
        let analyses = sides(&forward, &down);

        // Each side is one piece of evidence for the other, and has to stand as well.
        let rungs = forward.plan.schedule.rungs();
        let answer = |source: &str, direction, found| {
            let walk = (direction, rungs);
            vec![Answer { source: source.into(), walk, found, below: comparison::LIMIT }]
        };
        let above = answer("reverse annealing", Direction::Reverse, (high, high_error));
        forward.evidence = comparison::compare(above, low, low_error);
        let below = answer("forward annealing", Direction::Forward, (low, low_error));
        let other = comparison::compare(below, high, high_error);
        let doubts = judge(&down.weights, high, high_error, &other);
        let mut estimate = forward.report(settings, phases.cost)?;
        estimate.diagnostics.evidence.extend(other);
        if let (Verdict::NotConverged { reasons: more }, Verdict::Converged) = (doubts, &estimate.verdict) {
            estimate.verdict = Verdict::from_reasons(more);
        }
        // Where the two do not overlap at all there is no ratio, and the verdict has said so.
        let both = analyses.iter().find(|side| side.name == "bar");
        let (log_z, std_err) = both.map_or((low, low_error), |both| (both.log_z, both.std_err));
        estimate.diagnostics.analyses = analyses;
        let chains = estimate.trace.log_weights.len();
        estimate.interval = Some(interval(log_z, std_err, chains, settings.level));
        estimate.log_z = log_z;
        estimate.std_err = Some(std_err);
        Ok(estimate)
    }
}

/// The way up, the way down, and the acceptance ratio of both where they overlap.
fn sides(forward: &Weighted, down: &Annealed) -> Vec<Analysis> {
    let reference = forward.plan.path.log_z_reference();
    let side = |name: &str, (log_z, std_err)| Analysis { name: name.into(), log_z, std_err };
    let mut sides = vec![
        side("forward", forward.plan.upward(&forward.run)),
        side("reverse", forward.plan.downward(down, &forward.run)),
    ];
    if let Ok(ratio) = bar(forward.run.weights.log(), down.weights.log()) {
        sides.push(side("bar", (reference + ratio.log_ratio, ratio.std_err)));
    }
    sides
}

fn descend(
    plan: &pilot::Plan,
    starts: &Array2<f64>,
    stream: Stream,
    phases: &mut Phases<'_>,
) -> Result<Annealed> {
    let population = Population::adopt(plan.path.as_ref(), starts.view(), stream)?;
    phases.reverse("reverse annealing", population, &plan.schedule, None)
}

/// The same from copies of weighted chains, which must part before they count.
fn descend_settled(
    plan: &pilot::Plan,
    starts: &Array2<f64>,
    stream: Stream,
    phases: &mut Phases<'_>,
) -> Result<Annealed> {
    let steps = plan.schedule.rungs() / 2;
    let population = phases.run("starts of the reverse run", steps, |monitor| {
        let mut population = Population::adopt(plan.path.as_ref(), starts.view(), stream)?;
        for _ in 0..steps {
            population.step(1.0, Move::Forward);
            monitor.advance(1);
        }
        // The reverse run goes on with this population, and counts what it did here.
        Ok((population, Counts::default()))
    })?;
    phases.reverse("reverse annealing", population, &plan.schedule, None)
}

fn no_sampler() -> Error {
    Error::NotApplicable {
        estimator: "reverse-ais",
        reason: "reverse annealing starts at exact draws, and this model has too many states for them; use `sandwich`".into(),
    }
}

fn can_be_sampled(model: &Arc<dyn Model>) -> bool {
    let bits = if let Some(rbm) = downcast::<Rbm>(model) {
        rbm.visible().min(rbm.hidden()) as f64
    } else if let Some(rbm) = downcast::<GaussianRbm>(model) {
        rbm.hidden() as f64
    } else {
        model.space().log_count().map_or(f64::INFINITY, |log| log / std::f64::consts::LN_2)
    };
    model.sampler().is_some() || bits <= MOST_SAMPLED_BITS as f64
}

/// `count` exact draws, where the model can give them.
pub(crate) fn exact_draws(
    model: &Arc<dyn Model>,
    count: usize,
    stream: Stream,
) -> Result<Option<Array2<f64>>> {
    let mut generator = stream.generator();
    if let Some(sampler) = model.sampler() {
        return Ok(Some(sampler.sample(count, &mut generator)));
    }
    Ok(exact_sampler(model)?.map(|sampler| sampler.sample(count, &mut generator)))
}
