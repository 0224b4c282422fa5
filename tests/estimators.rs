//! Every estimator × every reference of known log Z that it applies to.
//!
//! Exact methods must agree to 1e-9. Sampling methods run 32 fixed seeds: t = mean error / its standard error must stay below 4.5
//! (two-sided α = 7e-6; about 45 pairs, so 3e-4 for the file), *and* the standard deviation of the error must stay below 0.12 nat:
//! with 32 seeds a bias of 4.5 · 0.12/√32 ≈ 0.1 nat would be caught everywhere, and one of 0.03 where the spread is 0.03.
//! The mean of the reported standard errors must lie within a factor of 1.7 of that standard deviation.

#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::Arc;

use lnz::estimators::{Guarantee, REGISTRY, Settings, Silent, Verdict, Warning, by_name, quickest_exact};
use lnz::math::statistics;
use lnz::models::{Domain, FunctionModel, Model, Space, builtin};
use lnz::paths::for_model;
use rayon::prelude::*;

const SEEDS: u64 = 32;
const MOST_SPREAD: f64 = 0.12;

/// Small references of every kind, asymmetric wherever the kind allows.
fn references() -> Vec<(&'static str, Arc<dyn Model>)> {
    let named = [
        "ref:gaussian?dim=4",
        "ref:mixture?dim=2&modes=3&separation=2",
        "ref:independent?dim=15",
        "ref:ising?side=4&coupling=0.35&field=0.1",
        "ref:ising?side=4&coupling=0.44",
        "ref:ising?side=7&coupling=0.4&field=0.05&boundary=ring",
        "ref:potts?rows=3&columns=4&states=3&coupling=0.6&field=0.2&boundary=grid",
        "ref:boltzmann?dim=12",
        "ref:boltzmann?dim=10&units=spins",
        "ref:spin-glass?rows=3&columns=4&coupling=0.5&field=0.1",
        "ref:rbm?visible=12&hidden=8",
        "ref:rbm?visible=6&hidden=11&units=spins",
        "ref:gaussian-rbm?visible=6&hidden=5",
    ];
    let mut all: Vec<_> = named.iter().map(|spec| (*spec, builtin::parse(spec).unwrap())).collect();
    let tilted = Space::new(2, Domain::Box { lower: vec![-1.0, 0.0], upper: vec![2.0, 1.5] });
    all.push((
        "a closure on a box",
        Arc::new(FunctionModel::new(tilted, |x| 1.5 * x[0] + x[0] * x[1] - x[1])),
    ));
    all
}

/// log Z by an exact method, or by quadrature where there is none.
fn truth(model: &Arc<dyn Model>) -> f64 {
    let method = quickest_exact(model).map_or_else(|| by_name("quadrature").unwrap(), |(method, _)| method);
    method.estimate(model, &Settings::default(), &Silent).unwrap().log_z
}

#[test]
fn exact_methods_agree() {
    for (name, model) in references() {
        let truth = truth(&model);
        for method in REGISTRY.iter().filter(|m| m.guarantee() == Guarantee::Exact) {
            if method.plan(&model).is_ok() {
                let found = method.estimate(&model, &Settings::default(), &Silent).unwrap();
                assert!(
                    (found.log_z - truth).abs() < 1e-9 * truth.abs().max(1.0),
                    "{} on {name}",
                    method.name()
                );
                assert!(found.std_err.is_none() && found.verdict.is_converged());
            }
        }
    }
}

#[test]
fn quadrature_agrees_where_it_applies() {
    let quadrature = by_name("quadrature").unwrap();
    for spec in ["ref:gaussian?dim=2", "ref:mixture?dim=2", "ref:funnel?dim=2", "ref:many-well?dim=2"] {
        let model = builtin::parse(spec).unwrap();
        let found = quadrature.estimate(&model, &Settings::default(), &Silent).unwrap();
        let error = (found.log_z - truth(&model)).abs();
        assert!(
            error < 1e-6 && error <= found.diagnostics.discretisation_error.unwrap(),
            "{spec}: {error:e}"
        );
    }
}

