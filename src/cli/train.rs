//! `lnz train`: fits a model to data by maximum likelihood.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use clap::{Args, Subcommand};
use lnz::estimators::{Monitor, Settings, Silent, quickest_exact};
use lnz::io::{self, record::to_json};
use lnz::models::{Domain, Model, Rbm, Space};
use lnz::training::{Epoch, Pcd, pcd};
use ndarray::Array2;
use serde::Serialize;

use super::arguments::{self, Running};
use super::progress::Progress;
use super::table::{or_dash, table};
use super::{Report, output, print};

/// log Z is computed after each epoch where that is predicted to take no longer than this, in seconds.
const QUICK: f64 = 0.5;

/// Fit a model to data by maximum likelihood
///
/// The model is written after each epoch, so that stopping early loses nothing. Where log Z can be summed in half a second (an RBM
/// with up to about 20 units on its smaller side), the exact log-likelihood of each epoch is shown, and kept in --history; otherwise
/// `lnz evaluate OUT --data FILE` gives it afterwards, with an error bar.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    family: Family,
}

#[derive(Debug, Subcommand)]
enum Family {
    Rbm(RbmArguments),
}

/// A restricted Boltzmann machine of bits, by persistent contrastive divergence
///
/// Gradients are centred (arXiv:1311.1354); chains live as long as the training; the learning rate falls linearly.
#[derive(Debug, Args)]
struct RbmArguments {
    /// Training data: rows of bits (.npy, .npz, .csv, idx, …)
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    /// Data that training does not see, whose likelihood is shown as well
    #[arg(long, value_name = "FILE")]
    valid: Option<PathBuf>,
    /// Data values above T become 1, others 0
    #[arg(long, value_name = "T", value_parser = arguments::finite, allow_negative_numbers = true)]
    binarize: Option<f64>,
    /// Where to write the machine
    #[arg(long, value_name = "FILE.safetensors|.npz")]
    out: PathBuf,
    /// Where to write a row of figures for each epoch
    #[arg(long, value_name = "FILE.csv|.npz")]
    history: Option<PathBuf>,
    /// Hidden units
    #[arg(long, value_name = "N", default_value_t = Pcd::default().hidden)]
    hidden: usize,
    /// Passes over the data
    #[arg(long, value_name = "N", default_value_t = Pcd::default().epochs)]
    epochs: usize,
    /// Rows of data to an update
    #[arg(long, value_name = "N", default_value_t = Pcd::default().batch_size)]
    batch_size: usize,
    /// Persistent chains
    #[arg(long, value_name = "N", default_value_t = Pcd::default().chains)]
    chains: usize,
    /// Learning rate of the first update
    #[arg(long, value_name = "RATE", default_value_t = Pcd::default().learning_rate, allow_negative_numbers = true)]
    learning_rate: f64,
    /// Learning rate of the last update
    #[arg(long, value_name = "RATE", default_value_t = Pcd::default().final_learning_rate, allow_negative_numbers = true)]
    final_learning_rate: f64,
    /// Pull of the weights towards 0
    #[arg(long, value_name = "LAMBDA", default_value_t = Pcd::default().weight_decay, allow_negative_numbers = true)]
    weight_decay: f64,
    /// Sweeps of each chain per update
    #[arg(long, value_name = "N", default_value_t = Pcd::default().gibbs_steps)]
    gibbs_steps: usize,
    /// Seed of all random streams
    #[arg(long, value_name = "N", default_value = "1", value_parser = arguments::seed, allow_negative_numbers = true)]
    seed: u64,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    running: Running,
}

/// Figures after an epoch. Log-likelihoods are nats per example, and exact.
#[derive(Clone, Debug, Serialize)]
struct Row {
    epoch: usize,
    reconstruction_error: f64,
    pseudo_log_likelihood: f64,
    energy_gap: f64,
    log_z: Option<f64>,
    log_likelihood: Option<f64>,
    valid_log_likelihood: Option<f64>,
    seconds: f64,
}

