//! What every benchmark shares: contestants that run in turn, so that the machine's mood cancels in their ratio.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "each benchmark uses its own part")]

use std::time::Instant;

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
