//! Groups of numbers shifted and scaled to mean 0 and variance 1.

use super::{Backward, Sink};
use crate::math::real::Real;
use crate::math::simd::dispatch;

/// Lanes that sums are made in.
const LANES: usize = 16;

#[inline(always)]
fn sum<T: Real>(values: &[T], term: impl Fn(usize) -> T) -> T {
    let n = values.len();
    let mut lanes = [T::ZERO; LANES];
    let whole = n - n % LANES;
    for start in (0..whole).step_by(LANES) {
        for k in 0..LANES {
            lanes[k] += term(start + k);
        }
    }
    lanes.iter().copied().sum::<T>() + (whole..n).map(term).sum::<T>()
}

/// (x − mean) / √(variance + ε), variance with divisor n; keeps 1/√(variance + ε).
pub(super) fn forward<T: Real>(
    count: usize,
    epsilon: T,
    x: &[T],
    output: &mut [T],
    mut kept: Option<&mut [T]>,
) {
    let share = T::of(1.0 / count as f64);
    for (index, (x, out)) in x.chunks_exact(count).zip(output.chunks_exact_mut(count)).enumerate() {
        let rate = dispatch(
            #[inline(always)]
            || {
                let mean = share * sum(x, |i| x[i]);
                let variance = share
                    * sum(x, |i| {
                        let from_mean = x[i] - mean;
                        from_mean * from_mean
                    });
                let rate = T::ONE / (variance + epsilon).sqrt();
                for i in 0..count {
                    out[i] = (x[i] - mean) * rate;
                }
                rate
            },
        );
        if let Some(kept) = &mut kept {
            kept[index] = rate;
        }
    }
}

/// rate · (g − mean g − y · mean(g y)).
pub(super) fn backward<T: Real>(count: usize, pass: &Backward<'_, T>, sinks: &mut [Option<Sink<'_, T>>]) {
    let Some(sink) = &mut sinks[0] else { return };
    let share = T::of(1.0 / count as f64);
    let into = sink.added();
    for (index, into) in into.chunks_exact_mut(count).enumerate() {
        let here = index * count..(index + 1) * count;
        let (gradient, output, rate) = (&pass.gradient[here.clone()], &pass.output[here], pass.kept[index]);
        dispatch(
            #[inline(always)]
            || {
                let mean = share * sum(gradient, |i| gradient[i]);
                let along = share * sum(gradient, |i| gradient[i] * output[i]);
                for i in 0..count {
                    into[i] += rate * (gradient[i] - mean - along * output[i]);
                }
            },
        );
    }
}
