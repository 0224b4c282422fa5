//! `lnz train`: fits a model to data by maximum likelihood.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use clap::{Args, Subcommand};
use lnz::estimators::Monitor;
use lnz::estimators::tracker::{Tracked, Tracker, Tracking};
use lnz::io::{self, record::to_json};
use lnz::models::{Base, Domain, Model, Space, Tilt};
use lnz::training::network::Activation;
use lnz::training::{Epoch, Negative, Schedule, Training, boltzmann, network, rbm};
use ndarray::{Array2, s};
use serde::Serialize;

use self::checkpoint::{Checkpoints, Made};
use self::history::Row;
use super::arguments::{self, Running};
use super::model::{DomainChoice, domain};
use super::pictures::Pictures;
use super::progress::Progress;
use super::{Report, output, print};

mod checkpoint;
mod history;

pub(super) use checkpoint::STATE;

/// Rows of data over which the tracker judges how far models are from each other.
pub(super) const JUDGED: usize = 1000;

/// Fit a model to data by maximum likelihood
///
/// After each epoch the model is written, so that stopping early loses nothing, and the mean log-likelihood of the data is shown with
/// the error that log Z leaves in it: log Z is computed where that takes half a second, and tracked by chains that follow the model
/// elsewhere, which take no part in the training. `lnz evaluate OUT --data FILE` gives the last one with a verdict.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    family: Family,
}

#[derive(Debug, Subcommand)]
enum Family {
    Rbm(RbmArguments),
    Boltzmann(BoltzmannArguments),
    Network(NetworkArguments),
}

/// A restricted Boltzmann machine of bits
///
/// Gradients are centred (arXiv:1311.1354), the learning rate falls linearly.
#[derive(Debug, Args)]
struct RbmArguments {
    #[command(flatten)]
    common: Common,
    /// Hidden units
    #[arg(long, value_name = "N", default_value_t = rbm::Settings::default().hidden)]
    hidden: usize,
    /// Means under the model: pcd (persistent chains), cd (chains from the batch), tempering (persistent chains that exchange with
    /// others at lower beta) or exact (up to 20 units on the smaller side)
    #[arg(long, value_name = "NAME", value_parser = negative, default_value = "pcd")]
    negative: Negative,
    /// Chains
    #[arg(long, value_name = "N", default_value_t = rbm::Settings::default().chains)]
    chains: usize,
    /// Sweeps of each chain per update
    #[arg(long, value_name = "N", default_value_t = rbm::Settings::default().gibbs_steps)]
    gibbs_steps: usize,
    /// Values of beta, from 1 to 0, with --negative tempering
    #[arg(long, value_name = "N", default_value_t = rbm::Settings::default().temperatures)]
    temperatures: usize,
}

/// A Boltzmann machine without hidden units, of bits or spins (an Ising model on any graph)
///
/// From near the maximum of the pseudo-likelihood up the gradient of the likelihood; the data are bits, or spins of -1 and 1.
#[derive(Debug, Args)]
struct BoltzmannArguments {
    #[command(flatten)]
    common: Common,
    /// Means under the model: exact (up to 20 units), pcd (persistent chains) or cd (chains from the batch) [default: exact where
    /// it can be, else pcd]
    #[arg(long, value_name = "NAME", value_parser = negative)]
    negative: Option<Negative>,
    /// Chains
    #[arg(long, value_name = "N", default_value_t = boltzmann::Settings::default().chains)]
    chains: usize,
    /// Sweeps of each chain per update
    #[arg(long, value_name = "N", default_value_t = boltzmann::Settings::default().gibbs_steps)]
    gibbs_steps: usize,
}

