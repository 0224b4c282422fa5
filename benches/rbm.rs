//! RBM annealing against its matrix products alone: `cargo bench --bench rbm [-- kernels]`.
//!
//! The contestants of each row run in turn, several times, on the same threads, and the best of each is compared: the machine's
//! mood cancels. A step of the path is two products, two vector draws, a pair of softplus sums and one log-ratio. "f32 products" are
//! the two by `gemm`, the ceiling of any dense implementation; "bit products" are what the path uses, tables of 16-bit sums where
//! rounding allows that (784x500 here), else of 32-bit sums.

#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]

mod support;

use std::hint::black_box;
use std::sync::Arc;

use lnz::math::bits::{BitMatrix, BitRows, Fixed, Sums};
use lnz::math::{Stream, products, simd};
use lnz::models::{Rbm, Units};
use lnz::paths::rbm::RbmPath;
use lnz::paths::{Path, Population};
use ndarray::{Array1, Array2};
use rayon::prelude::*;

const REPEATS: usize = 7;

fn main() {
    if std::env::args().any(|argument| argument == "kernels") {
        return kernels();
    }
    println!(
        "RBM annealing: thousand chain-steps a second, and the share of what its two products alone reach"
    );
    println!(
        "{:>12} {:>7} {:>8} {:>13} {:>13} {:>10} {:>9} {:>9}",
        "shape", "chains", "threads", "f32 products", "bit products", "annealing", "of f32", "of bits"
    );
    for (visible, hidden) in [(784, 500), (4096, 2048)] {
        for chains in [64, 256, 1000] {
            for threads in [1, 2] {
                let [dense, bits, annealing] =
                    support::on_threads(threads, || compare(visible, hidden, chains));
                println!(
                    "{:>12} {chains:>7} {threads:>8} {:>13.1} {:>13.1} {:>10.1} {:>8.0}% {:>8.0}%",
                    format!("{visible}x{hidden}"),
                    dense / 1e3,
                    bits / 1e3,
                    annealing / 1e3,
                    100.0 * annealing / dense,
                    100.0 * annealing / bits
                );
            }
        }
    }
    kernels();
}

/// Chain-steps a second of both kinds of bare products, and of annealing.
fn compare(visible: usize, hidden: usize, chains: usize) -> [f64; 3] {
    let weights = Array2::from_shape_fn((visible, hidden), |(i, j)| 0.1 * ((i * 31 + j * 17) as f64).sin());
    let rbm = Rbm::new(weights.clone(), Array1::zeros(visible), Array1::zeros(hidden), Units::Bits).unwrap();
    let path = RbmPath::bernoulli(Arc::new(rbm), None);
    let mut population = Population::from_reference(&path, chains, Stream::new(1));
    let block = path.block_size(chains);
    let sizes: Vec<usize> = (0..chains.div_ceil(block)).map(|i| block.min(chains - i * block)).collect();
    let step = BitMatrix::<u16>::step(weights.view());
    let by_bits: Box<dyn Fn(usize, usize) + Sync> = if path.smooth().is_some() {
        let there = BitMatrix::quantised(weights.view(), step);
        let back = BitMatrix::quantised(weights.t(), step);
        Box::new(move |rows, steps| multiply_bits(&there, &back, (visible, hidden), rows, steps))
    } else {
        let (there, back) = (BitMatrix::new(weights.view()), BitMatrix::new(weights.t()));
        Box::new(move |rows, steps| multiply_bits(&there, &back, (visible, hidden), rows, steps))
    };
    let weights = weights.mapv(|w| w as f32);
    let mut blocks: Vec<[Array2<f32>; 2]> = sizes
        .iter()
        .map(|&rows| {
            let bit = |(n, i): (usize, usize)| ((n * 7 + i * 13) % 3 == 0) as u8 as f32;
            [Array2::from_shape_fn((rows, visible), bit), Array2::from_shape_fn((rows, hidden), bit)]
        })
        .collect();
    let steps = (200_000_000_000 / (4 * visible * hidden * chains) / 10).max(2);
    let times = support::race(
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
            &mut || sizes.par_iter().for_each(|&rows| by_bits(rows, steps)),
            &mut || support::anneal(&mut population, steps),
        ],
    );
    times.map(|seconds| (steps * chains) as f64 / seconds)
}

/// The two products of `steps` steps of `rows` chains, with bits that are set at random.
fn multiply_bits<T: Fixed>(
    there: &BitMatrix<T>,
    back: &BitMatrix<T>,
    (visible, hidden): (usize, usize),
    rows: usize,
    steps: usize,
) {
    let mut lanes = Stream::new(rows as u64).lanes();
    let mut random = |units: usize| {
        let mut bits = BitRows::unset(rows, units);
        (0..rows)
            .for_each(|row| simd::draw_quads(&mut lanes, 0.0, &vec![0.0; units], &[], bits.row_mut(row)));
        bits
    };
    let (v, h) = (random(visible), random(hidden));
    let mut sums = Sums::default();
    for _ in 0..steps {
        back.multiply(&h, &mut sums);
        there.multiply(&v, &mut sums);
    }
    black_box(&sums);
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
