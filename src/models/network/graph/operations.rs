//! What computes: functions, operations on two values, products, convolutions, reductions.

use super::size::{broadcast_shapes, row, shown};
use super::{Built, Constant, Graph, Size, Source, Value};
use crate::models::network::operators::{Binary, Function, Geometry, Operator, Pooling, Reduction, Spread};
use crate::models::network::program::Program;

impl Graph {
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

    /// The value as it will be broadcast: a constant without its axis of the batch.
    fn aligned(&self, value: &Value, shape: &[Size]) -> Built<Value> {
        let row = shape.first() == Some(&Size::batches(1));
        if value.is_constant() && row && value.rank() == shape.len() {
            return self.squeeze(value, &[0]);
        }
        Ok(value.clone())
    }
}

/// How each of `values` is repeated to have `shape`.
fn spreads<const N: usize>(values: [&Value; N], shape: &[Size]) -> [Spread; N] {
    let to = row(shape);
    values.map(|value| Spread::new(&value.row(), &to))
}

/// The shape that values broadcast to.
fn broadcast(values: &[&Value]) -> Built<Vec<Size>> {
    let shapes: Vec<&[Size]> = values.iter().map(|value| &value.shape[..]).collect();
    let constants: Vec<bool> = values.iter().map(|value| value.is_constant()).collect();
    broadcast_shapes(&shapes, &constants)
}
