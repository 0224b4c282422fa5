//! Windows that slide over (channels, height, width).

use crate::models::network::graph::Built;

/// How windows lie over an image; sequences are images of height 1. Pairs are (vertical, horizontal).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// (channels, height, width) of the input.
    pub input: [usize; 3],
    /// Channels of the output.
    pub outputs: usize,
    /// Groups of channels that are convolved apart.
    pub groups: usize,
    /// Size of a window.
    pub window: [usize; 2],
    /// From one window to the next.
    pub strides: [usize; 2],
    /// From one number of a window to the next.
    pub dilations: [usize; 2],
    /// Numbers put before the first row and column.
    pub before: [usize; 2],
    /// Numbers put after the last row and column.
    pub after: [usize; 2],
    /// Whether a last window may hang over the end, as in pooling with `ceil_mode`.
    pub round_up: bool,
    /// Whether a mean counts the padding.
    pub count_padding: bool,
}

impl Geometry {
    /// Height and width of the output.
    ///
    /// # Errors
    /// For windows that do not fit, and for steps of 0.
    pub fn output(&self) -> Built<[usize; 2]> {
        let mut sides = [0; 2];
        for axis in 0..2 {
            let (length, window, stride, dilation) =
                (self.input[axis + 1], self.window[axis], self.strides[axis], self.dilations[axis]);
            if stride == 0 || dilation == 0 || window == 0 {
                return Err("windows, strides and dilations must be positive".into());
            }
            let misfit =
                || format!("a window of {window} does not fit in {length} numbers with this padding");
            let padded = length
                .checked_add(self.before[axis])
                .and_then(|sum| sum.checked_add(self.after[axis]))
                .filter(|padded| *padded <= 1 << 26)
                .ok_or_else(misfit)?;
            let span =
                (window - 1).checked_mul(dilation).and_then(|span| span.checked_add(1)).ok_or_else(misfit)?;
            let room = padded.checked_sub(span).ok_or_else(misfit)?;
            let mut count = room / stride + 1;
            // A window that hangs over must begin inside of the image or its first padding.
            if self.round_up && room % stride != 0 && count * stride < length + self.before[axis] {
                count += 1;
            }
            sides[axis] = count;
        }
        Ok(sides)
    }

    /// Where number `at` of window `position` lies on an axis (0 vertical, 1 horizontal); `None` in the padding.
    #[inline]
    pub(in super::super) fn place(&self, axis: usize, position: usize, at: usize) -> Option<usize> {
        (position * self.strides[axis] + at * self.dilations[axis])
            .checked_sub(self.before[axis])
            .filter(|place| *place < self.input[axis + 1])
    }
}
