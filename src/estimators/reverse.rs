//! Reverse annealing: from exact draws of the model down to the reference, for an upper bound.

use std::sync::Arc;
use std::time::Instant;

use ndarray::Array2;

use super::ais::report;
use super::annealing::{Annealed, forward, reverse};
use super::enumeration::{MOST_SAMPLED_BITS, exact_sampler};
use super::estimate::{Cost, Estimate, Guarantee, Interval, Verdict};
use super::evidence;
use super::monitor::Monitor;
use super::settings::Settings;
use super::verdict::judge;
use super::{Estimator, Plan, pilot};
use crate::error::{Error, Result};
use crate::math::{Stream, statistics};
use crate::models::{GaussianRbm, Model, Rbm, Sampler, downcast};
use crate::paths::{self, Move, Population};

/// Annealing backwards (Grosse, Ghahramani & Adams 2015, arXiv:1511.02543).
///
/// Chains start at exact draws from the model and descend by time-reversed kernels; the mean of exp(w) is unbiased for Z₀/Z, so
/// log Ẑ = log Z₀ − log mean exp(w) is high on average, and P(log Ẑ < log Z − b) ≤ e⁻ᵇ. Needs a model that can be sampled
/// exactly: by its own sampler, or by enumeration of at most 2²⁰ configurations. A forward run is the independent evidence.
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

    fn estimate(
        &self,
        model: &Arc<dyn Model>,
        settings: &Settings,
        monitor: &dyn Monitor,
    ) -> Result<Estimate> {
        settings.check()?;
        let mut cost = Cost::default();
        let path = paths::for_model(model, settings.data.as_ref().map(|data| data.view()))?;
        let plan = pilot::plan(path, settings, 1.0, monitor, &mut cost)?;
        let stream = Stream::new(settings.seed);
        let starts = exact_draws(model, plan.chains, stream.child(6))?.ok_or_else(no_sampler)?;
        let run = descend(&plan, &starts, stream.child(4), monitor, &mut cost)?;
        let log_z = plan.path.log_z_reference() - run.weights.log_mean();

        let begin = Instant::now();
        monitor.begin("forward run", plan.schedule.rungs() as u64);
        let population = Population::from_reference(plan.path.as_ref(), plan.chains, stream.child(3));
        let up = forward(population, &plan.schedule, Move::Forward, monitor)?;
        cost.add("forward run", begin.elapsed().as_secs_f64(), up.population.counts());
        let found = vec![(
            "a forward run".to_owned(),
            plan.path.log_z_reference() + up.weights.log_mean(),
            up.weights.std_err(),
        )];
        let evidence = evidence::compare(found, log_z, run.weights.std_err());
        report(self.name(), log_z, self.guarantee(), run, Some(plan), evidence, settings, cost)
    }
}

/// Both directions at full size, combined.
///
/// Forward annealing from the reference is low on average, reverse annealing from exact draws is high on average: where the two
/// agree, log Z lies between, and where they do not, the verdict says so. With exact draws the estimate is the mean of both with
/// weights 1/SE², its error (Σ 1/SE²)^{−½}. Without them the reverse run starts where another forward run ended; then it is
/// conditional on that run, the forward side alone is reported, and the reverse one is evidence. The gap between the two sides is
/// a diagnostic and enters no error bar.
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

    fn plan(&self, _model: &Arc<dyn Model>) -> Result<Plan> {
        Ok(Plan::default())
    }

    fn estimate(
        &self,
        model: &Arc<dyn Model>,
        settings: &Settings,
        monitor: &dyn Monitor,
    ) -> Result<Estimate> {
        settings.check()?;
        let mut cost = Cost::default();
        let path = paths::for_model(model, settings.data.as_ref().map(|data| data.view()))?;
        let plan = pilot::plan(path, settings, 1.0, monitor, &mut cost)?;
        let stream = Stream::new(settings.seed);

        let begin = Instant::now();
        monitor.begin("annealing", plan.schedule.rungs() as u64);
        let population = Population::from_reference(plan.path.as_ref(), plan.chains, stream.child(2));
        let up = forward(population, &plan.schedule, Move::Forward, monitor)?;
        cost.add("annealing", begin.elapsed().as_secs_f64(), up.population.counts());

        let reference = plan.path.log_z_reference();
        let (low, low_error) = (reference + up.weights.log_mean(), up.weights.std_err());
        let Some(starts) = exact_draws(model, plan.chains, stream.child(6))? else {
            let found = evidence::gather(model, &plan, settings.seed, monitor, &mut cost)?;
            let evidence = evidence::compare(found, low, low_error);
            let on = "the forward runs, where the reverse run starts".into();
            return report(
                self.name(),
                low,
                Guarantee::Conditional(on),
                up,
                Some(plan),
                evidence,
                settings,
                cost,
            );
        };
        let down = descend(&plan, &starts, stream.child(4), monitor, &mut cost)?;
        let (high, high_error) = (reference - down.weights.log_mean(), down.weights.std_err());

        // Each side is one piece of evidence for the other, and has to stand as well.
        let found = vec![("reverse annealing".to_owned(), high, high_error)];
        let evidence = evidence::compare(found, low, low_error);
        let other =
            evidence::compare(vec![("forward annealing".to_owned(), low, low_error)], high, high_error);
        let doubts = judge(&down.weights, high, high_error, &other);
        let mut estimate =
            report(self.name(), low, self.guarantee(), up, Some(plan), evidence, settings, cost)?;
        estimate.diagnostics.evidence.extend(other);
        if let (Verdict::NotConverged { reasons: more }, Verdict::Converged) = (doubts, &estimate.verdict) {
            estimate.verdict = Verdict::from_reasons(more);
        }
        let (log_z, std_err) = combine((low, low_error), (high, high_error));
        let degrees = estimate.trace.log_weights.len() as f64 - 1.0;
        let half = statistics::student_quantile(settings.level, degrees) * std_err;
        estimate.interval =
            Some(Interval { lower: log_z - half, upper: log_z + half, level: settings.level });
        estimate.log_z = log_z;
        estimate.std_err = Some(std_err);
        Ok(estimate)
    }
}

/// The mean with weights 1/SE², and its error.
fn combine((x, x_error): (f64, f64), (y, y_error): (f64, f64)) -> (f64, f64) {
    if !y_error.is_finite() {
        return (x, x_error);
    }
    if !x_error.is_finite() {
        return (y, y_error);
    }
    let (p, q) = (1.0 / (x_error * x_error).max(1e-24), 1.0 / (y_error * y_error).max(1e-24));
    ((p * x + q * y) / (p + q), (p + q).powf(-0.5))
}

fn descend(
    plan: &pilot::Plan,
    starts: &Array2<f64>,
    stream: Stream,
    monitor: &dyn Monitor,
    cost: &mut Cost,
) -> Result<Annealed> {
    let begin = Instant::now();
    monitor.begin("reverse annealing", plan.schedule.rungs() as u64);
    let population = Population::adopt(plan.path.as_ref(), starts.view(), stream)?;
    let run = reverse(population, &plan.schedule, monitor)?;
    cost.add("reverse annealing", begin.elapsed().as_secs_f64(), run.population.counts());
    Ok(run)
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
