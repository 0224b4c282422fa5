//! Functions of single numbers put together: one pass over the numbers does them all, derivative included.

use super::operators::{Binary, Function};
use crate::math::real::Real;
use crate::math::simd::dispatch;

/// Numbers that are taken through all instructions at once: few enough for every register to stay in the first cache.
const TILE: usize = 256;
/// Instructions that one program may have.
pub(super) const LONGEST: usize = 24;

/// What an instruction reads.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Argument {
    /// 0 is x; i + 1 is what instruction i gave.
    Register(usize),
    Number(f64),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Instruction {
    Unary(Function, usize),
    Binary(Binary, Argument, Argument),
}

/// y = f(x) by instructions; the last one gives y.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Program {
    pub(super) instructions: Vec<Instruction>,
}

impl Program {
    pub(super) fn unary(function: Function) -> Self {
        Self { instructions: vec![Instruction::Unary(function, 0)] }
    }

    /// x with itself.
    pub(super) fn with_itself(operation: Binary) -> Self {
        let x = Argument::Register(0);
        Self { instructions: vec![Instruction::Binary(operation, x, x)] }
    }

    /// x with a number, which comes first or second.
    pub(super) fn with_number(operation: Binary, number: f64, first: bool) -> Self {
        if operation == Binary::Power && !first {
            return Self::unary(Function::Power { power: number });
        }
        let (x, number) = (Argument::Register(0), Argument::Number(number));
        let (a, b) = if first { (number, x) } else { (x, number) };
        Self { instructions: vec![Instruction::Binary(operation, a, b)] }
    }

    /// x · σ(x), as exporters write it, is one function.
    pub(super) fn simplified(mut self) -> Self {
        for index in 0..self.instructions.len() {
            let Instruction::Binary(Binary::Multiply, Argument::Register(a), Argument::Register(b)) =
                self.instructions[index]
            else {
                continue;
            };
            for (x, share) in [(a, b), (b, a)] {
                if share > 0 && self.instructions[share - 1] == Instruction::Unary(Function::Sigmoid, x) {
                    self.instructions[index] = Instruction::Unary(Function::Silu, x);
                }
            }
        }
        self.without_unread()
    }

    fn without_unread(self) -> Self {
        let count = self.instructions.len();
        let mut read = vec![false; count + 1];
        read[count] = true;
        for (index, instruction) in self.instructions.iter().enumerate().rev() {
            if read[index + 1] {
                instruction.registers().for_each(|register| read[register] = true);
            }
        }
        let mut renamed = vec![0; count + 1];
        let mut instructions = Vec::new();
        for (index, instruction) in self.instructions.into_iter().enumerate() {
            if read[index + 1] {
                instructions.push(instruction.renamed(|register| renamed[register]));
                renamed[index + 1] = instructions.len();
            }
        }
        Self { instructions }
    }

    /// y, and dy/dx in `slope` if it is wanted, of each x.
    pub(super) fn forward<T: Real>(
        &self,
        x: &[T],
        y: &mut [T],
        slope: Option<&mut [T]>,
        scratch: &mut Vec<T>,
    ) {
        let inner = self.instructions.len() - 1;
        let ones = [T::ONE; TILE];
        scratch.resize((2 * inner).max(1) * TILE, T::ZERO);
        let (values, slopes) = scratch.split_at_mut(inner * TILE);
        let mut slope = slope;
        let n = x.len();
        for start in (0..n).step_by(TILE) {
            let end = (start + TILE).min(n);
            let tile = end - start;
            let x = &x[start..end];
            for (index, instruction) in self.instructions.iter().enumerate() {
                let (read, write) = values.split_at_mut(index.min(inner) * TILE);
                let (read_slopes, write_slopes) = slopes.split_at_mut(index.min(inner) * TILE);
                let last = index == inner;
                let out = if last { &mut y[start..end] } else { &mut write[..tile] };
                let out_slope = match &mut slope {
                    None => None,
                    Some(slope) if last => Some(&mut slope[start..end]),
                    Some(_) => Some(&mut write_slopes[..tile]),
                };
                let register = |register: usize| match register {
                    0 => (x, &ones[..tile]),
                    at => {
                        let from = (at - 1) * TILE;
                        let slopes = if out_slope.is_some() { &read_slopes[from..from + tile] } else { &[] };
                        (&read[from..from + tile], slopes)
                    }
                };
                match *instruction {
                    Instruction::Unary(function, at) => {
                        let (value, inner) = register(at);
                        dispatch(
                            #[inline(always)]
                            || function.apply(value, out, out_slope.map(|slope| (inner, slope))),
                        );
                    }
                    Instruction::Binary(operation, a, b) => {
                        let operand = |argument| match argument {
                            Argument::Register(at) => Some(register(at)),
                            Argument::Number(_) => None,
                        };
                        let number = |argument| match argument {
                            Argument::Number(number) => T::of(number),
                            Argument::Register(_) => T::ZERO,
                        };
                        let (left, right) = ((operand(a), number(a)), (operand(b), number(b)));
                        operation.apply_dual(left, right, out, out_slope);
                    }
                }
            }
        }
    }
}

impl Instruction {
    fn registers(self) -> impl Iterator<Item = usize> {
        let of = |argument| match argument {
            Argument::Register(register) => Some(register),
            Argument::Number(_) => None,
        };
        let registers = match self {
            Self::Unary(_, register) => [Some(register), None],
            Self::Binary(_, a, b) => [of(a), of(b)],
        };
        registers.into_iter().flatten()
    }

    pub(super) fn renamed(self, name: impl Fn(usize) -> usize) -> Self {
        let of = |argument| match argument {
            Argument::Register(register) => Argument::Register(name(register)),
            Argument::Number(number) => Argument::Number(number),
        };
        match self {
            Self::Unary(function, register) => Self::Unary(function, name(register)),
            Self::Binary(operation, a, b) => Self::Binary(operation, of(a), of(b)),
        }
    }
}
