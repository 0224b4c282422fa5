//! Whether exp(−E) can have a finite integral over all of ℝᵈ, as far as rays tell.

use ndarray::{Array2, ArrayView1, Axis};
use rand::RngExt;
use rand_distr::StandardNormal;

use super::{Base, Domain, Model};
use crate::error::{Error, Result};
use crate::math::Stream;

/// Random rays.
const RAYS: usize = 64;
/// Where a ray is looked at: up to far outside of whatever a model with numbers of usual size holds. Energies in single precision may
/// overflow there; then the farthest two that are finite count.
const RADII: [f64; 5] = [1e2, 1e4, 1e6, 1e8, 1e10];
/// From one radius to the next.
const LOG_STEP: f64 = 2.0 * std::f64::consts::LN_10;
/// Slopes that exceed the dimension by less, as a share of it, are too close to tell by.
const CLOSE: f64 = 2e-3;
/// Where energies grow in proportion to the radius and the least growth is less than this share of the usual one, other rays may fall.
const UNEVEN: f64 = 0.1;

/// What rays say.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Tails {
    /// The density falls fast enough along each.
    Fall,
    /// They leave it open, for this reason.
    Unsure(String),
}

/// One ray, far out.
#[derive(Clone, Copy, Debug)]
enum Ray {
    /// The energy's growth per unit of log r, and how many times larger it is a step further out: 1 for log r, 100 for r.
    Grows { slope: f64, times: f64 },
    /// +∞ from some radius on.
    Ends,
    /// Not a number.
    Unknown,
}

impl Ray {
    fn of(energies: ArrayView1<'_, f64>) -> Self {
        let finite = energies.iter().take_while(|energy| energy.is_finite()).count();
        let stopped = energies.get(finite);
        let slope = |i: usize| (energies[i] - energies[i - 1]) / LOG_STEP;
        match (finite, stopped) {
            (_, Some(&f64::INFINITY)) => Self::Ends,
            (_, Some(&f64::NEG_INFINITY)) => Self::Grows { slope: f64::NEG_INFINITY, times: f64::NAN },
            (0..=2, Some(_)) => Self::Unknown,
            _ => Self::Grows { slope: slope(finite - 1), times: slope(finite - 1) / slope(finite - 2) },
        }
    }
}

