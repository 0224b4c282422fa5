//! Perceptrons as state dicts have them: matrices and biases, layer by layer.

use std::sync::Arc;

use super::parts::describe;
use crate::io::Parsed;
use crate::io::tensors::{Tensor, Tensors};
use crate::models::network::{Function, Graph, Network, Output, Precision};
use crate::models::{Domain, Model};
use crate::wording;

/// A layer's tensors.
struct Layer<'a> {
    /// (outputs, inputs), as PyTorch stores it.
    weight: &'a Tensor,
    bias: Option<&'a Tensor>,
}

/// The perceptron that the tensors make, with `activation` between its layers.
pub(super) fn read(
    tensors: &Tensors,
    activation: Function,
    output: Output,
) -> Parsed<(Arc<dyn Model>, Vec<String>)> {
    let layers = layers(tensors)?;
    let mut notes = vec![format!("format: {}", tensors.format), format!("sha256: {}", tensors.digest)];
    let inputs = layers[0].weight.values.shape()[1];
    let (mut graph, mut value) = Graph::new(&[inputs]);
    let mut precision = Precision::Single;
    for (index, layer) in layers.iter().enumerate() {
        let expected = value.shape()[1].count;
        let shape = layer.weight.values.shape();
        if shape[1] != expected {
            return Err(format!(
                "{} takes {} numbers, but {expected} come to it; weights are (outputs, inputs), layers in the order of their names",
                describe(layer.weight),
                shape[1]
            ));
        }
        for tensor in [Some(layer.weight), layer.bias].into_iter().flatten() {
            if let Some((at, value)) = tensor.values.indexed_iter().find(|(_, value)| !value.is_finite()) {
                return Err(format!("`{}`{:?} is {value}; parameters must be finite", tensor.name, at));
            }
            notes.push(format!("{}: layer {}", describe(tensor), index + 1));
            if tensor.dtype == "f64" {
                precision = Precision::Double;
            }
        }
        let weight = graph.constant(&layer.weight.name, layer.weight.values.clone());
        let bias = layer.bias.map(|bias| {
            let values =
                bias.values.clone().into_shape_with_order(bias.values.len()).expect("it is a vector");
            graph.constant(&bias.name, values.into_dyn())
        });
        value = graph.linear(&value, &weight, bias.as_ref(), true)?;
        if index + 1 < layers.len() {
            value = graph.unary(activation, &value)?;
        }
    }
    let network =
        Network::new(graph, &value, output, Domain::Real, precision).map_err(|error| error.to_string())?;
    Ok((Arc::new(network), notes))
}

/// Whether the tensors are named as layers are.
pub(super) fn may_be(tensors: &Tensors) -> bool {
    let layers = tensors.items.iter().filter(|tensor| tensor.values.ndim() == 2);
    layers.filter(|tensor| tensor.name.ends_with(".weight")).count() > 1
}

/// Matrices in the order of their names, `2.weight` before `10.weight`, each with the vector of the same name.
fn layers(tensors: &Tensors) -> Parsed<Vec<Layer<'_>>> {
    let stem = |name: &str, end: &str| name.strip_suffix(end).map(str::to_owned);
    let mut layers: Vec<(String, Layer<'_>)> = Vec::new();
    for tensor in &tensors.items {
        if tensor.values.ndim() == 2 {
            let stem = stem(&tensor.name, "weight").ok_or_else(|| {
                format!("{} should be named `….weight` to be a layer of a perceptron", describe(tensor))
            })?;
            layers.push((stem, Layer { weight: tensor, bias: None }));
        }
    }
    for tensor in tensors.items.iter().filter(|tensor| tensor.values.ndim() != 2) {
        let layer = stem(&tensor.name, "bias")
            .and_then(|stem| layers.iter_mut().find(|(name, _)| *name == stem))
            .filter(|(_, layer)| tensor.values.shape() == [layer.weight.values.shape()[0]]);
        let (_, layer) = layer.ok_or_else(|| {
            format!("{} belongs to no layer of a perceptron; export other networks to ONNX", describe(tensor))
        })?;
        layer.bias = Some(tensor);
    }
    if layers.is_empty() {
        return Err(format!(
            "no layers: they are named `….weight` (outputs, inputs) and `….bias` (the file holds {})",
            tensors.summary()
        ));
    }
    layers.sort_by_key(|(stem, _)| wording::natural(stem));
    Ok(layers.into_iter().map(|(_, layer)| layer).collect())
}
