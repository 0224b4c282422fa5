//! `lnz estimate`: log Z of a model, by whatever suits it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use clap::{Args, ValueEnum};
use lnz::estimators::{self, Estimate, Estimator, Settings};
use lnz::io::RunRecord;
use lnz::io::energies::write_energies;
use lnz::io::record::{DataRecord, ModelRecord};
use lnz::models::Model;

use super::arguments::{self, Effort, Running, Training, Walk, setting};
use super::model::{Choice, Options, Source};
use super::pictures::{self, Pictures};
use super::progress::Progress;
use super::{Report, output, per_class, print};

/// Longest exact computation that `auto` prefers to sampling, in seconds.
pub(super) const SOON: f64 = 10.0;
/// Most memory that `auto` gives to one, in bytes.
const SMALL: f64 = 4e9;

/// What the name of a tempering run's energies ends in, where its record's ends in `json`.
pub(crate) const ENERGIES: &str = "energies.npz";

/// Options that a record holds.
const RECORDED: &[&str] = &[
    "method",
    "target_se",
    "max_time",
    "seed",
    "chains",
    "rungs",
    "waste_free",
    "schedule",
    "kernel",
    "reference",
    "level",
    "binarize",
    "temperature",
    "domain",
    "confine",
];

/// Estimate log Z of a model, with an error bar and a verdict
///
/// Needs no option: small models are computed exactly, others by annealed importance sampling with pilots that choose schedule,
/// rungs and chains, with resampling where weights drift apart (smc), and with independent runs that the answer is held against.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    choice: Choice,
    /// auto (exact where that takes under ten seconds, else smc), or a name from lnz list
    #[arg(long, value_name = "NAME", default_value = "auto")]
    method: String,
    /// Which estimators to show side by side on the states of a tempering run, of mbar, bar, stepping-stone, ti [default: all]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    with: Vec<Way>,
    #[command(flatten)]
    effort: Effort,
    #[command(flatten)]
    walk: Walk,
    #[command(flatten)]
    training: Training,
    #[command(flatten)]
    pub(super) options: Options,
    /// Make the run of a record again, to the bit on the same machine: its method, settings, temperature and domain, and as much as
    /// its time limit allowed then. --data says where its data are now
    #[arg(long, value_name = "RUN.json", conflicts_with_all = RECORDED)]
    replay: Option<PathBuf>,
    /// Write the run record, with log-weights, schedule and pilots, for lnz evaluate and for plots
    #[arg(long, value_name = "RUN.json")]
    out: Option<PathBuf>,
    #[command(flatten)]
    pictures: Pictures,
    /// With --output logits: log Z of every class's own energy -f_y(x), and p(y), their shares. Each class has a run of its own, with
    /// seed + y and an equal part of --max-time
    #[arg(long, requires = "meaning", conflicts_with_all = ["class", "replay", "out", "plots", "with"])]
    per_class: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    running: Running,
}

/// Estimators on the states of a tempering run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Way {
    Mbar,
    Bar,
    SteppingStone,
    Ti,
}

impl Way {
    fn name(self) -> &'static str {
        match self {
            Self::Mbar => "mbar",
            Self::Bar => "bar",
            Self::SteppingStone => "stepping-stone",
            Self::Ti => "ti",
        }
    }

    /// Stepping stones go up and down.
    fn includes(self, analysis: &str) -> bool {
        analysis.starts_with(self.name())
    }
}

