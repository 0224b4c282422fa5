//! What every model must satisfy, as assertions for the models' own tests.

use std::sync::Arc;

use ndarray::{Array1, Array2, ArrayView2, Axis};

use super::Model;
use crate::math::{Stream, log_sum_exp, statistics};

/// Every state of a finite space, as rows.
pub(crate) fn all_states(model: &dyn Model) -> Array2<f64> {
    let space = model.space();
    let values = space.values().expect("only finite spaces are enumerated");
    let count = values.len().pow(space.dim as u32);
    Array2::from_shape_fn((count, space.dim), |(row, column)| {
        values[row / values.len().pow(column as u32) % values.len()]
    })
}

/// log Z of a finite model by direct summation.
pub(crate) fn log_z_by_summation(model: &dyn Model) -> f64 {
    log_sum_exp((-model.energy(all_states(model).view())).as_slice().expect("a fresh array is contiguous"))
}

/// log Z of a model on ℝ or ℝ² by the trapezoid rule on [lower, upper]ᵈ, which converges exponentially for smooth decaying
/// integrands.
pub(crate) fn log_z_by_grid(model: &dyn Model, lower: f64, upper: f64, points: usize) -> f64 {
    let dim = model.space().dim;
    let step = (upper - lower) / (points - 1) as f64;
    let grid = Array2::from_shape_fn((points.pow(dim as u32), dim), |(row, column)| {
        lower + step * (row / points.pow(column as u32) % points) as f64
    });
    let terms = (-model.energy(grid.view())).to_vec();
    log_sum_exp(&terms) + dim as f64 * step.ln()
}

/// ∇E against central differences of E, and the energy that comes with it against E itself.
pub(crate) fn assert_gradient(model: &dyn Model, states: ArrayView2<'_, f64>) {
    let (energies, gradients) =
        model.gradient().expect("the model has a gradient").energy_and_gradient(states);
    assert_close(&energies, &model.energy(states), 1e-12);
    let step = 1e-4;
    for column in 0..states.ncols() {
        let at = |shift: f64| {
            let mut moved = states.to_owned();
            moved.column_mut(column).mapv_inplace(|x| x + shift);
            model.energy(moved.view())
        };
        // Fourth order, so that the step can be long against the rounding of large energies.
        let slope = (8.0 * (at(step) - at(-step)) - (at(2.0 * step) - at(-2.0 * step))) / (12.0 * step);
        for row in 0..states.nrows() {
            let (exact, found) = (gradients[[row, column]], slope[row]);
            let allowed = 1e-7 * (1.0 + exact.abs()) + 1e-11 * energies[row].abs();
            assert!(
                (exact - found).abs() < allowed,
                "row {row}, column {column}: {exact} but {found} by differences"
            );
        }
    }
}

/// Energies at temperatures T and T² are E/T and E/T², in the same space.
pub(crate) fn assert_temperature(model: impl Model + Clone, states: ArrayView2<'_, f64>) {
    let expected = model.energy(states);
    let model: Arc<dyn Model> = Arc::new(model);
    let (space, kind) = (model.space(), model.kind());
    let warm = model.at_temperature(2.5);
    assert_eq!((warm.space(), warm.kind()), (space, kind));
    assert_close(&warm.energy(states), &(&expected / 2.5), 1e-12);
    if warm.gradient().is_some() {
        assert_gradient(&*warm, states);
    }
    assert_close(&warm.at_temperature(2.5).energy(states), &(&expected / 6.25), 1e-12);
}

/// Draws have this mean and covariance within 4.5 standard errors (two-sided α = 7e-6 each); 20,000 draws would show a mean
/// that is off by 0.03 standard deviations.
pub(crate) fn assert_moments(model: &dyn Model, mean: &Array1<f64>, covariance: &Array2<f64>) {
    let count = 20_000;
    let mut generator = Stream::new(11).child(model.space().dim as u64).generator();
    let draws = model.sampler().expect("the model has a sampler").sample(count, &mut generator);
    assert_eq!(draws.dim(), (count, mean.len()));
    model.space().check(draws.view()).expect("draws lie in the model's space");
    let centred = &draws - &mean.view().insert_axis(Axis(0));
    for i in 0..mean.len() {
        let first = centred.column(i).to_vec();
        let off = statistics::mean(&first) / statistics::std_err(&first);
        assert!(off.abs() < 4.5, "mean {i} is {off} standard errors off");
        for j in 0..=i {
            let products = (&centred.column(i) * &centred.column(j)).to_vec();
            let off = (statistics::mean(&products) - covariance[[i, j]]) / statistics::std_err(&products);
            assert!(off.abs() < 4.5, "covariance {i}, {j} is {off} standard errors off");
        }
    }
}

/// The mean and covariance of a finite model by direct summation.
pub(crate) fn moments_by_summation(model: &dyn Model) -> (Array1<f64>, Array2<f64>) {
    let states = all_states(model);
    let log_z = log_z_by_summation(model);
    let probabilities = model.energy(states.view()).mapv(|e| (-e - log_z).exp());
    let mean = states.t().dot(&probabilities);
    let centred = &states - &mean.view().insert_axis(Axis(0));
    let covariance = centred.t().dot(&(&centred * &probabilities.view().insert_axis(Axis(1))));
    (mean, covariance)
}

/// Equal to `tolerance`, relative where numbers are above one.
pub(crate) fn assert_close(found: &Array1<f64>, expected: &Array1<f64>, tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (i, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!((a - b).abs() <= tolerance * (1.0 + b.abs()), "entry {i}: {a} but {b} expected");
    }
}
