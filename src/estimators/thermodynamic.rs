//! Thermodynamic integration: log Z as an area under a curve, walked up and down.

use std::sync::Arc;
use std::time::Instant;

use ndarray::{Array1, Array2, Axis};

use super::estimate::{Cost, Diagnostics, Estimate, Guarantee, Interval, Rung, Trace, Verdict};
use super::monitor::Monitor;
use super::settings::Settings;
use super::warnings::Warning;
use super::{Estimator, Plan, evidence, pilot};
use crate::error::{Error, Result};
use crate::math::{Stream, statistics};
use crate::models::Model;
use crate::paths::{self, Counts, Move, Path, Population, Schedule};

/// Chains, each an independent integration, unless asked for otherwise.
const CHAINS: usize = 128;
/// Sweeps a rung and direction in the pilot integration.
const PILOT_SWEEPS: usize = 8;
/// Share of the sweeps at a rung that let the chains settle and are not averaged.
const SETTLING: usize = 4;

/// log Z = log Z₀ + ∫₀¹ E_β[∂_β log f_β] dβ (Gelman & Meng 1998, doi:10.1214/ss/1028905934).
///
/// Each chain walks the schedule up and then down again and integrates on its own by the trapezoid rule with the second-order
/// correction −Δβ²/12 (g′_{k+1} − g′_k), g′ = Var_β[∂_β log f] + E_β[∂²_β log f] (Friel, Hurn & Wyse 2014,
/// doi:10.1007/s11222-012-9362-0). Chains are independent, so the spread of their integrals carries noise *and* autocorrelation.
/// Chains that lag behind equilibrium err in opposite directions on the way up and down: the mean cancels that to first order,
/// and the difference shows it. The error of integration is a fifteenth of the change from every second rung to every rung.
/// The interval is Student's over the chains, widened by the integration error and by a quarter of whatever lag is significant.
///
/// Refuses where the integrand at β = 0 is infinite, and doubts where its variance seems to be.
#[derive(Clone, Copy, Debug, Default)]
pub struct Thermodynamic;

impl Estimator for Thermodynamic {
    fn name(&self) -> &'static str {
        "ti"
    }

    fn summary(&self) -> &'static str {
        "thermodynamic integration, up and down, with second-order correction"
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
        let start = Instant::now();
        let mut cost = Cost::default();
        let path = paths::for_model(model, settings.data.as_ref().map(|data| data.view()))?;
        // Time for the integrations, about that of a reported round, and for the evidence.
        let overhead = 1.0 + evidence::overhead(path.as_ref());
        let mut plan = pilot::plan(path, settings, overhead, monitor, &mut cost)?;
        let chains = settings.chains.unwrap_or(CHAINS);
        // About four rungs to a unit of barrier make neighbours overlap well; an even number can be halved.
        let rungs = settings.rungs.unwrap_or((4.0 * plan.barrier).clamp(32.0, 4000.0) as usize);
        let curve = plan.schedule.clone();
        let mut schedule = curve.with_rungs(rungs.next_multiple_of(2));

        let stream = Stream::new(settings.seed).child(7);
        let begin = Instant::now();
        let trial = integrate(plan.path.as_ref(), &schedule, chains, PILOT_SWEEPS, stream.child(0), monitor)?;
        let seconds = begin.elapsed().as_secs_f64();
        cost.add("pilot integration", seconds, trial.counts);
        let mut sweeps = PILOT_SWEEPS as f64 * (1.2 * trial.noise() / settings.target_se).powi(2).max(1.0);
        if settings.rungs.is_none() && trial.discretisation() > 0.2 * settings.target_se {
            schedule = curve.with_rungs(2 * schedule.rungs());
            sweeps = (0.5 * sweeps).max(PILOT_SWEEPS as f64);
        }
        let pace = seconds / (trial.schedule.rungs() * PILOT_SWEEPS) as f64;
        let left = (settings.max_time - start.elapsed().as_secs_f64()).max(0.1 * settings.max_time);
        let affordable = 0.4 * left / (pace * schedule.rungs() as f64);
        let out_of_time = sweeps > affordable;
        let sweeps = sweeps.min(affordable).max(PILOT_SWEEPS as f64).ceil() as usize;

        let begin = Instant::now();
        let run = integrate(plan.path.as_ref(), &schedule, chains, sweeps, stream.child(1), monitor)?;
        cost.add("integration", begin.elapsed().as_secs_f64(), run.counts);

        let log_z = plan.path.log_z_reference() + run.value();
        let found = evidence::gather(model, &plan, settings.seed, monitor, &mut cost)?;
        plan.out_of_time = out_of_time;
        Ok(self.report(log_z, &run, plan, found, settings, cost))
    }
}

