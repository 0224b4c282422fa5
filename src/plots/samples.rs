//! Draws of a model as pictures.

use std::sync::Arc;

use ndarray::{ArrayView1, ArrayView2};

use super::figure::{Figure, Map};
use super::numbers::{counted, quantile, sorted, thinned};
use super::tiles::Sheet;
use crate::models::{Domain, Ising, Model, Network, Potts, downcast};

/// The shortest side that makes a network's list of numbers a picture.
const LEAST_PIXELS: usize = 6;

pub(super) fn figure(
    model: &Arc<dyn Model>,
    samples: ArrayView2<'_, f64>,
    data: Option<ArrayView2<'_, f64>>,
) -> Option<Figure> {
    let space = model.space();
    if samples.ncols() != space.dim {
        return None;
    }
    let sheet = shape(model)?;
    let shown = sheet.room(samples.nrows());
    let samples = samples.slice(ndarray::s![..shown, ..]);
    let (low, high) = match space.domain {
        Domain::Bits => (0.0, 1.0),
        Domain::Spins => (-1.0, 1.0),
        Domain::Categories { states } => (0.0, states.saturating_sub(1).max(1) as f64),
        // A few far values must not make all others grey.
        Domain::Real | Domain::Box { .. } => {
            let values = sorted(samples.iter().copied());
            (quantile(&values, 0.01)?, quantile(&values, 0.99)?)
        }
    };
    let grey = |value: &f64| if high > low { ((value - low) / (high - low)).clamp(0.0, 1.0) } else { 0.5 };
    let pictures = |rows: Vec<ArrayView1<'_, f64>>| -> Vec<Vec<f64>> {
        rows.iter().map(|row| row.iter().map(grey).collect()).collect()
    };
    let mut panels = vec![sheet.panel(&pictures(samples.rows().into_iter().collect()), Map::Grey)?];
    let mut title = format!("{} of the model", counted(shown, "draw"));
    if let Some(data) = data.filter(|data| data.ncols() == space.dim) {
        // From all of the file: data are often sorted by class.
        let kept = thinned(data.nrows(), shown);
        let kept = kept[..sheet.room(kept.len())].iter().map(|&i| data.row(i)).collect();
        if let Some(panel) = sheet.panel(&pictures(kept), Map::Grey) {
            title.push_str(" (above), and data (below)");
            panels.push(panel);
        }
    }
    Some(Figure {
        name: "samples",
        title,
        reading: "Good: they look like the data, and differ from each other as the data do. Bad: noise, or the same picture again \
                  and again."
            .into(),
        panels,
    })
}

/// The lattice of a model on one, the picture that a network takes, else a square.
fn shape(model: &Arc<dyn Model>) -> Option<Sheet> {
    let lattice = downcast::<Ising>(model)
        .map(|ising| ising.lattice())
        .or_else(|| downcast::<Potts>(model).and_then(|potts| potts.lattice()));
    if let Some(lattice) = lattice {
        let (rows, columns) = lattice.shape();
        return Some(Sheet { rows, columns });
    }
    match downcast::<Network>(model) {
        Some(network) => of_network(network.input_shape()),
        None => Sheet::square(model.space().dim),
    }
}

/// One channel of rows and columns, or a list of pixels; colours and few numbers are no picture.
fn of_network(input: &[usize]) -> Option<Sheet> {
    match *input {
        [rows, columns] | [1, rows, columns] => Sheet::of(rows, columns),
        [pixels] => Sheet::square(pixels).filter(|sheet| sheet.rows >= LEAST_PIXELS),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::figure::Marks;
    use super::super::trials::assert_sound;
    use super::*;
    use crate::models::builtin;
    use ndarray::Array2;

    fn cells(spec: &str, samples: Array2<f64>) -> Vec<f64> {
        let figure = figure(&builtin::parse(spec).expect("valid"), samples.view(), None).expect(spec);
        assert_sound(&figure);
        let Marks::Raster(raster) = &figure.panels[0].series[0].marks else { panic!("a raster") };
        raster.cells.clone()
    }

    #[test]
    fn values_are_greys_from_the_least_to_the_greatest() {
        let ramp = |dim: usize| Array2::from_shape_fn((1, dim), |(_, i)| i as f64);
        assert_eq!(
            cells("ref:potts?rows=3&columns=4&boundary=grid&states=3", ramp(12) % 3.0)[..3],
            [0.0, 0.5, 1.0]
        );
        assert_eq!(cells("ref:ising?rows=3&columns=5", ramp(15) % 2.0 * 2.0 - 1.0)[..3], [0.0, 1.0, 0.0]);
        assert_eq!(cells("ref:rbm?visible=9&hidden=2", ramp(9) % 2.0)[..3], [0.0, 1.0, 0.0]);
        let greys = cells("ref:gaussian-rbm?visible=100&hidden=2", ramp(100));
        assert_eq!((greys[0], greys[99]), (0.0, 1.0));
        assert!((greys[50] - 0.5).abs() < 0.02);
        assert!(cells("ref:gaussian-rbm?visible=9&hidden=2", Array2::ones((4, 9))).contains(&0.5));
    }

    #[test]
    fn data_are_below_in_the_same_greys() {
        let model = builtin::parse("ref:rbm?visible=9&hidden=2").expect("valid");
        let (draws, data) = (Array2::zeros((4, 9)), Array2::ones((50, 9)));
        let figure = figure(&model, draws.view(), Some(data.view())).expect("pictures");
        assert_sound(&figure);
        let first = figure.panels.iter().map(|panel| match &panel.series[0].marks {
            Marks::Raster(raster) => (raster.cells[0], raster.cells.len()),
            _ => panic!("a raster"),
        });
        assert_eq!(first.collect::<Vec<_>>(), [(0.0, 49), (1.0, 49)]);
    }

    #[test]
    fn networks_show_what_they_take() {
        let sides = |input: &[usize]| of_network(input).map(|sheet| [sheet.rows, sheet.columns]);
        assert_eq!(sides(&[1, 28, 20]), Some([28, 20]));
        assert_eq!(sides(&[8, 8]), Some([8, 8]));
        assert_eq!(sides(&[784]), Some([28, 28]));
        for other in [&[2][..], &[9], &[65], &[1, 64], &[3, 8, 8], &[]] {
            assert_eq!(sides(other), None);
        }
    }

    #[test]
    fn what_is_no_picture_is_not_shown() {
        for (spec, dim) in [("ref:rbm?visible=10&hidden=2", 10), ("ref:mixture", 2), ("ref:ising?side=3", 16)]
        {
            assert!(
                figure(&builtin::parse(spec).expect("valid"), Array2::zeros((2, dim)).view(), None).is_none()
            );
        }
        let model = builtin::parse("ref:gaussian-rbm?visible=9&hidden=2").expect("valid");
        assert!(figure(&model, Array2::zeros((0, 9)).view(), None).is_none());
        assert!(figure(&model, Array2::from_elem((2, 9), f64::NAN).view(), None).is_none());
    }
}
