//! Draws of a model of many real numbers, and data, at two of its coordinates.

use ndarray::ArrayView2;

use super::figure::{Axis, Colour, Figure, Marks, Panel, Series, Shape};
use super::numbers::{counted, thinned};

/// Data that are drawn: more would hide what they lie on.
const MOST_DATA: usize = 400;
/// Orange and black, which both stand out from white and from the blue of a density.
const DRAWS: Colour = Colour::Nth(4);
const DATA: Colour = Colour::Nth(6);

/// At coordinates `axes`, counted from 0.
pub(super) fn figure(
    samples: Option<ArrayView2<'_, f64>>,
    data: Option<ArrayView2<'_, f64>>,
    axes: [usize; 2],
) -> Option<Figure> {
    let (draws, data) = (points(samples, axes), points(data, axes));
    if draws.is_empty() {
        return None;
    }
    let axis = |i: usize| {
        let values = draws.iter().chain(&data).map(|point| point[i]);
        Axis::around(format!("x[{}]", axes[i]), values)
    };
    let (x, y) = (axis(0), axis(1));
    let stretched = (x.range[1] - x.range[0]) / (y.range[1] - y.range[0]);
    let shape = if (0.5..=2.0).contains(&stretched) { Shape::Equal } else { Shape::Wide };
    let title = format!("{} at coordinates {} and {}", counted(draws.len(), "draw"), axes[0], axes[1]);
    Some(Figure {
        name: "scatter",
        title,
        reading: "Two coordinates of draws of the model, counted from 0; --axes of lnz plot takes others. Good: draws lie where data \
                  lie, in the same shapes and with the same share in each. Bad: groups of data without draws, or draws far from \
                  all data."
            .into(),
        panels: vec![Panel { x, y, series: series(draws, data), shape }],
    })
}

/// The rows of `states` that have two finite numbers at `axes`.
pub(super) fn points(states: Option<ArrayView2<'_, f64>>, axes: [usize; 2]) -> Vec<[f64; 2]> {
    let Some(states) = states.filter(|states| axes.iter().all(|&axis| axis < states.ncols())) else {
        return Vec::new();
    };
    let rows = states.rows().into_iter().map(|row| axes.map(|axis| row[axis]));
    rows.filter(|point| point.iter().all(|value| value.is_finite())).collect()
}

/// Draws as dots and some of the data as crosses, where there are any.
pub(super) fn series(draws: Vec<[f64; 2]>, data: Vec<[f64; 2]>) -> Vec<Series> {
    let mut series = Vec::new();
    if !draws.is_empty() {
        series.push(Series::new("draws of the model", DRAWS, Marks::Cloud(draws)));
    }
    if !data.is_empty() {
        let kept: Vec<[f64; 2]> =
            thinned(data.len(), MOST_DATA).into_iter().take(MOST_DATA).map(|i| data[i]).collect();
        let label = if kept.len() == data.len() {
            "data".into()
        } else {
            format!("data ({} of {})", kept.len(), data.len())
        };
        series.push(Series::new(label, DATA, Marks::Crosses(kept)));
    }
    series
}

#[cfg(test)]
mod tests {
    use super::super::trials::assert_sound;
    use super::*;
    use ndarray::{Array2, array};

    #[test]
    fn the_coordinates_asked_for_are_shown() {
        let draws = array![[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [f64::NAN, 0.0, f64::INFINITY]];
        let data = Array2::from_shape_fn((1000, 3), |(i, j)| (i * j) as f64);
        let figure = figure(Some(draws.view()), Some(data.view()), [2, 0]).expect("draws");
        assert_sound(&figure);
        assert_eq!(figure.title, "2 draws at coordinates 2 and 0");
        let panel = &figure.panels[0];
        assert_eq!((panel.x.label.as_str(), panel.y.label.as_str()), ("x[2]", "x[0]"));
        assert_eq!(panel.series[0].marks, Marks::Cloud(vec![[3.0, 1.0], [6.0, 4.0]]));
        let Marks::Crosses(crosses) = &panel.series[1].marks else { panic!("crosses") };
        assert!(crosses.len() <= MOST_DATA);
        assert_eq!(panel.series[1].label, Some(format!("data ({} of 1000)", crosses.len())));
    }

    #[test]
    fn without_draws_or_coordinates_there_is_none() {
        let draws = Array2::<f64>::ones((4, 3));
        assert!(figure(None, Some(draws.view()), [0, 1]).is_none());
        assert!(figure(Some(draws.view()), None, [0, 3]).is_none());
        for value in [0.0, 1e300, -1e300] {
            let draws = draws.mapv(|one| one * value);
            assert_sound(&figure(Some(draws.view()), None, [0, 1]).expect("draws"));
        }
    }
}
