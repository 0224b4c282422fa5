//! Random bits by the vector.

use rand::Rng;

use super::{LANES, dispatch, exp};
use crate::math::tiles::{Quads, TILE};

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
    use super::super::functions::tests::floats;
    use super::*;
    use crate::math::Stream;
    use crate::math::bits::BitRows;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        /// Bits by their definition from the same uniform numbers, where the comparison is not too close to call.
        #[test]
        fn draws_agree_with_their_scalar_twin(
            activations in prop::collection::vec(floats(), 1..150), offset in floats(), scale in 0.0f32..1.0, seed in 0u64..1000
        ) {
            let offsets = vec![offset; activations.len()];
            let mut lanes = Stream::new(seed).lanes();
            let mut twin = lanes.clone();
            let mut packed = BitRows::unset(1, activations.len());
            draw_quads(&mut lanes, scale, &activations, &offsets, packed.row_mut(0));
            let mut bits = vec![9.0; activations.len()];
            draw_bits(&mut twin.clone(), scale, &activations, &offsets, &mut bits);
            for (vector, chunk) in activations.chunks(LANES).enumerate() {
                let words = twin.words();
                for (i, &a) in chunk.iter().enumerate() {
                    let bit = packed.get(0, vector * LANES + i);
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
    }

    #[test]
    fn extreme_logits_are_certain() {
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
