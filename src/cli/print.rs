//! Estimates as a person reads them, and as a program does.

use std::fmt::Write as _;

use lnz::estimators::estimate::Analysis;
use lnz::estimators::{Direction, Estimate, Guarantee, Interval, Verdict, Warning};
use lnz::io::record::to_json;
use lnz::models::{self, Space, Tilt, Tilted};
use lnz::wording;
pub(crate) use lnz::wording::{duration, quoted};
use serde::Serialize;

use super::model::Source;

/// A number with the error that log Z leaves in it: none where that is exact, a question mark where it is not known.
pub(crate) fn tracked(value: f64, error: f64) -> String {
    match error {
        0.0 => format!("{value:.4}"),
        error if error.is_finite() => number(value, error),
        _ => format!("{value:.1} ± ?"),
    }
}

/// Decimals of numbers without error.
const EXACT: usize = 9;
/// From here on numbers are powers of ten: their decimals are noise.
const LARGE: f64 = 1e15;

/// A number to the digits that its error supports, and its error to two: `451.283 ± 0.042`.
pub(crate) fn with_error(value: f64, error: f64) -> String {
    if error.is_finite() && value.abs() >= LARGE && value.is_finite() {
        let digits = (1.0 + value.abs().log10().floor() - error.log10().floor()).clamp(0.0, 15.0) as usize;
        format!("{value:.digits$e} ± {error:.1e}")
    } else if error.is_finite() && value.is_finite() {
        let decimals = decimals(error);
        format!("{} ± {error:.decimals$}", rounded(value, decimals))
    } else {
        format!("{} ± {error}", wording::decimals(value, 1))
    }
}

/// Decimals that show two digits of an error.
fn decimals(error: f64) -> usize {
    if error > 0.0 { (1.0 - error.log10().floor()).clamp(0.0, EXACT as f64) as usize } else { EXACT }
}

/// An error to two digits.
pub(crate) fn two_digits(error: f64) -> String {
    if error < LARGE { format!("{error:.0$}", decimals(error)) } else { format!("{error:.1e}") }
}

/// A number without sampling error.
pub(crate) fn exact(value: f64) -> String {
    rounded(value, EXACT)
}

/// So many decimals; what rounds to zero has no sign.
fn rounded(value: f64, decimals: usize) -> String {
    let text = wording::decimals(value, decimals);
    match text.strip_prefix('-') {
        Some(zero) if zero.chars().all(|c| c == '0' || c == '.') => zero.to_owned(),
        _ => text,
    }
}

/// A share of an error by itself: `± 0.042 nats`.
pub(crate) fn error(error: f64) -> String {
    if error == 0.0 {
        "± 0 (exact)".into()
    } else if error.is_finite() {
        format!("± {} nats", two_digits(error))
    } else {
        "unknown".into()
    }
}

/// log Z or a likelihood, with or without error.
pub(crate) fn number(value: f64, error: f64) -> String {
    if error == 0.0 { exact(value) } else { with_error(value, error) }
}

fn interval(interval: &Interval) -> String {
    let width = interval.upper - interval.lower;
    let decimals = if width.is_finite() { decimals(0.25 * width).saturating_sub(1).max(1) } else { 1 };
    let level = format!("{:.4}", 100.0 * interval.level);
    let level = level.trim_end_matches('0').trim_end_matches('.');
    let [lower, upper] = [interval.lower, interval.upper].map(|end| wording::decimals(end, decimals));
    format!("{level} % interval {lower} … {upper}")
}

/// Lines of a name and what there is to say about it, the latter aligned; a name may be empty.
pub(crate) fn aligned(lines: &[(&str, String)]) -> String {
    let width = lines.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    lines.iter().fold(String::new(), |mut text, (name, value)| {
        writeln!(text, "{name:width$}  {value}").expect("writing to a string cannot fail");
        text
    })
}

/// The words that this program was started with, as a shell would need them.
pub(crate) fn command() -> Vec<String> {
    let given = std::env::args_os().skip(1).map(|word| quoted(&word.to_string_lossy()));
    std::iter::once("lnz".to_owned()).chain(given).collect()
}

/// Those of the `options` that this program was started with.
pub(crate) fn given<'a>(options: &[&'a str]) -> Vec<&'a str> {
    let words = command();
    let named = |option: &&str| words.iter().any(|word| word.split('=').next() == Some(*option));
    options.iter().copied().filter(|option| named(option)).collect()
}

/// `ref:rbm: rbm on {0, 1}^100, at temperature 2`.
pub(crate) fn model(source: &Source, temperature: f64) -> String {
    let at = if temperature == 1.0 { String::new() } else { format!(", at temperature {temperature}") };
    let tilt = match models::downcast::<Tilted>(&source.model) {
        Some(tilted) => format!(", {}", tilted.tilt()),
        None => String::new(),
    };
    format!("{}: {} on {}{tilt}{at}", source.name, source.model.kind(), source.model.space())
}

