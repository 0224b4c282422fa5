//! Are the error bars right, and are wrong answers flagged? The same as `lnz verify --thorough`, and the tables that
//! `tests/calibration.md` holds: `cargo test --release --test calibration -- --ignored --nocapture`, 25 minutes on two cores.

#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use std::fmt::Write as _;

use lnz::estimators::Silent;
use lnz::studies::calibrate;

#[test]
#[ignore = "25 minutes, run by the command above; its tables are committed as tests/calibration.md"]
fn error_bars_cover_and_verdicts_are_sharp() {
    let found = calibrate(&Silent).unwrap();
    let mut tables = String::from(
        "| method | reference | mean error | sd of error | mean SE | sd of z | width | coverage | converged |\n\
         |---|---|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    for row in &found.easy {
        writeln!(
            tables,
            "| {} | `{}` | {:+.4} | {:.4} | {:.4} | {:.2} | {:.2} | {:.1} % | {:.1} % |",
            row.method,
            row.reference,
            row.mean_error,
            row.sd_error,
            row.mean_std_err,
            row.sd_z,
            row.width,
            100.0 * row.coverage,
            100.0 * row.converged
        )
        .unwrap();
    }
    tables.push_str(
        "\n| method | hard reference | rungs | runs | wrong | of these called converged |\n|---|---|---:|---:|---:|---:|\n",
    );
    for row in found.hard.iter().chain(&found.beyond) {
        let rungs = row.rungs.map_or_else(|| "as pilots choose".into(), |rungs| rungs.to_string());
        let (runs, wrong, missed) = (row.runs, row.wrong, row.missed);
        writeln!(tables, "| {} | `{}` | {rungs} | {runs} | {wrong} | {missed} |", row.method, row.reference)
            .unwrap();
    }
    let (wrong, missed) = found.wrong_and_missed();
    writeln!(tables, "| all but those beyond reach (the last) | | | | {wrong} | {missed} |").unwrap();
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("calibration.md");
    std::fs::write(&path, &tables).unwrap();
    println!("{tables}\nwritten to {}", path.display());
    assert!(found.passes());
}
