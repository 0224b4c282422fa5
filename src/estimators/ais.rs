//! Annealed importance sampling, as a user runs it: pilots, one frozen round, independent evidence, a verdict.

use std::sync::Arc;
use std::time::Instant;

use super::annealing::{Annealed, forward};
use super::estimate::{Cost, Diagnostics, Estimate, Evidence, Guarantee, Interval, Trace};
use super::evidence;
use super::monitor::Monitor;
use super::pilot;
use super::settings::Settings;
use super::verdict::judge;
use super::warnings::Warning;
use super::{Estimator, Plan};
use crate::error::{Error, Result};
use crate::math::{LogWeights, Stream, statistics};
use crate::models::Model;
use crate::paths::{self, Move, Population};

/// Annealed importance sampling (Neal 2001, doi:10.1023/A:1008923215028).
///
/// Each chain starts at an exact draw from f₀ and collects log wᵢ = Σ_k log f_{βk}(x) − log f_{βk−1}(x) while kernels carry it
/// to f₁; log Ẑ = log Z₀ + log (1/N) Σ wᵢ. `E[Ẑ] = Z` for every number of rungs and chains, so log Ẑ is low on average, and
/// P(log Ẑ > log Z + b) ≤ e⁻ᵇ. The interval is Student's on log Ẑ with the delta-method error sd(w)/(w̄ √N).
///
/// Pilots choose schedule, rungs, chains and kernels; then one round on fresh random streams is reported, whatever it shows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ais;

impl Estimator for Ais {
    fn name(&self) -> &'static str {
        "ais"
    }

    fn summary(&self) -> &'static str {
        "annealed importance sampling, with pilots and independent evidence"
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee::UnbiasedZ
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
        let overhead = evidence::overhead(path.as_ref());
        let plan = pilot::plan(path, settings, overhead, monitor, &mut cost)?;

        let begin = Instant::now();
        monitor.begin("annealing", plan.schedule.rungs() as u64);
        let stream = Stream::new(settings.seed).child(2);
        let population = Population::from_reference(plan.path.as_ref(), plan.chains, stream);
        let run = forward(population, &plan.schedule, Move::Forward, monitor)?;
        cost.add("annealing", begin.elapsed().as_secs_f64(), run.population.counts());
        let log_z = plan.path.log_z_reference() + run.weights.log_mean();

        let found = evidence::gather(model, &plan, settings.seed, monitor, &mut cost)?;
        let evidence = evidence::compare(found, log_z, run.weights.std_err());
        report("ais", log_z, Guarantee::UnbiasedZ, run, Some(plan), evidence, settings, cost)
    }
}

/// An estimate from one round of weights.
#[allow(clippy::too_many_arguments, reason = "the parts of a report, each used once")]
pub(crate) fn report(
    method: &str,
    log_z: f64,
    guarantee: Guarantee,
    run: Annealed,
    plan: Option<pilot::Plan>,
    evidence: Vec<Evidence>,
    settings: &Settings,
    cost: Cost,
) -> Result<Estimate> {
    let weights = &run.weights;
    if !log_z.is_finite() {
        return Err(Error::NotReached {
            estimator: "annealing",
            message: "no chain reached a state of finite energy, so every weight is zero; give --data, or a reference that \
                      overlaps with the model"
                .into(),
        });
    }
    let std_err = weights.std_err();
    let verdict = judge(weights, log_z, std_err, &evidence);
    let out_of_time = plan.as_ref().is_some_and(|plan| plan.out_of_time);
    let mut warnings = Vec::new();
    if std_err > settings.target_se {
        warnings.push(Warning::TargetMissed { std_err, target: settings.target_se, out_of_time });
    }
    if plan.as_ref().is_some_and(|plan| plan.path.base_rates_guessed()) {
        warnings.push(Warning::GuessedBaseRates);
    }
    let acceptances: Vec<(f64, f64)> =
        run.rungs.iter().filter_map(|rung| Some((rung.acceptance?, rung.beta))).collect();
    let least = acceptances.iter().copied().min_by(|a, b| a.0.total_cmp(&b.0));
    if let Some((acceptance, beta)) = least
        && acceptance < 0.05
    {
        warnings.push(Warning::LowAcceptance { acceptance, beta });
    }
    let diagnostics = Diagnostics {
        chains: Some(weights.len()),
        rungs: Some(run.rungs.len()),
        effective_sample_size: Some(weights.effective_sample_size()),
        pareto_shape: weights.pareto_shape().filter(|shape| shape.is_finite()),
        log_weight_variance: Some(weights.variance()).filter(|v| v.is_finite()),
        barrier: plan.as_ref().map(|plan| plan.barrier),
        acceptance_least: least.map(|(acceptance, _)| acceptance),
        acceptance_mean: (!acceptances.is_empty())
            .then(|| acceptances.iter().map(|(a, _)| a).sum::<f64>() / acceptances.len() as f64),
        evidence,
        ..Diagnostics::default()
    };
    Ok(Estimate {
        log_z,
        std_err: Some(std_err),
        interval: Some(interval(log_z, weights, settings.level)),
        method: method.into(),
        guarantee,
        verdict,
        warnings,
        cost,
        diagnostics,
        seed: settings.seed,
        trace: Trace {
            schedule: plan.as_ref().map_or_else(Vec::new, |plan| plan.schedule.betas().to_vec()),
            log_weights: weights.log().to_vec(),
            rungs: run.rungs,
            pilots: plan.map_or_else(Vec::new, |plan| plan.records),
        },
    })
}

/// Student's interval around log Ẑ with the delta-method error.
pub(crate) fn interval(log_z: f64, weights: &LogWeights, level: f64) -> Interval {
    let half = statistics::student_quantile(level, weights.len() as f64 - 1.0) * weights.std_err();
    Interval { lower: log_z - half, upper: log_z + half, level }
}
