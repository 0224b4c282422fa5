//! `lnz verify`: is what was installed right on this machine?

use std::path::Path;
use std::time::Instant;

use anyhow::Result;
use clap::Args;
use lnz::estimators::{Estimator, Guarantee, REGISTRY};
use lnz::io::record::{CalibrationRecord, to_json};
use lnz::io::{ModelOptions, read_model};
use lnz::plots;
use lnz::studies::{Calibration, Calibrations, Known, SignFlipped, Verification, calibrate, verify};
use serde::Serialize;

use super::arguments::{Running, setting};
use super::pictures::Pictures;
use super::progress::Progress;
use super::table::table;
use super::{Report, print};

/// Where a checkout has a trained machine that is small enough for an exact log Z.
const SHIPPED: &str = "examples/models/mnist-rbm-20.safetensors";

/// Verify the estimators on references of known log Z
///
/// Runs every estimator on every reference that it applies to, in under two minutes on two cores, and prints by how many standard
/// errors the mean of eight runs is off. Exit status 0 if every number is right, 3 if any is off.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Measure coverage, width of intervals and verdicts over 200 seeds instead (three hours on two cores)
    #[arg(long, conflicts_with = "plant_mistake")]
    thorough: bool,
    /// Only what has this in METHOD on REFERENCE, such as smc, funnel or 'ti on ref:ising'
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Add an estimator whose weights have the wrong sign, to see that it is caught
    #[arg(long)]
    plant_mistake: bool,
    /// Print one JSON object; with --thorough, lnz plot can draw it
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    pictures: Pictures,
    #[command(flatten)]
    running: Running,
}

impl Arguments {
    pub(crate) fn run(&self) -> Result<Report> {
        self.running.start()?;
        self.pictures.check()?;
        if let Some(directory) = self.pictures.directory().filter(|_| !self.thorough) {
            let expected = "figures show what --thorough measures; state it, too";
            return Err(setting("--plots", directory.display(), expected).into());
        }
        let progress = Progress::new(self.running.quiet);
        let start = Instant::now();
        if self.thorough {
            let mut others = Vec::new();
            if let Ok(machine) = read_model(Path::new(SHIPPED), &ModelOptions::default()) {
                others.push(Known::of(SHIPPED, machine.model)?);
            }
            let found = calibrate(&others, self.only.as_deref(), &progress)?;
            self.pictures.draw(|| plots::of_calibrations(&found))?;
            // A part has too few wrong runs to tell how sharp verdicts are.
            let passes =
                found.passes() || (self.only.is_some() && found.cells.iter().all(Calibration::passes));
            let text = if self.json {
                to_json(&CalibrationRecord::new(found, passes)) + "\n"
            } else {
                calibrations(&found, passes)
            };
            return Ok(Report { text, warnings: Vec::new(), converged: passes });
        }
        let mut estimators: Vec<&dyn Estimator> = REGISTRY.to_vec();
        if self.plant_mistake {
            estimators.push(&SignFlipped);
        }
        let found = verify(&estimators, self.only.as_deref(), &progress)?;
        let text = if self.json {
            json(&found)
        } else {
            verification(&found, &estimators, start.elapsed().as_secs_f64())
        };
        Ok(Report { text, warnings: Vec::new(), converged: found.passes() })
    }
}

fn json(found: &Verification) -> String {
    #[derive(Serialize)]
    struct Whole<'a> {
        passes: bool,
        #[serde(flatten)]
        found: &'a Verification,
        lnz: &'static str,
    }
    to_json(&Whole { passes: found.passes(), found, lnz: env!("CARGO_PKG_VERSION") }) + "\n"
}

