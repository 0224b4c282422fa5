//! Walks between two models against the difference of their exact log Z: 24 fixed seeds on each pair, |mean error| below 4.5 of its
//! standard errors (two-sided α = 7e-6; with the spreads seen here that is a bias of one claimed standard error), and z-scores as
//! wide as error bars say.

#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::Arc;

use lnz::estimators::between::{Starts, between, rungs_needed};
use lnz::estimators::{Guarantee, Settings, Silent, quickest_exact};
use lnz::math::statistics;
use lnz::models::{Model, builtin};
use lnz::sampling;
use ndarray::Array2;

const SEEDS: u64 = 24;

fn model(spec: &str) -> Arc<dyn Model> {
    builtin::parse(spec).unwrap()
}

fn exact(model: &Arc<dyn Model>) -> f64 {
    quickest_exact(model).unwrap().0.estimate(model, &Settings::default(), &Silent).unwrap().log_z
}

#[test]
fn differences_are_right_and_their_errors_are_honest() {
    for (one, other, exact_starts, most) in [
        // Machines of different numbers of hidden units.
        ("ref:rbm?visible=12&hidden=6", "ref:rbm?visible=12&hidden=8&scale=0.5&seed=2", true, 0.05),
        (
            "ref:boltzmann?dim=12&units=spins",
            "ref:boltzmann?dim=12&units=spins&coupling=1.5&seed=3",
            true,
            0.1,
        ),
        ("ref:potts?side=3&field=0.2", "ref:potts?side=3&coupling=0.7", true, 0.1),
        // Another family each, so that what lies between is of none.
        ("ref:ising?side=3&field=0.2", "ref:spin-glass?side=3&coupling=0.4", true, 0.1),
        // Too large for exact draws, so starts are annealed.
        (
            "ref:ising?side=6&coupling=0.3&field=0.05",
            "ref:ising?side=6&coupling=0.35&field=-0.05",
            false,
            0.05,
        ),
    ] {
        let (from, to) = (model(one), model(other));
        let truth = exact(&to) - exact(&from);
        let (mut errors, mut scores) = (Vec::new(), Vec::new());
        for seed in 0..SEEDS {
            let settings = Settings { seed, ..Settings::default() };
            let draws = sampling::draw(&from, 640, &settings, &Silent).unwrap();
            assert_eq!(draws.exact, exact_starts, "{one}");
            let starts = Starts { states: draws.states.view(), exact: draws.exact };
            let found = between(&from, &to, starts, &settings, &Silent).unwrap();
            assert_eq!(found.guarantee == Guarantee::Consistent, exact_starts, "{one}");
            errors.push(found.log_z - truth);
            scores.push((found.log_z - truth) / found.std_err.unwrap());
        }
        let (mean, error) = (statistics::mean(&errors), statistics::std_err(&errors));
        let spread = statistics::variance(&scores).sqrt();
        assert!(mean.abs() < 4.5 * error, "{one} to {other}: {mean} ± {error}");
        assert!(error * (SEEDS as f64).sqrt() < most, "{one} to {other}: errors spread by {error}");
        assert!((0.6..1.6).contains(&spread), "{one} to {other}: z-scores spread by {spread}");
    }
}

/// Of models without overlap the two ways disagree or have no weights, and the verdict says so.
#[test]
fn models_that_are_far_apart_are_not_converged() {
    let (from, to) =
        (model("ref:memory?visible=30&hidden=4"), model("ref:memory?visible=30&hidden=4&seed=2"));
    let settings = Settings { rungs: Some(16), ..Settings::default() };
    let draws = sampling::draw(&from, 256, &settings, &Silent).unwrap();
    let starts = Starts { states: draws.states.view(), exact: true };
    let found = between(&from, &to, starts, &settings, &Silent).unwrap();
    assert!(!found.verdict.is_converged(), "{} ± {:?}", found.log_z, found.std_err);
    let truth = exact(&to) - exact(&from);
    assert!((found.log_z - truth).abs() > 1.0, "this is to be a hard pair");
}

#[test]
fn what_cannot_be_walked_says_so() {
    let walk = |one: &str, other: &str, starts: Array2<f64>| {
        let starts = Starts { states: starts.view(), exact: true };
        between(&model(one), &model(other), starts, &Settings::default(), &Silent).unwrap_err().to_string()
    };
    assert!(walk("ref:rbm?visible=4", "ref:rbm?visible=5", Array2::zeros((20, 4))).contains("spaces"));
    assert!(
        walk("ref:gaussian?dim=2", "ref:gaussian?dim=2&seed=2", Array2::zeros((20, 2))).contains("finite")
    );
    assert!(walk("ref:ising?side=3", "ref:ising?side=3&field=1", Array2::zeros((20, 9))).contains("row 0"));
    assert!(walk("ref:rbm?visible=4", "ref:rbm?visible=4&seed=2", Array2::zeros((2, 4))).contains("starts"));
}

#[test]
fn likeness_is_told_from_states() {
    let [one, near, far] = ["0.30", "0.31", "0.6"].map(|j| model(&format!("ref:ising?side=6&coupling={j}")));
    let states = sampling::draw(&one, 512, &Settings::default(), &Silent).unwrap().states;
    assert!(rungs_needed(&one, &near, states.view()) < 1.0);
    assert!(rungs_needed(&one, &far, states.view()) > 30.0);
}
