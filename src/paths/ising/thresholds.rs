//! Spins drawn 512 at a time, each with the probability that belongs to its neighbours.

use super::{WIDTH, Words};
use crate::math::simd::{LANES, Lanes};

/// Digits that every spin draws: another is needed for a spin in 2¹², for one of 512 one time in eight.
const FIRST: usize = 12;

/// Most neighbours of a site.
pub(super) const DEGREES: usize = 4;

/// Room for the random digits of a draw.
pub(super) type Random = [Words; FIRST];

/// P(up | k of n neighbours up) as binary fractions, for each n.
///
/// A digit as a function of k is kept as a polynomial over the field of two elements in the binary digits of k (its algebraic
/// normal form): coefficient j multiplies those digits of k that are set in j. Coefficients beyond n are 0, because k ≤ n.
#[derive(Debug)]
pub(super) struct Thresholds {
    /// [n][digit][j], all ones or all zeros; the digit weighs 2^{−1−digit}.
    digits: Vec<[[u64; DEGREES + 1]; 64]>,
}

impl Thresholds {
    /// For sites of up to `degrees` neighbours, at local field `coupling` · (up − down) + `field`.
    pub(super) fn new(coupling: f64, field: f64, degrees: usize) -> Self {
        let digits = (0..=degrees)
            .map(|n| {
                let mut table = [[0; DEGREES + 1]; 64];
                for k in 0..=n {
                    let local = coupling * (2.0 * k as f64 - n as f64) + field;
                    let probability = 1.0 / (1.0 + (-2.0 * local).exp());
                    // The conversion saturates: a probability that rounds to one is 1 − 2⁻⁶⁴.
                    let fraction = (probability * 2f64.powi(64)) as u64;
                    for (digit, row) in table.iter_mut().enumerate() {
                        let bit = if fraction >> (63 - digit) & 1 == 1 { u64::MAX } else { 0 };
                        // Möbius inversion: what the smaller terms do not add up to.
                        let smaller = (0..k).filter(|j| j & k == *j).fold(0, |sum, j| sum ^ row[j]);
                        row[k] = bit ^ smaller;
                    }
                }
                table
            })
            .collect();
        Self { digits }
    }

    /// Spins of sites whose `DEGREE` neighbours are `around`.
    ///
    /// Each of the 512 has a uniform number u of its own, and is up where u < p. That is decided at the first digit where they
    /// differ, so a few digits are compared for all, the last first; where all are equal, more are drawn.
    #[inline(always)]
    pub(super) fn draw<const DEGREE: usize>(
        &self,
        around: &[Words; DEGREE],
        random: &mut Random,
        lanes: &mut Lanes,
    ) -> Words {
        let products = products(around);
        let (first, rest) = self.digits[DEGREE].split_at(FIRST);
        // Made in a loop of its own, which keeps the generator's sixteen lanes apart from the eight words.
        let halves: &mut [[u32; LANES]; FIRST] = pulp::bytemuck::cast_mut(random);
        for words in halves {
            *words = lanes.words();
        }
        let (mut below, mut equal) = ([0; WIDTH], [u64::MAX; WIDTH]);
        for (row, random) in first.iter().zip(&*random).rev() {
            let threshold = polynomial::<DEGREE>(row, &products);
            for i in 0..WIDTH {
                let same = !(threshold[i] ^ random[i]);
                below[i] = (threshold[i] & !random[i]) | (same & below[i]);
                equal[i] &= same;
            }
        }
        for row in rest {
            if equal.iter().fold(0, |any, word| any | word) == 0 {
                break;
            }
            let random: Words = pulp::cast(lanes.words());
            let threshold = polynomial::<DEGREE>(row, &products);
            for i in 0..WIDTH {
                below[i] |= equal[i] & threshold[i] & !random[i];
                equal[i] &= !(threshold[i] ^ random[i]);
            }
        }
        below
    }
}

