//! RBM annealing against its matrix products alone: `cargo bench --bench rbm`.
//!
//! Both sides of each row run in turn, several times, on the same threads, and the best of each is compared: the machine's mood
//! cancels. A step of the path is two products, two vector draws, a pair of softplus sums and one log-ratio.

#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]

mod support;

use std::hint::black_box;
use std::sync::Arc;

use lnz::math::{Stream, products, simd};
use lnz::models::{Rbm, Units};
use lnz::paths::rbm::RbmPath;
use lnz::paths::{BLOCK, Move, Population};
use ndarray::{Array1, Array2};
use rayon::prelude::*;

const REPEATS: usize = 7;

fn main() {
    println!(
        "RBM annealing: thousand chain-steps a second, and the share of what its two products alone reach"
    );
    println!(
        "{:>12} {:>7} {:>8} {:>10} {:>10} {:>7}",
        "shape", "chains", "threads", "products", "annealing", "share"
    );
    for (visible, hidden) in [(784, 500), (4096, 2048)] {
        for chains in [64, 256, 1000] {
            for threads in [1, 2] {
                let (products, annealing) = support::on_threads(threads, || compare(visible, hidden, chains));
                println!(
                    "{:>12} {chains:>7} {threads:>8} {:>10.1} {:>10.1} {:>6.0}%",
                    format!("{visible}x{hidden}"),
                    products / 1e3,
                    annealing / 1e3,
                    100.0 * annealing / products
                );
            }
        }
    }
    kernels();
}

/// Chain-steps a second of the bare products, and of annealing.
fn compare(visible: usize, hidden: usize, chains: usize) -> (f64, f64) {
    let weights = Array2::from_shape_fn((visible, hidden), |(i, j)| 0.1 * ((i * 31 + j * 17) as f64).sin());
    let rbm = Rbm::new(weights.clone(), Array1::zeros(visible), Array1::zeros(hidden), Units::Bits).unwrap();
    let path = RbmPath::bernoulli(Arc::new(rbm), None);
    let mut population = Population::from_reference(&path, chains, Stream::new(1));
    let weights = weights.mapv(|w| w as f32);
    let mut blocks: Vec<[Array2<f32>; 2]> = (0..chains.div_ceil(BLOCK))
        .map(|i| {
            let rows = BLOCK.min(chains - i * BLOCK);
            let bit = |(n, i): (usize, usize)| ((n * 7 + i * 13) % 3 == 0) as u8 as f32;
            [Array2::from_shape_fn((rows, visible), bit), Array2::from_shape_fn((rows, hidden), bit)]
        })
        .collect();
    let steps = (200_000_000_000 / (4 * visible * hidden * chains) / 10).max(2);
    let mut out = Array2::zeros((chains, 1));
    let [products, annealing] = support::race(
        REPEATS,
        [
            &mut || {
                blocks.par_iter_mut().for_each(|[v, h]| {
                    let mut a = Array2::zeros(h.dim());
                    let mut b = Array2::zeros(v.dim());
                    for _ in 0..steps {
                        products::multiply(h.view(), weights.t(), b.view_mut());
                        products::multiply(v.view(), weights.view(), a.view_mut());
                    }
                    black_box((&a, &b));
                });
            },
            &mut || {
                population.map_blocks(&mut out, |block, mut rows| {
                    let out = rows.as_slice_mut().unwrap();
                    for k in 0..steps {
                        let (from, to) = (k as f64 / steps as f64, (k + 1) as f64 / steps as f64);
                        block.log_ratio(from, to, out);
                        block.step(to, Move::Forward);
                    }
                });
                black_box(&out);
            },
        ],
    );
    let total = (steps * chains) as f64;
    (total / products, total / annealing)
}

/// Nanoseconds an element of each vector kernel, on one thread.
fn kernels() {
    let activations: Vec<f32> = (0..32_000).map(|i| ((i * 37) % 200) as f32 * 0.1 - 10.0).collect();
    let mut bits = vec![0.0; activations.len()];
    let mut lanes = Stream::new(2).lanes();
    let time = |name: &str, kernel: &mut dyn FnMut()| {
        let [best] = support::race(200, [kernel]);
        println!("{name:<24} {:.2} ns an element", best * 1e9 / activations.len() as f64);
    };
    println!();
    time("sigmoid and draw", &mut || simd::draw_bits(&mut lanes, 0.7, &activations, &[], &mut bits));
    time("softplus difference", &mut || {
        black_box(simd::softplus_difference(0.70, 0.71, &activations));
    });
    time("softplus sum", &mut || {
        black_box(simd::sum_softplus(0.7, &activations));
    });
    let wide: Vec<f64> = activations.iter().map(|&a| f64::from(a)).collect();
    time("dot", &mut || {
        black_box(simd::dot(&activations, &wide));
    });
}
