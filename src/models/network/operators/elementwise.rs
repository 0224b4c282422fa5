//! Functions of single numbers, with their derivatives.

use super::{Backward, Sink};
use crate::math::real::Real;
use crate::math::simd::dispatch;

/// f(x) of every number of a value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Function {
    /// −x
    Negative,
    /// 1/x
    Reciprocal,
    /// x²
    Square,
    /// √x
    SquareRoot,
    /// eˣ
    Exp,
    /// log x
    Log,
    /// |x|
    Absolute,
    /// −1, 0 or 1
    Sign,
    /// erf x
    Erf,
    /// 1/(1 + e⁻ˣ)
    Sigmoid,
    /// x/(1 + e⁻ˣ)
    Silu,
    /// tanh x
    Tanh,
    /// log(1 + eˣ)
    Softplus,
    /// x/(1 + |x|)
    Softsign,
    /// x where it is positive, `slope` x elsewhere
    LeakyRelu {
        /// The slope on the negative side; 0 is ReLU.
        slope: f64,
    },
    /// `scale` x where it is positive, `scale` `alpha` (eˣ − 1) elsewhere
    Elu {
        /// How far down it goes.
        alpha: f64,
        /// The slope on the positive side.
        scale: f64,
        /// Divides x on the negative side (1, but α for CELU).
        width: f64,
    },
    /// x Φ(x) = x (1 + erf(x/√2))/2
    Gelu,
    /// x between `low` and `high`, these beyond
    Clip {
        /// The least value.
        low: f64,
        /// The greatest value.
        high: f64,
    },
    /// sin x
    Sine,
    /// cos x
    Cosine,
    /// xᵖ
    Power {
        /// p
        power: f64,
    },
    /// 1 where x is 0, and 0 elsewhere
    Not,
    /// the largest whole number ≤ x
    Floor,
}

