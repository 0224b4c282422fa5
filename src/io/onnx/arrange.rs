//! Operators that shape, cut and join values.

use ndarray::{ArrayD, IxDyn};

use super::call::{Call, Item, axis, one};
use super::integers::{Integers, Whole};
use super::shapes::shape_of;
use crate::io::Parsed;
use crate::models::network::{Size, Value, shown};

pub(super) fn reshape(call: &mut Call<'_, '_>) -> Parsed<Vec<Item>> {
    let target = call.integers(1)?;
    let item = call.item(0)?;
    let from = shape_of(&item);
    let mut wanted = Vec::new();
    let mut open = None;
    for (at, side) in target.values.iter().enumerate() {
        if *side == Whole::fixed(-1) {
            if open.replace(at).is_some() {
                return Err("two axes of its shape are -1".into());
            }
            wanted.push(Whole::fixed(1));
        } else if *side == Whole::fixed(0) && call.int("allowzero", 0) == 0 {
            wanted.push(*from.get(at).ok_or("a 0 of its shape has no axis to copy")?);
        } else {
            wanted.push(*side);
        }
    }
    if let Some(open) = open {
        let total = |shape: &[Whole]| {
            shape.iter().try_fold(Whole::fixed(1), |a, b| super::integers::operation("Mul", a, *b))
        };
        wanted[open] = super::integers::operation("Div", total(&from)?, total(&wanted)?)?;
    }
    match item {
        Item::Integers(integers) => {
            let shape = wanted.iter().map(|side| Ok(side.size()?.count)).collect::<Parsed<Vec<usize>>>()?;
            if shape.iter().product::<usize>() != integers.values.len() {
                return Err(format!("whole numbers of shape {:?} as {shape:?}", integers.shape));
            }
            Ok(vec![Item::Integers(Integers { values: integers.values, shape })])
        }
        Item::Tensor(value) => {
            let wanted = wanted.into_iter().map(Whole::size).collect::<Parsed<Vec<Size>>>()?;
            let fixed_batch = |size: &Size| !size.batch && size.count > 1;
            one(call.graph.reshape(&value, &wanted).map_err(|message| {
                let fixed = !value.is_constant() && wanted.first().is_some_and(fixed_batch);
                let hint = if fixed {
                    ". Is the size of the batch fixed in it? Export with a dynamic first axis"
                } else {
                    ""
                };
                format!("{message}{hint}")
            })?)
        }
    }
}

pub(super) fn flatten(call: &mut Call<'_, '_>) -> Parsed<Vec<Item>> {
    let x = call.tensor(0)?;
    let rank = x.rank();
    let given = call.int("axis", 1);
    let at = if given == rank as i64 { rank } else { axis(given, rank)? };
    let product = |sizes: &[Size]| Size {
        count: sizes.iter().map(|size| size.count).product(),
        batch: sizes.iter().any(|size| size.batch),
    };
    let wanted = [product(&x.shape()[..at]), product(&x.shape()[at..])];
    one(call.graph.reshape(&x, &wanted)?)
}

pub(super) fn squeeze(call: &mut Call<'_, '_>) -> Parsed<Vec<Item>> {
    let given = call.ints_or_input("axes", 1)?;
    let item = call.item(0)?;
    let sides = shape_of(&item);
    let axes = match given {
        Some(axes) => axes.into_iter().map(|at| axis(at, sides.len())).collect::<Parsed<Vec<usize>>>()?,
        None => (0..sides.len()).filter(|at| sides[*at] == Whole::fixed(1)).collect(),
    };
    match item {
        Item::Tensor(value) => one(call.graph.squeeze(&value, &axes)?),
        Item::Integers(integers) => {
            let left = integers.shape.iter().enumerate().filter(|(at, _)| !axes.contains(at));
            let shape: Vec<usize> = left.map(|(_, side)| *side).collect();
            if shape.iter().product::<usize>() != integers.values.len() {
                return Err("it squeezes an axis that is longer than 1".into());
            }
            Ok(vec![Item::Integers(Integers { values: integers.values, shape })])
        }
    }
}

