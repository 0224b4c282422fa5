//! What is asked of every family.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use lnz::estimators::tracker::Tracking;
use lnz::io;
use lnz::models::{Domain, Space};
use lnz::training::{Negative, Schedule};
use ndarray::Array2;

use super::super::arguments::{self, Running};
use super::super::output;
use super::super::pictures::Pictures;

/// What is asked of every family.
#[derive(Debug, Args)]
pub(super) struct Common {
    /// Training data: a row per example (.npy, .npz, .csv, idx, …)
    #[arg(long, value_name = "FILE")]
    pub data: PathBuf,
    /// Data that training does not see, whose likelihood is shown as well
    #[arg(long, value_name = "FILE")]
    pub valid: Option<PathBuf>,
    /// Data values above T become 1, others 0
    #[arg(long, value_name = "T", value_parser = arguments::finite, allow_negative_numbers = true)]
    pub binarize: Option<f64>,
    /// Where to write the model
    #[arg(long, value_name = "FILE.safetensors|.npz")]
    pub out: PathBuf,
    /// Where to write a row of figures for each epoch
    #[arg(long, value_name = "FILE.csv|.npz|.json")]
    pub history: Option<PathBuf>,
    /// Keep the model of each epoch in this directory, and what --resume needs
    #[arg(long, value_name = "DIR")]
    pub checkpoints: Option<PathBuf>,
    /// Go on after the last epoch in --checkpoints, to the same numbers as without the break
    #[arg(long, requires = "checkpoints")]
    pub resume: bool,
    /// Stop when the likelihood of --valid has not risen for N epochs, and keep the model where it was highest
    #[arg(long, value_name = "N", requires = "valid", value_parser = arguments::count, allow_negative_numbers = true)]
    pub patience: Option<usize>,
    #[command(flatten)]
    pub pictures: Pictures,
    /// Passes over the data
    #[arg(long, value_name = "N", default_value_t = Schedule::default().epochs)]
    pub epochs: usize,
    /// Rows of data to an update
    #[arg(long, value_name = "N", default_value_t = Schedule::default().batch_size)]
    batch_size: usize,
    /// Learning rate of the first update [default: 0.05, and 0.001 for networks]
    #[arg(long, value_name = "RATE", allow_negative_numbers = true)]
    learning_rate: Option<f64>,
    /// Learning rate of the last update
    #[arg(long, value_name = "RATE", default_value_t = Schedule::default().final_learning_rate, allow_negative_numbers = true)]
    final_learning_rate: f64,
    /// Pull of the weights towards 0 [default: 0.001, and 0 for networks]
    #[arg(long, value_name = "LAMBDA", allow_negative_numbers = true)]
    weight_decay: Option<f64>,
    /// Do not track log Z
    #[arg(long)]
    pub no_track: bool,
    #[command(flatten)]
    pub following: Following,
    /// Seed of all random streams
    #[arg(long, value_name = "N", default_value = "1", value_parser = arguments::seed, allow_negative_numbers = true)]
    pub seed: u64,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub running: Running,
}

/// How log Z is tracked.
#[derive(Debug, Args)]
pub(in crate::cli) struct Following {
    /// Chains that follow the model to track log Z; with 0, a tempering ladder alone
    #[arg(long, value_name = "N", default_value_t = Tracking::default().chains)]
    walkers: usize,
    /// Anneal these chains anew after N models at the latest, and show how far they were off
    #[arg(long, value_name = "N", default_value_t = Tracking::default().every)]
    anchor_every: usize,
    /// Sweeps of single chains that annealing takes, and the longest run of a ladder; four times as many after the last epoch
    #[arg(long, value_name = "N", default_value_t = Tracking::default().anchor)]
    anchor_sweeps: u64,
}

impl Following {
    pub(in crate::cli) fn settings(&self, seed: u64) -> Tracking {
        Tracking {
            chains: self.walkers,
            every: self.anchor_every,
            anchor: self.anchor_sweeps,
            seed,
            ..Tracking::default()
        }
    }
}

pub(super) fn negative(text: &str) -> Result<Negative, String> {
    arguments::named(&Negative::NAMES, text)
}

/// What is trained on, and what is looked at.
pub(super) struct Data {
    pub train: Array2<f64>,
    pub valid: Option<Array2<f64>>,
}

impl Common {
    /// With the family's `defaults` for what was not said.
    pub(super) fn schedule(&self, defaults: &Schedule) -> Schedule {
        Schedule {
            epochs: self.epochs,
            batch_size: self.batch_size,
            learning_rate: self.learning_rate.unwrap_or(defaults.learning_rate),
            final_learning_rate: self.final_learning_rate,
            weight_decay: self.weight_decay.unwrap_or(defaults.weight_decay),
            seed: self.seed,
        }
    }

    /// Refuses what could not be done or written, before any file is read.
    pub(super) fn check(&self, settings: impl FnOnce() -> lnz::Result<()>) -> Result<()> {
        self.running.start()?;
        let inputs: Vec<&Path> =
            [Some(&self.data), self.valid.as_ref()].into_iter().flatten().map(PathBuf::as_path).collect();
        output::check("--out", &self.out, &["safetensors", "npz"], &inputs)?;
        if let Some(history) = &self.history {
            if std::path::absolute(history).ok() == std::path::absolute(&self.out).ok() {
                let expected = "the history needs another file than --out";
                return Err(arguments::setting("--history", history.display(), expected).into());
            }
            output::check(
                "--history",
                history,
                &["csv", "npz", "json"],
                &[&inputs[..], &[&self.out]].concat(),
            )?;
        }
        if let Some(directory) = &self.checkpoints {
            output::check_directory(directory, "--checkpoints")?;
        }
        self.pictures.check()?;
        self.following.settings(self.seed).check()?;
        if self.patience.is_some() && self.no_track {
            let expected = "with --no-track there is no likelihood to stop by; leave one of them out";
            return Err(arguments::setting("--patience", self.patience.unwrap_or(0), expected).into());
        }
        Ok(settings()?)
    }

    /// Rows that lie in the first of `domains` that holds the training data; `hint` ends the error where none does, and real numbers
    /// would.
    pub(super) fn read(&self, domains: &[Domain], hint: &str) -> Result<Data> {
        let named = |path: &Path, error: lnz::Error| lnz::Error::Data {
            message: format!("{}: {error}", path.display()),
        };
        let train = io::read_data(&self.data, self.binarize)?;
        let spaces: Vec<Space> =
            domains.iter().map(|domain| Space::new(train.ncols(), domain.clone())).collect();
        let space = spaces.iter().find(|space| space.check(train.view()).is_ok()).unwrap_or(&spaces[0]);
        if let Err(error) = space.check(train.view()) {
            let mut message = named(&self.data, error).to_string();
            if Space::new(train.ncols(), Domain::Real).check(train.view()).is_ok() {
                message += hint;
            }
            return Err(lnz::Error::Data { message }.into());
        }
        let valid = self.valid.as_ref().map(|path| {
            let rows = io::read_data(path, self.binarize)?;
            space.check(rows.view()).map_err(|error| named(path, error))?;
            Ok::<_, lnz::Error>(rows)
        });
        let valid = valid.transpose()?;
        Ok(Data { train, valid })
    }
}
