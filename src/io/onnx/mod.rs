//! ONNX networks: a file's graph, node by node, as a [`Graph`](crate::models::network::Graph).
//!
//! The file is untrusted: `wire.rs` checks every length before the parser allocates by it, tensors grow within the budget of any
//! file (`bytes.rs`), and constants that are computed from others within that of the graph. To support another operator: its line
//! in [`OPERATORS`], and a handler in `elementwise.rs`, `arrange.rs` or `layers.rs`.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use rten_onnx::onnx::{GraphProto, ModelProto, NodeProto, ValueInfoProto};

use super::Parsed;
use super::bytes::{Budget, digest, printable};
use super::dtype::Dtype;
use crate::models::network::{Graph, Precision, Size, Value, shown};

mod arrange;
mod call;
mod elementwise;
mod integers;
mod layers;
mod shapes;
mod tensors;
mod wire;

use call::{Call, Item};
use tensors::{Store, is_integer};

type Handler = fn(&mut Call<'_, '_>) -> Parsed<Vec<Item>>;

/// Operators that are understood, and what makes steps of a graph of each.
const OPERATORS: &[(&[&str], Handler)] = &[
    (
        &[
            "Neg",
            "Reciprocal",
            "Sqrt",
            "Exp",
            "Log",
            "Abs",
            "Sign",
            "Erf",
            "Sigmoid",
            "Tanh",
            "Relu",
            "LeakyRelu",
            "Elu",
            "Celu",
            "Selu",
            "Softplus",
            "Softsign",
            "Sin",
            "Cos",
            "Floor",
            "Not",
        ],
        elementwise::unary,
    ),
    (
        &[
            "Add",
            "Sub",
            "Mul",
            "Div",
            "Pow",
            "Mod",
            "Greater",
            "GreaterOrEqual",
            "Less",
            "LessOrEqual",
            "Equal",
            "And",
            "Or",
        ],
        elementwise::binary,
    ),
    (&["Max", "Min", "Sum", "Mean"], elementwise::several),
    (&["Gelu"], elementwise::gelu),
    (&["HardSigmoid", "HardSwish"], elementwise::hard),
    (&["Mish"], elementwise::mish),
    (&["PRelu"], elementwise::prelu),
    (&["Clip"], elementwise::clip),
    (&["Where"], elementwise::select),
    (&["Cast"], elementwise::cast),
    (&["Identity", "Dropout"], elementwise::identity),
    (&["Constant"], shapes::constant),
    (&["ConstantOfShape"], shapes::constant_of_shape),
    (&["Shape"], shapes::shape),
    (&["Size"], shapes::size),
    (&["Reshape"], arrange::reshape),
    (&["Flatten"], arrange::flatten),
    (&["Squeeze"], arrange::squeeze),
    (&["Unsqueeze"], arrange::unsqueeze),
    (&["Transpose"], arrange::transpose),
    (&["Concat"], arrange::concat),
    (&["Slice"], arrange::slice),
    (&["Split"], arrange::split),
    (&["Gather"], arrange::gather),
    (&["Expand"], arrange::expand),
    (&["Tile"], arrange::tile),
    (&["Pad"], arrange::pad),
    (&["Gemm"], layers::gemm),
    (&["MatMul"], layers::matmul),
    (&["Conv"], layers::convolution),
    (&["MaxPool", "AveragePool"], layers::pool),
    (&["GlobalAveragePool", "GlobalMaxPool"], layers::global_pool),
    (
        &[
            "ReduceSum",
            "ReduceMean",
            "ReduceMax",
            "ReduceMin",
            "ReduceL1",
            "ReduceL2",
            "ReduceLogSum",
            "ReduceLogSumExp",
            "ReduceSumSquare",
        ],
        layers::reduce,
    ),
    (&["Softmax", "LogSoftmax"], layers::softmax),
    (&["BatchNormalization"], layers::batch_norm),
    (&["LayerNormalization"], layers::layer_norm),
    (&["InstanceNormalization", "GroupNormalization"], layers::group_norm),
];

