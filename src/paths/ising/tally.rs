//! How often each bit is set among many words: carry-save adders, one binary digit to a word.

use super::{CHAINS, Words};

/// 2²⁴ sites of at most four neighbours each are at most 2²⁶ words.
const DIGITS: usize = 27;

/// Words added up bit by bit, eight words wide.
pub(super) struct Tally {
    sums: [Words; DIGITS],
    /// Words that wait for a second one of the same weight; `waiting` has a bit for each weight that has one.
    held: [Words; DIGITS],
    waiting: u32,
}

impl Tally {
    pub(super) fn new() -> Self {
        Self { sums: [[0; _]; DIGITS], held: [[0; _]; DIGITS], waiting: 0 }
    }

    /// Adds two words.
    #[inline(always)]
    pub(super) fn add_two(&mut self, a: &Words, b: &Words) {
        let carry = add(&mut self.sums[0], a, b);
        self.add_from(1, carry);
    }

    /// Adds a word.
    #[inline(always)]
    pub(super) fn add_one(&mut self, word: Words) {
        self.add_from(0, word);
    }

    /// Adds a word whose bits weigh 2^digit.
    #[inline(always)]
    fn add_from(&mut self, mut digit: usize, mut word: Words) {
        while self.waiting >> digit & 1 == 1 {
            self.waiting ^= 1 << digit;
            word = add(&mut self.sums[digit], &self.held[digit], &word);
            digit += 1;
        }
        self.waiting |= 1 << digit;
        self.held[digit] = word;
    }

    /// How many of the words added so far have each bit set.
    pub(super) fn counts(&self) -> [u32; CHAINS] {
        let mut digits = [0u64; DIGITS];
        let mut used = 0;
        for digit in 0..DIGITS {
            let held = if self.waiting >> digit & 1 == 1 { &self.held[digit][..] } else { &[] };
            for word in self.sums[digit].iter().chain(held) {
                let (mut place, mut carry) = (digit, *word);
                while carry != 0 {
                    let sum = digits[place] ^ carry;
                    carry &= digits[place];
                    digits[place] = sum;
                    place += 1;
                }
                used = used.max(place);
            }
        }
        let mut counts = [0; CHAINS];
        for (place, digit) in digits[..used].iter().enumerate() {
            for (chain, count) in counts.iter_mut().enumerate() {
                *count += (((digit >> chain) & 1) as u32) << place;
            }
        }
        counts
    }
}

/// Replaces `sum` by the low digit of sum + a + b, and answers the high one.
#[inline(always)]
fn add(sum: &mut Words, a: &Words, b: &Words) -> Words {
    let mut carry = *sum;
    for i in 0..sum.len() {
        let odd = a[i] ^ b[i];
        carry[i] = (a[i] & b[i]) | (sum[i] & odd);
        sum[i] ^= odd;
    }
    carry
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::Stream;
    use rand::Rng;

    #[test]
    fn bits_are_counted_one_by_one() {
        let mut generator = Stream::new(1).generator();
        for length in [0, 1, 2, 3, 7, 8, 100, 1001] {
            let words: Vec<Words> =
                (0..length).map(|_| std::array::from_fn(|_| generator.next_u64())).collect();
            let (mut one_by_one, mut two_by_two) = (Tally::new(), Tally::new());
            for word in &words {
                one_by_one.add_one(*word);
            }
            let (pairs, rest) = words.as_chunks();
            for [a, b] in pairs {
                two_by_two.add_two(a, b);
            }
            for word in rest {
                two_by_two.add_one(*word);
            }
            for chain in 0..CHAINS {
                let expected: u64 = words.iter().flatten().map(|word| word >> chain & 1).sum();
                assert_eq!(u64::from(one_by_one.counts()[chain]), expected);
                assert_eq!(u64::from(two_by_two.counts()[chain]), expected);
            }
        }
    }
}
