//! Gaussians and their mixtures out of means and covariances.

use std::sync::Arc;

use ndarray::{Array3, Ix3};

use super::parts::{Parts, Side, describe, matrix, scalar, vector};
use crate::io::Parsed;
use crate::io::tensors::Tensor;
use crate::models::{Gaussian, Mixture, Model};

/// Names of Σ (d, d) and Λ (d, d): either makes a file a Gaussian.
pub(super) const COVARIANCE: &[&str] = &["covariance", "cov"];
pub(super) const PRECISION: &[&str] = &["precision"];
/// Names of the mixture's means (k, d), which make a file a mixture.
pub(super) const MEANS: &[&str] = &["means", "means_"];
const MEAN: &[&str] = &["mean", "mu"];
const LOG_SCALE: &[&str] = &["log_scale"];
const MIXTURE_WEIGHTS: &[&str] = &["weights", "weights_"];
const COVARIANCES: &[&str] = &["covariances", "covariances_"];

/// The Gaussian of a mean (d) and a covariance or precision (d, d), with an optional `log_scale`.
pub(super) fn read(parts: &mut Parts<'_>) -> Parsed<Arc<dyn Model>> {
    let mean = vector(parts.require("mean", MEAN)?)?;
    let dim = mean.len();
    let covariance = parts.find("covariance", COVARIANCE)?;
    let precision = parts.find("precision", PRECISION)?;
    let log_scale = parts.find("log of the density's factor", LOG_SCALE)?.map_or(Ok(0.0), scalar)?;
    let model = match (covariance, precision) {
        (Some(covariance), None) => Gaussian::from_covariance(mean, matrix(covariance)?, log_scale),
        (None, Some(precision)) => Gaussian::from_precision(mean, matrix(precision)?, log_scale),
        _ => return Err("a Gaussian has a covariance or a precision, not both; keep one in the file".into()),
    };
    let model = model.map_err(|e| e.to_string())?;
    parts.check_spare("a Gaussian", &[Side { name: "coordinates", length: dim, names: "mean" }])?;
    Ok(Arc::new(model))
}

/// The mixture of weights (k), means (k, d) and covariances (k, d, d).
pub(super) fn read_mixture(parts: &mut Parts<'_>) -> Parsed<Arc<dyn Model>> {
    let means = matrix(parts.require("means", MEANS)?)?;
    let weights = vector(parts.require("weights of the components", MIXTURE_WEIGHTS)?)?;
    let covariances = three_axes(parts.require("covariances", COVARIANCES)?)?;
    let (components, dim) = means.dim();
    let mixture = Mixture::new(weights, means, covariances).map_err(|e| e.to_string())?;
    let sides = [
        Side { name: "components", length: components, names: "weights" },
        Side { name: "coordinates", length: dim, names: "means" },
    ];
    parts.check_spare("a mixture of Gaussians", &sides)?;
    Ok(Arc::new(mixture))
}

/// (k, d, d), where MATLAB leaves out last sides of 1.
fn three_axes(tensor: &Tensor) -> Parsed<Array3<f64>> {
    let mut values = tensor.values.clone();
    while values.ndim() < 3 && values.shape().last() == Some(&1) || values.ndim() == 1 {
        let last = values.ndim();
        values.insert_axis_inplace(ndarray::Axis(last));
    }
    values
        .into_dimensionality::<Ix3>()
        .map_err(|_| format!("{} should have shape (components, dim, dim)", describe(tensor)))
}
