//! Operators that work number by number.

use super::call::{Call, Item, one};
use super::integers::{Integers, Whole, operation};
use super::tensors::{dtype, is_integer};
use crate::io::Parsed;
use crate::models::network::{Binary, Function, Value};

/// f(x), its parameters from the attributes.
pub(super) fn unary(call: &mut Call<'_, '_>) -> Parsed<Vec<Item>> {
    let function = match call.name() {
        "Neg" => Function::Negative,
        "Reciprocal" => Function::Reciprocal,
        "Sqrt" => Function::SquareRoot,
        "Exp" => Function::Exp,
        "Log" => Function::Log,
        "Abs" => Function::Absolute,
        "Sign" => Function::Sign,
        "Erf" => Function::Erf,
        "Sigmoid" => Function::Sigmoid,
        "Tanh" => Function::Tanh,
        "Relu" => Function::LeakyRelu { slope: 0.0 },
        "LeakyRelu" => Function::LeakyRelu { slope: call.float("alpha", 0.01) },
        "Elu" => Function::Elu { alpha: call.float("alpha", 1.0), scale: 1.0, width: 1.0 },
        "Celu" => {
            let alpha = call.float("alpha", 1.0);
            Function::Elu { alpha, scale: 1.0, width: alpha }
        }
        "Selu" => {
            let alpha = call.float("alpha", 1.673_263_192_176_818_8);
            Function::Elu { alpha, scale: call.float("gamma", 1.050_701_022_148_132_3), width: 1.0 }
        }
        "Softplus" => Function::Softplus,
        "Softsign" => Function::Softsign,
        "Sin" => Function::Sine,
        "Cos" => Function::Cosine,
        "Floor" => Function::Floor,
        "Not" => Function::Not,
        other => return Err(format!("{other} is no function of one number")),
    };
    let x = call.tensor(0)?;
    one(call.graph.unary(function, &x)?)
}

/// Two values; whole numbers stay whole.
pub(super) fn binary(call: &mut Call<'_, '_>) -> Parsed<Vec<Item>> {
    let name = call.name().to_owned();
    if let (Item::Integers(a), Item::Integers(b)) = (call.item(0)?, call.item(1)?) {
        let whole = a.binary(&b, |a, b| operation(&name, a, b))?;
        return Ok(vec![Item::Integers(whole)]);
    }
    let kind = match &name[..] {
        "Add" => Binary::Add,
        "Sub" => Binary::Subtract,
        "Mul" => Binary::Multiply,
        "Div" => Binary::Divide,
        "Pow" => Binary::Power,
        "Greater" => Binary::Greater,
        "GreaterOrEqual" => Binary::GreaterOrEqual,
        "Less" => Binary::Less,
        "LessOrEqual" => Binary::LessOrEqual,
        "Equal" => Binary::Equal,
        "And" => Binary::And,
        "Or" => Binary::Or,
        other => return Err(format!("{other} is no operation on two numbers")),
    };
    let (a, b) = (call.tensor(0)?, call.tensor(1)?);
    one(call.graph.binary(kind, &a, &b)?)
}

/// `Max`, `Min`, `Sum` and `Mean` of any number of values.
pub(super) fn several(call: &mut Call<'_, '_>) -> Parsed<Vec<Item>> {
    let name = call.name().to_owned();
    let count = call.inputs.len();
    let integers: Option<Vec<Integers>> = call
        .inputs
        .iter()
        .map(|input| match input {
            Some(Item::Integers(integers)) => Some(integers.clone()),
            _ => None,
        })
        .collect();
    if let Some([first, rest @ ..]) = integers.as_deref()
        && name != "Mean"
    {
        let name = if name == "Sum" { "Add" } else { &name };
        let total = rest.iter().try_fold(first.clone(), |a, b| a.binary(b, |a, b| operation(name, a, b)))?;
        return Ok(vec![Item::Integers(total)]);
    }
    let kind = match &name[..] {
        "Max" => Binary::Maximum,
        "Min" => Binary::Minimum,
        _ => Binary::Add,
    };
    let mut total = call.tensor(0)?;
    for index in 1..count {
        let next = call.tensor(index)?;
        total = call.graph.binary(kind, &total, &next)?;
    }
    if name == "Mean" {
        total = scaled(call, &total, 1.0 / count as f64)?;
    }
    one(total)
}

/// x times a number.
pub(super) fn scaled(call: &mut Call<'_, '_>, x: &Value, factor: f64) -> Parsed<Value> {
    let factor = call.graph.number(factor);
    call.graph.binary(Binary::Multiply, x, &factor)
}