/// A perceptron as the energy of continuous data
///
/// Its density is exp(-E(x)) against a base, a normal or a box, so that Z exists. Parameters are moved by Adam. The file holds the layers
/// as PyTorch names them, `0.weight`, `0.bias`, `2.weight`, …; what is printed at the end says how to read it.
#[derive(Debug, Args)]
struct NetworkArguments {
    #[command(flatten)]
    common: Common,
    /// Units of each hidden layer
    #[arg(long, value_name = "N,N,…", value_delimiter = ',', default_value = "128,128", value_parser = arguments::count)]
    layers: Vec<usize>,
    /// Function between layers: silu, softplus, tanh or relu
    #[arg(long, value_name = "NAME", default_value = "silu", value_parser = activation)]
    activation: Activation,
    /// What the density is against: gaussian:MEAN,SD, or box:LO,HI (or LO,HI for each coordinate) [default: a normal of the data's mean
    /// and twice their standard deviation]
    #[arg(long, value_name = "DOMAIN", value_parser = domain, allow_hyphen_values = true)]
    domain: Option<DomainChoice>,
    /// persistent (maximum likelihood with chains that are kept), score-matching (of data with noise added) or noise-contrast
    /// (against draws of the base, with log Z learnt)
    #[arg(long, value_name = "NAME", default_value = "persistent", value_parser = method)]
    method: network::Method,
    /// Chains that are kept, from which each update takes as many as there are rows in a batch
    #[arg(long, value_name = "N", default_value_t = network::Settings::default().buffer)]
    buffer: usize,
    /// Langevin steps of these per update
    #[arg(long, value_name = "N", default_value_t = network::Settings::default().steps)]
    steps: usize,
    /// Standard deviation of the noise of score matching, as a share of the data's
    #[arg(long, value_name = "SHARE", default_value_t = network::Settings::default().noise, allow_negative_numbers = true)]
    noise: f64,
    /// Draws of the base to a row of data, with noise contrast
    #[arg(long, value_name = "N", default_value_t = network::Settings::default().contrasts)]
    contrasts: usize,
}

fn activation(text: &str) -> Result<Activation, String> {
    arguments::named(&Activation::NAMES, text)
}

fn method(text: &str) -> Result<network::Method, String> {
    arguments::named(&network::Method::NAMES, text)
}

/// What is asked of every family.
#[derive(Debug, Args)]
struct Common {
    /// Training data: a row per example (.npy, .npz, .csv, idx, …)
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    /// Data that training does not see, whose likelihood is shown as well
    #[arg(long, value_name = "FILE")]
    valid: Option<PathBuf>,
    /// Data values above T become 1, others 0
    #[arg(long, value_name = "T", value_parser = arguments::finite, allow_negative_numbers = true)]
    binarize: Option<f64>,
    /// Where to write the model
    #[arg(long, value_name = "FILE.safetensors|.npz")]
    out: PathBuf,
    /// Where to write a row of figures for each epoch
    #[arg(long, value_name = "FILE.csv|.npz|.json")]
    history: Option<PathBuf>,
    /// Keep the model of each epoch in this directory, and what --resume needs
    #[arg(long, value_name = "DIR")]
    checkpoints: Option<PathBuf>,
    /// Go on after the last epoch in --checkpoints, to the same numbers as without the break
    #[arg(long, requires = "checkpoints")]
    resume: bool,
    /// Stop when the likelihood of --valid has not risen for N epochs, and keep the model where it was highest
    #[arg(long, value_name = "N", requires = "valid", value_parser = arguments::count, allow_negative_numbers = true)]
    patience: Option<usize>,
    #[command(flatten)]
    pictures: Pictures,
    /// Passes over the data
    #[arg(long, value_name = "N", default_value_t = Schedule::default().epochs)]
    epochs: usize,
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
    no_track: bool,
    #[command(flatten)]
    following: Following,
    /// Seed of all random streams
    #[arg(long, value_name = "N", default_value = "1", value_parser = arguments::seed, allow_negative_numbers = true)]
    seed: u64,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    running: Running,
}

/// How log Z is tracked.
#[derive(Debug, Args)]
pub(super) struct Following {
    /// Chains that follow the model to track log Z
    #[arg(long, value_name = "N", default_value_t = Tracking::default().chains)]
    walkers: usize,
    /// Anneal these chains anew after N models at the latest, and show how far they were off
    #[arg(long, value_name = "N", default_value_t = Tracking::default().every)]
    anchor_every: usize,
    /// Sweeps of single chains that annealing takes
    #[arg(long, value_name = "N", default_value_t = Tracking::default().anchor)]
    anchor_sweeps: u64,
}

