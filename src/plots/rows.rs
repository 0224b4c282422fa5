//! Lists of answers, one row each, with whiskers: what evidence, comparisons and sets of runs share.

use super::figure::{Axis, Colour, Marks, Panel, Series, Shape};
use super::numbers::{quantile, significant, sorted};
use crate::estimators::{Estimate, Interval};
use crate::math::statistics::student_quantile;

/// From a row down to the dots of its single answers, in rows.
const BELOW: f64 = 0.25;

/// An answer.
pub(super) struct Row {
    pub label: String,
    pub value: f64,
    /// Its lower and upper end, none for exact answers.
    pub interval: Option<[f64; 2]>,
    pub colour: Colour,
    /// Single answers that it was made from.
    pub cloud: Vec<f64>,
}

/// A panel of `rows`, the first at the top.
///
/// The axis holds `truth`, or else the first row, and what lies within `reach` usual half-widths of it; answers beyond are written
/// at the edge, so that one absurd answer does not make all others look alike.
pub(super) fn panel(label: &str, rows: &[Row], truth: Option<f64>, reach: f64) -> Panel {
    let x = Axis::around(label, worth_showing(rows, truth, reach));
    let [low, high] = x.range;
    let inside = |value: f64| (low..=high).contains(&value);
    let height = |row: usize| (rows.len() - 1 - row) as f64;
    let mut series = Vec::new();
    let cloud: Vec<[f64; 2]> = rows
        .iter()
        .enumerate()
        .flat_map(|(i, row)| row.cloud.iter().map(move |&value| [value, height(i) - BELOW]))
        .filter(|[value, _]| inside(*value))
        .collect();
    if !cloud.is_empty() {
        series.push(Series::unnamed(Colour::Quiet, Marks::Cloud(cloud)));
    }
    for colour in [Colour::Quiet, Colour::Other, Colour::Main] {
        let (mut whiskers, mut points) = (Vec::new(), Vec::new());
        for (i, row) in rows.iter().enumerate().filter(|(_, row)| row.colour == colour) {
            let y = height(i);
            match row.interval {
                _ if !inside(row.value) => {
                    let (at, words) = at_the_edge(row.value, [low, high]);
                    series.push(Series::unnamed(colour, Marks::Words([at, y], words)));
                }
                // NaN at either end: an error of unknown size.
                Some([left, right]) if left <= right => {
                    whiskers.push([y, row.value, left.clamp(low, high), right.clamp(low, high)]);
                }
                _ => points.push([row.value, y]),
            }
        }
        if !whiskers.is_empty() {
            series.push(Series::unnamed(colour, Marks::Whiskers(whiskers)));
        }
        if !points.is_empty() {
            series.push(Series::unnamed(colour, Marks::Points(points)));
        }
    }
    let names = rows.iter().enumerate().map(|(i, row)| (height(i), row.label.clone())).collect();
    let y = Axis::linear("", -0.5, rows.len().max(1) as f64 - 0.5).named(names);
    Panel { x, y, series, shape: Shape::Rows(rows.len()) }
}

/// The numbers that the axis must hold.
fn worth_showing(rows: &[Row], truth: Option<f64>, reach: f64) -> Vec<f64> {
    let all = truth.into_iter().chain(rows.iter().map(|row| row.value));
    let all: Vec<f64> = all.filter(|value| value.is_finite()).collect();
    let Some(&centre) = all.first() else { return Vec::new() };
    let halves = rows.iter().filter_map(|row| row.interval).map(|[low, high]| high / 2.0 - low / 2.0);
    let usual = quantile(&sorted(halves.filter(|half| *half > 0.0)), 0.5);
    let limit = usual.map_or(f64::INFINITY, |half| reach * half);
    let far = |value: f64| (value - centre).abs();
    let mut shown: Vec<f64> = all.into_iter().filter(|value| far(*value) <= limit).collect();
    // Ends may go further than the answers, but not so far that these shrink to a point.
    let span = shown.iter().map(|value| far(*value)).fold(usual.unwrap_or(0.0), f64::max);
    for row in rows.iter().filter(|row| far(row.value) <= limit) {
        let ends = row.interval.into_iter().flatten().chain(row.cloud.iter().copied());
        let ends = ends.filter(|end| end.is_finite());
        shown.extend(ends.map(|end| end.clamp(centre - 4.0 * span, centre + 4.0 * span)));
    }
    shown
}

/// What to write for a `value` outside the range, and where.
pub(super) fn at_the_edge(value: f64, [low, high]: [f64; 2]) -> (f64, String) {
    let written = significant(value, 5);
    if value > high {
        (high - 0.16 * (high - low), format!("{written} →"))
    } else if value < low {
        (low + 0.01 * (high - low), format!("← {written}"))
    } else {
        (low + 0.01 * (high - low), written)
    }
}

/// The reported interval, or what a standard error makes of it.
pub(super) fn reported(estimate: &Estimate) -> Option<[f64; 2]> {
    let normal = || estimate.std_err.map(|error| around(estimate.log_z, error, 0.95));
    estimate.interval.map(|Interval { lower, upper, .. }| [lower, upper]).or_else(normal)
}

/// A normal interval.
pub(super) fn around(value: f64, std_err: f64, level: f64) -> [f64; 2] {
    let half = student_quantile(level, 1e6) * std_err;
    [value - half, value + half]
}

/// The level at which intervals are drawn: the reported one, if it is one.
pub(super) fn level(estimate: &Estimate) -> f64 {
    let given = estimate.interval.map(|interval| interval.level);
    given.filter(|level| *level > 0.0 && *level < 1.0).unwrap_or(0.95)
}

/// `95 %`.
pub(super) fn percent(level: f64) -> String {
    format!("{} %", significant(100.0 * level, 4))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(value: f64, half: f64) -> Row {
        let interval = (half > 0.0).then_some([value - half, value + half]);
        Row { label: "row".into(), value, interval, colour: Colour::Main, cloud: Vec::new() }
    }

    #[test]
    fn one_absurd_answer_is_written_at_the_edge() {
        let rows = [row(10.0, 0.1), row(10.1, 0.2), row(500.0, 0.3), row(f64::NEG_INFINITY, 0.0)];
        let panel = panel("log Z", &rows, Some(10.02), 40.0);
        assert!(panel.x.range[0] > 9.0 && panel.x.range[1] < 11.0, "{:?}", panel.x.range);
        let words: Vec<&str> = panel
            .series
            .iter()
            .filter_map(|series| match &series.marks {
                Marks::Words(_, words) => Some(words.as_str()),
                _ => None,
            })
            .collect();
        assert_eq!(words, ["500 →", "← −∞"]);
    }

    #[test]
    fn endless_whiskers_end_at_the_panel() {
        let panel = panel("log Z", &[row(10.0, 0.1), row(10.1, f64::INFINITY)], None, 400.0);
        let [low, high] = panel.x.range;
        let Marks::Whiskers(whiskers) = &panel.series[0].marks else { panic!("whiskers") };
        assert_eq!(whiskers[1], [0.0, 10.1, low, high]);
        assert!(high - low < 2.0);
    }
}