pub(super) fn gelu(call: &mut Call<'_, '_>) -> Parsed<Vec<Item>> {
    let x = call.tensor(0)?;
    if call.text("approximate") != Some("tanh") {
        return one(call.graph.unary(Function::Gelu, &x)?);
    }
    // x (1 + tanh(√(2/π) (x + 0.044715 x³)))/2 (Hendrycks & Gimpel 2016, arXiv:1606.08415).
    let cube = call.graph.unary(Function::Power { power: 3.0 }, &x)?;
    let cube = scaled(call, &cube, 0.044_715)?;
    let sum = call.graph.binary(Binary::Add, &x, &cube)?;
    let sum = scaled(call, &sum, (2.0 / std::f64::consts::PI).sqrt())?;
    let tanh = call.graph.unary(Function::Tanh, &sum)?;
    let half = scaled(call, &x, 0.5)?;
    let product = call.graph.binary(Binary::Multiply, &half, &tanh)?;
    one(call.graph.binary(Binary::Add, &half, &product)?)
}

/// `HardSigmoid`, clip(α x + β, 0, 1), and `HardSwish`, x times that with α = 1/6 and β = 1/2.
pub(super) fn hard(call: &mut Call<'_, '_>) -> Parsed<Vec<Item>> {
    let x = call.tensor(0)?;
    let swish = call.name() == "HardSwish";
    let alpha = if swish { 1.0 / 6.0 } else { call.float("alpha", 0.2) };
    let beta = if swish { 0.5 } else { call.float("beta", 0.5) };
    let line = scaled(call, &x, alpha)?;
    let beta = call.graph.number(beta);
    let line = call.graph.binary(Binary::Add, &line, &beta)?;
    let gate = call.graph.unary(Function::Clip { low: 0.0, high: 1.0 }, &line)?;
    one(if swish { call.graph.binary(Binary::Multiply, &x, &gate)? } else { gate })
}

/// x tanh(softplus x).
pub(super) fn mish(call: &mut Call<'_, '_>) -> Parsed<Vec<Item>> {
    let x = call.tensor(0)?;
    let gate = call.graph.unary(Function::Softplus, &x)?;
    let gate = call.graph.unary(Function::Tanh, &gate)?;
    one(call.graph.binary(Binary::Multiply, &x, &gate)?)
}

/// max(x, 0) + slope · min(x, 0).
pub(super) fn prelu(call: &mut Call<'_, '_>) -> Parsed<Vec<Item>> {
    let (x, slope) = (call.tensor(0)?, call.tensor(1)?);
    let above = call.graph.unary(Function::LeakyRelu { slope: 0.0 }, &x)?;
    let below = call.graph.binary(Binary::Subtract, &x, &above)?;
    let below = call.graph.binary(Binary::Multiply, &slope, &below)?;
    one(call.graph.binary(Binary::Add, &above, &below)?)
}

pub(super) fn clip(call: &mut Call<'_, '_>) -> Parsed<Vec<Item>> {
    let low = if call.has(1) { call.number(1)? } else { call.float("min", f64::NEG_INFINITY) };
    let high = if call.has(2) { call.number(2)? } else { call.float("max", f64::INFINITY) };
    let x = call.tensor(0)?;
    one(call.graph.unary(Function::Clip { low, high }, &x)?)
}

pub(super) fn select(call: &mut Call<'_, '_>) -> Parsed<Vec<Item>> {
    if let (Item::Integers(a), Item::Integers(b)) = (call.item(1)?, call.item(2)?) {
        let condition = call.integers(0)?;
        // Where the condition holds, then where it does not: two passes of two operands.
        let none = Whole::fixed(i64::MIN);
        let first = condition.binary(&a, |c, a| Ok(if c.count == 0 { none } else { a }))?;
        let both = first.binary(&b, |a, b| Ok(if a == none { b } else { a }))?;
        return Ok(vec![Item::Integers(both)]);
    }
    let (condition, a, b) = (call.tensor(0)?, call.tensor(1)?, call.tensor(2)?);
    one(call.graph.select(&condition, &a, &b)?)
}

/// Between types of floats a value stays what it is: everything is computed in the precision of the plan.
pub(super) fn cast(call: &mut Call<'_, '_>) -> Parsed<Vec<Item>> {
    let to = dtype(Some(rten_onnx::onnx::DataType(call.int("to", 1) as i32)))?;
    let item = call.item(0)?;
    if is_integer(to) {
        return Ok(vec![Item::Integers(call.integers(0)?)]);
    }
    if to != crate::io::dtype::Dtype::Bool {
        // The size of the batch stays one, as far as it is not computed with.
        return Ok(vec![match item {
            Item::Integers(integers) if integers.values.iter().any(|value| value.batch) => {
                Item::Integers(integers)
            }
            _ => Item::Tensor(call.tensor(0)?),
        }]);
    }
    let x = call.tensor(0)?;
    let zero = call.graph.unary(Function::Not, &x)?;
    one(call.graph.unary(Function::Not, &zero)?)
}

/// What inference leaves as it is.
pub(super) fn identity(call: &mut Call<'_, '_>) -> Parsed<Vec<Item>> {
    if call.name() == "Dropout" && call.has(2) && call.number(2)? != 0.0 {
        return Err("it is in training mode; export after `model.eval()`".into());
    }
    Ok(vec![call.item(0)?])
}
