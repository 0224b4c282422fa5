//! Estimators, or runs, one below the other with their intervals.

use std::collections::HashSet;

use super::figure::{Colour, Figure, Marks, Panel, Series};
use super::numbers::{counted, shortened, significant, with_error};
use super::rows::{self, Row};
use crate::io::record::RunRecord;
use crate::studies::{Comparison, Standing, Truth};

/// Usual half-widths from the truth beyond which an estimator is written at the edge.
const REACH: f64 = 40.0;
/// Letters of a row's name.
const NAME: usize = 34;

/// A comparison at its largest budget.
pub(super) fn figure(comparison: &Comparison) -> Option<Figure> {
    let largest =
        comparison.standings.iter().map(|standing| standing.budget).fold(f64::NEG_INFINITY, f64::max);
    let row = |standing: &Standing| Row {
        label: shortened(&standing.method, NAME),
        value: standing.log_z,
        interval: standing.interval.map(|interval| [interval.lower, interval.upper]),
        colour: Colour::Main,
        cloud: match standing.runs.as_slice() {
            [_] => Vec::new(),
            several => several.iter().map(|run| run.log_z).collect(),
        },
    };
    let list: Vec<Row> =
        comparison.standings.iter().filter(|standing| standing.budget == largest).map(row).collect();
    if list.is_empty() {
        return None;
    }
    let truth = comparison.truth.as_ref();
    let mut panel = rows::panel("log Z (nats)", &list, truth.map(|truth| truth.log_z), REACH);
    if let Some(truth) = truth.filter(|truth| truth.log_z.is_finite()) {
        panel.series.insert(0, Series::new(label(truth), Colour::Other, Marks::Vertical(truth.log_z)));
    }
    if let Some(dots) = panel.series.iter_mut().find(|series| matches!(series.marks, Marks::Cloud(_))) {
        dots.label = Some("single runs".into());
    }
    Some(Figure {
        name: "forest",
        title: format!("{} at equal cost, best first", counted(list.len(), "estimator")),
        reading: format!(
            "Each row combines {} of an estimator. Good: a short whisker that reaches the dashed line. Bad: a whisker that \
             misses it, so that the estimator is surer than it should be.",
            counted(comparison.replicates, "run")
        ),
        panels: vec![panel],
    })
}

/// Several runs.
pub(super) fn together(runs: &[(String, &RunRecord)]) -> Figure {
    let list: Vec<Row> = runs
        .iter()
        .map(|(name, record)| Row {
            label: shortened(name, NAME),
            value: record.estimate.log_z,
            interval: rows::reported(&record.estimate),
            colour: if record.estimate.verdict.is_converged() { Colour::Main } else { Colour::Other },
            cloud: Vec::new(),
        })
        .collect();
    let mut panel = rows::panel("log Z and its interval (nats)", &list, None, f64::INFINITY);
    name_verdicts(&mut panel);
    let models: HashSet<_> =
        runs.iter().map(|(_, record)| (&record.model.digest, record.temperature.to_bits())).collect();
    let of_models =
        if models.len() > 1 { format!(" of {} different models", models.len()) } else { String::new() };
    Figure {
        name: "runs",
        title: format!("log Z of {}{of_models}", counted(runs.len(), "run")),
        reading: "Good: runs of one model overlap. Bad: two intervals apart, though their runs say converged; then one of them \
                  missed something."
            .into(),
        panels: vec![panel],
    }
}

/// Says what colours mean where they differ.
fn name_verdicts(panel: &mut Panel) {
    if panel.series.iter().any(|series| series.colour == Colour::Other) {
        for (colour, label) in [(Colour::Main, "converged"), (Colour::Other, "not converged")] {
            if let Some(series) = panel.series.iter_mut().find(|series| series.colour == colour) {
                series.label = Some(label.into());
            }
        }
    }
}

/// `exact: 123.456 (kaufman)` or `consensus: 123.456 ± 0.010`.
fn label(truth: &Truth) -> String {
    let source = shortened(&truth.source, NAME);
    if truth.std_err == 0.0 {
        format!("exact: {} ({source})", significant(truth.log_z, 7))
    } else {
        format!("{source}: {}", with_error(truth.log_z, truth.std_err))
    }
}

#[cfg(test)]
mod tests {
    use super::super::figure::Ticks;
    use super::super::trials::{assert_sound, comparison, record};
    use super::*;

    #[test]
    fn a_row_for_each_estimator_at_the_largest_budget() {
        let comparison = comparison();
        let figure = figure(&comparison).expect("standings");
        assert_sound(&figure);
        let panel = &figure.panels[0];
        let Ticks::Named(names) = &panel.y.ticks else { panic!("rows have names") };
        let names: Vec<&str> = names.iter().map(|(_, name)| name.as_str()).collect();
        let methods: Vec<&str> = comparison.standings[..3].iter().map(|s| s.method.as_str()).collect();
        assert_eq!(names, methods);
        let truth = comparison.truth.as_ref().expect("enumerated");
        assert_eq!(panel.series[0].marks, Marks::Vertical(truth.log_z));
        let legend = panel.series[0].label.as_deref().expect("a legend");
        assert!(legend.starts_with("exact: ") && legend.ends_with("(enumeration)"), "{legend}");
        let Marks::Cloud(dots) = &panel.series[1].marks else { panic!("single runs") };
        assert_eq!(dots.len(), 2 * comparison.replicates);
    }

    #[test]
    fn runs_stand_together() {
        let (one, mut two) = (record("ref:ising?side=3"), record("ref:ising?side=4"));
        two.estimate.log_z = f64::NEG_INFINITY;
        let figure = together(&[("a.json".into(), &one), ("b.json".into(), &two)]);
        assert_sound(&figure);
        assert_eq!(figure.title, "log Z of 2 runs of 2 different models");
        assert_sound(&together(&[]));
    }
}
