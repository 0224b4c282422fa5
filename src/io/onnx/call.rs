//! One node of an ONNX graph: its inputs, its attributes, and the graph that it adds to.

use ndarray::{ArrayD, IxDyn};
use rten_onnx::onnx::{AttributeProto, NodeProto};

use super::integers::{Integers, Whole};
use super::tensors::Store;
use crate::io::Parsed;
use crate::models::network::{Graph, Value};

/// A value of the file's graph.
#[derive(Clone, Debug)]
pub(super) enum Item {
    /// Numbers that energies are made of.
    Tensor(Value),
    /// Whole numbers that shapes are made of.
    Integers(Integers),
}

/// What a node's handler works with.
pub(super) struct Call<'a, 'b> {
    pub(super) graph: &'a mut Graph,
    pub(super) node: &'a NodeProto,
    pub(super) inputs: Vec<Option<Item>>,
    pub(super) opset: i64,
    pub(super) store: &'a mut Store<'b>,
}

impl Call<'_, '_> {
    /// The operator's name.
    pub(super) fn name(&self) -> &str {
        self.node.op_type.as_deref().unwrap_or_default()
    }

    /// Whether there is such an input.
    pub(super) fn has(&self, index: usize) -> bool {
        self.inputs.get(index).is_some_and(Option::is_some)
    }

    pub(super) fn item(&self, index: usize) -> Parsed<Item> {
        self.inputs.get(index).cloned().flatten().ok_or_else(|| format!("its input {index} is missing"))
    }

    /// An input as numbers; whole ones become a constant.
    pub(super) fn tensor(&mut self, index: usize) -> Parsed<Value> {
        match self.item(index)? {
            Item::Tensor(value) => Ok(value),
            Item::Integers(integers) => {
                let numbers = integers.numbers()?.into_iter().map(|number| number as f64).collect();
                let array = ArrayD::from_shape_vec(IxDyn(&integers.shape), numbers)
                    .map_err(|error| error.to_string())?;
                Ok(self.graph.constant(String::new(), array))
            }
        }
    }

    pub(super) fn optional(&mut self, index: usize) -> Parsed<Option<Value>> {
        if self.has(index) { self.tensor(index).map(Some) } else { Ok(None) }
    }

    /// An input as whole numbers.
    pub(super) fn integers(&self, index: usize) -> Parsed<Integers> {
        match self.item(index)? {
            Item::Integers(integers) => Ok(integers),
            Item::Tensor(value) => {
                let values = self.graph.values(&value).ok_or("it would depend on the state")?;
                let whole = values.iter().map(|number| Whole::fixed(*number as i64)).collect();
                Ok(Integers { values: whole, shape: values.shape().to_vec() })
            }
        }
    }

    /// An input that is a single number.
    pub(super) fn number(&mut self, index: usize) -> Parsed<f64> {
        let value = self.tensor(index)?;
        let values = self.graph.values(&value).filter(|values| values.len() == 1);
        values
            .map(|values| values.sum())
            .ok_or_else(|| format!("its input {index} should be one constant number"))
    }

    fn attribute(&self, name: &str) -> Option<&AttributeProto> {
        self.node.attribute.iter().find(|attribute| attribute.name.as_deref() == Some(name))
    }

    pub(super) fn int(&self, name: &str, default: i64) -> i64 {
        self.attribute(name).and_then(|attribute| attribute.i).unwrap_or(default)
    }

    pub(super) fn float(&self, name: &str, default: f64) -> f64 {
        self.attribute(name).and_then(|attribute| attribute.f).map_or(default, f64::from)
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.attribute(name).and_then(|attribute| attribute.s.as_deref())
    }

    pub(super) fn ints(&self, name: &str) -> Option<&[i64]> {
        self.attribute(name).map(|attribute| &attribute.ints[..])
    }

    pub(super) fn any_attribute(&self, name: &str) -> Option<AttributeProto> {
        self.attribute(name).cloned()
    }

    /// Whole numbers from an attribute, as before some opset, or from an input, as since then.
    pub(super) fn ints_or_input(&self, name: &str, index: usize) -> Parsed<Option<Vec<i64>>> {
        if let Some(ints) = self.ints(name) {
            return Ok(Some(ints.to_vec()));
        }
        if self.has(index) { self.integers(index)?.numbers().map(Some) } else { Ok(None) }
    }
}

/// An axis of `rank`, counted from the end if it is negative.
pub(super) fn axis(axis: i64, rank: usize) -> Parsed<usize> {
    let from_front = if axis < 0 { axis + rank as i64 } else { axis };
    usize::try_from(from_front)
        .ok()
        .filter(|axis| *axis < rank.max(1))
        .ok_or_else(|| format!("axis {axis} of a value with {rank} axes"))
}

/// One tensor, as most operators give.
#[allow(clippy::unnecessary_wraps, reason = "handlers end with it")]
pub(super) fn one(value: Value) -> Parsed<Vec<Item>> {
    Ok(vec![Item::Tensor(value)])
}
