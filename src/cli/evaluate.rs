//! `lnz evaluate`: normalised log-likelihood of data, and of one model against another.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use lnz::estimators::between::{self, Starts};
use lnz::estimators::{Estimate, Guarantee, Settings, Verdict};
use lnz::io::likelihoods::Column;
use lnz::io::{self, RunRecord};
use lnz::likelihood::{self, Difference, Excess, Likelihood, LogZ};
use lnz::models::Domain;
use lnz::plots::{self, Examples};
use lnz::sampling;
use ndarray::Array2;
use serde::Serialize;

use super::arguments::{self, Effort, Running, setting};
use super::between::WALKERS;
use super::model::{Choice, Options, Source};
use super::pictures::Pictures;
use super::progress::Progress;
use super::{Report, estimate, output, print};

/// Rungs up to which a walk between two models is cheaper than estimates of both.
const FEW_RUNGS: f64 = 300.0;

/// Evaluate the normalised log-likelihood of data
///
/// The mean of log p(x) = -E(x) - log Z over the rows of --data, with the data's error and that of log Z told apart. Without
/// --log-z, log Z is estimated first, as lnz estimate would; that of a model --against which is much like it, by a walk from the one to
/// the other, which gives their difference a smaller error.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    choice: Choice,
    /// Examples, one per row (.npy, .npz, .csv, idx, …)
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    /// Data values above T become 1, others 0
    #[arg(long, value_name = "T", value_parser = arguments::finite, allow_negative_numbers = true)]
    binarize: Option<f64>,
    /// log Z: a number in nats, or the record of a run of lnz estimate
    #[arg(long, value_name = "RUN.json|NATS", allow_negative_numbers = true)]
    log_z: Option<String>,
    /// Standard error of a --log-z given as a number [default: 0]
    #[arg(long, value_name = "NATS", requires = "log_z", value_parser = arguments::not_negative, allow_negative_numbers = true)]
    log_z_se: Option<f64>,
    /// Another model, to compare with on the same data
    #[arg(long, value_name = "MODEL")]
    against: Option<String>,
    /// log Z of the other model
    #[arg(long, value_name = "RUN.json|NATS", requires = "against", allow_negative_numbers = true)]
    against_log_z: Option<String>,
    /// Standard error of an --against-log-z given as a number [default: 0]
    #[arg(long, value_name = "NATS", requires = "against_log_z", value_parser = arguments::not_negative, allow_negative_numbers = true)]
    against_log_z_se: Option<f64>,
    #[command(flatten)]
    effort: Effort,
    #[command(flatten)]
    pub(super) options: Options,
    #[command(flatten)]
    pictures: Pictures,
    /// Write log p of each example
    #[arg(long, value_name = "FILE.csv|FILE.npz")]
    out: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    running: Running,
}

/// One model with its log Z and what it says of the data.
struct Answer {
    source: Source,
    log_z: LogZ,
    /// Where it was estimated here.
    estimate: Option<Estimate>,
    /// The walk from the first model that gave it, where one did: log Z less that of the first.
    walk: Option<Estimate>,
    /// Whether the run that gave log Z did.
    run_converged: bool,
    likelihood: Likelihood,
    /// What the data say against log Z.
    excess: Option<Excess>,
}

impl Answer {
    fn converged(&self) -> bool {
        self.run_converged && self.excess.is_none()
    }
}

/// What is known of a model's log Z before anything is run.
enum Known {
    LogZ { log_z: LogZ, converged: bool },
    Nothing,
}