impl Thermodynamic {
    fn report(
        self,
        log_z: f64,
        run: &Integration,
        plan: pilot::Plan,
        found: Vec<(String, f64, f64)>,
        settings: &Settings,
        cost: Cost,
    ) -> Estimate {
        let (noise, discretisation, (lag, lag_error)) = (run.noise(), run.discretisation(), run.lag());
        // A lag within two of its own standard errors is noise, which the spread of the chains has already counted.
        let excess = 0.25 * (lag.abs() - 2.0 * lag_error).max(0.0);
        let std_err = noise.hypot(discretisation).hypot(excess);
        let evidence = evidence::compare(found, log_z, std_err);
        let mut reasons = Vec::new();
        if lag.abs() > 3.5 * lag_error && 0.5 * lag.abs() > noise {
            reasons.push(Warning::Drift { lag: 0.5 * lag.abs(), std_err: noise });
        }
        if discretisation > noise.max(0.5 * settings.target_se) {
            reasons.push(Warning::Discretisation { error: discretisation, std_err: noise });
        }
        if let Some(pareto_shape) = run.shape_at_reference
            && pareto_shape >= 0.7
        {
            reasons.push(Warning::HeavyTail { pareto_shape, most: 0.7 });
        }
        reasons.extend(evidence::doubts(log_z, std_err, &evidence));
        let mut warnings = Vec::new();
        if std_err > settings.target_se {
            warnings.push(Warning::TargetMissed {
                std_err,
                target: settings.target_se,
                out_of_time: plan.out_of_time,
            });
        }
        if plan.path.base_rates_guessed() {
            warnings.push(Warning::GuessedBaseRates);
        }
        let half = statistics::student_quantile(settings.level, run.integrals.len() as f64 - 1.0) * std_err;
        let reference = plan.path.log_z_reference();
        Estimate {
            log_z,
            std_err: Some(std_err),
            interval: Some(Interval { lower: log_z - half, upper: log_z + half, level: settings.level }),
            method: self.name().into(),
            guarantee: self.guarantee(),
            verdict: Verdict::from_reasons(reasons),
            warnings,
            cost,
            diagnostics: Diagnostics {
                chains: Some(run.integrals.len()),
                rungs: Some(run.schedule.rungs()),
                barrier: Some(plan.barrier),
                discretisation_error: Some(discretisation),
                lag: Some(lag),
                autocorrelation_time: Some(run.autocorrelation_time),
                bracket: run.bracket().map(|(low, high)| [reference + low, reference + high]),
                evidence,
                ..Diagnostics::default()
            },
            seed: settings.seed,
            trace: Trace {
                schedule: run.schedule.betas().to_vec(),
                log_weights: Vec::new(),
                rungs: run.rungs(),
                pilots: plan.records,
            },
        }
    }
}

/// What one integration measured.
struct Integration {
    schedule: Schedule,
    /// Mean of ∂_β log f over the chains and sweeps at each β₀ … β_K, with its standard error.
    means: Vec<(f64, f64)>,
    /// g′ at each β.
    slopes: Vec<f64>,
    /// Whether ∂²_β was zero throughout: then the integrand is nondecreasing.
    linear: bool,
    /// Each chain's integral, up and down averaged.
    integrals: Vec<f64>,
    /// Each chain's difference, up − down.
    differences: Vec<f64>,
    autocorrelation_time: f64,
    shape_at_reference: Option<f64>,
    counts: Counts,
}

impl Integration {
    fn value(&self) -> f64 {
        statistics::mean(&self.integrals)
    }

    fn noise(&self) -> f64 {
        statistics::std_err(&self.integrals)
    }

    /// Mean and standard error of the difference between the way up and the way down.
    fn lag(&self) -> (f64, f64) {
        (statistics::mean(&self.differences), statistics::std_err(&self.differences))
    }

    fn discretisation(&self) -> f64 {
        let means: Vec<f64> = self.means.iter().map(|(mean, _)| *mean).collect();
        let every = |stride: usize| {
            let pick = |values: &[f64]| values.iter().step_by(stride).copied().collect::<Vec<f64>>();
            corrected_trapezoid(&pick(self.schedule.betas()), &pick(&means), &pick(&self.slopes))
        };
        // The corrected rule is of fourth order: halving the steps divides its error by sixteen.
        (every(1) - every(2)).abs() / 15.0
    }

    /// Left and right sums, which bracket the integral of a nondecreasing integrand at equilibrium.
    fn bracket(&self) -> Option<(f64, f64)> {
        let sum = |end: usize| -> f64 {
            let steps = self.schedule.betas().windows(2).enumerate();
            steps.map(|(k, pair)| (pair[1] - pair[0]) * self.means[k + end].0).sum()
        };
        self.linear.then(|| (sum(0), sum(1)))
    }

    fn rungs(&self) -> Vec<Rung> {
        let all = self.schedule.betas().iter().zip(&self.means);
        all.map(|(&beta, &(mean, error))| Rung {
            beta,
            derivative: Some(mean),
            derivative_std_err: Some(error),
            ..Rung::default()
        })
        .collect()
    }
}

/// Σ ½Δβ (g_k + g_{k+1}) − Δβ²/12 (g′_{k+1} − g′_k).
fn corrected_trapezoid(betas: &[f64], values: &[f64], slopes: &[f64]) -> f64 {
    (1..betas.len())
        .map(|k| {
            let step = betas[k] - betas[k - 1];
            0.5 * step * (values[k] + values[k - 1]) - step * step / 12.0 * (slopes[k] - slopes[k - 1])
        })
        .sum()
}

