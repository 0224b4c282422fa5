//! `lnz plot`: figures of runs, comparisons, calibrations and likelihoods that were written to files.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use lnz::io::record::{Record, RunRecord};
use lnz::plots::{self, Examples, Figure};
use lnz::{Error, io};

use super::arguments::setting;
use super::model::Options;
use super::pictures::{self, Format};
use super::{Report, output, train};

/// Draw figures of runs, comparisons, calibrations and likelihoods
///
/// Takes what --out of lnz estimate, lnz compare and lnz evaluate wrote, --history FILE.json of lnz train, and what lnz verify
/// --thorough --json printed, in any mixture: every figure that a run has data for; several runs side by side; estimators against each other and their errors against
/// cost; whether error bars are honest; log-likelihoods over each other, for training and test data or for several models;
/// learning curves.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Run records, comparisons, calibrations and histories (.json), log-likelihoods of examples (.csv, .npz)
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Directory for the figures; it is made if it is missing
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Format of the figures
    #[arg(long, value_enum, default_value = "svg")]
    format: Format,
    /// The two coordinates, counted from 0, at which draws in more than two dimensions are shown, as 0,1 [default: the first two,
    /// and none where draws are pictures]
    #[arg(long, value_name = "I,J", value_parser = axes)]
    axes: Option<[usize; 2]>,
    #[command(flatten)]
    options: Options,
}

/// What `--axes` says.
fn axes(text: &str) -> Result<[usize; 2], String> {
    let pair = text
        .split_once(',')
        .and_then(|(one, other)| Some([one.trim().parse().ok()?, other.trim().parse().ok()?]));
    pair.ok_or_else(|| "expected two coordinates, counted from 0, such as 0,1".into())
}

impl Arguments {
    pub(crate) fn run(&self) -> Result<Report> {
        output::check_directory(&self.out, "--out")?;
        let (mut runs, mut sets) = (Vec::new(), Vec::new());
        let (mut comparisons, mut calibrations, mut trainings) = (Vec::new(), Vec::new(), Vec::new());
        for (path, name) in self.files.iter().zip(names(&self.files)) {
            match output::extension(path).as_str() {
                "csv" | "npz" => sets.extend(
                    io::read_likelihoods(path)?
                        .into_iter()
                        .map(|(column, values)| (called(&name, &column), values)),
                ),
                _ => match train::stages(path)? {
                    Some(stages) => trainings.push((name, stages)),
                    None => match Record::read(path)? {
                        Record::Run(record) => runs.push((name, path, *record)),
                        Record::Comparison(record) => comparisons.push((name, *record)),
                        Record::Calibration(record) => calibrations.push((name, *record)),
                    },
                },
            }
        }
        let several = runs.len() > 1;
        let mut warnings = Vec::new();
        let mut files = Vec::new();
        let mut write = |prefix: &str, figures: &[Figure]| -> Result<()> {
            files.extend(pictures::write(&self.out, prefix, figures, self.format)?);
            Ok(())
        };
        for (name, path, record) in &runs {
            let figures = self.of_run(path, record, &mut warnings)?;
            write(&if several { format!("{name}-") } else { String::new() }, &figures)?;
        }
        if several {
            let pairs: Vec<(String, &RunRecord)> =
                runs.iter().map(|(name, _, record)| (name.clone(), record)).collect();
            write("", &[plots::together(&pairs)])?;
        }
        let many = comparisons.len() > 1;
        for (name, record) in &comparisons {
            let prefix = if many { format!("{name}-") } else { String::new() };
            write(&prefix, &plots::of_comparison(&record.comparison))?;
        }
        let many = calibrations.len() > 1;
        for (name, record) in &calibrations {
            let prefix = if many { format!("{name}-") } else { String::new() };
            write(&prefix, &plots::of_calibrations(&record.found))?;
        }
        let many = trainings.len() > 1;
        for (name, stages) in &trainings {
            let prefix = if many { format!("{name}-") } else { String::new() };
            write(&prefix, &plots::of_training(stages).into_iter().collect::<Vec<_>>())?;
        }
        if !sets.is_empty() {
            let sets: Vec<Examples<'_>> = sets
                .iter()
                .map(|(name, values)| Examples {
                    name: name.clone(),
                    log_likelihoods: values,
                    log_z_std_err: 0.0,
                })
                .collect();
            write("", &[plots::of_likelihoods(&sets)])?;
        }
        if files.is_empty() {
            return Err(Error::Format {
                path: self.files[0].clone(),
                message: "there is nothing to draw: a run of an exact method on a model without pictures, or a study \
                          without a run"
                    .into(),
            }
            .into());
        }
        Ok(Report { text: pictures::listed(&files), warnings, converged: true })
    }

    fn of_run(&self, path: &Path, record: &RunRecord, warnings: &mut Vec<String>) -> Result<Vec<Figure>> {
        let model = pictures::model_of(path, record, &self.options);
        let data = pictures::data_beside(record, &model, warnings);
        if let (Some([one, other]), Ok(model)) = (self.axes, &model) {
            let dim = model.space().dim;
            if one.max(other) >= dim || one == other {
                let expected = format!("two different coordinates of {dim}, counted from 0");
                return Err(setting("--axes", format!("{one},{other}"), expected).into());
            }
        }
        Ok(pictures::of_run(record, model.as_ref().ok(), data.as_ref().map(|data| data.view()), self.axes))
    }
}

/// `test`, and `test (against)` for the other model's column.
fn called(file: &str, column: &str) -> String {
    match column.strip_prefix("log_likelihood_") {
        Some(other) => format!("{file} ({other})"),
        None => file.to_owned(),
    }
}

/// A name for each file: its stem, or what was typed where stems are alike.
fn names(files: &[PathBuf]) -> Vec<String> {
    let stem = |path: &PathBuf| {
        path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned())
    };
    let mut times: HashMap<String, usize> = HashMap::new();
    for path in files {
        *times.entry(stem(path)).or_default() += 1;
    }
    let mut used: HashMap<String, usize> = HashMap::new();
    files
        .iter()
        .map(|path| {
            let name = if times[&stem(path)] == 1 {
                stem(path)
            } else {
                path.with_extension("").to_string_lossy().replace(['/', '\\', ':'], "-")
            };
            let count = used.entry(name.clone()).or_default();
            *count += 1;
            if *count == 1 { name } else { format!("{name}-{count}") }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_has_a_name_of_its_own() {
        let files = ["a/run.json", "b/run.json", "b/run.json", "other.json"].map(PathBuf::from);
        assert_eq!(names(&files), ["a-run", "b-run", "b-run-2", "other"]);
    }
}
