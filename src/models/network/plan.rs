//! A network compiled: its steps over blocks of rows, forward and back.

use std::fmt;
use std::sync::Mutex;

use ndarray::{Array1, Array2, ArrayD, ArrayView2, IxDyn};
use rayon::prelude::*;

use super::fuse::fuse;
use super::graph::{Graph, Node, Source};
use super::layout::{Layout, Purpose};
use super::operators::{Backward, Operand, Operator, Sink};
use crate::math::real::Real;

/// Bytes that the buffers of a block should take: what a core's second cache holds.
const CACHE: usize = 1 << 20;
/// Rows of a block, where large weights are packed for each product: fewer make that dear; and where there are none.
const FEWEST_ROWS: usize = 128;
const FEWEST_LIGHT_ROWS: usize = 16;
/// Numbers from which weights are large.
const LARGE: usize = 1 << 14;
/// More bring nothing.
const MOST_ROWS: usize = 256;

/// A network ready to run in one precision.
pub(super) struct Plan<T> {
    nodes: Vec<Node>,
    output: usize,
    constants: Vec<Stored<T>>,
    energy: Layout,
    gradient: Layout,
    parameters: Layout,
    fewest_rows: usize,
    idle: Mutex<Vec<Workspace<T>>>,
}

/// A constant in the precision of the plan.
struct Stored<T> {
    values: Vec<T>,
    shape: Vec<usize>,
    /// Weights of linear maps once more, their axes exchanged: packing a transposed view takes longer than the product of a small block.
    transposed: Vec<T>,
    /// Whether a step reads it.
    used: bool,
}

/// Buffers for one block; a thread takes one and puts it back.
struct Workspace<T> {
    buffers: Vec<Vec<T>>,
    scratch: Vec<T>,
}

impl<T> fmt::Debug for Plan<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let steps: Vec<_> = self.nodes.iter().map(|node| &node.operator).collect();
        f.debug_struct("Plan").field("steps", &steps).finish_non_exhaustive()
    }
}

impl<T: Real> Plan<T> {
    /// The steps to `output`, which is one number for each state.
    pub(super) fn new(graph: &Graph, output: usize) -> Self {
        let (nodes, output) = fuse(graph, output);
        let reads = |index: usize| nodes.iter().any(|node| node.inputs.contains(&Source::Constant(index)));
        let linear = |index: usize| {
            nodes.iter().find_map(|node| match node.operator {
                Operator::Linear { inner, outer, transposed }
                    if node.inputs[1] == Source::Constant(index) =>
                {
                    Some(if transposed { [outer, inner] } else { [inner, outer] })
                }
                _ => None,
            })
        };
        let constants = graph.constants.iter().enumerate().map(|(index, constant)| {
            let used = reads(index);
            let values =
                if used { constant.values.iter().map(|value| T::of(*value)).collect() } else { Vec::new() };
            let transposed = match linear(index) {
                Some([rows, columns]) => {
                    let values = constant.values.as_slice().expect("constants are in standard layout");
                    (0..rows * columns).map(|at| T::of(values[at % rows * columns + at / rows])).collect()
                }
                None => Vec::new(),
            };
            Stored { values, shape: constant.values.shape().to_vec(), transposed, used }
        });
        let constants = constants.collect();
        let layout = |purpose| Layout::new(&nodes, output, purpose);
        let (energy, gradient, parameters) =
            (layout(Purpose::Energy), layout(Purpose::Gradient), layout(Purpose::Parameters));
        let heavy = |node: &Node| matches!(node.operator, Operator::Linear { inner, outer, .. } if inner * outer >= LARGE);
        let fewest_rows = if nodes.iter().any(heavy) { FEWEST_ROWS } else { FEWEST_LIGHT_ROWS };
        let idle = Mutex::new(Vec::new());
        Self { nodes, output, constants, energy, gradient, parameters, fewest_rows, idle }
    }

    /// How many steps there are.
    pub(super) fn steps(&self) -> usize {
        self.nodes.len() - 1
    }

    /// E(xᵢ) of each row.
    pub(super) fn energies(&self, states: ArrayView2<'_, f64>) -> Array1<f64> {
        let mut energies = Array1::zeros(states.nrows());
        let block = self.block(&self.energy, states.nrows());
        let run = |(index, out): (usize, &mut [f64])| {
            self.with_workspace(|workspace| {
                self.forward(&self.energy, false, rows_of(&states, index * block, out.len()), workspace);
                self.read_energies(&self.energy, workspace, out);
            });
        };
        let out = energies.as_slice_mut().expect("it was just made");
        if out.len() <= block {
            run((0, out));
        } else {
            out.par_chunks_mut(block).enumerate().for_each(run);
        }
        energies
    }