pub(super) fn unsqueeze(call: &mut Call<'_, '_>) -> Parsed<Vec<Item>> {
    let given = call.ints_or_input("axes", 1)?.ok_or("it has no axes")?;
    let item = call.item(0)?;
    let mut sides = shape_of(&item);
    let rank = sides.len() + given.len();
    let mut axes = given.into_iter().map(|at| axis(at, rank)).collect::<Parsed<Vec<usize>>>()?;
    axes.sort_unstable();
    for at in axes {
        if at > sides.len() {
            return Err("its axes do not fit".into());
        }
        sides.insert(at, Whole::fixed(1));
    }
    match item {
        Item::Tensor(value) => {
            let wanted = sides.into_iter().map(Whole::size).collect::<Parsed<Vec<Size>>>()?;
            one(call.graph.reshape(&value, &wanted)?)
        }
        Item::Integers(Integers { values, .. }) => {
            let shape = sides.iter().map(|side| side.count as usize).collect();
            Ok(vec![Item::Integers(Integers { values, shape })])
        }
    }
}

pub(super) fn transpose(call: &mut Call<'_, '_>) -> Parsed<Vec<Item>> {
    let x = call.tensor(0)?;
    let order = match call.ints("perm") {
        Some(order) => order.iter().map(|at| axis(*at, x.rank())).collect::<Parsed<Vec<usize>>>()?,
        None => (0..x.rank()).rev().collect(),
    };
    one(call.graph.transpose(&x, &order)?)
}

pub(super) fn concat(call: &mut Call<'_, '_>) -> Parsed<Vec<Item>> {
    let count = call.inputs.len();
    let items = (0..count).map(|index| call.item(index)).collect::<Parsed<Vec<Item>>>()?;
    if items.iter().all(|item| matches!(item, Item::Integers(_))) {
        let mut all = Vec::new();
        for index in 0..count {
            all.extend(call.integers(index)?.values);
        }
        return Ok(vec![Item::Integers(Integers::vector(all))]);
    }
    let values = (0..count).map(|index| call.tensor(index)).collect::<Parsed<Vec<Value>>>()?;
    let rank = values.iter().map(Value::rank).max().unwrap_or(0);
    let at = axis(call.int("axis", 0), rank)?;
    one(call.graph.concat(&values, at)?)
}

/// The entries that a slice keeps of an axis of `length`.
fn entries(start: i64, end: i64, step: i64, length: usize) -> Parsed<Vec<usize>> {
    let length = length as i64;
    let from_front = |at: i64| if at < 0 { at.saturating_add(length) } else { at };
    let (start, end) = (from_front(start), from_front(end));
    match step {
        0 => Err("a step of 0".into()),
        1.. => Ok((start.clamp(0, length)..end.clamp(0, length))
            .step_by(step as usize)
            .map(|at| at as usize)
            .collect()),
        _ => {
            let first = start.clamp(-1, length - 1);
            let last = if end < 0 { -1 } else { end.min(length - 1) };
            let step = usize::try_from(step.unsigned_abs()).map_err(|_| "its step is too large")?;
            Ok((last + 1..=first).rev().step_by(step).map(|at| at as usize).collect())
        }
    }
}

