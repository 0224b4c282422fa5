//! Lengths of axes, of which one may be the batch, and how shapes broadcast.

use std::fmt;

use super::Built;

/// Numbers that one value may have for one state.
const MOST_NUMBERS: usize = 1 << 26;

/// The length of an axis: a number, or so many times the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// The number, or the factor.
    pub count: usize,
    /// Whether it is a multiple of the batch.
    pub batch: bool,
}

impl Size {
    /// `count` whatever the batch is.
    #[must_use]
    pub fn fixed(count: usize) -> Self {
        Self { count, batch: false }
    }

    /// `count` times the batch.
    #[must_use]
    pub fn batches(count: usize) -> Self {
        Self { count, batch: true }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.batch, self.count) {
            (false, count) => write!(f, "{count}"),
            (true, 1) => f.write_str("batch"),
            (true, count) => write!(f, "{count}*batch"),
        }
    }
}

/// What one state has of a value of this shape: a batch alone in front is no axis of it, k batches are one of length k.
pub(super) fn row(shape: &[Size]) -> Vec<usize> {
    let alone = shape.first().is_some_and(|size| *size == Size::batches(1));
    shape.iter().skip(usize::from(alone)).map(|size| size.count).collect()
}

/// Refuses rows too large to compute with.
pub(super) fn check_numbers(row: &[usize]) -> Built<()> {
    let numbers = row.iter().try_fold(1usize, |product, side| product.checked_mul(*side));
    match numbers {
        Some(numbers) if numbers <= MOST_NUMBERS => Ok(()),
        _ => Err(format!(
            "a value of shape {row:?} for each state is too large; at most {MOST_NUMBERS} numbers"
        )),
    }
}

pub(super) fn broadcast_shapes(shapes: &[&[Size]], constants: &[bool]) -> Built<Vec<Size>> {
    let rank = shapes.iter().map(|shape| shape.len()).max().unwrap_or(0);
    let mut out = vec![Size::fixed(1); rank];
    let misfit = || {
        let shapes: Vec<String> = shapes.iter().map(|shape| shown(shape)).collect();
        format!("shapes {} do not broadcast", shapes.join(" and "))
    };
    for (shape, constant) in shapes.iter().zip(constants) {
        // The batches of two values must meet: anywhere else, rows would be mixed.
        if !constant && shape.len() != rank && shape.first().is_some_and(|size| size.batch) {
            return Err(format!("{}: rows of the batch would be mixed", misfit()));
        }
        for (at, size) in shape.iter().enumerate() {
            let place = &mut out[rank - shape.len() + at];
            let one = Size::fixed(1);
            if *place == one {
                *place = *size;
            } else if *size != one && size != place {
                return Err(misfit());
            }
        }
    }
    if out.iter().skip(1).any(|size| size.batch) {
        return Err(format!("{}: rows of the batch would be mixed", misfit()));
    }
    Ok(out)
}

/// A shape for people.
pub fn shown(shape: &[Size]) -> String {
    let sizes: Vec<String> = shape.iter().map(Size::to_string).collect();
    format!("({})", sizes.join(", "))
}