/// An estimate for a person.
pub(crate) fn estimate(source: &Source, temperature: f64, estimate: &Estimate) -> String {
    let headline = match (&estimate.std_err, &estimate.interval) {
        (Some(error), Some(bounds)) => {
            format!("log Z = {} nats   ({})", with_error(estimate.log_z, *error), interval(bounds))
        }
        (None, Some(_)) => {
            let error = estimate.diagnostics.discretisation_error.unwrap_or(0.0);
            format!("log Z = {} nats   (estimated error of the integration)", number(estimate.log_z, error))
        }
        (None, None) if is_exact(estimate) => format!("log Z = {} nats   (exact)", exact(estimate.log_z)),
        (error, _) => format!("log Z = {} nats", number(estimate.log_z, error.unwrap_or(0.0))),
    };
    let mut lines = vec![
        ("  model", model(source, temperature)),
        ("  method", format!("{} ({})", estimate.method, estimate.guarantee)),
    ];
    match &estimate.verdict {
        Verdict::Converged => lines.push(("  verdict", "converged".into())),
        Verdict::NotConverged { reasons } => {
            lines.push(("  verdict", "NOT CONVERGED: do not rely on this number".into()));
            lines.extend(reasons.iter().map(|reason| ("", format!("- {reason}"))));
        }
    }
    let effort = effort(estimate);
    if !effort.is_empty() {
        lines.push(("  effort", effort));
    }
    lines.extend(analyses(&estimate.diagnostics.analyses));
    for (i, other) in estimate.diagnostics.evidence.iter().enumerate() {
        let says = other.says(estimate);
        let says = if other.agrees { says.to_owned() } else { says.to_uppercase() };
        let number = match other.direction {
            Direction::Bound => format!("{:.2} or more", other.log_z),
            _ => number(other.log_z, other.std_err),
        };
        let text = format!("{number}, {}: {says}", other.source);
        lines.push((if i == 0 { "  evidence" } else { "" }, text));
    }
    let phases: Vec<String> = grouped(estimate)
        .into_iter()
        .map(|(name, seconds)| format!("{name} {}", duration(seconds)))
        .collect();
    let time = duration(estimate.cost.seconds);
    lines.push(("  time", if phases.len() > 1 { format!("{time} ({})", phases.join(", ")) } else { time }));
    format!("{headline}\n{}", aligned(&lines))
}

/// Several estimators on the same states, a line each.
pub(crate) fn analyses(analyses: &[Analysis]) -> Vec<(&'static str, String)> {
    let line = |(i, way): (usize, &Analysis)| {
        let text = format!("{}, {}", number(way.log_z, way.std_err), way.name);
        (if i == 0 { "  analyses" } else { "" }, text)
    };
    analyses.iter().enumerate().map(line).collect()
}

/// What went into an estimate, in figures.
pub(crate) fn effort(estimate: &Estimate) -> String {
    let figures = &estimate.diagnostics;
    let mut parts = Vec::new();
    if let Some(chains) = figures.chains {
        let states = figures.states.map_or(String::new(), |states| format!("{states} states on "));
        parts.push(format!("{states}{chains} {}", figures.sample()));
    }
    if let Some(rungs) = figures.rungs {
        parts.push(format!("{rungs} rungs"));
    }
    match figures.resamplings {
        None | Some(0) => {}
        Some(1) => parts.push("one resampling".into()),
        Some(count) => parts.push(format!("{count} resamplings")),
    }
    if let Some(ess) = figures.effective_sample_size {
        parts.push(format!("effective sample size {ess:.0}"));
    }
    if let Some(trips) = figures.round_trips {
        let (least, most) = figures
            .swap_rates
            .iter()
            .fold((f64::INFINITY, 0.0f64), |(least, most), rate| (least.min(*rate), most.max(*rate)));
        parts.push(format!("exchanges accepted {:.0} to {:.0} %", 100.0 * least, 100.0 * most));
        parts.push(format!("{trips} round trips"));
    }
    if let Some(r_hat) = figures.r_hat {
        parts.push(format!("R-hat {r_hat:.2}"));
    }
    if let Some(shape) = figures.pareto_shape {
        parts.push(format!("Pareto shape {shape:.2}"));
    }
    if let Some(time) = figures.autocorrelation_time {
        parts.push(format!("autocorrelation time {time:.1}"));
    }
    if let Some(acceptance) = figures.acceptance_mean {
        parts.push(format!("acceptance {:.0} %", 100.0 * acceptance));
    }
    parts.join(", ")
}