impl Arguments {
    pub(crate) fn run(&self) -> Result<Report> {
        self.running.start()?;
        if let Some(path) = &self.out {
            let named = [self.log_z.as_ref(), self.against.as_ref(), self.against_log_z.as_ref()];
            let mut inputs: Vec<&Path> = named.into_iter().flatten().map(Path::new).collect();
            inputs.extend(self.choice.file());
            inputs.push(&self.data);
            output::check("--out", path, &["csv", "npz"], &inputs)?;
        }
        self.pictures.check()?;
        // Everything that can be wrong is read before anything is run.
        let first = self.options.open(&self.choice)?;
        let data = arguments::read_rows(&self.data, self.binarize, &first.model.space())?;
        let first_log_z =
            self.known("--log-z", "--log-z-se", self.log_z.as_deref(), self.log_z_se, &first)?;
        let second = match &self.against {
            None => None,
            Some(name) => {
                let source = self.options.load(name)?;
                source.model.space().check(data.view()).map_err(|error| lnz::Error::Data {
                    message: format!("--against {name}: {}: {error}", self.data.display()),
                })?;
                let known = self.known(
                    "--against-log-z",
                    "--against-log-z-se",
                    self.against_log_z.as_deref(),
                    self.against_log_z_se,
                    &source,
                )?;
                Some((source, known))
            }
        };
        let first = self.answer(first, first_log_z, &data)?;
        let second = second
            .map(|(source, known)| match self.walk(&first, &source, &known, &data)? {
                Some(walk) => reached(&first, source, walk, &data),
                None => self.answer(source, known, &data),
            })
            .transpose()?;
        let difference = second
            .as_ref()
            .map(|second| {
                let difference = likelihood::paired(&first.likelihood, &second.likelihood)?;
                // Both log Z share the error of the first.
                let walked = second.walk.as_ref().and_then(|walk| walk.std_err);
                Ok::<Difference, lnz::Error>(match walked {
                    Some(error) => difference.with_log_z_std_err(error),
                    None => difference,
                })
            })
            .transpose()?;
        let pair = second.as_ref().zip(difference.as_ref());
        if let Some(path) = &self.out {
            let columns = columns(&first.likelihood, second.as_ref().map(|second| &second.likelihood));
            io::write_likelihoods(path, &columns).map_err(output::failed)?;
        }
        self.pictures.draw(|| {
            let sets: Vec<Examples<'_>> = std::iter::once(&first).chain(&second).map(shown).collect();
            vec![plots::of_likelihoods(&sets)]
        })?;
        let mut warnings = Vec::new();
        if !self.running.quiet {
            for answer in std::iter::once(&first).chain(&second) {
                warnings.extend(answer.source.warnings.iter().cloned());
                warnings.extend(doubts(answer));
            }
        }
        Ok(Report {
            text: if self.json { self.as_json(&first, pair) } else { self.as_text(&first, pair) },
            warnings,
            converged: first.converged() && second.as_ref().is_none_or(Answer::converged),
        })
    }

    /// What `option` says about log Z, checked against the model.
    fn known(
        &self,
        option: &'static str,
        error_option: &'static str,
        stated: Option<&str>,
        std_err: Option<f64>,
        source: &Source,
    ) -> Result<Known, lnz::Error> {
        let Some(stated) = stated else { return Ok(Known::Nothing) };
        if let Ok(value) = stated.trim().parse::<f64>() {
            if !value.is_finite() {
                return Err(setting(option, stated, "must be a finite number of nats, or a run record"));
            }
            let taken = if std_err.is_none() { ", taken as exact" } else { "" };
            let log_z = LogZ::new(value, std_err.unwrap_or(0.0), format!("by {option}{taken}"))?;
            return Ok(Known::LogZ { log_z, converged: true });
        }
        if let Some(error) = std_err {
            return Err(setting(
                error_option,
                error,
                format!("goes with a number; the run record {stated} holds its own error"),
            ));
        }
        let path = Path::new(stated);
        let record = RunRecord::read(path)?;
        record.check_model(path, &source.model, &source.name, &source.digest, self.options.temperature)?;
        let log_z = LogZ::of(&record.estimate, format!("{stated}, by {}", record.estimate.method))?;
        Ok(Known::LogZ { log_z, converged: record.estimate.verdict.is_converged() })
    }

    fn answer(&self, source: Source, known: Known, data: &Array2<f64>) -> Result<Answer, lnz::Error> {
        match known {
            Known::LogZ { log_z, converged } => answered(source, log_z, (None, None), converged, data),
            Known::Nothing => {
                let settings = self.settings(&source)?;
                let estimate = estimate::quietly(&source.model, &settings, self.running.quiet)?;
                let log_z = LogZ::of(&estimate, format!("estimated by {}", estimate.method))?;
                let converged = estimate.verdict.is_converged();
                answered(source, log_z, (Some(estimate), None), converged, data)
            }
        }
    }

    fn settings(&self, source: &Source) -> Result<Settings, lnz::Error> {
        arguments::settings(&self.effort, None, None, &source.model.space())
    }

