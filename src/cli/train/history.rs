//! What is known of each epoch, as a table and as a file.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;

use lnz::estimators::tracker::Tracked;
use lnz::io::{self, record};
use lnz::plots::Stage;
use lnz::training::Epoch;
use serde::{Deserialize, Serialize};

use crate::cli::output::extension;
use crate::cli::print;
use crate::cli::table::{or_dash, table};

/// What is known after an epoch. Log-likelihoods are nats per example, over all rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Row {
    pub epoch: usize,
    /// What the family tells of itself, by names with underscores.
    pub figures: BTreeMap<String, f64>,
    pub tracked: Option<Tracked>,
    pub log_likelihood: Option<f64>,
    pub valid_log_likelihood: Option<f64>,
    pub seconds: f64,
}

impl Row {
    pub(super) fn new(
        epoch: &Epoch,
        tracked: Option<Tracked>,
        log_likelihood: Option<f64>,
        valid_log_likelihood: Option<f64>,
    ) -> Self {
        Self {
            epoch: epoch.number,
            figures: epoch
                .figures
                .iter()
                .map(|(name, value)| (name.replace([' ', '-'], "_"), *value))
                .collect(),
            tracked,
            log_likelihood,
            valid_log_likelihood,
            seconds: 0.0,
        }
    }

    /// The error that log Z leaves in likelihoods; 0 where it is exact.
    pub(super) fn error(&self) -> f64 {
        self.tracked.map_or(0.0, |tracked| tracked.std_err)
    }

    /// The columns of a file; what is not known is NaN.
    fn columns(&self) -> Vec<(String, f64)> {
        let known = |value: Option<f64>| value.unwrap_or(f64::NAN);
        let of = |value: fn(Tracked) -> f64| known(self.tracked.map(value));
        let followed = self.tracked.and_then(|tracked| tracked.followed);
        let mut columns = vec![("epoch".to_owned(), self.epoch as f64)];
        columns.extend(self.figures.iter().map(|(name, value)| (name.clone(), *value)));
        let rest = [
            ("log_z", of(|tracked| tracked.log_z)),
            ("log_z_std_err", of(|tracked| tracked.std_err)),
            ("log_z_followed", known(followed.map(|found| found.0))),
            ("log_z_followed_std_err", known(followed.map(|found| found.1))),
            ("log_likelihood", known(self.log_likelihood)),
            ("valid_log_likelihood", known(self.valid_log_likelihood)),
            ("seconds", self.seconds),
        ];
        columns.extend(rest.map(|(name, value)| (name.to_owned(), value)));
        columns
    }

    /// What a picture shows of it.
    pub(super) fn stage(&self) -> Stage {
        Stage {
            at: self.epoch as f64,
            log_z: self.tracked.map(|tracked| tracked.log_z),
            std_err: self.error(),
            followed: self.tracked.and_then(|tracked| tracked.followed),
            log_likelihoods: [self.log_likelihood, self.valid_log_likelihood],
        }
    }
}

/// Rows as a table for a person.
pub(super) fn lines(rows: &[Row]) -> String {
    let figures: Vec<String> =
        rows.iter().take(1).flat_map(|row| row.figures.keys()).map(|name| name.replace('_', " ")).collect();
    let mut titles = vec!["epoch"];
    titles.extend(figures.iter().map(String::as_str));
    titles.extend(["log Z", "log-likelihood", "valid", "off", "seconds"]);
    let cells = |row: &Row| {
        let nats = |value: f64| print::tracked(value, row.error());
        let off = row.tracked.and_then(|tracked| tracked.discrepancy());
        let mut cells = vec![format!("{:>5}", row.epoch)];
        // As wide as the titles, because rows come one at a time.
        cells
            .extend(row.figures.iter().map(|(name, value)| format!("{value:>width$.4}", width = name.len())));
        cells.push(format!("{:>15}", or_dash(row.tracked.map(|tracked| tracked.log_z), nats)));
        cells.push(format!("{:>15}", or_dash(row.log_likelihood, nats)));
        cells.push(format!("{:>15}", or_dash(row.valid_log_likelihood, nats)));
        cells.push(format!("{:>7}", off.map_or(String::new(), |z| format!("{z:+.1} SE"))));
        cells.push(format!("{:.1}", row.seconds));
        cells
    };
    table(&titles, &rows.iter().map(cells).collect::<Vec<_>>())
}

/// What a picture shows of a history in JSON; `None` for any other file.
pub(in crate::cli) fn stages(path: &Path) -> lnz::Result<Option<Vec<Stage>>> {
    let failed = |source| lnz::Error::File { path: path.into(), source };
    let text = fs::read_to_string(path).map_err(failed)?;
    // Records are objects, and long.
    if !text.trim_start().starts_with('[') {
        return Ok(None);
    }
    let rows: Vec<Row> = record::from_json(&text).map_err(|error| lnz::Error::Format {
        path: path.into(),
        message: format!("not a history of lnz train ({error})"),
    })?;
    Ok(Some(rows.iter().map(Row::stage).collect()))
}

/// Writes rows by the extension of `path`.
pub(super) fn write(path: &Path, rows: &[Row]) -> lnz::Result<()> {
    if extension(path) == "json" {
        let text = record::to_json(rows) + "\n";
        return io::write_atomically(path, |writer| writer.write_all(text.as_bytes()));
    }
    let rows: Vec<_> = rows.iter().map(Row::columns).collect();
    let column = |(i, (name, _)): (usize, &(String, f64))| {
        (name.clone(), rows.iter().map(|row| row[i].1).collect::<Vec<f64>>())
    };
    let columns: Vec<_> = rows.first().into_iter().flatten().enumerate().map(column).collect();
    io::write_columns(path, &columns)
}
