//! Functions of single numbers, and sums of them over slices.

use super::{LANES, dispatch};

/// eˣ with relative error below 2e-7, and e⁸⁸ for larger x; 0 below −87.3, where f32 turns denormal; NaN stays NaN.
#[inline(always)]
#[must_use]
pub fn exp(x: f32) -> f32 {
    const LOG2_E: f32 = std::f32::consts::LOG2_E;
    // log 2 in two parts, the first with few bits, so that x − n·log 2 is exact to the last bits (Cody & Waite).
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    // Adding 1.5·2²³ rounds to an integer and leaves that integer in the low bits of the sum.
    const ROUND: f32 = 12_582_912.0;
    let clamped = x.clamp(-87.3, 88.0);
    let shifted = clamped * LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (clamped - n * LN2_HIGH) - n * LN2_LOW;
    let p = 1.987_569_2e-4;
    let p = p * r + 1.398_2e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_6e-1;
    let p = p * r + 0.5;
    let value = p * r * r + r + 1.0;
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(0x3f80_0000));
    if x < -87.3 { 0.0 } else { value * power }
}

/// log(1 + y) for 0 ≤ y ≤ 1 with relative error below 3e-7.
#[inline(always)]
#[must_use]
pub fn log_1p(y: f32) -> f32 {
    twice_atanh(y / (2.0 + y))
}

/// 2 atanh(s) = log((1 + s) / (1 − s)) for |s| ≤ 1/3, by its series.
#[inline(always)]
fn twice_atanh(s: f32) -> f32 {
    let q = s * s;
    let p = 2.0 / 15.0;
    let p = p * q + 2.0 / 13.0;
    let p = p * q + 2.0 / 11.0;
    let p = p * q + 2.0 / 9.0;
    let p = p * q + 2.0 / 7.0;
    let p = p * q + 2.0 / 5.0;
    let p = p * q + 2.0 / 3.0;
    s * (p * q + 2.0)
}

/// 1 / (1 + e⁻ˣ) with absolute error below 1e-7.
#[inline(always)]
#[must_use]
pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// softplus(x) = log(1 + eˣ) = max(x, 0) + log(1 + e^{−|x|}).
#[inline(always)]
#[must_use]
pub fn softplus(x: f32) -> f32 {
    x.max(0.0) + log_1p(exp(-x.abs()))
}

/// [`sigmoid`] of each value.
pub fn sigmoid_all(values: &mut [f32]) {
    dispatch(
        #[inline(always)]
        || values.iter_mut().for_each(|x| *x = sigmoid(*x)),
    );
}

/// [`softplus`] of each value.
pub fn softplus_all(values: &mut [f32]) {
    dispatch(
        #[inline(always)]
        || values.iter_mut().for_each(|x| *x = softplus(*x)),
    );
}

/// Σ term(xᵢ) in sixteen f32 lanes that are emptied into an f64 every 64 rounds.
#[inline(always)]
fn sum(values: &[f32], term: impl Fn(f32) -> f32) -> f64 {
    let mut total = 0.0;
    let (whole, rest) = values.as_chunks::<LANES>();
    for group in whole.chunks(64) {
        let mut lanes = [0.0f32; LANES];
        for chunk in group {
            for i in 0..LANES {
                lanes[i] += term(chunk[i]);
            }
        }
        total += lanes.iter().map(|&lane| f64::from(lane)).sum::<f64>();
    }
    total + rest.iter().map(|&x| f64::from(term(x))).sum::<f64>()
}

/// Σ softplus(β aᵢ) for 0 ≤ β ≤ 1 and finite aᵢ, within 2e-6 (1 + Σ|aᵢ|).
#[must_use]
pub fn sum_softplus(beta: f32, activations: &[f32]) -> f64 {
    dispatch(
        #[inline(always)]
        || {
            let tails = sum(
                activations,
                #[inline(always)]
                |a| log_1p(exp(-(beta * a.abs()))),
            );
            let heads = sum(
                activations,
                #[inline(always)]
                |a| a.max(0.0),
            );
            f64::from(beta) * heads + tails
        },
    )
}

