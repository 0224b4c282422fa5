//! The vector kernel of products with bits.

use pulp::{Simd, WithSimd};

use super::TILE;

/// 1.5·2⁵²: in f64 a sum with it has no digits behind the point.
const WHOLE: f64 = 6_755_399_441_055_744.0;

/// The whole number next to `x`, for |x| < 2⁵¹.
#[inline(always)]
pub(crate) fn nearest(x: f64) -> f64 {
    (x + WHOLE) - WHOLE
}

/// An integer that sums are kept in, two's complement.
pub trait Fixed: Copy + Default + Send + Sync + std::fmt::Debug + 'static + sealed::Sealed {
    /// How many values it has.
    const RANGE: f64;

    /// A whole number of less than 2⁵¹ in size, wrapped into the type.
    fn from_whole(value: f64) -> Self;

    /// The number, as it was before it was wrapped into the type.
    fn to_f32(self) -> f32;
}

mod sealed {
    use super::{Row, Simd};

    /// What the vector kernel needs of a type.
    pub trait Sealed: Sized + Copy + 'static {
        type Vector<S: Simd>: Copy;
        fn add<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;
        fn vectors<S: Simd>(row: &Row<Self>) -> &[Self::Vector<S>];
        fn vectors_mut<S: Simd>(row: &mut Row<Self>) -> &mut [Self::Vector<S>];
        fn product<S: Simd>(simd: S, product: super::Product<'_, Self>);
    }
}

macro_rules! fixed {
    ($unsigned:ident, $signed:ident, $vectors:ident, $add:ident, $slice:ident, $slice_mut:ident, $batch:literal, $registers:literal) => {
        impl Fixed for $unsigned {
            const RANGE: f64 = $unsigned::MAX as f64;

            #[inline(always)]
            fn from_whole(value: f64) -> Self {
                // The last digits of the sum are those of the number.
                (value + WHOLE).to_bits() as $unsigned
            }

            #[inline(always)]
            fn to_f32(self) -> f32 {
                self as $signed as f32
            }
        }

        impl sealed::Sealed for $unsigned {
            type Vector<S: Simd> = S::$vectors;

            #[inline(always)]
            fn add<S: Simd>(simd: S, a: S::$vectors, b: S::$vectors) -> S::$vectors {
                simd.$add(a, b)
            }

            #[inline(always)]
            fn vectors<S: Simd>(row: &Row<Self>) -> &[S::$vectors] {
                S::$slice(&row.0).0
            }

            #[inline(always)]
            fn vectors_mut<S: Simd>(row: &mut Row<Self>) -> &mut [S::$vectors] {
                S::$slice_mut(&mut row.0).0
            }

            #[inline(always)]
            fn product<S: Simd>(simd: S, product: Product<'_, Self>) {
                product.run::<S, $batch, $registers>(simd);
            }
        }
    };
}

// Groups to a batch so that its table takes 16 KB, and registers of 512 bits to a row.
fixed!(u32, i32, u32s, add_u32s, as_simd_u32s, as_mut_simd_u32s, 4, 4);
fixed!(u16, i16, u16s, add_u16s, as_simd_u16s, as_mut_simd_u16s, 8, 2);

/// One tile of outputs of one row of bits.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub struct Row<T>(pub(super) [T; TILE]);

impl<T: Fixed> Row<T> {
    pub(super) fn zero() -> Self {
        Self([T::default(); TILE])
    }
}

/// A product under way.
#[derive(Debug)]
pub struct Product<'a, T> {
    /// (tile of outputs, group of inputs), four rows each.
    pub rows: &'a [[Row<T>; 4]],
    /// What the sums of a tile of outputs start from.
    pub start: &'a [Row<T>],
    /// Rows of bits, a group of inputs to a number.
    pub bits: &'a [u32],
    /// (tile of outputs, row of bits).
    pub sums: &'a mut [Row<T>],
    /// Rows of bits, and groups to each.
    pub count: usize,
    pub groups: usize,
    /// Outputs, the last tile of which need not be full.
    pub outputs: usize,
}

