//! What a network is made of: each operator's value and vector–Jacobian product over a block of rows.
//!
//! Everything that a file may hold is lowered to these when a [`Graph`](super::Graph) is built. To add one: a variant here, its
//! line in [`Operator::forward`] and [`Operator::backward`], and a file with the two functions.

use std::sync::Arc;

use super::program::Program;
use crate::math::real::Real;

mod arrange;
mod binary;
mod convolution;
mod elementwise;
mod normalise;
mod pool;
mod products;
mod reduce;
mod windows;

pub use binary::Binary;
pub(super) use binary::Spread;
pub use elementwise::Function;
pub use pool::Pooling;
pub use reduce::Reduction;
pub use windows::Geometry;

/// A step of a network, shapes of one row included.
#[derive(Clone, Debug)]
pub(super) enum Operator {
    /// The state itself.
    Input,
    /// A function of single numbers.
    Elementwise(Program),
    /// Two values, number by number, broadcast.
    Binary(Binary, [Spread; 2]),
    /// Second or third input, as the first is not 0 or is.
    Select([Spread; 3]),
    /// (…, inner) times weights (inner, outer), which may lie transposed, plus a bias (outer) if there is a third input.
    Linear { inner: usize, outer: usize, transposed: bool },
    /// (…, rows, inner) times (…, inner, columns), matrix by matrix.
    Product { rows: usize, inner: usize, columns: usize },
    /// Windows of the first input times a kernel, plus a bias if there is a third input.
    Convolution(Geometry),
    /// The largest number or the mean of each window.
    Pool(Pooling, Geometry),
    /// Over the middle axis of (…, count, inner).
    Reduce { reduction: Reduction, count: usize, inner: usize },
    /// Groups of `count` neighbours, shifted and scaled to mean 0 and variance 1.
    Normalise { count: usize, epsilon: f64 },
    /// Numbers `index` of the row.
    Gather { index: Arc<[u32]> },
    /// Stretches of the given widths of each input in turn.
    Concat { widths: Vec<usize> },
}

/// What an operator reads: numbers of a value, and the shape that one state has of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Operand<'a, T> {
    /// One row for each state; a single one of a constant.
    pub(super) data: &'a [T],
    /// The shape of a row.
    pub(super) row: &'a [usize],
    /// Whether it is a constant.
    pub(super) constant: bool,
    /// The weights of a linear map with their axes exchanged; empty where nobody asks for them.
    pub(super) transposed: &'a [T],
}

impl<'a, T: Copy> Operand<'a, T> {
    /// Numbers of one row.
    pub(super) fn numbers(&self) -> usize {
        self.row.iter().product()
    }

    /// What state `index` has of it.
    #[inline]
    pub(super) fn of(&self, index: usize) -> &'a [T] {
        let numbers = self.numbers();
        if self.constant { self.data } else { &self.data[index * numbers..(index + 1) * numbers] }
    }
}

/// Where an operator puts the gradient of an input.
#[derive(Debug)]
pub(super) struct Sink<'a, T> {
    data: &'a mut [T],
    /// Whether nothing was put there yet.
    fresh: bool,
    constant: bool,
}

impl<'a, T: Real> Sink<'a, T> {
    pub(super) fn new(data: &'a mut [T], fresh: bool, constant: bool) -> Self {
        Self { data, fresh, constant }
    }

    /// To be added to.
    pub(super) fn added(&mut self) -> &mut [T] {
        if std::mem::take(&mut self.fresh) {
            self.data.fill(T::ZERO);
        }
        self.data
    }

    /// Whether it must be overwritten instead of added to, and the numbers.
    pub(super) fn written(&mut self) -> (bool, &mut [T]) {
        (std::mem::take(&mut self.fresh), self.data)
    }

    /// What belongs to state `index` of rows of `numbers`, to be added to.
    pub(super) fn of(&mut self, index: usize, numbers: usize) -> &mut [T] {
        let constant = self.constant;
        let data = self.added();
        if constant { data } else { &mut data[index * numbers..(index + 1) * numbers] }
    }
}

