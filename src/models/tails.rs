//! Whether exp(−E) can have a finite integral over all of ℝᵈ, as far as rays tell.

use ndarray::Array2;
use rand::RngExt;
use rand_distr::StandardNormal;

use super::{Domain, Model};
use crate::error::{Error, Result};
use crate::math::Stream;

/// Random rays.
const RAYS: usize = 64;
/// Where a ray is looked at: outside of whatever a model with numbers of usual size holds.
const RADII: [f64; 2] = [1e6, 1e10];

/// Refuses a model on ℝᵈ whose density falls no faster than r⁻ᵈ along some ray.
///
/// The integral over a cone around such a ray is ∫ r^{d−1} exp(−E) dr, which diverges where E grows by no more than d log r: the
/// slope (E(r₂) − E(r₁)) / log(r₂/r₁) must exceed d. Rays see cones, not lines: a model that passes may still diverge along a
/// set of directions that no ray meets.
///
/// # Errors
/// [`Error::NotNormalisable`] with the slope that was seen.
pub(crate) fn check_tails(model: &dyn Model) -> Result<()> {
    let space = model.space();
    if space.domain != Domain::Real || model.closed_form().is_some() {
        return Ok(());
    }
    let dim = space.dim;
    let mut generator = Stream::new(0x7a11).generator();
    let mut rays = Array2::from_shape_simple_fn((RAYS, dim), || generator.sample::<f64, _>(StandardNormal));
    for mut ray in rays.rows_mut() {
        let norm = ray.dot(&ray).sqrt();
        ray /= norm;
    }
    let [near, far] = RADII.map(|radius| model.energy((&rays * radius).view()));
    let slope = |(near, far): (&f64, &f64)| (far - near) / (RADII[1] / RADII[0]).ln();
    let slopes = near.iter().zip(&far).map(slope);
    let least = slopes.filter(|slope| slope.is_finite()).fold(f64::INFINITY, f64::min);
    if least > dim as f64 * (1.0 + 1e-6) {
        return Ok(());
    }
    Err(Error::NotNormalisable {
        model: model.kind(),
        message: format!(
            "far out the energy grows by {:.3} log r along some rays, and the integral of exp(-E) is finite only where it grows by more \
             than {dim} log r; bound the space, or add a term that confines it",
            least.max(-1e9)
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::{FunctionModel, Space, builtin};

    fn check(dim: usize, energy: impl Fn(&[f64]) -> f64 + Send + Sync + 'static) -> Result<()> {
        check_tails(&FunctionModel::new(Space::new(dim, Domain::Real), move |x| energy(&x.to_vec())))
    }

    /// Student's t in d dimensions, E = ½ (ν + d) log (1 + x²/ν), has an integral for every ν > 0 and none at ν = 0.
    #[test]
    fn slopes_decide() {
        for dim in [1, 3, 20] {
            for (freedom, finite) in [(0.1, true), (2.0, true), (0.0, false), (-0.2, false)] {
                let energy = move |x: &[f64]| {
                    0.5 * (freedom + dim as f64) * x.iter().map(|x| x * x).sum::<f64>().ln_1p()
                };
                assert_eq!(check(dim, energy).is_ok(), finite, "{dim} {freedom}");
            }
        }
        assert!(check(2, |x| x[0].sin()).is_err());
        assert!(check(2, |x| x[0].powi(4) + x[1] * x[1]).is_ok());
        assert!(check(2, |x| x[0].abs().exp() + x[1] * x[1]).is_ok());
        assert!(check(2, |x| x[0] * x[0] - x[1] * x[1]).is_err());
    }

    #[test]
    fn references_pass() {
        for spec in ["ref:funnel", "ref:many-well", "ref:gaussian-rbm", "ref:two-modes", "ref:mixture"] {
            let model = builtin::parse(spec).expect("valid");
            assert!(check_tails(&*model).is_ok(), "{spec}");
        }
    }
}
