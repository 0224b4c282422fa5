//! Energies given by neural networks.
//!
//! A file is lowered to a [`Graph`] of a dozen operators (`graph.rs`, `operators/`), which is compiled once: elementwise steps in a
//! row become one (`fuse.rs`, `program.rs`), buffers are shared (`layout.rs`), and the steps run over blocks of rows on all cores,
//! forward and back (`plan.rs`).

use std::fmt;
use std::sync::{Arc, OnceLock};

use ndarray::{Array1, Array2, ArrayD, ArrayView2, ArrayViewD};

use super::{Domain, Gradient, Model, Space, Tempered};
use crate::error::{Error, Result};

mod fuse;
mod graph;
mod layout;
mod operators;
mod plan;
mod program;
#[cfg(test)]
mod tests;

pub use graph::{Built, Graph, Size, Source, Value, shown};
pub use operators::{Binary, Function, Geometry, Pooling, Reduction};
use plan::Plan;

/// What the output of a network means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Output {
    /// E(x), one number.
    #[default]
    Energy,
    /// −E(x), one number.
    LogDensity,
    /// Logits f_y(x) of classes y: E(x) = −log Σ_y exp f_y(x), the reading of a classifier as a joint model p(x, y) ∝ exp f_y(x)
    /// (Grathwohl et al. 2020, arXiv:1912.03263).
    Logits,
    /// The logit of one class: E(x) = −f_y(x), so that Z_y/Σ Z = p(y).
    Class(usize),
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Energy => f.write_str("energy"),
            Self::LogDensity => f.write_str("log-density"),
            Self::Logits => f.write_str("logits"),
            Self::Class(class) => write!(f, "logit of class {class}"),
        }
    }
}

/// The precision that energies are computed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// f32, as most networks are trained: energies are right to about 1e-6 of their largest terms.
    Single,
    /// f64.
    Double,
}

/// exp(−E(x)), E a network, on ℝᵈ or a box.
///
/// ```
/// use lnz::models::network::{Function, Graph, Network, Output, Precision, Reduction};
/// use lnz::models::{Domain, Model};
/// let (mut graph, x) = Graph::new(&[2]);
/// let square = graph.unary(Function::Square, &x)?;
/// let energy = graph.reduce(Reduction::Sum, &square, &[1], false)?;
/// let model = Network::new(graph, &energy, Output::Energy, Domain::Real, Precision::Double)?;
/// assert_eq!(model.energy(ndarray::array![[3.0, 4.0]].view())[0], 25.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Network {
    graph: Graph,
    output: usize,
    shape: Vec<usize>,
    space: Space,
    meaning: Output,
    classes: Option<usize>,
    precision: Precision,
    single: OnceLock<Plan<f32>>,
    double: OnceLock<Plan<f64>>,
}

impl Network {
    /// The network that computes `output`, (batch), (batch, 1) or, as logits, (batch, classes).
    ///
    /// # Errors
    /// [`Error::Model`] for an output of another shape, and for one that does not depend on the state.
    pub fn new(
        mut graph: Graph,
        output: &Value,
        meaning: Output,
        domain: Domain,
        precision: Precision,
    ) -> Result<Self> {
        let last = output.shape().last().map(|axis| axis.count);
        let classes = last.filter(|_| matches!(meaning, Output::Logits | Output::Class(_)));
        let energy =
            energy(&mut graph, output, meaning).map_err(|message| Error::model("network", message))?;
        let Source::Node(output) = energy.source else {
            return Err(Error::model("network", "the output does not depend on the input"));
        };
        let shape = graph.input_shape().to_vec();
        let space = Space::new(shape.iter().product(), domain);
        if space.dim == 0 {
            return Err(Error::model("network", "the input holds no numbers"));
        }
        let (single, double) = (OnceLock::new(), OnceLock::new());
        Ok(Self { graph, output, shape, space, meaning, classes, precision, single, double })
    }

    /// The shape of a state as the network takes it, without the batch; states of [`Model::space`] are its numbers in order.
    #[must_use]
    pub fn input_shape(&self) -> &[usize] {
        &self.shape
    }

    /// How many classes it has logits of, where its output is [`Output::Logits`] or one of them.
    #[must_use]
    pub fn classes(&self) -> Option<usize> {
        self.classes
    }

    /// The precision of [`Model::energy`].
    #[must_use]
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// The same network in another precision.
    #[must_use]
    pub fn in_precision(&self, precision: Precision) -> Self {
        Self {
            graph: self.graph.clone(),
            output: self.output,
            shape: self.shape.clone(),
            space: self.space.clone(),
            meaning: self.meaning,
            classes: self.classes,
            precision,
            single: OnceLock::new(),
            double: OnceLock::new(),
        }
    }