impl Function {
    /// f of each number of `x` into `value`, and f′ f′ₓ into `slope`, which comes with f′ₓ, the derivative of x, if it is wanted.
    #[inline(always)]
    pub(in super::super) fn apply<T: Real>(self, x: &[T], value: &mut [T], slope: Option<(&[T], &mut [T])>) {
        let half = T::of(0.5);
        let two = T::of(2.0);
        macro_rules! map {
            (|$x:ident| $both:expr) => {
                each(
                    x,
                    value,
                    slope,
                    #[inline(always)]
                    |$x: T| $both,
                )
            };
        }
        match self {
            Self::Negative => map!(|x| (-x, -T::ONE)),
            Self::Reciprocal => map!(|x| {
                let y = T::ONE / x;
                (y, -y * y)
            }),
            Self::Square => map!(|x| (x * x, x + x)),
            Self::SquareRoot => map!(|x| {
                let y = x.sqrt();
                (y, half / y)
            }),
            Self::Exp => map!(|x| {
                let y = x.exp();
                (y, y)
            }),
            Self::Log => map!(|x| (x.ln(), T::ONE / x)),
            Self::Absolute => map!(|x| (x.abs(), sign(x))),
            Self::Sign => map!(|x| (sign(x), T::ZERO)),
            Self::Erf => {
                let rate = T::of(std::f64::consts::FRAC_2_SQRT_PI);
                map!(|x| (x.erf(), rate * (-x * x).exp()));
            }
            Self::Sigmoid => map!(|x| {
                let y = x.sigmoid();
                (y, y * (T::ONE - y))
            }),
            Self::Silu => map!(|x| {
                let s = x.sigmoid();
                let y = x * s;
                // −∞ · 0 is the limit 0.
                let y = if s == T::ZERO { T::ZERO } else { y };
                (y, s + y * (T::ONE - s))
            }),
            Self::Tanh => map!(|x| {
                let y = x.tanh();
                (y, T::ONE - y * y)
            }),
            Self::Softplus => map!(|x| (x.softplus(), x.sigmoid())),
            Self::Softsign => map!(|x| {
                let shrink = T::ONE / (T::ONE + x.abs());
                (x * shrink, shrink * shrink)
            }),
            Self::LeakyRelu { slope: below } => {
                let below = T::of(below);
                map!(|x| if x > T::ZERO { (x, T::ONE) } else { (below * x, below) });
            }
            Self::Elu { alpha, scale, width } => {
                let (depth, scale, width) = (T::of(alpha * scale), T::of(scale), T::of(width));
                map!(|x| {
                    let decayed = (x.min(T::ZERO) / width).exp();
                    let below = (depth * (decayed - T::ONE), depth / width * decayed);
                    if x > T::ZERO { (scale * x, scale) } else { below }
                });
            }
            Self::Gelu => {
                let (root, density) = (
                    T::of(std::f64::consts::FRAC_1_SQRT_2),
                    T::of(1.0 / (2.0 * std::f64::consts::PI).sqrt()),
                );
                map!(|x| {
                    let share = half * (T::ONE + (root * x).erf());
                    (x * share, share + density * x * (-half * x * x).exp())
                });
            }
            Self::Clip { low, high } => {
                let (low, high) = (T::of(low), T::of(high));
                map!(|x| {
                    let inside = if x >= low && x <= high { T::ONE } else { T::ZERO };
                    (
                        if x < low {
                            low
                        } else if x > high {
                            high
                        } else {
                            x
                        },
                        inside,
                    )
                });
            }
            Self::Sine => map!(|x| x.sin_cos()),
            Self::Cosine => map!(|x| {
                let (sine, cosine) = x.sin_cos();
                (cosine, -sine)
            }),
            Self::Power { power: 2.0 } => map!(|x| (x * x, two * x)),
            Self::Power { power: 3.0 } => map!(|x| (x * x * x, T::of(3.0) * x * x)),
            Self::Power { power: 4.0 } => map!(|x| {
                let square = x * x;
                (square * square, T::of(4.0) * square * x)
            }),
            Self::Power { power: 1.0 } => map!(|x| (x, T::ONE)),
            Self::Power { power: 0.0 } => map!(|_x| (T::ONE, T::ZERO)),
            Self::Power { power } => {
                let (power, less) = (T::of(power), T::of(power - 1.0));
                map!(|x| (x.powf(power), power * x.powf(less)));
            }
            Self::Not => map!(|x| (if x == T::ZERO { T::ONE } else { T::ZERO }, T::ZERO)),
            Self::Floor => map!(|x| (T::of(x.wide().floor()), T::ZERO)),
        }
    }
}

#[inline(always)]
fn sign<T: Real>(x: T) -> T {
    if x > T::ZERO {
        T::ONE
    } else if x < T::ZERO {
        -T::ONE
    } else {
        T::ZERO
    }
}

#[inline(always)]
fn each<T: Real>(x: &[T], value: &mut [T], slope: Option<(&[T], &mut [T])>, both: impl Fn(T) -> (T, T)) {
    let n = x.len();
    let value = &mut value[..n];
    match slope {
        None => {
            for i in 0..n {
                value[i] = both(x[i]).0;
            }
        }
        Some((inner, slope)) => {
            let (inner, slope) = (&inner[..n], &mut slope[..n]);
            for i in 0..n {
                let (y, d) = both(x[i]);
                value[i] = y;
                slope[i] = d * inner[i];
            }
        }
    }
}

/// The gradient times the derivative that the forward pass kept.
pub(super) fn backward<T: Real>(pass: &Backward<'_, T>, sinks: &mut [Option<Sink<'_, T>>]) {
    let Some(sink) = &mut sinks[0] else { return };
    let (fresh, out) = sink.written();
    let n = out.len();
    let (gradient, slope) = (&pass.gradient[..n], &pass.kept[..n]);
    dispatch(
        #[inline(always)]
        || {
            if fresh {
                for i in 0..n {
                    out[i] = gradient[i] * slope[i];
                }
            } else {
                for i in 0..n {
                    out[i] += gradient[i] * slope[i];
                }
            }
        },
    );
}