pub(super) fn slice(call: &mut Call<'_, '_>) -> Parsed<Vec<Item>> {
    let item = call.item(0)?;
    let sides = shape_of(&item);
    let whole = |call: &Call<'_, '_>, name: &str, index: usize| match call.ints(name) {
        Some(ints) => Ok(Some(Integers::vector(ints.iter().map(|x| Whole::fixed(*x)).collect()))),
        None if call.has(index) => call.integers(index).map(Some),
        None => Ok(None),
    };
    let starts = whole(call, "starts", 1)?.ok_or("it has no starts")?.values;
    let ends = whole(call, "ends", 2)?.ok_or("it has no ends")?.values;
    let axes = match call.ints_or_input("axes", 3)? {
        Some(axes) => axes.into_iter().map(|at| axis(at, sides.len())).collect::<Parsed<Vec<usize>>>()?,
        None => (0..starts.len()).collect(),
    };
    let steps = if call.has(4) { call.integers(4)?.numbers()? } else { vec![1; starts.len()] };
    if starts.len() != ends.len() || starts.len() != axes.len() || starts.len() != steps.len() {
        return Err("it has not as many starts as ends, axes and steps".into());
    }
    let mut result = item;
    for (((start, end), at), step) in starts.into_iter().zip(ends).zip(axes).zip(steps) {
        let side = sides[at];
        if side.batch {
            // The whole batch is what it was.
            let all =
                start == Whole::fixed(0) && step == 1 && (end == side || end.count >= i64::from(i32::MAX));
            if all {
                continue;
            }
            return Err("it cuts the batch, so rows would be mixed".into());
        }
        let picks = entries(start.number()?, end.number()?, step, side.count as usize)?;
        result = match result {
            Item::Tensor(value) => Item::Tensor(call.graph.take(&value, at, &picks)?),
            Item::Integers(integers) => {
                let values =
                    picks.iter().map(|pick| integers.values.get(*pick).copied().ok_or("out of range"));
                Item::Integers(Integers::vector(values.collect::<Result<_, _>>()?))
            }
        };
    }
    Ok(vec![result])
}

pub(super) fn split(call: &mut Call<'_, '_>) -> Parsed<Vec<Item>> {
    let x = call.tensor(0)?;
    let at = axis(call.int("axis", 0), x.rank())?;
    let size = x.shape().get(at).copied().filter(|size| !size.batch);
    let length = size.ok_or("it cuts the batch, so rows would be mixed")?.count;
    let outputs = call.node.output.len();
    let parts = if let Some(parts) = call.ints_or_input("split", 1)? {
        parts
            .into_iter()
            .map(|part| usize::try_from(part).map_err(|_| format!("a part of {part}")))
            .collect::<Parsed<Vec<usize>>>()?
    } else {
        let part = length.div_ceil(outputs.max(1));
        (0..outputs).map(|k| part.min(length.saturating_sub(k * part))).collect()
    };
    if parts.iter().try_fold(0usize, |sum, part| sum.checked_add(*part)) != Some(length) {
        return Err(format!("parts of {parts:?} do not make {length}"));
    }
    let mut start = 0;
    let mut items = Vec::new();
    for part in parts {
        let picks: Vec<usize> = (start..start + part).collect();
        items.push(Item::Tensor(call.graph.take(&x, at, &picks)?));
        start += part;
    }
    Ok(items)
}

/// Indices of an axis of `length`, counted from the end where they are negative.
fn indices(numbers: &[i64], length: usize) -> Parsed<Vec<usize>> {
    let of = |number: i64| if number < 0 { number + length as i64 } else { number };
    numbers.iter().map(|number| usize::try_from(of(*number)).map_err(|_| format!("index {number}"))).collect()
}

pub(super) fn gather(call: &mut Call<'_, '_>) -> Parsed<Vec<Item>> {
    let picks = call.integers(1)?;
    let numbers = picks.numbers()?;
    match call.item(0)? {
        Item::Integers(integers) => {
            let picks_of = indices(&numbers, integers.values.len())?;
            let values =
                picks_of.iter().map(|at| integers.values.get(*at).copied().ok_or("an index beyond the end"));
            let values = values.collect::<Result<Vec<Whole>, _>>()?;
            Ok(vec![Item::Integers(Integers { values, shape: picks.shape })])
        }
        Item::Tensor(x) => {
            let at = axis(call.int("axis", 0), x.rank())?;
            let size = x.shape()[at];
            let taken = call.graph.take(&x, at, &indices(&numbers, size.count)?)?;
            let mut wanted = taken.shape().to_vec();
            wanted.splice(at..=at, picks.shape.iter().map(|side| Size::fixed(*side)));
            one(call.graph.reshape(&taken, &wanted)?)
        }
    }
}

