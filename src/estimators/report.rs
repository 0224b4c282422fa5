//! An estimate from one round of weights: interval, verdict, warnings, diagnostics, trace.

use ndarray::{ArrayView2, s};

use super::annealing::Annealed;
use super::estimate::{Cost, Diagnostics, Estimate, Evidence, Guarantee, Interval, Trace};
use super::pilot::{Plan, equally_weighted};
use super::settings::Settings;
use super::verdict::judge;
use super::warnings::Warning;
use crate::error::{Error, Result};
use crate::math::{Stream, statistics};

/// Kernels that accept less than this somewhere are worth a warning.
const LEAST_ACCEPTANCE: f64 = 0.05;
/// Draws that a record keeps, and numbers that they may hold.
const MOST_DRAWS: usize = 400;
const MOST_NUMBERS: usize = 1 << 16;

/// A reported round and what was found about it.
pub(crate) struct Weighted {
    pub method: &'static str,
    pub guarantee: Guarantee,
    pub log_z: f64,
    pub std_err: f64,
    pub run: Annealed,
    /// States of the model to look at, as [`shown`] or [`at_the_top`] picks them.
    pub draws: Vec<Vec<f64>>,
    pub plan: Plan,
    pub evidence: Vec<Evidence>,
}

impl Weighted {
    /// The estimate that it amounts to.
    ///
    /// # Errors
    /// [`Error::NotReached`] where every weight is zero.
    pub(crate) fn report(self, settings: &Settings, cost: Cost) -> Result<Estimate> {
        let Self { method, guarantee, log_z, std_err, run, draws, plan, evidence } = self;
        let weights = &run.families;
        if !log_z.is_finite() {
            return Err(Error::NotReached {
                estimator: "annealing",
                message: "no chain reached a state of finite energy, so every weight is zero; give --data, or a reference that \
                          overlaps with the model"
                    .into(),
            });
        }
        let acceptances: Vec<(f64, f64)> =
            run.rungs.iter().filter_map(|rung| Some((rung.acceptance?, rung.beta))).collect();
        let least = acceptances.iter().copied().min_by(|a, b| a.0.total_cmp(&b.0));
        let mut warnings = plan.warnings(std_err, settings);
        if let Some((acceptance, beta)) = least
            && acceptance < LEAST_ACCEPTANCE
        {
            warnings.push(Warning::LowAcceptance { acceptance, beta });
        }
        Ok(Estimate {
            log_z,
            std_err: Some(std_err),
            interval: Some(interval(log_z, std_err, weights.len(), settings.level)),
            method: method.into(),
            guarantee,
            verdict: judge(weights, log_z, std_err, &evidence),
            warnings,
            cost,
            diagnostics: Diagnostics {
                chains: Some(weights.len()),
                kernel: Some(plan.path.kernel()),
                reference: plan.path.reference(),
                rungs: Some(run.rungs.len()),
                effective_sample_size: Some(weights.effective_sample_size()),
                pareto_shape: weights.pareto_shape().filter(|shape| shape.is_finite()),
                log_weight_variance: run
                    .rungs
                    .last()
                    .map(|rung| rung.log_weight_variance)
                    .filter(|v| v.is_finite()),
                resamplings: plan.resampled.then_some(run.resampled_after.len()),
                barrier: Some(plan.barrier),
                acceptance_least: least.map(|(acceptance, _)| acceptance),
                acceptance_mean: (!acceptances.is_empty())
                    .then(|| acceptances.iter().map(|(a, _)| a).sum::<f64>() / acceptances.len() as f64),
                evidence,
                ..Diagnostics::default()
            },
            seed: settings.seed,
            trace: Trace {
                schedule: plan.schedule.betas().to_vec(),
                log_weights: weights.log().to_vec(),
                rungs: run.rungs,
                pilots: plan.records,
                decisions: Some(plan.decisions),
                samples: None,
                draws,
            },
        })
    }
}

/// Draws to look at where a walk up ended, by weight.
pub(crate) fn at_the_top(run: &Annealed, dim: usize, seed: u64) -> Vec<Vec<f64>> {
    let count = if run.weights.log_mean().is_finite() { room(run.weights.len(), dim) } else { 0 };
    rows(equally_weighted(run, count, Stream::new(seed).child(7)).view())
}

/// As many of `states`, which are draws of the model, as a record has room for.
pub(crate) fn shown(states: ArrayView2<'_, f64>) -> Vec<Vec<f64>> {
    rows(states.slice(s![..room(states.nrows(), states.ncols()), ..]))
}

fn rows(states: ArrayView2<'_, f64>) -> Vec<Vec<f64>> {
    states.rows().into_iter().map(|row| row.to_vec()).collect()
}

fn room(chains: usize, dim: usize) -> usize {
    chains.min(MOST_DRAWS).min(MOST_NUMBERS / dim.max(1))
}

/// Student's interval around log Ẑ from `chains` independent chains.
pub(crate) fn interval(log_z: f64, std_err: f64, chains: usize, level: f64) -> Interval {
    let half = statistics::student_quantile(level, chains as f64 - 1.0) * std_err;
    Interval { lower: log_z - half, upper: log_z + half, level }
}
