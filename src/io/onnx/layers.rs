//! Products, convolutions, pools, norms and reductions.

use super::call::{Call, Item, axis, one};
use super::elementwise::scaled;
use crate::io::Parsed;
use crate::models::network::{Binary, Function, Geometry, Pooling, Reduction, Size, Value};

pub(super) fn gemm(call: &mut Call<'_, '_>) -> Parsed<Vec<Item>> {
    let (a, b) = (call.tensor(0)?, call.tensor(1)?);
    let (alpha, beta) = (call.float("alpha", 1.0), call.float("beta", 1.0));
    let a = if call.int("transA", 0) != 0 { call.graph.transpose(&a, &[1, 0])? } else { a };
    let transposed = call.int("transB", 0) != 0;
    if a.rank() != 2 || b.rank() != 2 {
        return Err("its operands are no matrices".into());
    }
    let product = if b.is_constant() && !a.is_constant() {
        // As it lies in the file, so that it keeps its name.
        let bias = call.optional(2)?.filter(|bias| bias.is_constant() && bias.rank() == 1);
        let outer = b.shape()[usize::from(!transposed)];
        if let Some(bias) = bias.filter(|bias| alpha == 1.0 && beta == 1.0 && bias.shape() == [outer]) {
            return one(call.graph.linear(&a, &b, Some(&bias), transposed)?);
        }
        call.graph.linear(&a, &b, None, transposed)?
    } else {
        let b = if transposed { call.graph.transpose(&b, &[1, 0])? } else { b };
        call.graph.matmul(&a, &b)?
    };
    let product = if alpha == 1.0 { product } else { scaled(call, &product, alpha)? };
    let Some(offset) = call.optional(2)? else { return one(product) };
    let offset = if beta == 1.0 { offset } else { scaled(call, &offset, beta)? };
    one(call.graph.binary(Binary::Add, &product, &offset)?)
}

pub(super) fn matmul(call: &mut Call<'_, '_>) -> Parsed<Vec<Item>> {
    let (a, b) = (call.tensor(0)?, call.tensor(1)?);
    one(call.graph.matmul(&a, &b)?)
}

/// What attributes say of windows, for `spatial` axes of these lengths.
fn geometry(call: &Call<'_, '_>, input: [usize; 3], spatial: usize, window: &[i64]) -> Parsed<Geometry> {
    let pair = |numbers: &[i64], missing: usize| -> Parsed<[usize; 2]> {
        let number = |value: i64| {
            usize::try_from(value)
                .ok()
                .filter(|value| *value <= 1 << 24)
                .ok_or_else(|| format!("{value} is out of range"))
        };
        match (spatial, numbers) {
            (1, [one]) => Ok([missing, number(*one)?]),
            (2, [first, second]) => Ok([number(*first)?, number(*second)?]),
            _ => Err(format!("{numbers:?} for {spatial} axes")),
        }
    };
    let ones = vec![1; spatial];
    let (strides, dilations) =
        (pair(call.ints("strides").unwrap_or(&ones), 1)?, pair(call.ints("dilations").unwrap_or(&ones), 1)?);
    let window = pair(window, 1)?;
    let (mut before, mut after) = ([0; 2], [0; 2]);
    match call.text("auto_pad").unwrap_or("NOTSET") {
        "NOTSET" => {
            if let Some(pads) = call.ints("pads") {
                if pads.len() != 2 * spatial {
                    return Err(format!("{} pads for {spatial} axes", pads.len()));
                }
                (before, after) = (pair(&pads[..spatial], 0)?, pair(&pads[spatial..], 0)?);
            }
        }
        "VALID" => {}
        same @ ("SAME_UPPER" | "SAME_LOWER") => {
            for k in 0..2 {
                let length = input[k + 1];
                let count = length.div_ceil(strides[k].max(1));
                let span = window[k].saturating_sub(1).saturating_mul(dilations[k]) + 1;
                let total =
                    (count.saturating_sub(1).saturating_mul(strides[k]) + span).saturating_sub(length);
                let (small, large) = (total / 2, total - total / 2);
                (before[k], after[k]) = if same == "SAME_UPPER" { (small, large) } else { (large, small) };
            }
        }
        other => return Err(format!("auto_pad {other}")),
    }
    let round_up = call.int("ceil_mode", 0) != 0;
    let count_padding = call.int("count_include_pad", 0) != 0;
    let outputs = input[0];
    Ok(Geometry {
        input,
        outputs,
        groups: 1,
        window,
        strides,
        dilations,
        before,
        after,
        round_up,
        count_padding,
    })
}

/// (batch, channels, length) as an image of height 1, and how many axes there were.
fn image(call: &mut Call<'_, '_>, x: &Value) -> Parsed<(Value, [usize; 3], usize)> {
    let shape = x.shape().to_vec();
    match shape[..] {
        [batch, channels, length] => {
            let image = call.graph.reshape(x, &[batch, channels, Size::fixed(1), length])?;
            Ok((image, [channels.count, 1, length.count], 1))
        }
        [_, channels, height, width] => Ok((x.clone(), [channels.count, height.count, width.count], 2)),
        _ => Err("only one or two axes beside batch and channels are supported".into()),
    }
}

