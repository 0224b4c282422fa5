//! Are the error bars right, and are wrong answers flagged? The same as `lnz verify --thorough`, and the tables that
//! `tests/calibration.md` holds: `cargo test --release --test calibration -- --ignored --nocapture`, half an hour on two cores.

#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use std::fmt::Write as _;

use lnz::estimators::Monitor;
use lnz::studies::calibrate;

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
#[ignore = "half an hour, run by the command above; its tables are committed as tests/calibration.md"]
fn error_bars_cover_and_verdicts_are_sharp() {
    let found = calibrate(&Rows).unwrap();
    let mut tables = String::from(
        "| method | reference | mean error | sd of error | mean SE | sd of z | width | coverage | converged |\n\
         |---|---|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    for row in &found.easy {
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
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("calibration.md");
    std::fs::write(&path, &tables).unwrap();
    println!("{tables}\nwritten to {}", path.display());
    assert!(found.passes());
}
