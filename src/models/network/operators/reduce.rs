//! Sums, maxima and log-sum-exps over an axis.

use super::{Backward, Sink};
use crate::math::real::Real;
use crate::math::simd::dispatch;

/// What becomes of the numbers along an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduction {
    /// Σ x
    Sum,
    /// max x; the first of several has the derivative
    Max,
    /// log Σ eˣ
    LogSumExp,
}

pub(super) fn forward<T: Real>(
    reduction: Reduction,
    count: usize,
    inner: usize,
    x: &[T],
    output: &mut [T],
    mut kept: Option<&mut [T]>,
) {
    if inner == 1 {
        return rows(reduction, count, x, output, kept);
    }
    let mut sums = vec![T::ZERO; inner];
    for (index, (x, out)) in x.chunks_exact(count * inner).zip(output.chunks_exact_mut(inner)).enumerate() {
        match reduction {
            Reduction::Sum => {
                out.fill(T::ZERO);
                x.chunks_exact(inner).for_each(|line| super::binary::add(line, out));
            }
            Reduction::Max | Reduction::LogSumExp => {
                out.copy_from_slice(&x[..inner]);
                let mut kept = kept.as_deref_mut().map(|kept| &mut kept[index * inner..(index + 1) * inner]);
                if let Some(kept) = &mut kept {
                    kept.fill(T::ZERO);
                }
                for (at, line) in x.chunks_exact(inner).enumerate().skip(1) {
                    for i in 0..inner {
                        if line[i] > out[i] || line[i].is_nan() {
                            out[i] = line[i];
                            if let Some(kept) = &mut kept {
                                kept[i] = T::of(at as f64);
                            }
                        }
                    }
                }
                if reduction == Reduction::LogSumExp {
                    sums.fill(T::ZERO);
                    for line in x.chunks_exact(inner) {
                        (0..inner).for_each(|i| sums[i] += (line[i] - out[i]).exp());
                    }
                    (0..inner).for_each(|i| out[i] = finite_or(out[i], out[i] + sums[i].ln()));
                }
            }
        }
    }
}

/// The largest where it is infinite (the differences from it are NaN), else the log-sum-exp.
fn finite_or<T: Real>(largest: T, value: T) -> T {
    if largest == T::LEAST || largest == -T::LEAST { largest } else { value }
}

/// Along the last axis.
fn rows<T: Real>(reduction: Reduction, count: usize, x: &[T], output: &mut [T], mut kept: Option<&mut [T]>) {
    for (index, (row, out)) in x.chunks_exact(count).zip(output).enumerate() {
        *out = match reduction {
            Reduction::Sum => sum(row, |x| x),
            Reduction::Max | Reduction::LogSumExp => {
                let mut best = (row[0], 0);
                for (at, x) in row.iter().enumerate().skip(1) {
                    if *x > best.0 || x.is_nan() {
                        best = (*x, at);
                    }
                }
                let largest = best.0;
                if reduction == Reduction::Max {
                    if let Some(kept) = &mut kept {
                        kept[index] = T::of(best.1 as f64);
                    }
                    largest
                } else {
                    let total = sum(
                        row,
                        #[inline(always)]
                        |x| (x - largest).exp(),
                    );
                    finite_or(largest, largest + total.ln())
                }
            }
        };
    }
}

/// Σ term(x) in lanes, which is faster than in order and more accurate.
fn sum<T: Real>(values: &[T], term: impl Fn(T) -> T) -> T {
    const LANES: usize = 16;
    dispatch(
        #[inline(always)]
        || {
            let (whole, rest) = values.as_chunks::<LANES>();
            let mut lanes = [T::ZERO; LANES];
            for values in whole {
                for k in 0..LANES {
                    lanes[k] += term(values[k]);
                }
            }
            let rest: T = rest.iter().map(|x| term(*x)).sum();
            lanes.iter().copied().sum::<T>() + rest
        },
    )
}

pub(super) fn backward<T: Real>(
    reduction: Reduction,
    count: usize,
    inner: usize,
    pass: &Backward<'_, T>,
    sinks: &mut [Option<Sink<'_, T>>],
) {
    let Some(sink) = &mut sinks[0] else { return };
    let into = sink.added();
    for (index, into) in into.chunks_exact_mut(count * inner).enumerate() {
        let here = index * inner..(index + 1) * inner;
        let gradient = &pass.gradient[here.clone()];
        match reduction {
            Reduction::Sum if inner == 1 => into.iter_mut().for_each(|into| *into += gradient[0]),
            Reduction::Sum => {
                into.chunks_exact_mut(inner).for_each(|line| super::binary::add(gradient, line));
            }
            Reduction::Max => {
                for (i, at) in pass.kept[here].iter().enumerate() {
                    into[at.wide() as usize * inner + i] += gradient[i];
                }
            }
            Reduction::LogSumExp => {
                let total = &pass.output[here];
                let x = &pass.inputs[0].data[index * count * inner..(index + 1) * count * inner];
                dispatch(
                    #[inline(always)]
                    || {
                        for (line, x) in into.chunks_exact_mut(inner).zip(x.chunks_exact(inner)) {
                            for i in 0..inner {
                                line[i] += gradient[i] * (x[i] - total[i]).exp();
                            }
                        }
                    },
                );
            }
        }
    }
}
