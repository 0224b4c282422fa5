//! Are the error bars right, and are wrong answers flagged? Many seeds of each sampler on references of known log Z.

use std::fmt;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::references::{Known, is_chosen, none_chosen};
use crate::error::Result;
use crate::estimators::{Monitor, Settings, Silent, by_name};
use crate::math::statistics;

/// Seeds on each reference on which *converged* is due, and on each other one.
pub const SEEDS: u64 = 200;
const FEWER_SEEDS: u64 = 50;
/// The least share of intervals that cover: a true 95 % falls below it in 200 runs with probability 0.2 %.
pub const LEAST_COVERAGE: f64 = 0.90;
/// The widest that intervals may be, in units of what the spread of the errors calls for.
pub const MOST_WIDTH: f64 = 1.4;
/// The least share of runs that must say *converged* where that is due.
pub const LEAST_CONVERGED: f64 = 0.90;
/// The share of wrong runs that may be called converged.
pub const MOST_MISSED: f64 = 0.01;
/// Wrong runs without which that share means nothing.
pub const LEAST_WRONG: usize = 300;

/// Samplers that are calibrated.
const METHODS: [&str; 4] = ["smc", "tempering", "ais", "ti"];

/// References of every kind, and whether they are so easy with default settings that *converged* is due.
const REFERENCES: [(&str, bool); 23] = [
    ("ref:gaussian?dim=10", true),
    ("ref:gaussian?dim=100", false),
    ("ref:mixture?dim=2&separation=3", true),
    ("ref:mixture?dim=2&modes=2&separation=8", false),
    ("ref:forty-modes", false),
    ("ref:gaussian-shells?dim=2", false),
    ("ref:gaussian-shells?dim=10", false),
    ("ref:banana", false),
    ("ref:student-mixture?dim=50", false),
    ("ref:funnel?dim=10", false),
    ("ref:many-well?dim=16", true),
    ("ref:many-well?dim=32", false),
    ("ref:ising?side=8&coupling=0.3", true),
    ("ref:ising?side=8&coupling=0.44", true),
    ("ref:ising?side=8&coupling=0.5", true),
    ("ref:ising?side=8&coupling=0.44&field=0.05", true),
    ("ref:ising?side=16&coupling=0.3", true),
    ("ref:ising?side=16&coupling=0.44", true),
    ("ref:ising?side=16&coupling=0.5", true),
    ("ref:spin-glass?rows=4&columns=5", true),
    ("ref:potts?side=4", true),
    ("ref:rbm?visible=12&hidden=8", true),
    ("ref:boltzmann?dim=16&units=spins&coupling=2", true),
];

/// Cells left out: the integrand at the reference is so large and so noisy there that a run takes minutes to say *not converged*.
const LEFT_OUT: [(&str, &str); 2] = [("ti", "ref:funnel?dim=10"), ("ti", "ref:student-mixture?dim=50")];

/// References that a sampler gets wrong, with so many rungs (or as many as pilots choose), and how many runs. In the first half the
/// weights themselves look bad; in the second they look good, and only evidence can tell that a mode or a phase was missed.
const HARD: [(&str, &str, Option<usize>, u64); 20] = [
    ("smc", "ref:funnel?dim=10", Some(100), 100),
    ("smc", "ref:mixture?dim=8&modes=6&separation=8", Some(32), 100),
    ("smc", "ref:mixture?dim=8&modes=6&separation=8", Some(200), 60),
    ("smc", "ref:ising?side=16&coupling=0.6", Some(20), 200),
    ("smc", "ref:potts?side=6&states=10&coupling=1.5", Some(16), 100),
    ("ais", "ref:funnel?dim=10", Some(100), 100),
    ("ais", "ref:mixture?dim=8&modes=6&separation=8", Some(32), 100),
    ("ais", "ref:mixture?dim=8&modes=6&separation=8", Some(200), 60),
    ("ais", "ref:ising?side=16&coupling=0.6", Some(20), 200),
    ("ais", "ref:potts?side=6&states=10&coupling=1.5", Some(16), 100),
    ("ti", "ref:mixture?dim=8&modes=6&separation=8", None, 40),
    ("ais", "ref:memory", None, 100),
    ("smc", "ref:memory", None, 100),
    ("ti", "ref:memory", None, 50),
    ("ais", "ref:memory?threshold=0.3&seed=2", None, 50),
    ("smc", "ref:memory?threshold=0.3&seed=2", None, 50),
    ("tempering", "ref:mixture?dim=8&modes=6&separation=8", None, 40),
    ("tempering", "ref:potts?side=6&states=10&coupling=1.5", None, 40),
    ("tempering", "ref:memory", None, 40),
    ("importance", "ref:memory?threshold=0.6", None, 50),
];

