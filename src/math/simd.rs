//! Vector kernels: plain loops over slices, compiled for each instruction set and chosen when the program runs.
//!
//! Every kernel is a scalar function (`exp`, `sigmoid`, …) applied in a loop that the compiler vectorises inside
//! [`dispatch`]. They use no fused multiply-add, so they give the same bits on all instruction sets, as do the products in
//! [`bits`](super::bits), which are sums of integers (other matrix products do not). `LNZ_SIMD=scalar|v3` asks for less than the
//! machine's best (SSE2, AVX2). NaN stays NaN, and infinities are as good as large numbers.

use std::sync::OnceLock;

use rand::Rng;

use super::bits::{Quads, TILE};

/// Chains of lanes that a vector generator advances at once.
pub const LANES: usize = 16;

/// Runs `kernel` compiled for the best instruction set of this machine; it and what it calls must be `#[inline(always)]`.
#[inline]
pub fn dispatch<R>(kernel: impl FnOnce() -> R) -> R {
    arch().dispatch(kernel)
}

/// As [`dispatch`], for a kernel that is written in vectors.
#[inline]
pub(super) fn vectorise<K: pulp::WithSimd>(kernel: K) -> K::Output {
    arch().dispatch(kernel)
}

#[inline]
fn arch() -> pulp::Arch {
    static ARCH: OnceLock<pulp::Arch> = OnceLock::new();
    *ARCH.get_or_init(choose)
}

fn choose() -> pulp::Arch {
    let best = pulp::Arch::new();
    match std::env::var("LNZ_SIMD").as_deref() {
        Ok("scalar") => pulp::Arch::Scalar,
        #[cfg(target_arch = "x86_64")]
        Ok("v3") => pulp::x86::V3::try_new().map_or(best, pulp::Arch::V3),
        _ => best,
    }
}

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

/// Σ softplus(β aᵢ) for β ≥ 0.
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
/// log((1 + y₁)/(1 + y₀)) = 2 atanh((y₁ − y₀)/(2 + y₁ + y₀)): one quotient and no large terms. `to_minus_from` is taken apart
/// because it is exact in f64 where both βs are rounded to f32.
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

/// Σ aᵢ σ(β aᵢ) and Σ aᵢ² σ(β aᵢ) (1 − σ(β aᵢ)): the first two derivatives of Σ softplus(β aᵢ) in β.
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

/// Σ xᵢ yᵢ in f64.
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

/// `bits[i]` = 1 with probability σ(scale · `activations[i]` + `offsets[i]`), else 0; no offsets when `offsets` is empty.
///
/// # Panics
/// When the lengths differ.
pub fn draw_bits(lanes: &mut Lanes, scale: f32, activations: &[f32], offsets: &[f32], bits: &mut [f32]) {
    assert_eq!(activations.len(), bits.len(), "an activation per bit");
    assert!(offsets.is_empty() || offsets.len() == bits.len(), "an offset per bit");
    dispatch(
        #[inline(always)]
        || {
            let (chunks, rest) = activations.as_chunks::<LANES>();
            let (offset_chunks, offset_rest) = offsets.as_chunks::<LANES>();
            let (bit_chunks, bit_rest) = bits.as_chunks_mut::<LANES>();
            for (k, (a, out)) in chunks.iter().zip(bit_chunks).enumerate() {
                let offset = offset_chunks.get(k).unwrap_or(&[0.0; LANES]);
                let on = draw_lanes(lanes, scale, a, offset);
                for i in 0..LANES {
                    out[i] = f32::from(u8::from(on[i]));
                }
            }
            if !rest.is_empty() {
                let (mut a, mut offset) = ([0.0; LANES], [0.0; LANES]);
                a[..rest.len()].copy_from_slice(rest);
                offset[..offset_rest.len()].copy_from_slice(offset_rest);
                let on = draw_lanes(lanes, scale, &a, &offset);
                bit_rest.iter_mut().zip(on).for_each(|(bit, on)| *bit = f32::from(u8::from(on)));
            }
        },
    );
}