/// Σ softplus(to·aᵢ) − softplus(from·aᵢ) for from, to ≥ 0, without the cancellation of taking two sums apart.
///
/// With softplus(βa) = β max(a, 0) + log(1 + e^{−β|a|}) the first part is linear in β, and the difference of the second is
/// log((1 + y₁)/(1 + y₀)) = 2 atanh((y₁ − y₀)/(2 + y₁ + y₀)): one quotient and no large terms. In the first part to − from is that
/// of f64. For n finite activations and βs that f32 holds the error is within 3e-7 (1 + n) + 1e-6 |to − from| Σ|aᵢ|.
#[must_use]
pub fn softplus_difference(from: f64, to: f64, activations: &[f32]) -> f64 {
    dispatch(
        #[inline(always)]
        || {
            let (low, high) = (from as f32, to as f32);
            let tails = sum(
                activations,
                #[inline(always)]
                |a| {
                    let y0 = exp(-(low * a.abs()));
                    let y1 = exp(-(high * a.abs()));
                    twice_atanh((y1 - y0) / (2.0 + y1 + y0))
                },
            );
            let heads = sum(
                activations,
                #[inline(always)]
                |a| a.max(0.0),
            );
            (to - from) * heads + tails
        },
    )
}

/// Σ aᵢ σ(β aᵢ) and Σ aᵢ² σ(β aᵢ) (1 − σ(β aᵢ)): the first two derivatives of Σ softplus(β aᵢ) in β; within
/// 2e-6 (1 + Σ|aᵢ|) and 2e-6 (1 + Σ aᵢ²) for |aᵢ| ≤ 10¹⁵.
#[must_use]
pub fn softplus_derivatives(beta: f32, activations: &[f32]) -> (f64, f64) {
    dispatch(
        #[inline(always)]
        || {
            let first = sum(
                activations,
                #[inline(always)]
                |a| a * sigmoid(beta * a),
            );
            let second = sum(
                activations,
                #[inline(always)]
                |a| {
                    let s = sigmoid(beta * a);
                    a * a * s * (1.0 - s)
                },
            );
            (first, second)
        },
    )
}

