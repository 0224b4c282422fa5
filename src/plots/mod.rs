//! Pictures that show whether to believe a number.
//!
//! A [`Figure`] is data: panels with axes, and series of marks in the units of the axes. Each kind of figure is one file that makes
//! such data from a run record, a comparison, a calibration, overlaps of states, likelihoods or a model. [`Figure::svg`] and
//! [`Figure::png`] draw any of them, and [`report`] puts all figures of a run on one page. To add a kind: one file, its `mod` line,
//! and a line in the function below that lists the figures of what it shows.

mod acceptance;
mod bins;
mod cost;
mod coverage;
mod curve;
mod density;
mod deviations;
mod evidence;
mod figure;
mod filters;
mod forest;
mod integrand;
mod layout;
mod learning;
mod likelihood;
mod marks;
mod numbers;
mod overlap;
mod png;
mod region;
mod report;
mod rows;
mod running;
mod samples;
mod sandwich;
mod scatter;
mod scene;
mod schedule;
mod steps;
mod svg;
mod swaps;
mod text;
mod ticks;
mod tiles;
#[cfg(test)]
mod trials;
mod variance;
mod weights;

use std::sync::Arc;

use ndarray::{Array2, ArrayView2};

use crate::estimators::curve::Curve;
use crate::estimators::mbar::Mbar;
use crate::io::record::RunRecord;
use crate::models::Model;
use crate::studies::{Calibrations, Comparison};
pub use figure::{Axis, Colour, Figure, Map, Marks, Panel, Raster, Scale, Series, Shape, Ticks};
pub use learning::Stage;
pub use likelihood::Examples;
pub use report::report;

/// Every figure that `record` has data for; none for an exact run.
#[must_use]
pub fn of_run(record: &RunRecord) -> Vec<Figure> {
    let estimate = &record.estimate;
    let figures = [
        evidence::figure(estimate),
        weights::figure(estimate),
        variance::figure(estimate),
        running::figure(estimate),
        schedule::figure(estimate),
        acceptance::figure(estimate),
        swaps::figure(estimate),
        integrand::figure(estimate),
        sandwich::figure(estimate),
    ];
    figures.into_iter().flatten().collect()
}

/// The estimators of a comparison side by side, and their errors against their costs where the truth is known.
#[must_use]
pub fn of_comparison(comparison: &Comparison) -> Vec<Figure> {
    [forest::figure(comparison), cost::figure(comparison)].into_iter().flatten().collect()
}

/// Thermodynamics against temperature; `per_site` says that they were divided by the number of sites.
#[must_use]
pub fn of_curve(curve: &Curve, per_site: bool) -> Figure {
    curve::figure(curve, per_site)
}

/// Whether error bars are honest: errors in units of them against the normal law, and how often intervals cover.
#[must_use]
pub fn of_calibrations(found: &Calibrations) -> Vec<Figure> {
    [deviations::figure(found), coverage::figure(found)].into_iter().flatten().collect()
}

/// Which states of a multistate acceptance ratio overlap.
#[must_use]
pub fn of_states(solved: &Mbar) -> Figure {
    overlap::figure(solved)
}

/// Several runs, each with a name, side by side.
#[must_use]
pub fn together(runs: &[(String, &RunRecord)]) -> Figure {
    forest::together(runs)
}

/// How the log-likelihood spreads over one or more sets of examples.
#[must_use]
pub fn of_likelihoods(sets: &[Examples<'_>]) -> Figure {
    likelihood::figure(sets)
}

/// How a training went, epoch by epoch, or a row of checkpoints; `None` where log Z is known of none.
#[must_use]
pub fn of_training(stages: &[Stage]) -> Option<Figure> {
    learning::figure(stages)
}

/// States to be seen in figures of a model.
#[derive(Clone, Copy, Debug, Default)]
pub struct States<'a> {
    /// Of the model's space. Draws of another length are left out.
    pub draws: &'a [Vec<f64>],
    /// What the draws are held against, one example a row.
    pub data: Option<ArrayView2<'a, f64>>,
    /// Two coordinates, counted from 0, at which draws in more than two dimensions are shown; the first two, and none of pictures,
    /// where it is `None`.
    pub axes: Option<[usize; 2]>,
}

/// The density of a model of two real numbers, with `log_z`; two coordinates of models of more; the weights of restricted Boltzmann
/// machines; and states where they can be shown as pictures.
#[must_use]
pub fn of_model(model: &Arc<dyn Model>, log_z: f64, states: &States<'_>) -> Vec<Figure> {
    let space = model.space();
    let dim = space.dim;
    let cells: Vec<f64> = states.draws.iter().filter(|draw| draw.len() == dim).flatten().copied().collect();
    let draws =
        Array2::from_shape_vec((cells.len() / dim.max(1), dim), cells).ok().filter(|draws| !draws.is_empty());
    let draws = draws.as_ref().map(|draws| draws.view());
    let data = states.data.filter(|data| data.ncols() == dim && !data.is_empty());
    let sheet = draws.and_then(|draws| samples::figure(model, draws, data));
    // Single pixels say little.
    let axes = states.axes.or_else(|| sheet.is_none().then_some([0, 1]));
    let axes = axes.filter(|_| dim > 2 && space.values().is_none());
    let figures = [
        density::figure(model, log_z, draws, data),
        axes.and_then(|axes| scatter::figure(draws, data, axes)),
        filters::figure(model),
        sheet,
    ];
    figures.into_iter().flatten().collect()
}

impl Figure {
    /// The figure as an SVG image, 720 units wide.
    ///
    /// Every series is a group of class `series` with its name in `data-label`.
    #[must_use]
    pub fn svg(&self) -> String {
        svg::write(&layout::scene(self), &self.title).into_string()
    }

    /// The figure as the bytes of a PNG file, 1,440 pixels wide.
    #[must_use]
    pub fn png(&self) -> Vec<u8> {
        png::draw(&layout::scene(self))
    }
}
