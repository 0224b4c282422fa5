//! Options that several subcommands share, and how their values are read.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use lnz::estimators::{KernelChoice, ReferenceChoice, ScheduleChoice, Settings};
use lnz::models::Space;
use lnz::{Error, io, wording};
use ndarray::Array2;

use super::threads;

/// Numbers that all chains together may hold: 2³⁰, 8 GiB as f64.
const MOST_NUMBERS: usize = 1 << 30;

/// How much effort an estimate is worth, and its seed.
#[derive(Debug, Args)]
pub(crate) struct Effort {
    /// Standard error of log Z to aim at, in nats
    #[arg(long, value_name = "NATS", default_value = "0.1", value_parser = positive, allow_negative_numbers = true)]
    pub(crate) target_se: f64,
    /// Time limit over all phases: seconds, or 90s, 5m, 1h
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = seconds, allow_negative_numbers = true)]
    pub(crate) max_time: f64,
    /// Seed of all random streams
    #[arg(long, value_name = "N", default_value = "1", value_parser = seed, allow_negative_numbers = true)]
    pub(crate) seed: u64,
}

/// Threads and silence.
#[derive(Debug, Args)]
pub(crate) struct Running {
    /// Threads to use, at most four times the cores; the results do not depend on it [default: all cores]
    #[arg(long, value_name = "N", value_parser = count, allow_negative_numbers = true)]
    threads: Option<usize>,
    /// No progress and no warnings on stderr
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

impl Running {
    /// Starts as many threads as were asked for.
    pub(crate) fn start(&self) -> Result<()> {
        threads::start(self.threads, self.quiet)
    }
}

/// A file of examples.
#[derive(Debug, Args)]
pub(crate) struct Training {
    /// Training data (.npy, .npz, .csv, idx, …), to start the annealing from their means
    #[arg(long, value_name = "FILE")]
    pub(crate) data: Option<PathBuf>,
    /// Data values above T become 1, others 0
    #[arg(long, value_name = "T", requires = "data", value_parser = finite, allow_negative_numbers = true)]
    pub(crate) binarize: Option<f64>,
}

impl Training {
    /// The rows, checked against the model's space.
    pub(crate) fn read(&self, space: &Space) -> Result<Option<Array2<f64>>, Error> {
        self.data.as_ref().map(|path| read_rows(path, self.binarize, space)).transpose()
    }
}

/// Rows of a data file, checked against the model's space.
pub(crate) fn read_rows(
    path: &std::path::Path,
    binarize: Option<f64>,
    space: &Space,
) -> Result<Array2<f64>, Error> {
    let data = io::read_data(path, binarize)?;
    space
        .check(data.view())
        .map_err(|error| Error::Data { message: format!("{}: {error}", path.display()) })?;
    Ok(data)
}

/// The walk's own options.
#[derive(Debug, Args)]
pub(crate) struct Walk {
    /// Independent chains [default: as many as the target needs]
    #[arg(long, value_name = "N", value_parser = count, allow_negative_numbers = true)]
    chains: Option<usize>,
    /// Steps of the schedule [default: as many as pilots find are needed]
    #[arg(long, value_name = "K", value_parser = count, allow_negative_numbers = true)]
    rungs: Option<usize>,
    /// With --method smc: resample at every rung, let each chain that goes on make P - 1 kernel steps there, and count all P states
    /// that it passes through. --chains is then the number of all states at a rung
    #[arg(long, value_name = "P", value_parser = count, allow_negative_numbers = true)]
    waste_free: Option<usize>,
    /// Where the rungs lie: equal-barrier, linear, sigmoidal, the betas themselves, 0,…,1, or a file: text with betas, or the
    /// RUN.json of a run whose schedule is to be used again
    #[arg(long, value_name = "S", default_value = "equal-barrier", value_parser = schedule, allow_negative_numbers = true)]
    schedule: Rungs,
    /// Markov step on a continuous space: hmc, mala, random-walk or elliptical-slice [default: hmc where there is a gradient, else
    /// random-walk]
    #[arg(long, value_name = "NAME", value_parser = kernel)]
    kernel: Option<KernelChoice>,
    /// Where chains start on a continuous space: diagonal, full, mixture, student or uniform [default: diagonal, or
    /// full where that plainly fits pilots or data better, up to 32 dimensions]
    #[arg(long, value_name = "NAME", value_parser = reference)]
    reference: Option<ReferenceChoice>,
    /// Confidence level of the interval
    #[arg(long, value_name = "P", default_value = "0.95", value_parser = level, allow_negative_numbers = true)]
    level: f64,
}

/// What `--schedule` says.
#[derive(Clone, Debug, PartialEq)]
enum Rungs {
    Chosen(ScheduleChoice),
    /// A file that holds them.
    File(PathBuf),
}

impl Walk {
    /// The file that the schedule comes from.
    pub(crate) fn schedule_file(&self) -> Option<&Path> {
        match &self.schedule {
            Rungs::File(path) => Some(path),
            Rungs::Chosen(_) => None,
        }
    }
}

/// The settings that the options make, checked, also against the memory that they would need.
pub(crate) fn settings(
    effort: &Effort,
    walk: Option<&Walk>,
    data: Option<Array2<f64>>,
    space: &Space,
) -> Result<Settings, Error> {
    let mut settings = Settings {
        target_se: effort.target_se,
        max_time: effort.max_time,
        seed: effort.seed,
        data,
        ..Settings::default()
    };
    if let Some(walk) = walk {
        settings.chains = walk.chains;
        settings.rungs = walk.rungs;
        settings.waste_free = walk.waste_free;
        settings.schedule = match &walk.schedule {
            Rungs::Chosen(choice) => choice.clone(),
            Rungs::File(path) => ScheduleChoice::Given(io::read_schedule(path)?.betas().to_vec()),
        };
        settings.level = walk.level;
        settings.kernel = walk.kernel.unwrap_or_default();
        settings.reference = walk.reference.unwrap_or_default();
    }
    settings.check()?;
    if let ScheduleChoice::Given(betas) = &settings.schedule {
        let rungs = lnz::paths::Schedule::given(betas.clone())?.rungs();
        if let Some(asked) = settings.rungs.filter(|asked| *asked != rungs) {
            return Err(setting(
                "--rungs",
                asked,
                format!("the --schedule given has {rungs}; leave --rungs out"),
            ));
        }
    }
    let most = MOST_NUMBERS / space.dim.max(1);
    if let Some(chains) = settings.chains.filter(|chains| *chains > most) {
        return Err(setting(
            "--chains",
            chains,
            format!("chains of {} numbers each would not fit in memory; at most {most} do", space.dim),
        ));
    }
    let least = (1.0 / most as f64).sqrt();
    if settings.chains.is_none() && settings.target_se < least {
        return Err(setting(
            "--target-se",
            settings.target_se,
            format!(
                "as many chains of {} numbers as that takes would not fit in memory; {least:.1e} is the least",
                space.dim
            ),
        ));
    }
    Ok(settings)
}

/// An [`Error::Setting`].
pub(crate) fn setting(
    option: &'static str,
    value: impl std::fmt::Display,
    expected: impl Into<String>,
) -> Error {
    Error::Setting { option, value: wording::shown(value), expected: expected.into() }
}

fn number(text: &str) -> Option<f64> {
    text.trim().parse().ok().filter(|number: &f64| number.is_finite())
}

/// Any finite number.
pub(crate) fn finite(text: &str) -> Result<f64, String> {
    number(text).ok_or_else(|| "must be a finite number".into())
}

/// A positive number that squares without leaving f64.
fn positive(text: &str) -> Result<f64, String> {
    number(text)
        .filter(|number| (1e-9..=1e9).contains(number))
        .ok_or_else(|| "must be a number of nats between 1e-9 and 1e9".into())
}

/// A standard error, which may be zero.
pub(crate) fn not_negative(text: &str) -> Result<f64, String> {
    number(text)
        .filter(|number| (0.0..=1e9).contains(number))
        .ok_or_else(|| "must be a number of nats between 0 and 1e9".into())
}

/// Seconds, from `90`, `90s`, `5m` or `1.5h`.
pub(crate) fn seconds(text: &str) -> Result<f64, String> {
    let text = text.trim();
    let (digits, unit) = match text.char_indices().last() {
        Some((at, 's')) => (&text[..at], 1.0),
        Some((at, 'm')) => (&text[..at], 60.0),
        Some((at, 'h')) => (&text[..at], 3600.0),
        Some((at, 'd')) => (&text[..at], 86_400.0),
        _ => (text, 1.0),
    };
    number(digits)
        .map(|number| number * unit)
        .filter(|seconds| (1e-3..=1e9).contains(seconds))
        .ok_or_else(|| "must be a time such as 90, 90s, 5m, 1h or 2d, from a millisecond to 1e9 s".into())
}

/// A seed.
pub(crate) fn seed(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| "must be a whole number from 0 to 2^64 - 1".into())
}

