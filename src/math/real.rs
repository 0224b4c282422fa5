//! The number types that matrices and networks are computed in, with the functions that vectorise inside
//! [`dispatch`](super::simd::dispatch).

use std::iter::Sum;
use std::ops::{Add, AddAssign, Div, DivAssign, Mul, MulAssign, Neg, Sub, SubAssign};

use super::simd;

/// f32 or f64.
///
/// The functions are loops' bodies: no branch that a vector could not take, no call. Those of f32 are accurate to about 3e-7, those
/// of f64 to about 4e-16, relative to the larger of the value and, for [`Real::tanh`] and [`Real::erf`], 1.
pub trait Real:
    Copy
    + Default
    + PartialEq
    + PartialOrd
    + Send
    + Sync
    + std::fmt::Debug
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + SubAssign
    + MulAssign
    + DivAssign
    + Sum
    + 'static
    + sealed::Sealed
{
    /// 0
    const ZERO: Self;
    /// 1
    const ONE: Self;
    /// −∞
    const LEAST: Self;

    /// The nearest number of this type.
    #[must_use]
    fn of(value: f64) -> Self;
    /// As f64, exactly.
    #[must_use]
    fn wide(self) -> f64;
    /// eˣ, 0 and ∞ beyond the range.
    #[must_use]
    fn exp(self) -> Self;
    /// log x; −∞ at 0, NaN below.
    #[must_use]
    fn ln(self) -> Self;
    /// √x.
    #[must_use]
    fn sqrt(self) -> Self;
    /// |x|.
    #[must_use]
    fn abs(self) -> Self;
    /// The larger; the other where one is NaN.
    #[must_use]
    fn max(self, other: Self) -> Self;
    /// The smaller; the other where one is NaN.
    #[must_use]
    fn min(self, other: Self) -> Self;
    /// Whether it is NaN.
    #[must_use]
    fn is_nan(self) -> bool;
    /// erf x = 2/√π ∫₀ˣ e^{−t²} dt.
    #[must_use]
    fn erf(self) -> Self;
    /// sin x and cos x, one at a time.
    #[must_use]
    fn sin_cos(self) -> (Self, Self);
    /// xʸ, one at a time.
    #[must_use]
    fn powf(self, power: Self) -> Self;

    /// 1 / (1 + e⁻ˣ).
    #[inline(always)]
    #[must_use]
    fn sigmoid(self) -> Self {
        Self::ONE / (Self::ONE + (-self).exp())
    }

    /// (1 − e^{−2|x|}) / (1 + e^{−2|x|}) with x's sign.
    #[inline(always)]
    #[must_use]
    fn tanh(self) -> Self {
        let decayed = (-(self.abs() + self.abs())).exp();
        let size = (Self::ONE - decayed) / (Self::ONE + decayed);
        if self < Self::ZERO { -size } else { size }
    }

    /// log(1 + y) for 0 ≤ y ≤ 1.
    #[must_use]
    fn log_1p(self) -> Self;

    /// log(1 + eˣ) = max(x, 0) + log(1 + e^{−|x|}).
    #[inline(always)]
    #[must_use]
    fn softplus(self) -> Self {
        self.max(Self::ZERO) + (-self.abs()).exp().log_1p()
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

impl Real for f32 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    const LEAST: Self = f32::NEG_INFINITY;

    #[inline(always)]
    fn of(value: f64) -> Self {
        value as f32
    }

    #[inline(always)]
    fn wide(self) -> f64 {
        f64::from(self)
    }

    #[inline(always)]
    fn exp(self) -> Self {
        if self > 88.0 { f32::INFINITY } else { simd::exp(self) }
    }

    #[inline(always)]
    fn ln(self) -> Self {
        // Denormals are scaled up before their bits are read.
        let tiny = self < f32::MIN_POSITIVE;
        let bits = (if tiny { self * 8_388_608.0 } else { self }).to_bits();
        // The mantissa in [√½, √2) and the exponent that goes with it.
        let shifted = bits.wrapping_sub(0x3f35_04f3);
        let exponent = (shifted as i32 >> 23) as f32 - if tiny { 23.0 } else { 0.0 };
        let mantissa = f32::from_bits((shifted & 0x007f_ffff) + 0x3f35_04f3);
        let s = (mantissa - 1.0) / (mantissa + 1.0);
        let q = s * s;
        let p = 2.0 / 11.0;
        let p = p * q + 2.0 / 9.0;
        let p = p * q + 2.0 / 7.0;
        let p = p * q + 2.0 / 5.0;
        let p = p * q + 2.0 / 3.0;
        let p = p * q + 2.0;
        let value = exponent * 0.693_359_4 + (s * p - exponent * 2.121_944_4e-4);
        logarithm_ends(self, value)
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        f32::sqrt(self)
    }

    #[inline(always)]
    fn abs(self) -> Self {
        f32::abs(self)
    }

    #[inline(always)]
    fn is_nan(self) -> bool {
        f32::is_nan(self)
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        f32::max(self, other)
    }

    #[inline(always)]
    fn min(self, other: Self) -> Self {
        f32::min(self, other)
    }

    #[inline(always)]
    fn erf(self) -> Self {
        // x P(x²)/Q(x²), fitted to f64 values; beyond 4 it is 1 to the last bit.
        let x = self.clamp(-4.0, 4.0);
        let q = x * x;
        let numerator = 2.000_321_5e-6;
        let numerator = numerator * q + 2.855_016e-4;
        let numerator = numerator * q + 3.879_632_8e-3;
        let numerator = numerator * q + 5.308_564_6e-2;
        let numerator = numerator * q + 1.933_183_5e-1;
        // 2/√π, but for rounding.
        let numerator = numerator * q + std::f32::consts::FRAC_2_SQRT_PI;
        let denominator = 3.761_308e-5;
        let denominator = denominator * q + 1.186_760_4e-3;
        let denominator = denominator * q + 1.519_597_1e-2;
        let denominator = denominator * q + 1.152_698_5e-1;
        let denominator = denominator * q + 5.046_559_6e-1;
        let denominator = denominator * q + 1.0;
        x * numerator / denominator
    }

    #[inline(always)]
    fn sin_cos(self) -> (Self, Self) {
        f32::sin_cos(self)
    }

    #[inline(always)]
    fn powf(self, power: Self) -> Self {
        f32::powf(self, power)
    }

    #[inline(always)]
    fn log_1p(self) -> Self {
        simd::log_1p(self)
    }
}

impl Real for f64 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    const LEAST: Self = f64::NEG_INFINITY;

    #[inline(always)]
    fn of(value: f64) -> Self {
        value
    }

    #[inline(always)]
    fn wide(self) -> f64 {
        self
    }

    #[inline(always)]
    fn exp(self) -> Self {
        // As the f32 version: n = round(x / log 2) by adding 1.5·2⁵², r = x − n log 2 in two parts, a Taylor polynomial of r.
        const ROUND: f64 = 6_755_399_441_055_744.0;
        const LN2_HIGH: f64 = 6.931_471_803_691_238e-1;
        const LN2_LOW: f64 = 1.908_214_929_270_587_7e-10;
        let clamped = self.clamp(-708.0, 709.0);
        let shifted = clamped * std::f64::consts::LOG2_E + ROUND;
        let n = shifted - ROUND;
        let r = (clamped - n * LN2_HIGH) - n * LN2_LOW;
        let p = 1.0 / 6_227_020_800.0;
        let p = p * r + 1.0 / 479_001_600.0;
        let p = p * r + 1.0 / 39_916_800.0;
        let p = p * r + 1.0 / 3_628_800.0;
        let p = p * r + 1.0 / 362_880.0;
        let p = p * r + 1.0 / 40_320.0;
        let p = p * r + 1.0 / 5_040.0;
        let p = p * r + 1.0 / 720.0;
        let p = p * r + 1.0 / 120.0;
        let p = p * r + 1.0 / 24.0;
        let p = p * r + 1.0 / 6.0;
        let p = p * r + 0.5;
        let value = p * r * r + r + 1.0;
        let power = f64::from_bits((shifted.to_bits() << 52).wrapping_add(0x3ff0_0000_0000_0000));
        let inside = if self < -708.0 { 0.0 } else { value * power };
        if self > 709.0 { f64::INFINITY } else { inside }
    }

    #[inline(always)]
    fn ln(self) -> Self {
        const LN2_HIGH: f64 = 6.931_471_803_691_238e-1;
        const LN2_LOW: f64 = 1.908_214_929_270_587_7e-10;
        const HALF_ROOT: u64 = 0x3fe6_a09e_667f_3bcd;
        let tiny = self < f64::MIN_POSITIVE;
        let bits = (if tiny { self * 4_503_599_627_370_496.0 } else { self }).to_bits();
        let shifted = bits.wrapping_sub(HALF_ROOT);
        let exponent = (shifted as i64 >> 52) as f64 - if tiny { 52.0 } else { 0.0 };
        let mantissa = f64::from_bits((shifted & 0x000f_ffff_ffff_ffff) + HALF_ROOT);
        let s = (mantissa - 1.0) / (mantissa + 1.0);
        let value = exponent * LN2_HIGH + (twice_atanh(s) + exponent * LN2_LOW);
        logarithm_ends(self, value)
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        f64::sqrt(self)
    }

    #[inline(always)]
    fn abs(self) -> Self {
        f64::abs(self)
    }

    #[inline(always)]
    fn is_nan(self) -> bool {
        f64::is_nan(self)
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        f64::max(self, other)
    }

    #[inline(always)]
    fn min(self, other: Self) -> Self {
        f64::min(self, other)
    }

    #[inline(always)]
    fn erf(self) -> Self {
        statrs::function::erf::erf(self)
    }

    #[inline(always)]
    fn sin_cos(self) -> (Self, Self) {
        f64::sin_cos(self)
    }

    #[inline(always)]
    fn powf(self, power: Self) -> Self {
        f64::powf(self, power)
    }

    #[inline(always)]
    fn log_1p(self) -> Self {
        twice_atanh(self / (2.0 + self))
    }
}

