//! A run on one page: the answer, the verdict and its reasons in words, every figure with how to read it, and how to repeat it.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::figure::Figure;
use super::numbers::{decimals, significant, with_error};
use crate::estimators::estimate::{Phase, Role};
use crate::estimators::{Direction, Estimate, Guarantee, ScheduleChoice, Verdict};
use crate::io::record::RunRecord;
use crate::math::statistics::mean;

const STYLE: &str = include_str!("report.css");
/// `record` and `figures` as one HTML file that needs no other.
#[must_use]
pub fn report(record: &RunRecord, figures: &[Figure]) -> String {
    let estimate = &record.estimate;
    let title = format!("log Z of {}", record.model.source);
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    p.kicker { (title) }
                    h1 { "log Z = " (answer(estimate)) " nats" }
                    p.interval { (interval(estimate)) }
                    (badge(estimate))
                }
                main {
                    section { h2 { "Verdict" } (verdict(estimate)) }
                    @if !estimate.diagnostics.evidence.is_empty() {
                        section { h2 { "Evidence" } (evidence(estimate)) }
                    }
                    section { h2 { "What was run" } (run(record)) }
                    @if !figures.is_empty() {
                        section.figures {
                            h2 { "Figures" }
                            @for figure in figures {
                                figure {
                                    (PreEscaped(figure.svg()))
                                    figcaption { (figure.reading) }
                                }
                            }
                        }
                    }
                    section { h2 { "What it took" } (cost(&estimate.cost.phases, estimate.cost.seconds)) }
                    section { h2 { "How to repeat it" } (repeat(record)) }
                }
                footer { "lnz " (record.lnz) }
            }
        }
    }
    .into_string()
}

fn answer(estimate: &Estimate) -> String {
    let error = estimate.std_err.or(estimate.diagnostics.discretisation_error).unwrap_or(0.0);
    if error > 0.0 { with_error(estimate.log_z, error) } else { decimals(estimate.log_z, 9) }
}

fn interval(estimate: &Estimate) -> String {
    match &estimate.interval {
        Some(interval) => {
            let width = interval.upper - interval.lower;
            let digits = (1.0 - (0.25 * width).log10().floor()).clamp(1.0, 9.0) as usize;
            format!(
                "{} % interval {} … {}",
                significant(100.0 * interval.level, 4),
                decimals(interval.lower, digits),
                decimals(interval.upper, digits)
            )
        }
        None if estimate.guarantee == Guarantee::Exact => "exact, up to rounding".into(),
        None => "no interval".into(),
    }
}

fn badge(estimate: &Estimate) -> Markup {
    if estimate.verdict.is_converged() {
        html! { p.badge.good { "converged" } }
    } else {
        html! { p.badge.bad { "not converged: do not rely on this number" } }
    }
}

fn verdict(estimate: &Estimate) -> Markup {
    html! {
        @match &estimate.verdict {
            Verdict::Converged => p { (reasons_for(estimate)) },
            Verdict::NotConverged { reasons } => {
                p { "These checks failed:" }
                ul { @for reason in reasons { li { (sentence(&reason.to_string())) } } }
            }
        }
        p { (meaning(&estimate.guarantee)) }
        @if !estimate.warnings.is_empty() {
            p { "Worth knowing:" }
            ul { @for warning in &estimate.warnings { li { (sentence(&warning.to_string())) } } }
        }
    }
}

/// Why a converged run is one.
fn reasons_for(estimate: &Estimate) -> String {
    let figures = &estimate.diagnostics;
    let mut passed = Vec::new();
    if let Some(size) = figures.effective_sample_size {
        passed.push(format!(
            "the weights of the {} are worth {} equal ones (at least 100 are asked)",
            figures.sample(),
            decimals(size, 0)
        ));
    }
    if let Some(shape) = figures.pareto_shape {
        passed.push(format!("their tail is light (Pareto shape k̂ = {})", decimals(shape, 2)));
    }
    if let Some(lag) = figures.lag {
        passed.push(format!("the ways up and down differ by no more than {} nat", significant(lag.abs(), 2)));
    }
    if !figures.evidence.is_empty() {
        passed.push("independent runs, precise enough to disagree, do not".into());
    }
    match passed.as_slice() {
        [] if estimate.guarantee == Guarantee::Exact => "The sum was computed, not estimated.".into(),
        [] => "The estimated error is within what was asked.".into(),
        _ => format!("Every check passed: {}.", passed.join("; ")),
    }
}

