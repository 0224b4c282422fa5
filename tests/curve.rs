//! Curves over temperature against exact ones: on a lattice in a field, on a machine with hidden units, and on real numbers, whose
//! reference is not a temperature. Of 24 fixed seeds and each quantity at each temperature, the mean error is below 4.5 of its
//! standard errors (two-sided α = 7e-6; a bias of one claimed standard error would be at 4.9), and z-scores are as wide as error
//! bars say, which catches errors that leave out how weights depend on log Z of the rungs.

#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::Arc;

use lnz::estimators::curve::{Curve, Point, Quantity, exact, exact_seconds, tempered};
use lnz::estimators::{Settings, Silent};
use lnz::math::{log_sum_exp, statistics};
use lnz::models::{Model, builtin};
use ndarray::{Array2, Axis};

const SEEDS: u64 = 24;
const NAMES: [&str; 4] = ["log Z", "mean energy", "heat capacity", "entropy"];

fn quantities(point: &Point) -> [Quantity; 4] {
    [point.log_z, point.mean_energy, point.heat_capacity, point.entropy]
}

/// Means and standard deviations of z over seeds, for each quantity at each temperature.
fn scores(model: &Arc<dyn Model>, temperatures: &[f64]) -> Vec<(String, f64, f64)> {
    let truth = exact(model, temperatures, &Silent).unwrap();
    let curves: Vec<Curve> = (0..SEEDS)
        .map(|seed| {
            let settings = Settings { seed, ..Settings::default() };
            tempered(model, temperatures, &settings, &Silent).unwrap()
        })
        .collect();
    let mut found = Vec::new();
    for (k, temperature) in temperatures.iter().enumerate() {
        for (which, name) in NAMES.iter().enumerate() {
            let right = quantities(&truth.points[k])[which].value;
            let z: Vec<f64> = curves
                .iter()
                .map(|curve| {
                    let Quantity { value, std_err } = quantities(&curve.points[k])[which];
                    (value - right) / std_err.unwrap()
                })
                .collect();
            let spread = statistics::variance(&z).sqrt();
            found.push((format!("{name} at {temperature}"), statistics::mean(&z), spread));
        }
    }
    found
}

#[test]
fn curves_are_right_and_their_errors_are_honest() {
    for (spec, temperatures) in [
        ("ref:ising?side=4&coupling=0.4&field=0.1", [0.6, 1.0, 3.0]),
        ("ref:rbm?visible=12&hidden=8&scale=0.6", [0.5, 1.0, 4.0]),
        ("ref:potts?side=3&field=0.3", [1.5, 0.8, 2.5]),
        ("ref:gaussian?dim=3", [0.5, 1.0, 2.0]),
    ] {
        let model = builtin::parse(spec).unwrap();
        for (name, mean, spread) in scores(&model, &temperatures) {
            let off = mean.abs() * (SEEDS as f64).sqrt() / spread;
            assert!(off < 4.5, "{spec}: {name} is {off:.1} standard errors off");
            // A right spread of one lies outside of this once in 3,000 cells.
            assert!((0.55..1.6).contains(&spread), "{spec}: {name} has z-scores of spread {spread:.2}");
        }
    }
}

#[test]
fn exact_curves_are_the_moments_of_all_states() {
    let model = builtin::parse("ref:ising?side=3&coupling=0.4&field=0.2").unwrap();
    let states =
        Array2::from_shape_fn((512, 9), |(row, site)| f64::from((row >> site & 1) as u8) * 2.0 - 1.0);
    let energies = model.energy(states.view());
    let temperatures = [0.3, 1.0, 2.7];
    let curve = exact(&model, &temperatures, &Silent).unwrap();
    for (point, temperature) in curve.points.iter().zip(temperatures) {
        let terms = (&energies / -temperature).to_vec();
        let log_z = log_sum_exp(&terms);
        let weights = ndarray::Array1::from(terms).mapv(|term| (term - log_z).exp());
        let mean = weights.dot(&energies);
        let variance = weights.dot(&energies.mapv(|energy| (energy - mean).powi(2)));
        let right = [log_z, mean, variance / (temperature * temperature), log_z + mean / temperature];
        for ((found, right), name) in quantities(point).iter().zip(right).zip(NAMES) {
            let off = (found.value - right).abs();
            assert!(off < 1e-6 * (1.0 + right.abs()), "{name} at {temperature}: {} but {right}", found.value);
        }
    }
}

#[test]
fn hidden_units_are_summed_out_after_division() {
    let model = builtin::parse("ref:gaussian-rbm?visible=3&hidden=4").unwrap();
    let states = Array2::from_shape_fn((5, 3), |(row, i)| 0.7 * row as f64 - 0.4 * i as f64);
    let hidden = model.hidden_units().unwrap();
    let (visible, activations) = hidden.activations(states.view());
    for temperature in [0.5, 1.0, 3.0] {
        let softplus = activations.mapv(|a| (a / temperature).exp().ln_1p()).sum_axis(Axis(1));
        let energies = Arc::clone(&model).at_temperature(temperature).energy(states.view());
        for (found, right) in (&visible / temperature - softplus).iter().zip(&energies) {
            assert!((found - right).abs() < 1e-9 * (1.0 + right.abs()), "{found} but {right}");
        }
    }
    assert!(builtin::parse("ref:ising").unwrap().hidden_units().is_none());
}

#[test]
fn what_cannot_be_exact_says_so() {
    let model = builtin::parse("ref:many-well?dim=4").unwrap();
    assert_eq!(exact_seconds(&model, &[1.0, 2.0]).unwrap(), None);
    assert!(exact(&model, &[2.0], &Silent).unwrap_err().to_string().contains("temperature 2"));
    assert!(exact(&model, &[], &Silent).unwrap_err().to_string().contains("at least one"));
    assert!(tempered(&model, &[1.0, -2.0], &Settings::default(), &Silent).is_err());
}