/// The products of the binary digits of the number of `around` that are up: entry j multiplies the digits set in j.
#[inline(always)]
fn products<const DEGREE: usize>(around: &[Words; DEGREE]) -> [Words; DEGREES + 1] {
    let (mut ones, mut twos, mut fours) = ([0; WIDTH], [0; WIDTH], [0; WIDTH]);
    for word in around {
        for i in 0..WIDTH {
            let carry = ones[i] & word[i];
            ones[i] ^= word[i];
            fours[i] |= twos[i] & carry;
            twos[i] ^= carry;
        }
    }
    let mut products = [[u64::MAX; WIDTH], ones, twos, [0; WIDTH], fours];
    for i in 0..WIDTH {
        products[3][i] = ones[i] & twos[i];
    }
    products
}

#[inline(always)]
fn polynomial<const DEGREE: usize>(row: &[u64; DEGREES + 1], products: &[Words; DEGREES + 1]) -> Words {
    let mut value = [row[0]; WIDTH];
    for j in 1..=DEGREE {
        for i in 0..WIDTH {
            value[i] ^= row[j] & products[j][i];
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::Stream;
    use rand::Rng;

    /// Each count of up neighbours draws with its own probability: 512 × 4,000 draws within 4.5 standard errors (two-sided
    /// α = 7e-6 each).
    #[test]
    fn spins_come_up_as_often_as_they_should() {
        fn check<const DEGREE: usize>() {
            let thresholds = Thresholds::new(0.4, 0.1, DEGREE);
            let mut lanes = Stream::new(2).lanes();
            for k in 0..=DEGREE {
                let around: [Words; DEGREE] =
                    std::array::from_fn(|j| [if j < k { u64::MAX } else { 0 }; WIDTH]);
                let ones: u32 = (0..4000)
                    .map(|_| {
                        thresholds
                            .draw(&around, &mut [[0; WIDTH]; FIRST], &mut lanes)
                            .iter()
                            .map(|w| w.count_ones())
                            .sum::<u32>()
                    })
                    .sum();
                let n = 512.0 * 4000.0;
                let p = 1.0 / (1.0 + (-2.0 * (0.4 * (2.0 * k as f64 - DEGREE as f64) + 0.1)).exp());
                let error = (p * (1.0 - p) / n).sqrt();
                assert!((f64::from(ones) / n - p).abs() < 4.5 * error, "{k} of {DEGREE}");
            }
        }
        check::<0>();
        check::<1>();
        check::<2>();
        check::<3>();
        check::<4>();
    }

    /// Digit by digit the polynomials are the thresholds of the single spins, whatever their neighbours.
    #[test]
    fn polynomials_are_the_binary_digits_of_probabilities() {
        let thresholds = Thresholds::new(0.3, -0.2, DEGREES);
        let mut generator = Stream::new(3).generator();
        let around: [Words; DEGREES] = std::array::from_fn(|_| std::array::from_fn(|_| generator.next_u64()));
        let products = products(&around);
        for i in 0..WIDTH {
            for chain in 0..64 {
                let up = around.iter().filter(|words| words[i] >> chain & 1 == 1).count();
                let p: f64 = 1.0 / (1.0 + (-2.0 * (0.3 * (2.0 * up as f64 - DEGREES as f64) - 0.2)).exp());
                let found: f64 = (0..64)
                    .map(|digit| {
                        let word = polynomial::<DEGREES>(&thresholds.digits[DEGREES][digit], &products)[i];
                        (word >> chain & 1) as f64 * 0.5f64.powi(digit as i32 + 1)
                    })
                    .sum();
                assert!((found - p).abs() < 1e-15, "{up}: {found} for {p}");
            }
        }
    }

    /// Near-certain spins: a threshold of few ones or zeros goes on past the first digits.
    #[test]
    fn rare_spins_are_as_rare_as_they_should_be() {
        // P(up) = 2.5e-5, below the first twelve digits: the count is Poisson of mean 102.4.
        let field = 0.5 * f64::ln(2.5e-5);
        let thresholds = Thresholds::new(0.0, field, 0);
        let mut lanes = Stream::new(4).lanes();
        let ones: u32 = (0..8000)
            .map(|_| {
                thresholds
                    .draw(&[], &mut [[0; WIDTH]; FIRST], &mut lanes)
                    .iter()
                    .map(|w| w.count_ones())
                    .sum::<u32>()
            })
            .sum();
        assert!((f64::from(ones) - 102.4).abs() < 4.5 * 102.4f64.sqrt(), "{ones}");
    }
}
