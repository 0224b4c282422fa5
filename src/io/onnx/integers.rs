//! Whole numbers, with which graphs compute shapes: each a number, or so many times the batch.

use crate::io::Parsed;
use crate::models::network::Size;

/// A number, or a multiple of the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Whole {
    pub(super) count: i64,
    pub(super) batch: bool,
}

impl Whole {
    pub(super) fn fixed(count: i64) -> Self {
        Self { count, batch: false }
    }

    pub(super) fn of(size: Size) -> Self {
        Self { count: size.count as i64, batch: size.batch }
    }

    /// As the length of an axis.
    pub(super) fn size(self) -> Parsed<Size> {
        let count = usize::try_from(self.count).map_err(|_| format!("an axis of length {}", self.count))?;
        Ok(Size { count, batch: self.batch })
    }

    /// As a plain number.
    pub(super) fn number(self) -> Parsed<i64> {
        if self.batch {
            Err("it depends on the size of the batch, so rows would be mixed".into())
        } else {
            Ok(self.count)
        }
    }
}

/// An array of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Integers {
    pub(super) values: Vec<Whole>,
    pub(super) shape: Vec<usize>,
}

impl Integers {
    pub(super) fn vector(values: Vec<Whole>) -> Self {
        let shape = vec![values.len()];
        Self { values, shape }
    }

    pub(super) fn numbers(&self) -> Parsed<Vec<i64>> {
        self.values.iter().map(|value| value.number()).collect()
    }

    /// Two of them number by number; one may be single.
    pub(super) fn binary(
        &self,
        other: &Self,
        operation: impl Fn(Whole, Whole) -> Parsed<Whole>,
    ) -> Parsed<Self> {
        let (long, shape) = if self.values.len() >= other.values.len() {
            (self.values.len(), &self.shape)
        } else {
            (other.values.len(), &other.shape)
        };
        let fits = |values: &[Whole]| values.len() == long || values.len() == 1;
        if !fits(&self.values) || !fits(&other.values) {
            return Err(format!("shapes {:?} and {:?} of whole numbers do not fit", self.shape, other.shape));
        }
        let of = |values: &[Whole], index: usize| values[if values.len() == 1 { 0 } else { index }];
        let values = (0..long).map(|index| operation(of(&self.values, index), of(&other.values, index)));
        Ok(Self { values: values.collect::<Parsed<_>>()?, shape: shape.clone() })
    }
}

/// The operation of this name on whole numbers.
pub(super) fn operation(name: &str, a: Whole, b: Whole) -> Parsed<Whole> {
    let overflow = || "whole numbers overflow".to_owned();
    let truth = |truth: bool| Ok(Whole::fixed(i64::from(truth)));
    let count = match (name, a.batch, b.batch) {
        ("Equal", ..) => return truth(a == b),
        ("Mul", false, batch) | ("Mul", batch, false) => {
            let count = a.count.checked_mul(b.count).ok_or_else(overflow)?;
            return Ok(Whole { count, batch });
        }
        ("Div", batch, false) if b.count != 0 && (!batch || a.count % b.count == 0) => {
            return Ok(Whole { count: a.count.checked_div(b.count).ok_or_else(overflow)?, batch });
        }
        ("Div", true, true) if b.count != 0 && a.count % b.count == 0 => Some(a.count / b.count),
        ("Mod", true, false) if b.count != 0 && a.count % b.count == 0 => Some(0),
        (_, false, false) => match name {
            "Add" => a.count.checked_add(b.count),
            "Sub" => a.count.checked_sub(b.count),
            "Mod" if b.count != 0 => a.count.checked_rem_euclid(b.count),
            "Max" => Some(a.count.max(b.count)),
            "Min" => Some(a.count.min(b.count)),
            "Less" => return truth(a.count < b.count),
            "LessOrEqual" => return truth(a.count <= b.count),
            "Greater" => return truth(a.count > b.count),
            "GreaterOrEqual" => return truth(a.count >= b.count),
            "And" => return truth(a.count != 0 && b.count != 0),
            "Or" => return truth(a.count != 0 || b.count != 0),
            _ => return Err(format!("{name} of whole numbers {} and {}", a.count, b.count)),
        },
        ("Add" | "Sub", true, true) => {
            let sign = if name == "Add" { 1 } else { -1 };
            let count =
                b.count.checked_mul(sign).and_then(|b| a.count.checked_add(b)).ok_or_else(overflow)?;
            return Ok(Whole { count, batch: count != 0 });
        }
        _ => return Err(format!("{name} with the size of the batch")),
    };
    Ok(Whole::fixed(count.ok_or_else(overflow)?))
}