/// 2 atanh(s) = log((1 + s) / (1 − s)) for |s| ≤ 1/3, by its series.
#[inline(always)]
fn twice_atanh(s: f64) -> f64 {
    let q = s * s;
    let mut p = 2.0 / 35.0;
    for term in (0..17).rev() {
        p = p * q + 2.0 / (2 * term + 1) as f64;
    }
    s * p
}

/// `value` as log `x`, where x is positive and finite; what else x may be has its own logarithm.
#[inline(always)]
fn logarithm_ends<T: Real>(x: T, value: T) -> T {
    let value = if x == T::ZERO { T::LEAST } else { value };
    let value = if x < T::ZERO { T::of(f64::NAN) } else { value };
    let value = if x == -T::LEAST { x } else { value };
    if x.is_nan() { x } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use statrs::function::erf::erf;

    /// Within `relative` of the larger of the exact value and `floor`; NaN where that is.
    fn close<T: Real>(found: T, exact: f64, relative: f64, floor: f64) -> bool {
        let found = found.wide();
        if exact.is_nan() || exact.is_infinite() {
            return found == exact || found.is_nan() && exact.is_nan();
        }
        (found - exact).abs() <= relative * exact.abs().max(floor)
    }

    fn check<T: Real>(x: f64, accuracy: f64) -> Result<(), TestCaseError> {
        let number = T::of(x);
        let x = number.wide();
        // What would be denormal is 0.
        let least = if accuracy > 1e-10 { 5e-32 } else { 1e-290 };
        let exact_exp = T::of(x.exp()).wide();
        // Of numbers near e⁸⁸ the last half is given up as infinite.
        let at_the_end = accuracy > 1e-10 && x > 88.0 || x > 709.0;
        prop_assert!(
            at_the_end || close(number.exp(), exact_exp, accuracy, least),
            "exp {x:e} {:?}",
            number.exp()
        );
        prop_assert!(close(number.ln(), x.ln(), accuracy, 0.1), "ln {x:e} {:?}", number.ln());
        prop_assert!(close(number.tanh(), x.tanh(), accuracy, 1.0), "tanh {x:e}");
        prop_assert!(close(number.erf(), erf(x), 2.0 * accuracy, 1.0), "erf {x:e} {:?}", number.erf());
        prop_assert!(close(number.sigmoid(), 1.0 / (1.0 + (-x).exp()), accuracy, 1.0), "sigmoid {x:e}");
        let softplus = x.max(0.0) + (-x.abs()).exp().ln_1p();
        prop_assert!(close(number.softplus(), softplus, accuracy, least), "softplus {x:e}");
        Ok(())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn functions_are_accurate(
            x in prop_oneof![-100.0..100.0, -1.0..1.0, -1000.0..1000.0, Just(0.0), Just(f64::NAN), Just(f64::INFINITY), Just(f64::NEG_INFINITY)],
            power in -300.0..300.0,
        ) {
            check::<f32>(x, 4e-7)?;
            check::<f64>(x, 1e-15)?;
            check::<f64>(x.signum() * 10f64.powf(power), 1e-15)?;
            check::<f32>(x.signum() * 10f64.powf(power / 8.0), 4e-7)?;
        }
    }
}
