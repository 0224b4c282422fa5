//! `lnz compare`: estimators on one model at equal cost.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use lnz::Error;
use lnz::estimators::{self, Estimator, Guarantee, REGISTRY, Settings};
use lnz::io::record::{ComparisonRecord, ModelRecord, to_json};
use lnz::plots;
use lnz::studies::{Comparison, Contest, Prices, Standing, Truth, compare};
use serde::Serialize;

use super::arguments::{self, Running, Training, setting};
use super::model::{Choice, Options, Source};
use super::pictures::Pictures;
use super::progress::Progress;
use super::table::{count, or_dash, table};
use super::{Report, output, print};

/// Seconds that a comparison should take where no budget is given.
const PATIENCE: f64 = 60.0;
/// Budgets that are chosen where none is given.
const BUDGETS: (f64, f64) = (131_072.0, 4_194_304.0);
/// Most replicates, and most budgets.
const MOST_RUNS: usize = 10_000;

/// Compare estimators on a model at equal cost
///
/// Runs every estimator that applies several times with independent seeds, each run with the same budget of sweeps for pilots and
/// answer, and holds the estimates against the exact value where it can be had, else against the consensus. Budgets separated by
/// commas show how errors fall with cost.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    choice: Choice,
    /// Estimators, separated by commas [default: every one that applies]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    methods: Vec<String>,
    /// Sweeps (kernel steps of one chain) that a run may take; several, separated by commas, make a ladder [default: what lets the
    /// whole comparison take about a minute]
    #[arg(long, value_name = "N", value_delimiter = ',', value_parser = sweeps, allow_negative_numbers = true)]
    budget: Vec<u64>,
    /// Independent runs of each estimator at each budget
    #[arg(long, value_name = "R", default_value = "8", value_parser = arguments::count, allow_negative_numbers = true)]
    replicates: usize,
    /// log Z in nats, where it is known from elsewhere
    #[arg(long, value_name = "NATS", value_parser = arguments::finite, allow_negative_numbers = true)]
    truth: Option<f64>,
    /// Seed of the first replicate; the others follow
    #[arg(long, value_name = "N", default_value = "1", value_parser = arguments::seed, allow_negative_numbers = true)]
    seed: u64,
    #[command(flatten)]
    training: Training,
    #[command(flatten)]
    pub(super) options: Options,
    /// Write the comparison with all runs, for lnz plot
    #[arg(long, value_name = "FILE.json")]
    out: Option<PathBuf>,
    #[command(flatten)]
    pictures: Pictures,
    /// Print one JSON object
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// Print comma-separated values, one line for each estimator and budget
    #[arg(long)]
    csv: bool,
    #[command(flatten)]
    running: Running,
}

/// A budget, which may be written as `1e6`.
fn sweeps(text: &str) -> Result<u64, String> {
    text.trim()
        .parse::<f64>()
        .ok()
        .filter(|number| (1.0..=1e15).contains(number) && number.fract() == 0.0)
        .map(|number| number as u64)
        .ok_or_else(|| "must be a whole number of sweeps, such as 1000000 or 1e6".into())
}

impl Arguments {
    pub(crate) fn run(&self) -> Result<Report> {
        self.running.start()?;
        if let Some(path) = &self.out {
            let mut inputs: Vec<&Path> = self.choice.file().into_iter().collect();
            inputs.extend(self.training.data.as_deref());
            output::check("--out", path, &["json"], &inputs)?;
        }
        self.pictures.check()?;
        if self.replicates > MOST_RUNS {
            return Err(
                setting("--replicates", self.replicates, format!("at most {MOST_RUNS} make sense")).into()
            );
        }
        let methods = self.methods()?;
        let source = self.options.open(&self.choice)?;
        let data = self.training.read(&source.model.space())?;
        let settings = Settings { seed: self.seed, data, ..Settings::default() };
        let mut budgets = self.budget.clone();
        if budgets.is_empty() {
            budgets.push(affordable(&Prices::measure(&source.model)?, methods.len() * self.replicates));
        }
        budgets.sort_unstable();
        budgets.dedup();
        for &budget in &budgets {
            Settings { budget: Some(budget), ..settings.clone() }.check()?;
        }
        let known = self.truth.map(|log_z| Truth { log_z, std_err: 0.0, source: "given by --truth".into() });
        let contest =
            Contest { methods: &methods, budgets: &budgets, replicates: self.replicates, settings, known };
        let comparison = compare(&source.model, &contest, &Progress::new(self.running.quiet))?;
        if let Some(path) = &self.out {
            let model = ModelRecord::new(&source.model, &source.name, &source.digest);
            ComparisonRecord::new(self.command(&budgets), model, self.options.temperature, &comparison)
                .write(path)
                .map_err(output::failed)?;
        }
        self.pictures.draw(|| plots::of_comparison(&comparison))?;
        let mut warnings = source.warnings.clone();
        warnings.extend(comparison.conflicts.iter().map(|(one, other)| {
            format!("the intervals of {one} and {other} do not overlap: at least one of them is wrong")
        }));
        if self.running.quiet {
            warnings.clear();
        }
        let text = if self.json {
            as_json(&source, self.options.temperature, &comparison)
        } else if self.csv {
            as_csv(&comparison)
        } else {
            as_text(&source, self.options.temperature, &comparison)
        };
        let converged = comparison.conflicts.is_empty() && comparison.standings.iter().any(reliable);
        Ok(Report { text, warnings, converged })
    }

