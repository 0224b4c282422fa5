//! Products of a matrix with rows of bits, by tables of partial sums in fixed point.
//!
//! Four bits select one of sixteen sums of four rows of the matrix; the sums are tabulated for a few groups of four at a time, in
//! the nearest cache, and shared by all rows of bits (the method of Arlazarov, Dinic, Kronrod & Faradzhev 1970). So an input costs a
//! quarter of an integer addition instead of a multiplication and an addition. Integer sums have no order: the same bits on every
//! instruction set.
//!
//! What else was tried, in µs for a product of 64 rows of bits with a 784×500 matrix, per row, on one core with AVX-512:
//!
//! | way | µs | |
//! |---|---|---|
//! | tables, 16 bits | 1.1–1.2 | kept: with weights rounded to 16 bits |
//! | tables, 32 bits | 2.3–2.5 | kept: as exact as f32 |
//! | f32 products (`gemm`) | 6.1 | packs the matrix anew each time, a third of its work |
//! | VNNI, 8-bit weights | 1.0 | rounding to 8 bits is worth 0.6 nat of a log-weight on a trained machine; two such limbs make 2.0 |
//! | VNNI, 16-bit weights | 3.5 | |
//! | BF16 | 7.3 | eight bits of mantissa, and slower here than f32 |
//! | skipping zeros, f32 | 2.2, 5.7, 11 | with 10, 25 and 50 % of the bits set |

use ndarray::ArrayView2;
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::simd;

/// Bits, and outputs, to a tile.
pub const TILE: usize = 64;
const GROUPS: usize = TILE / 4;

/// 64 bits as sixteen groups of four: bit k of group i is the tile's element 16 k + i, so that a vector comparison of sixteen
/// elements fills one digit of every group.
pub type Quads = [u32; GROUPS];

/// How many [`Quads`] hold a row of `bits` bits.
#[must_use]
pub fn tiles(bits: usize) -> usize {
    bits.div_ceil(TILE)
}

/// Bit `element` of a row.
#[must_use]
pub fn get(row: &[Quads], element: usize) -> bool {
    let (tile, place) = (element / TILE, element % TILE);
    row[tile][place % GROUPS] >> (place / GROUPS) & 1 == 1
}

/// Sets bit `element` of a row.
pub fn set(row: &mut [Quads], element: usize) {
    let (tile, place) = (element / TILE, element % TILE);
    row[tile][place % GROUPS] |= 1 << (place / GROUPS);
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
            let tail = rest.iter().enumerate().filter(|(i, _)| get(row, vectors.len() * GROUPS + i));
            lanes.iter().sum::<f64>() + tail.map(|(_, value)| value).sum::<f64>()
        },
    )
}

/// An integer that sums are kept in, two's complement.
pub trait Fixed: Copy + Default + Send + Sync + std::fmt::Debug + 'static + sealed::Sealed {
    /// How many values it has.
    const RANGE: f64;

    /// A whole number, wrapped into the type.
    fn from_f64(value: f64) -> Self;

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

            fn from_f64(value: f64) -> Self {
                value as i64 as $unsigned
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
pub struct Row<T>([T; TILE]);

impl<T: Fixed> Row<T> {
    fn zero() -> Self {
        Self([T::default(); TILE])
    }
}

/// Products as (tile of outputs, row of bits), in fixed point; reused from one product to the next.
#[derive(Clone, Debug, Default)]
pub struct Sums<T> {
    rows: Vec<Row<T>>,
    count: usize,
}

/// A matrix (inputs, outputs) that is multiplied by rows of `inputs` bits.
///
/// Entries are whole multiples of a step. For `u32` every output has its own step of about 2⁻³² Σᵢ|Wᵢⱼ|, so a product's error
/// is below that of f32 arithmetic. For `u16` the matrix *is* what [`BitMatrix::quantised`] says, one step for all entries.
#[derive(Clone, Debug)]
pub struct BitMatrix<T> {
    inputs: usize,
    outputs: usize,
    /// (tile of outputs, group of inputs), four rows each.
    rows: Vec<[Row<T>; 4]>,
    /// What sums start from, so that they stay within the type's range; a tile of outputs each.
    start: Vec<Row<T>>,
    /// What is added to a sum before it is multiplied by the step, to undo the start.
    centres: Vec<f32>,
    steps: Vec<f32>,
}

impl BitMatrix<u32> {
    /// The matrix to the precision of f32.
    #[must_use]
    pub fn new(matrix: ArrayView2<'_, f64>) -> Self {
        let steps = matrix.columns().into_iter().map(|column| {
            let width: f64 = column.iter().map(|w| w.abs()).sum();
            step_for::<u32>(width, column.len())
        });
        Self::with_steps(matrix, steps.collect())
    }
}

impl BitMatrix<u16> {
    /// The smallest step at which products of bits with `matrix`, from either side, stay within 16 bits.
    #[must_use]
    pub fn step(matrix: ArrayView2<'_, f64>) -> f32 {
        let widest = |lanes: ndarray::iter::Lanes<'_, f64, ndarray::Ix1>| {
            let widths = lanes.into_iter().map(|lane| lane.iter().map(|w| w.abs()).sum::<f64>());
            widths.fold(0.0, f64::max)
        };
        let width = widest(matrix.rows()).max(widest(matrix.columns()));
        step_for::<u16>(width, matrix.nrows().max(matrix.ncols()))
    }

    /// The matrix rounded to multiples of `step`.
    #[must_use]
    pub fn quantised(matrix: ArrayView2<'_, f64>, step: f32) -> Self {
        Self::with_steps(matrix, vec![step; matrix.ncols()])
    }
}