    /// E(xᵢ) and ∇E(xᵢ) of each row.
    pub(super) fn energies_and_gradients(&self, states: ArrayView2<'_, f64>) -> (Array1<f64>, Array2<f64>) {
        let (rows, dim) = states.dim();
        let mut energies = Array1::zeros(rows);
        let mut gradients = Array2::zeros((rows, dim));
        let block = self.block(&self.gradient, rows);
        let run = |((index, energies), gradients): ((usize, &mut [f64]), &mut [f64])| {
            self.with_workspace(|workspace| {
                let states = rows_of(&states, index * block, energies.len());
                self.forward(&self.gradient, true, states, workspace);
                self.read_energies(&self.gradient, workspace, energies);
                self.backward(&self.gradient, energies.len(), None, workspace, &mut []);
                match self.gradient.gradients[0] {
                    Some(buffer) => {
                        let found = &workspace.buffers[buffer][..gradients.len()];
                        gradients.iter_mut().zip(found).for_each(|(out, value)| *out = value.wide());
                    }
                    // The energy does not depend on the state.
                    None => gradients.fill(0.0),
                }
            });
        };
        let (out, gradient) = (
            energies.as_slice_mut().expect("it was just made"),
            gradients.as_slice_mut().expect("it was just made"),
        );
        if rows <= block {
            run(((0, out), gradient));
        } else {
            let chunks = gradient.par_chunks_mut(block * dim);
            out.par_chunks_mut(block).enumerate().zip(chunks).for_each(run);
        }
        (energies, gradients)
    }

    /// E(xᵢ), and Σᵢ wᵢ ∂E(xᵢ)/∂θ for each constant θ that is used.
    pub(super) fn parameter_gradients(
        &self,
        states: ArrayView2<'_, f64>,
        weights: &[f64],
    ) -> (Array1<f64>, Vec<Option<ArrayD<f64>>>) {
        let rows = states.nrows();
        let mut energies = Array1::zeros(rows);
        let block = self.block(&self.parameters, rows);
        let out = energies.as_slice_mut().expect("it was just made");
        let parts: Vec<Vec<Vec<T>>> = out
            .par_chunks_mut(block)
            .enumerate()
            .map(|(index, energies)| {
                let mut found: Vec<Vec<T>> =
                    self.constants.iter().map(|constant| vec![T::ZERO; constant.values.len()]).collect();
                self.with_workspace(|workspace| {
                    let from = index * block;
                    let states = rows_of(&states, from, energies.len());
                    self.forward(&self.parameters, true, states, workspace);
                    self.read_energies(&self.parameters, workspace, energies);
                    let weights = &weights[from..from + energies.len()];
                    self.backward(&self.parameters, energies.len(), Some(weights), workspace, &mut found);
                });
                found
            })
            .collect();
        let totals = self.constants.iter().enumerate().map(|(index, constant)| {
            constant.used.then(|| {
                let mut total = ArrayD::zeros(IxDyn(&constant.shape));
                for part in &parts {
                    total.iter_mut().zip(&part[index]).for_each(|(total, value)| *total += value.wide());
                }
                total
            })
        });
        (energies, totals.collect())
    }

    /// Rows of a block of a run over `rows`.
    fn block(&self, layout: &Layout, rows: usize) -> usize {
        let fit = CACHE / (layout.per_row() * size_of::<T>()).max(1);
        (fit / 16 * 16).clamp(self.fewest_rows, MOST_ROWS).min(rows.max(1))
    }

    fn with_workspace<R>(&self, work: impl FnOnce(&mut Workspace<T>) -> R) -> R {
        let idle = || self.idle.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let taken = idle().pop();
        let mut workspace = taken.unwrap_or_else(|| Workspace { buffers: Vec::new(), scratch: Vec::new() });
        let result = work(&mut workspace);
        idle().push(workspace);
        result
    }