/// Chains' means of ∂_β log f at one rung, and moments over the population.
struct Visit {
    /// Mean over the sweeps of each chain.
    chain_means: Array1<f64>,
    /// Mean over chains and sweeps of ∂_β log f squared, and of ∂²_β log f.
    square: f64,
    second: f64,
}

/// Walks `chains` chains up the schedule and down again with `sweeps` sweeps a rung and direction.
fn integrate(
    path: &dyn Path,
    schedule: &Schedule,
    chains: usize,
    sweeps: usize,
    stream: Stream,
    monitor: &dyn Monitor,
) -> Result<Integration> {
    let betas = schedule.betas();
    monitor.begin(
        if sweeps == PILOT_SWEEPS { "pilot integration" } else { "integration" },
        2 * betas.len() as u64,
    );
    let mut population = Population::from_reference(path, chains, stream);
    let mut visit = |beta: f64| {
        let visit = measure(&mut population, beta, sweeps);
        monitor.advance(1);
        visit
    };
    let up = betas.iter().map(|&beta| visit(beta)).collect::<Result<Vec<_>>>()?;
    let mut down = betas.iter().rev().map(|&beta| visit(beta)).collect::<Result<Vec<_>>>()?;
    down.reverse();

    let mut means = Vec::with_capacity(betas.len());
    let mut slopes = Vec::with_capacity(betas.len());
    let mut autocorrelation_time: f64 = 1.0;
    let kept = (sweeps - sweeps / SETTLING) as f64;
    for (up, down) in up.iter().zip(&down) {
        let both = 0.5 * (&up.chain_means + &down.chain_means);
        let mean = both.mean().expect("there are chains");
        means.push((mean, statistics::std_err(&both.to_vec())));
        let variance = (0.5 * (up.square + down.square) - mean * mean).max(0.0);
        slopes.push(variance + 0.5 * (up.second + down.second));
        if variance > 0.0 {
            let between = 0.5 * (up.chain_means.var(1.0) + down.chain_means.var(1.0));
            autocorrelation_time = autocorrelation_time.max((kept * between / variance).min(kept));
        }
    }
    // The correction is the population's, so it is the same for every chain.
    let values: Vec<f64> = vec![0.0; betas.len()];
    let correction = corrected_trapezoid(betas, &values, &slopes);
    let area = |visits: &[Visit]| -> Array1<f64> {
        let mut total = Array1::from_elem(chains, correction);
        for k in 1..betas.len() {
            let step = 0.5 * (betas[k] - betas[k - 1]);
            total.scaled_add(step, &visits[k].chain_means);
            total.scaled_add(step, &visits[k - 1].chain_means);
        }
        total
    };
    let (ascent, descent) = (area(&up), area(&down));
    let sizes: Vec<f64> = up[0].chain_means.iter().map(|g| g.abs().ln()).collect();
    Ok(Integration {
        schedule: schedule.clone(),
        means,
        slopes,
        linear: up.iter().chain(&down).all(|visit| visit.second == 0.0),
        integrals: (0.5 * (&ascent + &descent)).to_vec(),
        differences: (&ascent - &descent).to_vec(),
        autocorrelation_time,
        shape_at_reference: statistics::pareto_shape(&sizes),
        counts: population.counts(),
    })
}

fn measure(population: &mut Population, beta: f64, sweeps: usize) -> Result<Visit> {
    let settling = sweeps / SETTLING;
    // Columns: the sum over sweeps of ∂_β log f, of its square, and of ∂²_β log f.
    let mut sums = Array2::zeros((population.chains(), 3));
    population.map_blocks(&mut sums, |block, mut rows| {
        let (mut first, mut second) = (vec![0.0; block.chains()], vec![0.0; block.chains()]);
        for sweep in 0..sweeps {
            block.step(beta, Move::Forward);
            if sweep >= settling {
                block.derivatives(beta, &mut first, &mut second);
                for (mut row, (g, curvature)) in rows.rows_mut().into_iter().zip(first.iter().zip(&second)) {
                    row[0] += g;
                    row[1] += g * g;
                    row[2] += curvature;
                }
            }
        }
    });
    sums /= (sweeps - settling) as f64;
    if let Some(chain) = (0..sums.nrows()).find(|&chain| !sums[(chain, 0)].is_finite()) {
        if beta == 0.0 && sums[(chain, 0)] == f64::NEG_INFINITY {
            return Err(Error::NotApplicable {
                estimator: "ti",
                reason: "the reference reaches states where E = +inf, so the integrand at beta = 0 is infinite; use `ais`"
                    .into(),
            });
        }
        return Err(Error::NonFinite { chain, beta, value: sums[(chain, 0)] });
    }
    let pooled = sums.mean_axis(Axis(0)).expect("there are chains");
    Ok(Visit { chain_means: sums.column(0).to_owned(), square: pooled[1], second: pooled[2] })
}
