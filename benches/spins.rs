//! Annealing of spins, bits and categories on their own paths: `cargo bench --bench spins`.
//!
//! Rungs as annealing does them, a log-ratio and a sweep each, from blocks drawn from the reference; the best of several rounds.

#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]

mod support;

use std::sync::Arc;

use lnz::math::Stream;
use lnz::models::{Boltzmann, Ising, Lattice, Model, Potts, Units};
use lnz::paths::{self, BLOCK, Population};
use ndarray::{Array1, Array2, array};

/// Short rounds, and many: other work on the machine interrupts few of them.
const REPEATS: usize = 100;
const RUNGS: usize = 8;

fn main() {
    println!(
        "{:>26} {:>7} {:>8} {:>34}",
        "model", "chains", "threads", "million site updates a second, core"
    );
    for (name, model) in models() {
        for threads in [1, 2] {
            let rate = support::on_threads(threads, || rate(&model, BLOCK * threads)) / threads as f64;
            println!("{name:>26} {:>7} {threads:>8} {:>34.1}", BLOCK * threads, rate / 1e6);
        }
    }
}

fn models() -> Vec<(&'static str, Arc<dyn Model>)> {
    let torus = |side| Lattice::Torus { rows: side, columns: side };
    let ising = |side| Arc::new(Ising::new(torus(side), 0.44, 0.0).unwrap());
    vec![
        ("Ising 64x64", ising(64)),
        ("Ising 256x256", ising(256)),
        ("Ising 63x63", ising(63)),
        ("Boltzmann, dense, d = 100", Arc::new(dense_boltzmann(100))),
        ("Boltzmann 16x16x16", Arc::new(periodic_boltzmann(&[16, 16, 16]))),
        ("Boltzmann 100x100", Arc::new(periodic_boltzmann(&[100, 100]))),
        ("Potts 64x64, q = 3", Arc::new(Potts::on_lattice(torus(64), 1.0, array![0.1, 0.0, 0.0]).unwrap())),
        ("Potts, dense, d = 100, q = 5", Arc::new(dense_potts(100, 5))),
    ]
}

fn dense(dim: usize) -> Array2<f64> {
    let scale = 1.3 / (dim as f64).sqrt();
    Array2::from_shape_fn(
        (dim, dim),
        |(i, j)| {
            if i == j { 0.0 } else { scale * ((i * j + i + j) as f64 * 1.7).sin() }
        },
    )
}

fn dense_boltzmann(dim: usize) -> Boltzmann {
    let fields = Array1::from_shape_fn(dim, |i| 0.3 * (i as f64).cos());
    Boltzmann::new(dense(dim), fields, Units::Bits).unwrap()
}

fn dense_potts(dim: usize, states: usize) -> Potts {
    let fields = Array2::from_shape_fn((dim, states), |(i, s)| 0.3 * ((i * states + s) as f64).cos());
    Potts::new(dense(dim), fields).unwrap()
}

/// Spins on a lattice that wraps in each dimension.
fn periodic_boltzmann(sides: &[usize]) -> Boltzmann {
    let dim = sides.iter().product();
    let mut couplings = Array2::zeros((dim, dim));
    let mut stride = 1;
    for side in sides {
        for i in 0..dim {
            let next = if i / stride % side + 1 == *side { i + stride - stride * side } else { i + stride };
            couplings[(i, next)] = 0.3;
            couplings[(next, i)] = 0.3;
        }
        stride *= side;
    }
    Boltzmann::new(couplings, Array1::zeros(dim), Units::Spins).unwrap()
}

/// Site updates a second.
fn rate(model: &Arc<dyn Model>, chains: usize) -> f64 {
    let path = paths::for_model(model, None).unwrap();
    let mut population = Population::from_reference(path.as_ref(), chains, Stream::new(1));
    let [seconds] = support::race(REPEATS, [&mut || support::anneal(&mut population, RUNGS)]);
    (RUNGS * chains * model.space().dim) as f64 / seconds
}
