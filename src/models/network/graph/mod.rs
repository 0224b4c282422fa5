//! A network while it is put together: values with shapes, and the few operators that everything is made of.
//!
//! A value has a row for each state of the batch, or is a constant. The batch is the leading axis of its shape, alone or merged
//! with axes of the state (`k` times the batch): then the value is `k` rows for each state. Nothing may mix the rows of two states,
//! so the batch stays in front and is neither summed over nor cut. What is made of constants alone is computed at once.

use ndarray::{ArrayD, ArrayViewD, IxDyn};

use super::operators::Operator;

mod arrange;
mod operations;
mod size;

pub use size::{Size, shown};
use size::{check_numbers, row};

/// What the builder's methods return: a message says what is wrong with the operands.
pub type Built<T> = Result<T, String>;

/// Numbers that all constants computed from others may have together.
const MOST_COMPUTED: usize = 1 << 24;

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    /// The output of a node; node 0 is the input.
    Node(usize),
    /// A constant.
    Constant(usize),
}

/// A value of a graph that is being built.
#[derive(Clone, Debug, PartialEq)]
pub struct Value {
    /// Where it comes from.
    pub source: Source,
    shape: Vec<Size>,
}

impl Value {
    /// Its shape, the batch in front unless it is a constant.
    #[must_use]
    pub fn shape(&self) -> &[Size] {
        &self.shape
    }

    /// Its axes.
    #[must_use]
    pub fn rank(&self) -> usize {
        self.shape.len()
    }

    /// Whether it is a constant.
    #[must_use]
    pub fn is_constant(&self) -> bool {
        matches!(self.source, Source::Constant(_))
    }

    /// The shape of what one state has of it: all of a constant.
    fn row(&self) -> Vec<usize> {
        row(&self.shape)
    }

    /// How many axes of the shape are not axes of the row: 1 or 0.
    fn hidden(&self) -> usize {
        usize::from(self.shape.first().is_some_and(|size| *size == Size::batches(1)))
    }
}

/// A step of the graph, and what one state has of its output.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) operator: Operator,
    pub(super) inputs: Vec<Source>,
    /// The shape of a row.
    pub(super) row: Vec<usize>,
}

impl Node {
    pub(super) fn numbers(&self) -> usize {
        self.row.iter().product()
    }
}

/// A constant and the name that its file gave it.
#[derive(Clone, Debug)]
pub(super) struct Constant {
    pub(super) name: String,
    pub(super) values: ArrayD<f64>,
}

/// Nodes in the order of computation.
#[derive(Clone, Debug)]
pub struct Graph {
    pub(super) nodes: Vec<Node>,
    pub(super) constants: Vec<Constant>,
    computed: usize,
}

impl Graph {
    /// A graph whose input is one state of this shape, the batch left out, and that input.
    #[must_use]
    pub fn new(input: &[usize]) -> (Self, Value) {
        let node = Node { operator: Operator::Input, inputs: Vec::new(), row: input.to_vec() };
        let graph = Self { nodes: vec![node], constants: Vec::new(), computed: 0 };
        let shape = std::iter::once(Size::batches(1)).chain(input.iter().map(|&n| Size::fixed(n))).collect();
        (graph, Value { source: Source::Node(0), shape })
    }

    /// A constant; its name is what parameters' gradients go by.
    pub fn constant(&mut self, name: impl Into<String>, values: ArrayD<f64>) -> Value {
        let shape = values.shape().iter().map(|&n| Size::fixed(n)).collect();
        let values = values.as_standard_layout().into_owned();
        self.constants.push(Constant { name: name.into(), values });
        Value { source: Source::Constant(self.constants.len() - 1), shape }
    }

    /// A number.
    pub fn number(&mut self, number: f64) -> Value {
        self.constant(String::new(), ndarray::arr0(number).into_dyn())
    }

    /// The values of a constant.
    #[must_use]
    pub fn values(&self, value: &Value) -> Option<ArrayViewD<'_, f64>> {
        let Source::Constant(index) = value.source else { return None };
        let values = self.constants[index].values.view();
        Some(values.into_shape_with_order(IxDyn(&value.row())).expect("constants are only reshaped"))
    }

    fn count_computed(&mut self, numbers: usize) -> Built<()> {
        self.computed = self.computed.saturating_add(numbers);
        if self.computed > MOST_COMPUTED {
            return Err(format!(
                "constants computed from others would take more than {MOST_COMPUTED} numbers"
            ));
        }
        Ok(())
    }

    /// The output of an operator: a new node, or a constant if all inputs are.
    fn add(&mut self, operator: Operator, inputs: &[&Value], shape: Vec<Size>) -> Built<Value> {
        let mut value = Value { source: Source::Node(self.nodes.len()), shape };
        let row = value.row();
        check_numbers(&row)?;
        let node = Node { operator, inputs: inputs.iter().map(|input| input.source).collect(), row };
        if !inputs.is_empty() && inputs.iter().all(|input| input.is_constant()) {
            self.count_computed(node.numbers())?;
            let values = super::plan::evaluate(self, &node);
            let name = match value.source {
                Source::Node(index) => format!("computed {index}"),
                Source::Constant(_) => unreachable!("set above"),
            };
            return Ok(self.constant(name, values));
        }
        value.source = Source::Node(self.nodes.len());
        self.nodes.push(node);
        Ok(value)
    }

    /// The shape of one state, the batch left out.
    #[must_use]
    pub fn input_shape(&self) -> &[usize] {
        &self.nodes[0].row
    }
}
