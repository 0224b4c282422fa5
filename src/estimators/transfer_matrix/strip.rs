//! A lattice seen as a strip of rows, and the product of its transfer matrices.

use rayon::prelude::*;

use crate::estimators::Monitor;
use crate::math::log_sum_exp;
use crate::math::simd::dispatch;

/// Configurations of a row that are worked on together, so that they stay in the nearest cache.
const CACHE: usize = 1 << 12;
/// The first columns are done by one dense matrix of at most this side.
const DENSE: usize = 9;

/// `length` rows of `width` sites in one of q states; neighbours gain `equal` or `differ`, a site in state s gains `field[s]`.
#[derive(Clone, Debug)]
pub(super) struct Strip {
    pub(super) width: usize,
    pub(super) length: usize,
    pub(super) equal: f64,
    pub(super) differ: f64,
    pub(super) field: Vec<f64>,
    /// Whether both directions are joined to themselves.
    pub(super) periodic: bool,
}

impl Strip {
    /// q^width, if it is representable with room to spare.
    pub(super) fn row_states(&self) -> Option<usize> {
        self.field.len().checked_pow(u32::try_from(self.width).ok()?).filter(|&count| count < 1 << 40)
    }

    /// Whether relabelling states leaves the model as it is.
    fn is_symmetric(&self) -> bool {
        self.field.iter().all(|f| *f == self.field[0])
    }

    /// Row configurations that no rotation, reflection or relabelling makes equal: about how many.
    fn classes(&self, count: usize) -> f64 {
        let q = self.field.len();
        let labels: f64 =
            if self.is_symmetric() { (2..=q.min(self.width)).map(|k| k as f64).product() } else { 1.0 };
        (count as f64 / (2.0 * self.width as f64 * labels)).max(1.0) + 2.0
    }

    /// Row configurations times columns that are worked through, and bytes needed.
    pub(super) fn work(&self, count: usize, threads: usize) -> (f64, f64) {
        let sweep = count as f64 * self.width as f64;
        if self.periodic {
            let classes = self.classes(count);
            (
                sweep * self.length.div_ceil(2) as f64 * classes,
                8.0 * count as f64 * (2.0 + 2.0 * threads as f64),
            )
        } else {
            (sweep * self.length as f64, 16.0 * count as f64)
        }
    }

    /// log Z.
    pub(super) fn log_z(&self, count: usize, monitor: &dyn Monitor) -> f64 {
        let columns = Columns::new(self);
        let (diagonal, offset) = self.diagonal(count);
        if self.periodic {
            self.trace(&columns, &diagonal, offset, monitor)
        } else {
            self.open(&columns, diagonal, offset, monitor)
        }
    }

    /// exp(D(s) − max D) and max D, with D(s) what a row gains within itself.
    fn diagonal(&self, count: usize) -> (Vec<f64>, f64) {
        let q = self.field.len();
        let mut logs = vec![0.0; count];
        logs.par_chunks_mut(CACHE).enumerate().for_each(|(chunk, logs)| {
            for (k, log) in logs.iter_mut().enumerate() {
                let mut rest = chunk * CACHE + k;
                let first = rest % q;
                let mut previous = first;
                *log = self.field[first];
                for _ in 1..self.width {
                    rest /= q;
                    let state = rest % q;
                    *log += self.field[state] + if state == previous { self.equal } else { self.differ };
                    previous = state;
                }
                if self.periodic {
                    *log += if previous == first { self.equal } else { self.differ };
                }
            }
        });
        let top = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        logs.par_iter_mut().for_each(|log| *log = (*log - top).exp());
        (logs, top)
    }

    /// 1ᵀ D (V D)^{length − 1} 1, row after row.
    fn open(&self, columns: &Columns, diagonal: Vec<f64>, offset: f64, monitor: &dyn Monitor) -> f64 {
        monitor.begin("transfer-matrix", self.length as u64);
        let mut vector = diagonal.clone();
        let mut log_scale = offset;
        for _ in 1..self.length {
            columns.apply_in_parallel(&mut vector);
            let tops: Vec<f64> = vector
                .par_chunks_mut(CACHE)
                .zip(diagonal.par_chunks(CACHE))
                .map(|(x, d)| multiply(x, d))
                .collect();
            let top = tops.into_iter().fold(0.0, f64::max);
            vector.par_chunks_mut(CACHE).for_each(|x| scale(x, 1.0 / top));
            log_scale += offset + columns.log_scale + top.ln();
            monitor.advance(1);
        }
        let sums: Vec<f64> = vector.par_chunks(CACHE).map(|x| x.iter().sum()).collect();
        log_scale + sums.iter().sum::<f64>().ln()
    }

