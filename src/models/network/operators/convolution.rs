//! Convolutions as matrix products: the numbers of each window become a column (Chellapilla, Puri & Simard 2006).

use super::products::{add_row_sums, view, view_mut};
use super::{Backward, Geometry, Operand, Sink};
use crate::math::products::{multiply, multiply_add};
use crate::math::real::Real;

/// Sizes of the products of one group.
struct Sizes {
    /// Numbers of the input of one group, and of a row.
    group: usize,
    row: usize,
    /// Numbers of a window over the channels of a group.
    window: usize,
    /// Channels of the output of one group.
    outputs: usize,
    /// Windows.
    places: usize,
}

impl Sizes {
    fn new(geometry: &Geometry) -> Self {
        let [channels, height, width] = geometry.input;
        let [high, wide] = geometry.output().expect("it was checked when the graph was built");
        let per_group = channels / geometry.groups;
        Self {
            group: per_group * height * width,
            row: channels * height * width,
            window: per_group * geometry.window[0] * geometry.window[1],
            outputs: geometry.outputs / geometry.groups,
            places: high * wide,
        }
    }
}

/// Whether the columns are the image itself.
fn pointwise(geometry: &Geometry) -> bool {
    geometry.window == [1, 1]
        && geometry.strides == [1, 1]
        && geometry.before == [0, 0]
        && geometry.after == [0, 0]
}

/// Stretches of an image's row that a row of a column matrix is made of: calls `copy(from, to, count)` for each, `from` None for
/// padding, with a step of `strides[1]` in the image.
#[inline(always)]
fn stretches(geometry: &Geometry, channels: usize, mut copy: impl FnMut(Option<usize>, usize, usize)) {
    let [_, height, width] = geometry.input;
    let [high, wide] = geometry.output().expect("it was checked when the graph was built");
    let (stride, dilation, before) = (geometry.strides[1], geometry.dilations[1], geometry.before[1]);
    let mut at = 0;
    for channel in 0..channels {
        for down in 0..geometry.window[0] {
            for along in 0..geometry.window[1] {
                let shift = along * dilation;
                // Windows first..last have this number inside of the image.
                let first = before.saturating_sub(shift).div_ceil(stride).min(wide);
                let last = match (width + before).checked_sub(shift + 1) {
                    Some(room) => (room / stride + 1).min(wide),
                    None => first,
                }
                .max(first);
                for place in 0..high {
                    let Some(line) = geometry.place(0, place, down) else {
                        copy(None, at, wide);
                        at += wide;
                        continue;
                    };
                    copy(None, at, first);
                    if last > first {
                        let from = (channel * height + line) * width + first * stride + shift - before;
                        copy(Some(from), at + first, last - first);
                    }
                    copy(None, at + last, wide - last);
                    at += wide;
                }
            }
        }
    }
}

fn columns<T: Real>(geometry: &Geometry, channels: usize, image: &[T], columns: &mut [T]) {
    let stride = geometry.strides[1];
    stretches(geometry, channels, |from, to, count| match from {
        None => columns[to..to + count].fill(T::ZERO),
        Some(from) if stride == 1 => columns[to..to + count].copy_from_slice(&image[from..from + count]),
        Some(from) => {
            let image = image[from..].iter().step_by(stride);
            columns[to..to + count].iter_mut().zip(image).for_each(|(out, x)| *out = *x);
        }
    });
}

fn add_columns<T: Real>(geometry: &Geometry, channels: usize, columns: &[T], image: &mut [T]) {
    let stride = geometry.strides[1];
    stretches(geometry, channels, |from, to, count| {
        if let Some(from) = from {
            let image = image[from..].iter_mut().step_by(stride);
            columns[to..to + count].iter().zip(image).for_each(|(x, out)| *out += *x);
        }
    });
}

pub(super) fn forward<T: Real>(
    geometry: &Geometry,
    rows: usize,
    inputs: &[Operand<'_, T>],
    output: &mut [T],
    scratch: &mut Vec<T>,
) {
    let Sizes { group, row, window, outputs, places } = Sizes::new(geometry);
    let channels = geometry.input[0] / geometry.groups;
    scratch.resize(window * places, T::ZERO);
    if let Some(bias) = inputs.get(2) {
        let all = bias.data.iter().cycle();
        output.chunks_exact_mut(places).zip(all).for_each(|(out, bias)| out.fill(*bias));
    } else {
        output.fill(T::ZERO);
    }
    for (index, out) in output.chunks_exact_mut(outputs * places).enumerate().take(rows * geometry.groups) {
        let (state, part) = (index / geometry.groups, index % geometry.groups);
        let image = &inputs[0].data[state * row + part * group..][..group];
        let kernel = view(&inputs[1].data[part * outputs * window..][..outputs * window], outputs, window);
        let columns = if pointwise(geometry) {
            image
        } else {
            self::columns(geometry, channels, image, scratch);
            &scratch[..]
        };
        multiply_add(T::ONE, kernel, view(columns, window, places), view_mut(out, outputs, places));
    }
}

pub(super) fn backward<T: Real>(
    geometry: &Geometry,
    pass: Backward<'_, T>,
    sinks: &mut [Option<Sink<'_, T>>],
) {
    let Sizes { group, row, window, outputs, places } = Sizes::new(geometry);
    let channels = geometry.input[0] / geometry.groups;
    let Backward { inputs, gradient, scratch, .. } = pass;
    scratch.resize(window * places, T::ZERO);
    for (index, gradient) in gradient.chunks_exact(outputs * places).enumerate() {
        let (state, part) = (index / geometry.groups, index % geometry.groups);
        let gradient = view(gradient, outputs, places);
        let at = state * row + part * group;
        let share = part * outputs * window..(part + 1) * outputs * window;
        if let Some(sink) = &mut sinks[0] {
            let kernel = view(&inputs[1].data[share.clone()], outputs, window);
            let image = &mut sink.added()[at..at + group];
            if pointwise(geometry) {
                multiply_add(T::ONE, kernel.t(), gradient, view_mut(image, window, places));
            } else {
                multiply(kernel.t(), gradient, view_mut(scratch, window, places));
                add_columns(geometry, channels, scratch, image);
            }
        }
        if let Some(sink) = &mut sinks[1] {
            let image = &inputs[0].data[at..at + group];
            columns(geometry, channels, image, scratch);
            let out = &mut sink.added()[share];
            multiply_add(T::ONE, gradient, view(scratch, window, places).t(), view_mut(out, outputs, window));
        }
        if let Some(Some(sink)) = sinks.get_mut(2) {
            let out = &mut sink.added()[part * outputs..(part + 1) * outputs];
            add_row_sums(gradient.as_slice().expect("it is a slice"), places, out);
        }
    }
}
