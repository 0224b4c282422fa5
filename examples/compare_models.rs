//! Which of two trained models explains data better: RBMs with 3 and with 10 hidden units, trained here on noisy bars and stripes,
//! compared on test examples that neither has seen.
//!
//! Energies of two models are on two scales, log-likelihoods on one: log p(x) = −E(x) − log Z. Log Z is taken exactly and by annealing.
//! The data come from a known distribution, whose own log-likelihood no model can beat on average.
//!
//! `cargo run --release --example compare_models`

#![allow(clippy::print_stdout, reason = "a program that reports to a person")]

use std::sync::Arc;

use lnz::estimators::{Estimator, Settings, Silent, by_name, quickest_exact};
use lnz::likelihood::{Difference, Likelihood, LogZ, evaluate, paired};
use lnz::math::{Stream, log_mean_exp, statistics};
use lnz::models::Model;
use lnz::training::{Schedule, rbm};
use ndarray::{Array1, Array2, ArrayView1};
use rand::RngExt;

/// Pixels to a side.
const SIDE: usize = 4;
/// The chance that a pixel is flipped.
const NOISE: f64 = 0.03;

fn main() -> lnz::Result<()> {
    let (train, test) = (images(2000, Stream::new(1)), images(1000, Stream::new(2)));
    println!("{} training and {} test images of {SIDE}×{SIDE} pixels\n", train.nrows(), test.nrows());
    println!("hidden  method            log Z           mean test log-likelihood ± of data ± of log Z");
    let (mut exact, mut annealed) = (Vec::new(), Vec::new());
    for hidden in [3, 10] {
        let schedule =
            Schedule { epochs: 100, learning_rate: 0.2, weight_decay: 1e-4, ..Schedule::default() };
        let settings = rbm::Settings { hidden, schedule, ..rbm::Settings::default() };
        let model = rbm::training(train.view(), &settings)?.finish(&Silent)?;
        let (estimator, _) = quickest_exact(&model).expect("so few hidden units can be enumerated");
        exact.push(row(hidden, &model, estimator, &test)?);
        annealed.push(row(hidden, &model, by_name("ais")?, &test)?);
    }
    let source: Vec<f64> = test.rows().into_iter().map(log_source).collect();
    println!("where the images come from               {:>12.3}", statistics::mean(&source));

    println!("\n10 hidden units against 3, nats per image");
    let difference = paired(&exact[1], &exact[0])?;
    print_difference("log Z exact", &difference);
    print_difference("log Z annealed", &paired(&annealed[1], &annealed[0])?);
    let unpaired = exact[1].data_std_err.hypot(exact[0].data_std_err);
    println!("  unpaired, the data's error would be ± {unpaired:.3}");
    let z = difference.mean / difference.combined_std_err;
    let better = if z > 0.0 { "10" } else { "3" };
    let firm = if z.abs() > 3.0 { "more than chance" } else { "no more than chance may give" };
    println!(
        "\nThe machine with {better} hidden units is better by {:.1} standard errors, {firm}: it makes a typical test image {:.0} times \
         as probable.\n{:.2} nats are left to gain.",
        z.abs(),
        difference.mean.abs().exp(),
        statistics::mean(&source) - exact[0].mean.max(exact[1].mean)
    );
    Ok(())
}

/// Prints a line about a model's log Z and likelihood.
fn row(
    hidden: usize,
    model: &Arc<dyn Model>,
    by: &dyn Estimator,
    test: &Array2<f64>,
) -> lnz::Result<Likelihood> {
    let estimate = by.estimate(model, &Settings::default(), &Silent)?;
    let likelihood = evaluate(model, test.view(), &LogZ::of(&estimate, by.name())?)?;
    let error = likelihood.log_z_std_err;
    let converged = if estimate.verdict.is_converged() { "" } else { "  not converged" };
    println!(
        "{hidden:>6}  {:<12} {:>9.4} ± {error:.4} {:>12.3} ± {:.3} ± {error:.3}{converged}",
        by.name(),
        estimate.log_z,
        likelihood.mean,
        likelihood.data_std_err
    );
    Ok(likelihood)
}

fn print_difference(name: &str, difference: &Difference) {
    println!(
        "  {name:<15} {:+.3} ± {:.3}  (data ± {:.3}, log Z ± {:.3}); better on {:.0} % of the images",
        difference.mean,
        difference.combined_std_err,
        difference.data_std_err,
        difference.log_z_std_err,
        100.0 * difference.first_better
    );
}

/// Bars or stripes, by the toss of a coin: each column or each row is on or off; then every pixel is flipped with probability
/// NOISE.
fn images(count: usize, stream: Stream) -> Array2<f64> {
    let mut generator = stream.generator();
    let mut images = Array2::zeros((count, SIDE * SIDE));
    for mut image in images.rows_mut() {
        let clean = pattern(generator.random_range(0..2 << SIDE));
        image.assign(&clean.mapv(|pixel| if generator.random_bool(NOISE) { 1.0 - pixel } else { pixel }));
    }
    images
}

/// Pattern `number` of 2 · 2^SIDE equally likely ones; all on and all off are there twice.
fn pattern(number: usize) -> Array1<f64> {
    let (lines, bars) = (number / 2, number.is_multiple_of(2));
    let line = |pixel: usize| if bars { pixel % SIDE } else { pixel / SIDE };
    (0..SIDE * SIDE).map(|pixel| (lines >> line(pixel) & 1) as f64).collect()
}

/// log p(x) under the distribution that [`images`] draws from.
fn log_source(image: ArrayView1<'_, f64>) -> f64 {
    let terms: Vec<f64> = (0..2 << SIDE)
        .map(|number| {
            let flips = (&pattern(number) - &image).mapv(f64::abs).sum();
            flips * NOISE.ln() + (image.len() as f64 - flips) * (1.0 - NOISE).ln()
        })
        .collect();
    log_mean_exp(&terms)
}
