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

/// Weights as (inner, outer) and as (outer, inner), both by rows where the plan made a transposed copy.
fn both_ways<'a, T: Real>(
    [inner, outer]: [usize; 2],
    transposed: bool,
    weights: &Operand<'a, T>,
) -> [ArrayView2<'a, T>; 2] {
    let [rows, columns] = if transposed { [outer, inner] } else { [inner, outer] };
    let stored = view(weights.data, rows, columns);
    let turned = if weights.transposed.is_empty() {
        stored.reversed_axes()
    } else {
        view(weights.transposed, columns, rows)
    };
    if transposed { [turned, stored] } else { [stored, turned] }
}

pub(super) fn linear<T: Real>(
    [inner, outer]: [usize; 2],
    transposed: bool,
    inputs: &[Operand<'_, T>],
    output: &mut [T],
) {
    let rows = output.len() / outer.max(1);
    let x = view(inputs[0].data, rows, inner);
    let [weights, _] = both_ways([inner, outer], transposed, &inputs[1]);
    let Some(bias) = inputs.get(2) else {
        return multiply(x, weights, view_mut(output, rows, outer));
    };
    output.chunks_exact_mut(outer.max(1)).for_each(|row| row.copy_from_slice(bias.data));
    multiply_add(T::ONE, x, weights, view_mut(output, rows, outer));
}

pub(super) fn linear_backward<T: Real>(
    [inner, outer]: [usize; 2],
    transposed: bool,
    pass: &Backward<'_, T>,
    sinks: &mut [Option<Sink<'_, T>>],
) {
    let rows = pass.gradient.len() / outer.max(1);
    let gradient = view(pass.gradient, rows, outer);
    if let Some(sink) = &mut sinks[0] {
        let [_, weights] = both_ways([inner, outer], transposed, &pass.inputs[1]);
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
        if transposed {
            multiply_add(T::ONE, gradient.t(), x, view_mut(sink.added(), outer, inner));
        } else {
            multiply_add(T::ONE, x.t(), gradient, view_mut(sink.added(), inner, outer));
        }
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
