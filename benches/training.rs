//! Training an RBM against its matrix products alone: `cargo bench --bench training`.
//!
//! An update by persistent contrastive divergence takes one product of the batch with W, two of the chains at each of their Gibbs
//! steps, and one of each for the gradient. The contestants of each row run in turn, several times, on the same threads, and the best
//! of each is compared.

#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]

mod support;

use std::hint::black_box;
use std::time::Instant;

use lnz::estimators::Silent;
use lnz::math::{Stream, products};
use lnz::training::{Schedule, rbm};
use ndarray::{Array2, s};
use rand::RngExt;
use rayon::prelude::*;

const REPEATS: usize = 4;
/// Rows of a batch, and chains.
const ROWS: usize = 128;
/// Rows to a task, as in the training.
const BLOCK: usize = 64;

fn main() {
    println!(
        "RBM training: updates a second of 128 rows and 128 chains, and the share of what its products alone reach"
    );
    println!("{:>12} {:>8} {:>10} {:>10} {:>7}", "shape", "threads", "products", "training", "share");
    // As many updates to an epoch, with the figures at its end, as 60,000 examples make; fewer where those are large.
    for (visible, hidden, updates) in [(784, 500, 469), (784, 20, 469), (4096, 1024, 60)] {
        for threads in [1, 2] {
            let [alone, training] = support::on_threads(threads, || compare(visible, hidden, updates));
            println!(
                "{:>12} {threads:>8} {alone:>10.0} {training:>10.0} {:>6.0} %",
                format!("{visible}x{hidden}"),
                100.0 * training / alone
            );
        }
    }
}

fn compare(visible: usize, hidden: usize, updates: usize) -> [f64; 2] {
    let mut generator = Stream::new(1).generator();
    let data = Array2::from_shape_simple_fn((ROWS * updates, visible), || {
        f64::from(u8::from(generator.random_bool(0.2)))
    });
    let schedule = Schedule { epochs: REPEATS, batch_size: ROWS, learning_rate: 0.01, ..Schedule::default() };
    let settings = rbm::Settings { hidden, schedule, chains: ROWS, ..rbm::Settings::default() };
    let mut training = rbm::training(data.view(), &settings).unwrap();
    let mut best = [0.0f64; 2];
    let mut products = Products::new(visible, hidden, settings.gibbs_steps);
    for _ in 0..REPEATS {
        let begin = Instant::now();
        for _ in 0..updates {
            products.run();
        }
        best[0] = best[0].max(updates as f64 / begin.elapsed().as_secs_f64());
        let begin = Instant::now();
        black_box(training.epoch(&Silent).unwrap());
        best[1] = best[1].max(updates as f64 / begin.elapsed().as_secs_f64());
    }
    best
}

/// The products of an update, of the shapes and in the blocks that the training has.
struct Products {
    weights: Array2<f32>,
    gradient: Array2<f32>,
    blocks: Vec<Block>,
    gibbs_steps: usize,
}

/// Rows of a batch or chains; products go elsewhere, so that numbers stay of one size.
struct Block {
    visible: Array2<f32>,
    hidden: Array2<f32>,
    to_visible: Array2<f32>,
    to_hidden: Array2<f32>,
    chains: bool,
}

impl Products {
    fn new(visible: usize, hidden: usize, gibbs_steps: usize) -> Self {
        let filled =
            |rows, columns| Array2::from_shape_fn((rows, columns), |(i, j)| ((i + 3 * j) % 5) as f32);
        let block = |chains| Block {
            visible: filled(BLOCK, visible),
            hidden: filled(BLOCK, hidden),
            to_visible: filled(BLOCK, visible),
            to_hidden: filled(BLOCK, hidden),
            chains,
        };
        Self {
            weights: filled(visible, hidden),
            gradient: filled(visible, hidden),
            blocks: [false, false, true, true].map(block).into(),
            gibbs_steps,
        }
    }

    fn run(&mut self) {
        let Self { weights, gradient, blocks, gibbs_steps } = self;
        blocks.par_iter_mut().for_each(|block| {
            for _ in 0..if block.chains { *gibbs_steps } else { 1 } {
                if block.chains {
                    products::multiply(block.hidden.view(), weights.t(), block.to_visible.view_mut());
                }
                products::multiply(block.visible.view(), weights.view(), block.to_hidden.view_mut());
            }
        });
        gradient.axis_chunks_iter_mut(ndarray::Axis(0), BLOCK).into_par_iter().enumerate().for_each(
            |(i, mut part)| {
                for block in blocks.iter() {
                    let columns = block.visible.slice(s![.., i * BLOCK..i * BLOCK + part.nrows()]);
                    products::multiply_add(1.0, columns.t(), block.hidden.view(), part.view_mut());
                }
            },
        );
        black_box(gradient.first());
    }
}