impl Arguments {
    pub(crate) fn run(&self) -> Result<Report> {
        self.running.start()?;
        if self.per_class {
            return self.every_class();
        }
        let mut inputs: Vec<&Path> = self.choice.file().into_iter().collect();
        inputs.extend(self.training.data.as_deref());
        inputs.extend(self.replay.as_deref());
        inputs.extend(self.walk.schedule_file());
        if let Some(path) = &self.out {
            output::check("--out", path, &["json"], &inputs)?;
            output::check("--out", &path.with_extension(ENERGIES), &["npz"], &inputs)?;
        }
        self.pictures.check()?;
        let replayed = match &self.replay {
            Some(path) => Some((path.as_path(), RunRecord::read(path)?)),
            None => None,
        };
        let mut task = match &replayed {
            Some((path, record)) => self.again(path, record)?,
            None => self.asked()?,
        };
        if !self.with.is_empty() && task.estimator.name() != "tempering" {
            let given = self.with.iter().map(|way| way.name()).collect::<Vec<_>>().join(",");
            let expected =
                format!("these work on the states of --method tempering, not of {}", task.estimator.name());
            return Err(setting("--with", given, expected).into());
        }
        let model = &task.source.model;
        let mut estimate =
            task.estimator.estimate(model, &task.settings, &Progress::new(self.running.quiet))?;
        if !self.with.is_empty() {
            estimate
                .diagnostics
                .analyses
                .retain(|found| self.with.iter().any(|way| way.includes(&found.name)));
        }
        let record = RunRecord::new(
            task.command,
            ModelRecord::new(model, &task.source.name, &task.source.digest),
            task.temperature,
            task.data,
            replayed.as_ref().map_or(&task.settings, |(_, record)| &record.settings),
            &estimate,
        );
        if let Some(path) = &self.out {
            if let Some((samples, reference)) = &estimate.trace.samples {
                write_energies(&path.with_extension(ENERGIES), samples, *reference)
                    .map_err(output::failed)?;
            }
            record.write(path).map_err(output::failed)?;
        }
        self.pictures.draw(|| {
            pictures::of_run(&record, Some(model), task.settings.data.as_ref().map(|data| data.view()), None)
        })?;
        if let Some((path, record)) = &replayed
            && !record.is_repeated_by(&estimate)
        {
            task.source.warnings.push(format!(
                "this is not the log Z = {} of {}: the data changed, or its numbers are those of another machine or version (lnz {})",
                record.estimate.log_z,
                path.display(),
                record.lnz
            ));
        }
        let mut said = report(&task.source, task.temperature, &estimate, self.json, self.running.quiet);
        let ignored = print::given(&[
            "--chains",
            "--rungs",
            "--waste-free",
            "--schedule",
            "--kernel",
            "--reference",
            "--level",
            "--target-se",
            "--data",
        ]);
        if print::is_exact(&estimate) && !ignored.is_empty() && !self.running.quiet {
            said.warnings.push(format!(
                "{} is exact and ignores {}; --method smc would use them",
                estimate.method,
                ignored.join(", ")
            ));
        }
        Ok(said)
    }

    /// The same for each class of a network with logits.
    fn every_class(&self) -> Result<Report> {
        if !self.options.reads_logits() {
            return Err(setting("--per-class", "without --output logits", "classes have logits").into());
        }
        let classes = self.options.classes(&self.choice)?;
        let classes =
            classes.ok_or_else(|| setting("--per-class", self.choice.name(), "it has no logits"))?;
        let run = |class: usize| -> Result<(Source, Estimate)> {
            let mut task = self.asked_of(&self.options.of_class(class))?;
            task.settings.seed = task.settings.seed.wrapping_add(class as u64);
            task.settings.max_time /= classes as f64;
            let progress = Progress::new(self.running.quiet);
            let estimate = task.estimator.estimate(&task.source.model, &task.settings, &progress)?;
            Ok((task.source, estimate))
        };
        let runs = (0..classes).map(|class| {
            run(class).map_err(|error| {
                let message = format!("class {class}: {error}");
                error.context(message)
            })
        });
        let runs = runs.collect::<Result<Vec<_>>>()?;
        Ok(per_class::report(&runs, self.options.temperature, self.json, self.running.quiet))
    }

    /// What the options ask for.
    fn asked(&self) -> Result<Task> {
        self.asked_of(&self.options)
    }