/// The step at which `count` entries of sizes that add up to `width`, rounded one by one, fill the range but for a little: the step
/// itself is rounded, too.
fn step_for<T: Fixed>(width: f64, count: usize) -> f32 {
    let most = (T::RANGE - 1.0 - count as f64) * (1.0 - f64::from(f32::EPSILON));
    ((width / most.max(1.0)) as f32).max(f32::MIN_POSITIVE)
}

/// The whole number next to `x`, for |x| < 2⁵¹: in f64 a sum with 1.5·2⁵² has no digits behind the point.
pub(crate) fn nearest(x: f64) -> f64 {
    const WHOLE: f64 = 6_755_399_441_055_744.0;
    (x + WHOLE) - WHOLE
}

impl<T: Fixed> BitMatrix<T> {
    fn with_steps(matrix: ArrayView2<'_, f64>, steps: Vec<f32>) -> Self {
        let (inputs, outputs) = matrix.dim();
        let groups = tiles(inputs) * GROUPS;
        let mut rows = vec![[Row::zero(); 4]; tiles(outputs) * groups];
        let mut start = vec![Row::zero(); tiles(outputs)];
        let mut centres = vec![0.0; outputs];
        // A tile of outputs each; no inputs leave no rows.
        let of_tiles = rows.par_chunks_mut(groups.max(1)).zip(&mut start).zip(centres.par_chunks_mut(TILE));
        of_tiles.enumerate().for_each(|(tile, ((rows, start), centres))| {
            let first = tile * TILE;
            let mut sums = [0.0; TILE];
            for input in 0..inputs {
                let (group, digit) = (input / TILE * GROUPS + input % GROUPS, input % TILE / GROUPS);
                for place in 0..centres.len() {
                    let whole = nearest(matrix[(input, first + place)] / f64::from(steps[first + place]));
                    rows[group][digit].0[place] = T::from_f64(whole);
                    sums[place] += whole;
                }
            }
            // Sums lie between that of the negative entries and that of the positive ones.
            for (place, value) in centres.iter_mut().enumerate() {
                let centre = nearest(0.5 * sums[place]);
                start.0[place] = T::from_f64(-centre);
                *value = centre as f32;
            }
        });
        Self { inputs, outputs, rows, start, centres, steps }
    }

    /// The products of `count` rows of bits, [`tiles`]`(inputs)` quads each, one row after the other; to be
    /// [`read`](BitMatrix::read) row by row.
    ///
    /// # Panics
    /// When there are not so many rows.
    pub fn multiply(&self, bits: &[Quads], count: usize, sums: &mut Sums<T>) {
        assert_eq!(bits.len(), count * tiles(self.inputs), "rows of bits");
        let needed = self.start.len() * count;
        if sums.rows.len() < needed {
            sums.rows.resize(needed, Row::zero());
        }
        sums.count = count;
        simd::vectorise(Product { matrix: self, bits, sums: &mut sums.rows[..needed], count });
    }

