//! A bar for each step from one place of a ladder to the next: what overlaps and exchanges share.

use super::figure::{Axis, Colour, Marks, Panel, Series};
use super::numbers::{places, sorted};

/// Bars of a panel.
const MOST: usize = 300;
/// Bars up to which there is a gap between them, and how wide half of it is.
const APART: usize = 60;
const GAP: f64 = 0.1;

/// A panel with `values[k]` from place k to the next, NaN where there is none, and `guides` above the bars.
///
/// Where there are too many, a bar is the least of several steps: that is the one to look for.
pub(super) fn panel(x: &str, y: Axis, values: &[f64], guides: Vec<Series>) -> Panel {
    let stride = values.len().div_ceil(MOST).max(1);
    let gap = if values.len() <= APART { GAP } else { 0.0 };
    let bar = |(i, group): (usize, &[f64])| {
        let from = (i * stride) as f64;
        let least = sorted(group.iter().copied()).first().copied().unwrap_or(f64::NAN);
        [from + gap, from + group.len() as f64 - gap, least]
    };
    let bars = values.chunks(stride).enumerate().map(bar).collect();
    let label = (stride > 1).then(|| format!("each bar the least of {stride}"));
    let names = places(values.len()).into_iter().map(|place| (place as f64, place.to_string())).collect();
    let mut series = vec![Series { label, colour: Colour::Main, marks: Marks::Bars(bars) }];
    series.extend(guides);
    Panel::wide(Axis::linear(x, 0.0, values.len() as f64).named(names), y, series)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bars(values: &[f64]) -> Vec<[f64; 3]> {
        match &panel("rung", Axis::linear("", 0.0, 1.0), values, Vec::new()).series[0].marks {
            Marks::Bars(bars) => bars.clone(),
            _ => panic!("bars"),
        }
    }

    #[test]
    fn bars_stand_between_their_places() {
        assert_eq!(bars(&[0.5, 0.25]), [[0.1, 0.9, 0.5], [1.1, 1.9, 0.25]]);
    }

    #[test]
    fn the_weakest_step_of_many_is_not_lost() {
        let mut values = vec![0.5; 1001];
        values[700] = 0.01;
        values[703] = f64::NAN;
        let found = bars(&values);
        assert_eq!((found.len(), found[250]), (251, [1000.0, 1001.0, 0.5]));
        assert_eq!(found[175], [700.0, 704.0, 0.01]);
        assert_eq!(found.iter().filter(|bar| bar[2] < 0.5).count(), 1);
    }
}
