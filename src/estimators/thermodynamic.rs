//! Thermodynamic integration: log Z as an area under a curve, walked up and down.

use std::sync::Arc;
use std::time::Instant;

use ndarray::{Array1, Array2, Axis};

use super::Estimator;
use super::comparison::{self, Answer};
use super::estimate::{Cost, Diagnostics, Estimate, Guarantee, Rung, Trace, Verdict};
use super::evidence;
use super::monitor::Monitor;
use super::phases::Phases;
use super::pilot::{self, Plan, equally_weighted, left};
use super::report::{interval, shown};
use super::rounds::{self, Rounds};
use super::settings::Settings;
use super::verdict::doubts_about;
use super::warnings::Warning;
use crate::error::{Error, Result};
use crate::math::statistics::corrected_trapezoid;
use crate::math::{LogWeights, Stream, statistics};
use crate::models::Model;
use crate::paths::{Move, Path, Population, Schedule};

/// Chains in each direction, each an independent integration, unless asked for otherwise.
const CHAINS: usize = 128;
/// Sweeps a rung and direction in the pilot integration.
const PILOT_SWEEPS: usize = 8;
/// The same, and of any integration at least, where time is short.
const FEWEST_SWEEPS: usize = 4;
/// Rungs of the first integration, fewest and most; and the fewest chains in each direction, and rungs, where all of it would take
/// more than this share of the time limit at the pace of annealing, whose chains fill more threads.
const RUNGS: (f64, f64) = (32.0, 4000.0);
const LEAST_CHAINS: usize = 16;
const LEAST_RUNGS: usize = 8;
const PILOTING: f64 = 0.06;
/// Half the difference between the ways up and down that sweeps are planned for, as a share of the target error.
const LAG_SHARE: f64 = 0.25;
/// Share of the sweeps at a rung that let the chains settle and are not averaged.
const SETTLING: usize = 4;

/// log Z = log Z₀ + ∫₀¹ E_β[∂_β log f_β] dβ (Gelman & Meng 1998, doi:10.1214/ss/1028905934).
///
/// Half of the chains walk the schedule up from exact draws of the reference, the other half down from draws of the model, taken
/// by weight from an annealing run. Each integrates on its own by the trapezoid rule with the second-order correction
/// −Δβ²/12 (g′_{k+1} − g′_k), g′ = Var_β[∂_β log f] + E_β[∂²_β log f] (Friel, Hurn & Wyse 2014,
/// doi:10.1007/s11222-012-9362-0). Chains are independent, so the spread of their integrals carries noise *and* autocorrelation.
/// Chains that lag behind equilibrium err in opposite directions on the way up and down: the mean cancels that to first order,
/// and the difference shows it. The error of integration is a fifteenth of the change from every second rung to every rung.
/// The interval is Student's over the chains, widened by the integration error, by a quarter of whatever lag is significant, and
/// on the way down by what the annealing run's ESS falls short of the number of chains.
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

    fn run(&self, model: &Arc<dyn Model>, settings: &Settings, monitor: &dyn Monitor) -> Result<Estimate> {
        let start = Instant::now();
        let mut phases = Phases::new(monitor);
        // Beside the annealing run, time for the integrations, about as much, and for the evidence.
        let rounds = |path: &dyn Path| {
            let evidence = rounds::evidence(path);
            // A budget does not count the evidence.
            let answer = if settings.budget.is_some() { 2.0 } else { 2.0 + evidence };
            Rounds { answer, evidence, resampled: false }
        };
        let mut plan = pilot::plan(model, settings, rounds, &mut phases)?;
        let chains = settings.chains.unwrap_or(CHAINS);
        // About four rungs to a unit of barrier make neighbours overlap well; an even number can be halved.
        let rungs = settings.rungs.unwrap_or((4.0 * plan.barrier).clamp(RUNGS.0, RUNGS.1) as usize);
        let fewer = match settings.replay {
            Some(decisions) => decisions.integration,
            None => {
                phases.affordable(settings, PILOTING).and_then(|steps| fewer(chains, rungs, steps, settings))
            }
        };
        plan.decisions.integration = fewer;
        let (chains, rungs) = fewer.unwrap_or((chains, rungs));
        let least = if fewer.is_some() { FEWEST_SWEEPS } else { PILOT_SWEEPS };
        let mut schedule = plan.schedule.with_rungs(rungs.next_multiple_of(2));

        let stream = Stream::new(settings.seed).child(7);
        let top = plan.anneal("annealing", stream.child(2), &mut phases)?;
        let smooth = plan.path.smooth();
        let ends = Ends {
            path: smooth.as_deref().unwrap_or(plan.path.as_ref()),
            states: equally_weighted(&top, chains, stream.child(3)),
            effective: top.families.effective_sample_size(),
        };
        let trial = ends.integrate("pilot integration", &schedule, least, stream.child(0), &mut phases)?;
        // Noise falls as one over the root of the sweeps, the lag as one over them.
        let by_noise = (1.2 * trial.noise() / settings.target_se).powi(2);
        let by_lag = 0.5 * trial.lag().0.abs() / (LAG_SHARE * settings.target_se);
        let mut sweeps = least as f64 * by_noise.max(by_lag).max(1.0);
        if settings.rungs.is_none() && fewer.is_none() && trial.discretisation() > 0.2 * settings.target_se {
            schedule = plan.schedule.with_rungs(2 * schedule.rungs());
            sweeps = (0.5 * sweeps).max(least as f64);
        }
        if let Some(decided) = settings.replay.and_then(|decisions| decisions.sweeps) {
            sweeps = decided as f64;
        } else if let Some(budget) = settings.budget {
            let spent = phases.cost.counts.sweeps as f64;
            sweeps = left(budget as f64, spent) / (2 * chains * schedule.betas().len()) as f64;
        } else {
            let pace = phases.last_seconds() / (trial.schedule.rungs() * least) as f64;
            let seconds = left(settings.max_time, start.elapsed().as_secs_f64());
            let affordable = 0.4 * seconds / (pace * schedule.rungs() as f64);
            plan.decisions.out_of_time = sweeps > affordable;
            sweeps = sweeps.min(affordable).ceil();
        }
        let sweeps = sweeps.max(least as f64) as usize;
        plan.decisions.sweeps = Some(sweeps);
        let walks = (top.weights.len() * plan.schedule.rungs()) as f64;
        let steps = (2 * chains * sweeps * schedule.betas().len()) as f64;
        monitor.follows(plan.evidence * walks / steps);
        let run = ends.integrate("integration", &schedule, sweeps, stream.child(1), &mut phases)?;

        let draws = shown(ends.states.view());
        let found = evidence::gather(model, &mut plan, settings, &mut phases)?;
        let mut estimate = self.report(&run, &top.families, plan, found, settings, phases.cost);
        estimate.trace.draws = draws;
        Ok(estimate)
    }
}