impl<T: Fixed> WithSimd for Product<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        T::product(simd, self);
    }
}

impl<T: Fixed> Product<'_, T> {
    #[inline(always)]
    fn run<S: Simd, const BATCH: usize, const REGISTERS: usize>(self, simd: S) {
        let Self { rows, start, bits, sums, count, groups, outputs } = self;
        let mut table = [[Row::<T>::zero(); 16]; BATCH];
        let of_tile = sums.chunks_exact_mut(count.max(1)).zip(start).enumerate();
        for (tile, (sums, start)) in of_tile {
            sums.fill(*start);
            let rows = rows[tile * groups..][..groups].as_chunks::<BATCH>().0;
            let used = (outputs - tile * TILE).min(TILE);
            for (batch, rows) in rows.iter().enumerate() {
                let codes =
                    bits.chunks_exact(groups).map(|bits| bits[batch * BATCH..].first_chunk::<BATCH>());
                let sums = sums.iter_mut().zip(codes);
                if used > TILE / 2 {
                    add::<S, T, BATCH, REGISTERS>(simd, rows, &mut table, sums, TILE);
                } else {
                    add::<S, T, BATCH, 1>(simd, rows, &mut table, sums, used);
                }
            }
        }
    }
}

/// Adds to each row of sums what the bits of a batch of groups select, in the first `used` outputs at least.
#[inline(always)]
fn add<'a, S: Simd, T: Fixed, const BATCH: usize, const REGISTERS: usize>(
    simd: S,
    rows: &[[Row<T>; 4]; BATCH],
    table: &mut [[Row<T>; 16]; BATCH],
    sums: impl Iterator<Item = (&'a mut Row<T>, Option<&'a [u32; BATCH]>)>,
    used: usize,
) {
    let parts = used.div_ceil(REGISTERS * TILE / T::vectors::<S>(&rows[0][0]).len());
    for (table, rows) in table.iter_mut().zip(rows) {
        tabulate::<S, T>(simd, rows, table, parts * REGISTERS);
    }
    for (sum, codes) in sums {
        let Some(codes) = codes else { continue };
        let (sum, _) = T::vectors_mut::<S>(sum).as_chunks_mut::<REGISTERS>();
        for (part, sum) in sum[..parts].iter_mut().enumerate() {
            let mut registers = *sum;
            for group in 0..BATCH {
                let row = T::vectors::<S>(&table[group][(codes[group] & 15) as usize]);
                let row = &row.as_chunks::<REGISTERS>().0[part];
                for k in 0..REGISTERS {
                    registers[k] = T::add(simd, registers[k], row[k]);
                }
            }
            *sum = registers;
        }
    }
}

/// The sums of every subset of four rows, in the first `vectors` vectors.
#[inline(always)]
fn tabulate<S: Simd, T: Fixed>(simd: S, rows: &[Row<T>; 4], table: &mut [Row<T>; 16], vectors: usize) {
    let [a, b, c, d] = rows.each_ref().map(|row| &T::vectors::<S>(row)[..vectors]);
    let table = table.each_mut().map(|row| &mut T::vectors_mut::<S>(row)[..vectors]);
    let [_, t1, t2, t3, t4, t5, t6, t7, t8, t9, t10, t11, t12, t13, t14, t15] = table;
    for k in 0..vectors {
        let (a, b, c, d) = (a[k], b[k], c[k], d[k]);
        let (ab, ac, bc) = (T::add(simd, a, b), T::add(simd, a, c), T::add(simd, b, c));
        let abc = T::add(simd, ab, c);
        (t1[k], t2[k], t4[k], t8[k]) = (a, b, c, d);
        (t3[k], t5[k], t6[k], t7[k]) = (ab, ac, bc, abc);
        (t9[k], t10[k], t12[k]) = (T::add(simd, a, d), T::add(simd, b, d), T::add(simd, c, d));
        (t11[k], t13[k], t14[k]) = (T::add(simd, ab, d), T::add(simd, ac, d), T::add(simd, bc, d));
        t15[k] = T::add(simd, abc, d);
    }
}
