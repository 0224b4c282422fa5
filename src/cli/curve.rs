//! `lnz curve`: a model's thermodynamics at many temperatures.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{Args, ValueEnum};
use lnz::estimators::curve::{self, Curve, Point, Quantity};
use lnz::estimators::{Settings, Verdict};
use lnz::io;
use lnz::plots;
use serde::Serialize;

use super::arguments::{self, Effort, Running, setting};
use super::estimate::SOON;
use super::model::{Options, Source};
use super::pictures::Pictures;
use super::progress::Progress;
use super::table::table;
use super::{Report, output, print};

/// Most temperatures at once.
const MOST: usize = 10_000;

/// Compute log Z, mean energy, heat capacity and entropy at many temperatures
///
/// E is divided by T, and Boltzmann's constant is 1. Exactly where that is quick; else by one tempering run from infinite temperature
/// to the lowest of them, whose states are reweighted to each (MBAR), with standard errors. Hidden units that are summed out count as
/// part of the system.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Model file, or ref:NAME?key=value&… (see lnz list)
    model: String,
    /// FROM:TO:COUNT, evenly spaced, or a list: 0.5:4:50, or 1,2,2.27
    #[arg(long, value_name = "T", value_parser = temperatures, allow_negative_numbers = true)]
    temperatures: Temperatures,
    /// How
    #[arg(long, value_enum, default_value = "auto")]
    method: Method,
    /// Divide everything by the number of coordinates of a state
    #[arg(long)]
    per_site: bool,
    #[command(flatten)]
    effort: Effort,
    #[command(flatten)]
    options: Options,
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

/// How a curve is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Method {
    /// Exact where that takes under ten seconds, else tempering
    Auto,
    /// The quickest exact method, however long it takes
    Exact,
    /// One tempering run, reweighted
    Tempering,
}

/// Temperatures in the order given.
#[derive(Clone, Debug)]
struct Temperatures(Vec<f64>);

impl Arguments {
    pub(crate) fn run(&self) -> Result<Report> {
        self.running.start()?;
        if let Some(path) = &self.out {
            output::check("--out", path, &["csv", "npz"], &[Path::new(&self.model)])?;
        }
        self.pictures.check()?;
        if self.options.temperature != 1.0 {
            let expected = "--temperatures says at which temperatures; leave --temperature out";
            return Err(setting("--temperature", self.options.temperature, expected).into());
        }
        let mut source = self.options.load(&self.model)?;
        let settings = arguments::settings(&self.effort, None, None, &source.model.space())?;
        let mut curve = self.find(&source, &settings)?;
        let reasons = match &curve.verdict {
            Verdict::Converged => Vec::new(),
            Verdict::NotConverged { reasons } => reasons.clone(),
        };
        if self.per_site {
            let sites = source.model.space().dim as f64;
            curve.points.iter_mut().for_each(|point| divide(point, sites));
        }
        if let Some(path) = &self.out {
            io::write_columns(path, &columns(&curve)).map_err(output::failed)?;
        }
        self.pictures.draw(|| vec![plots::of_curve(&curve, self.per_site)])?;
        if self.running.quiet {
            source.warnings.clear();
        }
        let text = if self.json { self.as_json(&source, &curve) } else { self.as_text(&source, &curve) };
        Ok(Report { text, warnings: source.warnings, converged: reasons.is_empty() })
    }

    fn find(&self, source: &Source, settings: &Settings) -> Result<Curve, lnz::Error> {
        let (model, temperatures) = (&source.model, &self.temperatures.0);
        let progress = Progress::new(self.running.quiet);
        let quick = || -> Result<bool, lnz::Error> {
            let seconds = curve::exact_seconds(model, temperatures)?;
            Ok(seconds.is_some_and(|seconds| seconds < SOON.min(settings.max_time)))
        };
        if self.method == Method::Exact || (self.method == Method::Auto && quick()?) {
            curve::exact(model, temperatures, &progress)
        } else {
            curve::tempered(model, temperatures, settings, &progress)
        }
    }

    fn as_text(&self, source: &Source, curve: &Curve) -> String {
        let effort = curve.run.as_ref().map_or(String::new(), |run| {
            format!(", one run at {} temperatures between", run.trace.schedule.len())
        });
        let mut lines = vec![
            ("model", print::model(source, 1.0)),
            (
                "method",
                format!("{}{}", curve.method, if curve.run.is_some() { effort } else { " (exact)".into() }),
            ),
        ];
        match &curve.verdict {
            Verdict::Converged => lines.push(("verdict", "converged".into())),
            Verdict::NotConverged { reasons } => {
                lines.push(("verdict", "NOT CONVERGED: do not rely on these numbers".into()));
                lines.extend(reasons.iter().map(|reason| ("", format!("- {reason}"))));
            }
        }
        if let Some(run) = &curve.run {
            lines.push(("time", print::duration(run.cost.seconds)));
        }
        let per = if self.per_site { " per site" } else { "" };
        let sampled = curve.run.is_some();
        let names = ["log Z", "mean energy", "heat capacity", "entropy"].map(|name| format!("{name}{per}"));
        let mut header = vec!["T"];
        header.extend(names.iter().map(String::as_str));
        if sampled {
            header.push("effective");
        }
        let rows: Vec<Vec<String>> = curve
            .points
            .iter()
            .map(|point| {
                let mut row = vec![temperature(point.temperature)];
                row.extend(quantities(point).map(shown));
                row.extend(point.effective_samples.map(|samples| format!("{samples:.0}")));
                row
            })
            .collect();
        print::aligned(&lines) + "\n" + &table(&header, &rows)
    }

