//! Energies of your own, given as closures with and without their gradient: log Z by annealing against quadrature or a formula.
//!
//! A gradient is not needed. With one, chains move by Hamiltonian Monte Carlo instead of a random walk, and in ten dimensions the same
//! number of energies gives evidence that is precise enough to call the answer converged.
//!
//! `cargo run --release --example custom_energy`

#![allow(clippy::print_stdout, reason = "a program that reports to a person")]

use std::f64::consts::PI;
use std::sync::Arc;

use lnz::estimators::{Settings, Silent, Verdict, by_name};
use lnz::models::{Domain, FunctionModel, Model, Space};
use lnz::paths;
use ndarray::{Array1, ArrayView1, array};

/// Standard deviations along the banana's long and short axis, and its bend.
const LONG: f64 = 1.5;
const SHORT: f64 = 0.5;
const BEND: f64 = 0.3;

fn main() -> lnz::Result<()> {
    // No formula: the reference value is an integral over the plane.
    let ring = real(2, |x| 8.0 * (x[0].hypot(x[1]) - 1.5).powi(2));
    let ring_with_gradient = ring.clone().with_gradient(|x| {
        let radius = x[0].hypot(x[1]).max(1e-300);
        &x * (16.0 * (radius - 1.5) / radius)
    });
    let ring_log_z = by_quadrature(&ring)?;

    // Five bent valleys side by side. Bending shears the plane and keeps its area, so Z is that of ten independent normals.
    let banana = real(10, banana_energy);
    let banana_with_gradient = banana.clone().with_gradient(banana_gradient);
    let banana_log_z = 5.0 * (2.0 * PI * LONG * SHORT).ln();

    // 2¹⁰ modes, of unequal weight. Coordinates are independent, so log Z is ten times that of one.
    let wells = real(10, |x| x.iter().map(|x| well(*x)).sum());
    let wells_with_gradient = wells.clone().with_gradient(|x| x.mapv(|x| 8.0 * x * (x * x - 1.0) + 0.5));
    let wells_log_z = 10.0 * by_quadrature(&real(1, |x| well(x[0])))?;

    println!(
        "{:<13} {:<20} {:>9}   {:>17} {:>7} {:>10} {:>10}  verdict",
        "energy", "kernel", "known", "annealed", "z", "energies", "gradients"
    );
    for (name, log_z, models) in [
        ("ring, 2-d", ring_log_z, [ring, ring_with_gradient]),
        ("banana, 10-d", banana_log_z, [banana, banana_with_gradient]),
        ("wells, 10-d", wells_log_z, [wells, wells_with_gradient]),
    ] {
        for model in models {
            row(name, log_z, model)?;
        }
    }
    Ok(())
}

fn row(name: &str, known: f64, model: FunctionModel) -> lnz::Result<()> {
    let model: Arc<dyn Model> = Arc::new(model);
    // A step of HMC takes 5.5 gradients on average: a random walk may make more steps for the same work.
    let budget = if model.gradient().is_some() { 1 << 18 } else { 5 << 18 };
    let settings = Settings { budget: Some(budget), ..Settings::default() };
    let estimate = by_name("ais")?.estimate(&model, &settings, &Silent)?;
    let error = estimate.std_err.expect("annealing has a standard error");
    let counts = estimate.cost.counts;
    println!(
        "{name:<13} {:<20} {known:>9.4}   {:>8.4} ± {error:.4} {:>+7.1} {:>10} {:>10}  {}",
        paths::for_model(&model, None)?.kernel(),
        estimate.log_z,
        (estimate.log_z - known) / error,
        counts.energy_evaluations,
        counts.gradient_evaluations,
        if estimate.verdict.is_converged() { "converged" } else { "not converged" }
    );
    if let Verdict::NotConverged { reasons } = &estimate.verdict {
        for reason in reasons {
            println!("    {reason}");
        }
    }
    Ok(())
}

fn real(dim: usize, energy: impl Fn(ArrayView1<'_, f64>) -> f64 + Send + Sync + 'static) -> FunctionModel {
    FunctionModel::new(Space::new(dim, Domain::Real), energy)
}

fn by_quadrature(model: &FunctionModel) -> lnz::Result<f64> {
    let model: Arc<dyn Model> = Arc::new(model.clone());
    Ok(by_name("quadrature")?.estimate(&model, &Settings::default(), &Silent)?.log_z)
}

fn well(x: f64) -> f64 {
    2.0 * (x * x - 1.0).powi(2) + 0.5 * x
}

/// ½ Σ (u/LONG)² + ((v − BEND (u² − LONG²))/SHORT)² over pairs (u, v) of coordinates.
fn banana_energy(x: ArrayView1<'_, f64>) -> f64 {
    let pairs = x.exact_chunks(2).into_iter();
    pairs.map(|p| 0.5 * ((p[0] / LONG).powi(2) + (off_the_valley(p) / SHORT).powi(2))).sum()
}

fn banana_gradient(x: ArrayView1<'_, f64>) -> Array1<f64> {
    let slope = |p: ArrayView1<'_, f64>| {
        let across = off_the_valley(p) / SHORT.powi(2);
        array![p[0] / LONG.powi(2) - 2.0 * BEND * p[0] * across, across]
    };
    x.exact_chunks(2).into_iter().flat_map(slope).collect()
}

fn off_the_valley(p: ArrayView1<'_, f64>) -> f64 {
    p[1] - BEND * (p[0] * p[0] - LONG * LONG)
}