fn sampler_against_references(method: &str, chains: usize, most_spread: f64) {
    let method = by_name(method).unwrap();
    for (name, model) in references() {
        let heavy_tailed = ["ising", "potts", "spin-glass", "boltzmann?dim=10&units=spins"];
        let heavy_tailed = heavy_tailed.iter().any(|kind| name.contains(kind));
        if method.plan(&model).is_err() || (method.name() == "importance" && heavy_tailed) {
            continue;
        }
        let truth = truth(&model);
        let runs: Vec<(f64, f64)> = (0..SEEDS)
            .into_par_iter()
            .map(|seed| {
                // No clock decides anything, so the numbers are the same on every machine.
                let settings = Settings {
                    seed,
                    chains: Some(chains),
                    rungs: Some(32),
                    max_time: 1e9,
                    ..Settings::default()
                };
                let found = method.estimate(&model, &settings, &Silent).unwrap();
                (found.log_z - truth, found.std_err.unwrap())
            })
            .collect();
        let errors: Vec<f64> = runs.iter().map(|(error, _)| *error).collect();
        let (mean, mean_error) = (statistics::mean(&errors), statistics::std_err(&errors));
        let spread = statistics::variance(&errors).sqrt();
        let claimed = statistics::mean(&runs.iter().map(|(_, std_err)| *std_err).collect::<Vec<_>>());
        let context = format!("{} on {name}", method.name());
        if spread < 1e-6 {
            // The reference is the model: nothing is left to estimate but f32 rounding.
            assert!(mean.abs() < 1e-4, "{context}: {mean}");
            continue;
        }
        assert!(mean.abs() < 4.5 * mean_error, "{context}: mean error {mean:.4} ± {mean_error:.4}");
        assert!(spread < most_spread, "{context}: spread {spread:.4}");
        assert!(
            (1.0 / 1.7..1.7).contains(&(claimed / spread)),
            "{context}: claims {claimed:.4}, spread {spread:.4}"
        );
    }
}

#[test]
fn annealing_is_right() {
    sampler_against_references("ais", 128, MOST_SPREAD);
}

#[test]
fn reverse_annealing_is_right() {
    sampler_against_references("reverse-ais", 128, MOST_SPREAD);
}

#[test]
fn the_sandwich_is_right() {
    sampler_against_references("sandwich", 128, MOST_SPREAD);
}

#[test]
fn thermodynamic_integration_is_right() {
    sampler_against_references("ti", 128, MOST_SPREAD);
}

#[test]
fn importance_sampling_is_right() {
    // Without annealing, weights on a lattice are so heavy-tailed that nothing could be tested there; nor on coupled spins, where
    // of 10,000 draws' estimates one in forty is off by 0.1 nat and one in 1,500 by 0.8.
    sampler_against_references("importance", 10_000, MOST_SPREAD);
}

/// E → E + c lowers log Z by c, for every estimator, to rounding: the random numbers do not depend on c.
#[test]
fn a_constant_energy_shifts_log_z() {
    let space = Space::new(2, Domain::Real);
    let energy = |x: ndarray::ArrayView1<'_, f64>| x[0].powi(2) + 0.5 * (x[1] - x[0]).powi(2);
    let plain: Arc<dyn Model> = Arc::new(FunctionModel::new(space.clone(), energy));
    let raised: Arc<dyn Model> = Arc::new(FunctionModel::new(space, move |x| energy(x) + 3.25));
    let settings = Settings { chains: Some(64), rungs: Some(32), max_time: 1e9, ..Settings::default() };
    for method in ["quadrature", "ais", "sandwich", "ti", "importance"] {
        let run = |model| by_name(method).unwrap().estimate(model, &settings, &Silent).unwrap().log_z;
        let shift = run(&plain) - run(&raised);
        assert!((shift - 3.25).abs() < 1e-6, "{method}: {shift}");
    }
}