/// Looks whether a model on ℝᵈ has a density that falls faster than r⁻ᵈ along random rays.
///
/// The integral over a cone around a ray is ∫ r^{d−1} exp(−E) dr, which diverges where E grows by no more than d log r: the
/// slope (E(r₂) − E(r₁)) / log(r₂/r₁) must exceed d. Rays see cones, not lines: a model that passes may still diverge along a
/// set of directions that no ray meets.
///
/// # Errors
/// [`Error::NotNormalisable`] with the slope that was seen, where one is too small.
pub(crate) fn tails(model: &dyn Model) -> Result<Tails> {
    let space = model.space();
    if space.domain != Domain::Real || model.closed_form().is_some() {
        return Ok(Tails::Fall);
    }
    let dim = space.dim;
    let mut generator = Stream::new(0x7a11).generator();
    let mut rays = Array2::from_shape_simple_fn((RAYS, dim), || generator.sample::<f64, _>(StandardNormal));
    for mut ray in rays.rows_mut() {
        let norm = ray.dot(&ray).sqrt();
        ray /= norm;
    }
    let mut energies = Array2::zeros((RAYS, RADII.len()));
    for (mut column, radius) in energies.axis_iter_mut(Axis(1)).zip(RADII) {
        column.assign(&model.energy((&rays * radius).view()));
    }
    let seen: Vec<Ray> = energies.rows().into_iter().map(Ray::of).collect();
    let mut slopes = Vec::new();
    let (mut linear, mut unknown) = (0, 0);
    for ray in &seen {
        match *ray {
            Ray::Grows { slope, times } => {
                slopes.push(slope);
                linear += usize::from((times - RADII[1] / RADII[0]).abs() < 1.0);
            }
            Ray::Ends => {}
            Ray::Unknown => unknown += 1,
        }
    }
    slopes.sort_by(f64::total_cmp);
    let least = slopes.first().copied().unwrap_or(f64::INFINITY);
    let needed = dim as f64;
    if least <= needed * (1.0 + 1e-6) {
        let falling = if least < 0.0 { "; there it falls" } else { "" };
        return Err(Error::NotNormalisable {
            model: model.kind(),
            message: format!(
                "far out the energy grows by {:.3} log r along some rays{falling}, and the integral of exp(-E) is finite only where it \
                 grows by more than {dim} log r; take its density on a box (--domain box:LO,HI) or against a normal \
                 (--domain gaussian:MEAN,SD), or add 1/2 KAPPA |x|^2 to the energy (--confine KAPPA)",
                least.max(-1e9)
            ),
        });
    }
    // Against a normal, an energy that overflows far out does no harm unless it falls, which nearer radii would show.
    if unknown > 0 && !matches!(model.base(), Some(Base::Normal { .. })) {
        return Ok(Tails::Unsure(format!(
            "the energy is NaN far out along {unknown} of {RAYS} rays, so they do not tell; --domain or --confine would make sure"
        )));
    }
    if least < needed * (1.0 + CLOSE) {
        return Ok(Tails::Unsure(format!(
            "far out the energy grows by {least:.3} log r along some rays, hardly more than the {dim} log r that it must; --domain or \
             --confine would make sure"
        )));
    }
    // Growth in proportion to r is that of piecewise linear networks, whose energy falls in narrow cones.
    let usual = slopes.get(slopes.len() / 2).copied().unwrap_or(f64::INFINITY);
    if linear == slopes.len() && linear > 0 && least < UNEVEN * usual {
        return Ok(Tails::Unsure(format!(
            "far out the energy grows in proportion to the distance, and along some of {RAYS} rays by {:.1} % of the usual growth only, so \
             it may fall along others; --domain or --confine would make sure",
            100.0 * least / usual
        )));
    }
    Ok(Tails::Fall)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::{FunctionModel, Space, builtin};

    fn check(dim: usize, energy: impl Fn(&[f64]) -> f64 + Send + Sync + 'static) -> Result<Tails> {
        tails(&FunctionModel::new(Space::new(dim, Domain::Real), move |x| energy(&x.to_vec())))
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
            assert_eq!(tails(&*model).ok(), Some(Tails::Fall), "{spec}");
        }
    }

    /// Networks: bounded ones are refused, piecewise linear ones that fall somewhere too, and those that rays leave open are told.
    #[test]
    fn networks_are_refused_or_doubted() {
        let single = |x: f64| x as f32;
        assert!(check(3, move |x| f64::from(single(x[0]).tanh() + single(x[1] + x[2]).tanh())).is_err());
        let relu = |x: f32| x.max(0.0);
        let falls = check(3, move |x| f64::from(relu(single(x[0])) - relu(single(x[1]))));
        assert!(falls.is_err_and(|error| error.to_string().contains("it falls")));
        let rises = check(3, |x| x.iter().map(|x| x.abs()).sum());
        assert_eq!(rises.ok(), Some(Tails::Fall));
        let narrow = check(3, |x| x.iter().map(|x| x * x).sum::<f64>().sqrt() - 0.99 * x[0]);
        assert!(matches!(narrow, Ok(Tails::Unsure(reason)) if reason.contains("in proportion")));
        let overflows = check(2, move |x| f64::from(single(x[0]).powi(6) + single(x[1]).powi(6)));
        assert_eq!(overflows.ok(), Some(Tails::Fall));
        let lost = check(2, move |x| f64::from(single(x[0]).exp() - single(x[0]).exp() + single(x[1])));
        assert!(matches!(lost, Ok(Tails::Unsure(_)) | Err(_)));
        let close = check(20, |x| 0.5 * 20.01 * x.iter().map(|x| x * x).sum::<f64>().ln_1p());
        assert!(matches!(close, Ok(Tails::Unsure(reason)) if reason.contains("hardly")));
    }
}
