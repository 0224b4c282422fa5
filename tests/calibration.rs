//! Are the error bars right, and are wrong answers flagged? The same as `lnz verify --thorough`, and the tables that
//! `tests/calibration.md` holds: `cargo test --release --test calibration -- --ignored --nocapture`, three hours on two cores.

#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use lnz::estimators::Monitor;
use lnz::io::record::{CalibrationRecord, to_json};
use lnz::io::{ModelOptions, read_model};
use lnz::studies::{Known, calibrate};

/// The machine that comes with the repository and is small enough for an exact log Z.
const SHIPPED: &str = "examples/models/mnist-rbm-20.safetensors";

/// Prints every row as it is found.
struct Rows;

impl Monitor for Rows {
    fn begin(&self, _phase: &str, _total: u64) {}
    fn advance(&self, _units: u64) {}
    fn note(&self, line: &str) {
        println!("{line}");
    }
}

#[test]
#[ignore = "three hours, run by the command above; its tables are committed as tests/calibration.md"]
fn error_bars_cover_and_verdicts_are_sharp() {
    let machine = read_model(Path::new(SHIPPED), &ModelOptions::default()).unwrap();
    let found = calibrate(&[Known::of(SHIPPED, machine.model).unwrap()], None, &Rows).unwrap();
    let mut tables = String::from(
        "| method | reference | mean error | sd of error | mean SE | sd of z | width | coverage | converged | wrong | of these converged |\n\
         |---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    for row in &found.cells {
        writeln!(tables, "{row}").unwrap();
    }
    tables.push_str(
        "\n| method | hard reference | rungs | runs | wrong | of these called converged |\n|---|---|---:|---:|---:|---:|\n",
    );
    for row in found.hard.iter().chain(&found.beyond) {
        writeln!(tables, "{row}").unwrap();
    }
    let (wrong, missed) = found.wrong_and_missed();
    writeln!(tables, "| all but those beyond reach (the last) | | | | {wrong} | {missed} |").unwrap();
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    fs::write(directory.join("calibration.md"), &tables).unwrap();
    fs::write(
        directory.join("calibration.json"),
        to_json(&CalibrationRecord::new(found.clone(), found.passes())),
    )
    .unwrap();
    println!("{tables}\nwritten to {}", directory.display());
    assert!(found.passes());
}
