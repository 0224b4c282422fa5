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
use lnz::estimators::ladder::{self, Length, Observables, Start};
use lnz::io::{ModelOptions, read_model};
use lnz::math::Stream;
use lnz::models::{Ising, Lattice, Model};
use lnz::paths::{self, Move, Path, Population, Schedule};

const REPEATS: usize = 3;
const SYSTEMS: usize = 64;

fn main() {
    println!("thousand chain-steps a second, and shares of annealing's");
    println!(
        "{:>14} {:>7} {:>8} {:>10} {:>10} {:>7} {:>10} {:>7}",
        "model", "chains", "threads", "annealing", "smc", "", "tempering", ""
    );
    let machine =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/models/mnist-rbm-500.safetensors");
    let rbm = read_model(&machine, &ModelOptions::default()).unwrap().model;
    let torus = |side| Lattice::Torus { rows: side, columns: side };
    let ising = |side| -> Arc<dyn Model> { Arc::new(Ising::new(torus(side), 0.44, 0.0).unwrap()) };
    // Rungs of a walk and of a ladder as pilots choose them.
    for (name, model, walk, rungs) in [
        ("RBM 784x500", rbm, 1500, 40),
        ("Ising 16x16", ising(16), 256, 12),
        ("Ising 64x64", ising(64), 1500, 40),
    ] {
        let path = paths::for_model(&model, None).unwrap();
        for threads in [1, 2] {
            let [annealing, smc, tempering] =
                support::on_threads(threads, || compare(path.as_ref(), walk, rungs));
            println!(
                "{name:>14} {SYSTEMS:>7} {threads:>8} {annealing:>10.1} {smc:>10.1} {:>6.0}% {tempering:>10.1} {:>6.0}%",
                100.0 * smc / annealing,
                100.0 * tempering / annealing
            );
        }
    }
}

/// Thousand chain-steps a second of the three, the walks of `walk` rungs and the ladder of `rungs`.
fn compare(path: &dyn Path, walk: usize, rungs: usize) -> [f64; 3] {
    let walks = Schedule::linear(walk);
    let rungs_of_ladder = Schedule::linear(rungs);
    // Long against the start, as a run is.
    let rounds = 10 * rungs;
    let anneal = |resampling: Option<Resampling>| {
        let population = Population::from_reference(path, SYSTEMS, Stream::new(1));
        forward(population, &walks, Move::Forward, resampling, &Silent).unwrap();
    };
    let length = Length { burn_in: 0, rounds, every: (rungs / 2).max(1) };
    let start = Start { schedule: &rungs_of_ladder, systems: SYSTEMS, before: None, stream: Stream::new(3) };
    let seconds = support::race(
        REPEATS,
        [&mut || anneal(None), &mut || anneal(Some(Resampling::at_half(Stream::new(2)))), &mut || {
            ladder::run(path, start, length, Observables::NONE, &Silent).unwrap();
        }],
    );
    let steps = (SYSTEMS * walk) as f64 / 1e3;
    // A ladder has a chain on its lowest rung, too, and settles every rung by ten steps before the first round.
    let on_ladder = (SYSTEMS * ((rungs + 1) * rounds + rungs * 10)) as f64 / 1e3;
    [steps / seconds[0], steps / seconds[1], on_ladder / seconds[2]]
}