    /// out = offsets + the product of row `row`; `offsets` may be empty.
    ///
    /// # Panics
    /// When the lengths do not fit.
    pub fn read(&self, sums: &Sums<T>, row: usize, offsets: &[f32], out: &mut [f32]) {
        assert_eq!(out.len(), self.outputs, "an entry per output");
        assert!(offsets.is_empty() || offsets.len() == self.outputs, "an offset per output");
        simd::dispatch(
            #[inline(always)]
            || {
                let tiles = out.chunks_mut(TILE).zip(self.steps.chunks(TILE)).zip(self.centres.chunks(TILE));
                for (tile, ((out, steps), centres)) in tiles.enumerate() {
                    let sums = &sums.rows[tile * sums.count + row].0;
                    for (((x, sum), step), centre) in out.iter_mut().zip(sums).zip(steps).zip(centres) {
                        *x = (sum.to_f32() + centre) * step;
                    }
                    if !offsets.is_empty() {
                        for (x, offset) in out.iter_mut().zip(&offsets[tile * TILE..]) {
                            *x += offset;
                        }
                    }
                }
            },
        );
    }

    /// The matrix that is really multiplied with.
    #[must_use]
    pub fn entry(&self, input: usize, output: usize) -> f64 {
        let (group, digit) = (input / TILE * GROUPS + input % GROUPS, input % TILE / GROUPS);
        let groups = tiles(self.inputs) * GROUPS;
        let whole = self.rows[output / TILE * groups + group][digit].0[output % TILE];
        f64::from(whole.to_f32()) * f64::from(self.steps[output])
    }
}