    /// The same of a model that is understood in another way.
    fn asked_of(&self, options: &Options) -> Result<Task> {
        let named = (self.method != "auto").then(|| estimators::by_name(&self.method)).transpose()?;
        let source = options.open(&self.choice)?;
        let data = self.training.read(&source.model.space())?;
        let recorded = self.training.data.as_ref().zip(data.as_ref()).map(|(path, rows)| DataRecord {
            source: path.display().to_string(),
            examples: rows.nrows(),
            binarize: self.training.binarize,
        });
        let settings = arguments::settings(&self.effort, Some(&self.walk), data, &source.model.space())?;
        if let (Some(length), Some(method)) = (settings.waste_free, named)
            && method.name() != "smc"
        {
            let expected =
                format!("it is a way of --method smc, not of {}; leave one of the two out", method.name());
            return Err(setting("--waste-free", length, expected).into());
        }
        let estimator = named.unwrap_or_else(|| choose(&source.model, &settings));
        Ok(Task {
            source,
            temperature: options.temperature,
            data: recorded,
            settings,
            estimator,
            command: command(estimator.name()),
        })
    }

    /// What a record's run was.
    fn again(&self, path: &Path, record: &RunRecord) -> Result<Task> {
        let mut settings = record.replay(path)?;
        let temperature = record.temperature;
        let source = self.options.of(record).open(&self.choice)?;
        record.check_model(path, &source.model, &source.name, &source.digest, temperature)?;
        let data = match (&record.data, &self.training.data) {
            (Some(data), moved) => {
                let file = moved.clone().unwrap_or_else(|| PathBuf::from(&data.source));
                let rows = arguments::read_rows(&file, data.binarize, &source.model.space())?;
                if rows.nrows() != data.examples {
                    let expected = format!(
                        "holds {} examples, but the run of {} used {}; name the file that it used",
                        rows.nrows(),
                        path.display(),
                        data.examples
                    );
                    return Err(setting("--data", file.display(), expected).into());
                }
                settings.data = Some(rows);
                Some(DataRecord { source: file.display().to_string(), ..data.clone() })
            }
            (None, Some(file)) => {
                let expected = format!("the run of {} used no data; leave --data out", path.display());
                return Err(setting("--data", file.display(), expected).into());
            }
            (None, None) => None,
        };
        let estimator = estimators::by_name(&record.estimate.method)?;
        Ok(Task { source, temperature, data, settings, estimator, command: print::command().join(" ") })
    }
}

/// What is to be run.
struct Task {
    source: Source,
    temperature: f64,
    data: Option<DataRecord>,
    settings: Settings,
    estimator: &'static dyn Estimator,
    /// What repeats it.
    command: String,
}

/// The arguments that this run was started with, but with the method that was chosen.
fn command(method: &str) -> String {
    let mut words = print::command();
    match words.iter().position(|word| word == "--method") {
        Some(at) if at + 1 < words.len() => words[at + 1] = method.into(),
        _ => {
            words.retain(|word| !word.starts_with("--method="));
            words.push(format!("--method={method}"));
        }
    }
    words.join(" ")
}

/// What `auto` means: the quickest exact method if it takes neither long nor much memory, else annealing with resampling.
pub(crate) fn choose(model: &Arc<dyn Model>, settings: &Settings) -> &'static dyn Estimator {
    match estimators::quickest_exact(model) {
        Some((exact, plan))
            if plan.bytes <= SMALL
                && plan.seconds.is_none_or(|seconds| seconds < SOON.min(settings.max_time)) =>
        {
            exact
        }
        _ => &estimators::smc::Smc,
    }
}

/// What `estimate` and `exact` say about an estimate.
pub(crate) fn report(
    source: &Source,
    temperature: f64,
    estimate: &Estimate,
    json: bool,
    quiet: bool,
) -> Report {
    let mut warnings = source.warnings.clone();
    let text = if json {
        print::estimate_json(source, temperature, estimate)
    } else {
        warnings.extend(estimate.warnings.iter().map(ToString::to_string));
        print::estimate(source, temperature, estimate)
    };
    if quiet {
        warnings.clear();
    }
    Report { text, warnings, converged: estimate.verdict.is_converged() }
}

/// log Z of a model as `lnz estimate` would find it, for subcommands that need it on the way.
pub(crate) fn quietly(model: &Arc<dyn Model>, settings: &Settings, quiet: bool) -> lnz::Result<Estimate> {
    choose(model, settings).estimate(model, settings, &Progress::new(quiet))
}