impl Row {
    /// The columns of a history; what is not known is NaN.
    fn columns(&self) -> [(&'static str, f64); 8] {
        let known = |value: Option<f64>| value.unwrap_or(f64::NAN);
        [
            ("epoch", self.epoch as f64),
            ("reconstruction_error", self.reconstruction_error),
            ("pseudo_log_likelihood", self.pseudo_log_likelihood),
            ("energy_gap", self.energy_gap),
            ("log_z", known(self.log_z)),
            ("log_likelihood", known(self.log_likelihood)),
            ("valid_log_likelihood", known(self.valid_log_likelihood)),
            ("seconds", self.seconds),
        ]
    }

    /// What a person reads of it.
    fn cells(&self) -> Vec<String> {
        let nats = |value: f64| format!("{value:.3}");
        vec![
            self.epoch.to_string(),
            format!("{:.5}", self.reconstruction_error),
            format!("{:.2}", self.pseudo_log_likelihood),
            format!("{:.1}", self.energy_gap),
            or_dash(self.log_likelihood, nats),
            or_dash(self.valid_log_likelihood, nats),
            format!("{:.1}", self.seconds),
        ]
    }
}

const TITLES: [&str; 7] =
    ["epoch", "reconstruction", "pseudo-log-likelihood", "energy gap", "log-likelihood", "valid", "seconds"];

impl Arguments {
    pub(crate) fn run(&self) -> Result<Report> {
        match &self.family {
            Family::Rbm(arguments) => arguments.run(),
        }
    }
}

impl RbmArguments {
    fn run(&self) -> Result<Report> {
        self.running.start()?;
        let inputs: Vec<&Path> =
            [Some(&self.data), self.valid.as_ref()].into_iter().flatten().map(PathBuf::as_path).collect();
        output::check("--out", &self.out, &["safetensors", "npz"], &inputs)?;
        if let Some(history) = &self.history {
            if std::path::absolute(history).ok() == std::path::absolute(&self.out).ok() {
                let expected = "the history needs another file than --out";
                return Err(arguments::setting("--history", history.display(), expected).into());
            }
            output::check("--history", history, &["csv", "npz"], &[&inputs[..], &[&self.out]].concat())?;
        }
        let settings = self.settings();
        settings.check()?;
        let data = self.rows(&self.data, None)?;
        let valid = self.valid.as_ref().map(|path| self.rows(path, Some(data.ncols()))).transpose()?;

        let begin = Instant::now();
        let progress = Progress::new(self.running.quiet);
        let mut rows: Vec<Row> = Vec::new();
        let rbm = pcd::train(data.view(), &settings, &progress, |epoch| {
            let row = figures(epoch, &data, valid.as_ref(), begin)?;
            io::write::write_rbm(&self.out, &epoch.model)?;
            let lines = table(&TITLES, &[row.cells()]);
            lines.lines().skip(usize::from(!rows.is_empty())).for_each(|line| progress.note(line));
            rows.push(row);
            self.history.as_ref().map_or(Ok(()), |path| write_history(path, &rows))
        })
        .map_err(|error| {
            if matches!(error, lnz::Error::File { .. }) { output::failed(error) } else { error.into() }
        })?;
        drop(progress);
        let text = if self.json { self.to_json(&rows) } else { self.to_text(&rbm, &data, &rows) };
        Ok(Report::new(text))
    }

    fn settings(&self) -> Pcd {
        Pcd {
            hidden: self.hidden,
            epochs: self.epochs,
            batch_size: self.batch_size,
            chains: self.chains,
            learning_rate: self.learning_rate,
            final_learning_rate: self.final_learning_rate,
            weight_decay: self.weight_decay,
            gibbs_steps: self.gibbs_steps,
            seed: self.seed,
        }
    }

    /// Rows of bits, as wide as `width` if that is known.
    fn rows(&self, path: &Path, width: Option<usize>) -> lnz::Result<Array2<f64>> {
        let data = io::read_data(path, self.binarize)?;
        let space = Space::new(width.unwrap_or(data.ncols()), Domain::Bits);
        space
            .check(data.view())
            .map_err(|error| lnz::Error::Data { message: format!("{}: {error}", path.display()) })?;
        Ok(data)
    }

