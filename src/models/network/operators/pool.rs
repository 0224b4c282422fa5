//! The largest number or the mean of each window.

use super::{Backward, Geometry, Operand, Sink};
use crate::math::real::Real;

/// What becomes of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    /// Its largest number; padding is none.
    Max,
    /// Its mean, over the numbers inside of the image or also over the padding.
    Mean,
}

/// Calls `visit(place of the output, places of the input in the window, padded size)` for each window of one channel.
fn windows(geometry: &Geometry, mut visit: impl FnMut(usize, &[usize], usize)) {
    let [_, height, width] = geometry.input;
    let [high, wide] = geometry.output().expect("it was checked when the graph was built");
    let mut inside = Vec::with_capacity(geometry.window[0] * geometry.window[1]);
    // What a window covers of the image and its padding, without what hangs over beyond both.
    let covered = |axis: usize, position: usize, length: usize| {
        let end = length + geometry.before[axis] + geometry.after[axis];
        (0..geometry.window[axis])
            .filter(|at| position * geometry.strides[axis] + at * geometry.dilations[axis] < end)
            .count()
    };
    for y in 0..high {
        for x in 0..wide {
            inside.clear();
            for down in 0..geometry.window[0] {
                let Some(line) = geometry.place(0, y, down) else { continue };
                for along in 0..geometry.window[1] {
                    if let Some(column) = geometry.place(1, x, along) {
                        inside.push(line * width + column);
                    }
                }
            }
            visit(y * wide + x, &inside, covered(0, y, height) * covered(1, x, width));
        }
    }
}

fn divisor<T: Real>(geometry: &Geometry, inside: &[usize], covered: usize) -> T {
    T::of(if geometry.count_padding { covered } else { inside.len() }.max(1) as f64)
}

/// Numbers of a channel of the input and of the output.
fn sizes(geometry: &Geometry) -> (usize, usize) {
    let [high, wide] = geometry.output().expect("it was checked when the graph was built");
    (geometry.input[1] * geometry.input[2], high * wide)
}

pub(super) fn forward<T: Real>(
    pooling: Pooling,
    geometry: &Geometry,
    inputs: &[Operand<'_, T>],
    output: &mut [T],
    mut kept: Option<&mut [T]>,
) {
    let (image, places) = sizes(geometry);
    let channels = output.len() / places;
    windows(geometry, |place, inside, covered| {
        for channel in 0..channels {
            let x = &inputs[0].data[channel * image..(channel + 1) * image];
            let out = channel * places + place;
            match pooling {
                Pooling::Mean => {
                    let sum: T = inside.iter().map(|&at| x[at]).sum();
                    output[out] = sum / divisor(geometry, inside, covered);
                }
                Pooling::Max => {
                    let mut best = (T::LEAST, inside.first().copied().unwrap_or(0));
                    for &at in inside {
                        // NaN is kept, as the largest.
                        if x[at] > best.0 || x[at].is_nan() {
                            best = (x[at], at);
                        }
                    }
                    output[out] = best.0;
                    if let Some(kept) = &mut kept {
                        kept[out] = T::of(best.1 as f64);
                    }
                }
            }
        }
    });
}

pub(super) fn backward<T: Real>(
    pooling: Pooling,
    geometry: &Geometry,
    pass: &Backward<'_, T>,
    sinks: &mut [Option<Sink<'_, T>>],
) {
    let Some(sink) = &mut sinks[0] else { return };
    let (image, places) = sizes(geometry);
    let channels = pass.gradient.len() / places;
    let into = sink.added();
    windows(geometry, |place, inside, covered| {
        for channel in 0..channels {
            let into = &mut into[channel * image..(channel + 1) * image];
            let gradient = pass.gradient[channel * places + place];
            match pooling {
                Pooling::Mean => {
                    let share = gradient / divisor(geometry, inside, covered);
                    for &at in inside {
                        into[at] += share;
                    }
                }
                Pooling::Max => into[pass.kept[channel * places + place].wide() as usize] += gradient,
            }
        }
    });
}