    /// E(xᵢ), and Σᵢ wᵢ ∂E(xᵢ)/∂θ by the name of each constant θ that the energy depends on.
    ///
    /// # Panics
    /// Unless there is one weight for each row.
    #[must_use]
    pub fn parameter_gradients(
        &self,
        states: ArrayView2<'_, f64>,
        weights: &[f64],
    ) -> (Array1<f64>, Vec<(String, ArrayD<f64>)>) {
        assert_eq!(weights.len(), states.nrows(), "one weight for each row");
        let (energies, gradients) = match self.precision {
            Precision::Single => self.single().parameter_gradients(states, weights),
            Precision::Double => self.double().parameter_gradients(states, weights),
        };
        let named = self.graph.constants.iter().zip(gradients);
        let named = named.filter_map(|(constant, gradient)| Some((constant.name.clone(), gradient?)));
        (energies, named.collect())
    }

    /// Every constant that was given a name, with its values.
    pub fn constants(&self) -> impl Iterator<Item = (&str, ArrayViewD<'_, f64>)> {
        let named = self.graph.constants.iter().filter(|constant| !constant.name.is_empty());
        named.map(|constant| (constant.name.as_str(), constant.values.view()))
    }

    /// How many numbers its constants hold.
    #[must_use]
    pub fn parameters(&self) -> usize {
        self.graph.constants.iter().map(|constant| constant.values.len()).sum()
    }

    fn single(&self) -> &Plan<f32> {
        self.single.get_or_init(|| Plan::new(&self.graph, self.output))
    }

    fn double(&self) -> &Plan<f64> {
        self.double.get_or_init(|| Plan::new(&self.graph, self.output))
    }
}

/// E as one number for each state.
fn energy(graph: &mut Graph, output: &Value, meaning: Output) -> Built<Value> {
    let expected = |wanted: &str| {
        Err(format!(
            "the output has shape {}, but {wanted}; --output says what it means (energy, log-density or logits)",
            shown(output.shape())
        ))
    };
    let [batch, rest @ ..] = output.shape() else { return expected("it should be (batch) or (batch, 1)") };
    if *batch != Size::batches(1) {
        return expected("its first axis should be the batch");
    }
    let numbers: usize = rest.iter().map(|size| size.count).product();
    let flat = [Size::batches(1), Size::fixed(numbers)];
    match meaning {
        Output::Energy | Output::LogDensity => {
            if numbers != 1 {
                return expected("an energy is one number for each state: (batch) or (batch, 1)");
            }
            let value = graph.reshape(output, &flat)?;
            if meaning == Output::Energy { Ok(value) } else { graph.unary(Function::Negative, &value) }
        }
        Output::Logits | Output::Class(_) => {
            if rest.len() != 1 || numbers < 2 {
                return expected("logits are (batch, classes) with two classes or more");
            }
            let value = match meaning {
                Output::Class(class) if class >= numbers => {
                    return Err(format!(
                        "class {class} was asked for, but the output {} has classes 0 to {}",
                        shown(output.shape()),
                        numbers - 1
                    ));
                }
                Output::Class(class) => graph.take(output, 1, &[class])?,
                _ => graph.reduce(Reduction::LogSumExp, output, &[1], true)?,
            };
            graph.unary(Function::Negative, &value)
        }
    }
}

impl Model for Network {
    fn kind(&self) -> &'static str {
        "network"
    }

    fn space(&self) -> Space {
        self.space.clone()
    }

    fn energy(&self, states: ArrayView2<'_, f64>) -> Array1<f64> {
        match self.precision {
            Precision::Single => self.single().energies(states),
            Precision::Double => self.double().energies(states),
        }
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        let steps = match self.precision {
            Precision::Single => self.single().steps(),
            Precision::Double => self.double().steps(),
        };
        let shape: Vec<String> = self.shape.iter().map(usize::to_string).collect();
        vec![
            ("input", shape.join(" x ")),
            ("output", self.meaning.to_string()),
            ("parameters", self.parameters().to_string()),
            ("steps", steps.to_string()),
            ("precision", if self.precision == Precision::Single { "f32" } else { "f64" }.into()),
        ]
    }

    fn gradient(&self) -> Option<&dyn Gradient> {
        Some(self)
    }

    fn precise(&self) -> Option<Arc<dyn Model>> {
        (self.precision == Precision::Single)
            .then(|| Arc::new(self.in_precision(Precision::Double)) as Arc<dyn Model>)
    }

    /// Weights are packed anew for every product: that is cheap beside it only where there are rows enough.
    fn preferred_rows(&self) -> Option<usize> {
        let largest = self.graph.constants.iter().map(|constant| constant.values.len()).max().unwrap_or(0);
        (largest > 1 << 16).then_some(256)
    }

    fn at_temperature(self: Arc<Self>, temperature: f64) -> Arc<dyn Model> {
        Arc::new(Tempered::new(self, temperature))
    }
}

impl Gradient for Network {
    fn energy_and_gradient(&self, states: ArrayView2<'_, f64>) -> (Array1<f64>, Array2<f64>) {
        match self.precision {
            Precision::Single => self.single().energies_and_gradients(states),
            Precision::Double => self.double().energies_and_gradients(states),
        }
    }
}
