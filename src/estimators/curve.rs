//! Thermodynamics of a model at many temperatures: log Z, mean energy, heat capacity and entropy.

use std::sync::Arc;

use ndarray::{Array1, Array2, ArrayView2, Axis, s};
use serde::{Deserialize, Serialize};

use super::estimate::{Estimate, Role, Verdict};
use super::ladder::Observables;
use super::mbar::{Mbar, Reduced};
use super::monitor::{Monitor, Silent};
use super::phases::Phases;
use super::pilot;
use super::rounds::Rounds;
use super::settings::Settings;
use super::tempering;
use super::warnings::Warning;
use super::{quickest_exact, usable};
use crate::error::{Error, Result};
use crate::math::Stream;
use crate::models::{Domain, Model, check_temperature};

/// Step of the differences that exact curves are differentiated by, relative to the inverse temperature.
const STEP: f64 = 3e-3;
/// Fewest effective samples of a temperature.
const LEAST_EFFECTIVE: f64 = 100.0;
/// Draws that a reference on ℝᵈ is fitted to.
const DRAWS: usize = 1024;

/// A number and its standard error, `None` where it has none.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quantity {
    /// The number.
    pub value: f64,
    /// Its standard error.
    pub std_err: Option<f64>,
}

/// A model at one temperature; b = 1/T, Boltzmann's constant is 1.
///
/// Where hidden units were summed out, these are quantities of visible and hidden units together. On continuous spaces the entropy
/// is the differential one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// T.
    pub temperature: f64,
    /// log Z(T) = log Σ exp(−E/T).
    pub log_z: Quantity,
    /// U = ⟨E⟩ = −∂ log Z/∂b.
    pub mean_energy: Quantity,
    /// C = ∂U/∂T = b² (⟨E²⟩ − ⟨E⟩²).
    pub heat_capacity: Quantity,
    /// S = log Z + bU.
    pub entropy: Quantity,
    /// How many samples the averages are worth, where they are of samples.
    pub effective_samples: Option<f64>,
}

/// A model at many temperatures.
#[derive(Clone, Debug)]
pub struct Curve {
    /// In the order asked for.
    pub points: Vec<Point>,
    /// What gave them.
    pub method: String,
    /// Whether to believe them.
    pub verdict: Verdict,
    /// The tempering run at the lowest temperature, where there was one.
    pub run: Option<Estimate>,
}

/// Seconds that [`exact`] is predicted to take, `None` where no exact method applies at some temperature.
///
/// # Errors
/// [`Error::Setting`] for temperatures that are none.
pub fn exact_seconds(model: &Arc<dyn Model>, temperatures: &[f64]) -> Result<Option<f64>> {
    check(temperatures)?;
    let of = |&temperature: &f64| {
        let (_, plan) = quickest_exact(&Arc::clone(model).at_temperature(temperature))?;
        Some(5.0 * plan.seconds.unwrap_or(0.0))
    };
    Ok(temperatures.iter().map(of).sum())
}

/// By exact methods: log Z up to rounding, the others by differences of fourth order in it, with a step of 0.3 % of 1/T.
///
/// # Errors
/// [`Error::NotApplicable`] where no exact method applies, [`Error::Setting`] for temperatures that are none, and the method's own.
pub fn exact(model: &Arc<dyn Model>, temperatures: &[f64], monitor: &dyn Monitor) -> Result<Curve> {
    check(temperatures)?;
    monitor.begin("exact", temperatures.len() as u64);
    let mut method = String::new();
    let mut points = Vec::with_capacity(temperatures.len());
    for &temperature in temperatures {
        let mut log_z = |shift: f64| -> Result<f64> {
            let model = Arc::clone(model).at_temperature(temperature / (1.0 + shift * STEP));
            let (estimator, _) = quickest_exact(&model).ok_or_else(|| Error::NotApplicable {
                estimator: "exact",
                reason: format!(
                    "no exact method applies to this {} at temperature {temperature}",
                    model.kind()
                ),
            })?;
            method = estimator.name().into();
            usable(&model, estimator.estimate(&model, &Settings::default(), &Silent)?.log_z)
        };
        let [far_below, below, here, above, far_above] =
            [log_z(-2.0)?, log_z(-1.0)?, log_z(0.0)?, log_z(1.0)?, log_z(2.0)?];
        let first = (8.0 * (above - below) - (far_above - far_below)) / (12.0 * STEP);
        let second = (16.0 * (above + below) - (far_above + far_below) - 30.0 * here) / (12.0 * STEP * STEP);
        let exactly = |value| Quantity { value, std_err: None };
        points.push(Point {
            temperature,
            log_z: exactly(here),
            // The differences are by log b.
            mean_energy: exactly(-first * temperature),
            heat_capacity: exactly(second),
            entropy: exactly(here - first),
            effective_samples: None,
        });
        monitor.advance(1);
    }
    Ok(Curve { points, method, verdict: Verdict::Converged, run: None })
}

