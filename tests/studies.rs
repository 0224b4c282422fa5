//! Comparison and verification find what is wrong when something is.

#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::Arc;

use lnz::error::Result;
use lnz::estimators::ais::Ais;
use lnz::estimators::{Estimate, Estimator, Guarantee, Monitor, Settings, Silent, by_name};
use lnz::models::{Model, builtin};
use lnz::studies::{Contest, SignFlipped, compare, verify};

/// Annealing that is allowed a sixteenth of its budget, in two chains.
#[derive(Debug)]
struct Crippled;

impl Estimator for Crippled {
    fn name(&self) -> &'static str {
        "crippled"
    }

    fn summary(&self) -> &'static str {
        "annealing with its hands tied"
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee::UnbiasedZ
    }

    fn run(&self, model: &Arc<dyn Model>, settings: &Settings, monitor: &dyn Monitor) -> Result<Estimate> {
        Ais.estimate(model, &Settings { chains: Some(2), rungs: Some(4), ..settings.clone() }, monitor)
    }
}

fn contest<'a>(methods: &'a [&'a dyn Estimator], budgets: &'a [u64]) -> Contest<'a> {
    Contest { methods, budgets, replicates: 8, settings: Settings::default(), known: None }
}

#[test]
fn a_crippled_estimator_comes_last() {
    let model = builtin::parse("ref:ising?side=4&coupling=0.4&field=0.1").unwrap();
    let methods: Vec<&dyn Estimator> = vec![
        &Crippled,
        by_name("ais").unwrap(),
        by_name("ti").unwrap(),
        by_name("reverse-ais").unwrap(),
        by_name("transfer-matrix").unwrap(),
    ];
    let found = compare(&model, &contest(&methods, &[200_000]), &Silent).unwrap();
    let order: Vec<&str> = found.standings.iter().map(|standing| standing.method.as_str()).collect();
    assert_eq!((order[0], order[4]), ("transfer-matrix", "crippled"), "{order:?}");
    let rms = |method: &str| {
        found.standings.iter().find(|s| s.method == method).unwrap().root_mean_square_error.unwrap()
    };
    assert!(rms("crippled") > 5.0 * rms("ais"), "{} {}", rms("crippled"), rms("ais"));
    assert_eq!(found.truth.unwrap().source, "transfer-matrix");
}

/// Equal cost means equal: what pilots and answer took, as the ensembles counted it, is within a fifth of the budget; and errors
/// fall with it.
#[test]
fn budgets_are_kept_and_buy_accuracy() {
    let model = builtin::parse("ref:ising?side=4&coupling=0.4&field=0.1").unwrap();
    let methods: Vec<&dyn Estimator> =
        ["ais", "ti", "reverse-ais", "sandwich", "importance"].map(|name| by_name(name).unwrap()).to_vec();
    let budgets = [1 << 18, 1 << 21];
    let found = compare(&model, &contest(&methods, &budgets), &Silent).unwrap();
    for standing in &found.standings {
        let share = standing.counts.sweeps as f64 / standing.budget;
        assert!((0.7..=1.2).contains(&share), "{} at {}: {share}", standing.method, standing.budget);
    }
    for method in ["ais", "reverse-ais", "sandwich"] {
        let rms: Vec<f64> = budgets
            .iter()
            .map(|&budget| {
                let of_it = found.standings.iter().find(|s| s.method == method && s.budget == budget as f64);
                of_it.unwrap().root_mean_square_error.unwrap()
            })
            .collect();
        // Eight times the work should buy a factor of 2.8; eight replicates know it to a third or so.
        assert!(rms[1] < 0.7 * rms[0], "{method}: {rms:?}");
    }
}

/// Estimators that contradict each other are named, with no truth needed.
#[test]
fn intervals_apart_are_a_conflict() {
    let model = builtin::parse("ref:rbm?visible=20&hidden=30&scale=0.5").unwrap();
    let methods: Vec<&dyn Estimator> = vec![by_name("ais").unwrap(), &SignFlipped];
    let found = compare(&model, &contest(&methods, &[400_000]), &Silent).unwrap();
    assert_eq!(found.conflicts.len(), 1, "{:?}", found.standings);
}

#[test]
fn verification_passes_and_catches_a_flipped_sign() {
    let methods: Vec<&dyn Estimator> = vec![
        by_name("closed-form").unwrap(),
        by_name("kaufman").unwrap(),
        by_name("transfer-matrix").unwrap(),
        by_name("enumeration").unwrap(),
        &SignFlipped,
    ];
    let found = verify(&methods[..4], None, &Silent).unwrap();
    let off: Vec<_> = found.checks.iter().filter(|check| !check.passes).collect();
    assert!(found.passes(), "{off:?} {:?}", found.honesty);
    assert!(found.checks.len() >= 12, "{}", found.checks.len());
    let found = verify(&methods[4..], None, &Silent).unwrap();
    assert!(!found.passes());
    assert!(found.checks.iter().filter(|check| check.method == "sign-flipped" && !check.passes).count() >= 3);
}