/// A positive whole number; what it counts has its own limits, checked later.
pub(crate) fn count(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|count| *count > 0).ok_or_else(|| "must be a positive whole number".into())
}

fn level(text: &str) -> Result<f64, String> {
    number(text)
        .filter(|level| (0.01..=0.999_999).contains(level))
        .ok_or_else(|| "must be a number between 0.01 and 0.999999, such as 0.95".into())
}

fn kernel(text: &str) -> Result<KernelChoice, String> {
    named(&KernelChoice::NAMES, text)
}

fn reference(text: &str) -> Result<ReferenceChoice, String> {
    named(&ReferenceChoice::NAMES, text)
}

/// A choice by its name.
pub(crate) fn named<T: Copy>(names: &[(&'static str, T)], text: &str) -> Result<T, String> {
    names.iter().find(|(name, _)| *name == text).map(|(_, choice)| *choice).ok_or_else(|| {
        let names: Vec<&str> = names.iter().map(|(name, _)| *name).collect();
        format!("must be one of {}", names.join(", "))
    })
}

fn schedule(text: &str) -> Result<Rungs, String> {
    let betas = || text.split(',').map(number).collect::<Option<Vec<f64>>>();
    let choice = match text {
        "equal-barrier" => Some(ScheduleChoice::EqualBarrier),
        "linear" => Some(ScheduleChoice::Linear),
        "sigmoidal" => Some(ScheduleChoice::Sigmoidal),
        _ => betas().map(ScheduleChoice::Given),
    };
    match choice {
        Some(choice) => Ok(Rungs::Chosen(choice)),
        None if Path::new(text).exists() => Ok(Rungs::File(text.into())),
        None => Err("must be equal-barrier, linear, sigmoidal, betas that rise from 0 to 1, such as 0,0.5,1, or a file \
                     with such betas or a run; there is no such file"
            .into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        for (text, expected) in
            [("90", 90.0), ("90s", 90.0), ("5m", 300.0), ("1.5h", 5400.0), ("2d", 172_800.0)]
        {
            assert_eq!(seconds(text), Ok(expected), "{text}");
        }
        for text in ["", "s", "-1", "nan", "inf", "0", "1e30", "5 minutes", "h5", "5µ"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn schedules_are_names_or_numbers() {
        assert_eq!(schedule("linear"), Ok(Rungs::Chosen(ScheduleChoice::Linear)));
        let given = ScheduleChoice::Given(vec![0.0, 0.5, 1.0]);
        assert_eq!(schedule("0, 0.5,1"), Ok(Rungs::Chosen(given)));
        let file = env!("CARGO_MANIFEST_DIR").to_owned() + "/Cargo.toml";
        assert_eq!(schedule(&file), Ok(Rungs::File(file.into())));
        for text in ["", "quadratic", "0,x,1", "0,nan,1", "0,,1"] {
            assert!(schedule(text).is_err(), "{text}");
        }
    }
}