/// What a guarantee promises.
fn meaning(guarantee: &Guarantee) -> String {
    match guarantee {
        Guarantee::Exact => "The number is log Z itself.".into(),
        Guarantee::Numerical => {
            "Numerical integration: deterministic, with a heuristic estimate of its error.".into()
        }
        Guarantee::UnbiasedZ => {
            "The estimate of Z is unbiased, so that of log Z is low on average, and exceeds log Z by b nats \
                                 with probability at most exp(−b)."
                .into()
        }
        Guarantee::Consistent => "The estimate is right in the limit of long runs.".into(),
        Guarantee::StochasticLower => "The estimate is a lower bound on average.".into(),
        Guarantee::StochasticUpper => {
            "The estimate is an upper bound on average, and falls short of log Z by b nats with \
                                       probability at most exp(−b)."
                .into()
        }
        Guarantee::Conditional(on) => format!("The estimate is as good as {on}."),
    }
}

fn evidence(estimate: &Estimate) -> Markup {
    html! {
        p { "Other runs with random numbers of their own, held against the reported one." }
        table {
            thead { tr { th { "source" } th.number { "log Z" } th.number { "apart (SE)" } th { "" } } }
            tbody {
                @for other in &estimate.diagnostics.evidence {
                    tr {
                        td { (other.source) }
                        @if other.direction == Direction::Bound {
                            td.number { (decimals(other.log_z, 2)) " or more" }
                            td {}
                        } @else {
                            td.number { (with_error(other.log_z, other.std_err)) }
                            td.number { (decimals(other.apart(estimate), 1)) }
                        }
                        td { (other.says(estimate)) }
                    }
                }
            }
        }
    }
}

fn run(record: &RunRecord) -> Markup {
    let (estimate, model) = (&record.estimate, &record.model);
    let figures = &estimate.diagnostics;
    let mut lines = vec![
        ("model", format!("{}: {} on {}", model.source, model.kind, model.space)),
        ("method", format!("{} ({})", estimate.method, estimate.guarantee)),
    ];
    lines.extend(model.facts.iter().map(|(name, value)| (name.as_str(), value.clone())));
    if record.temperature != 1.0 {
        lines.push(("temperature", significant(record.temperature, 6)));
    }
    if let Some(data) = &record.data {
        lines.push(("reference fitted to", format!("{}, {} examples", data.source, data.examples)));
    }
    let mut number = |name, value: Option<f64>, digits| {
        if let Some(value) = value {
            lines.push((name, significant(value, digits)));
        }
    };
    number(figures.sample(), figures.chains.map(|count| count as f64), 9);
    number("states at a rung", figures.states.map(|count| count as f64), 9);
    number("rungs", figures.rungs.map(|count| count as f64), 9);
    number("effective sample size", figures.effective_sample_size, 4);
    number("Pareto shape k̂", figures.pareto_shape, 3);
    number("variance of log-weights", figures.log_weight_variance, 3);
    number("barrier Λ", figures.barrier, 3);
    number(
        "mean acceptance of exchanges",
        Some(mean(&figures.swap_rates)).filter(|rate| rate.is_finite()),
        2,
    );
    number("round trips, all systems", figures.round_trips.map(|count| count as f64), 9);
    number("largest R̂ of a rung", figures.r_hat, 4);
    number("least acceptance", figures.acceptance_least, 3);
    number("mean acceptance", figures.acceptance_mean, 3);
    number("autocorrelation time (sweeps)", figures.autocorrelation_time, 3);
    number("error of integration (nats)", figures.discretisation_error, 2);
    table(&lines)
}

/// Names and what there is to say about them.
fn table(lines: &[(&str, String)]) -> Markup {
    html! {
        table {
            tbody { @for (name, value) in lines { tr { th scope="row" { (name) } td { (value) } } } }
        }
    }
}

fn cost(phases: &[Phase], seconds: f64) -> Markup {
    let role = |role: Role| match role {
        Role::Pilot => "to plan the run",
        Role::Answer => "for the answer",
        Role::Evidence => "for the verdict",
    };
    let time = |seconds: f64| significant(seconds, 3);
    html! {
        table {
            thead {
                tr {
                    th { "phase" } th { "" } th.number { "seconds" } th.number { "sweeps" }
                    th.number { "energies" } th.number { "gradients" }
                }
            }
            tbody {
                @for phase in phases {
                    tr {
                        td { (phase.name) }
                        td { (role(phase.role)) }
                        td.number { (time(phase.seconds)) }
                        td.number { (phase.counts.sweeps) }
                        td.number { (phase.counts.energy_evaluations) }
                        td.number { (phase.counts.gradient_evaluations) }
                    }
                }
                tr.total { td { "all" } td {} td.number { (time(seconds)) } td {} td {} td {} }
            }
        }
    }
}