fn verification(found: &Verification, estimators: &[&dyn Estimator], seconds: f64) -> String {
    let samplers: Vec<&str> = estimators
        .iter()
        .filter(|e| !matches!(e.guarantee(), Guarantee::Exact | Guarantee::Numerical))
        .map(|e| e.name())
        .collect();
    let mut header = vec!["reference", "log Z"];
    header.extend(&samplers);
    let mut rows = Vec::new();
    for (reference, log_z, _) in &found.references {
        let mut row = vec![reference.clone(), print::exact(*log_z)];
        for sampler in &samplers {
            let check = found.checks.iter().find(|c| c.method == *sampler && c.reference == *reference);
            row.push(check.map_or_else(
                || "-".into(),
                |check| format!("{:+.1}{}", check.z, if check.passes { "" } else { " OFF" }),
            ));
        }
        rows.push(row);
    }
    let mut honesty = vec!["error bars: sd of z".to_owned(), String::new()];
    honesty.extend(samplers.iter().map(|sampler| {
        let row = found.honesty.iter().find(|row| row.method == *sampler);
        row.map_or_else(
            || "-".into(),
            |row| format!("{:.2}{}", row.sd_z, if row.passes { "" } else { " OFF" }),
        )
    }));
    rows.push(honesty);
    let mut text = "Mean error of eight runs, in standard errors:\n\n".to_owned();
    text += &table(&header, &rows);
    text += "\nMethods without chance, against each other and the literature:\n\n";
    let lines: Vec<(&str, String)> = found
        .references
        .iter()
        .map(|(reference, _, by)| {
            let others: Vec<String> = found
                .checks
                .iter()
                .filter(|c| !c.sampled && c.reference == *reference && c.method != *by)
                .map(|c| format!("{} {:+.0e}{}", c.method, c.error, if c.passes { "" } else { " OFF" }))
                .collect();
            let others = if others.is_empty() { "no other applies".into() } else { others.join(", ") };
            (reference.as_str(), format!("{by}; {others}"))
        })
        .collect();
    text += &print::aligned(&lines);
    let off = found.checks.iter().filter(|check| !check.passes).count()
        + found.honesty.iter().filter(|row| !row.passes).count();
    let total = found.checks.len() + found.honesty.len();
    let time = print::duration(seconds);
    text + &if off == 0 {
        format!("\nall {total} checks passed in {time}\n")
    } else {
        format!("\n{off} of {total} checks are OFF ({time}): do not trust this installation\n")
    }
}

fn calibrations(found: &Calibrations, passes: bool) -> String {
    let percent = |share: f64| format!("{:.1} %", 100.0 * share);
    let rows: Vec<Vec<String>> = found
        .cells
        .iter()
        .map(|row| {
            vec![
                format!("{} on {}", row.method, row.reference),
                format!("{:+.4}", row.mean_error),
                format!("{:.4}", row.sd_error),
                format!("{:.4}", row.mean_std_err),
                format!("{:.2}", row.sd_z),
                format!("{:.2}", row.width),
                percent(row.coverage),
                percent(row.converged),
                format!("{} of {}", row.missed, row.wrong),
                match (row.due, row.passes()) {
                    (false, _) => "hard".into(),
                    (true, true) => "ok".into(),
                    (true, false) => "OFF".into(),
                },
            ]
        })
        .collect();
    let header = [
        "200 seeds, 50 where hard",
        "mean error",
        "sd",
        "claimed",
        "sd of z",
        "width",
        "coverage",
        "converged",
        "wrong ones converged",
        "",
    ];
    let mut text = table(&header, &rows);
    text.push('\n');
    let rows: Vec<Vec<String>> = found
        .hard
        .iter()
        .map(|row| (row, ""))
        .chain(found.beyond.iter().map(|row| (row, " (beyond reach)")))
        .map(|(row, note)| {
            vec![
                match row.rungs {
                    Some(rungs) => format!("{} on {}, {rungs} rungs{note}", row.method, row.reference),
                    None => format!("{} on {}{note}", row.method, row.reference),
                },
                row.runs.to_string(),
                row.wrong.to_string(),
                row.missed.to_string(),
            ]
        })
        .collect();
    text += &table(&["references that are too hard", "runs", "wrong", "called converged"], &rows);
    let (wrong, missed) = found.wrong_and_missed();
    text + &format!(
        "\n{missed} of {wrong} wrong runs within reach were called converged; {}\n",
        if passes { "everything passes" } else { "something is OFF" }
    )
}