pub(super) fn expand(call: &mut Call<'_, '_>) -> Parsed<Vec<Item>> {
    let target = call.integers(1)?.values;
    let x = call.tensor(0)?;
    let rank = x.rank().max(target.len());
    let one_long = Size::fixed(1);
    let mut wanted = Vec::new();
    for at in 0..rank {
        let own = (at + x.rank()).checked_sub(rank).map_or(one_long, |at| x.shape()[at]);
        let asked = match (at + target.len()).checked_sub(rank).map(|at| target[at]) {
            Some(side) if side.count != -1 => side.size()?,
            _ => one_long,
        };
        wanted.push(if asked == one_long { own } else { asked });
    }
    if x.rank() < rank && !x.is_constant() {
        return Err(format!(
            "{} as {}: the batch must stay the first axis",
            shown(x.shape()),
            shown(&wanted)
        ));
    }
    one(call.graph.expand(&x, &wanted)?)
}

pub(super) fn tile(call: &mut Call<'_, '_>) -> Parsed<Vec<Item>> {
    let repeats = call.integers(1)?.values;
    let mut x = call.tensor(0)?;
    for (at, repeat) in repeats.iter().enumerate() {
        if *repeat == Whole::fixed(1) {
            continue;
        }
        let count = repeat.size()?.count;
        let length = x.shape().get(at).map_or(0, |size| size.count);
        if count.saturating_mul(length) > 1 << 24 {
            return Err("it repeats a value too often".into());
        }
        let picks: Vec<usize> = (0..count).flat_map(|_| 0..length).collect();
        x = call.graph.take(&x, at, &picks)?;
    }
    one(x)
}

/// Numbers put before and after each axis; of constant mode alone.
pub(super) fn pad(call: &mut Call<'_, '_>) -> Parsed<Vec<Item>> {
    if call.text("mode").is_some_and(|mode| mode != "constant") {
        return Err("only constant padding is supported".into());
    }
    let mut x = call.tensor(0)?;
    let pads = call.ints_or_input("pads", 1)?.ok_or("it has no pads")?;
    let value = if call.has(2) { call.number(2)? } else { call.float("value", 0.0) };
    let axes = match call.ints_or_input("axes", 3)? {
        Some(axes) => axes.into_iter().map(|at| axis(at, x.rank())).collect::<Parsed<Vec<usize>>>()?,
        None => (0..x.rank()).collect(),
    };
    if pads.len() != 2 * axes.len() {
        return Err(format!("{} pads for {} axes", pads.len(), axes.len()));
    }
    for (index, at) in axes.iter().enumerate() {
        let (before, after) = (pads[index], pads[index + axes.len()]);
        let mut filled = |count: i64| -> Parsed<Value> {
            let count = usize::try_from(count).map_err(|_| "negative padding is not supported")?;
            let mut sides: Vec<usize> =
                x.shape().iter().map(|size| if size.batch { 1 } else { size.count }).collect();
            sides[*at] = count;
            let numbers = sides.iter().try_fold(1usize, |product, side| product.checked_mul(*side));
            call.store.budget.numbers(numbers.ok_or("its padding is too large")?)?;
            Ok(call.graph.constant(String::new(), ArrayD::from_elem(IxDyn(&sides), value)))
        };
        let mut parts = Vec::new();
        if before != 0 {
            parts.push(filled(before)?);
        }
        parts.push(x.clone());
        if after != 0 {
            parts.push(filled(after)?);
        }
        if parts.len() > 1 {
            x = call.graph.concat(&parts, *at)?;
        }
    }
    one(x)
}