/// Beyond reach: a mode so narrow and so far that neither reference nor gradient hints at it. Such runs are wrong and say
/// *converged*; they are shown, and no promise covers them.
const BEYOND: [(&str, &str, Option<usize>, u64); 1] =
    [("ais", "ref:two-modes?dim=5&width-ratio=0.05", None, 20)];

/// One sampler on one reference, with default settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// The sampler.
    pub method: String,
    /// The reference.
    pub reference: String,
    /// Mean of log Ẑ − log Z.
    pub mean_error: f64,
    /// Its standard deviation over seeds.
    pub sd_error: f64,
    /// Mean of the standard errors claimed.
    pub mean_std_err: f64,
    /// Standard deviation of error / claimed standard error.
    pub sd_z: f64,
    /// Mean half-width of the interval over 1.96 standard deviations of the error.
    pub width: f64,
    /// Share of the intervals that cover.
    pub coverage: f64,
    /// Share of the runs that say *converged*.
    pub converged: f64,
    /// Whether the reference is one on which they should, and intervals cover.
    pub due: bool,
    /// How many runs were wrong: off by more than three standard errors and 0.2 nat.
    pub wrong: usize,
    /// How many of these said *converged*.
    pub missed: usize,
    /// Error / claimed standard error of every run.
    pub z: Vec<f64>,
}

impl fmt::Display for Calibration {
    /// The row of a Markdown table.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "| {} | `{}`{} | {:+.4} | {:.4} | {:.4} | {:.2} | {:.2} | {:.1} % | {:.1} % | {} | {} |",
            self.method,
            self.reference,
            if self.due { "" } else { " (hard)" },
            self.mean_error,
            self.sd_error,
            self.mean_std_err,
            self.sd_z,
            self.width,
            100.0 * self.coverage,
            100.0 * self.converged,
            self.wrong,
            self.missed
        )
    }
}

impl fmt::Display for Hard {
    /// The row of a Markdown table.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rungs = self.rungs.map_or_else(|| "as pilots choose".into(), |rungs| rungs.to_string());
        let Self { method, reference, runs, wrong, missed, .. } = self;
        write!(f, "| {method} | `{reference}` | {rungs} | {runs} | {wrong} | {missed} |")
    }
}

impl Calibration {
    /// Whether coverage, width and verdicts are as they should be, where that is due.
    #[must_use]
    pub fn passes(&self) -> bool {
        !self.due
            || (self.coverage >= LEAST_COVERAGE
                && self.width <= MOST_WIDTH
                && self.converged >= LEAST_CONVERGED)
    }
}

/// Wrong runs on one hard reference: off by more than three standard errors and 0.2 nat.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hard {
    /// The sampler.
    pub method: String,
    /// The reference.
    pub reference: String,
    /// Rungs that it had to do with; `None` where pilots chose.
    pub rungs: Option<usize>,
    /// How many runs.
    pub runs: usize,
    /// How many of them were wrong.
    pub wrong: usize,
    /// How many of the wrong ones said *converged*.
    pub missed: usize,
}

/// What calibration found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Calibrations {
    /// Samplers on references of every kind, with default settings.
    pub cells: Vec<Calibration>,
    /// Samplers on references that are too hard for them.
    pub hard: Vec<Hard>,
    /// Samplers on references beyond reach, which count for nothing.
    pub beyond: Vec<Hard>,
}

impl Calibrations {
    /// All wrong runs, and those among them that said *converged*.
    #[must_use]
    pub fn wrong_and_missed(&self) -> (usize, usize) {
        let cells = self.cells.iter().map(|row| (row.wrong, row.missed));
        let hard = self.hard.iter().map(|row| (row.wrong, row.missed));
        cells.chain(hard).fold((0, 0), |all, row| (all.0 + row.0, all.1 + row.1))
    }

    /// Whether everything is as it should be.
    #[must_use]
    pub fn passes(&self) -> bool {
        let (wrong, missed) = self.wrong_and_missed();
        self.cells.iter().all(Calibration::passes)
            && wrong >= LEAST_WRONG
            && missed as f64 <= MOST_MISSED * wrong as f64
    }
}

struct Run {
    error: f64,
    std_err: f64,
    half_width: f64,
    covered: bool,
    converged: bool,
}

impl Run {
    fn wrong(&self) -> bool {
        self.error.abs() > (3.0 * self.std_err).max(0.2)
    }
}

