//! Sums of exponentials in f64, vectorised, and numbers of any size as mantissa and exponent.

use crate::math::simd::dispatch;

const LANES: usize = 8;
const BUFFER: usize = 256;

/// log Σ exp(xᵢ) for terms that are finite or −∞, with absolute error of a few ulps of the result; −∞ for no terms.
///
/// A NaN or +∞ among the terms gives a result that is not finite.
pub(super) fn log_sum_exp(terms: &[f64]) -> f64 {
    dispatch(
        #[inline(always)]
        || {
            let (whole, rest) = terms.as_chunks::<LANES>();
            let mut largest = [f64::NEG_INFINITY; LANES];
            for chunk in whole {
                for k in 0..LANES {
                    largest[k] = if chunk[k] > largest[k] { chunk[k] } else { largest[k] };
                }
            }
            let top = rest.iter().chain(&largest).copied().fold(f64::NEG_INFINITY, f64::max);
            // A NaN loses every comparison above; it shows up in the sum, unless all other terms are −∞.
            if !top.is_finite() {
                return if terms.iter().any(|x| x.is_nan()) { f64::NAN } else { top };
            }
            // Through a buffer, because the compiler vectorises this plain loop and none that also adds up.
            let mut buffer = [0.0; BUFFER];
            let mut sums = [0.0; LANES];
            for part in terms.chunks(BUFFER) {
                let values = &mut buffer[..part.len()];
                for (value, x) in values.iter_mut().zip(part) {
                    *value = exp(x - top);
                }
                let (whole, rest) = values.as_chunks::<LANES>();
                for chunk in whole {
                    for k in 0..LANES {
                        sums[k] += chunk[k];
                    }
                }
                sums[0] += rest.iter().sum::<f64>();
            }
            top + sums.iter().sum::<f64>().ln()
        },
    )
}

/// eˣ for x ≤ 0 with relative error below 4e-16; 0 below −708, where f64 turns denormal; NaN stays NaN.
#[inline(always)]
pub(super) fn exp(x: f64) -> f64 {
    // log 2 in two parts, the first with few bits, so that x − n·log 2 is exact to the last bits (Cody & Waite).
    const LN2_HIGH: f64 = 6.931_471_803_691_238e-1;
    const LN2_LOW: f64 = 1.908_214_929_270_587_7e-10;
    // Adding 1.5·2⁵² rounds to an integer and leaves that integer in the low bits of the sum.
    const ROUND: f64 = 6_755_399_441_055_744.0;
    // 1/k!: the series cut after the 13th power is exact to 5e-18 for |r| ≤ log(2)/2.
    const SERIES: [f64; 12] = [
        1.0 / 6_227_020_800.0,
        1.0 / 479_001_600.0,
        1.0 / 39_916_800.0,
        1.0 / 3_628_800.0,
        1.0 / 362_880.0,
        1.0 / 40_320.0,
        1.0 / 5_040.0,
        1.0 / 720.0,
        1.0 / 120.0,
        1.0 / 24.0,
        1.0 / 6.0,
        0.5,
    ];
    let clamped = if x < -708.0 { -708.0 } else { x };
    let shifted = clamped * std::f64::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (clamped - n * LN2_HIGH) - n * LN2_LOW;
    let mut p = SERIES[0];
    for k in 1..SERIES.len() {
        p = p * r + SERIES[k];
    }
    let value = 1.0 + (r + r * r * p);
    let power = f64::from_bits((shifted.to_bits() << 52).wrapping_add(0x3ff0_0000_0000_0000));
    if x < -708.0 { 0.0 } else { value * power }
}

/// eˣ as mantissa · 2^exponent with the mantissa near 1, for x beyond what f64 holds.
pub(super) fn split_exp(x: f64) -> (f64, i64) {
    let n = (x * std::f64::consts::LOG2_E).round();
    ((x - n * std::f64::consts::LN_2).exp(), n as i64)
}

/// x · 2^exponent for a non-negative x = 1..2 and an exponent ≤ 0; 0 below 2⁻¹⁰⁰⁰.
#[inline(always)]
pub(super) fn scale(x: f64, exponent: i64) -> f64 {
    let kept = if exponent < -1000 { -1000 } else { exponent };
    let power = f64::from_bits(((kept + 1023) as u64) << 52);
    if exponent < -1000 { 0.0 } else { x * power }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn exp_is_accurate(x in -707.9f64..=0.0) {
            prop_assert!((exp(x) / x.exp() - 1.0).abs() < 5e-16, "{x}");
        }

        #[test]
        fn sums_agree_with_the_scalar_twin(terms in prop::collection::vec(-800.0f64..800.0, 0..50)) {
            let (fast, plain) = (log_sum_exp(&terms), crate::math::log_sum_exp(&terms));
            prop_assert!(fast == plain || (fast - plain).abs() < 1e-12);
        }

        #[test]
        fn split_numbers_are_whole(x in -1e5f64..1e5) {
            let (mantissa, exponent) = split_exp(x);
            prop_assert!((0.7..1.42).contains(&mantissa));
            prop_assert!((mantissa.ln() + exponent as f64 * std::f64::consts::LN_2 - x).abs() < 1e-10);
        }
    }

    #[test]
    fn what_is_not_finite_stays_visible() {
        assert_eq!(log_sum_exp(&[f64::NEG_INFINITY; 9]), f64::NEG_INFINITY);
        assert!(log_sum_exp(&[f64::NAN, f64::NEG_INFINITY]).is_nan());
        assert!(log_sum_exp(&[0.0, f64::NAN, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]).is_nan());
        assert_eq!(log_sum_exp(&[f64::INFINITY, 0.0]), f64::INFINITY);
        assert_eq!(scale(1.5, -3), 0.1875);
        assert_eq!(scale(1.5, -2000), 0.0);
    }
}
