//! `lnz track`: log Z and the likelihood along a row of checkpoints.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use clap::Args;
use lnz::estimators::tracker::{Tracked, Tracker};
use lnz::io::{self, record::to_json};
use lnz::models::{Model, energies};
use lnz::plots::{self, Stage};
use lnz::{Error, sampling, wording};
use ndarray::{Array2, s};
use serde::Serialize;

use super::arguments::{self, Running, read_rows};
use super::model::Options;
use super::pictures::Pictures;
use super::progress::Progress;
use super::table::{or_dash, table};
use super::train::{Following, JUDGED};
use super::{Report, output, print};

/// What a file of a directory ends in to be a checkpoint.
const EXTENSIONS: &[&str] = &["safetensors", "npz", "mat", "onnx"];
/// Draws of each of two models that tell how far they are from each other, where there are no data.
const DRAWS: usize = 256;
/// Sweeps that drawing them takes at least.
const LEAST_SWEEPS: u64 = 1 << 16;

/// Estimate log Z of each of a row of checkpoints, and the likelihood of data along it
///
/// Chains are annealed at the first model and follow from each to the next; where a model is too far from the one before, or lies on a
/// continuous space, chains are annealed anew; where they lose their error bar, a tempering ladder takes over; and where log Z is quickly
/// summed, it is. Numbers in the names of files are sorted as numbers.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// A directory of model files, such as --checkpoints of lnz train makes, or the files in their order
    #[arg(required = true, value_name = "DIR|FILE")]
    checkpoints: Vec<PathBuf>,
    /// Training data: a row per example (.npy, .npz, .csv, idx, …)
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// Data that training did not see
    #[arg(long, value_name = "FILE")]
    valid: Option<PathBuf>,
    /// Data values above T become 1, others 0
    #[arg(long, value_name = "T", value_parser = arguments::finite, allow_negative_numbers = true)]
    binarize: Option<f64>,
    #[command(flatten)]
    following: Following,
    /// Seed of all random streams
    #[arg(long, value_name = "N", default_value = "1", value_parser = arguments::seed, allow_negative_numbers = true)]
    seed: u64,
    #[command(flatten)]
    pub(super) options: Options,
    #[command(flatten)]
    pictures: Pictures,
    /// Write the table
    #[arg(long, value_name = "FILE.csv|FILE.npz")]
    out: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    running: Running,
}

/// A checkpoint and what is known of it.
#[derive(Debug, Serialize)]
struct Row {
    checkpoint: String,
    #[serde(flatten)]
    tracked: Tracked,
    /// Nats per example.
    log_likelihood: Option<f64>,
    valid_log_likelihood: Option<f64>,
}

impl Arguments {
    pub(crate) fn run(&self) -> Result<Report> {
        self.running.start()?;
        let files = self.files()?;
        if let Some(path) = &self.out {
            let inputs: Vec<&Path> =
                files.iter().chain(&self.data).chain(&self.valid).map(PathBuf::as_path).collect();
            output::check("--out", path, &["csv", "npz"], &inputs)?;
        }
        self.pictures.check()?;
        let mut tracker = Tracker::new(self.following.settings(self.seed))?;
        let first = self.options.load(&files[0].display().to_string())?;
        let space = first.model.space();
        let read = |path: &Option<PathBuf>| {
            path.as_ref().map(|path| read_rows(path, self.binarize, &space)).transpose()
        };
        let (data, valid) = (read(&self.data)?, read(&self.valid)?);
        let progress = Progress::new(self.running.quiet);
        let mut warnings = first.warnings.clone();
        let mut rows: Vec<Row> = Vec::new();
        let mut before = None;
        for path in &files {
            let name = path.display().to_string();
            let model = self.options.load(&name)?.model;
            if model.space() != space {
                let message = format!("{name} lies on {}, and the first on {space}", model.space());
                return Err(Error::Data { message }.into());
            }
            let judges = match data.as_ref().or(valid.as_ref()) {
                Some(data) => data.slice(s![..data.nrows().min(JUDGED), ..]).to_owned(),
                None => self.drawn(&model, before.as_ref(), &progress)?,
            };
            let tracked = tracker.follow(&model, judges.view(), &progress)?;
            let likelihood = |rows: &Option<Array2<f64>>| {
                Some(-energies(&*model, rows.as_ref()?.view()).mean()? - tracked.log_z)
            };
            rows.push(Row {
                checkpoint: name,
                tracked,
                log_likelihood: likelihood(&data),
                valid_log_likelihood: likelihood(&valid),
            });
            before = Some(model);
        }
        drop(progress);
        if let Some(path) = &self.out {
            io::write_columns(path, &columns(&rows)).map_err(output::failed)?;
        }
        let stages: Vec<Stage> = rows.iter().enumerate().map(stage).collect();
        self.pictures.draw(|| plots::of_training(&stages).into_iter().collect())?;
        if self.running.quiet {
            warnings.clear();
        }
        let text = if self.json { to_json(&rows) + "\n" } else { text(&rows) };
        Ok(Report { text, warnings, converged: true })
    }

