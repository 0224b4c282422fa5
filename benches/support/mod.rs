//! What every benchmark shares: contestants that run in turn, so that the machine's mood cancels in their ratio.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "each benchmark uses its own part")]

use std::hint::black_box;
use std::time::Instant;

use lnz::paths::{Move, Population};
use ndarray::Array2;

/// Runs the contestants in turn, `rounds` times; the shortest time of each in seconds.
pub fn race<const N: usize>(rounds: usize, mut contestants: [&mut dyn FnMut(); N]) -> [f64; N] {
    let mut best = [f64::INFINITY; N];
    for _ in 0..rounds {
        for (contestant, best) in contestants.iter_mut().zip(&mut best) {
            let begin = Instant::now();
            contestant();
            *best = best.min(begin.elapsed().as_secs_f64());
        }
    }
    best
}

/// Runs `work` with so many threads.
pub fn on_threads<R: Send>(threads: usize, work: impl FnOnce() -> R + Send) -> R {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(work)
}

/// `rungs` rungs of annealing, as estimators do it: a log-ratio and a step each.
pub fn anneal(population: &mut Population, rungs: usize) {
    let mut out = Array2::zeros((population.chains(), 1));
    population.map_blocks(&mut out, |block, mut rows| {
        let out = rows.as_slice_mut().unwrap();
        for k in 0..rungs {
            let (from, to) = (k as f64 / rungs as f64, (k + 1) as f64 / rungs as f64);
            block.log_ratio(from, to, out);
            block.step(to, Move::Forward);
        }
    });
    black_box(&out);
}