impl Following {
    pub(super) fn settings(&self, seed: u64) -> Tracking {
        Tracking {
            chains: self.walkers,
            every: self.anchor_every,
            anchor: self.anchor_sweeps,
            seed,
            ..Tracking::default()
        }
    }
}

fn negative(text: &str) -> Result<Negative, String> {
    arguments::named(&Negative::NAMES, text)
}

impl Arguments {
    pub(crate) fn run(&self) -> Result<Report> {
        match &self.family {
            Family::Rbm(arguments) => arguments.run(),
            Family::Boltzmann(arguments) => arguments.run(),
            Family::Network(arguments) => arguments.run(),
        }
    }
}

impl RbmArguments {
    fn run(&self) -> Result<Report> {
        let settings = rbm::Settings {
            schedule: self.common.schedule(&Schedule::default()),
            hidden: self.hidden,
            negative: self.negative,
            chains: self.chains,
            gibbs_steps: self.gibbs_steps,
            temperatures: self.temperatures,
        };
        self.common.check(|| settings.check())?;
        let data = self.common.read(&[Domain::Bits])?;
        let training = rbm::training(data.train.view(), &settings)?;
        self.common.run("rbm", training, &settings.negative.to_string(), "", &data, &settings)
    }
}

impl BoltzmannArguments {
    fn run(&self) -> Result<Report> {
        let settings = boltzmann::Settings {
            schedule: self.common.schedule(&Schedule::default()),
            negative: self.negative,
            chains: self.chains,
            gibbs_steps: self.gibbs_steps,
        };
        self.common.check(|| settings.check())?;
        let data = self.common.read(&[Domain::Bits, Domain::Spins])?;
        let training = boltzmann::training(data.train.view(), &settings)?;
        let negative = settings.negative_for(data.train.ncols());
        self.common.run("boltzmann", training, &negative.to_string(), "", &data, &settings)
    }
}

impl NetworkArguments {
    fn run(&self) -> Result<Report> {
        let settings = network::Settings {
            schedule: self.common.schedule(&network::Settings::default().schedule),
            layers: self.layers.clone(),
            activation: self.activation,
            method: self.method,
            buffer: self.buffer,
            steps: self.steps,
            noise: self.noise,
            contrasts: self.contrasts,
            ..network::Settings::default()
        };
        self.common.check(|| settings.check())?;
        let data = self.common.read(&[Domain::Real])?;
        let base = self.domain.as_ref().map_or(Base::Own, |domain| domain.base(data.train.ncols()));
        if matches!(self.domain, Some(DomainChoice::Real)) {
            let expected = "a network may have no integral over all real numbers; name a box or a normal, or leave it out";
            return Err(arguments::setting("--domain", "real", expected).into());
        }
        let settings = network::Settings { base, ..settings };
        let training = network::training(data.train.view(), &settings)?;
        let tilt = Tilt { base: settings.base_for(data.train.view()), confinement: 0.0 };
        let reading = format!(" --activation {} {tilt}", self.activation.name());
        self.common.run("network", training, &settings.method.to_string(), &reading, &data, &settings)
    }
}

/// What is trained on, and what is looked at.
struct Data {
    train: Array2<f64>,
    valid: Option<Array2<f64>>,
}

