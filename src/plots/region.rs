//! Where in the plane a density lies, and how much of it lies there.

use std::sync::Arc;

use ndarray::Array2;

use super::numbers::{quantile, sorted};
use crate::math::{Stream, log_mean_exp, log_sum_exp};
use crate::models::Model;

/// Cells to a side.
pub(super) const CELLS: usize = 160;
/// Exact draws that find out where a model lies.
const SCOUTS: usize = 2000;
/// Half-widths of squares around zero among which a model without a sampler is looked for.
const SIZES: std::ops::RangeInclusive<i32> = -4..=7;
/// Share of the mass that may be cut off.
const CUT: f64 = 1e-3;
/// How often a square may grow beyond the draws in it.
const GROWTHS: usize = 4;

/// Left, right, bottom, top.
pub(super) type Extent = [f64; 4];

/// A square with nearly all of the mass: around `draws`, else around exact draws of the model, else wherever some is found.
pub(super) fn find(model: &Arc<dyn Model>, log_z: f64, draws: &[[f64; 2]]) -> Extent {
    let scouted = || around(model, &scouts(model));
    around(model, draws).or_else(scouted).unwrap_or_else(|| search(model, log_z))
}

/// −E at the middle of each of `side` × `side` cells, row by row from the top; −∞ for what is no number.
pub(super) fn log_density(
    model: &Arc<dyn Model>,
    [left, right, bottom, top]: Extent,
    side: usize,
) -> Vec<f64> {
    let middle = |low: f64, high: f64, i: usize| low + (i as f64 + 0.5) / side as f64 * (high - low);
    let row = |row: usize| {
        let states = Array2::from_shape_fn((side, 2), |(column, coordinate)| match coordinate {
            0 => middle(left, right, column),
            _ => middle(top, bottom, row),
        });
        model
            .energy(states.view())
            .mapv_into(|energy| if energy.is_finite() { -energy } else { f64::NEG_INFINITY })
    };
    (0..side).flat_map(row).collect()
}

/// log ∫ exp(−E), as a sum over cells.
pub(super) fn log_mass(log_density: &[f64], [left, right, bottom, top]: Extent) -> f64 {
    log_mean_exp(log_density) + (right - left).ln() + (top - bottom).ln()
}

/// A square that holds all of `points`, or, where a few lie very far out, most of them; grown until it holds about all mass near by.
fn around(model: &Arc<dyn Model>, points: &[[f64; 2]]) -> Option<Extent> {
    let side = |coordinate: usize| -> Option<[f64; 2]> {
        let values = sorted(points.iter().map(|point| point[coordinate]));
        let ends = |cut: f64| Some([quantile(&values, cut)?, quantile(&values, 1.0 - cut)?]);
        let (all, most) = (ends(0.0)?, ends(0.02)?);
        let heavy = all[1] - all[0] > 4.0 * (most[1] - most[0]) && most[1] > most[0];
        Some(if heavy { most } else { all })
    };
    let mass = |extent| log_mass(&log_density(model, extent, CELLS), extent);
    let (x, y) = (side(0)?, side(1)?);
    let mut extent = square(x, y, 1.1)?;
    let mut held = mass(extent);
    for _ in 0..GROWTHS {
        let wider = square([extent[0], extent[1]], [extent[2], extent[3]], 1.5)?;
        let more = mass(wider);
        if more <= held + CUT {
            break;
        }
        (extent, held) = (wider, more);
    }
    Some(extent)
}

/// A square around both ranges, `wider` than the longer; none for a point.
fn square(x: [f64; 2], y: [f64; 2], wider: f64) -> Option<Extent> {
    let half = 0.5 * wider * (x[1] - x[0]).max(y[1] - y[0]);
    let (x, y) = (0.5 * (x[0] + x[1]), 0.5 * (y[0] + y[1]));
    let long_enough = half.is_finite() && half > 1e-9 * (1.0 + x.abs().max(y.abs()));
    long_enough.then_some([x - half, x + half, y - half, y + half])
}

fn scouts(model: &Arc<dyn Model>) -> Vec<[f64; 2]> {
    model.sampler().map_or_else(Vec::new, |sampler| {
        let draws = sampler.sample(SCOUTS, &mut Stream::new(1).generator());
        draws.rows().into_iter().map(|row| [row[0], row[1]]).collect()
    })
}

/// The least of some squares around zero that holds nearly as much as the fullest of them, cut down to where the mass is.
fn search(model: &Arc<dyn Model>, log_z: f64) -> Extent {
    let found: Vec<(Extent, Vec<f64>, f64)> = SIZES
        .map(|power| {
            let half = 2f64.powi(power);
            let extent = [-half, half, -half, half];
            let values = log_density(model, extent, CELLS);
            let mass = log_mass(&values, extent) - log_z;
            (extent, values, mass)
        })
        .collect();
    // Narrow peaks between wide cells may seem to hold more than everything.
    let most = found.iter().map(|(.., mass)| *mass).fold(f64::NEG_INFINITY, f64::max);
    let enough = (if most > 0.0 { 0.0 } else { most }) + (-CUT).ln_1p();
    let (extent, values, _) = found.iter().find(|(.., mass)| *mass >= enough).unwrap_or(&found[0]);
    filled(*extent, values).unwrap_or(*extent)
}

/// The smallest square with all cells that are not negligible.
fn filled([left, _, _, top]: Extent, values: &[f64]) -> Option<Extent> {
    let total = log_sum_exp(values);
    let negligible = (CUT / values.len() as f64).ln();
    let step = -2.0 * left / CELLS as f64;
    let kept = || (0..values.len()).filter(|&cell| values[cell] - total > negligible);
    let ends =
        |index: &dyn Fn(usize) -> usize| Some((kept().map(index).min()?, kept().map(index).max()? + 1));
    let (columns, rows) = (ends(&|cell| cell % CELLS)?, ends(&|cell| cell / CELLS)?);
    let x = [left + columns.0 as f64 * step, left + columns.1 as f64 * step];
    let y = [top - rows.1 as f64 * step, top - rows.0 as f64 * step];
    square(x, y, 1.1)
}
