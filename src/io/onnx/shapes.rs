//! Constants, and the shapes that graphs compute with.

use ndarray::{ArrayD, IxDyn};

use super::call::{Call, Item, one};
use super::integers::{self, Integers, Whole};
use super::tensors::is_integer;
use crate::io::Parsed;
use crate::models::network::Graph;

pub(super) fn constant(call: &mut Call<'_, '_>) -> Parsed<Vec<Item>> {
    if let Some(value) = call.any_attribute("value") {
        let tensor = value.t.ok_or("its value is no tensor")?;
        let (values, dtype) = call.store.read(&tensor)?;
        return Ok(vec![item(call.graph, String::new(), values, is_integer(dtype))]);
    }
    let (values, whole): (Vec<f64>, bool) = if let Some(value) = call.any_attribute("value_float") {
        return one(call.graph.number(f64::from(value.f.ok_or("its value is missing")?)));
    } else if let Some(value) = call.any_attribute("value_int") {
        let number = Whole::fixed(value.i.ok_or("its value is missing")?);
        return Ok(vec![Item::Integers(Integers { values: vec![number], shape: Vec::new() })]);
    } else if let Some(value) = call.any_attribute("value_floats") {
        (value.floats.iter().map(|x| f64::from(*x)).collect(), false)
    } else if let Some(value) = call.any_attribute("value_ints") {
        (value.ints.iter().map(|x| *x as f64).collect(), true)
    } else {
        return Err("its value is neither a tensor nor numbers".into());
    };
    let values = ArrayD::from_shape_vec(IxDyn(&[values.len()]), values).expect("a vector");
    Ok(vec![item(call.graph, String::new(), values, whole)])
}

/// An array of the file as a value.
pub(super) fn item(graph: &mut Graph, name: String, values: ArrayD<f64>, whole: bool) -> Item {
    if whole {
        let shape = values.shape().to_vec();
        Item::Integers(Integers { values: values.iter().map(|x| Whole::fixed(*x as i64)).collect(), shape })
    } else {
        Item::Tensor(graph.constant(name, values))
    }
}

/// The axes of any value.
pub(super) fn shape_of(item: &Item) -> Vec<Whole> {
    match item {
        Item::Tensor(value) => value.shape().iter().map(|size| Whole::of(*size)).collect(),
        Item::Integers(integers) => integers.shape.iter().map(|side| Whole::fixed(*side as i64)).collect(),
    }
}

pub(super) fn shape(call: &mut Call<'_, '_>) -> Parsed<Vec<Item>> {
    let all = shape_of(&call.item(0)?);
    let rank = all.len() as i64;
    let at = |name: &str, default: i64| {
        let at = call.int(name, default);
        (if at < 0 { at + rank } else { at }).clamp(0, rank) as usize
    };
    let (start, end) = (at("start", 0), at("end", rank));
    Ok(vec![Item::Integers(Integers::vector(all.get(start..end).unwrap_or_default().to_vec()))])
}

pub(super) fn size(call: &mut Call<'_, '_>) -> Parsed<Vec<Item>> {
    let one = Whole::fixed(1);
    let total =
        shape_of(&call.item(0)?).into_iter().try_fold(one, |a, b| integers::operation("Mul", a, b))?;
    Ok(vec![Item::Integers(Integers { values: vec![total], shape: Vec::new() })])
}

pub(super) fn constant_of_shape(call: &mut Call<'_, '_>) -> Parsed<Vec<Item>> {
    let wanted = call.integers(0)?;
    let filling = call.any_attribute("value").and_then(|value| value.t);
    let (value, whole) = match filling {
        Some(tensor) => {
            let (values, dtype) = call.store.read(&tensor)?;
            (values.iter().next().copied().unwrap_or(0.0), is_integer(dtype))
        }
        None => (0.0, false),
    };
    // What is the same for all states of the batch needs one row.
    let sides =
        wanted.values.iter().map(|side| if side.batch && side.count == 1 { Ok(1) } else { side.number() });
    let sides = sides
        .map(|side| side.and_then(|side| usize::try_from(side).map_err(|_| format!("a side of {side}"))))
        .collect::<Parsed<Vec<usize>>>()?;
    let count = sides.iter().try_fold(1usize, |product, side| product.checked_mul(*side));
    call.store.budget.numbers(count.ok_or("its shape is too large")?)?;
    let values = ArrayD::from_elem(IxDyn(&sides), value);
    Ok(vec![item(call.graph, String::new(), values, whole)])
}
