//! A matrix in fixed point, and its products with rows of bits.

use ndarray::{Array2, ArrayView2, Axis};
use rayon::prelude::*;

use super::product::{Fixed, Product, Row, nearest};
use super::{BitRows, GROUPS, TILE, tiles};
use crate::math::real::Real;
use crate::math::simd;

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
    pub fn new<R: Real>(matrix: ArrayView2<'_, R>) -> Self {
        let mut new = Self::zeros(matrix.dim());
        new.assign(matrix);
        new
    }

    /// The matrix becomes `matrix`.
    ///
    /// # Panics
    /// When it is of another shape.
    pub fn assign<R: Real>(&mut self, matrix: ArrayView2<'_, R>) {
        let inputs = self.inputs;
        self.fill(matrix, |width| step_for::<u32>(width, inputs));
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
        let mut new = Self::zeros(matrix.dim());
        new.fill(matrix, |_| step);
        new
    }
}

/// The step at which `count` entries of sizes that add up to `width`, rounded one by one, fill the range but for a little: the step
/// itself is rounded, too.
fn step_for<T: Fixed>(width: f64, count: usize) -> f32 {
    let most = (T::RANGE - 1.0 - count as f64) * (1.0 - f64::from(f32::EPSILON));
    ((width / most.max(1.0)) as f32).max(f32::MIN_POSITIVE)
}

impl<T: Fixed> BitMatrix<T> {
    /// Nothing but zeros, (inputs, outputs).
    fn zeros((inputs, outputs): (usize, usize)) -> Self {
        let groups = tiles(inputs) * GROUPS;
        Self {
            inputs,
            outputs,
            rows: vec![[Row::zero(); 4]; tiles(outputs) * groups],
            start: vec![Row::zero(); tiles(outputs)],
            centres: vec![0.0; outputs],
            steps: vec![1.0; outputs],
        }
    }

    /// Takes the entries of `matrix` at the step that `step` says for an output, of the sum of its entries' sizes.
    fn fill<R: Real>(&mut self, matrix: ArrayView2<'_, R>, step: impl Fn(f64) -> f32 + Sync) {
        assert_eq!(matrix.dim(), (self.inputs, self.outputs), "shape of a matrix");
        // No inputs leave no rows.
        let groups = (tiles(self.inputs) * GROUPS).max(1);
        let parts = self.rows.par_chunks_mut(groups).zip(&mut self.start);
        let parts = parts.zip(self.centres.par_chunks_mut(TILE)).zip(self.steps.par_chunks_mut(TILE));
        parts.zip(matrix.axis_chunks_iter(Axis(1), TILE).into_par_iter()).for_each(
            |((((rows, start), centres), steps), matrix)| {
                let panels = || matrix.axis_chunks_iter(Axis(0), GROUPS).map(Panel::new);
                let mut widths = [0.0; TILE];
                panels().for_each(|panel| panel.add_widths(&mut widths));
                let mut at = [1.0; TILE];
                for (place, value) in steps.iter_mut().enumerate() {
                    *value = step(widths[place]);
                    at[place] = f64::from(*value);
                }
                let mut sums = [0.0; TILE];
                for (k, panel) in panels().enumerate() {
                    // A digit of each group of its tile.
                    panel.quantise(&at, &mut rows[k / 4 * GROUPS..][..GROUPS], k % 4, &mut sums);
                }
                // Sums lie between that of the negative entries and that of the positive ones.
                for (place, value) in centres.iter_mut().enumerate() {
                    let centre = nearest(0.5 * sums[place]);
                    start.0[place] = T::from_whole(-centre);
                    *value = centre as f32;
                }
            },
        );
    }

    /// The products of all rows of `bits`, to be [`read`](BitMatrix::read) row by row.
    ///
    /// # Panics
    /// When there is not a bit per input.
    pub fn multiply(&self, bits: &BitRows, sums: &mut Sums<T>) {
        assert_eq!(bits.bits(), self.inputs, "a bit per input");
        let count = bits.len();
        let needed = self.start.len() * count;
        if sums.rows.len() < needed {
            sums.rows.resize(needed, Row::zero());
        }
        sums.count = count;
        simd::vectorise(Product {
            rows: &self.rows,
            start: &self.start,
            bits: bits.quads().as_flattened(),
            sums: &mut sums.rows[..needed],
            count,
            groups: tiles(self.inputs) * GROUPS,
            outputs: self.outputs,
        });
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

    /// out = offsets + the products of all rows of `bits`, (rows, outputs); `offsets` may be empty.
    ///
    /// # Panics
    /// When the shapes do not fit.
    pub fn products(&self, bits: &BitRows, offsets: &[f32], out: &mut Array2<f32>, sums: &mut Sums<T>) {
        assert_eq!(out.nrows(), bits.len(), "a row of products per row of bits");
        self.multiply(bits, sums);
        for (row, mut out) in out.rows_mut().into_iter().enumerate() {
            self.read(sums, row, offsets, out.as_slice_mut().expect("rows of a whole array are contiguous"));
        }
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

/// A part of a matrix, (inputs, outputs), zero beyond its edges.
struct Panel([[f64; TILE]; GROUPS]);

impl Panel {
    fn new<R: Real>(matrix: ArrayView2<'_, R>) -> Self {
        let mut panel = [[0.0; TILE]; GROUPS];
        if matrix.strides()[1] == 1 {
            for (row, values) in panel.iter_mut().zip(matrix.rows()) {
                row.iter_mut().zip(values).for_each(|(x, value)| *x = value.wide());
            }
        } else {
            for (output, values) in matrix.columns().into_iter().enumerate() {
                panel.iter_mut().zip(values).for_each(|(row, value)| row[output] = value.wide());
            }
        }
        Self(panel)
    }

    fn add_widths(&self, widths: &mut [f64; TILE]) {
        simd::dispatch(
            #[inline(always)]
            || {
                for row in &self.0 {
                    for place in 0..TILE {
                        widths[place] += row[place].abs();
                    }
                }
            },
        );
    }

    /// Entries as multiples of `steps`, row by row digit `digit` of a group; added up in `sums`.
    fn quantise<T: Fixed>(
        &self,
        steps: &[f64; TILE],
        groups: &mut [[Row<T>; 4]],
        digit: usize,
        sums: &mut [f64; TILE],
    ) {
        simd::dispatch(
            #[inline(always)]
            || {
                for (row, group) in self.0.iter().zip(groups) {
                    let out = &mut group[digit].0;
                    for place in 0..TILE {
                        let whole = nearest(row[place] / steps[place]);
                        out[place] = T::from_whole(whole);
                        sums[place] += whole;
                    }
                }
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::Stream;
    use proptest::prelude::*;
    use rand::RngExt;

    /// Products by their definition, in f64 with the entries as given.
    fn twin(matrix: &Array2<f64>, bits: &[bool]) -> Vec<f64> {
        let on = || (0..bits.len()).filter(|&i| bits[i]);
        (0..matrix.ncols()).map(|j| on().map(|i| matrix[(i, j)]).sum()).collect()
    }

    fn products<T: Fixed>(matrix: &BitMatrix<T>, rows: &[Vec<bool>]) -> Vec<Vec<f32>> {
        let bits =
            Array2::from_shape_fn((rows.len(), matrix.inputs), |(n, i)| f64::from(u8::from(rows[n][i])));
        let mut out = Array2::zeros((rows.len(), matrix.outputs));
        matrix.products(&BitRows::of(bits.view()), &[], &mut out, &mut Sums::default());
        out.rows().into_iter().map(|row| row.to_vec()).collect()
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
}