impl Common {
    /// With the family's `defaults` for what was not said.
    fn schedule(&self, defaults: &Schedule) -> Schedule {
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
    fn check(&self, settings: impl FnOnce() -> lnz::Result<()>) -> Result<()> {
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

    /// Rows that lie in the first of `domains` that holds the training data.
    fn read(&self, domains: &[Domain]) -> Result<Data> {
        let named = |path: &Path, error: lnz::Error| lnz::Error::Data {
            message: format!("{}: {error}", path.display()),
        };
        let train = io::read_data(&self.data, self.binarize)?;
        let spaces: Vec<Space> =
            domains.iter().map(|domain| Space::new(train.ncols(), domain.clone())).collect();
        let space = spaces.iter().find(|space| space.check(train.view()).is_ok()).unwrap_or(&spaces[0]);
        space.check(train.view()).map_err(|error| named(&self.data, error))?;
        let valid = self.valid.as_ref().map(|path| {
            let rows = io::read_data(path, self.binarize)?;
            space.check(rows.view()).map_err(|error| named(path, error))?;
            Ok::<_, lnz::Error>(rows)
        });
        let valid = valid.transpose()?;
        Ok(Data { train, valid })
    }

    /// The training, from its start or from where it was left; `reading` are the options with which its file is read.
    fn run(
        &self,
        family: &'static str,
        mut training: Training<'_>,
        method: &str,
        reading: &str,
        data: &Data,
        settings: &impl Serialize,
    ) -> Result<Report> {
        let tracking = (!self.no_track).then(|| self.following.settings(self.seed));
        let made = Made::new(family, settings, tracking.as_ref(), data);
        let checkpoints = self.checkpoints.as_deref().map(|directory| Checkpoints::new(directory, made));
        let mut tracker = tracking.map(Tracker::new).transpose()?;
        let mut rows: Vec<Row> = Vec::new();
        if self.resume {
            let checkpoints = checkpoints.as_ref().expect("clap asks for them");
            (training, tracker, rows) = checkpoints.resume(training, tracker)?;
        } else if let Some(checkpoints) = &checkpoints {
            checkpoints.begin()?;
        }
        let begin = Instant::now();
        let before = rows.last().map_or(0.0, |row| row.seconds);
        let progress = Progress::new(self.running.quiet);
        let mut shown = false;
        let mut last = None;
        while !self.patient_enough(&rows)
            && let Some(epoch) = training.epoch(&progress)?
        {
            if let Some(tracker) = tracker.as_mut().filter(|_| epoch.number == self.epochs) {
                tracker.renew();
            }
            let mut row = look(&epoch, data, tracker.as_mut(), &progress)?;
            row.seconds = before + begin.elapsed().as_secs_f64();
            rows.push(row);
            history::lines(&rows[rows.len() - 1..])
                .lines()
                .skip(usize::from(shown))
                .for_each(|line| progress.note(line));
            shown = true;
            let best = self.patience.is_none() || best(&rows) + 1 == rows.len();
            if best {
                io::write_model(&self.out, &epoch.model).map_err(output::failed)?;
            }
            if let Some(checkpoints) = &checkpoints {
                checkpoints.keep(&epoch, &training, tracker.as_ref(), &rows).map_err(output::failed)?;
            }
            if let Some(path) = &self.history {
                history::write(path, &rows).map_err(output::failed)?;
            }
            last = Some(epoch.model);
        }
        drop(progress);
        let Some(model) = last else {
            let expected = format!("there is nothing left to do after epoch {}", rows.len());
            let directory = self.checkpoints.as_deref().unwrap_or(&self.out);
            return Err(arguments::setting("--resume", directory.display(), expected).into());
        };
        self.draw(&rows, &model, data)?;
        let text = if self.json {
            self.to_json(family, settings, &rows)
        } else {
            self.to_text(&model, method, reading, data, &rows)
        };
        Ok(Report::new(text))
    }

    /// Whether the likelihood of validation data has not risen for as long as was asked.
    fn patient_enough(&self, rows: &[Row]) -> bool {
        self.patience.is_some_and(|patience| !rows.is_empty() && rows.len() > best(rows) + patience)
    }

    fn draw(&self, rows: &[Row], model: &Arc<dyn Model>, data: &Data) -> Result<()> {
        let Some(directory) = self.pictures.directory() else { return Ok(()) };
        let stages: Vec<_> = rows.iter().map(Row::stage).collect();
        let log_z = rows.last().and_then(|row| row.tracked).map_or(0.0, |tracked| tracked.log_z);
        let figures = super::pictures::of_training(&stages, model, log_z, data.train.view(), self.seed);
        super::pictures::write(directory, "", &figures, super::pictures::Format::Svg)?;
        Ok(())
    }

    fn to_text(
        &self,
        model: &Arc<dyn Model>,
        method: &str,
        reading: &str,
        data: &Data,
        rows: &[Row],
    ) -> String {
        let at = if self.patience.is_some() { best(rows) } else { rows.len() - 1 };
        let last = &rows[at];
        let mut lines = vec![
            ("  data", format!("{}, {} examples", self.data.display(), data.train.nrows())),
            ("  method", format!("{method}, {} epochs", rows.len())),
        ];
        if self.patience.is_some() {
            let stopped = if rows.len() < self.epochs { ", and training stopped" } else { "" };
            lines.push(("  kept", format!("epoch {}, where --valid was likeliest{stopped}", last.epoch)));
        }
        if let (Some(likelihood), Some(tracked)) = (last.log_likelihood, last.tracked) {
            let Tracked { log_z, std_err, source, .. } = tracked;
            let [likelihood, log_z] = [likelihood, log_z].map(|value| print::tracked(value, std_err));
            lines.push((
                "  log-likelihood",
                format!("{likelihood} nats per example (log Z = {log_z}, {source})"),
            ));
        }
        if let (Some(likelihood), Some(path)) = (last.valid_log_likelihood, &self.valid) {
            let value = print::tracked(likelihood, last.error());
            lines.push(("  valid", format!("{value} nats per example of {}", path.display())));
        }
        if last.tracked.is_none_or(|tracked| tracked.std_err != 0.0) || !reading.is_empty() {
            lines.push((
                "  for a verdict",
                format!(
                    "lnz evaluate {}{reading} --data {}{}",
                    print::quoted(&self.out.display().to_string()),
                    print::quoted(&self.valid.as_ref().unwrap_or(&self.data).display().to_string()),
                    self.binarize.map_or(String::new(), |t| format!(" --binarize {t}"))
                ),
            ));
        }
        if let Some(gap) = last.figures.get("energy_gap") {
            lines.push((
                "  energy gap",
                format!("{gap:.1} nats, mean energy of data less that of the chains"),
            ));
        }
        lines.push(("  time", print::duration(rows[rows.len() - 1].seconds)));
        // What is counted, such as units; other facts are not about its size.
        let sizes = model.facts().into_iter().filter(|(_, value)| value.parse::<usize>().is_ok());
        let sizes: Vec<String> = sizes.map(|(name, value)| format!("{value} {name}")).collect();
        format!(
            "{}: {} of {}\n{}",
            self.out.display(),
            model.kind(),
            sizes.join(", "),
            print::aligned(&lines)
        )
    }

    fn to_json(&self, family: &'static str, settings: &impl Serialize, rows: &[Row]) -> String {
        #[derive(Serialize)]
        struct Whole<'a, S> {
            out: String,
            data: String,
            family: &'static str,
            settings: &'a S,
            kept: usize,
            epochs: &'a [Row],
            lnz: &'static str,
        }
        let at = if self.patience.is_some() { best(rows) } else { rows.len() - 1 };
        to_json(&Whole {
            out: self.out.display().to_string(),
            data: self.data.display().to_string(),
            family,
            settings,
            kept: rows[at].epoch,
            epochs: rows,
            lnz: env!("CARGO_PKG_VERSION"),
        }) + "\n"
    }
}

/// The row where validation data were likeliest.
fn best(rows: &[Row]) -> usize {
    let likelihood = |row: &Row| row.valid_log_likelihood.unwrap_or(f64::NEG_INFINITY);
    (0..rows.len()).rev().max_by(|&i, &j| likelihood(&rows[i]).total_cmp(&likelihood(&rows[j]))).unwrap_or(0)
}

/// Figures of an epoch, with log Z where it is tracked.
fn look(
    epoch: &Epoch,
    data: &Data,
    tracker: Option<&mut Tracker>,
    monitor: &dyn Monitor,
) -> lnz::Result<Row> {
    let seen = data.train.slice(s![..data.train.nrows().min(JUDGED), ..]);
    let tracked = tracker.map(|tracker| tracker.follow(&epoch.model, seen, monitor)).transpose()?;
    let likelihood = |rows: &Array2<f64>| Some(-epoch.model.energy(rows.view()).mean()? - tracked?.log_z);
    Ok(Row::new(epoch, tracked, likelihood(&data.train), data.valid.as_ref().and_then(likelihood)))
}