    fn methods(&self) -> Result<Vec<&'static dyn Estimator>, Error> {
        if self.methods.is_empty() {
            return Ok(REGISTRY.to_vec());
        }
        let mut methods: Vec<&'static dyn Estimator> = Vec::new();
        for name in &self.methods {
            let method = estimators::by_name(name.trim()).map_err(|error| match error {
                Error::Setting { value, expected, .. } => {
                    setting("--methods", value, expected.replace("auto, ", ""))
                }
                other => other,
            })?;
            if methods.iter().all(|known| known.name() != method.name()) {
                methods.push(method);
            }
        }
        Ok(methods)
    }

    /// The arguments of this comparison, with the budget that was chosen.
    fn command(&self, budgets: &[u64]) -> String {
        let mut words = print::command();
        if self.budget.is_empty() {
            let budgets: Vec<String> = budgets.iter().map(u64::to_string).collect();
            words.push(format!("--budget={}", budgets.join(",")));
        }
        words.join(" ")
    }
}

/// The power of two of sweeps with which so many runs, evidence included, take about a minute.
fn affordable(prices: &Prices, runs: usize) -> u64 {
    const WITH_EVIDENCE: f64 = 3.0;
    let sweeps = PATIENCE / (prices.whole_sweep * WITH_EVIDENCE * runs.max(1) as f64);
    2f64.powf(sweeps.clamp(BUDGETS.0, BUDGETS.1).log2().floor()) as u64
}

/// Whether most of its runs converged.
fn reliable(standing: &Standing) -> bool {
    2 * standing.converged > standing.runs.len()
}

/// To which side an estimator errs.
fn errs(guarantee: &Guarantee) -> &'static str {
    match guarantee {
        Guarantee::Exact => "exact",
        Guarantee::Numerical => "numerical",
        Guarantee::UnbiasedZ | Guarantee::StochasticLower => "low",
        Guarantee::StochasticUpper => "high",
        Guarantee::Consistent | Guarantee::Conditional(_) => "either way",
    }
}

fn as_text(source: &Source, temperature: f64, comparison: &Comparison) -> String {
    let truth = match &comparison.truth {
        Some(truth) => {
            format!("log Z = {} ({})", print::number(truth.log_z, truth.std_err), truth.source)
        }
        None => "no exact value, and no consensus: no estimator converged".to_owned(),
    };
    let largest = comparison.budgets.last().copied().unwrap_or(0.0);
    let rows: Vec<Vec<String>> =
        comparison.standings.iter().filter(|s| s.budget == largest).map(row).collect();
    let header = [
        "method",
        "log Z",
        "error",
        "z",
        "rms error",
        "claimed",
        "ESS",
        "errs",
        "sweeps",
        "cost",
        "time",
        "converged",
    ];
    let legend = format!(
        "Each run had a budget of {} sweeps for pilots and answer; the evidence for its verdict comes on top, in time only.\n\
         log Z: all {} runs together. rms error and claimed error: of a single run. cost: evaluations and sweeps, priced by\n\
         the time that each takes here, in sweeps (1 sweep = {:.3} µs).",
        count(largest),
        comparison.replicates,
        1e6 * comparison.prices.whole_sweep
    );
    let mut parts = vec![
        format!("{}\n{truth}\n", print::model(source, temperature)),
        table(&header, &rows),
        legend + "\n",
    ];
    if comparison.budgets.len() > 1 {
        parts.push("rms error of a single run, by budget\n".into());
        parts.push(ladder(comparison));
    }
    if !comparison.left_out.is_empty() {
        let lines: Vec<(&str, String)> =
            comparison.left_out.iter().map(|(name, reason)| (name.as_str(), reason.clone())).collect();
        parts.push(format!("left out\n{}", print::aligned(&lines)));
    }
    parts.join("\n")
}