    /// log Z of the second model less that of the first, by a walk between them, where that is cheaper than an estimate of its own
    /// and converged: the two must be so alike on the data that few rungs do.
    fn walk(
        &self,
        first: &Answer,
        second: &Source,
        known: &Known,
        data: &Array2<f64>,
    ) -> Result<Option<Estimate>, lnz::Error> {
        let (one, other) = (&first.source.model, &second.model);
        let settings = self.settings(second)?;
        if matches!(known, Known::LogZ { .. })
            || one.space() != other.space()
            || other.space().values().is_none()
            || estimate::choose(other, &settings).guarantee() == Guarantee::Exact
            || between::rungs_needed(one, other, data.view()) > FEW_RUNGS
        {
            return Ok(None);
        }
        let progress = Progress::new(self.running.quiet);
        let draws = sampling::draw(one, WALKERS, &settings, &progress)?;
        let starts = Starts { states: draws.states.view(), exact: draws.exact };
        let walk = match between::between(one, other, starts, &settings, &progress) {
            Err(lnz::Error::NotReached { .. }) => return Ok(None),
            found => found?,
        };
        Ok((draws.reliable() && walk.verdict.is_converged()).then_some(walk))
    }

    fn as_text(&self, first: &Answer, pair: Option<(&Answer, &Difference)>) -> String {
        let mut text = self.one_as_text(first);
        if let Some((second, difference)) = pair {
            text += "\n";
            text += &self.one_as_text(second);
            let who = if difference.mean > 0.0 { &first.source.name } else { &second.source.name };
            let size = difference.mean.abs() / difference.combined_std_err;
            let headline = format!(
                "\ndifference = {} nats per example, {} minus {}\n",
                print::number(difference.mean, difference.combined_std_err),
                first.source.name,
                second.source.name
            );
            text += &headline;
            let mut lines = vec![
                ("  of the data", print::error(difference.data_std_err)),
                (
                    if second.walk.is_some() { "  of the walk" } else { "  of both log Z" },
                    print::error(difference.log_z_std_err),
                ),
            ];
            // A share of what rounding or noise decides would mislead.
            if size.is_nan() || size < 2.0 {
                lines.push(("  so", "too small to tell the models apart".to_owned()));
            } else {
                let share = format!("{:.1} % of the examples", 100.0 * difference.first_better);
                lines.push(("  better on", share));
                lines.push(("  so", format!("{who} is better by {size:.1} standard errors")));
            }
            text += &print::aligned(&lines);
        }
        text
    }

    fn one_as_text(&self, answer: &Answer) -> String {
        let Answer { source, log_z, likelihood, .. } = answer;
        let space = source.model.space();
        let unit = if matches!(space.domain, Domain::Real | Domain::Box { .. }) {
            format!("{:.4}, of a density: it shifts when data are rescaled", likelihood.bits_per_dimension)
        } else {
            format!("{:.4}", likelihood.bits_per_dimension)
        };
        let impossible = likelihood.per_example.iter().filter(|value| **value == f64::NEG_INFINITY).count();
        let headline = if impossible > 0 {
            format!(
                "mean log-likelihood = -inf nats per example   (the density is zero at {impossible} of {})\n",
                likelihood.examples
            )
        } else if likelihood.examples == 1 {
            format!(
                "log-likelihood = {} nats   (one example tells no error bar of the data)\n",
                print::number(likelihood.mean, likelihood.log_z_std_err)
            )
        } else {
            let mean = print::number(likelihood.mean, likelihood.combined_std_err);
            format!("mean log-likelihood = {mean} nats per example\n")
        };
        let verdict = if answer.converged() { "" } else { "   NOT CONVERGED: do not rely on these numbers" };
        headline
            + &print::aligned(&[
                ("  of the data", print::error(likelihood.data_std_err)),
                ("  of log Z", print::error(likelihood.log_z_std_err)),
                ("  bits per dimension", unit),
                (
                    "  log Z",
                    format!("{}, {}{verdict}", print::number(log_z.value, log_z.std_err), log_z.source),
                ),
                ("  model", print::model(source, self.options.temperature)),
                ("  data", format!("{}, {} examples", self.data.display(), likelihood.examples)),
            ])
    }