/// Where rounding of f32 would exceed the error bar, an RBM is annealed in f64; where f64 would not do either, not at all.
#[test]
fn huge_weights_are_annealed_in_f64_or_not_at_all() {
    let settings = Settings { rungs: Some(1024), chains: Some(512), max_time: 1e9, ..Settings::default() };
    let ais = by_name("ais").unwrap();
    for spec in [
        "ref:rbm?visible=6&hidden=4&scale=1e4",
        "ref:rbm?visible=6&hidden=4&scale=1e6",
        "ref:gaussian-rbm?visible=4&hidden=3&scale=1e3",
    ] {
        let model = builtin::parse(spec).unwrap();
        assert_ne!(for_model(&model, None).unwrap().kernel(), "block Gibbs", "{spec}");
        let found = ais.estimate(&model, &settings, &Silent).unwrap();
        let error = found.log_z - truth(&model);
        let within = error.abs() < 4.5 * found.std_err.unwrap() + 0.003;
        assert!(within || !found.verdict.is_converged(), "{spec}: off by {error}");
        let colder = model.at_temperature(1e-9);
        assert!(truth(&colder).is_finite());
        let refused = ais.estimate(&colder, &settings, &Silent).unwrap_err().to_string();
        assert!(refused.contains("rounding is worth"), "{refused}");
    }
    let ordinary = builtin::parse("ref:rbm?visible=784&hidden=500").unwrap();
    assert_eq!(for_model(&ordinary, None).unwrap().kernel(), "block Gibbs");
}

/// The number of states of a flat model.
#[test]
fn a_flat_energy_counts_states() {
    let flat: Arc<dyn Model> =
        Arc::new(FunctionModel::new(Space::new(9, Domain::Categories { states: 3 }), |_| 0.0));
    for method in ["enumeration", "ais"] {
        let found = by_name(method).unwrap().estimate(&flat, &Settings::default(), &Silent).unwrap();
        assert!((found.log_z - 9.0 * 3f64.ln()).abs() < 1e-9, "{method}: {}", found.log_z);
    }
}

/// Where annealing gets it wrong, it says so: a narrow far mode that no chain visits, and a funnel that a normal reference
/// cannot cover. Twelve seeds each; at least ten are wrong by more than 0.2 nat, and none of those is *converged*.
#[test]
fn wrong_answers_are_flagged() {
    for spec in ["ref:two-modes", "ref:funnel?dim=10"] {
        let model = builtin::parse(spec).unwrap();
        let truth = truth(&model);
        let flags: Vec<(f64, bool)> = (0..12)
            .into_par_iter()
            .map(|seed| {
                let settings = Settings { seed, rungs: Some(100), max_time: 1e9, ..Settings::default() };
                let found = by_name("ais").unwrap().estimate(&model, &settings, &Silent).unwrap();
                (found.log_z - truth, found.verdict.is_converged())
            })
            .collect();
        let wrong: Vec<_> = flags.iter().filter(|(error, _)| error.abs() > 0.2).collect();
        assert!(wrong.len() >= 10, "{spec} is no hard reference: {} of 12 are wrong", wrong.len());
        for (error, converged) in wrong {
            assert!(!converged, "{spec}: off by {error} and called converged");
        }
    }
}

/// A cold ferromagnet on a schedule far too short: the weights themselves give it away.
#[test]
fn a_cold_ferromagnet_in_a_hurry_is_flagged() {
    let model = builtin::parse("ref:ising?side=16&coupling=0.6").unwrap();
    let truth = truth(&model);
    let mut wrong = 0;
    for seed in 0..12 {
        let settings = Settings { seed, rungs: Some(20), max_time: 1e9, ..Settings::default() };
        let found = by_name("ais").unwrap().estimate(&model, &settings, &Silent).unwrap();
        if (found.log_z - truth).abs() > 0.2 {
            wrong += 1;
            assert!(!found.verdict.is_converged(), "seed {seed}: off by {}", found.log_z - truth);
        }
    }
    assert!(wrong >= 6, "only {wrong} of 12 were wrong: too easy to show anything");
}

