//! A trained model from its file to normalised log-likelihoods: log Z exactly and by annealing, whether to believe it, and a record
//! of the run that is kept and read again.
//!
//! Annealing needs minutes for the model that comes with this example. Here it gets seconds, so that one sees what a doubtful answer
//! looks like: it says so itself, and why.
//!
//! `cargo run --release --example quickstart`, or `… --example quickstart -- MODEL` for a model file of your own.

#![allow(clippy::print_stdout, reason = "a program that reports to a person")]

use std::path::PathBuf;

use lnz::estimators::{Estimate, Settings, Silent, Verdict, by_name, quickest_exact};
use lnz::io::record::ModelRecord;
use lnz::io::{ModelOptions, RunRecord, read_model};
use lnz::likelihood::{LogZ, evaluate};
use lnz::sampling;

/// Longest exact computation that is worth waiting for here, in seconds.
const SOON: f64 = 10.0;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/models/mnist-rbm-20.safetensors");
    let path = std::env::args_os().nth(1).map_or_else(|| PathBuf::from(shipped), PathBuf::from);
    let source = path.display().to_string();
    let name = path.file_name().unwrap_or_default().display();
    let loaded = read_model(&path, &ModelOptions::default())?;
    let model = loaded.model;
    println!("{name}: {} on {}\n", model.kind(), model.space());

    // A number of sweeps instead of a time limit: the same numbers on every machine of one kind, and no waiting.
    let settings = Settings { budget: Some(1 << 20), ..Settings::default() };
    let annealed = by_name("ais")?.estimate(&model, &settings, &Silent)?;
    print_estimate(&annealed);
    let exact = quickest_exact(&model)
        .filter(|(_, plan)| plan.seconds.is_none_or(|seconds| seconds < SOON))
        .map(|(estimator, _)| estimator.estimate(&model, &settings, &Silent))
        .transpose()?;
    if let Some(exact) = &exact {
        print_estimate(exact);
        let (difference, error) = (annealed.log_z - exact.log_z, annealed.std_err.unwrap_or(0.0));
        println!("annealed − exact = {difference:+.3} nats, {:+.1} standard errors", difference / error);
    }

    match &annealed.verdict {
        Verdict::Converged => println!("\nannealing says: converged"),
        Verdict::NotConverged { reasons } => {
            println!("\nannealing says: not converged");
            for reason in reasons {
                println!("  {reason}");
            }
        }
    }
    for warning in &annealed.warnings {
        println!("  warning: {warning}");
    }
    println!("it was held against");
    for evidence in &annealed.diagnostics.evidence {
        let says = if evidence.agrees { "no contradiction" } else { "contradicts" };
        println!("  {:.3} ± {:.3}  {}: {says}", evidence.log_z, evidence.std_err, evidence.source);
    }

    // The record keeps the estimate with all its weights, and knows its model again.
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("run.json");
    let described = ModelRecord::new(&model, &source, &loaded.digest);
    RunRecord::new("quickstart".into(), described, 1.0, None, &settings, &annealed).write(&file)?;
    let record = RunRecord::read(&file)?;
    record.check_model(&file, &model, &source, &loaded.digest, 1.0)?;
    println!(
        "\nread again from run.json ({} kB): log Z = {:.3} by {}, {} log-weights",
        std::fs::metadata(&file)?.len() / 1000,
        record.estimate.log_z,
        record.estimate.method,
        record.estimate.trace.log_weights.len()
    );

    let draws = sampling::draw(&model, 1000, &settings, &Silent)?;
    println!("\n{}: log p(x) = −E(x) − log Z, minus the entropy on average", draws.how);
    for estimate in [Some(record.estimate), exact].into_iter().flatten() {
        let log_z = LogZ::of(&estimate, &estimate.method)?;
        let likelihood = evaluate(&model, draws.states.view(), &log_z)?;
        let first: Vec<String> = likelihood.per_example.iter().take(4).map(|x| format!("{x:.2}")).collect();
        println!(
            "  log Z by {:<12} {} …  mean {:.2} ± {:.2} (draws) ± {:.2} (log Z)",
            log_z.source,
            first.join("  "),
            likelihood.mean,
            likelihood.data_std_err,
            likelihood.log_z_std_err
        );
    }
    Ok(())
}

fn print_estimate(estimate: &Estimate) {
    let error = estimate.std_err.map_or("  exact".into(), |error| format!("± {error:.3}"));
    println!(
        "log Z = {:.3} {error:<8} nats  by {:<12} in {:.2} s",
        estimate.log_z, estimate.method, estimate.cost.seconds
    );
}