/// Versions of the operators that are understood.
const OPSETS: std::ops::RangeInclusive<i64> = 9..=25;

/// A network out of a file, its output not interpreted yet.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) graph: Graph,
    pub(super) output: Value,
    pub(super) precision: Precision,
    /// How the file was understood.
    pub(super) notes: Vec<String>,
    /// Name and SHA-256 of each file that holds weights of it.
    pub(super) beside: Vec<(String, String)>,
}

/// Reads a serialised `ModelProto`; data that it keeps in a second file lie in `folder`.
pub(super) fn read(bytes: &[u8], folder: Option<&Path>, budget: Budget) -> Parsed<Parts> {
    wire::check(bytes)?;
    let model = ModelProto::parse_buf(bytes).map_err(|error| format!("it is no ONNX model: {error}"))?;
    let opset = model
        .opset_import
        .iter()
        .find(|set| matches!(set.domain.as_deref(), None | Some("" | "ai.onnx")))
        .and_then(|set| set.version)
        .ok_or("it does not say which opset its operators are of")?;
    if !OPSETS.contains(&opset) {
        return Err(format!(
            "its operators are of opset {opset}; {} to {} are read",
            OPSETS.start(),
            OPSETS.end()
        ));
    }
    let file = model.graph.as_ref().ok_or("it holds no graph")?;
    let mut store = Store { folder, budget, beside: BTreeMap::new() };
    let mut reader = Reader::new(file, &mut store)?;
    for node in &file.node {
        reader.node(node, opset, &mut store)?;
    }
    let [output] = &file.output[..] else {
        return Err(format!("it has {} outputs; the energy should be the only one", file.output.len()));
    };
    let name = output.name.as_deref().unwrap_or_default();
    let Some(Item::Tensor(value)) = reader.values.remove(name) else {
        return Err(format!("its output `{}` is whole numbers, or nothing gives it", printable(name)));
    };
    let precision = reader.precision;
    let producer =
        [&model.producer_name, &model.producer_version].map(|text| text.as_deref().unwrap_or_default());
    let notes = vec![
        format!("format: ONNX, opset {opset}, written by {}", printable(producer.join(" ").trim())),
        format!("input `{}`: {}", printable(&reader.input), shown(&reader.shape)),
        format!("output `{}`: {}", printable(name), shown(value.shape())),
    ];
    let beside = store.beside.iter().map(|(name, bytes)| (printable(name), digest(bytes))).collect();
    Ok(Parts { graph: reader.graph, output: value, precision, notes, beside })
}

/// The graph so far.
struct Reader {
    graph: Graph,
    values: HashMap<String, Item>,
    input: String,
    shape: Vec<Size>,
    precision: Precision,
}

impl Reader {
    /// The input and what the file holds of constants.
    fn new(file: &GraphProto, store: &mut Store<'_>) -> Parsed<Self> {
        let named = |name: &Option<String>| name.clone().unwrap_or_default();
        let constants: Vec<String> = file.initializer.iter().map(|tensor| named(&tensor.name)).collect();
        // Old files list constants among the inputs.
        let inputs: Vec<&ValueInfoProto> =
            file.input.iter().filter(|input| !constants.contains(&named(&input.name))).collect();
        let [input] = inputs[..] else {
            let names: Vec<String> = inputs.iter().map(|input| printable(&named(&input.name))).collect();
            return Err(format!(
                "it has {} inputs ({}); the state should be the only one",
                inputs.len(),
                names.join(", ")
            ));
        };
        let name = named(&input.name);
        let (sides, precision) =
            input_type(input).map_err(|message| format!("input `{}`: {message}", printable(&name)))?;
        let (mut graph, state) = Graph::new(&sides);
        let shape = state.shape().to_vec();
        let mut values = HashMap::from([(name.clone(), Item::Tensor(state))]);
        for tensor in &file.initializer {
            let (array, dtype) = store.read(tensor)?;
            let name = named(&tensor.name);
            if let Some((at, value)) = array.indexed_iter().find(|(_, value)| value.is_nan()) {
                return Err(format!(
                    "tensor `{}` holds {value} at {at:?}; parameters must be numbers",
                    printable(&name)
                ));
            }
            let item = shapes::item(&mut graph, name.clone(), array, is_integer(dtype));
            values.insert(name, item);
        }
        Ok(Self { graph, values, input: name, shape, precision })
    }

