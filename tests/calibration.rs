//! Are the error bars right? 200 seeds of each sampler on references of known log Z, and hard references that must be flagged.
//!
//! `cargo test --release --test calibration -- --ignored --nocapture` runs it (about fifteen minutes on two cores) and writes the
//! table that `tests/calibration.md` holds. It fails where
//! - the 95 % interval covers less than 90 % of 200 runs (a true 95 % falls below that with probability 0.2 %),
//! - the interval is wider than 1.4 times what the spread of the errors calls for,
//! - fewer than 90 % of the runs on an easy reference say *converged*,
//! - more than 1 % of the wrong runs on hard references say *converged*.

#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use std::fmt::Write as _;
use std::sync::Arc;

use lnz::estimators::{Settings, Silent, by_name, quickest_exact};
use lnz::math::statistics;
use lnz::models::{Model, Tempered, builtin};
use rayon::prelude::*;

const SEEDS: u64 = 200;

/// The share of wrong runs that may be called converged.
const MOST_MISSED: f64 = 0.01;

/// Easy references of different kinds, on which *converged* is due.
const EASY: [&str; 5] = [
    "ref:gaussian?dim=10",
    "ref:mixture?dim=2&separation=3",
    "ref:ising?side=8&coupling=0.44",
    "ref:rbm?visible=20&hidden=12",
    "ref:boltzmann?dim=16&units=spins&coupling=2",
];

/// References that the estimator gets wrong, with the rungs that make sure of it (0 lets the pilots choose) and how many runs.
const HARD: [(&str, usize, u64); 5] = [
    ("ref:funnel?dim=10", 100, 100),
    ("ref:mixture?dim=8&modes=6&separation=8", 32, 100),
    ("ref:mixture?dim=8&modes=6&separation=8", 200, 60),
    ("ref:ising?side=16&coupling=0.6", 20, 200),
    ("ref:potts?side=6&states=10&coupling=1.5", 16, 100),
];

struct Run {
    error: f64,
    std_err: f64,
    half_width: f64,
    covered: bool,
    converged: bool,
}

fn runs(method: &str, spec: &str, rungs: usize, seeds: u64) -> Vec<Run> {
    let reference: Arc<dyn Model> = builtin::parse(spec).unwrap();
    let (exact, _) = quickest_exact(&reference).unwrap();
    let truth = exact.estimate(&reference, &Settings::default(), &Silent).unwrap().log_z;
    // References can be sampled exactly and a user's model cannot: a temperature of 1 hides the sampler, and no verdict here
    // rests on exact draws.
    let model: Arc<dyn Model> =
        if reference.sampler().is_some() { Arc::new(Tempered::new(reference, 1.0)) } else { reference };
    (0..seeds)
        .into_par_iter()
        .map(|seed| {
            let rungs = (rungs > 0).then_some(rungs);
            let settings = Settings { seed: 10_000 + seed, rungs, max_time: 1e9, ..Settings::default() };
            let found = by_name(method).unwrap().estimate(&model, &settings, &Silent).unwrap();
            let interval = found.interval.unwrap();
            Run {
                error: found.log_z - truth,
                std_err: found.std_err.unwrap(),
                half_width: 0.5 * (interval.upper - interval.lower),
                covered: (interval.lower..=interval.upper).contains(&truth),
                converged: found.verdict.is_converged(),
            }
        })
        .collect()
}

fn share(runs: &[Run], of: impl Fn(&Run) -> bool) -> f64 {
    runs.iter().filter(|run| of(run)).count() as f64 / runs.len() as f64
}

#[test]
#[ignore = "fifteen minutes; its table is committed as tests/calibration.md"]
fn error_bars_cover_and_verdicts_are_sharp() {
    let mut table = String::from(
        "| method | reference | mean error | sd of error | mean SE | sd of z | width | coverage | converged |\n\
         |---|---|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    let mut failures = Vec::new();
    for method in ["ais", "ti"] {
        for spec in EASY {
            let runs = runs(method, spec, 0, SEEDS);
            let collect = |value: &dyn Fn(&Run) -> f64| runs.iter().map(value).collect::<Vec<f64>>();
            let errors = collect(&|run| run.error);
            let spread = statistics::variance(&errors).sqrt();
            let scores = collect(&|run| run.error / run.std_err);
            let width = statistics::mean(&collect(&|run| run.half_width)) / (1.96 * spread);
            let coverage = share(&runs, |run| run.covered);
            let converged = share(&runs, |run| run.converged);
            let line = format!(
                "| {method} | `{spec}` | {:+.4} | {spread:.4} | {:.4} | {:.2} | {width:.2} | {:.1} % | {:.1} % |",
                statistics::mean(&errors),
                statistics::mean(&collect(&|run| run.std_err)),
                statistics::variance(&scores).sqrt(),
                100.0 * coverage,
                100.0 * converged
            );
            println!("{line}");
            writeln!(table, "{line}").unwrap();
            if coverage < 0.90 || width > 1.4 || converged < 0.90 {
                failures.push(line);
            }
        }
    }
    table.push_str("\n| method | hard reference | rungs | runs | wrong | of these called converged |\n|---|---|---:|---:|---:|---:|\n");
    let (mut wrong_runs, mut missed) = (0, 0);
    for (spec, rungs, seeds) in HARD {
        let runs = runs("ais", spec, rungs, seeds);
        let wrong: Vec<&Run> =
            runs.iter().filter(|run| run.error.abs() > (3.0 * run.std_err).max(0.2)).collect();
        let converged = wrong.iter().filter(|run| run.converged).count();
        let chosen = if rungs == 0 { "pilots'".to_owned() } else { rungs.to_string() };
        let line = format!("| ais | `{spec}` | {chosen} | {seeds} | {} | {converged} |", wrong.len());
        println!("{line}");
        writeln!(table, "{line}").unwrap();
        wrong_runs += wrong.len();
        missed += converged;
    }
    let line = format!("| ais | all | | | {wrong_runs} | {missed} |");
    println!("{line}");
    writeln!(table, "{line}").unwrap();
    if wrong_runs < 300 || missed as f64 > MOST_MISSED * wrong_runs as f64 {
        failures.push(line);
    }
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("calibration.md");
    std::fs::write(&path, &table).unwrap();
    println!("written to {}", path.display());
    assert!(failures.is_empty(), "{failures:#?}");
}