    /// trace (D V)^length = Σ over classes of rows a of class size · ⟨T^⌊length/2⌋ eₐ, T^⌈length/2⌉ eₐ⟩ with T = √D V √D.
    fn trace(&self, columns: &Columns, diagonal: &[f64], offset: f64, monitor: &dyn Monitor) -> f64 {
        let classes = self.class_representatives(diagonal.len());
        monitor.begin("transfer-matrix", classes.len() as u64);
        let logs: Vec<f64> = classes
            .par_iter()
            .map_init(
                || (vec![0.0; diagonal.len()], vec![0.0; diagonal.len()]),
                |(vector, kept), &(row, size)| {
                    monitor.advance(1);
                    vector.fill(0.0);
                    vector[row] = 1.0;
                    let mut log = (size as f64).ln() + diagonal[row].ln();
                    columns.apply(vector);
                    for _ in 1..self.length / 2 {
                        let top = multiply(vector, diagonal);
                        scale(vector, 1.0 / top);
                        columns.apply(vector);
                        log += 2.0 * top.ln();
                    }
                    if self.length % 2 == 1 {
                        multiply(vector, diagonal);
                        kept.copy_from_slice(vector);
                        columns.apply(vector);
                        log + inner(vector, kept).ln()
                    } else {
                        kept.copy_from_slice(vector);
                        multiply(vector, diagonal);
                        log + inner(vector, kept).ln()
                    }
                },
            )
            .collect();
        log_sum_exp(&logs) + self.length as f64 * (offset + columns.log_scale)
    }

    /// One row configuration of each class under the symmetries of the torus, and how many the class has.
    fn class_representatives(&self, count: usize) -> Vec<(usize, usize)> {
        let (q, width, relabels) = (self.field.len(), self.width, self.is_symmetric());
        let least: Vec<usize> = (0..count)
            .into_par_iter()
            .map_init(
                || (vec![0; width], vec![usize::MAX; q]),
                |(states, labels), number| {
                    let mut rest = number;
                    for state in states.iter_mut() {
                        *state = rest % q;
                        rest /= q;
                    }
                    let mut least = number;
                    for start in 0..width {
                        for backward in [false, true] {
                            labels.fill(usize::MAX);
                            let mut used = 0;
                            let image = (0..width).fold(0, |image, k| {
                                let at = if backward { start + width - k } else { start + k } % width;
                                let state = states[at];
                                if relabels && labels[state] == usize::MAX {
                                    labels[state] = used;
                                    used += 1;
                                }
                                image * q + if relabels { labels[state] } else { state }
                            });
                            least = least.min(image);
                        }
                    }
                    least
                },
            )
            .collect();
        let mut sizes = std::collections::BTreeMap::new();
        for row in least {
            *sizes.entry(row).or_insert(0) += 1;
        }
        sizes.into_iter().collect()
    }
}

/// V = K ⊗ K ⊗ … ⊗ K, what a row gains from the next, with K = exp(equal) on the diagonal and exp(differ) off it.
#[derive(Debug)]
struct Columns {
    states: usize,
    width: usize,
    /// exp(equal − max) and exp(differ − max); `log_scale` is width · max.
    equal: f64,
    differ: f64,
    log_scale: f64,
    /// The product of the first `dense_factors` factors.
    dense_factors: usize,
    dense: Vec<f64>,
}

impl Columns {
    fn new(strip: &Strip) -> Self {
        let states = strip.field.len();
        let top = strip.equal.max(strip.differ);
        let (equal, differ) = ((strip.equal - top).exp(), (strip.differ - top).exp());
        let mut dense_factors = 1;
        while dense_factors < strip.width && states.pow(dense_factors as u32 + 1) <= DENSE && states > 1 {
            dense_factors += 1;
        }
        let side = states.pow(dense_factors as u32);
        let dense = (0..side * side)
            .map(|entry| {
                let (mut x, mut y) = (entry / side, entry % side);
                let mut product = 1.0;
                for _ in 0..dense_factors {
                    product *= if x % states == y % states { equal } else { differ };
                    x /= states;
                    y /= states;
                }
                product
            })
            .collect();
        Self {
            states,
            width: strip.width,
            equal,
            differ,
            log_scale: strip.width as f64 * top,
            dense_factors,
            dense,
        }
    }

    /// x ← V x on this thread.
    fn apply(&self, x: &mut [f64]) {
        let (columns, size) = self.cached_columns();
        x.chunks_exact_mut(size).for_each(|chunk| self.apply_cached(chunk, columns));
        for column in columns..self.width {
            let stride = self.states.pow(column as u32);
            x.chunks_exact_mut(stride * self.states).for_each(|chunk| self.mix_chunk(chunk, stride));
        }
    }

    /// x ← V x on all threads.
    fn apply_in_parallel(&self, x: &mut [f64]) {
        let (columns, size) = self.cached_columns();
        x.par_chunks_exact_mut(size).for_each(|chunk| self.apply_cached(chunk, columns));
        for column in columns..self.width {
            let stride = self.states.pow(column as u32);
            let mut tasks: Vec<Vec<&mut [f64]>> = Vec::new();
            for chunk in x.chunks_exact_mut(stride * self.states) {
                let mut rows: Vec<_> =
                    chunk.chunks_exact_mut(stride).map(|row| row.chunks_mut(CACHE)).collect();
                for _ in 0..stride.div_ceil(CACHE) {
                    tasks.push(rows.iter_mut().filter_map(Iterator::next).collect());
                }
            }
            tasks.into_par_iter().for_each(|mut rows| self.mix_rows(&mut rows));
        }
    }

