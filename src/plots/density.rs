//! The density of a model of two real numbers, whose mass shows whether log Z is right.

use std::sync::Arc;

use ndarray::ArrayView2;

use super::figure::{Axis, Colour, Figure, Map, Marks, Panel, Raster, Series, Shape};
use super::numbers::decimals;
use super::region::{self, CELLS, log_density, log_mass};
use super::scatter;
use crate::math::log_mean_exp;
use crate::models::{Domain, Model};

/// Points to a side of a cell, over which its density is averaged: narrow peaks fall between fewer.
const FINE: usize = 2;
/// Nats by which a coarser sum may differ.
const ROUGH: f64 = 0.02;
/// The darkest shade under draws and data.
const UNDER: f64 = 0.6;

pub(super) fn figure(
    model: &Arc<dyn Model>,
    log_z: f64,
    samples: Option<ArrayView2<'_, f64>>,
    data: Option<ArrayView2<'_, f64>>,
) -> Option<Figure> {
    let space = model.space();
    if space.dim != 2 || space.values().is_some() {
        return None;
    }
    let draws = scatter::points(samples, [0, 1]);
    let data = scatter::points(data, [0, 1]);
    // Data where the model has no mass are worth seeing.
    let seen = [draws.as_slice(), data.as_slice()].concat();
    let extent = match space.domain {
        Domain::Box { lower, upper } => [lower[0], upper[0], lower[1], upper[1]],
        _ => region::find(model, log_z, &seen),
    };
    if extent.iter().any(|end| !end.is_finite()) || extent[0] >= extent[1] || extent[2] >= extent[3] {
        return None;
    }
    let fine = log_density(model, extent, FINE * CELLS);
    let held = log_mass(&fine, extent);
    let mass = (held - log_z).exp();
    // Where fewer points say something else, more would, too.
    let rough = (log_mass(&log_density(model, extent, CELLS), extent) - held).abs() > ROUGH;
    let share = if rough {
        ": too narrow in places to add up its mass".into()
    } else {
        format!(": its mass adds up to {}", decimals(mass, 3))
    };
    let cells = averaged(&fine);
    let highest = cells.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let darkest = if seen.is_empty() { 1.0 } else { UNDER };
    let cells = cells.iter().map(|value| darkest * (0.5 * (value - highest)).exp()).collect();
    let raster = Raster { extent, columns: CELLS, cells, map: Map::Density, words: Vec::new() };
    let mut series = vec![Series::unnamed(Colour::Main, Marks::Raster(raster))];
    let shown =
        |[x, y]: &[f64; 2]| (extent[0]..=extent[1]).contains(x) && (extent[2]..=extent[3]).contains(y);
    let inside = |points: Vec<[f64; 2]>| points.into_iter().filter(shown).collect();
    series.extend(scatter::series(inside(draws), inside(data)));
    let stretched = (extent[1] - extent[0]) / (extent[3] - extent[2]);
    Some(Figure {
        name: "density",
        title: format!("Density p(x){share}"),
        reading: "The mass is the sum of exp(−E − log Z) over all cells, about 1 where the picture holds the whole model: less \
                  says that log Z is too high or a part lies outside, more that log Z is too low. The shade goes with the root \
                  of p, so that weak modes show."
            .into(),
        panels: vec![Panel {
            x: Axis::linear("x₁", extent[0], extent[1]),
            y: Axis::linear("x₂", extent[2], extent[3]),
            series,
            shape: if (0.2..=5.0).contains(&stretched) { Shape::Equal } else { Shape::Wide },
        }],
    })
}