/// Runs all of it, on `others` as on the references that are not easy: an hour or more on two cores. With `only`, rows that have it in
/// `METHOD on REFERENCE`, and no others.
///
/// # Errors
/// What an estimator reports; [`Error::Setting`](crate::Error::Setting) where no row is left.
pub fn calibrate(others: &[Known], only: Option<&str>, monitor: &dyn Monitor) -> Result<Calibrations> {
    let chosen = |method: &str, spec: &str| is_chosen(only, method, spec);
    let mut found = Calibrations::default();
    for (spec, due) in REFERENCES {
        let methods: Vec<&str> = METHODS.into_iter().filter(|method| chosen(method, spec)).collect();
        if !methods.is_empty() {
            found.cells.extend(cells(&methods, &Known::new(spec)?, due, monitor)?);
        }
    }
    for other in others {
        let methods: Vec<&str> = METHODS.into_iter().filter(|method| chosen(method, other.spec)).collect();
        found.cells.extend(cells(&methods, other, false, monitor)?);
    }
    let rows = |rows: &[(&'static str, &'static str, Option<usize>, u64)]| {
        rows.iter()
            .filter(|row| chosen(row.0, row.1))
            .map(|row| hard(*row, monitor))
            .collect::<Result<Vec<Hard>>>()
    };
    found.hard = rows(&HARD)?;
    found.beyond = rows(&BEYOND)?;
    if found.cells.is_empty() && found.hard.is_empty() && found.beyond.is_empty() {
        return Err(none_chosen(only));
    }
    Ok(found)
}

/// Samplers on one reference.
fn cells(methods: &[&str], known: &Known, due: bool, monitor: &dyn Monitor) -> Result<Vec<Calibration>> {
    let seeds = if due { SEEDS } else { FEWER_SEEDS };
    let methods = methods.iter().filter(|method| !LEFT_OUT.contains(&(method, known.spec)));
    methods
        .map(|method| {
            let runs = runs(method, known, None, seeds, monitor)?;
            let collect = |value: &dyn Fn(&Run) -> f64| runs.iter().map(value).collect::<Vec<f64>>();
            let count = |of: &dyn Fn(&Run) -> bool| runs.iter().filter(|run| of(run)).count();
            let share = |of: &dyn Fn(&Run) -> bool| count(of) as f64 / runs.len() as f64;
            let errors = collect(&|run| run.error);
            let sd_error = statistics::variance(&errors).sqrt();
            let z = collect(&|run| run.error / run.std_err);
            let row = Calibration {
                method: (*method).into(),
                reference: known.spec.into(),
                mean_error: statistics::mean(&errors),
                sd_error,
                mean_std_err: statistics::mean(&collect(&|run| run.std_err)),
                sd_z: statistics::variance(&z).sqrt(),
                width: statistics::mean(&collect(&|run| run.half_width)) / (1.96 * sd_error),
                coverage: share(&|run| run.covered),
                converged: share(&|run| run.converged),
                due,
                wrong: count(&Run::wrong),
                missed: count(&|run| run.wrong() && run.converged),
                z,
            };
            monitor.note(&row.to_string());
            Ok(row)
        })
        .collect()
}

fn hard(
    (method, spec, rungs, seeds): (&str, &'static str, Option<usize>, u64),
    monitor: &dyn Monitor,
) -> Result<Hard> {
    let runs = runs(method, &Known::new(spec)?, rungs, seeds, monitor)?;
    let row = Hard {
        method: method.into(),
        reference: spec.into(),
        rungs,
        runs: runs.len(),
        wrong: runs.iter().filter(|run| run.wrong()).count(),
        missed: runs.iter().filter(|run| run.wrong() && run.converged).count(),
    };
    monitor.note(&row.to_string());
    Ok(row)
}

fn runs(
    method: &str,
    known: &Known,
    rungs: Option<usize>,
    seeds: u64,
    monitor: &dyn Monitor,
) -> Result<Vec<Run>> {
    let model = known.without_sampler();
    let method = by_name(method)?;
    monitor.begin(&format!("{} on {}", method.name(), known.spec), seeds);
    (0..seeds)
        .into_par_iter()
        .map(|seed| {
            // No clock decides anything, so the numbers are the same on every machine of one instruction set.
            let settings = Settings { seed: 10_000 + seed, rungs, max_time: 1e9, ..Settings::default() };
            let found = method.estimate(&model, &settings, &Silent)?;
            monitor.advance(1);
            let interval = found.interval.expect("samplers give an interval");
            Ok(Run {
                error: found.log_z - known.log_z,
                std_err: found.std_err.expect("samplers give an error"),
                half_width: 0.5 * (interval.upper - interval.lower),
                covered: (interval.lower..=interval.upper).contains(&known.log_z),
                converged: found.verdict.is_converged(),
            })
        })
        .collect()
}
