//! How often the intervals of samplers cover, one row for each reference.

use super::figure::{Axis, Colour, Figure, Marks, Panel, Series, Shape};
use super::rows::at_the_edge;
use crate::math::statistics::wilson_interval;
use crate::studies::calibrate::LEAST_COVERAGE;
use crate::studies::{Calibration, Calibrations};

/// What intervals promise, and the level of the whiskers.
const LEVEL: f64 = 0.95;
/// Per cent at the two ends of the axis; less is written at the edge.
const RANGE: [f64; 2] = [70.0, 101.0];

pub(super) fn figure(found: &Calibrations) -> Option<Figure> {
    let mut told = Vec::new();
    let methods = by_method(&found.cells);
    let mut panels: Vec<Panel> =
        methods.iter().map(|(method, cells)| panel(method, cells, &mut told)).collect();
    panels.last_mut()?.x.label = "intervals that cover (%)".into();
    let due = found.cells.iter().filter(|cell| cell.due).count();
    let reached = found.cells.iter().filter(|cell| Kind::of(cell) == Kind::Due).count();
    Some(Figure {
        name: "coverage",
        title: match due {
            0 => "Coverage of 95 % intervals, due on none of these references".into(),
            _ => format!("Coverage of 95 % intervals: {reached} of {due} reach 90 % where that is due"),
        },
        reading: "Each row is a sampler on one reference; its whisker holds the true coverage with 95 % confidence (Wilson), given \
                  so many seeds. Good: whiskers reach the dashed line at 95 %, but for one in twenty. Bad: whiskers to the \
                  left of it, and more so dots below 90 %: intervals there are too narrow. Whiskers to the right of it: wider \
                  than need be. Of hard references nothing is promised but that wrong runs say so."
            .into(),
        panels,
    })
}

/// Cells by sampler, in the order in which samplers appear.
pub(super) fn by_method<'a>(
    cells: impl IntoIterator<Item = &'a Calibration>,
) -> Vec<(&'a str, Vec<&'a Calibration>)> {
    let mut methods: Vec<(&str, Vec<&Calibration>)> = Vec::new();
    for cell in cells {
        match methods.iter_mut().find(|(method, _)| *method == cell.method) {
            Some((_, cells)) => cells.push(cell),
            None => methods.push((&cell.method, vec![cell])),
        }
    }
    methods
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Hard,
    Due,
    Failing,
}

impl Kind {
    fn of(cell: &Calibration) -> Self {
        match (cell.due, cell.coverage >= LEAST_COVERAGE) {
            (false, _) => Self::Hard,
            (true, true) => Self::Due,
            (true, false) => Self::Failing,
        }
    }

    fn look(self) -> (Colour, &'static str) {
        match self {
            Self::Hard => (Colour::Quiet, "hard references"),
            Self::Due => (Colour::Main, "coverage is due"),
            Self::Failing => (Colour::Other, "due, and below 90 %"),
        }
    }
}

/// The rows of one sampler, the first at the top; `told` are the kinds that a legend above has explained.
fn panel(method: &str, cells: &[&Calibration], told: &mut Vec<Kind>) -> Panel {
    let height = |row: usize| (cells.len() - 1 - row) as f64;
    let promise = Marks::Vertical(100.0 * LEVEL);
    let mut series =
        vec![Series { label: told.is_empty().then(|| "95 %".into()), colour: Colour::Other, marks: promise }];
    for kind in [Kind::Due, Kind::Failing, Kind::Hard] {
        let (colour, label) = kind.look();
        let (mut whiskers, mut words) = (Vec::new(), Vec::new());
        for (i, cell) in cells.iter().enumerate().filter(|(_, cell)| Kind::of(cell) == kind) {
            let (y, value) = (height(i), 100.0 * cell.coverage);
            if (RANGE[0]..=100.0).contains(&value) {
                let [low, high] = wilson_interval(cell.coverage, cell.z.len(), LEVEL);
                whiskers.push([y, value, 100.0 * low, 100.0 * high]);
            } else {
                let (at, text) = at_the_edge(value, RANGE);
                words.push(Marks::Words([at, y], text));
            }
        }
        let marks = (!whiskers.is_empty()).then_some(Marks::Whiskers(whiskers)).into_iter().chain(words);
        for marks in marks {
            let label = (!told.contains(&kind)).then(|| label.to_owned());
            told.push(kind);
            series.push(Series { label, colour, marks });
        }
    }
    let name = |cell: &Calibration| cell.reference.trim_start_matches("ref:").to_owned();
    let names = cells.iter().enumerate().map(|(i, cell)| (height(i), name(cell))).collect();
    Panel {
        x: Axis::linear("", RANGE[0], RANGE[1]),
        y: Axis::linear(method, -0.6, cells.len() as f64 - 0.4).named(names),
        series,
        shape: Shape::Lines(cells.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::figure::Ticks;
    use super::super::trials::{assert_sound, calibrations};
    use super::*;

    #[test]
    fn each_cell_has_a_row_in_the_colour_of_its_kind() {
        let mut found = calibrations();
        found.cells[1].coverage = 0.85;
        let figure = figure(&found).expect("cells");
        assert_sound(&figure);
        assert_eq!(figure.title, "Coverage of 95 % intervals: 2 of 3 reach 90 % where that is due");
        let panel = &figure.panels[0];
        assert_eq!(panel.y.label, "smc");
        let Ticks::Named(names) = &panel.y.ticks else { panic!("rows have names") };
        assert_eq!(names[1], (1.0, "ising?side=8&coupling=0.44".to_owned()));
        assert_eq!(panel.series[0].marks, Marks::Vertical(95.0));
        let row = |series: &Series| match &series.marks {
            Marks::Whiskers(rows) => rows[0],
            _ => panic!("whiskers"),
        };
        let (due, failing) = (&panel.series[1], &panel.series[2]);
        assert_eq!((due.colour, row(due)[0], row(due)[1]), (Colour::Main, 2.0, 94.0));
        assert_eq!((failing.colour, row(failing)[0], row(failing)[1]), (Colour::Other, 1.0, 85.0));
        // 188 of 200, by the formula's published form.
        assert!((row(due)[2] - 89.81).abs() < 0.01 && (row(due)[3] - 96.53).abs() < 0.01, "{due:?}");
        // A hard cell far to the left is written, and does not squeeze the others.
        assert_eq!(panel.series[3].marks, Marks::Words([70.31, 0.0], "← 12".into()));
        // The second sampler has nothing new to explain.
        assert!(figure.panels[1].series.iter().all(|series| series.label.is_none()));
    }
}
