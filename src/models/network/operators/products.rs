//! Linear maps with constant weights, and products of two values.

use ndarray::{ArrayView2, ArrayViewMut2};

use super::{Backward, Operand, Sink, binary::add};
use crate::math::products::{multiply, multiply_add};
use crate::math::real::Real;

pub(super) fn view<T>(data: &[T], rows: usize, columns: usize) -> ArrayView2<'_, T> {
    ArrayView2::from_shape((rows, columns), data).expect("sizes were checked when the graph was built")
}

pub(super) fn view_mut<T>(data: &mut [T], rows: usize, columns: usize) -> ArrayViewMut2<'_, T> {
    ArrayViewMut2::from_shape((rows, columns), data).expect("sizes were checked when the graph was built")
}

pub(super) fn linear<T: Real>(inner: usize, outer: usize, inputs: &[Operand<'_, T>], output: &mut [T]) {
    let rows = output.len() / outer.max(1);
    let (x, weights) = (view(inputs[0].data, rows, inner), view(inputs[1].data, inner, outer));
    let Some(bias) = inputs.get(2) else {
        return multiply(x, weights, view_mut(output, rows, outer));
    };
    output.chunks_exact_mut(outer.max(1)).for_each(|row| row.copy_from_slice(bias.data));
    multiply_add(T::ONE, x, weights, view_mut(output, rows, outer));
}

pub(super) fn linear_backward<T: Real>(
    inner: usize,
    outer: usize,
    pass: &Backward<'_, T>,
    sinks: &mut [Option<Sink<'_, T>>],
) {
    let rows = pass.gradient.len() / outer.max(1);
    let gradient = view(pass.gradient, rows, outer);
    if let Some(sink) = &mut sinks[0] {
        let weights = view(pass.inputs[1].transposed, outer, inner);
        let (fresh, out) = sink.written();
        let out = view_mut(out, rows, inner);
        if fresh {
            multiply(gradient, weights, out);
        } else {
            multiply_add(T::ONE, gradient, weights, out);
        }
    }
    if let Some(sink) = &mut sinks[1] {
        let x = view(pass.inputs[0].data, rows, inner);
        multiply_add(T::ONE, x.t(), gradient, view_mut(sink.added(), inner, outer));
    }
    if let Some(Some(sink)) = sinks.get_mut(2) {
        let out = sink.added();
        pass.gradient.chunks_exact(outer.max(1)).for_each(|row| add(row, out));
    }
}

/// Each matrix of `a` and of `b`; a constant has those of one state.
fn matrices<T: Real>(
    rows: usize,
    count: usize,
    operand: &Operand<'_, T>,
    size: usize,
) -> impl Fn(usize) -> usize {
    let constant = operand.constant && rows * count * size != operand.data.len();
    move |index| if constant { index % count * size } else { index * size }
}

pub(super) fn product<T: Real>(
    [high, inner, columns]: [usize; 3],
    rows: usize,
    inputs: &[Operand<'_, T>],
    output: &mut [T],
) {
    let size = high * columns;
    let count = output.len() / (rows * size).max(1);
    let a_at = matrices(rows, count, &inputs[0], high * inner);
    let b_at = matrices(rows, count, &inputs[1], inner * columns);
    for (index, out) in output.chunks_exact_mut(size.max(1)).enumerate() {
        let a = view(&inputs[0].data[a_at(index)..][..high * inner], high, inner);
        let b = view(&inputs[1].data[b_at(index)..][..inner * columns], inner, columns);
        multiply(a, b, view_mut(out, high, columns));
    }
}

pub(super) fn product_backward<T: Real>(
    [high, inner, columns]: [usize; 3],
    pass: &Backward<'_, T>,
    sinks: &mut [Option<Sink<'_, T>>],
) {
    let size = high * columns;
    let count = pass.gradient.len() / (pass.rows * size).max(1);
    let a_at = matrices(pass.rows, count, &pass.inputs[0], high * inner);
    let b_at = matrices(pass.rows, count, &pass.inputs[1], inner * columns);
    for (index, gradient) in pass.gradient.chunks_exact(size.max(1)).enumerate() {
        let gradient = view(gradient, high, columns);
        let a = view(&pass.inputs[0].data[a_at(index)..][..high * inner], high, inner);
        let b = view(&pass.inputs[1].data[b_at(index)..][..inner * columns], inner, columns);
        if let Some(sink) = &mut sinks[0] {
            let out = &mut sink.added()[a_at(index)..][..high * inner];
            multiply_add(T::ONE, gradient, b.t(), view_mut(out, high, inner));
        }
        if let Some(sink) = &mut sinks[1] {
            let out = &mut sink.added()[b_at(index)..][..inner * columns];
            multiply_add(T::ONE, a.t(), gradient, view_mut(out, inner, columns));
        }
    }
}

/// Σ over columns of each row, added.
pub(super) fn add_row_sums<T: Real>(rows: &[T], width: usize, into: &mut [T]) {
    for (into, row) in into.iter_mut().zip(rows.chunks_exact(width.max(1))) {
        *into += row.iter().copied().sum::<T>();
    }
}