    /// How many columns are done within chunks of the vector, and the length of a chunk.
    fn cached_columns(&self) -> (usize, usize) {
        let mut columns = self.dense_factors;
        let mut size = self.states.pow(columns as u32);
        while columns < self.width && size * self.states <= CACHE {
            columns += 1;
            size *= self.states;
        }
        (columns, size)
    }

    fn apply_cached(&self, chunk: &mut [f64], columns: usize) {
        let side = self.states.pow(self.dense_factors as u32);
        dispatch(
            #[inline(always)]
            || {
                if side == 8 { dense::<8>(chunk, &self.dense) } else { dense_of(chunk, &self.dense, side) }
            },
        );
        let mut stride = side;
        for _ in self.dense_factors..columns {
            chunk.chunks_exact_mut(stride * self.states).for_each(|part| self.mix_chunk(part, stride));
            stride *= self.states;
        }
    }

    /// One column: q rows of `stride` entries, each becoming equal · itself + differ · the others.
    fn mix_chunk(&self, chunk: &mut [f64], stride: usize) {
        if self.states == 2 {
            let (low, high) = chunk.split_at_mut(stride);
            return butterfly(low, high, self.equal, self.differ);
        }
        self.mix_rows(&mut chunk.chunks_exact_mut(stride).collect::<Vec<_>>());
    }

    /// No sum minus own term: with differ ≫ equal that would cancel.
    fn mix_rows(&self, rows: &mut [&mut [f64]]) {
        const BLOCK: usize = 64;
        if let [low, high] = rows {
            return butterfly(low, high, self.equal, self.differ);
        }
        let length = rows.first().map_or(0, |row| row.len());
        dispatch(
            #[inline(always)]
            || {
                let mut old = vec![[0.0; BLOCK]; rows.len()];
                for start in (0..length).step_by(BLOCK) {
                    let size = BLOCK.min(length - start);
                    for (old, row) in old.iter_mut().zip(rows.iter()) {
                        old[..size].copy_from_slice(&row[start..start + size]);
                    }
                    for (s, row) in rows.iter_mut().enumerate() {
                        let row = &mut row[start..start + size];
                        for x in row.iter_mut() {
                            *x *= self.equal;
                        }
                        for (t, old) in old.iter().enumerate() {
                            if s != t {
                                row.iter_mut().zip(old).for_each(|(x, y)| *x += self.differ * y);
                            }
                        }
                    }
                }
            },
        );
    }
}

fn butterfly(low: &mut [f64], high: &mut [f64], equal: f64, differ: f64) {
    dispatch(
        #[inline(always)]
        || {
            for (x, y) in low.iter_mut().zip(high) {
                let (old_x, old_y) = (*x, *y);
                *x = equal * old_x + differ * old_y;
                *y = differ * old_x + equal * old_y;
            }
        },
    );
}

/// Each group of N entries becomes the symmetric `matrix` times itself.
#[inline(always)]
fn dense<const N: usize>(x: &mut [f64], matrix: &[f64]) {
    let rows = matrix.as_chunks::<N>().0;
    for group in x.as_chunks_mut::<N>().0 {
        let mut new = [0.0; N];
        for (row, value) in rows.iter().zip(group.iter()) {
            for k in 0..N {
                new[k] += row[k] * value;
            }
        }
        *group = new;
    }
}

#[inline(always)]
fn dense_of(x: &mut [f64], matrix: &[f64], side: usize) {
    let mut new = vec![0.0; side];
    for group in x.chunks_exact_mut(side) {
        new.fill(0.0);
        for (row, value) in matrix.chunks_exact(side).zip(group.iter()) {
            new.iter_mut().zip(row).for_each(|(sum, entry)| *sum += entry * value);
        }
        group.copy_from_slice(&new);
    }
}

/// x ← d x entry by entry; returns the largest entry.
fn multiply(x: &mut [f64], d: &[f64]) -> f64 {
    dispatch(
        #[inline(always)]
        || {
            x.iter_mut().zip(d).for_each(|(x, d)| *x *= d);
            let (whole, rest) = x.as_chunks::<8>();
            let mut tops = [0.0; 8];
            for chunk in whole {
                for k in 0..8 {
                    tops[k] = if chunk[k] > tops[k] { chunk[k] } else { tops[k] };
                }
            }
            rest.iter().chain(&tops).copied().fold(0.0, f64::max)
        },
    )
}

fn scale(x: &mut [f64], factor: f64) {
    dispatch(
        #[inline(always)]
        || x.iter_mut().for_each(|x| *x *= factor),
    );
}

fn inner(x: &[f64], y: &[f64]) -> f64 {
    dispatch(
        #[inline(always)]
        || {
            let mut sums = [0.0; 8];
            let (x, x_rest) = x.as_chunks::<8>();
            let (y, y_rest) = y.as_chunks::<8>();
            for (x, y) in x.iter().zip(y) {
                for k in 0..8 {
                    sums[k] += x[k] * y[k];
                }
            }
            sums.iter().sum::<f64>() + x_rest.iter().zip(y_rest).map(|(x, y)| x * y).sum::<f64>()
        },
    )
}
