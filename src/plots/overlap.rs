//! Which states of a multistate acceptance ratio know of each other.

use super::figure::{Axis, Colour, Figure, Map, Marks, Panel, Raster, Series, Shape};
use super::numbers::{counted, decimals, places, significant, sorted};
use super::steps;
use crate::estimators::mbar::{LEAST_OVERLAP, Mbar};

/// Overlaps that are written as nothing where states are no neighbours: they round to 0.00.
const NOTHING: f64 = 0.005;

pub(super) fn figure(solved: &Mbar) -> Figure {
    let overlap = solved.overlap();
    let states = overlap.nrows();
    let next = solved.overlap_with_next();
    let mut panels = vec![tiles(states, overlap.iter().copied().collect())];
    let mut least = String::new();
    if let Some(weakest) = sorted(next.iter().flatten().copied()).first() {
        least = format!(": at least {} between neighbours", significant(*weakest, 2));
        panels.push(neighbours(&next));
    }
    Figure {
        name: "overlap",
        title: format!("Overlap of {}{least}", counted(states, "state")),
        reading: format!(
            "A tile is the chance that a sample which looks like one of its row's state is one of its column's. Good: a broad band \
             along the diagonal, and bars well above {LEAST_OVERLAP}. Bad: blocks that touch at a corner, where a bar hardly \
             rises: the states to its left and right know nothing of each other, and need one between them, or more samples."
        ),
        panels,
    }
}

/// All states against all, the first at the top left.
fn tiles(states: usize, cells: Vec<f64>) -> Panel {
    let written = |(i, &overlap): (usize, &f64)| {
        let near = (i / states).abs_diff(i % states) <= 1;
        if near || overlap >= NOTHING { decimals(overlap, 2) } else { String::new() }
    };
    let words = cells.iter().enumerate().map(written).collect();
    let largest = cells.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
    let shades = cells.iter().map(|overlap| (overlap / largest).clamp(0.0, 1.0)).collect();
    let (low, high) = (-0.5, states as f64 - 0.5);
    let raster =
        Raster { extent: [low, high, low, high], columns: states, cells: shades, map: Map::Density, words };
    let label = format!("overlap up to {}", significant(largest, 2));
    let names = |place: &dyn Fn(usize) -> usize| {
        places(states.saturating_sub(1))
            .into_iter()
            .map(|state| (place(state) as f64, state.to_string()))
            .collect()
    };
    Panel {
        x: Axis::linear("is a sample of state", low, high).named(names(&|state| state)),
        y: Axis::linear("looks like one of state", low, high).named(names(&|state| states - 1 - state)),
        series: vec![Series::new(label, Colour::Main, Marks::Raster(raster))],
        shape: Shape::Equal,
    }
}

/// Each state with the next that has samples.
fn neighbours(next: &[Option<f64>]) -> Panel {
    let values: Vec<f64> = next[..next.len() - 1].iter().map(|overlap| overlap.unwrap_or(f64::NAN)).collect();
    let y = Axis::from_zero("overlap with the next", values.iter().copied().chain([2.0 * LEAST_OVERLAP]));
    let safe = format!("{LEAST_OVERLAP}: less is not safe");
    let guide = Series::new(safe, Colour::Other, Marks::Horizontal(LEAST_OVERLAP));
    steps::panel("state", y, &values, vec![guide])
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::super::trials::assert_sound;
    use super::*;
    use crate::estimators::mbar::Reduced;
    use crate::math::statistics::student_quantile;

    /// States of normal samples, at the quantiles, each `apart` from the one before.
    fn solved(counts: &[usize], apart: f64) -> Mbar {
        let of_state = |(k, &count): (usize, &usize)| {
            (0..count).map(move |i| {
                let share = (2.0 * i as f64 + 1.0) / count as f64 - 1.0;
                apart * k as f64 + share.signum() * student_quantile(share.abs(), 1e6)
            })
        };
        let samples: Vec<f64> = counts.iter().enumerate().flat_map(of_state).collect();
        let energies = Array2::from_shape_fn((counts.len(), samples.len()), |(k, n)| {
            0.5 * (samples[n] - apart * k as f64).powi(2)
        });
        Mbar::solve(Reduced::new(energies.view(), counts).expect("energies")).expect("they overlap")
    }

    fn raster(figure: &Figure) -> &Raster {
        match &figure.panels[0].series[0].marks {
            Marks::Raster(raster) => raster,
            _ => panic!("a raster"),
        }
    }

    #[test]
    fn tiles_have_the_shade_and_the_number_of_their_overlap() {
        let mbar = solved(&[40, 80, 20], 1.5);
        let overlap = mbar.overlap();
        let figure = figure(&mbar);
        assert_sound(&figure);
        let found = raster(&figure);
        let largest = overlap.iter().copied().fold(0.0, f64::max);
        for ((cell, words), overlap) in found.cells.iter().zip(&found.words).zip(&overlap) {
            assert!((cell * largest - overlap).abs() < 1e-12);
            assert_eq!(*words, format!("{overlap:.2}"));
        }
        // More of what looks like the first state is of the second than the other way round: there are twice as many.
        assert!(overlap[[0, 1]] > 1.5 * overlap[[1, 0]]);
        let least = overlap[[0, 1]].min(overlap[[1, 2]]);
        assert_eq!(
            figure.title,
            format!("Overlap of 3 states: at least {} between neighbours", significant(least, 2))
        );
        let Marks::Bars(bars) = &figure.panels[1].series[0].marks else { panic!("bars") };
        assert_eq!([bars[0][2], bars[1][2]], [overlap[[0, 1]], overlap[[1, 2]]]);
    }

    #[test]
    fn far_states_have_no_number_and_states_without_samples_no_bar() {
        let mbar = solved(&[200, 0, 200, 200, 200], 2.5);
        let figure = figure(&mbar);
        assert_sound(&figure);
        assert_eq!((raster(&figure).words[4].as_str(), raster(&figure).words[1].as_str()), ("", "0.00"));
        let Marks::Bars(bars) = &figure.panels[1].series[0].marks else { panic!("bars") };
        assert!((bars[0][2] - mbar.overlap()[[0, 2]]).abs() < 1e-12 && bars[1][2].is_nan());
    }

    #[test]
    fn any_number_of_states_can_be_drawn() {
        for states in [1, 2, 200] {
            let figure = figure(&solved(&vec![20; states], 0.3));
            assert_sound(&figure);
            assert_eq!(raster(&figure).cells.len(), states * states);
            assert_eq!(figure.panels.len(), if states == 1 { 1 } else { 2 });
        }
    }
}