/// The bits of [`draw_bits`], [packed](Quads). A logit that is NaN gives 0.
///
/// # Panics
/// When the lengths differ.
pub fn draw_quads(lanes: &mut Lanes, scale: f32, activations: &[f32], offsets: &[f32], bits: &mut [Quads]) {
    /// The logit of a bit that is never set: of those that fill up a tile.
    const NEVER: f32 = -1e30;
    assert_eq!(activations.len().div_ceil(TILE), bits.len(), "a bit per activation");
    assert!(offsets.is_empty() || offsets.len() == activations.len(), "an offset per bit");
    dispatch(
        #[inline(always)]
        || {
            let (whole, rest) = activations.as_chunks::<TILE>();
            for (tile, (a, quads)) in whole.iter().zip(bits.iter_mut()).enumerate() {
                let offsets = offsets.get(tile * TILE..).and_then(|rest| rest.first_chunk());
                *quads = draw_tile(lanes, scale, a, offsets.unwrap_or(&[0.0; TILE]));
            }
            if !rest.is_empty() {
                let (mut a, mut offset) = ([0.0; TILE], [NEVER; TILE]);
                a[..rest.len()].copy_from_slice(rest);
                offset[..rest.len()].fill(0.0);
                let given = offsets.get(whole.len() * TILE..).unwrap_or(&[]);
                offset.iter_mut().zip(given).for_each(|(to, from)| *to = *from);
                bits[whole.len()] = draw_tile(lanes, scale, &a, &offset);
            }
        },
    );
}

#[inline(always)]
fn draw_tile(lanes: &mut Lanes, scale: f32, a: &[f32; TILE], offsets: &[f32; TILE]) -> Quads {
    let mut quads = [0; LANES];
    let (a, offsets) = (a.as_chunks().0, offsets.as_chunks().0);
    for digit in 0..TILE / LANES {
        let on = draw_lanes(lanes, scale, &a[digit], &offsets[digit]);
        for i in 0..LANES {
            quads[i] |= u32::from(on[i]) << digit;
        }
    }
    quads
}

/// Sixteen draws. The less likely value has probability σ(−|x|), and u < σ(−|x|) ⇔ u (1 + e^|x|) < 1: no quotient, and full relative
/// precision for rare values of either kind.
#[inline(always)]
fn draw_lanes(lanes: &mut Lanes, scale: f32, a: &[f32; LANES], offset: &[f32; LANES]) -> [bool; LANES] {
    let uniform = lanes.words();
    let mut on = [false; LANES];
    for i in 0..LANES {
        let logit = scale * a[i] + offset[i];
        let rare = unit(uniform[i]) * (1.0 + exp(logit.abs().min(88.0))) < 1.0;
        on[i] = rare != (logit >= 0.0);
    }
    on
}

/// A uniform number in (0, 1] from 31 random bits; f32 keeps its full relative precision near 0.
#[inline(always)]
pub(crate) fn unit(bits: u32) -> f32 {
    ((bits >> 1) as i32 as f32 + 0.5) * (1.0 / 2_147_483_648.0)
}

/// Sixteen xoshiro128++ generators side by side (Blackman & Vigna 2021, doi:10.1145/3460772), each seeded apart.
#[derive(Clone, Debug)]
pub struct Lanes {
    state: [[u32; LANES]; 4],
}

impl Lanes {
    pub(crate) fn new(mut seeder: impl Rng) -> Self {
        let mut state = [[0; LANES]; 4];
        for word in &mut state {
            for lane in word {
                *lane = seeder.next_u32();
            }
        }
        // The all-zero state is the one that never leaves itself.
        for lane in &mut state[0] {
            *lane |= 1;
        }
        Self { state }
    }