    fn as_json(&self, source: &Source, curve: &Curve) -> String {
        #[derive(Serialize)]
        struct Whole<'a> {
            points: &'a [Point],
            per_site: bool,
            method: &'a str,
            converged: bool,
            reasons: Vec<String>,
            model: print::ModelJson<'a>,
            #[serde(skip_serializing_if = "Option::is_none")]
            run: Option<print::EstimateJson<'a>>,
            lnz: &'static str,
        }
        let reasons = match &curve.verdict {
            Verdict::Converged => Vec::new(),
            Verdict::NotConverged { reasons } => reasons.iter().map(ToString::to_string).collect(),
        };
        io::record::to_json(&Whole {
            points: &curve.points,
            per_site: self.per_site,
            method: &curve.method,
            converged: reasons.is_empty(),
            reasons,
            model: print::ModelJson::new(source, 1.0),
            run: curve.run.as_ref().map(print::EstimateJson::new),
            lnz: env!("CARGO_PKG_VERSION"),
        }) + "\n"
    }
}

fn quantities(point: &Point) -> [Quantity; 4] {
    [point.log_z, point.mean_energy, point.heat_capacity, point.entropy]
}

/// Exact numbers to what their differences are good for.
fn shown(quantity: Quantity) -> String {
    match quantity.std_err {
        Some(error) => print::with_error(quantity.value, error),
        None => format!("{:.6}", quantity.value),
    }
}

fn temperature(value: f64) -> String {
    let text = format!("{value:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn divide(point: &mut Point, sites: f64) {
    let all = [&mut point.log_z, &mut point.mean_energy, &mut point.heat_capacity, &mut point.entropy];
    for quantity in all {
        quantity.value /= sites;
        quantity.std_err = quantity.std_err.map(|error| error / sites);
    }
}

fn columns(curve: &Curve) -> Vec<io::likelihoods::Column> {
    let of = |value: &dyn Fn(&Point) -> f64| curve.points.iter().map(value).collect::<Vec<f64>>();
    let mut columns = vec![("temperature".to_owned(), of(&|point| point.temperature))];
    for (k, name) in ["log_z", "mean_energy", "heat_capacity", "entropy"].into_iter().enumerate() {
        columns.push((name.to_owned(), of(&|point| quantities(point)[k].value)));
        columns.push((format!("{name}_std_err"), of(&|point| quantities(point)[k].std_err.unwrap_or(0.0))));
    }
    columns
}

/// `0.5:4:50`, or `1,2,2.27`.
fn temperatures(text: &str) -> Result<Temperatures, String> {
    let expected =
        "must be FROM:TO:COUNT, such as 0.5:4:50, or temperatures such as 1,2,2.27, positive and at most 1e6";
    let number = |text: &str| -> Result<f64, String> {
        arguments::finite(text)
            .ok()
            .filter(|value| (1e-6..=1e6).contains(value))
            .ok_or_else(|| expected.to_owned())
    };
    let parts: Vec<&str> = text.split(':').collect();
    match parts[..] {
        [list] => Ok(Temperatures(list.split(',').map(number).collect::<Result<_, _>>()?)),
        [from, to, count] => {
            let (from, to) = (number(from)?, number(to)?);
            let count = arguments::count(count).map_err(|_| expected.to_owned())?;
            if count > MOST {
                return Err(format!("must be at most {MOST} temperatures"));
            }
            let step = (to - from) / (count.max(2) - 1) as f64;
            Ok(Temperatures((0..count).map(|k| from + step * k as f64).collect()))
        }
        _ => Err(expected.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temperatures_are_a_range_or_a_list() {
        assert_eq!(temperatures("1:2:3").expect("valid").0, [1.0, 1.5, 2.0]);
        assert_eq!(temperatures("2:1:2").expect("valid").0, [2.0, 1.0]);
        assert_eq!(temperatures("2:3:1").expect("valid").0, [2.0]);
        assert_eq!(temperatures("1, 2.27").expect("valid").0, [1.0, 2.27]);
        for text in
            ["", "0:1:3", "1:2", "1:2:0", "1:2:3:4", "-1", "x", "1,,2", "nan:1:2", "1:2:1e9", "1:2:99999999"]
        {
            assert!(temperatures(text).is_err(), "{text}");
        }
    }
}
