//! Is what was installed right on this machine? Every estimator on references of known log Z.

use std::sync::Arc;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::references::{Known, is_chosen, none_chosen};
use crate::error::{Error, Result};
use crate::estimators::ais::Ais;
use crate::estimators::{Estimate, Estimator, Guarantee, Monitor, Settings, Silent};
use crate::math::{log_mean_exp, statistics};
use crate::models::Model;

/// Runs of a sampler on a reference.
const RUNS: u64 = 8;
/// The largest |z| that passes: a right sampler exceeds it once in 150,000 cells.
const LIMIT: f64 = 4.5;
/// Standard deviations of z over all runs of a sampler that pass: with so many runs an honest one stays well within. Fewer are not
/// judged.
const HONEST: std::ops::Range<f64> = 0.6..1.6;
const ENOUGH: usize = 48;
/// The largest error of an exact method, relative to 1 + |log Z|.
const ROUNDING: f64 = 1e-9;
/// The largest error of quadrature, in nats.
const NUMERICAL: f64 = 1e-6;

/// A reference to verify on.
struct Reference {
    spec: &'static str,
    /// log Z from the literature, where it is printed.
    published: Option<f64>,
    /// Samplers whose weights there are so heavy-tailed that their errors mean nothing.
    without: &'static [&'static str],
}

/// Importance sampling without annealing has no chance on these.
const FAR: &[&str] = &["importance"];

/// Tails lighter than a normal reference's: f₀²/f_β has no finite integral at small β, so the weights of a way down have no variance;
/// and so deep wells that thermodynamic integration takes minutes.
const LIGHT_TAILS: &[&str] = &["reverse-ais", "sandwich", "ti"];

/// Chains go along a bent ridge so slowly that what needs them in equilibrium is low there with so few rungs.
const SLOW: &[&str] = &["ti"];

/// Of every kind, the asymmetric among them.
const REFERENCES: [Reference; 14] = [
    Reference { spec: "ref:gaussian?dim=2", published: None, without: &[] },
    Reference { spec: "ref:gaussian?dim=8", published: None, without: &[] },
    Reference { spec: "ref:mixture?dim=2&separation=3", published: None, without: &[] },
    Reference { spec: "ref:gaussian-shells", published: None, without: &[] },
    Reference { spec: "ref:banana?bend=0.03", published: None, without: SLOW },
    Reference { spec: "ref:many-well?dim=2", published: None, without: LIGHT_TAILS },
    Reference { spec: "ref:ising?side=4&coupling=0.3&field=0.2", published: None, without: FAR },
    // By Kaufman's formula (doi:10.1103/PhysRev.76.1232).
    Reference { spec: "ref:ising?side=8&coupling=0.44", published: Some(60.076_307_527), without: FAR },
    Reference { spec: "ref:boltzmann?dim=14&units=spins", published: None, without: FAR },
    Reference { spec: "ref:boltzmann?dim=14", published: None, without: FAR },
    Reference { spec: "ref:potts?side=3", published: None, without: FAR },
    Reference { spec: "ref:rbm?visible=14&hidden=8", published: None, without: &[] },
    Reference { spec: "ref:gaussian-rbm?visible=6&hidden=8", published: None, without: FAR },
    Reference { spec: "ref:independent?dim=10", published: None, without: &[] },
];

/// One estimator on one reference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// The estimator.
    pub method: String,
    /// The reference.
    pub reference: String,
    /// Mean of log Ẑ − log Z.
    pub error: f64,
    /// What `error` is held against: its standard error, or the largest that passes for a method without chance.
    pub scale: f64,
    /// `error / scale`.
    pub z: f64,
    /// Whether chance has a part in it.
    pub sampled: bool,
    /// Whether it passes.
    pub passes: bool,
}

/// One sampler on all references.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Honesty {
    /// The sampler.
    pub method: String,
    /// √ mean z² over all runs: 1 where error bars are right.
    pub sd_z: f64,
    /// How many runs.
    pub runs: usize,
    /// Whether it passes.
    pub passes: bool,
}

/// What verification found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verification {
    /// References in order, each with its log Z and the exact method that gave it.
    pub references: Vec<(String, f64, String)>,
    /// Every estimator on every reference that it applies to.
    pub checks: Vec<Check>,
    /// Error bars of the samplers.
    pub honesty: Vec<Honesty>,
}

impl Verification {
    /// Whether all is well.
    #[must_use]
    pub fn passes(&self) -> bool {
        self.checks.iter().all(|check| check.passes) && self.honesty.iter().all(|row| row.passes)
    }
}

