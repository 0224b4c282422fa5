//! Operations on two values, and the choice between two, number by number.

use std::sync::Arc;

use super::{Backward, Operand, Sink};
use crate::math::real::Real;
use crate::math::simd::dispatch;

/// An operation on two numbers; comparisons give 1 or 0 and have no derivative.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binary {
    /// a + b
    Add,
    /// a − b
    Subtract,
    /// a b
    Multiply,
    /// a/b
    Divide,
    /// aᵇ
    Power,
    /// the smaller; two that are equal share the derivative
    Minimum,
    /// the larger; two that are equal share the derivative
    Maximum,
    /// a > b
    Greater,
    /// a ≥ b
    GreaterOrEqual,
    /// a < b
    Less,
    /// a ≤ b
    LessOrEqual,
    /// a = b
    Equal,
    /// neither is 0
    And,
    /// one is not 0
    Or,
}

/// Runs `$body` with `$both` as the function (a, b) ↦ (value, ∂a, ∂b) of the operation: the choice is made outside of the loop.
macro_rules! with_partials {
    ($operation:expr, $T:ty, |$both:ident| $body:expr) => {{
        let one = <$T>::ONE;
        let zero = <$T>::ZERO;
        let half = <$T>::of(0.5);
        macro_rules! run {
            (|$a:ident, $b:ident| $result:expr) => {
                with(
                    #[inline(always)]
                    |$a: $T, $b: $T| $result,
                    #[inline(always)]
                    |$both| $body,
                )
            };
        }
        macro_rules! truth {
            (|$a:ident, $b:ident| $result:expr) => {
                run!(|$a, $b| (if $result { one } else { zero }, zero, zero))
            };
        }
        match $operation {
            Binary::Add => run!(|a, b| (a + b, one, one)),
            Binary::Subtract => run!(|a, b| (a - b, one, -one)),
            Binary::Multiply => run!(|a, b| (a * b, b, a)),
            Binary::Divide => run!(|a, b| {
                let rate = one / b;
                (a / b, rate, -a * rate * rate)
            }),
            Binary::Power => run!(|a, b| {
                let value = a.powf(b);
                (value, b * a.powf(b - one), value * a.ln())
            }),
            Binary::Minimum => run!(|a, b| {
                let share = if a < b {
                    one
                } else if a == b {
                    half
                } else {
                    zero
                };
                (if b < a { b } else { a }, share, one - share)
            }),
            Binary::Maximum => run!(|a, b| {
                let share = if a > b {
                    one
                } else if a == b {
                    half
                } else {
                    zero
                };
                (if b > a { b } else { a }, share, one - share)
            }),
            Binary::Greater => truth!(|a, b| a > b),
            Binary::GreaterOrEqual => truth!(|a, b| a >= b),
            Binary::Less => truth!(|a, b| a < b),
            Binary::LessOrEqual => truth!(|a, b| a <= b),
            Binary::Equal => truth!(|a, b| a == b),
            Binary::And => truth!(|a, b| a != zero && b != zero),
            Binary::Or => truth!(|a, b| a != zero || b != zero),
        }
    }};
}

/// Gives the body its function: attributes are for closures that are arguments.
#[inline(always)]
fn with<F, R>(function: F, body: impl FnOnce(F) -> R) -> R {
    body(function)
}

/// A value and its derivative, or a number that has none.
type Dual<'a, T> = (Option<(&'a [T], &'a [T])>, T);

