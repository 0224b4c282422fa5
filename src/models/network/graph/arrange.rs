//! The same numbers in another shape or order, repeated, cut or side by side.

use ndarray::{ArrayD, IxDyn};

use super::size::{broadcast_shapes, check_numbers, shown};
use super::{Built, Graph, Size, Value};
use crate::models::network::operators::Operator;

impl Graph {
    /// The same numbers in another shape.
    ///
    /// # Errors
    /// For another number of them, or a batch that is not in front.
    pub fn reshape(&self, x: &Value, shape: &[Size]) -> Built<Value> {
        let total = |shape: &[Size]| {
            shape
                .iter()
                .try_fold(1usize, |product, size| product.checked_mul(size.count))
                .map(|count| (count, shape.iter().filter(|size| size.batch).count()))
        };
        if total(&x.shape).is_none() || total(&x.shape) != total(shape) {
            return Err(format!("{} does not become {}", shown(&x.shape), shown(shape)));
        }
        if shape.iter().skip(1).any(|size| size.batch) {
            return Err(format!("{}: the batch must stay the first axis", shown(shape)));
        }
        Ok(Value { source: x.source, shape: shape.to_vec() })
    }

    /// Without `axes` of length 1.
    ///
    /// # Errors
    /// For axes of another length.
    pub fn squeeze(&self, x: &Value, axes: &[usize]) -> Built<Value> {
        let left: Vec<Size> = x
            .shape
            .iter()
            .enumerate()
            .filter(|(axis, _)| !axes.contains(axis))
            .map(|(_, size)| *size)
            .collect();
        self.reshape(x, &left)
    }

    /// Axes in another order; the batch stays in front.
    ///
    /// # Errors
    /// For what is no order of the axes, and for a batch that would move.
    pub fn transpose(&mut self, x: &Value, order: &[usize]) -> Built<Value> {
        let mut sorted = order.to_vec();
        sorted.sort_unstable();
        if !sorted.iter().copied().eq(0..x.rank()) {
            return Err(format!("{order:?} is no order of the axes of {}", shown(&x.shape)));
        }
        if !x.is_constant() && order.first() != Some(&0) {
            return Err(format!("axes {order:?}: the batch must stay the first axis"));
        }
        let shape: Vec<Size> = order.iter().map(|&axis| x.shape[axis]).collect();
        let hidden = x.hidden();
        let order: Vec<usize> = order.iter().skip(hidden).map(|axis| axis - hidden).collect();
        self.rearrange(x, shape, |numbers| numbers.permuted_axes(IxDyn(&order)))
    }

    /// The entries of an axis that `picks` names, in that order.
    ///
    /// # Errors
    /// For entries that do not exist, and for the batch.
    pub fn take(&mut self, x: &Value, axis: usize, picks: &[usize]) -> Built<Value> {
        let Some(size) = x.shape.get(axis).filter(|size| !size.batch) else {
            return Err(format!("entries of axis {axis} of {}: the batch cannot be cut", shown(&x.shape)));
        };
        if let Some(pick) = picks.iter().find(|pick| **pick >= size.count) {
            return Err(format!("entry {pick} of axis {axis} of {}", shown(&x.shape)));
        }
        let mut shape = x.shape.clone();
        shape[axis] = Size::fixed(picks.len());
        let axis = ndarray::Axis(axis - x.hidden());
        self.rearrange(x, shape, |numbers| numbers.select(axis, picks))
    }

    /// Axes of length 1 repeated, and missing ones put in front, until the shape is `shape`.
    ///
    /// # Errors
    /// For shapes that do not broadcast to it.
    pub fn expand(&mut self, x: &Value, shape: &[Size]) -> Built<Value> {
        if x.shape == shape {
            return Ok(x.clone());
        }
        // A constant that is asked for once per state keeps one row: whoever takes it repeats it.
        let wanted: Vec<Size> = match (x.is_constant(), shape) {
            (true, [first, rest @ ..]) if first.batch => {
                if first.count != 1 {
                    return Err(format!("a constant as {}", shown(shape)));
                }
                [&[Size::fixed(1)], rest].concat()
            }
            _ => shape.to_vec(),
        };
        if broadcast_shapes(&[&x.shape, &wanted], &[x.is_constant(), true])? != wanted {
            return Err(format!("{} does not become {}", shown(&x.shape), shown(shape)));
        }
        if x.shape == wanted {
            return Ok(x.clone());
        }
        if !x.is_constant() && x.rank() != wanted.len() {
            return Err(format!(
                "{} as {}: the batch must stay the first axis",
                shown(&x.shape),
                shown(shape)
            ));
        }
        let hidden = x.hidden();
        let sides: Vec<usize> = wanted.iter().skip(hidden).map(|size| size.count).collect();
        check_numbers(&sides)?;
        self.rearrange(x, wanted, |numbers| {
            numbers.broadcast(IxDyn(&sides)).expect("the shapes were checked").to_owned()
        })
    }

    /// Values one after another along an axis.
    ///
    /// # Errors
    /// For other axes that differ, and for the batch.
    pub fn concat(&mut self, values: &[Value], axis: usize) -> Built<Value> {
        let Some(first) = values.iter().find(|value| !value.is_constant()).or(values.first()) else {
            return Err("nothing to put together".into());
        };
        if axis >= first.rank() || first.shape[axis].batch {
            return Err(format!("axis {axis} of {} is the batch or does not exist", shown(&first.shape)));
        }
        let mut shape = first.shape.clone();
        shape[axis] = Size::fixed(0);
        let mut parts: Vec<Value> = Vec::new();
        for value in values {
            if value.rank() != shape.len() {
                return Err(format!("{} beside {}", shown(&value.shape), shown(&first.shape)));
            }
            let mut wanted = shape.clone();
            wanted[axis] = value.shape[axis];
            // A constant may stand for each state; nothing else is repeated.
            if value.shape != wanted && !(value.is_constant() && value.shape[1..] == wanted[1..] && axis > 0)
            {
                return Err(format!("{} beside {}", shown(&value.shape), shown(&first.shape)));
            }
            shape[axis].count += value.shape[axis].count;
            let others: Vec<&Value> = parts.iter().collect();
            let value = self.distinct(value, &others)?;
            parts.push(value);
        }
        let inner: usize = shape[axis + 1..].iter().map(|size| size.count).product();
        let widths = parts.iter().map(|part| part.shape[axis].count * inner).collect();
        let inputs: Vec<&Value> = parts.iter().collect();
        self.add(Operator::Concat { widths }, &inputs, shape)
    }

    /// A copy, where the value is also one of `others`: the two have gradients of their own.
    pub(super) fn distinct(&mut self, value: &Value, others: &[&Value]) -> Built<Value> {
        if value.is_constant() || others.iter().all(|other| other.source != value.source) {
            return Ok(value.clone());
        }
        self.rearrange(value, value.shape.clone(), |numbers| numbers)
    }

    /// The numbers of a row in another order, some of them several times or not at all.
    fn rearrange(
        &mut self,
        x: &Value,
        shape: Vec<Size>,
        order: impl FnOnce(ArrayD<u32>) -> ArrayD<u32>,
    ) -> Built<Value> {
        let row = x.row();
        check_numbers(&row)?;
        let count: usize = row.iter().product();
        let numbers =
            ArrayD::from_shape_vec(IxDyn(&row), (0..count as u32).collect()).expect("as many as it holds");
        let picked = order(numbers);
        let index: Vec<u32> = picked.iter().copied().collect();
        self.add(Operator::Gather { index: index.into() }, &[x], shape)
    }
}