/// Holds every one of `estimators` against every reference that it applies to; with `only`, pairs that have it in
/// `METHOD on REFERENCE`, and no others.
///
/// The truth is the quickest exact method's; all other exact methods must agree with it to rounding, and it with the literature
/// where that prints the number. Samplers run eight times with 256 chains and 64 rungs, far from converged on purpose: weights
/// that are a little wrong show in z where error bars are small against the mistake, and every run must be unbiased for any number
/// of rungs.
///
/// # Errors
/// What an estimator reports, unless it is that it does not apply; [`Error::Setting`] where no pair is left.
pub fn verify(
    estimators: &[&dyn Estimator],
    only: Option<&str>,
    monitor: &dyn Monitor,
) -> Result<Verification> {
    let chosen = |method: &str, spec: &str| is_chosen(only, method, spec);
    let mut found = Verification { references: Vec::new(), checks: Vec::new(), honesty: Vec::new() };
    let mut scores: Vec<Vec<f64>> = vec![Vec::new(); estimators.len()];
    monitor.begin("verification", (REFERENCES.len() * estimators.len()) as u64);
    for reference in &REFERENCES {
        if !estimators.iter().any(|estimator| chosen(estimator.name(), reference.spec)) {
            monitor.advance(estimators.len() as u64);
            continue;
        }
        let known = Known::new(reference.spec)?;
        found.references.push((reference.spec.into(), known.log_z, known.by.name().into()));
        if let Some(published) = reference.published.filter(|_| chosen("literature", reference.spec)) {
            found.checks.push(unsampled("literature", &known, published, 1e-9));
        }
        for (&estimator, scores) in estimators.iter().zip(&mut scores) {
            monitor.advance(1);
            if !chosen(estimator.name(), reference.spec)
                || reference.without.contains(&estimator.name())
                || estimator.plan(&known.model).is_err()
            {
                continue;
            }
            match estimator.guarantee() {
                Guarantee::Exact => {
                    let other = estimator.estimate(&known.model, &Settings::default(), &Silent)?.log_z;
                    let most = ROUNDING * (1.0 + known.log_z.abs());
                    found.checks.push(unsampled(estimator.name(), &known, other, most));
                }
                Guarantee::Numerical => {
                    let other = estimator.estimate(&known.model, &Settings::default(), &Silent)?.log_z;
                    found.checks.push(unsampled(estimator.name(), &known, other, NUMERICAL));
                }
                _ => found.checks.push(sampled(estimator, &known, scores)?),
            }
        }
    }
    if found.checks.is_empty() {
        return Err(none_chosen(only));
    }
    for (estimator, scores) in estimators.iter().zip(scores).filter(|(_, scores)| !scores.is_empty()) {
        let squares: Vec<f64> = scores.iter().map(|z| z * z).collect();
        let sd_z = statistics::mean(&squares).sqrt();
        found.honesty.push(Honesty {
            method: estimator.name().into(),
            sd_z,
            runs: scores.len(),
            passes: scores.len() < ENOUGH || HONEST.contains(&sd_z),
        });
    }
    Ok(found)
}

fn unsampled(method: &str, known: &Known, other: f64, most: f64) -> Check {
    let error = other - known.log_z;
    Check {
        method: method.into(),
        reference: known.spec.into(),
        error,
        scale: most,
        z: error / most,
        sampled: false,
        passes: error.abs() <= most,
    }
}

fn sampled(estimator: &dyn Estimator, known: &Known, scores: &mut Vec<f64>) -> Result<Check> {
    let runs: Vec<(f64, f64)> = (0..RUNS)
        .into_par_iter()
        .map(|seed| {
            // No clock decides anything, so the numbers are the same on every machine of one instruction set.
            // A ladder of many rungs is a slow one.
            let (chains, rungs) = match estimator.name() {
                "importance" => (4096, 64),
                "tempering" => (64, 6),
                _ => (256, 64),
            };
            let settings = Settings {
                seed,
                chains: Some(chains),
                rungs: Some(rungs),
                max_time: 1e9,
                ..Settings::default()
            };
            let found = estimator.estimate(&known.model, &settings, &Silent)?;
            Ok((found.log_z - known.log_z, found.std_err.unwrap_or(0.0)))
        })
        .collect::<Result<_>>()?;
    let errors: Vec<f64> = runs.iter().map(|(error, _)| *error).collect();
    let squares: Vec<f64> = runs.iter().map(|(_, std_err)| std_err * std_err).collect();
    let error = statistics::mean(&errors);
    // What single precision may round away in energies is no statistical error.
    let scale = (statistics::mean(&squares) / RUNS as f64).sqrt().max(1e-5);
    scores.extend(runs.iter().filter(|(_, std_err)| *std_err > 1e-5).map(|(error, std_err)| error / std_err));
    let z = error / scale;
    Ok(Check {
        method: estimator.name().into(),
        reference: known.spec.into(),
        error,
        scale,
        z,
        sampled: true,
        passes: z.abs() <= LIMIT,
    })
}

/// Annealing with the sign of its log-weights flipped: a mistake that verification must find.
#[derive(Clone, Copy, Debug, Default)]
pub struct SignFlipped;

impl Estimator for SignFlipped {
    fn name(&self) -> &'static str {
        "sign-flipped"
    }

    fn summary(&self) -> &'static str {
        "annealing with a planted mistake"
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee::UnbiasedZ
    }

    fn run(&self, model: &Arc<dyn Model>, settings: &Settings, monitor: &dyn Monitor) -> Result<Estimate> {
        let mut estimate = Ais.estimate(model, settings, monitor)?;
        let weights = &estimate.trace.log_weights;
        let flipped: Vec<f64> = weights.iter().map(|weight| -weight).collect();
        let log_z = estimate.log_z - log_mean_exp(weights) + log_mean_exp(&flipped);
        if !log_z.is_finite() {
            return Err(Error::NotApplicable {
                estimator: "sign-flipped",
                reason: "some weights are zero".into(),
            });
        }
        estimate.log_z = log_z;
        Ok(estimate)
    }
}