impl Binary {
    /// The operation on two numbers with derivatives, of which at least one is no constant.
    pub(in super::super) fn apply_dual<T: Real>(
        self,
        (left, left_number): Dual<'_, T>,
        (right, right_number): Dual<'_, T>,
        out: &mut [T],
        slope: Option<&mut [T]>,
    ) {
        let n = out.len();
        dispatch(
            #[inline(always)]
            || {
                with_partials!(self, T, |both| {
                    match (left, right, slope) {
                        (Some((a, _)), Some((b, _)), None) => {
                            let (a, b) = (&a[..n], &b[..n]);
                            (0..n).for_each(|i| out[i] = both(a[i], b[i]).0);
                        }
                        (Some((a, _)), None, None) => {
                            let a = &a[..n];
                            (0..n).for_each(|i| out[i] = both(a[i], right_number).0);
                        }
                        (None, Some((b, _)), None) => {
                            let b = &b[..n];
                            (0..n).for_each(|i| out[i] = both(left_number, b[i]).0);
                        }
                        (Some((a, da)), Some((b, db)), Some(slope)) => {
                            let (a, da, b, db, slope) =
                                (&a[..n], &da[..n], &b[..n], &db[..n], &mut slope[..n]);
                            for i in 0..n {
                                let (value, by_a, by_b) = both(a[i], b[i]);
                                out[i] = value;
                                slope[i] = by_a * da[i] + by_b * db[i];
                            }
                        }
                        (Some((a, da)), None, Some(slope)) => {
                            let (a, da, slope) = (&a[..n], &da[..n], &mut slope[..n]);
                            for i in 0..n {
                                let (value, by_a, _) = both(a[i], right_number);
                                out[i] = value;
                                slope[i] = by_a * da[i];
                            }
                        }
                        (None, Some((b, db)), Some(slope)) => {
                            let (b, db, slope) = (&b[..n], &db[..n], &mut slope[..n]);
                            for i in 0..n {
                                let (value, _, by_b) = both(left_number, b[i]);
                                out[i] = value;
                                slope[i] = by_b * db[i];
                            }
                        }
                        (None, None, _) => unreachable!("a program reads its input"),
                    }
                });
            },
        );
    }
}

/// How a value is repeated until it has the shape of the output.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) enum Spread {
    /// It has it.
    Same,
    /// Each number serves so many neighbours.
    Repeat(usize),
    /// All of it comes again and again.
    Cycle(usize),
    /// Which number stands where.
    Map(Arc<[u32]>),
}

impl Spread {
    /// From a row of one shape to a row of another that it broadcasts to.
    pub(in super::super) fn new(from: &[usize], to: &[usize]) -> Self {
        let numbers: usize = to.iter().product();
        let count: usize = from.iter().product();
        if count == numbers {
            return Self::Same;
        }
        let long = from.iter().skip_while(|side| **side == 1).count();
        let tail: usize = to[to.len() - long..].iter().product();
        if count == tail {
            return Self::Cycle(count);
        }
        let trailing = from.iter().rev().take_while(|side| **side == 1).count();
        let repeats: usize = to[to.len() - trailing..].iter().product();
        if count * repeats == numbers {
            return Self::Repeat(repeats);
        }
        let index =
            ndarray::ArrayD::from_shape_vec(from, (0..count as u32).collect()).expect("as many as it holds");
        Self::Map(index.broadcast(to).expect("shapes were checked").iter().copied().collect())
    }

    /// `values` repeated into `out`, or themselves.
    fn apply<'a, T: Real>(&self, values: &'a [T], out: &'a mut [T]) -> &'a [T] {
        match self {
            Self::Same => return values,
            Self::Repeat(count) => {
                out.chunks_exact_mut(*count).zip(values).for_each(|(chunk, value)| chunk.fill(*value));
            }
            Self::Cycle(count) => {
                out.chunks_exact_mut(*count).for_each(|chunk| chunk.copy_from_slice(values));
            }
            Self::Map(index) => {
                out.iter_mut().zip(&**index).for_each(|(out, at)| *out = values[*at as usize]);
            }
        }
        out
    }

    /// Adds what belongs to each number.
    fn collect<T: Real>(&self, values: &[T], into: &mut [T]) {
        match self {
            Self::Same => add(values, into),
            Self::Repeat(count) => {
                for (into, chunk) in into.iter_mut().zip(values.chunks_exact(*count)) {
                    *into += chunk.iter().copied().sum::<T>();
                }
            }
            Self::Cycle(count) => values.chunks_exact(*count).for_each(|chunk| add(chunk, into)),
            Self::Map(index) => {
                values.iter().zip(&**index).for_each(|(value, at)| into[*at as usize] += *value);
            }
        }
    }
}

pub(super) fn add<T: Real>(values: &[T], into: &mut [T]) {
    let n = into.len();
    let values = &values[..n];
    dispatch(
        #[inline(always)]
        || (0..n).for_each(|i| into[i] += values[i]),
    );
}

/// Numbers of a row of the output.
fn width<T: Copy>(rows: usize, output: &[T]) -> usize {
    output.len() / rows.max(1)
}