/// What the backward pass of a node is given.
pub(super) struct Backward<'a, T> {
    pub(super) rows: usize,
    pub(super) inputs: &'a [Operand<'a, T>],
    pub(super) output: &'a [T],
    /// What the forward pass kept.
    pub(super) kept: &'a [T],
    /// ∂/∂output.
    pub(super) gradient: &'a [T],
    pub(super) scratch: &'a mut Vec<T>,
}

impl Operator {
    /// Numbers that the forward pass keeps for the backward pass, for each state, where the output has `numbers`.
    pub(super) fn kept(&self, numbers: usize) -> usize {
        match self {
            Self::Elementwise(_)
            | Self::Pool(Pooling::Max, _)
            | Self::Reduce { reduction: Reduction::Max, .. } => numbers,
            Self::Normalise { count, .. } => numbers / count,
            _ => 0,
        }
    }

    /// Whether the backward pass reads the values of the inputs, and of the output.
    pub(super) fn reads(&self, parameters: bool) -> (bool, bool) {
        match self {
            Self::Linear { .. } | Self::Convolution(_) => (parameters, false),
            Self::Normalise { .. } => (false, true),
            Self::Binary(..)
            | Self::Select(_)
            | Self::Product { .. }
            | Self::Reduce { reduction: Reduction::LogSumExp, .. } => (true, true),
            _ => (false, false),
        }
    }

    /// Writes the output of `rows` states, and what the backward pass needs if `kept` is there.
    pub(super) fn forward<T: Real>(
        &self,
        rows: usize,
        inputs: &[Operand<'_, T>],
        output: &mut [T],
        kept: Option<&mut [T]>,
        scratch: &mut Vec<T>,
    ) {
        match self {
            Self::Input => unreachable!("the input is given"),
            Self::Elementwise(program) => program.forward(inputs[0].data, output, kept, scratch),
            Self::Binary(operation, spreads) => binary::forward(*operation, spreads, rows, inputs, output),
            Self::Select(spreads) => binary::select(spreads, rows, inputs, output),
            Self::Linear { inner, outer, transposed } => {
                products::linear([*inner, *outer], *transposed, inputs, output);
            }
            Self::Product { rows: high, inner, columns } => {
                products::product([*high, *inner, *columns], rows, inputs, output);
            }
            Self::Convolution(geometry) => convolution::forward(geometry, rows, inputs, output, scratch),
            Self::Pool(pooling, geometry) => pool::forward(*pooling, geometry, inputs, output, kept),
            Self::Reduce { reduction, count, inner } => {
                reduce::forward(*reduction, *count, *inner, inputs[0].data, output, kept);
            }
            Self::Normalise { count, epsilon } => {
                normalise::forward(*count, T::of(*epsilon), inputs[0].data, output, kept);
            }
            Self::Gather { index } => arrange::gather(index, rows, inputs[0], output),
            Self::Concat { widths } => arrange::concat(widths, rows, inputs, output),
        }
    }

    /// Adds to each input's sink, where it has one, its part of the gradient.
    pub(super) fn backward<T: Real>(&self, pass: Backward<'_, T>, sinks: &mut [Option<Sink<'_, T>>]) {
        match self {
            Self::Input => {}
            Self::Elementwise(_) => elementwise::backward(&pass, sinks),
            Self::Binary(operation, spreads) => binary::backward(*operation, spreads, &pass, sinks),
            Self::Select(spreads) => binary::select_backward(spreads, &pass, sinks),
            Self::Linear { inner, outer, transposed } => {
                products::linear_backward([*inner, *outer], *transposed, &pass, sinks);
            }
            Self::Product { rows: high, inner, columns } => {
                products::product_backward([*high, *inner, *columns], &pass, sinks);
            }
            Self::Convolution(geometry) => convolution::backward(geometry, pass, sinks),
            Self::Pool(pooling, geometry) => pool::backward(*pooling, geometry, &pass, sinks),
            Self::Reduce { reduction, count, inner } => {
                reduce::backward(*reduction, *count, *inner, &pass, sinks);
            }
            Self::Normalise { count, .. } => normalise::backward(*count, &pass, sinks),
            Self::Gather { index } => arrange::gather_backward(index, &pass, sinks),
            Self::Concat { widths } => arrange::concat_backward(widths, &pass, sinks),
        }
    }
}
