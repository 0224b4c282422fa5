//! Resampling: equally weighted copies of weighted chains.

use rand::RngExt;

use crate::math::Stream;

/// `count` indices, index i about count·Wᵢ times, by one uniform number and even steps (Kitagawa 1996, doi:10.1080/10618600.1996.10474692).
///
/// Unbiased: the expected number of copies of i is count·Wᵢ. `weights` are normalised.
#[must_use]
pub fn systematic(weights: &[f64], count: usize, stream: Stream) -> Vec<usize> {
    let offset: f64 = stream.generator().random();
    let mut picks = Vec::with_capacity(count);
    let mut cumulative = 0.0;
    let mut last_positive = 0;
    for (i, weight) in weights.iter().enumerate() {
        cumulative += weight * count as f64;
        if *weight > 0.0 {
            last_positive = i;
        }
        while picks.len() < count && (picks.len() as f64 + offset) < cumulative {
            picks.push(i);
        }
    }
    // Rounding may leave the sum of weights a little below one.
    picks.resize(count, last_positive);
    picks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_the_weights_up_to_one() {
        let weights = [0.1, 0.0, 0.35, 0.55];
        for seed in 0..50 {
            let picks = systematic(&weights, 20, Stream::new(seed));
            assert_eq!(picks.len(), 20);
            for (i, weight) in weights.iter().enumerate() {
                let copies = picks.iter().filter(|&&p| p == i).count() as f64;
                assert!((copies - 20.0 * weight).abs() <= 1.0, "{copies} copies of {i}");
            }
            assert!(!picks.contains(&1));
        }
    }
}
