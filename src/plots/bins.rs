//! Bins of equal width for histograms.

/// Bins side by side, from `low`.
pub(super) struct Bins {
    low: f64,
    width: f64,
    count: usize,
}

impl Bins {
    /// `count` bins from `low` to `high`, or about one number where these are the same.
    pub(super) fn new(low: f64, high: f64, count: usize) -> Self {
        let half = 0.5f64.max(1e-6 * low.abs());
        let (low, high) = if high > low { (low, high) } else { (low - half, low + half) };
        Self { low, width: high / count as f64 - low / count as f64, count }
    }

    /// The bin that holds `value`, whose upper end belongs to the last.
    pub(super) fn of(&self, value: f64) -> Option<usize> {
        let place = (value / 2.0 - self.low / 2.0) / (self.width / 2.0);
        // Rounding may carry the upper end itself a little further.
        let inside = (0.0..=self.count as f64 * (1.0 + 1e-9)).contains(&place);
        inside.then(|| (place as usize).min(self.count - 1))
    }

    /// For each bin, the sum of `amount` over the `values` in it.
    pub(super) fn heights(&self, values: impl IntoIterator<Item = (f64, f64)>) -> Vec<f64> {
        let mut heights = vec![0.0; self.count];
        for (value, amount) in values {
            if let Some(bin) = self.of(value) {
                heights[bin] += amount;
            }
        }
        heights
    }

    /// (left, right, height) of each bin.
    pub(super) fn bars(&self, heights: &[f64]) -> Vec<[f64; 3]> {
        let edge = |i: usize| self.low + i as f64 * self.width;
        heights.iter().enumerate().map(|(i, &height)| [edge(i), edge(i + 1), height]).collect()
    }

    /// The lower and upper end of all bins.
    pub(super) fn ends(&self) -> [f64; 2] {
        [self.low, self.low + self.count as f64 * self.width]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_within_falls_into_one_bin() {
        for (low, high) in [(0.0, 1.0), (-3.7, -3.1), (5.0, 5.0), (-1e300, 1e308), (1e300, 1e300)] {
            let bins = Bins::new(low, high, 7);
            let values = [low, 0.3 * low + 0.7 * high, high];
            assert_eq!(bins.heights(values.map(|v| (v, 2.0))).iter().sum::<f64>(), 6.0, "{low} to {high}");
            assert_eq!(bins.of(f64::NAN), None);
            assert_eq!(bins.of(f64::NEG_INFINITY), None);
        }
        assert_eq!(Bins::new(0.0, 1.0, 4).of(0.5), Some(2));
        assert_eq!(Bins::new(0.0, 1.0, 4).of(1.1), None);
    }
}
