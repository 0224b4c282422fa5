//! MBAR, as pymbar is asked for it: log Z of all states and their asymptotic covariance, from energies in memory:
//! `cargo bench --bench mbar`. `benches/peers/mbar.py` is the same work there.

#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]

mod support;

use std::hint::black_box;

use lnz::estimators::mbar::{Mbar, Reduced};
use lnz::math::Stream;
use ndarray::Array2;
use rand::RngExt;
use rand_distr::StandardNormal;

const ROUNDS: usize = 10;

fn main() {
    println!("MBAR with its covariance: seconds, and Newton steps");
    println!("{:>7} {:>9} {:>8} {:>9} {:>6}", "states", "samples", "threads", "seconds", "steps");
    for (states, each) in [(50, 2000), (200, 1000)] {
        let (energies, counts) = oscillators(states, each);
        for threads in [1, 2] {
            let (seconds, steps) = support::on_threads(threads, || {
                let mut steps = 0;
                let [seconds] = support::race(
                    ROUNDS,
                    [&mut || {
                        let solved = Mbar::solve(Reduced::new(energies.view(), &counts).unwrap()).unwrap();
                        black_box(solved.covariance());
                        steps = solved.steps;
                    }],
                );
                (seconds, steps)
            });
            println!("{states:>7} {:>9} {threads:>8} {seconds:>9.3} {steps:>6}", states * each);
        }
    }
}

/// Oscillators u_k(x) = K_k (x − O_k)²/2 with K from 1 to 9 and O from 0 to 4 along the states, and `each` draws from each.
fn oscillators(states: usize, each: usize) -> (Array2<f64>, Vec<usize>) {
    let along = |k: usize| k as f64 / (states - 1) as f64;
    let spring = |k: usize| 9f64.powf(along(k));
    let centre = |k: usize| 4.0 * along(k);
    let mut generator = Stream::new(1).generator();
    let draws: Vec<f64> = (0..states * each)
        .map(|n| {
            let noise: f64 = generator.sample(StandardNormal);
            centre(n / each) + noise / spring(n / each).sqrt()
        })
        .collect();
    let energies = Array2::from_shape_fn((states, states * each), |(k, n)| {
        0.5 * spring(k) * (draws[n] - centre(k)).powi(2)
    });
    (energies, vec![each; states])
}