    /// The next sixteen words, one a lane.
    #[inline(always)]
    pub fn words(&mut self) -> [u32; LANES] {
        let [a, b, c, d] = &mut self.state;
        let mut words = [0; LANES];
        for i in 0..LANES {
            words[i] = a[i].wrapping_add(d[i]).rotate_left(7).wrapping_add(a[i]);
            let t = b[i] << 9;
            c[i] ^= a[i];
            d[i] ^= b[i];
            b[i] ^= c[i];
            a[i] ^= d[i];
            c[i] ^= t;
            d[i] = d[i].rotate_left(11);
        }
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::Stream;
    use proptest::prelude::*;

    fn exact_softplus(x: f64) -> f64 {
        x.max(0.0) + (-x.abs()).exp().ln_1p()
    }

    /// Every f32, denormals, infinities and NaNs among them.
    fn floats() -> impl Strategy<Value = f32> {
        prop_oneof![
            any::<u32>().prop_map(f32::from_bits),
            -100.0f32..100.0,
            Just(f32::NAN),
            Just(f32::INFINITY)
        ]
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

        /// Bits by their definition from the same uniform numbers, where the comparison is not too close to call.
        #[test]
        fn draws_agree_with_their_scalar_twin(
            activations in prop::collection::vec(floats(), 1..150), offset in floats(), scale in 0.0f32..1.0, seed in 0u64..1000
        ) {
            let offsets = vec![offset; activations.len()];
            let mut lanes = Stream::new(seed).lanes();
            let mut twin = lanes.clone();
            let mut quads = vec![Quads::default(); activations.len().div_ceil(TILE)];
            draw_quads(&mut lanes, scale, &activations, &offsets, &mut quads);
            let mut bits = vec![9.0; activations.len()];
            draw_bits(&mut twin.clone(), scale, &activations, &offsets, &mut bits);
            for (vector, chunk) in activations.chunks(LANES).enumerate() {
                let words = twin.words();
                for (i, &a) in chunk.iter().enumerate() {
                    let bit = super::super::bits::get(&quads, vector * LANES + i);
                    prop_assert_eq!(bits[vector * LANES + i], f32::from(u8::from(bit)));
                    let logit = scale * a + offset;
                    if logit.is_nan() {
                        prop_assert!(!bit);
                        continue;
                    }
                    let u = f64::from(unit(words[i]));
                    let rare = u * (1.0 + f64::from(logit.abs().min(88.0)).exp());
                    if (rare - 1.0).abs() > 1e-6 {
                        prop_assert_eq!(bit, (rare < 1.0) != (logit >= 0.0), "logit {}", logit);
                    }
                }
            }
        }

        #[test]
        fn sums_agree_with_scalar_twins(
            values in prop::collection::vec(-40.0f32..40.0, 0..100), from in 0.0f64..1.0, step in 0.0f64..0.1
        ) {
            // βs that f32 holds exactly, so that only the kernels' own rounding is compared.
            let (from, to) = (f64::from(from as f32), f64::from((from + step) as f32));
            let at = |beta: f64| values.iter().map(|&a| exact_softplus(beta * f64::from(a))).sum::<f64>();
            let bound = 2e-6 * (1.0 + values.iter().map(|a| f64::from(a.abs())).sum::<f64>());
            prop_assert!((sum_softplus(to as f32, &values) - at(to)).abs() < bound);
            let difference = softplus_difference(from, to, &values);
            prop_assert!((difference - (at(to) - at(from))).abs() < 3e-7 * (1.0 + values.len() as f64), "{difference}");
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
        let mut bits = [9.0; 4];
        let mut lanes = Stream::new(1).lanes();
        draw_bits(&mut lanes, 1.0, &[1e30, -1e30, f32::INFINITY, f32::NEG_INFINITY], &[], &mut bits);
        assert_eq!(bits, [1.0, 0.0, 1.0, 0.0]);
    }

    #[test]
    fn lanes_follow_the_published_recurrence() {
        let mut lanes = Stream::new(3).lanes();
        let mut scalar: Vec<[u32; 4]> =
            (0..LANES).map(|i| std::array::from_fn(|word| lanes.state[word][i])).collect();
        for _ in 0..100 {
            let words = lanes.words();
            for (state, word) in scalar.iter_mut().zip(words) {
                let expected = state[0].wrapping_add(state[3]).rotate_left(7).wrapping_add(state[0]);
                let t = state[1] << 9;
                state[2] ^= state[0];
                state[3] ^= state[1];
                state[1] ^= state[2];
                state[0] ^= state[3];
                state[2] ^= t;
                state[3] = state[3].rotate_left(11);
                assert_eq!(word, expected);
            }
        }
    }

    /// 200,000 draws at each logit: the share of ones lies within 4.5 standard errors of σ(logit) (two-sided α = 7e-6 each).
    #[test]
    fn bits_come_up_as_often_as_they_should() {
        let mut lanes = Stream::new(5).lanes();
        for logit in [-6.0f32, -1.0, 0.0, 0.3, 4.0] {
            let mut bits = vec![0.0; 200_000];
            let activations = vec![2.0 * logit; bits.len()];
            let offsets = vec![-logit; bits.len()];
            draw_bits(&mut lanes, 1.0, &activations, &offsets, &mut bits);
            let share = bits.iter().map(|&b| f64::from(b)).sum::<f64>() / bits.len() as f64;
            let p = 1.0 / (1.0 + (-f64::from(logit)).exp());
            let error = (p * (1.0 - p) / bits.len() as f64).sqrt();
            assert!((share - p).abs() < 4.5 * error, "logit {logit}: {share} for {p}");
        }
    }
}
