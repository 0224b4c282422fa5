//! Hamiltonian steps against the energy and gradient calls that they make: `cargo bench --bench hmc`.
//!
//! Both sides of each row run in turn on the same threads and batches of states, and are compared by their seconds per call of a
//! batch, because a step draws how many calls it makes. The best of many rounds counts on either side.

#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]

mod support;

use std::hint::black_box;
use std::sync::Arc;

use lnz::math::Stream;
use lnz::models::{Gaussian, Mixture, Model};
use lnz::paths::geometric::GeometricPath;
use lnz::paths::{BLOCK, Move, Population};
use ndarray::{Array2, Array3, Axis, array};

use rayon::prelude::*;

const ROUNDS: usize = 40;
/// Kernel steps in a round.
const STEPS: usize = 100;

fn main() {
    println!(
        "HMC: microseconds for a batch of {BLOCK} states, by the model's calls alone and in steps of the kernel"
    );
    println!(
        "{:<22} {:>7} {:>8} {:>10} {:>10} {:>9} {:>7}",
        "model", "chains", "threads", "calls", "steps", "overhead", "target"
    );
    let cases: [(&str, Arc<dyn Model>, f64); 2] = [
        ("Gaussian, 100-d", Arc::new(Gaussian::random(100, 1).unwrap()), 0.15),
        ("mixture of 4, 2-d", Arc::new(mixture()), 0.5),
    ];
    for (name, model, target) in cases {
        for chains in [64, 512] {
            for threads in [1, 2] {
                if chains == BLOCK && threads > 1 {
                    continue;
                }
                let [calls, steps] = support::on_threads(threads, || compare(&model, chains));
                println!(
                    "{name:<22} {chains:>7} {threads:>8} {:>10.2} {:>10.2} {:>8.1}% {:>6.0}%",
                    calls * 1e6,
                    steps * 1e6,
                    100.0 * (steps / calls - 1.0),
                    100.0 * target
                );
            }
        }
    }
}

fn mixture() -> Mixture {
    let means = array![[0.0, 0.0], [3.0, 1.0], [-2.0, 2.5], [1.0, -3.0]];
    let covariances =
        Array3::from_shape_fn((4, 2, 2), |(k, i, j)| if i == j { 0.4 + 0.2 * k as f64 } else { 0.1 });
    Mixture::new(array![1.0, 2.0, 0.5, 1.5], means, covariances).unwrap()
}

/// Seconds for one call on each batch: the calls alone, and with the kernel around them.
fn compare(model: &Arc<dyn Model>, chains: usize) -> [f64; 2] {
    // Steps of half a spread are then accepted as often as tuned ones.
    let path = GeometricPath::new(Arc::clone(model), None)
        .with_reference(vec![0.0; model.space().dim], vec![0.3; model.space().dim]);
    let mut population = Population::from_reference(&path, chains, Stream::new(1));
    let states = population.states();
    let batches: Vec<Array2<f64>> =
        states.axis_chunks_iter(Axis(0), BLOCK).map(|rows| rows.to_owned()).collect();
    let calls = STEPS * 11 / 2;
    let mut best = [f64::INFINITY; 2];
    for _ in 0..ROUNDS {
        let before = population.counts().gradient_evaluations;
        let [bare, kernel] = support::race(
            1,
            [
                &mut || {
                    batches.par_iter().for_each(|batch| {
                        for _ in 0..calls {
                            black_box(model.gradient().unwrap().energy_and_gradient(batch.view()));
                        }
                    });
                },
                &mut || {
                    for k in 0..STEPS {
                        population.step(k as f64 / STEPS as f64, Move::Forward);
                    }
                },
            ],
        );
        let made = (population.counts().gradient_evaluations - before) as f64 / chains as f64;
        best = [best[0].min(bare / calls as f64), best[1].min(kernel / made)];
    }
    best.map(|seconds| seconds * BLOCK as f64 / chains as f64)
}