/// Without the height of 1 that was put in.
fn back(call: &mut Call<'_, '_>, y: Value, spatial: usize) -> Parsed<Vec<Item>> {
    one(if spatial == 1 { call.graph.squeeze(&y, &[2])? } else { y })
}

pub(super) fn convolution(call: &mut Call<'_, '_>) -> Parsed<Vec<Item>> {
    let (x, kernel, bias) = (call.tensor(0)?, call.tensor(1)?, call.optional(2)?);
    let (x, input, spatial) = image(call, &x)?;
    if kernel.rank() != spatial + 2 {
        return Err(format!("a kernel with {} axes", kernel.rank()));
    }
    let sides: Vec<i64> = kernel.shape().iter().map(|size| size.count as i64).collect();
    let mut geometry = geometry(call, input, spatial, &sides[2..])?;
    geometry.outputs = sides[0] as usize;
    geometry.groups = usize::try_from(call.int("group", 1)).map_err(|_| "a negative number of groups")?;
    let kernel = if spatial == 1 {
        let shape = kernel.shape().to_vec();
        call.graph.reshape(&kernel, &[shape[0], shape[1], Size::fixed(1), shape[2]])?
    } else {
        kernel
    };
    let y = call.graph.convolution(&x, &kernel, bias.as_ref(), geometry)?;
    back(call, y, spatial)
}

pub(super) fn pool(call: &mut Call<'_, '_>) -> Parsed<Vec<Item>> {
    let x = call.tensor(0)?;
    let (x, input, spatial) = image(call, &x)?;
    let window = call.ints("kernel_shape").ok_or("it has no kernel_shape")?.to_vec();
    let geometry = geometry(call, input, spatial, &window)?;
    let pooling = if call.name() == "MaxPool" { Pooling::Max } else { Pooling::Mean };
    let y = call.graph.pool(&x, pooling, geometry)?;
    back(call, y, spatial)
}

/// `GlobalAveragePool` and `GlobalMaxPool`: over all axes but batch and channels.
pub(super) fn global_pool(call: &mut Call<'_, '_>) -> Parsed<Vec<Item>> {
    let x = call.tensor(0)?;
    let axes: Vec<usize> = (2..x.rank()).collect();
    if call.name() == "GlobalMaxPool" {
        return one(call.graph.reduce(Reduction::Max, &x, &axes, true)?);
    }
    one(mean(call, &x, &axes, true)?)
}

fn mean(call: &mut Call<'_, '_>, x: &Value, axes: &[usize], keep: bool) -> Parsed<Value> {
    let count: usize = axes.iter().filter_map(|at| x.shape().get(*at)).map(|size| size.count).product();
    let sum = call.graph.reduce(Reduction::Sum, x, axes, keep)?;
    scaled(call, &sum, 1.0 / count as f64)
}

pub(super) fn reduce(call: &mut Call<'_, '_>) -> Parsed<Vec<Item>> {
    let x = call.tensor(0)?;
    let keep = call.int("keepdims", 1) != 0;
    let given = call.ints_or_input("axes", 1)?.filter(|axes| !axes.is_empty());
    let axes = match given {
        Some(axes) => axes.into_iter().map(|at| axis(at, x.rank())).collect::<Parsed<Vec<usize>>>()?,
        None if call.int("noop_with_empty_axes", 0) != 0 => return one(x),
        None => (0..x.rank()).collect(),
    };
    let name = call.name().to_owned();
    let function = |call: &mut Call<'_, '_>, function, x: &Value| call.graph.unary(function, x);
    let sum = |call: &mut Call<'_, '_>, x: &Value| call.graph.reduce(Reduction::Sum, x, &axes, keep);
    let result = match &name[..] {
        "ReduceSum" => sum(call, &x)?,
        "ReduceMean" => mean(call, &x, &axes, keep)?,
        "ReduceMax" => call.graph.reduce(Reduction::Max, &x, &axes, keep)?,
        "ReduceMin" => {
            let negative = function(call, Function::Negative, &x)?;
            let largest = call.graph.reduce(Reduction::Max, &negative, &axes, keep)?;
            function(call, Function::Negative, &largest)?
        }
        "ReduceLogSumExp" => call.graph.reduce(Reduction::LogSumExp, &x, &axes, keep)?,
        "ReduceSumSquare" | "ReduceL2" => {
            let square = function(call, Function::Square, &x)?;
            let total = sum(call, &square)?;
            if name == "ReduceL2" { function(call, Function::SquareRoot, &total)? } else { total }
        }
        "ReduceL1" => {
            let size = function(call, Function::Absolute, &x)?;
            sum(call, &size)?
        }
        "ReduceLogSum" => {
            let total = sum(call, &x)?;
            function(call, Function::Log, &total)?
        }
        other => return Err(format!("{other} is no reduction")),
    };
    one(result)
}