/// Seconds of the phases, all pilots together.
fn grouped(estimate: &Estimate) -> Vec<(String, f64)> {
    let mut groups: Vec<(String, f64)> = Vec::new();
    for phase in &estimate.cost.phases {
        let name = if phase.name.starts_with("pilot ") { "pilots" } else { phase.name.as_str() };
        match groups.last_mut() {
            Some((last, seconds)) if last == name => *seconds += phase.seconds,
            _ => groups.push((name.to_owned(), phase.seconds)),
        }
    }
    groups
}

/// What every JSON object says about a model.
#[derive(Debug, Serialize)]
pub(crate) struct ModelJson<'a> {
    source: &'a str,
    kind: &'a str,
    digest: &'a str,
    space: Space,
    #[serde(skip_serializing_if = "Option::is_none")]
    tilt: Option<Tilt>,
    temperature: f64,
}

impl<'a> ModelJson<'a> {
    pub(crate) fn new(source: &'a Source, temperature: f64) -> Self {
        Self {
            source: &source.name,
            kind: source.model.kind(),
            digest: &source.digest,
            space: source.model.space(),
            tilt: models::downcast::<Tilted>(&source.model).map(|tilted| tilted.tilt().clone()),
            temperature,
        }
    }
}

/// A warning with its figures, and as a sentence.
#[derive(Debug, Serialize)]
struct WarningJson<'a> {
    message: String,
    #[serde(flatten)]
    figures: &'a Warning,
}

fn warnings(warnings: &[Warning]) -> Vec<WarningJson<'_>> {
    warnings.iter().map(|figures| WarningJson { message: figures.to_string(), figures }).collect()
}

/// An estimate's fields as `--json` shows them; the trace is left to the run record.
#[derive(Debug, Serialize)]
pub(crate) struct EstimateJson<'a> {
    log_z: f64,
    std_err: Option<f64>,
    interval: &'a Option<Interval>,
    method: &'a str,
    guarantee: String,
    verdict: &'static str,
    reasons: Vec<WarningJson<'a>>,
    warnings: Vec<WarningJson<'a>>,
    cost: &'a lnz::estimators::Cost,
    diagnostics: &'a lnz::estimators::Diagnostics,
    seed: u64,
}

impl<'a> EstimateJson<'a> {
    pub(crate) fn new(estimate: &'a Estimate) -> Self {
        let (verdict, reasons) = match &estimate.verdict {
            Verdict::Converged => ("converged", Vec::new()),
            Verdict::NotConverged { reasons } => ("not-converged", warnings(reasons)),
        };
        Self {
            log_z: estimate.log_z,
            std_err: estimate.std_err,
            interval: &estimate.interval,
            method: &estimate.method,
            guarantee: estimate.guarantee.to_string(),
            verdict,
            reasons,
            warnings: warnings(&estimate.warnings),
            cost: &estimate.cost,
            diagnostics: &estimate.diagnostics,
            seed: estimate.seed,
        }
    }
}

/// An estimate for a program.
pub(crate) fn estimate_json(source: &Source, temperature: f64, estimate: &Estimate) -> String {
    #[derive(Serialize)]
    struct Whole<'a> {
        #[serde(flatten)]
        estimate: EstimateJson<'a>,
        model: ModelJson<'a>,
        notes: &'a [String],
        lnz: &'static str,
    }
    to_json(&Whole {
        estimate: EstimateJson::new(estimate),
        model: ModelJson::new(source, temperature),
        notes: &source.warnings,
        lnz: env!("CARGO_PKG_VERSION"),
    }) + "\n"
}

/// Whether a method's numbers carry no sampling error.
pub(crate) fn is_exact(estimate: &Estimate) -> bool {
    estimate.guarantee == Guarantee::Exact
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_follow_the_error() {
        assert_eq!(with_error(451.283_26, 0.042_4), "451.283 ± 0.042");
        assert_eq!(with_error(451.283_26, 1.3), "451.3 ± 1.3");
        assert_eq!(with_error(451.283_26, 32.0), "451 ± 32");
        assert_eq!(with_error(-3.0, f64::INFINITY), "-3.0 ± inf");
        assert_eq!(with_error(f64::NEG_INFINITY, f64::INFINITY), "-inf ± inf");
        assert_eq!(with_error(-7e-12, 2.4e-8), "0.000000000 ± 0.000000024");
        assert_eq!(with_error(1.234_567e20, 2.3e16), "1.23457e20 ± 2.3e16");
        assert_eq!(number(2.0, 0.0), "2.000000000");
        assert_eq!(number(1.2e201, 0.0), "1.2e201");
    }

    #[test]
    fn words_survive_a_shell() {
        assert_eq!(quoted("ref:ising"), "ref:ising");
        assert_eq!(quoted("ref:ising?side=8&field=1"), "'ref:ising?side=8&field=1'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }
}