    fn as_json<'a>(&'a self, first: &'a Answer, pair: Option<(&'a Answer, &'a Difference)>) -> String {
        #[derive(Serialize)]
        struct One<'a> {
            mean_log_likelihood: f64,
            data_std_err: f64,
            log_z_std_err: f64,
            combined_std_err: f64,
            bits_per_dimension: f64,
            of_a_density: bool,
            log_z: &'a LogZ,
            converged: bool,
            model: print::ModelJson<'a>,
            #[serde(skip_serializing_if = "Option::is_none")]
            estimate: Option<print::EstimateJson<'a>>,
            #[serde(skip_serializing_if = "Option::is_none")]
            walk: Option<print::EstimateJson<'a>>,
            warnings: Vec<String>,
        }
        #[derive(Serialize)]
        struct Whole<'a> {
            #[serde(flatten)]
            first: One<'a>,
            data: String,
            examples: usize,
            #[serde(skip_serializing_if = "Option::is_none")]
            against: Option<One<'a>>,
            #[serde(skip_serializing_if = "Option::is_none")]
            difference: Option<&'a Difference>,
            lnz: &'static str,
        }
        let one = |answer: &'a Answer| One {
            mean_log_likelihood: answer.likelihood.mean,
            data_std_err: answer.likelihood.data_std_err,
            log_z_std_err: answer.likelihood.log_z_std_err,
            combined_std_err: answer.likelihood.combined_std_err,
            bits_per_dimension: answer.likelihood.bits_per_dimension,
            of_a_density: answer.source.model.space().values().is_none(),
            log_z: &answer.log_z,
            converged: answer.converged(),
            model: print::ModelJson::new(&answer.source, self.options.temperature),
            estimate: answer.estimate.as_ref().map(print::EstimateJson::new),
            walk: answer.walk.as_ref().map(print::EstimateJson::new),
            warnings: answer.source.warnings.iter().cloned().chain(doubts(answer)).collect(),
        };
        io::record::to_json(&Whole {
            first: one(first),
            data: self.data.display().to_string(),
            examples: first.likelihood.examples,
            against: pair.map(|(second, _)| one(second)),
            difference: pair.map(|(_, difference)| difference),
            lnz: env!("CARGO_PKG_VERSION"),
        }) + "\n"
    }
}

/// What the data say of a model whose log Z is known, from an estimate or a walk or elsewhere.
fn answered(
    source: Source,
    log_z: LogZ,
    (estimate, walk): (Option<Estimate>, Option<Estimate>),
    run_converged: bool,
    data: &Array2<f64>,
) -> Result<Answer, lnz::Error> {
    let likelihood = likelihood::evaluate(&source.model, data.view(), &log_z)?;
    let excess = likelihood::excess(&source.model, data.view(), &likelihood, &log_z);
    Ok(Answer { source, log_z, estimate, walk, run_converged, likelihood, excess })
}

/// The second model with the log Z that a walk from the first gave it.
fn reached(first: &Answer, source: Source, walk: Estimate, data: &Array2<f64>) -> Result<Answer, lnz::Error> {
    let difference = LogZ::of(&walk, "")?;
    let by = format!("by a walk from {}", first.source.name);
    let value = first.log_z.value + difference.value;
    let log_z = LogZ::new(value, first.log_z.std_err.hypot(difference.std_err), by)?;
    answered(source, log_z, (None, Some(walk)), first.run_converged, data)
}

/// What a reader should know about a log Z that was used.
fn doubts(answer: &Answer) -> Vec<String> {
    let name = &answer.source.name;
    let mut doubts = Vec::new();
    if let Some(excess) = &answer.excess {
        doubts.push(format!("{name}: {excess}"));
    }
    match &answer.estimate {
        Some(estimate) => {
            let reasons = match &estimate.verdict {
                Verdict::Converged => &[][..],
                Verdict::NotConverged { reasons } => reasons,
            };
            let warnings = reasons.iter().chain(&estimate.warnings);
            doubts.extend(warnings.map(|warning| format!("log Z of {name}: {warning}")));
        }
        None if !answer.run_converged && answer.walk.is_some() => doubts.push(format!(
            "log Z of {name}: it is {}, whose own log Z did not converge",
            answer.log_z.source
        )),
        None if !answer.run_converged => doubts
            .push(format!("log Z of {name}: the run that {} holds did not converge", answer.log_z.source)),
        None => {}
    }
    doubts
}

/// log p of each example, as columns.
fn columns(first: &Likelihood, second: Option<&Likelihood>) -> Vec<Column> {
    let mut columns = vec![("log_likelihood".to_owned(), first.per_example.clone())];
    if let Some(second) = second {
        columns.push(("log_likelihood_against".to_owned(), second.per_example.clone()));
        let pairs = first.per_example.iter().zip(&second.per_example);
        columns.push(("difference".to_owned(), pairs.map(|(one, other)| one - other).collect()));
    }
    columns
}

/// What the figure of log-likelihoods shows of an answer.
fn shown(answer: &Answer) -> Examples<'_> {
    Examples {
        name: answer.source.name.clone(),
        log_likelihoods: &answer.likelihood.per_example,
        log_z_std_err: answer.log_z.std_err,
    }
}
