//! How much of an RBM's log-weight is rounding.

use ndarray::{Array1, ArrayView2};

use crate::math::bits::nearest;

/// Most nats of a log-weight that rounding may be worth: little beside the smallest error bars in use. Trained machines of 784x500
/// units stay thirty times below in f32.
pub(super) const MOST: f64 = 0.003;
/// The same in f32 of a machine on which a sweep in f64, unit by unit, takes a chain more than this many products: a second or so. Its
/// error bars are larger. Random ones of 3000x3000 units with standard normal weights are at 0.011 by the sum of all sizes, which terms of
/// either sign stay far below.
const MOST_OF_LARGE: f64 = 0.02;
const LARGE: f64 = 1e9;

/// Most nats that rounding to f32 may be worth on a machine of so many units.
pub(super) fn most_in_f32(visible: usize, hidden: usize) -> f64 {
    let sweep = (visible * visible) as f64 * hidden as f64;
    if sweep > LARGE { MOST_OF_LARGE } else { MOST }
}

/// What activations add up to in a log-weight, in root mean square as errors of rounding do: times the unit roundoff, what
/// rounding is worth in nats.
///
/// `weights` (visible, hidden) multiply stored states of size `reach` (visible). A hidden unit's error counts where it is on, so
/// a negative bias adds none; a visible unit's bias is no larger than its input wherever its draw is open.
pub(super) fn scale(weights: ArrayView2<'_, f64>, hidden_bias: &Array1<f64>, reach: &Array1<f64>) -> f64 {
    let sizes = weights.mapv(f64::abs);
    let hidden = reach.dot(&sizes) + hidden_bias.mapv(|c| c.max(0.0));
    let visible = sizes.sum_axis(ndarray::Axis(1));
    // Squares of the largest parameters would leave f64.
    hidden.iter().chain(&visible).fold(0.0, |norm: f64, size| norm.hypot(*size))
}

/// Nats that rounding to f32 is worth; what is summed is f64.
pub(super) fn in_f32(scale: f64) -> f64 {
    scale * f64::from(f32::EPSILON / 2.0)
}

/// Nats that rounding to f64 is worth, log-weights being f64 sums over some thousand rungs.
pub(super) fn in_f64(scale: f64) -> f64 {
    const RUNGS: f64 = 1024.0;
    RUNGS.sqrt() * scale * (f64::EPSILON / 2.0)
}

/// The standard deviation that Σᵢⱼ δᵢⱼ vᵢ hⱼ would have, δ what rounding to multiples of `step` changes, if all units were fair coins:
/// ¼ √(Σ of squares of δ, its row sums and its column sums). Errors in common, as of weights that are all the same, count in the sums.
pub(super) fn spread(weights: ArrayView2<'_, f64>, step: f32) -> f64 {
    let step = f64::from(step);
    let errors = weights.mapv(|w| nearest(w / step) * step - w);
    let squares = |values: &mut dyn Iterator<Item = f64>| values.map(|x| x * x).sum::<f64>();
    let sums = |axis| squares(&mut errors.sum_axis(ndarray::Axis(axis)).into_iter());
    (squares(&mut errors.iter().copied()) + sums(0) + sums(1)).sqrt() / 4.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, array};

    /// Against 20,000 draws of fair coins; the standard deviation of a sample's own is half a per cent.
    #[test]
    fn the_spread_is_that_of_fair_coins() {
        use rand::RngExt;
        let mut generator = crate::math::Stream::new(1).generator();
        for shared in [0.0, 0.3] {
            let weights = Array2::from_shape_fn((20, 15), |_| shared + 0.3 * generator.random::<f64>());
            let step = 0.25f32;
            let errors = weights.mapv(|w| (w / 0.25).round() * 0.25 - w);
            let values: Vec<f64> = (0..20_000)
                .map(|_| {
                    let v = Array1::from_shape_fn(20, |_| f64::from(u8::from(generator.random::<bool>())));
                    let h = Array1::from_shape_fn(15, |_| f64::from(u8::from(generator.random::<bool>())));
                    v.dot(&errors.dot(&h))
                })
                .collect();
            let found = crate::math::statistics::variance(&values).sqrt();
            let claimed = spread(weights.view(), step);
            assert!((found / claimed - 1.0).abs() < 0.03, "{found} for {claimed}");
        }
    }

    #[test]
    fn units_that_are_off_round_nothing() {
        let (weights, reach) = (Array2::from_elem((2, 2), -3.0), Array1::ones(2));
        let norm = scale(weights.view(), &array![-1e9, 1.0], &reach);
        assert!((norm - (36.0f64 + 49.0 + 36.0 + 36.0).sqrt()).abs() < 1e-12);
        assert!(scale(Array2::from_elem((2, 2), 1e280).view(), &array![0.0, 0.0], &reach).is_finite());
    }
}