/// Above a first-order transition annealing stays in the disordered phase, and everything that starts there agrees with it. Chains
/// that were overcooled start in the ordered one and give it away. (Mean-field Potts model with ten states: log Z = 283.4 by
/// summing over the numbers of sites in each state, and annealing says 281.1.)
#[test]
fn a_missed_phase_is_flagged() {
    let sites = 100;
    let mut couplings = ndarray::Array2::from_elem((sites, sites), 5.6 / sites as f64);
    couplings.diag_mut().fill(0.0);
    let model: Arc<dyn Model> =
        Arc::new(lnz::models::Potts::new(couplings, ndarray::Array2::zeros((sites, 10))).unwrap());
    let settings = Settings { max_time: 1e9, rungs: Some(128), ..Settings::default() };
    let found = by_name("ais").unwrap().estimate(&model, &settings, &Silent).unwrap();
    assert!(found.log_z < 282.0, "{}: annealing found the ordered phase, so nothing is shown", found.log_z);
    let Verdict::NotConverged { reasons } = &found.verdict else { panic!("converged at {}", found.log_z) };
    let by_quenched_chains =
        |reason: &Warning| matches!(reason, Warning::Disagreement { other, .. } if *other > 284.0);
    assert!(reasons.iter().any(by_quenched_chains), "{reasons:?}");
}

/// No chain from a broad reference finds a pattern among 2²⁰⁰ states, hot or cold, and all agree; mean-field bounds from what single
/// hidden units ask for lie above the answer, so they prove it wrong.
#[test]
fn modes_that_no_chain_finds_are_flagged_by_bounds() {
    for spec in ["ref:memory", "ref:memory?seed=2", "ref:memory?hidden=1&threshold=0.5"] {
        let model = lnz::models::builtin::parse(spec).unwrap();
        let truth = truth(&model);
        for method in ["ais", "ti", "importance"] {
            let settings = Settings { max_time: 1e9, ..Settings::default() };
            let found = by_name(method).unwrap().estimate(&model, &settings, &Silent).unwrap();
            assert!(found.log_z < truth - 5.0, "{spec}: {method} found it, so nothing is shown");
            let Verdict::NotConverged { reasons } = &found.verdict else {
                panic!("{spec}: {method} converged")
            };
            let bounds = |reason: &&Warning| matches!(reason, Warning::BelowBound { bound, .. } if *bound < truth + 1e-6);
            assert!(reasons.iter().any(|reason| bounds(&reason)), "{spec}: {method}: {reasons:?}");
        }
    }
}

/// Part of the reference's mass lies on states of energy +∞, which chains that come down never see: without it, answers from above would be off by log P₀(S).
#[test]
fn forbidden_states_bias_neither_direction() {
    let forbidding = FunctionModel::new(Space::new(10, Domain::Bits), |x| {
        if x[0] + x[1] == 1.0 { f64::INFINITY } else { 0.9 * x[0] - 0.6 * x[2] * x[3] + 0.3 * x.sum() }
    });
    let model: Arc<dyn Model> = Arc::new(forbidding);
    let truth = truth(&model);
    for method in ["ais", "reverse-ais", "sandwich"] {
        let errors: Vec<f64> = (0..16)
            .into_par_iter()
            .map(|seed| {
                let settings = Settings { seed, rungs: Some(32), max_time: 1e9, ..Settings::default() };
                by_name(method).unwrap().estimate(&model, &settings, &Silent).unwrap().log_z - truth
            })
            .collect();
        let (mean, error) = (statistics::mean(&errors), statistics::std_err(&errors));
        assert!(mean.abs() < 4.5 * error && error < 0.03, "{method}: {mean:.4} ± {error:.4}");
    }
}

/// The trained machine that ships with the repository: weights far from random, and slow to mix.
#[test]
fn annealing_agrees_with_enumeration_on_a_trained_machine() {
    let file =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/models/mnist-rbm-20.safetensors");
    let model = lnz::io::read_model(&file, &lnz::io::ModelOptions::default()).unwrap().model;
    let exact = by_name("enumeration").unwrap().estimate(&model, &Settings::default(), &Silent).unwrap();
    assert!((exact.log_z - 150.855_858_091).abs() < 1e-6, "{}", exact.log_z);
    let settings = Settings { chains: Some(256), rungs: Some(20_000), max_time: 1e9, ..Settings::default() };
    let annealed = by_name("ais").unwrap().estimate(&model, &settings, &Silent).unwrap();
    let (error, std_err) = (annealed.log_z - exact.log_z, annealed.std_err.unwrap());
    assert!(error.abs() < 4.5 * std_err && std_err < 0.3, "{error:.3} ± {std_err:.3}");
}