    fn operand<'a>(
        &'a self,
        layout: &Layout,
        buffers: &'a [Vec<T>],
        source: Source,
        rows: usize,
    ) -> Operand<'a, T> {
        match source {
            Source::Node(index) => {
                let node = &self.nodes[index];
                let data = &buffers[layout.values[index]];
                // A value that was given up may share a smaller buffer.
                let data = &data[..data.len().min(rows * node.numbers())];
                Operand { data, row: &node.row, constant: false, transposed: &[] }
            }
            Source::Constant(index) => {
                let Stored { values, shape, transposed, .. } = &self.constants[index];
                Operand { data: values, row: shape, constant: true, transposed }
            }
        }
    }

    fn forward(
        &self,
        layout: &Layout,
        keep: bool,
        states: ArrayView2<'_, f64>,
        workspace: &mut Workspace<T>,
    ) {
        let rows = states.nrows();
        let Workspace { buffers, scratch } = workspace;
        buffers.resize_with(layout.widths.len().max(buffers.len()), Vec::new);
        for (buffer, width) in buffers.iter_mut().zip(&layout.widths) {
            if buffer.len() < rows * width {
                buffer.resize(rows * width, T::ZERO);
            }
        }
        let input = &mut buffers[layout.values[0]];
        input.iter_mut().zip(states).for_each(|(out, x)| *out = T::of(*x));
        for (index, node) in self.nodes.iter().enumerate().skip(1) {
            let mut output = std::mem::take(&mut buffers[layout.values[index]]);
            let kept_buffer = layout.kept[index].filter(|_| keep);
            let mut kept = kept_buffer.map(|buffer| std::mem::take(&mut buffers[buffer]));
            let inputs: Vec<_> =
                node.inputs.iter().map(|input| self.operand(layout, buffers, *input, rows)).collect();
            let numbers = node.numbers();
            let kept_part = kept.as_mut().map(|kept| &mut kept[..rows * node.operator.kept(numbers)]);
            node.operator.forward(rows, &inputs, &mut output[..rows * numbers], kept_part, scratch);
            drop(inputs);
            buffers[layout.values[index]] = output;
            if let (Some(buffer), Some(kept)) = (kept_buffer, kept) {
                buffers[buffer] = kept;
            }
        }
    }

    fn read_energies(&self, layout: &Layout, workspace: &Workspace<T>, out: &mut [f64]) {
        let energies = &workspace.buffers[layout.values[self.output]];
        out.iter_mut().zip(energies).for_each(|(out, energy)| *out = energy.wide());
    }

    /// The way back from ∂/∂E = weights, or 1; gradients in constants are added to `constants` if it is not empty.
    fn backward(
        &self,
        layout: &Layout,
        rows: usize,
        weights: Option<&[f64]>,
        workspace: &mut Workspace<T>,
        constants: &mut [Vec<T>],
    ) {
        let Workspace { buffers, scratch } = workspace;
        let seed = layout.gradients[self.output].expect("the way back begins at the output");
        match weights {
            None => buffers[seed][..rows].fill(T::ONE),
            Some(weights) => buffers[seed].iter_mut().zip(weights).for_each(|(out, w)| *out = T::of(*w)),
        }
        let mut fresh = vec![true; self.nodes.len()];
        fresh[self.output] = false;
        for (index, node) in self.nodes.iter().enumerate().skip(1).rev() {
            let Some(gradient) = layout.gradients[index].filter(|_| !fresh[index]) else { continue };
            // Buffers of what is written are taken out, so that the others can be read meanwhile.
            let mut taken: Vec<Option<Vec<T>>> = Vec::with_capacity(node.inputs.len());
            for input in &node.inputs {
                taken.push(match *input {
                    Source::Node(input) => {
                        layout.gradients[input].map(|buffer| std::mem::take(&mut buffers[buffer]))
                    }
                    Source::Constant(index) => constants.get_mut(index).map(std::mem::take),
                });
            }
            let mut sinks: Vec<Option<Sink<'_, T>>> = Vec::with_capacity(taken.len());
            for (input, taken) in node.inputs.iter().zip(&mut taken) {
                sinks.push(taken.as_mut().map(|taken| match *input {
                    Source::Node(input) => {
                        let first = std::mem::take(&mut fresh[input]);
                        Sink::new(&mut taken[..rows * self.nodes[input].numbers()], first, false)
                    }
                    Source::Constant(_) => Sink::new(taken, false, true),
                }));
            }
            let numbers = node.numbers();
            let inputs: Vec<_> =
                node.inputs.iter().map(|input| self.operand(layout, buffers, *input, rows)).collect();
            let kept_width = rows * node.operator.kept(numbers);
            let kept = layout.kept[index].map_or(&[][..], |buffer| &buffers[buffer][..kept_width]);
            let value = &buffers[layout.values[index]];
            let pass = Backward {
                rows,
                inputs: &inputs,
                output: &value[..value.len().min(rows * numbers)],
                kept,
                gradient: &buffers[gradient][..rows * numbers],
                scratch,
            };
            node.operator.backward(pass, &mut sinks);
            // An operator that has no derivative in an input leaves zeros.
            sinks.iter_mut().flatten().for_each(|sink| {
                sink.added();
            });
            drop(sinks);
            drop(inputs);
            for (input, taken) in node.inputs.iter().zip(taken) {
                let Some(taken) = taken else { continue };
                match *input {
                    Source::Node(input) => {
                        buffers[layout.gradients[input].expect("it was taken from there")] = taken;
                    }
                    Source::Constant(index) => constants[index] = taken,
                }
            }
        }
    }
}

/// Rows `from`, `from` + 1, … of `states`.
fn rows_of<'a>(states: &ArrayView2<'a, f64>, from: usize, count: usize) -> ArrayView2<'a, f64> {
    states.slice_move(ndarray::s![from..from + count, ..])
}

/// The output of a node whose inputs are constants.
pub(super) fn evaluate(graph: &Graph, node: &Node) -> ArrayD<f64> {
    let inputs: Vec<Operand<'_, f64>> = node
        .inputs
        .iter()
        .map(|input| match *input {
            Source::Constant(index) => {
                let values = &graph.constants[index].values;
                let data = values.as_slice().expect("constants are in standard layout");
                Operand { data, row: values.shape(), constant: true, transposed: &[] }
            }
            Source::Node(_) => unreachable!("only constants are computed at once"),
        })
        .collect();
    let mut output = vec![0.0; node.numbers()];
    node.operator.forward(1, &inputs, &mut output, None, &mut Vec::new());
    ArrayD::from_shape_vec(IxDyn(&node.row), output).expect("as many numbers as the shape says")
}
