//! The estimate beside the independent answers that it is held against.

use super::figure::{Colour, Figure};
use super::numbers::{shortened, with_error};
use super::rows::{self, Row};
use crate::estimators::{Direction, Estimate, Evidence};

/// Half-widths from the estimate beyond which an answer is written at the edge: disagreement is what this figure is for.
const REACH: f64 = 400.0;
/// Letters of a row's name.
const NAME: usize = 34;

pub(super) fn figure(estimate: &Estimate) -> Option<Figure> {
    // A lower bound says nothing unless it lies above, and may lie far below.
    let tells = |other: &&Evidence| other.direction != Direction::Bound || !other.agrees;
    let others: Vec<&Evidence> = estimate.diagnostics.evidence.iter().filter(tells).collect();
    if others.is_empty() {
        return None;
    }
    let level = rows::level(estimate);
    let first = Row {
        label: format!("reported ({})", shortened(&estimate.method, 20)),
        value: estimate.log_z,
        interval: rows::reported(estimate),
        colour: Colour::Main,
        cloud: Vec::new(),
    };
    let row = |other: &Evidence| Row {
        label: shortened(&name(&other.source), NAME),
        value: other.log_z,
        interval: (other.std_err != 0.0).then(|| rows::around(other.log_z, other.std_err, level)),
        colour: if other.agrees { Colour::Quiet } else { Colour::Other },
        cloud: Vec::new(),
    };
    let list: Vec<Row> = std::iter::once(first).chain(others.into_iter().map(row)).collect();
    let label = format!("log Z and its {} interval (nats)", rows::percent(level));
    let mut panel = rows::panel(&label, &list, None, REACH);
    if let Some(series) = panel.series.iter_mut().find(|series| series.colour == Colour::Other) {
        series.label = Some("disagrees with it".into());
    }
    let verdict = if estimate.verdict.is_converged() { "converged" } else { "not converged" };
    let log_z = with_error(estimate.log_z, estimate.std_err.unwrap_or(0.0));
    Some(Figure {
        name: "evidence",
        title: format!("log Z = {log_z}: {verdict}"),
        reading: "Other runs with their own random numbers answer the same question. Good: their intervals overlap with the \
                  reported one. Bad: one stands apart; then at least one of them missed a part of the space, and its error bar \
                  cannot know."
            .into(),
        panels: vec![panel],
    })
}

/// `a second forward run (512 chains, 64 rungs)` without what can be left out.
fn name(source: &str) -> String {
    let source = source.split(" (").next().unwrap_or(source);
    let source =
        source.strip_prefix("a ").unwrap_or(source).replace("reverse annealing from", "reverse, from");
    source.strip_prefix("annealing ").map_or(source.clone(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::super::figure::{Marks, Ticks};
    use super::super::trials::{assert_sound, estimate};
    use super::*;

    #[test]
    fn every_answer_has_a_row_at_its_number() {
        let mut estimate = estimate("ais", "ref:ising?side=4");
        estimate.diagnostics.evidence[1].agrees = false;
        let figure = figure(&estimate).expect("there is evidence");
        assert_sound(&figure);
        let panel = &figure.panels[0];
        let mut found: Vec<[f64; 2]> = Vec::new();
        for series in &panel.series {
            if let Marks::Whiskers(rows) = &series.marks {
                found.extend(rows.iter().map(|row| [row[0], row[1]]));
                let disagrees = rows[0][1] == estimate.diagnostics.evidence[1].log_z;
                assert_eq!(series.colour == Colour::Other, disagrees);
            }
        }
        found.sort_by(|a, b| b[0].total_cmp(&a[0]));
        let evidence = &estimate.diagnostics.evidence;
        assert_eq!(
            found,
            [[2.0, estimate.log_z], [1.0, evidence[0].log_z], [0.0, evidence[1].log_z]],
            "the reported one comes first"
        );
        let Ticks::Named(names) = &panel.y.ticks else { panic!("rows have names") };
        assert_eq!(names[1].1, "second forward run");
        assert_eq!(names[2].1, "reverse, from overcooled chains");
    }
}