/// Chains in each direction and rungs of an integration that takes so many steps of single chains at most, or as few as make one;
/// `None` where there is room for as many as are wanted, or where a person has said how many.
fn fewer(chains: usize, rungs: usize, steps: f64, settings: &Settings) -> Option<(usize, usize)> {
    if (2 * PILOT_SWEEPS * chains * (rungs + 1)) as f64 <= steps {
        return None;
    }
    let room = steps / (2 * FEWEST_SWEEPS) as f64;
    let least_chains = if settings.chains.is_some() { chains } else { LEAST_CHAINS.min(chains) };
    let least_rungs = if settings.rungs.is_some() { rungs } else { LEAST_RUNGS.min(rungs) };
    Some((
        ((room / (rungs + 1) as f64) as usize).clamp(least_chains, chains),
        ((room / least_chains as f64) as usize).clamp(least_rungs, rungs),
    ))
}

impl Thermodynamic {
    fn report(
        self,
        run: &Integration,
        starts: &LogWeights,
        plan: Plan,
        answers: Vec<Answer>,
        settings: &Settings,
        cost: Cost,
    ) -> Estimate {
        let reference = plan.path.log_z_reference();
        let log_z = reference + run.value();
        let (noise, discretisation, (lag, lag_error)) = (run.noise(), run.discretisation(), run.lag());
        // A lag within two of its own standard errors is noise, which the spread of the chains has already counted.
        let excess = 0.25 * (lag.abs() - 2.0 * lag_error).max(0.0);
        let std_err = noise.hypot(discretisation).hypot(excess);
        let evidence = comparison::compare(answers, log_z, std_err);
        let mut reasons = doubts_about(starts);
        if lag.abs() > 3.5 * lag_error && 0.5 * lag.abs() > noise.max(0.5 * settings.target_se) {
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
        reasons.extend(comparison::doubts(log_z, std_err, &evidence));
        let chains = run.ascents.len();
        Estimate {
            log_z,
            std_err: Some(std_err),
            interval: Some(interval(log_z, std_err, chains, settings.level)),
            method: self.name().into(),
            guarantee: self.guarantee(),
            verdict: Verdict::from_reasons(reasons),
            warnings: plan.warnings(std_err, settings),
            cost,
            diagnostics: Diagnostics {
                chains: Some(2 * chains),
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
                decisions: Some(plan.decisions),
                samples: None,
                draws: Vec::new(),
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
    /// The integral of each chain that went up, and of each that went down.
    ascents: Vec<f64>,
    descents: Vec<f64>,
    /// How many times more the mean of the descents varies than that of as many independent chains.
    shared_ancestry: f64,
    autocorrelation_time: f64,
    shape_at_reference: Option<f64>,
}

impl Integration {
    /// From visits to every rung of `schedule`, each the mean over `kept` sweeps.
    fn new(schedule: &Schedule, up: &[Visit], down: &[Visit], kept: usize, shared_ancestry: f64) -> Self {
        let betas = schedule.betas();
        let (mut means, mut slopes) = (Vec::new(), Vec::new());
        let mut autocorrelation_time: f64 = 1.0;
        for (up, down) in up.iter().zip(down) {
            let mean = 0.5 * (up.mean() + down.mean());
            means.push((mean, 0.5 * up.std_err().hypot(down.std_err() * shared_ancestry.sqrt())));
            let variance = (0.5 * (up.square + down.square) - mean * mean).max(0.0);
            slopes.push(variance + 0.5 * (up.second + down.second));
            if variance > 0.0 {
                let between = 0.5 * (up.chain_means.var(1.0) + down.chain_means.var(1.0));
                let kept = kept as f64;
                autocorrelation_time = autocorrelation_time.max((kept * between / variance).min(kept));
            }
        }
        // The correction is the population's, so it is the same for every chain.
        let correction = corrected_trapezoid(betas, &vec![0.0; betas.len()], &slopes);
        let areas = |visits: &[Visit]| {
            let mut total = Array1::from_elem(visits[0].chain_means.len(), correction);
            for k in 1..betas.len() {
                let step = 0.5 * (betas[k] - betas[k - 1]);
                total.scaled_add(step, &visits[k].chain_means);
                total.scaled_add(step, &visits[k - 1].chain_means);
            }
            total.to_vec()
        };
        let sizes: Vec<f64> = up[0].chain_means.iter().map(|g| g.abs().ln()).collect();
        Self {
            schedule: schedule.clone(),
            means,
            slopes,
            linear: up.iter().chain(down).all(|visit| visit.second == 0.0),
            ascents: areas(up),
            descents: areas(down),
            shared_ancestry,
            autocorrelation_time,
            shape_at_reference: statistics::pareto_shape(&sizes),
        }
    }

    fn value(&self) -> f64 {
        0.5 * (statistics::mean(&self.ascents) + statistics::mean(&self.descents))
    }

    fn noise(&self) -> f64 {
        0.5 * self.lag().1
    }

    /// Mean and standard error of the difference between the way up and the way down.
    fn lag(&self) -> (f64, f64) {
        let down = statistics::std_err(&self.descents) * self.shared_ancestry.sqrt();
        (
            statistics::mean(&self.ascents) - statistics::mean(&self.descents),
            statistics::std_err(&self.ascents).hypot(down),
        )
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

/// Chains' means of ∂_β log f at one rung, and moments over the population.
struct Visit {
    /// Mean over the sweeps of each chain.
    chain_means: Array1<f64>,
    /// Mean over chains and sweeps of ∂_β log f squared, and of ∂²_β log f.
    square: f64,
    second: f64,
}

/// Where chains start: exact draws of the path's reference below, these states above.
struct Ends<'a> {
    path: &'a dyn Path,
    /// Draws of the model, one for each chain that goes down.
    states: Array2<f64>,
    /// How many independent draws they are worth.
    effective: f64,
}

impl Ends<'_> {
    /// Walks chains up the schedule and others down, with `sweeps` sweeps a rung.
    fn integrate(
        &self,
        name: &str,
        schedule: &Schedule,
        sweeps: usize,
        stream: Stream,
        phases: &mut Phases<'_>,
    ) -> Result<Integration> {
        let (chains, betas) = (self.states.nrows(), schedule.betas());
        phases.run(name, 2 * betas.len(), |monitor| {
            let mut population = Population::from_reference(self.path, chains, stream.child(0));
            let mut up = Vec::with_capacity(betas.len());
            for &beta in betas {
                up.push(measure(&mut population, beta, sweeps)?);
                monitor.advance(1);
            }
            let mut counts = population.counts();
            let mut population = Population::adopt(self.path, self.states.view(), stream.child(1))?;
            let mut down = Vec::with_capacity(betas.len());
            for &beta in betas.iter().rev() {
                down.push(measure(&mut population, beta, sweeps)?);
                monitor.advance(1);
            }
            down.reverse();
            counts += population.counts();
            let kept = sweeps - sweeps / SETTLING;
            let shared_ancestry = (chains as f64 / self.effective).max(1.0);
            Ok((Integration::new(schedule, &up, &down, kept, shared_ancestry), counts))
        })
    }
}

impl Visit {
    fn mean(&self) -> f64 {
        self.chain_means.mean().expect("there are chains")
    }

    fn std_err(&self) -> f64 {
        (self.chain_means.var(1.0) / self.chain_means.len() as f64).sqrt()
    }
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
        let error = Error::NonFinite { chain, beta, value: sums[(chain, 0)], state: Vec::new() };
        return Err(population.located(error));
    }
    let pooled = sums.mean_axis(Axis(0)).expect("there are chains");
    Ok(Visit { chain_means: sums.column(0).to_owned(), square: pooled[1], second: pooled[2] })
}
