//! Trains an RBM on binarised MNIST and measures its log Z and mean test log-likelihood.
//!
//! `cargo run --release --example train_mnist_rbm -- MNIST_DIR --hidden 500 --out rbm.safetensors`, where MNIST_DIR holds
//! `train-images-idx3-ubyte` and `t10k-images-idx3-ubyte`, gzipped or not.

#![allow(clippy::print_stdout, reason = "a program that reports to a person")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Parser;
use lnz::estimators::{self, Settings, Silent};
use lnz::io::{data::read_data, write::write_rbm};
use lnz::models::{Model, Rbm};
use lnz::training::{Pcd, pcd};
use ndarray::Array2;

/// Trains an RBM on MNIST binarised at 0.5 by persistent contrastive divergence.
#[derive(Parser)]
struct Arguments {
    /// The directory with MNIST's images in idx format, gzipped or not
    directory: PathBuf,
    /// Where to write the machine: .safetensors or .npz
    #[arg(long)]
    out: PathBuf,
    /// Hidden units
    #[arg(long, default_value_t = Pcd::default().hidden)]
    hidden: usize,
    /// Passes over the data
    #[arg(long, default_value_t = Pcd::default().epochs)]
    epochs: usize,
    /// Rows of data to an update
    #[arg(long, default_value_t = Pcd::default().batch_size)]
    batch_size: usize,
    /// Persistent chains
    #[arg(long, default_value_t = Pcd::default().chains)]
    chains: usize,
    /// Learning rate of the first update
    #[arg(long, default_value_t = Pcd::default().learning_rate)]
    learning_rate: f64,
    /// Learning rate of the last update
    #[arg(long, default_value_t = Pcd::default().final_learning_rate)]
    final_learning_rate: f64,
    /// Pull of the weights towards 0
    #[arg(long, default_value_t = Pcd::default().weight_decay)]
    weight_decay: f64,
    /// Sweeps of each chain per update
    #[arg(long, default_value_t = Pcd::default().gibbs_steps)]
    gibbs_steps: usize,
    /// Seed of training and of estimates
    #[arg(long, default_value_t = Pcd::default().seed)]
    seed: u64,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    check_out(&arguments.out)?;
    let train = images(&arguments.directory, "train-images-idx3-ubyte")?;
    let test = images(&arguments.directory, "t10k-images-idx3-ubyte")?;
    let settings = Pcd {
        hidden: arguments.hidden,
        epochs: arguments.epochs,
        batch_size: arguments.batch_size,
        chains: arguments.chains,
        learning_rate: arguments.learning_rate,
        final_learning_rate: arguments.final_learning_rate,
        weight_decay: arguments.weight_decay,
        gibbs_steps: arguments.gibbs_steps,
        seed: arguments.seed,
    };
    println!("epoch  reconstruction error  pseudo-log-likelihood  energy gap  seconds");
    let begin = Instant::now();
    let rbm = pcd::train(train.view(), &settings, |epoch| {
        println!(
            "{:>5}  {:>20.5}  {:>21.2}  {:>10.1}  {:>7.1}",
            epoch.number,
            epoch.reconstruction_error,
            epoch.pseudo_log_likelihood,
            epoch.energy_gap,
            begin.elapsed().as_secs_f64()
        );
    })?;
    write_rbm(&arguments.out, &rbm)?;
    println!("written to {}", arguments.out.display());
    report(rbm, &train, &test, settings.seed)
}

/// Refuses before training what could not be written after it.
fn check_out(out: &Path) -> Result<()> {
    let known = out
        .extension()
        .is_some_and(|e| e.eq_ignore_ascii_case("safetensors") || e.eq_ignore_ascii_case("npz"));
    if !known {
        bail!("--out {}: a machine is written to a file that ends in .safetensors or .npz", out.display());
    }
    match out.parent() {
        Some(parent) if !parent.as_os_str().is_empty() && !parent.is_dir() => {
            bail!("--out {}: there is no directory {}", out.display(), parent.display())
        }
        _ => Ok(()),
    }
}

/// Rows of bits from one of MNIST's files.
fn images(directory: &Path, name: &str) -> Result<Array2<f64>> {
    let names = [name.to_owned(), format!("{name}.gz")];
    let Some(path) = names.iter().map(|name| directory.join(name)).find(|path| path.is_file()) else {
        bail!(
            "{} holds neither {} nor {}; the four files of MNIST are at https://ossci-datasets.s3.amazonaws.com/mnist/",
            directory.display(),
            names[0],
            names[1]
        );
    };
    Ok(read_data(&path, Some(0.5))?)
}

/// log Z, exact where that takes less than a minute, and the mean log-likelihoods that follow from it.
fn report(rbm: Rbm, train: &Array2<f64>, test: &Array2<f64>, seed: u64) -> Result<()> {
    let model: Arc<dyn Model> = Arc::new(rbm);
    let exact = estimators::quickest_exact(&model)
        .filter(|(_, plan)| plan.seconds.is_none_or(|seconds| seconds < 60.0))
        .map(|(estimator, _)| estimator);
    let estimator = match exact {
        Some(estimator) => estimator,
        None => estimators::by_name("ais")?,
    };
    let settings = Settings { seed, ..Settings::default() };
    let estimate = estimator.estimate(&model, &settings, &Silent).context("estimating log Z")?;
    let error = estimate.std_err.map_or(String::from("exact"), |error| format!("± {error:.3}"));
    println!(
        "log Z {:.4} {error} by {}, {:?}, {:.1} s",
        estimate.log_z, estimate.method, estimate.verdict, estimate.cost.seconds
    );
    if let (Some(ess), Some(chains)) =
        (estimate.diagnostics.effective_sample_size, estimate.diagnostics.chains)
    {
        println!("effective sample size {ess:.0} of {chains} chains");
    }
    for warning in &estimate.warnings {
        println!("warning: {warning:?}");
    }
    for (name, data) in [("train", train), ("test", test)] {
        let energy = model.energy(data.view()).mean().context("no images")?;
        println!("mean log-likelihood, {name}: {:.3} nats", -energy - estimate.log_z);
    }
    Ok(())
}
