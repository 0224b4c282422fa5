//! Rows of packed bits.

use ndarray::{Array2, ArrayView2};

use super::{GROUPS, Quads, TILE, tiles};
use crate::math::simd;

/// Rows of bits, all of one length, [packed](Quads).
#[derive(Clone, Debug)]
pub struct BitRows {
    bits: usize,
    rows: usize,
    quads: Vec<Quads>,
}

impl BitRows {
    /// `rows` rows of `bits` bits, none of them set.
    #[must_use]
    pub fn unset(rows: usize, bits: usize) -> Self {
        Self { bits, rows, quads: vec![[0; GROUPS]; rows * tiles(bits)] }
    }

    /// Bits that are set where `values` are 1.
    #[must_use]
    pub fn of(values: ArrayView2<'_, f64>) -> Self {
        let mut rows = Self::unset(values.nrows(), values.ncols());
        for ((row, bit), _) in values.indexed_iter().filter(|(_, value)| **value == 1.0) {
            let (quads, place) = (&mut rows.row_mut(row)[bit / TILE], bit % TILE);
            quads[place % GROUPS] |= 1 << (place / GROUPS);
        }
        rows
    }

    /// How many rows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Bits to a row.
    #[must_use]
    pub fn bits(&self) -> usize {
        self.bits
    }

    /// All rows, one after the other.
    pub(super) fn quads(&self) -> &[Quads] {
        &self.quads
    }

    /// A row, filled up with bits that are not set.
    #[must_use]
    pub fn row(&self, row: usize) -> &[Quads] {
        let tiles = tiles(self.bits);
        &self.quads[row * tiles..][..tiles]
    }

    /// A row, filled up with bits that must not be set.
    pub fn row_mut(&mut self, row: usize) -> &mut [Quads] {
        let tiles = tiles(self.bits);
        &mut self.quads[row * tiles..][..tiles]
    }

    /// Row `to` becomes row `from`.
    pub fn copy(&mut self, to: usize, from: usize) {
        let tiles = tiles(self.bits);
        self.quads.copy_within(from * tiles..(from + 1) * tiles, to * tiles);
    }

    /// Row `row` and that of `other` change places.
    pub fn swap(&mut self, other: &mut Self, row: usize) {
        self.row_mut(row).swap_with_slice(other.row_mut(row));
    }

    /// Bit `bit` of a row.
    #[must_use]
    pub fn get(&self, row: usize, bit: usize) -> bool {
        let place = bit % TILE;
        self.row(row)[bit / TILE][place % GROUPS] >> (place / GROUPS) & 1 == 1
    }

    /// 1 where a bit is set, else 0.
    #[must_use]
    pub fn to_array(&self) -> Array2<f64> {
        Array2::from_shape_fn((self.rows, self.bits), |(row, bit)| f64::from(u8::from(self.get(row, bit))))
    }
}

/// 1 where a bit of `row` is set, else 0.
///
/// # Panics
/// When there are more values than bits.
pub fn unpack(row: &[Quads], out: &mut [f32]) {
    assert!(out.len() <= row.len() * TILE, "a bit per value");
    simd::dispatch(
        #[inline(always)]
        || {
            let (vectors, rest) = out.as_chunks_mut::<GROUPS>();
            for (k, out) in vectors.iter_mut().enumerate() {
                let (quads, digit) = (&row[k / 4], k as u32 % 4);
                for i in 0..GROUPS {
                    out[i] = (quads[i] >> digit & 1) as i32 as f32;
                }
            }
            let (quads, digit) = (row.get(vectors.len() / 4), vectors.len() as u32 % 4);
            rest.iter_mut()
                .zip(quads.into_iter().flatten())
                .for_each(|(x, quad)| *x = (quad >> digit & 1) as f32);
        },
    );
}

/// Σ of the values whose bits are set.
///
/// # Panics
/// When there are more values than bits.
#[must_use]
pub fn sum_where(row: &[Quads], values: &[f64]) -> f64 {
    assert!(values.len() <= row.len() * TILE, "a bit per value");
    simd::dispatch(
        #[inline(always)]
        || {
            let mut lanes = [0.0; GROUPS];
            let (vectors, rest) = values.as_chunks::<GROUPS>();
            for (k, values) in vectors.iter().enumerate() {
                let (quads, digit) = (&row[k / 4], k as u32 % 4);
                for i in 0..GROUPS {
                    // A product, where a choice would be compiled to jumps.
                    lanes[i] += f64::from((quads[i] >> digit & 1) as i32) * values[i];
                }
            }
            let (quads, digit) = (row.get(vectors.len() / 4), vectors.len() as u32 % 4);
            let tail =
                rest.iter().zip(quads.into_iter().flatten()).filter(|(_, quad)| **quad >> digit & 1 == 1);
            lanes.iter().sum::<f64>() + tail.map(|(value, _)| value).sum::<f64>()
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::Stream;
    use rand::RngExt;

    #[test]
    fn rows_are_the_bits_that_they_were_made_of() {
        let mut generator = Stream::new(4).generator();
        for length in [0, 1, 15, 16, 63, 64, 65, 200] {
            let bits =
                Array2::from_shape_simple_fn((3, length), || f64::from(u8::from(generator.random::<bool>())));
            let mut rows = BitRows::of(bits.view());
            assert_eq!(rows.to_array(), bits);
            for (row, bits) in bits.rows().into_iter().enumerate() {
                let mut unpacked = vec![f32::NAN; length];
                unpack(rows.row(row), &mut unpacked);
                assert!(unpacked.iter().zip(bits).all(|(x, bit)| f64::from(*x) == *bit));
                let values: Vec<f64> = (0..length).map(|_| generator.random()).collect();
                let expected: f64 = bits.iter().zip(&values).map(|(bit, value)| bit * value).sum();
                assert!((sum_where(rows.row(row), &values) - expected).abs() < 1e-12);
            }
            let mut others = BitRows::unset(3, length);
            rows.copy(2, 0);
            rows.swap(&mut others, 0);
            let zeros = Array2::zeros((1, length));
            let expected = ndarray::concatenate![
                ndarray::Axis(0),
                zeros,
                bits.slice(ndarray::s![1..2, ..]),
                bits.slice(ndarray::s![..1, ..])
            ];
            assert_eq!(rows.to_array(), expected);
            assert_eq!(others.to_array().row(0), bits.row(0));
        }
    }
}