/// The log of the mean over the points of each cell.
fn averaged(fine: &[f64]) -> Vec<f64> {
    let point = |cell: usize, i: usize| {
        let (row, column) = (cell / CELLS * FINE + i / FINE, cell % CELLS * FINE + i % FINE);
        fine[row * CELLS * FINE + column]
    };
    (0..CELLS * CELLS)
        .map(|cell| log_mean_exp(&std::array::from_fn::<f64, { FINE * FINE }, _>(|i| point(cell, i))))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::trials::assert_sound;
    use super::*;
    use crate::math::log_sum_exp;
    use crate::models::{FunctionModel, Space, builtin};

    fn mass(figure: &Figure, log_z: f64, model: &Arc<dyn Model>) -> f64 {
        let Marks::Raster(raster) = &figure.panels[0].series[0].marks else { panic!("a raster") };
        assert_eq!(raster.cells.iter().copied().fold(0.0, f64::max), 1.0);
        (log_mass(&log_density(model, raster.extent, CELLS), raster.extent) - log_z).exp()
    }

    #[test]
    fn with_the_right_log_z_the_mass_is_one() {
        let model = builtin::parse("ref:mixture").expect("valid");
        let exact = model.closed_form().expect("a mixture has one");
        for (log_z, share) in [(exact, 1.0), (exact + 2f64.ln(), 0.5)] {
            let figure = figure(&model, log_z, None, None).expect("two real numbers");
            assert_sound(&figure);
            assert!((mass(&figure, log_z, &model) / share - 1.0).abs() < 0.01, "{}", figure.title);
        }
    }

    /// Two narrow wells far from zero, one of them wide enough to be seen alone.
    #[test]
    fn models_without_a_sampler_are_found() {
        let model: Arc<dyn Model> = Arc::new(FunctionModel::new(Space::new(2, Domain::Real), |x| {
            let wells =
                [0.5 * ((x[0] - 6.0).powi(2) + x[1].powi(2)), 50.0 * ((x[0] + 9.0).powi(2) + x[1].powi(2))];
            -log_sum_exp(&wells.map(|well| -well))
        }));
        let log_z = (2.0 * std::f64::consts::PI * 1.01).ln();
        let figure = figure(&model, log_z, None, None).expect("two real numbers");
        assert!((mass(&figure, log_z, &model) - 1.0).abs() < 0.01, "{}", figure.title);
        let [left, right] = figure.panels[0].x.range;
        assert!(left > -20.0 && right < 20.0 && left < -9.0 && right > 8.0, "{left} {right}");
    }

    #[test]
    fn draws_decide_what_is_shown() {
        let model: Arc<dyn Model> = Arc::new(FunctionModel::new(Space::new(2, Domain::Real), |x| {
            0.5 * ((x[0] - 1e3).powi(2) + x[1].powi(2))
        }));
        let draws = ndarray::array![[1000.0, 1.0], [1001.0, -1.0], [f64::NAN, 0.0]];
        let figure =
            figure(&model, (2.0 * std::f64::consts::PI).ln(), Some(draws.view()), None).expect("a density");
        assert_sound(&figure);
        assert!(figure.title.contains(" 0.99") || figure.title.contains(" 1.00"), "{}", figure.title);
        assert_eq!(figure.panels[0].series[1].marks, Marks::Cloud(vec![[1000.0, 1.0], [1001.0, -1.0]]));
    }

    #[test]
    fn data_lie_over_the_draws_and_widen_the_picture() {
        let model = builtin::parse("ref:gaussian?dim=2").expect("valid");
        let log_z = model.closed_form().expect("it has one");
        let draws = ndarray::array![[0.5, 1.0], [-1.0, -1.0]];
        let data = ndarray::array![[9.0, 0.0], [0.0, 1.0]];
        let figure = figure(&model, log_z, Some(draws.view()), Some(data.view())).expect("a density");
        assert_sound(&figure);
        let series = &figure.panels[0].series;
        assert_eq!(series[1].marks, Marks::Cloud(vec![[0.5, 1.0], [-1.0, -1.0]]));
        assert_eq!(series[2].marks, Marks::Crosses(vec![[9.0, 0.0], [0.0, 1.0]]));
        assert_ne!(series[1].colour, series[2].colour);
        assert!(series[1..].iter().all(|series| series.label.is_some()));
    }

    #[test]
    fn hostile_models_are_no_trouble() {
        for constant in [f64::INFINITY, 1e300, -1e300, f64::NAN] {
            for domain in [Domain::Real, Domain::Box { lower: vec![0.0, -1.0], upper: vec![1.0, 99.0] }] {
                let energy = move |_: ndarray::ArrayView1<'_, f64>| constant;
                let model: Arc<dyn Model> = Arc::new(FunctionModel::new(Space::new(2, domain), energy));
                for log_z in [0.0, 1e300, f64::NEG_INFINITY] {
                    assert_sound(&figure(&model, log_z, None, None).expect("a figure"));
                }
            }
        }
        let other = builtin::parse("ref:ising?side=3").expect("valid");
        assert!(figure(&other, 0.0, None, None).is_none());
    }

    /// Neal's funnel is narrower than a cell at its end.
    #[test]
    fn a_rough_sum_says_so() {
        let model = builtin::parse("ref:funnel?dim=2").expect("valid");
        let draws = ndarray::array![[-9.0, 0.0], [9.0, 90.0], [0.0, -50.0]];
        let figure = figure(&model, 0.0, Some(draws.view()), None).expect("a density");
        assert!(figure.title.contains("too narrow"), "{}", figure.title);
    }
}
