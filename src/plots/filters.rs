//! What each hidden unit of a restricted Boltzmann machine looks for, as pictures.

use std::sync::Arc;

use ndarray::{Array2, ArrayView1, Axis};

use super::figure::{Figure, Map};
use super::numbers::{quantile, significant, sorted};
use super::tiles::{Sheet, raster};
use crate::models::{GaussianRbm, Model, Rbm, Units, downcast};

/// Cells of a matrix that is shown as it is.
const MOST_CELLS: usize = 1_000_000;
/// Share of the weights that are within the scale: a few large ones must not pale all others.
const WITHIN: f64 = 0.998;

pub(super) fn figure(model: &Arc<dyn Model>) -> Option<Figure> {
    let weights = weights(model)?;
    let (visible, hidden) = weights.dim();
    let sheet = Sheet::square(visible);
    let room = sheet.as_ref().map_or(MOST_CELLS / visible.max(1), |sheet| sheet.room(hidden));
    let mut units: Vec<usize> = (0..hidden).collect();
    units.sort_by(|&a, &b| norm(weights.column(b)).total_cmp(&norm(weights.column(a))));
    units.truncate(room);
    let shown = units.iter().flat_map(|&unit| weights.column(unit).to_vec());
    let scale = quantile(&sorted(shown.map(f64::abs)), WITHIN).filter(|scale| *scale > 0.0).unwrap_or(1.0);
    let colour = |weight: f64| (0.5 + 0.5 * weight / scale).clamp(0.0, 1.0);
    let panel = match &sheet {
        Some(sheet) => {
            let picture = |&unit: &usize| weights.column(unit).iter().map(|w| colour(*w)).collect();
            sheet.panel(&units.iter().map(picture).collect::<Vec<Vec<f64>>>(), Map::Signed)?
        }
        None if units.is_empty() => return None,
        None => {
            let cells = weights.rows().into_iter().flat_map(|row| units.iter().map(move |&unit| row[unit]));
            raster(cells.map(colour).collect(), units.len(), Map::Signed)
        }
    };
    let (of, each) = match sheet {
        Some(_) => ("", "Each picture is a hidden unit"),
        None => (" (visible × hidden)", "Each column is a hidden unit"),
    };
    Some(Figure {
        name: "filters",
        title: format!(
            "Weights of {} of {hidden} hidden units{of}, full colour at ±{}",
            units.len(),
            significant(scale, 2)
        ),
        reading: format!(
            "{each}, the largest first, and a cell its weight to a visible unit. Good: shapes that mean something. Bad: noise \
             without shape, or many units alike; a machine of nothing but noise has learnt little."
        ),
        panels: vec![panel],
    })
}

/// W (visible, hidden) in the machine's own units; for real visible units σ²W̃, what a hidden unit adds to their mean.
fn weights(model: &Arc<dyn Model>) -> Option<Array2<f64>> {
    if let Some(rbm) = downcast::<Rbm>(model) {
        // Spins are held as the machine of bits with W′ = 4W.
        let factor = if rbm.units() == Units::Spins { 0.25 } else { 1.0 };
        return Some(rbm.weights() * factor);
    }
    let rbm = downcast::<GaussianRbm>(model)?;
    Some(rbm.scaled_weights() * &rbm.sigma().mapv(|s| s * s).insert_axis(Axis(1)))
}

fn norm(column: ArrayView1<'_, f64>) -> f64 {
    column.iter().map(|w| w.abs()).fold(0.0, f64::hypot)
}

#[cfg(test)]
mod tests {
    use super::super::figure::{Marks, Shape};
    use super::super::trials::assert_sound;
    use super::*;
    use crate::models::builtin;
    use ndarray::Array1;

    fn cells(figure: &Figure) -> (usize, Vec<f64>) {
        let Marks::Raster(raster) = &figure.panels[0].series[0].marks else { panic!("a raster") };
        (raster.columns, raster.cells.clone())
    }

    #[test]
    fn the_largest_unit_comes_first_in_its_own_units() {
        for units in [Units::Bits, Units::Spins] {
            let mut weights = Array2::zeros((9, 2));
            weights[[0, 0]] = 0.5;
            weights[[8, 1]] = -2.0;
            let rbm = Rbm::new(weights, Array1::zeros(9), Array1::zeros(2), units).expect("valid");
            let figure = figure(&(Arc::new(rbm) as Arc<dyn Model>)).expect("filters");
            assert_sound(&figure);
            assert_eq!(figure.title, "Weights of 2 of 2 hidden units, full colour at ±2");
            let (columns, cells) = cells(&figure);
            assert_eq!(columns, 7);
            assert_eq!((cells[2 * 7 + 2], cells[4]), (0.0, 0.625));
            assert!(cells[3].is_nan());
        }
    }

    #[test]
    fn other_machines_are_shown_as_a_matrix_and_other_models_not() {
        let show = |spec: &str| figure(&builtin::parse(spec).expect("valid"));
        let matrix = show("ref:gaussian-rbm?visible=20&hidden=15").expect("filters");
        assert_sound(&matrix);
        assert_eq!(cells(&matrix).0, 15);
        assert_eq!(cells(&matrix).1.len(), 300);
        assert_eq!(matrix.panels[0].shape, Shape::Equal);
        assert_sound(&show("ref:rbm?visible=784&hidden=150&scale=0").expect("filters"));
        assert!(show("ref:ising?side=4").is_none());
    }
}