    /// The files, those of a directory in the order of their names.
    fn files(&self) -> Result<Vec<PathBuf>, Error> {
        let [directory] = self.checkpoints.as_slice() else { return Ok(self.checkpoints.clone()) };
        if !directory.is_dir() {
            return Ok(self.checkpoints.clone());
        }
        let failed = |source| Error::File { path: directory.clone(), source };
        let mut files = Vec::new();
        for entry in fs::read_dir(directory).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if EXTENSIONS.contains(&output::extension(&path).as_str())
                && path.file_name().is_some_and(|name| name != super::train::STATE)
            {
                files.push(path);
            }
        }
        files.sort_by_cached_key(|path| wording::natural(&path.to_string_lossy()));
        if files.is_empty() {
            let message = format!("holds no file that ends in .{}", EXTENSIONS.join(", ."));
            return Err(Error::Format { path: directory.clone(), message });
        }
        Ok(files)
    }

    /// States that stand in for data: of the model, and of the one before.
    fn drawn(
        &self,
        model: &Arc<dyn Model>,
        before: Option<&Arc<dyn Model>>,
        progress: &Progress,
    ) -> Result<Array2<f64>, Error> {
        let settings = lnz::estimators::Settings {
            seed: self.seed,
            budget: Some((self.following.settings(self.seed).anchor / 4).max(LEAST_SWEEPS)),
            ..Default::default()
        };
        let draw = |model| sampling::draw(model, DRAWS, &settings, progress).map(|draws| draws.states);
        let mut states = draw(model)?;
        if let Some(before) = before {
            states.append(ndarray::Axis(0), draw(before)?.view()).expect("one space has one width");
        }
        Ok(states)
    }
}

fn stage((number, row): (usize, &Row)) -> Stage {
    Stage {
        at: (number + 1) as f64,
        log_z: Some(row.tracked.log_z),
        std_err: row.tracked.std_err,
        followed: row.tracked.followed,
        log_likelihoods: [row.log_likelihood, row.valid_log_likelihood],
    }
}

fn columns(rows: &[Row]) -> Vec<(String, Vec<f64>)> {
    let known = |value: Option<f64>| value.unwrap_or(f64::NAN);
    let column = |name: &str, of: &dyn Fn(&Row) -> f64| (name.to_owned(), rows.iter().map(of).collect());
    vec![
        ("checkpoint".to_owned(), (1..=rows.len()).map(|number| number as f64).collect()),
        column("log_z", &|row| row.tracked.log_z),
        column("log_z_std_err", &|row| row.tracked.std_err),
        column("effective_sample_size", &|row| row.tracked.effective_sample_size),
        column("log_z_followed", &|row| known(row.tracked.followed.map(|found| found.0))),
        column("log_z_followed_std_err", &|row| known(row.tracked.followed.map(|found| found.1))),
        column("log_likelihood", &|row| known(row.log_likelihood)),
        column("valid_log_likelihood", &|row| known(row.valid_log_likelihood)),
    ]
}

fn text(rows: &[Row]) -> String {
    let titles = ["checkpoint", "log Z", "by", "log-likelihood", "valid", "off"];
    let cells = |row: &Row| {
        let tracked = &row.tracked;
        let nats = |value: f64| print::tracked(value, tracked.std_err);
        vec![
            row.checkpoint.clone(),
            nats(tracked.log_z),
            tracked.source.to_string(),
            or_dash(row.log_likelihood, nats),
            or_dash(row.valid_log_likelihood, nats),
            tracked.discrepancy().map_or(String::new(), |z| format!("{z:+.1} SE")),
        ]
    };
    table(&titles, &rows.iter().map(cells).collect::<Vec<_>>())
}