pub(super) fn forward<T: Real>(
    operation: Binary,
    spreads: &[Spread; 2],
    rows: usize,
    inputs: &[Operand<'_, T>],
    output: &mut [T],
) {
    if whole(spreads, inputs) {
        return combine(operation, inputs[0].data, inputs[1].data, output);
    }
    let n = width(rows, output);
    let (mut a_row, mut b_row) = (vec![T::ZERO; n], vec![T::ZERO; n]);
    for row in 0..rows {
        let a = spreads[0].apply(inputs[0].of(row), &mut a_row);
        let b = spreads[1].apply(inputs[1].of(row), &mut b_row);
        combine(operation, a, b, &mut output[row * n..(row + 1) * n]);
    }
}

/// Whether nothing is repeated, so that all rows are one.
fn whole<T>(spreads: &[Spread; 2], inputs: &[Operand<'_, T>]) -> bool {
    spreads.iter().zip(inputs).all(|(spread, input)| *spread == Spread::Same && !input.constant)
}

fn combine<T: Real>(operation: Binary, a: &[T], b: &[T], out: &mut [T]) {
    let n = out.len();
    let (a, b) = (&a[..n], &b[..n]);
    dispatch(
        #[inline(always)]
        || with_partials!(operation, T, |both| (0..n).for_each(|i| out[i] = both(a[i], b[i]).0)),
    );
}

pub(super) fn backward<T: Real>(
    operation: Binary,
    spreads: &[Spread; 2],
    pass: &Backward<'_, T>,
    sinks: &mut [Option<Sink<'_, T>>],
) {
    let whole = whole(spreads, pass.inputs);
    let rows = if whole { 1 } else { pass.rows };
    let n = width(rows, pass.output);
    let [mut a_row, mut b_row, mut a_part, mut b_part] = [(); 4].map(|()| vec![T::ZERO; n]);
    let of = |k: usize, row: usize| if whole { pass.inputs[k].data } else { pass.inputs[k].of(row) };
    for row in 0..rows {
        let a = &spreads[0].apply(of(0, row), &mut a_row)[..n];
        let b = &spreads[1].apply(of(1, row), &mut b_row)[..n];
        let gradient = &pass.gradient[row * n..(row + 1) * n];
        dispatch(
            #[inline(always)]
            || {
                with_partials!(operation, T, |both| for i in 0..n {
                    let (_, by_a, by_b) = both(a[i], b[i]);
                    a_part[i] = gradient[i] * by_a;
                    b_part[i] = gradient[i] * by_b;
                });
            },
        );
        for (k, part) in [&a_part, &b_part].into_iter().enumerate() {
            if let Some(sink) = &mut sinks[k] {
                let numbers = if whole { n } else { pass.inputs[k].numbers() };
                spreads[k].collect(part, sink.of(row, numbers));
            }
        }
    }
}

pub(super) fn select<T: Real>(
    spreads: &[Spread; 3],
    rows: usize,
    inputs: &[Operand<'_, T>],
    output: &mut [T],
) {
    let n = width(rows, output);
    let mut spread = [(); 3].map(|()| vec![T::ZERO; n]);
    for row in 0..rows {
        let [c, a, b] = &mut spread;
        let c = spreads[0].apply(inputs[0].of(row), c);
        let a = spreads[1].apply(inputs[1].of(row), a);
        let b = spreads[2].apply(inputs[2].of(row), b);
        for (i, out) in output[row * n..(row + 1) * n].iter_mut().enumerate() {
            *out = if c[i] == T::ZERO { b[i] } else { a[i] };
        }
    }
}

pub(super) fn select_backward<T: Real>(
    spreads: &[Spread; 3],
    pass: &Backward<'_, T>,
    sinks: &mut [Option<Sink<'_, T>>],
) {
    let n = width(pass.rows, pass.output);
    let (mut condition, mut part) = (vec![T::ZERO; n], vec![T::ZERO; n]);
    for row in 0..pass.rows {
        let c = spreads[0].apply(pass.inputs[0].of(row), &mut condition);
        let gradient = &pass.gradient[row * n..(row + 1) * n];
        for k in [1, 2] {
            if let Some(sink) = &mut sinks[k] {
                for i in 0..n {
                    part[i] = if (c[i] == T::ZERO) == (k == 2) { gradient[i] } else { T::ZERO };
                }
                spreads[k].collect(&part, sink.of(row, pass.inputs[k].numbers()));
            }
        }
    }
}