    fn to_text(&self, rbm: &Rbm, data: &Array2<f64>, rows: &[Row]) -> String {
        let last = rows.last().expect("there is an epoch at least");
        let mut lines = vec![
            ("  data", format!("{}, {} examples", self.data.display(), data.nrows())),
            (
                "  method",
                format!("persistent contrastive divergence, {} epochs, {} chains", self.epochs, self.chains),
            ),
        ];
        match (last.log_likelihood, last.log_z) {
            (Some(likelihood), Some(log_z)) => {
                lines.push((
                    "  log-likelihood",
                    format!("{likelihood:.3} nats per example (log Z = {log_z:.6}, exact)"),
                ));
            }
            _ => lines.push((
                "  pseudo-log-likelihood",
                format!(
                    "{:.2} nats per example; for the likelihood: lnz evaluate {} --data {}{}",
                    last.pseudo_log_likelihood,
                    print::quoted(&self.out.display().to_string()),
                    print::quoted(&self.data.display().to_string()),
                    self.binarize.map_or(String::new(), |t| format!(" --binarize {t}"))
                ),
            )),
        }
        if let (Some(likelihood), Some(path)) = (last.valid_log_likelihood, &self.valid) {
            lines.push(("  valid", format!("{likelihood:.3} nats per example of {}", path.display())));
        }
        lines.push((
            "  energy gap",
            format!("{:.1} nats, mean energy of data less that of the chains", last.energy_gap),
        ));
        lines.push(("  time", print::duration(last.seconds)));
        let (visible, hidden) = rbm.weights().dim();
        format!(
            "{}: rbm of {visible} visible and {hidden} hidden units\n{}",
            self.out.display(),
            print::aligned(&lines)
        )
    }

    fn to_json(&self, rows: &[Row]) -> String {
        #[derive(Serialize)]
        struct Whole<'a> {
            out: String,
            data: String,
            method: &'static str,
            settings: Pcd,
            epochs: &'a [Row],
            lnz: &'static str,
        }
        to_json(&Whole {
            out: self.out.display().to_string(),
            data: self.data.display().to_string(),
            method: "pcd",
            settings: self.settings(),
            epochs: rows,
            lnz: env!("CARGO_PKG_VERSION"),
        }) + "\n"
    }
}

/// Figures of an epoch, with log Z where it is quickly summed.
fn figures(
    epoch: &Epoch,
    data: &Array2<f64>,
    valid: Option<&Array2<f64>>,
    begin: Instant,
) -> lnz::Result<Row> {
    let model: Arc<dyn Model> = Arc::new(epoch.model.clone());
    let exact =
        quickest_exact(&model).filter(|(_, plan)| plan.seconds.is_none_or(|seconds| seconds <= QUICK));
    let log_z = exact
        .map(|(estimator, _)| {
            estimator.estimate(&model, &Settings::default(), &Silent).map(|found| found.log_z)
        })
        .transpose()?;
    let likelihood = |rows: &Array2<f64>| Some(-model.energy(rows.view()).mean()? - log_z?);
    Ok(Row {
        epoch: epoch.number,
        reconstruction_error: epoch.reconstruction_error,
        pseudo_log_likelihood: epoch.pseudo_log_likelihood,
        energy_gap: epoch.energy_gap,
        log_z,
        log_likelihood: likelihood(data),
        valid_log_likelihood: valid.and_then(likelihood),
        seconds: begin.elapsed().as_secs_f64(),
    })
}

fn write_history(path: &Path, rows: &[Row]) -> lnz::Result<()> {
    let rows: Vec<_> = rows.iter().map(Row::columns).collect();
    let column = |(i, (name, _)): (usize, &(&str, f64))| {
        ((*name).to_owned(), rows.iter().map(|row| row[i].1).collect::<Vec<f64>>())
    };
    let columns: Vec<_> = rows.first().into_iter().flatten().enumerate().map(column).collect();
    io::write_columns(path, &columns)
}
