//! What resampling and exchanges cost: chain-steps a second of annealing, of the same with resampling (SMC), and of tempering:
//! `cargo bench --bench walks`.
//!
//! The contestants of each row run in turn on the same threads, and the best of each counts. Tempering keeps states as seldom as its
//! estimator does on ladders of this length, once in half as many rounds as there are rungs.

#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]

mod support;

use std::sync::Arc;

use lnz::estimators::Silent;
use lnz::estimators::annealing::{Resampling, forward};
use lnz::estimators::tempering::{Length, Observables, Start, ladder};
use lnz::io::{ModelOptions, read_model};
use lnz::math::Stream;
use lnz::models::{Ising, Lattice, Model};
use lnz::paths::{self, Move, Path, Population, Schedule};

const REPEATS: usize = 5;
const SYSTEMS: usize = 64;

fn main() {
    println!("thousand chain-steps a second, and shares of annealing's");
    println!(
        "{:>14} {:>7} {:>8} {:>6} {:>10} {:>10} {:>7} {:>10} {:>7}",
        "model", "chains", "threads", "rungs", "annealing", "smc", "", "tempering", ""
    );
    let machine =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/models/mnist-rbm-500.safetensors");
    let rbm = read_model(&machine, &ModelOptions::default()).unwrap().model;
    let torus = |side| Lattice::Torus { rows: side, columns: side };
    let ising = |side| -> Arc<dyn Model> { Arc::new(Ising::new(torus(side), 0.44, 0.0).unwrap()) };
    for (name, model, rungs) in
        [("RBM 784x500", rbm, 40), ("Ising 16x16", ising(16), 12), ("Ising 64x64", ising(64), 40)]
    {
        let path = paths::for_model(&model, None).unwrap();
        for threads in [1, 2] {
            let [annealing, smc, tempering] = support::on_threads(threads, || compare(path.as_ref(), rungs));
            println!(
                "{name:>14} {:>7} {threads:>8} {rungs:>6} {annealing:>10.1} {smc:>10.1} {:>6.0}% {tempering:>10.1} {:>6.0}%",
                SYSTEMS,
                100.0 * smc / annealing,
                100.0 * tempering / annealing
            );
        }
    }
}

/// Thousand chain-steps a second of the three.
fn compare(path: &dyn Path, rungs: usize) -> [f64; 3] {
    let schedule = Schedule::linear(rungs);
    let rounds = 2 * rungs;
    let population = || Population::from_reference(path, SYSTEMS, Stream::new(1));
    let walk = |below: Option<f64>| {
        let stream = Stream::new(2);
        let resampling = below.map(|below| Resampling { below, stream });
        for _ in 0..rounds {
            forward(population(), &schedule, Move::Forward, resampling, &Silent).unwrap();
        }
    };
    let length = Length { burn_in: 0, rounds, every: (rungs / 2).max(1) };
    let start = Start { schedule: &schedule, systems: SYSTEMS, before: None, stream: Stream::new(3) };
    let seconds = support::race(
        REPEATS,
        [&mut || walk(None), &mut || walk(Some(0.5)), &mut || {
            ladder::run(path, start, length, Observables::NONE, &Silent).unwrap();
        }],
    );
    let steps = (SYSTEMS * rungs * rounds) as f64 / 1e3;
    // A ladder has a chain on its lowest rung, too, and settles every rung by ten steps before the first round.
    let on_ladder = steps * (rungs + 1) as f64 / rungs as f64 + (SYSTEMS * rungs * 10) as f64 / 1e3;
    [steps / seconds[0], steps / seconds[1], on_ladder / seconds[2]]
}