/// `Softmax` and `LogSoftmax`: one axis since opset 13, all from an axis on before.
pub(super) fn softmax(call: &mut Call<'_, '_>) -> Parsed<Vec<Item>> {
    let x = call.tensor(0)?;
    let single = call.opset >= 13;
    let at = axis(call.int("axis", if single { -1 } else { 1 }), x.rank())?;
    let axes: Vec<usize> = if single { vec![at] } else { (at..x.rank()).collect() };
    let total = call.graph.reduce(Reduction::LogSumExp, &x, &axes, true)?;
    let log = call.graph.binary(Binary::Subtract, &x, &total)?;
    one(if call.name() == "Softmax" { call.graph.unary(Function::Exp, &log)? } else { log })
}

/// x · scale + shift, both (channels), over axis 1.
fn affine(call: &mut Call<'_, '_>, x: &Value, scale: &Value, shift: &Value) -> Parsed<Vec<Item>> {
    let mut shape = vec![Size::fixed(1); x.rank() - 1];
    let product = {
        shape[0] = scale.shape().first().copied().ok_or("its scale is a single number")?;
        let scale = call.graph.reshape(scale, &shape)?;
        call.graph.binary(Binary::Multiply, x, &scale)?
    };
    shape[0] = shift.shape().first().copied().ok_or("its shift is a single number")?;
    let shift = call.graph.reshape(shift, &shape)?;
    one(call.graph.binary(Binary::Add, &product, &shift)?)
}

pub(super) fn batch_norm(call: &mut Call<'_, '_>) -> Parsed<Vec<Item>> {
    if call.int("training_mode", 0) != 0 {
        return Err(
            "it is in training mode, where rows of the batch are mixed; export after `model.eval()`".into()
        );
    }
    let epsilon = call.float("epsilon", 1e-5);
    let x = call.tensor(0)?;
    let [scale, shift, mean, variance] = [1, 2, 3, 4].map(|index| call.tensor(index));
    let epsilon = call.graph.number(epsilon);
    let variance = call.graph.binary(Binary::Add, &variance?, &epsilon)?;
    let width = call.graph.unary(Function::SquareRoot, &variance)?;
    let scale = call.graph.binary(Binary::Divide, &scale?, &width)?;
    let moved = call.graph.binary(Binary::Multiply, &mean?, &scale)?;
    let shift = call.graph.binary(Binary::Subtract, &shift?, &moved)?;
    if x.rank() < 2 {
        return Err("it has no channels".into());
    }
    affine(call, &x, &scale, &shift)
}

pub(super) fn layer_norm(call: &mut Call<'_, '_>) -> Parsed<Vec<Item>> {
    let (x, scale, shift) = (call.tensor(0)?, call.tensor(1)?, call.optional(2)?);
    let at = axis(call.int("axis", -1), x.rank())?;
    let y = call.graph.normalise(&x, at, call.float("epsilon", 1e-5))?;
    let y = call.graph.binary(Binary::Multiply, &y, &scale)?;
    one(match shift {
        Some(shift) => call.graph.binary(Binary::Add, &y, &shift)?,
        None => y,
    })
}

/// Each of `groups` groups of channels to mean 0 and variance 1.
fn grouped(call: &mut Call<'_, '_>, x: &Value, groups: usize) -> Parsed<Value> {
    let shape = x.shape().to_vec();
    let [batch, rest @ ..] = &shape[..] else { return Err("it has no channels".into()) };
    let count: usize = rest.iter().map(|size| size.count).product();
    if groups == 0 || rest.is_empty() || !rest[0].count.is_multiple_of(groups) {
        return Err(format!("{groups} groups of the channels of {}", crate::models::network::shown(&shape)));
    }
    let flat = call.graph.reshape(x, &[*batch, Size::fixed(groups), Size::fixed(count / groups)])?;
    let flat = call.graph.normalise(&flat, 2, call.float("epsilon", 1e-5))?;
    call.graph.reshape(&flat, &shape)
}

/// `InstanceNormalization`, each channel by itself, and `GroupNormalization`.
pub(super) fn group_norm(call: &mut Call<'_, '_>) -> Parsed<Vec<Item>> {
    let (x, mut scale, mut shift) = (call.tensor(0)?, call.tensor(1)?, call.tensor(2)?);
    let channels = x.shape().get(1).ok_or("it has no channels")?.count;
    let instance = call.name() == "InstanceNormalization";
    let groups = if instance { channels } else { usize::try_from(call.int("num_groups", 1)).unwrap_or(0) };
    let y = grouped(call, &x, groups)?;
    if !instance && call.opset < 21 && groups > 0 {
        // Until opset 21, one scale for each group.
        let picks: Vec<usize> = (0..channels).map(|channel| channel / (channels / groups)).collect();
        scale = call.graph.take(&scale, 0, &picks)?;
        shift = call.graph.take(&shift, 0, &picks)?;
    }
    affine(call, &y, &scale, &shift)
}