/// A product under way.
#[derive(Debug)]
pub struct Product<'a, T> {
    matrix: &'a BitMatrix<T>,
    bits: &'a [Quads],
    sums: &'a mut [Row<T>],
    count: usize,
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
        let Self { matrix, bits, sums, count } = self;
        let groups = tiles(matrix.inputs) * GROUPS;
        let bits = bits.as_flattened();
        let mut table = [[Row::<T>::zero(); 16]; BATCH];
        let of_tile = sums.chunks_exact_mut(count.max(1)).zip(&matrix.start).enumerate();
        for (tile, (sums, start)) in of_tile {
            sums.fill(*start);
            let rows = &matrix.rows[tile * groups..][..groups];
            for (batch, rows) in rows.as_chunks::<BATCH>().0.iter().enumerate() {
                for (table, rows) in table.iter_mut().zip(rows) {
                    tabulate::<S, T>(simd, rows, table);
                }
                for (sum, bits) in sums.iter_mut().zip(bits.chunks_exact(groups)) {
                    let Some(codes) = bits[batch * BATCH..].first_chunk::<BATCH>() else { continue };
                    let (sum, _) = T::vectors_mut::<S>(sum).as_chunks_mut::<REGISTERS>();
                    for (part, sum) in sum.iter_mut().enumerate() {
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
        }
    }
}

/// The sums of every subset of four rows.
#[inline(always)]
fn tabulate<S: Simd, T: Fixed>(simd: S, rows: &[Row<T>; 4], table: &mut [Row<T>; 16]) {
    let [a, b, c, d] = rows.each_ref().map(|row| T::vectors::<S>(row));
    let table = table.each_mut().map(|row| T::vectors_mut::<S>(row));
    let [_, t1, t2, t3, t4, t5, t6, t7, t8, t9, t10, t11, t12, t13, t14, t15] = table;
    for k in 0..a.len() {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::Stream;
    use ndarray::Array2;
    use proptest::prelude::*;
    use rand::RngExt;

    fn pack(bits: &[bool]) -> Vec<Quads> {
        let mut row = vec![[0; GROUPS]; tiles(bits.len())];
        for i in (0..bits.len()).filter(|&i| bits[i]) {
            set(&mut row, i);
        }
        row
    }

    /// Products by their definition, in f64 with the entries as given.
    fn twin(matrix: &Array2<f64>, bits: &[bool]) -> Vec<f64> {
        let on = || (0..bits.len()).filter(|&i| bits[i]);
        (0..matrix.ncols()).map(|j| on().map(|i| matrix[(i, j)]).sum()).collect()
    }

    fn products<T: Fixed>(matrix: &BitMatrix<T>, rows: &[Vec<bool>]) -> Vec<Vec<f32>> {
        let bits: Vec<Quads> = rows.iter().flat_map(|row| pack(row)).collect();
        let mut sums = Sums::default();
        matrix.multiply(&bits, rows.len(), &mut sums);
        (0..rows.len())
            .map(|row| {
                let mut out = vec![0.0; matrix.outputs];
                matrix.read(&sums, row, &[], &mut out);
                out
            })
            .collect()
    }

    fn sample(inputs: usize, outputs: usize, rows: usize, size: f64) -> (Array2<f64>, Vec<Vec<bool>>) {
        let mut generator = Stream::new((inputs * 1000 + outputs) as u64).generator();
        let matrix = Array2::from_shape_fn((inputs, outputs), |_| size * (generator.random::<f64>() - 0.4));
        let rows = (0..rows).map(|_| (0..inputs).map(|_| generator.random::<bool>()).collect()).collect();
        (matrix, rows)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn products_are_as_exact_as_f32(inputs in 0usize..200, outputs in 1usize..150, rows in 1usize..5, log_size in -80.0f64..80.0) {
            let (matrix, rows) = sample(inputs, outputs, rows, log_size.exp());
            for (row, product) in rows.iter().zip(products(&BitMatrix::new(matrix.view()), &rows)) {
                for (j, (exact, value)) in twin(&matrix, row).into_iter().zip(product).enumerate() {
                    let width: f64 = matrix.column(j).iter().map(|w| w.abs()).sum();
                    prop_assert!((f64::from(value) - exact).abs() <= 2e-7 * width + 1e-35, "{value} for {exact}");
                }
            }
        }

        #[test]
        fn quantised_products_are_those_of_the_quantised_matrix(inputs in 1usize..200, outputs in 1usize..150, rows in 1usize..5) {
            let (matrix, rows) = sample(inputs, outputs, rows, 1.0);
            let step = BitMatrix::<u16>::step(matrix.view());
            let there = BitMatrix::quantised(matrix.view(), step);
            let back = BitMatrix::quantised(matrix.t(), step);
            let rounded = Array2::from_shape_fn(matrix.dim(), |(i, j)| there.entry(i, j));
            prop_assert!((&rounded - &matrix).iter().all(|d| d.abs() <= 0.500_001 * f64::from(step)));
            prop_assert!(rounded.indexed_iter().all(|((i, j), w)| *w == back.entry(j, i)));
            for (row, product) in rows.iter().zip(products(&there, &rows)) {
                for (exact, value) in twin(&rounded, row).into_iter().zip(product) {
                    prop_assert!((f64::from(value) - exact).abs() <= 3e-7 * exact.abs() + 1e-30, "{value} for {exact}");
                }
            }
        }
    }

    /// All inputs on is the largest sum in size: nothing may wrap.
    #[test]
    fn the_extremes_of_the_range_do_not_wrap() {
        for sign in [1.0, -1.0] {
            let matrix = Array2::from_elem((300, 70), sign * 0.37);
            let on = vec![vec![true; 300]];
            for value in &products(&BitMatrix::new(matrix.view()), &on)[0] {
                assert!((f64::from(*value) - sign * 111.0).abs() < 2e-5, "{value}");
            }
            let step = BitMatrix::<u16>::step(matrix.view());
            let matrix = BitMatrix::quantised(matrix.view(), step);
            for value in &products(&matrix, &on)[0] {
                assert!((f64::from(*value) - 300.0 * matrix.entry(0, 0)).abs() < 2e-5, "{value}");
            }
        }
    }

    #[test]
    fn sums_over_set_bits() {
        let mut generator = Stream::new(4).generator();
        for length in [0, 1, 15, 16, 63, 64, 65, 200] {
            let bits: Vec<bool> = (0..length).map(|_| generator.random()).collect();
            let values: Vec<f64> = (0..length).map(|_| generator.random()).collect();
            let expected: f64 =
                bits.iter().zip(&values).filter(|(bit, _)| **bit).map(|(_, value)| value).sum();
            let row = pack(&bits);
            assert!((sum_where(&row, &values) - expected).abs() < 1e-12);
            assert!((0..length).all(|i| get(&row, i) == bits[i]));
        }
    }
}