fn repeat(record: &RunRecord) -> Markup {
    let settings = &record.settings;
    let automatic =
        |value: Option<usize>| value.map_or_else(|| "chosen by pilots".into(), |value| value.to_string());
    let mut lines = vec![
        ("seed", settings.seed.to_string()),
        ("target standard error (nats)", settings.target_se.to_string()),
        ("time limit (s)", settings.max_time.to_string()),
        ("chains", automatic(settings.chains)),
        ("rungs", automatic(settings.rungs)),
        (
            "schedule",
            match &settings.schedule {
                ScheduleChoice::EqualBarrier => "equal shares of the barrier".into(),
                ScheduleChoice::Linear => "linear".into(),
                ScheduleChoice::Sigmoidal => "sigmoidal".into(),
                ScheduleChoice::Given(betas) => format!("given, {} rungs", betas.len().saturating_sub(1)),
            },
        ),
        ("SHA-256 of the model", record.model.digest.clone()),
    ];
    if let Some(length) = settings.waste_free {
        lines.push(("states of a chain at a rung, none wasted", length.to_string()));
    }
    if let Some(budget) = settings.budget {
        lines.push(("budget (sweeps)", budget.to_string()));
    }
    html! { pre { (record.command) } (table(&lines)) }
}

/// With a capital and a full stop.
fn sentence(words: &str) -> String {
    let mut letters = words.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}

#[cfg(test)]
mod tests {
    use super::super::trials::{estimate, record, spoilt};
    use super::super::{States, of_model, of_run};
    use super::*;
    use crate::estimators::Warning;
    use crate::models::builtin;

    fn assert_valid(html: &str) {
        use html5ever::tendril::TendrilSink;
        let document =
            html5ever::parse_document(markup5ever_rcdom::RcDom::default(), html5ever::ParseOpts::default())
                .one(html);
        assert!(document.errors.borrow().is_empty(), "{:?}", document.errors.borrow());
        for forbidden in ["<script", "<link", "src=\"http", "href=\"http", "url("] {
            assert!(!html.contains(forbidden), "the page must not need {forbidden}");
        }
    }

    #[test]
    fn the_page_says_all_that_a_reader_needs_and_is_valid() {
        let mut run = record("ref:ising?side=3&field=0.2");
        run.command = "lnz estimate 'a<b>&c.npz' --method=ais".into();
        let model = builtin::parse("ref:ising?side=3&field=0.2").expect("valid");
        run.estimate.warnings.push(Warning::GuessedBaseRates);
        let states = States { draws: &run.estimate.trace.draws, ..States::default() };
        let mut figures = of_run(&run);
        figures.extend(of_model(&model, run.estimate.log_z, &states));
        let html = report(&run, &figures);
        assert_valid(&html);
        for figure in &figures {
            assert!(html.contains(&html! { (figure.reading) }.into_string()), "{}", figure.name);
        }
        assert_eq!(html.matches("<svg").count(), figures.len());
        for words in [
            "log Z = ",
            "95 % interval",
            "Every check passed",
            "a second forward run",
            "a&lt;b&gt;&amp;c.npz",
            "seed",
        ] {
            assert!(html.contains(words), "{words}");
        }
    }

    #[test]
    fn a_run_that_did_not_converge_says_why() {
        let mut run = record("ref:ising?side=3");
        run.estimate.verdict = Verdict::from_reasons(vec![Warning::FewEffectiveSamples {
            effective_sample_size: 7.0,
            least: 100.0,
        }]);
        let html = report(&run, &[]);
        assert_valid(&html);
        assert!(
            html.contains("do not rely on this number") && html.contains("Effective sample size 7 is below")
        );
    }

    #[test]
    fn no_record_breaks_the_page() {
        let mut run = record("ref:ising?side=3");
        for method in ["ais", "ti", "enumeration"] {
            for bad in spoilt(&estimate(method, "ref:ising?side=3")) {
                run.estimate = bad;
                assert_valid(&report(&run, &[]));
            }
        }
    }
}
