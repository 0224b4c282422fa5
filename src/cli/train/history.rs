//! What is known of each epoch, as a table and as a file.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use lnz::estimators::tracker::{Source, Tracked};
use lnz::io::{self, record::to_json};
use lnz::plots::Stage;
use lnz::training::Epoch;
use serde::{Deserialize, Serialize};

use crate::cli::output::extension;
use crate::cli::print;
use crate::cli::table::{or_dash, table};

/// Figures after an epoch. Log-likelihoods are nats per example, over all rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Row {
    pub epoch: usize,
    /// What the family tells of itself, by names with underscores.
    #[serde(flatten)]
    pub figures: BTreeMap<String, f64>,
    pub log_z: Option<f64>,
    /// 0 where log Z is exact.
    pub log_z_std_err: Option<f64>,
    /// How it was found.
    pub log_z_by: Option<Source>,
    /// What following gave, and its standard error, where chains were annealed anew.
    pub followed: Option<(f64, f64)>,
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
            log_z: tracked.map(|tracked| tracked.log_z),
            log_z_std_err: tracked.map(|tracked| tracked.std_err),
            log_z_by: tracked.map(|tracked| tracked.source),
            followed: tracked.and_then(|tracked| tracked.followed),
            log_likelihood,
            valid_log_likelihood,
            seconds: 0.0,
        }
    }

    /// How far following was off, in standard errors.
    fn discrepancy(&self) -> Option<f64> {
        let ((log_z, std_err), here, error) = (self.followed?, self.log_z?, self.log_z_std_err?);
        let both = std_err.hypot(error);
        both.is_finite().then(|| (log_z - here) / both)
    }

    /// The columns of a file; what is not known is NaN.
    fn columns(&self) -> Vec<(String, f64)> {
        let known = |value: Option<f64>| value.unwrap_or(f64::NAN);
        let mut columns = vec![("epoch".to_owned(), self.epoch as f64)];
        columns.extend(self.figures.iter().map(|(name, value)| (name.clone(), *value)));
        let rest = [
            ("log_z", known(self.log_z)),
            ("log_z_std_err", known(self.log_z_std_err)),
            ("log_z_followed", known(self.followed.map(|followed| followed.0))),
            ("log_z_followed_std_err", known(self.followed.map(|followed| followed.1))),
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
            log_z: self.log_z,
            std_err: self.log_z_std_err.unwrap_or(0.0),
            followed: self.followed,
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
        let error = row.log_z_std_err.unwrap_or(0.0);
        let nats = |value: f64| print::tracked(value, error);
        let mut cells = vec![format!("{:>5}", row.epoch)];
        // As wide as the titles, because rows come one at a time.
        cells
            .extend(row.figures.iter().map(|(name, value)| format!("{value:>width$.4}", width = name.len())));
        cells.push(format!("{:>15}", or_dash(row.log_z, nats)));
        cells.push(format!("{:>15}", or_dash(row.log_likelihood, nats)));
        cells.push(format!("{:>15}", or_dash(row.valid_log_likelihood, nats)));
        cells.push(format!("{:>7}", row.discrepancy().map_or(String::new(), |z| format!("{z:+.1} SE"))));
        cells.push(format!("{:.1}", row.seconds));
        cells
    };
    table(&titles, &rows.iter().map(cells).collect::<Vec<_>>())
}

/// Writes rows by the extension of `path`.
pub(super) fn write(path: &Path, rows: &[Row]) -> lnz::Result<()> {
    if extension(path) == "json" {
        let text = to_json(rows) + "\n";
        return io::write_atomically(path, |writer| writer.write_all(text.as_bytes()));
    }
    let rows: Vec<_> = rows.iter().map(Row::columns).collect();
    let column = |(i, (name, _)): (usize, &(String, f64))| {
        (name.clone(), rows.iter().map(|row| row[i].1).collect::<Vec<f64>>())
    };
    let columns: Vec<_> = rows.first().into_iter().flatten().enumerate().map(column).collect();
    io::write_columns(path, &columns)
}