    /// The steps of one node.
    fn node(&mut self, node: &NodeProto, opset: i64, store: &mut Store<'_>) -> Parsed<()> {
        let kind = node.op_type.as_deref().unwrap_or_default();
        let label = || {
            let name = node.name.as_deref().filter(|name| !name.is_empty());
            let name = name.or(node.output.first().map(String::as_str)).unwrap_or_default();
            format!("node `{}`", printable(name))
        };
        let domain = node.domain.as_deref().unwrap_or_default();
        let known = ["", "ai.onnx"].contains(&domain);
        let handler =
            OPERATORS.iter().find(|(names, _)| known && names.contains(&kind)).map(|(_, handler)| handler);
        let Some(handler) = handler else {
            let of = if known { String::new() } else { format!(" of domain {}", printable(domain)) };
            return Err(format!(
                "{} is {}{of} (opset {opset}), which is not supported",
                label(),
                printable(kind)
            ));
        };
        let mut inputs = Vec::new();
        for name in &node.input {
            inputs.push(if name.is_empty() {
                None
            } else {
                let item = self.values.get(name).cloned();
                Some(item.ok_or_else(|| {
                    format!("{} ({kind}) reads `{}`, which nothing before it gives", label(), printable(name))
                })?)
            });
        }
        let mut call = Call { graph: &mut self.graph, node, inputs, opset, store };
        let items = handler(&mut call)
            .map_err(|message| format!("{} ({kind}, opset {opset}): {message}", label()))?;
        for (name, item) in node.output.iter().zip(items) {
            if !name.is_empty() {
                self.values.insert(name.clone(), item);
            }
        }
        Ok(())
    }
}

/// The shape of one state, and the precision of the network.
fn input_type(input: &ValueInfoProto) -> Parsed<(Vec<usize>, Precision)> {
    let tensor = input.r#type.as_ref().and_then(|kind| kind.tensor_type.as_ref()).ok_or("it is no tensor")?;
    let precision = match tensors::dtype(tensor.elem_type)? {
        Dtype::F64 => Precision::Double,
        Dtype::F32 | Dtype::F16 | Dtype::BF16 => Precision::Single,
        other => return Err(format!("states of type {} are not supported; floats are", other.name())),
    };
    let shape = tensor.shape.as_ref().ok_or("it has no shape; export with a fixed number of axes")?;
    let [batch, rest @ ..] = &shape.dim[..] else { return Err("it has no axis for the batch".into()) };
    if let Some(fixed) = batch.dim_value.filter(|_| batch.dim_param.as_deref().unwrap_or_default().is_empty())
    {
        return Err(format!(
            "its first axis is fixed at {fixed}, but is the batch; export with a dynamic one: torch.onnx.export(…, dynamic_axes={{'{0}': \
             {{0: 'batch'}}}}), or dynamic_shapes=({{0: torch.export.Dim('batch')}},) with dynamo",
            printable(input.name.as_deref().unwrap_or_default())
        ));
    }
    let side = |(at, dim): (usize, &rten_onnx::onnx::Dimension)| {
        dim.dim_value
            .and_then(|side| usize::try_from(side).ok())
            .filter(|side| *side > 0)
            .ok_or_else(|| format!("axis {} has no fixed size; only the first, the batch, may vary", at + 1))
    };
    let sides = rest.iter().enumerate().map(side).collect::<Parsed<Vec<usize>>>()?;
    let numbers = sides.iter().try_fold(1usize, |product, side| product.checked_mul(*side));
    if numbers.is_none_or(|numbers| numbers > 1 << 24) {
        return Err(format!("states of shape {sides:?} are too large"));
    }
    Ok((sides, precision))
}
