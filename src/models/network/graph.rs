//! A network while it is put together: values with shapes, and the few operators that everything is made of.
//!
//! A value has a row for each state of the batch, or is a constant. The batch is the leading axis of its shape, alone or merged
//! with axes of the state (`k` times the batch): then the value is `k` rows for each state. Nothing may mix the rows of two states,
//! so the batch stays in front and is neither summed over nor cut. What is made of constants alone is computed at once.

use std::fmt;

use ndarray::{ArrayD, ArrayViewD, IxDyn};

use super::operators::{Binary, Function, Geometry, Operator, Pooling, Reduction, Spread};
use super::program::Program;

/// What the builder's methods return: a message says what is wrong with the operands.
pub type Built<T> = Result<T, String>;

/// Numbers that one value may have for one state.
const MOST_NUMBERS: usize = 1 << 26;
/// Numbers that all constants computed from others may have together.
const MOST_COMPUTED: usize = 1 << 24;

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

    /// f of every number.
    ///
    /// # Errors
    /// Never for values of this graph that fit in memory, as below.
    pub fn unary(&mut self, function: Function, x: &Value) -> Built<Value> {
        self.add(Operator::Elementwise(Program::unary(function)), &[x], x.shape.clone())
    }

    /// Two values number by number, broadcast as in NumPy.
    ///
    /// # Errors
    /// For shapes that do not fit, or that would mix the rows of the batch.
    pub fn binary(&mut self, operation: Binary, a: &Value, b: &Value) -> Built<Value> {
        let shape = broadcast(&[a, b])?;
        // A number and a value, or a value and itself, are an elementwise function. A vector of length 1 with a name is a parameter.
        let number = |graph: &Self, value: &Value| {
            let Source::Constant(index) = value.source else { return None };
            let Constant { name, values } = &graph.constants[index];
            (values.len() == 1 && (values.ndim() == 0 || name.is_empty())).then(|| values.sum())
        };
        if a.source == b.source && a.shape == b.shape && !a.is_constant() {
            return self.add(Operator::Elementwise(Program::with_itself(operation)), &[a], shape);
        }
        if let Some(number) = number(self, b)
            && !a.is_constant()
            && a.shape == shape
        {
            return self.add(
                Operator::Elementwise(Program::with_number(operation, number, false)),
                &[a],
                shape,
            );
        }
        if let Some(number) = number(self, a)
            && !b.is_constant()
            && b.shape == shape
        {
            return self.add(
                Operator::Elementwise(Program::with_number(operation, number, true)),
                &[b],
                shape,
            );
        }
        let (a, b) = (self.aligned(a, &shape)?, self.aligned(b, &shape)?);
        let spreads = spreads([&a, &b], &shape);
        self.add(Operator::Binary(operation, spreads), &[&a, &b], shape)
    }

    /// a where the condition is not 0, b elsewhere.
    ///
    /// # Errors
    /// As [`Graph::binary`].
    pub fn select(&mut self, condition: &Value, a: &Value, b: &Value) -> Built<Value> {
        let shape = broadcast(&[condition, a, b])?;
        let condition = self.aligned(condition, &shape)?;
        let (a, b) = (self.aligned(a, &shape)?, self.aligned(b, &shape)?);
        let b = self.distinct(&b, &[&a, &condition])?;
        let a = self.distinct(&a, &[&condition])?;
        let spreads = spreads([&condition, &a, &b], &shape);
        self.add(Operator::Select(spreads), &[&condition, &a, &b], shape)
    }

    /// x W (+ bias) over the last axis of x, for constant W and bias (m); W is (k, m), or (m, k) if it lies `transposed`.
    ///
    /// # Errors
    /// For shapes that do not fit.
    pub fn linear(
        &mut self,
        x: &Value,
        weights: &Value,
        bias: Option<&Value>,
        transposed: bool,
    ) -> Built<Value> {
        let misfit =
            || Err(format!("{} does not fit weights of shape {}", shown(&x.shape), shown(&weights.shape)));
        let (Some(last), [first, second]) = (x.shape.last().copied(), &weights.shape[..]) else {
            return misfit();
        };
        let [inner, outer] = if transposed { [second, first] } else { [first, second] };
        if last != *inner || !weights.is_constant() {
            return misfit();
        }
        if let Some(bias) = bias
            && (!bias.is_constant() || bias.shape != [*outer])
        {
            return Err(format!("a bias of shape {} for {outer} units", shown(&bias.shape)));
        }
        let mut shape = x.shape.clone();
        *shape.last_mut().expect("it has a last axis") = *outer;
        let operator = Operator::Linear { inner: inner.count, outer: outer.count, transposed };
        let inputs: Vec<&Value> = [x, weights].into_iter().chain(bias).collect();
        self.add(operator, &inputs, shape)
    }

    /// The product of matrices in the last two axes, the others broadcast, as NumPy's `matmul`.
    ///
    /// # Errors
    /// For shapes that do not fit, or that would mix the rows of the batch.
    pub fn matmul(&mut self, a: &Value, b: &Value) -> Built<Value> {
        let misfit = || format!("{} does not multiply {}", shown(&a.shape), shown(&b.shape));
        if a.rank() == 0 || b.rank() == 0 {
            return Err(misfit());
        }
        if b.rank() == 1 {
            let column = self.reshape(b, &[&b.shape[..], &[Size::fixed(1)]].concat())?;
            let product = self.matmul(a, &column)?;
            return self.squeeze(&product, &[product.rank() - 1]);
        }
        if a.rank() == 1 {
            let row = self.reshape(a, &[&[Size::fixed(1)], &a.shape[..]].concat())?;
            let product = self.matmul(&row, b)?;
            return self.squeeze(&product, &[product.rank() - 2]);
        }
        let (inner, columns) = (b.shape[b.rank() - 2], b.shape[b.rank() - 1]);
        if a.shape[a.rank() - 1] != inner || inner.batch || columns.batch {
            return Err(misfit());
        }
        if b.is_constant() && b.rank() == 2 && !a.is_constant() {
            return self.linear(a, b, None, false);
        }
        let rows = a.shape[a.rank() - 2];
        let lead = |value: &Value| value.shape[..value.rank() - 2].to_vec();
        if rows.batch {
            return Err(format!("{}: rows of the batch would be mixed", misfit()));
        }
        let (lead_a, lead_b) = (lead(a), lead(b));
        let lead_shape =
            broadcast_shapes(&[&lead_a, &lead_b], [a.is_constant(), b.is_constant()].as_slice())?;
        let a = self.expand(a, &[&lead_shape[..], &[rows, inner]].concat())?;
        let b = self.expand(b, &[&lead_shape[..], &[inner, columns]].concat())?;
        let b = self.distinct(&b, &[&a])?;
        let operator = Operator::Product { rows: rows.count, inner: inner.count, columns: columns.count };
        self.add(operator, &[&a, &b], [&lead_shape[..], &[rows, columns]].concat())
    }

    /// The convolution of (batch, channels, height, width) with a constant kernel (outputs, channels / groups, …), plus a bias.
    ///
    /// # Errors
    /// For shapes that do not fit.
    pub fn convolution(
        &mut self,
        x: &Value,
        kernel: &Value,
        bias: Option<&Value>,
        geometry: Geometry,
    ) -> Built<Value> {
        let inputs: Vec<&Value> = [x, kernel].into_iter().chain(bias).collect();
        if !kernel.is_constant() || bias.is_some_and(|bias| !bias.is_constant()) {
            return Err("the kernel and the bias of a convolution must be constants".into());
        }
        let row = x.row();
        let [channels, height, width] = row[..] else {
            return Err(format!("a convolution of {}", shown(&x.shape)));
        };
        if [channels, height, width] != geometry.input {
            return Err(format!("a convolution over {:?} of {row:?}", geometry.input));
        }
        let outputs = geometry.outputs;
        let expected = [outputs, channels / geometry.groups.max(1), geometry.window[0], geometry.window[1]];
        let found: Vec<usize> = kernel.shape.iter().map(|size| size.count).collect();
        if geometry.groups == 0
            || channels % geometry.groups != 0
            || !outputs.is_multiple_of(geometry.groups)
            || found != expected
        {
            return Err(format!(
                "a kernel of shape {found:?} for {channels} channels in {} groups",
                geometry.groups
            ));
        }
        if bias.is_some_and(|bias| bias.shape != [Size::fixed(outputs)]) {
            return Err(format!("a bias for {outputs} channels must have as many numbers"));
        }
        let [high, wide] = geometry.output()?;
        let shape = vec![x.shape[0], Size::fixed(outputs), Size::fixed(high), Size::fixed(wide)];
        self.add(Operator::Convolution(geometry), &inputs, shape)
    }

    /// The largest number or the mean of each window of (batch, channels, height, width).
    ///
    /// # Errors
    /// For shapes that do not fit.
    pub fn pool(&mut self, x: &Value, pooling: Pooling, geometry: Geometry) -> Built<Value> {
        if x.row() != geometry.input || x.hidden() != 1 {
            return Err(format!("pooling over {:?} of {}", geometry.input, shown(&x.shape)));
        }
        let [high, wide] = geometry.output()?;
        let shape = vec![x.shape[0], x.shape[1], Size::fixed(high), Size::fixed(wide)];
        self.add(Operator::Pool(pooling, geometry), &[x], shape)
    }

    /// Sums, maxima or log-sum-exps over `axes`, which stay with length 1 if `keep`.
    ///
    /// # Errors
    /// For axes that do not exist, and for the batch.
    pub fn reduce(&mut self, reduction: Reduction, x: &Value, axes: &[usize], keep: bool) -> Built<Value> {
        let mut axes = axes.to_vec();
        axes.sort_unstable();
        axes.dedup();
        let mut result = x.clone();
        // From the last axis on: neighbours are one reduction.
        let mut left = &axes[..];
        while let Some(&last) = left.last() {
            if last >= x.rank() {
                return Err(format!("axis {last} of {}", shown(&x.shape)));
            }
            let run = left.iter().rev().enumerate().take_while(|(i, axis)| **axis + i == last).count();
            let first = last + 1 - run;
            if !x.is_constant() && first == 0 {
                return Err("a reduction over the batch would mix its rows".into());
            }
            let of = |sizes: &[Size]| sizes.iter().map(|size| size.count).product::<usize>();
            let count = of(&result.shape[first..=last]);
            if count == 0 {
                return Err(format!("a reduction over no numbers of {}", shown(&x.shape)));
            }
            let mut shape = result.shape.clone();
            let inner = of(&shape[last + 1..]);
            shape[first..=last].fill(Size::fixed(1));
            result = self.add(Operator::Reduce { reduction, count, inner }, &[&result], shape)?;
            left = &left[..left.len() - run];
        }
        if keep { Ok(result) } else { self.squeeze(&result, &axes) }
    }

    /// (x − mean) / √(variance + ε) over all axes from `axis` on.
    ///
    /// # Errors
    /// For an axis that does not exist, and for the batch.
    pub fn normalise(&mut self, x: &Value, axis: usize, epsilon: f64) -> Built<Value> {
        if axis >= x.rank() || (axis == 0 && !x.is_constant()) {
            return Err(format!("a normalisation of {} from axis {axis} on", shown(&x.shape)));
        }
        let count = x.shape[axis..].iter().map(|size| size.count).product();
        if count == 0 {
            return Err(format!("a normalisation over no numbers of {}", shown(&x.shape)));
        }
        self.add(Operator::Normalise { count, epsilon }, &[x], x.shape.clone())
    }

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

    /// The value as it will be broadcast: a constant without its axis of the batch.
    fn aligned(&self, value: &Value, shape: &[Size]) -> Built<Value> {
        let row = shape.first() == Some(&Size::batches(1));
        if value.is_constant() && row && value.rank() == shape.len() {
            return self.squeeze(value, &[0]);
        }
        Ok(value.clone())
    }

    /// A copy, where the value is also one of `others`: the two have gradients of their own.
    fn distinct(&mut self, value: &Value, others: &[&Value]) -> Built<Value> {
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

/// What one state has of a value of this shape: a batch alone in front is no axis of it, k batches are one of length k.
fn row(shape: &[Size]) -> Vec<usize> {
    let alone = shape.first().is_some_and(|size| *size == Size::batches(1));
    shape.iter().skip(usize::from(alone)).map(|size| size.count).collect()
}

/// How each of `values` is repeated to have `shape`.
fn spreads<const N: usize>(values: [&Value; N], shape: &[Size]) -> [Spread; N] {
    let to = row(shape);
    values.map(|value| Spread::new(&value.row(), &to))
}

/// Refuses rows too large to compute with.
fn check_numbers(row: &[usize]) -> Built<()> {
    let numbers = row.iter().try_fold(1usize, |product, side| product.checked_mul(*side));
    match numbers {
        Some(numbers) if numbers <= MOST_NUMBERS => Ok(()),
        _ => Err(format!(
            "a value of shape {row:?} for each state is too large; at most {MOST_NUMBERS} numbers"
        )),
    }
}

/// The shape that values broadcast to.
fn broadcast(values: &[&Value]) -> Built<Vec<Size>> {
    let shapes: Vec<&[Size]> = values.iter().map(|value| &value.shape[..]).collect();
    let constants: Vec<bool> = values.iter().map(|value| value.is_constant()).collect();
    broadcast_shapes(&shapes, &constants)
}

fn broadcast_shapes(shapes: &[&[Size]], constants: &[bool]) -> Built<Vec<Size>> {
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