/// By one tempering run from infinite temperature (on ℝᵈ: from a normal distribution as wide as the model at the highest one) to the
/// lowest, whose states at all rungs are reweighted to each temperature by the multistate acceptance ratio (Shirts & Chodera 2008,
/// doi:10.1063/1.2978177).
///
/// With weights w_n(T) of the states, U = Σ w E, C = b² Σ w (E − U)², and where hidden units were summed out, so that
/// F_b(x) = −log Σ_h e^{−bE(x,h)}, U = Σ w ∂F/∂b and C = b² Σ w ((∂F/∂b − U)² − ∂²F/∂b²). All standard errors are those of the
/// independent systems' influence, to first order, through weights and log Z of the rungs alike. *Converged* needs what
/// [`Tempering`](super::tempering::Tempering) needs at the lowest temperature, and 100 effective samples at every one.
///
/// # Errors
/// [`Error::Setting`] for temperatures that are none, and as [`Tempering`](super::tempering::Tempering).
pub fn tempered(
    model: &Arc<dyn Model>,
    temperatures: &[f64],
    settings: &Settings,
    monitor: &dyn Monitor,
) -> Result<Curve> {
    check(temperatures)?;
    let lowest = temperatures.iter().copied().fold(f64::INFINITY, f64::min);
    let highest = temperatures.iter().copied().fold(0.0, f64::max);
    let mut phases = Phases::new(monitor);
    let hot = hottest(&Arc::clone(model).at_temperature(highest), settings, &mut phases)?;
    let settings = Settings { data: hot, ..settings.clone() };
    let inverse: Vec<f64> = temperatures.iter().map(|temperature| 1.0 / temperature).collect();
    let of = |states: ArrayView2<'_, f64>| observe(model.as_ref(), &inverse, states);
    let number = if model.hidden_units().is_some() { 3 * inverse.len() } else { 1 };
    let cold = Arc::clone(model).at_temperature(lowest);
    let (mut run, observed) =
        tempering::sample(&cold, &settings, Observables { number, of: &of, averaged: false }, monitor)?;
    run.cost.join(phases.cost);

    let (samples, reference) = run.trace.samples.as_ref().expect("a tempering run keeps its states");
    let counts = vec![samples.kept(); samples.energies.nrows()];
    let solved = Mbar::solve(Reduced::new(samples.energies.view(), &counts)?)?;
    let clusters = samples.clusters();
    let influence = solved.influence_of_clusters(&clusters);
    let mut reasons = match run.verdict.clone() {
        Verdict::Converged => Vec::new(),
        Verdict::NotConverged { reasons } => reasons,
    };
    let mut points = Vec::with_capacity(inverse.len());
    for (k, &b) in inverse.iter().enumerate() {
        let Tilted { energies, first, second } = tilted(observed.view(), b, k);
        let seen = solved.reweight(energies.view())?;
        let weights = &seen.weights;
        let average = |values: &dyn Fn(usize) -> f64| -> f64 {
            // Energies may be infinite where there is no weight.
            (0..weights.len()).filter(|&n| weights[n] > 0.0).map(|n| weights[n] * values(n)).sum()
        };
        let energy = average(&|n| first[n]);
        let spread = |n: usize| (first[n] - energy).powi(2) - second[n];
        let variance = average(&spread);
        let moved = |values: &dyn Fn(usize) -> f64| {
            solved.influence_on_average(weights, values, &clusters, influence.view())
        };
        let of_log_z = moved(&|_| 1.0);
        let of_energy = moved(&|n| first[n] - energy);
        let of_variance = moved(&|n| spread(n) - variance);
        let quantity =
            |value, moved: &Array1<f64>| Quantity { value, std_err: Some(tempering::spread(moved)) };
        let log_z = reference + seen.log_z;
        let effective = 1.0 / weights.iter().map(|w| w * w).sum::<f64>();
        let temperature = temperatures[k];
        if effective < LEAST_EFFECTIVE {
            let (effective_samples, least) = (effective, LEAST_EFFECTIVE);
            reasons.push(Warning::FewReweighted { temperature, effective_samples, least });
        }
        points.push(Point {
            temperature,
            log_z: quantity(log_z, &of_log_z),
            mean_energy: quantity(energy, &of_energy),
            heat_capacity: quantity(b * b * variance, &(b * b * of_variance)),
            entropy: quantity(log_z + b * energy, &(of_log_z + b * of_energy)),
            effective_samples: Some(effective),
        });
    }
    Ok(Curve { points, method: "tempering".into(), verdict: Verdict::from_reasons(reasons), run: Some(run) })
}