/// Σ xᵢ yᵢ in f64, within 1e-13 Σ|xᵢ yᵢ|.
///
/// # Panics
/// When the lengths differ.
#[must_use]
pub fn dot<Y: Copy + Into<f64>>(x: &[f32], y: &[Y]) -> f64 {
    assert_eq!(x.len(), y.len(), "lengths of a dot product");
    dispatch(
        #[inline(always)]
        || {
            let ((x, x_rest), (y, y_rest)) = (x.as_chunks::<LANES>(), y.as_chunks::<LANES>());
            let mut lanes = [0.0f64; LANES];
            for (x, y) in x.iter().zip(y) {
                for i in 0..LANES {
                    lanes[i] += f64::from(x[i]) * y[i].into();
                }
            }
            lanes.iter().sum::<f64>()
                + x_rest.iter().zip(y_rest).map(|(x, y)| f64::from(*x) * (*y).into()).sum::<f64>()
        },
    )
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    fn exact_softplus(x: f64) -> f64 {
        x.max(0.0) + (-x.abs()).exp().ln_1p()
    }

    /// Every f32, denormals, infinities and NaNs among them.
    pub(in super::super) fn floats() -> impl Strategy<Value = f32> {
        prop_oneof![
            any::<u32>().prop_map(f32::from_bits),
            -100.0f32..100.0,
            Just(f32::NAN),
            Just(f32::INFINITY)
        ]
    }

    /// Denormals and large numbers among moderate ones.
    fn finite() -> impl Strategy<Value = f32> {
        prop_oneof![4 => -40.0f32..40.0, 1 => -1e15f32..1e15, 1 => (0u32..0x0080_0000).prop_map(f32::from_bits)]
    }

    /// `exp` stops growing at 88, and is 0 where it would be denormal.
    fn exact_exp(x: f32) -> f64 {
        if x < -87.3 { 0.0 } else { f64::from(x.min(88.0)).exp() }
    }

    /// `value` is `exact` within the bounds, or both are NaN.
    fn agree(value: f32, exact: f64, relative: f64, absolute: f64) -> bool {
        if exact.is_nan() {
            return value.is_nan();
        }
        let exact = exact.clamp(f64::from(f32::MIN), f64::from(f32::MAX));
        let value = f64::from(value).clamp(f64::from(f32::MIN), f64::from(f32::MAX));
        (value - exact).abs() <= relative * exact.abs() + absolute
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn functions_agree_with_f64_everywhere(x in floats()) {
            let wide = f64::from(x);
            prop_assert!(agree(exp(x), if x.is_nan() { f64::NAN } else { exact_exp(x) }, 2e-7, 0.0), "exp {x:e}");
            prop_assert!(agree(sigmoid(x), 1.0 / (1.0 + (-wide).exp()), 0.0, 1e-7), "sigmoid {x:e}");
            let softplus_exact = if x.is_nan() { f64::NAN } else { exact_softplus(wide) };
            prop_assert!(agree(softplus(x), softplus_exact, 3e-7, 2e-38), "softplus {x:e}");
        }

        #[test]
        fn log_1p_is_accurate(y in 0.0f32..=1.0) {
            let exact = f64::from(y).ln_1p();
            prop_assert!((f64::from(log_1p(y)) - exact).abs() <= 3e-7 * exact, "{y}");
        }

        #[test]
        fn sums_agree_with_scalar_twins(
            values in prop::collection::vec(finite(), 0..100), from in 0.0f64..1.0, step in 0.0f64..0.1
        ) {
            // βs that f32 holds exactly, so that only the kernels' own rounding is compared.
            let (from, to) = (f64::from(from as f32), f64::from((from + step).min(1.0) as f32));
            let total = |term: &dyn Fn(f64) -> f64| values.iter().map(|&a| term(f64::from(a))).sum::<f64>();
            let (count, size, squares) = (values.len() as f64, total(&f64::abs), total(&|a| a * a));

            let (mut sigmoids, mut softpluses) = (values.clone(), values.clone());
            sigmoid_all(&mut sigmoids);
            softplus_all(&mut softpluses);
            for ((&x, s), p) in values.iter().zip(sigmoids).zip(softpluses) {
                prop_assert_eq!((s, p), (super::sigmoid(x), super::softplus(x)));
            }

            let found = sum_softplus(to as f32, &values);
            prop_assert!((found - total(&|a| exact_softplus(to * a))).abs() <= 2e-6 * (1.0 + size), "{found}");

            let found = softplus_difference(from, to, &values);
            let exact = total(&|a| exact_softplus(to * a) - exact_softplus(from * a));
            let bound = 3e-7 * (1.0 + count) + 1e-6 * (to - from).abs() * size;
            prop_assert!((found - exact).abs() <= bound, "{found} for {exact}");

            let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
            let (first, second) = softplus_derivatives(to as f32, &values);
            prop_assert!((first - total(&|a| a * sigmoid(to * a))).abs() <= 2e-6 * (1.0 + size), "{first}");
            let exact = total(&|a| a * a * sigmoid(to * a) * sigmoid(-to * a));
            prop_assert!((second - exact).abs() <= 2e-6 * (1.0 + squares), "{second} for {exact}");
        }

        #[test]
        fn products_agree_with_scalar_twins(pairs in prop::collection::vec((finite(), -1e3f64..1e3), 0..100)) {
            let (x, y): (Vec<f32>, Vec<f64>) = pairs.into_iter().unzip();
            let terms = || x.iter().zip(&y).map(|(x, y)| f64::from(*x) * y);
            let size: f64 = terms().map(f64::abs).sum();
            prop_assert!((dot(&x, &y) - terms().sum::<f64>()).abs() <= 1e-13 * size);
        }
    }

    #[test]
    fn extremes_are_finite_where_they_should_be() {
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp(-88.0), 0.0);
        assert!(exp(f32::NAN).is_nan());
        assert_eq!(sigmoid(f32::INFINITY), 1.0);
        assert!(sigmoid(f32::NEG_INFINITY) < 1e-38);
        assert_eq!(softplus(1e30), 1e30);
        assert_eq!(softplus(-1e30), 0.0);
    }
}