fn row(standing: &Standing) -> Vec<String> {
    let signed = |value: f64| format!("{value:+.3}");
    let exact = standing.std_err.is_none() && standing.spread.is_none();
    vec![
        standing.method.clone(),
        print::number(standing.log_z, standing.std_err.unwrap_or(0.0)),
        if exact { "-".into() } else { or_dash(standing.error, signed) },
        or_dash(standing.z, |z| format!("{z:+.1}")),
        if exact {
            "-".into()
        } else {
            or_dash(standing.root_mean_square_error.or(standing.spread), print::two_digits)
        },
        or_dash(standing.claimed, print::two_digits),
        or_dash(standing.effective_sample_size, count),
        errs(&standing.guarantee).into(),
        if exact { "-".into() } else { count(standing.counts.sweeps as f64) },
        count(standing.cost),
        time(standing.seconds),
        format!("{}/{}", standing.converged, standing.runs.len()),
    ]
}

fn time(seconds: f64) -> String {
    if seconds < 0.001 { "<1 ms".into() } else { print::duration(seconds) }
}

/// A line for each estimator that chance has a part in, a column for each budget.
fn ladder(comparison: &Comparison) -> String {
    let budgets: Vec<String> = comparison.budgets.iter().map(|&budget| count(budget)).collect();
    let mut header = vec!["method"];
    header.extend(budgets.iter().map(String::as_str));
    let largest = comparison.budgets.last().copied().unwrap_or(0.0);
    let sampled = comparison.standings.iter().filter(|s| s.budget == largest && s.claimed.is_some());
    let rows: Vec<Vec<String>> = sampled
        .map(|best| {
            let mut cells = vec![best.method.clone()];
            cells.extend(comparison.budgets.iter().map(|&budget| {
                let found =
                    comparison.standings.iter().find(|s| s.method == best.method && s.budget == budget);
                let size = found.and_then(|s| s.root_mean_square_error.or(s.spread));
                or_dash(size, print::two_digits)
            }));
            cells
        })
        .collect();
    table(&header, &rows)
}

fn as_json(source: &Source, temperature: f64, comparison: &Comparison) -> String {
    #[derive(Serialize)]
    struct Whole<'a> {
        model: print::ModelJson<'a>,
        #[serde(flatten)]
        comparison: &'a Comparison,
        lnz: &'static str,
    }
    to_json(&Whole {
        model: print::ModelJson::new(source, temperature),
        comparison,
        lnz: env!("CARGO_PKG_VERSION"),
    }) + "\n"
}

fn as_csv(comparison: &Comparison) -> String {
    let mut text = "method,guarantee,budget,log_z,std_err,lower,upper,error,z,root_mean_square_error,spread,claimed,\
                    effective_sample_size,energy_evaluations,gradient_evaluations,sweeps,cost,seconds,converged,runs\n"
        .to_owned();
    for s in &comparison.standings {
        let cell = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
        let cells = [
            s.method.clone(),
            errs(&s.guarantee).into(),
            s.budget.to_string(),
            s.log_z.to_string(),
            cell(s.std_err),
            cell(s.interval.map(|interval| interval.lower)),
            cell(s.interval.map(|interval| interval.upper)),
            cell(s.error),
            cell(s.z),
            cell(s.root_mean_square_error),
            cell(s.spread),
            cell(s.claimed),
            cell(s.effective_sample_size),
            s.counts.energy_evaluations.to_string(),
            s.counts.gradient_evaluations.to_string(),
            s.counts.sweeps.to_string(),
            s.cost.to_string(),
            s.seconds.to_string(),
            s.converged.to_string(),
            s.runs.len().to_string(),
        ];
        text += &cells.join(",");
        text.push('\n');
    }
    text
}