fn check(temperatures: &[f64]) -> Result<()> {
    if temperatures.is_empty() {
        return Err(Error::setting("temperatures", "none", "at least one is needed"));
    }
    temperatures.iter().try_for_each(|&temperature| check_temperature(temperature))
}

/// What the reference of the path is fitted to: on a finite space states of which every value of every coordinate is as frequent,
/// as at infinite temperature, so that every rung is a temperature; on ℝᵈ draws from a normal distribution that pilots fitted to
/// the model at the highest temperature.
fn hottest(
    hot: &Arc<dyn Model>,
    settings: &Settings,
    phases: &mut Phases<'_>,
) -> Result<Option<Array2<f64>>> {
    let space = hot.space();
    if let Some(values) = space.values() {
        return Ok(Some(Array2::from_shape_fn((values.len(), space.dim), |(row, _)| values[row])));
    }
    if space.domain != Domain::Real {
        return Ok(None);
    }
    let pilots = Settings { chains: None, rungs: None, data: None, ..settings.clone() };
    let rounds = |_: &dyn crate::paths::Path| Rounds { answer: 1.0, evidence: 1.0, resampled: false };
    let plan = pilot::plan(hot, &pilots, rounds, phases)?;
    phases.role = Role::Pilot;
    let draws = plan.path.sample_reference(DRAWS, Stream::new(settings.seed).child(9));
    Ok(Some(draws.states()))
}

/// What is kept of states: E, or where hidden units were summed out F_b, ∂F/∂b and ∂²F/∂b² at every b.
fn observe(model: &dyn Model, inverse: &[f64], states: ArrayView2<'_, f64>) -> Array2<f64> {
    let Some(hidden) = model.hidden_units() else {
        return model.energy(states).insert_axis(Axis(0));
    };
    let (visible, activations) = hidden.activations(states);
    let mut rows = Array2::zeros((3 * inverse.len(), states.nrows()));
    for (k, &b) in inverse.iter().enumerate() {
        for (n, (&visible, activations)) in visible.iter().zip(activations.rows()).enumerate() {
            let (mut value, mut first, mut second) = (b * visible, visible, 0.0);
            for &a in activations {
                let x = b * a;
                let tail = (-x.abs()).exp();
                let on = if x < 0.0 { tail } else { 1.0 } / (1.0 + tail);
                value -= x.max(0.0) + tail.ln_1p();
                first -= on * a;
                second -= on * (1.0 - on) * a * a;
            }
            rows[[3 * k, n]] = value;
            rows[[3 * k + 1, n]] = first;
            rows[[3 * k + 2, n]] = second;
        }
    }
    rows
}

/// F_b, ∂F/∂b and ∂²F/∂b² of all states at one b.
struct Tilted {
    energies: Array1<f64>,
    first: Array1<f64>,
    second: Array1<f64>,
}

/// Those at the k-th inverse temperature b, from what [`observe`] kept.
fn tilted(observed: ArrayView2<'_, f64>, b: f64, k: usize) -> Tilted {
    if observed.nrows() == 1 {
        let first = observed.row(0).to_owned();
        return Tilted { energies: b * &first, second: Array1::zeros(first.len()), first };
    }
    let of_b = observed.slice(s![3 * k..3 * k + 3, ..]);
    Tilted { energies: of_b.row(0).to_owned(), first: of_b.row(1).to_owned(), second: of_b.row(2).to_owned() }
}
