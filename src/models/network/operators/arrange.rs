//! The same numbers in another order or beside others.

use super::{Backward, Operand, Sink, binary::add};
use crate::math::real::Real;

pub(super) fn gather<T: Real>(index: &[u32], rows: usize, input: Operand<'_, T>, output: &mut [T]) {
    let n = index.len();
    for row in 0..rows {
        let x = input.of(row);
        output[row * n..(row + 1) * n].iter_mut().zip(index).for_each(|(out, at)| *out = x[*at as usize]);
    }
}

pub(super) fn gather_backward<T: Real>(
    index: &[u32],
    pass: &Backward<'_, T>,
    sinks: &mut [Option<Sink<'_, T>>],
) {
    let Some(sink) = &mut sinks[0] else { return };
    let (n, numbers) = (index.len(), pass.inputs[0].numbers());
    for row in 0..pass.rows {
        let into = sink.of(row, numbers);
        let gradient = &pass.gradient[row * n..(row + 1) * n];
        index.iter().zip(gradient).for_each(|(at, gradient)| into[*at as usize] += *gradient);
    }
}

/// Calls `part(input, from, to)` for each stretch of a row of the output.
fn stretches(widths: &[usize], numbers: usize, mut part: impl FnMut(usize, std::ops::Range<usize>, usize)) {
    let whole: usize = widths.iter().sum();
    for repeat in 0..numbers / whole.max(1) {
        let mut to = repeat * whole;
        for (input, width) in widths.iter().enumerate() {
            part(input, repeat * width..(repeat + 1) * width, to);
            to += width;
        }
    }
}

pub(super) fn concat<T: Real>(widths: &[usize], rows: usize, inputs: &[Operand<'_, T>], output: &mut [T]) {
    let n = output.len() / rows.max(1);
    for row in 0..rows {
        let out = &mut output[row * n..(row + 1) * n];
        stretches(widths, n, |input, from, to| {
            let stretch = &inputs[input].of(row)[from];
            out[to..to + stretch.len()].copy_from_slice(stretch);
        });
    }
}

pub(super) fn concat_backward<T: Real>(
    widths: &[usize],
    pass: &Backward<'_, T>,
    sinks: &mut [Option<Sink<'_, T>>],
) {
    let n = pass.gradient.len() / pass.rows.max(1);
    for row in 0..pass.rows {
        let gradient = &pass.gradient[row * n..(row + 1) * n];
        stretches(widths, n, |input, from, to| {
            if let Some(sink) = &mut sinks[input] {
                let width = from.len();
                add(&gradient[to..to + width], &mut sink.of(row, pass.inputs[input].numbers())[from]);
            }
        });
    }
}
