//! Roots of monotone functions of one variable.

/// The point in [lower, upper] where the monotone `function` crosses zero, to the last few bits, by bisection.
///
/// Returns the nearer end when there is no sign change. The function must not return NaN.
pub fn bisect(mut lower: f64, mut upper: f64, mut function: impl FnMut(f64) -> f64) -> f64 {
    let at_lower = function(lower);
    let at_upper = function(upper);
    if at_lower.signum() == at_upper.signum() {
        return if at_lower.abs() < at_upper.abs() { lower } else { upper };
    }
    for _ in 0..200 {
        let middle = 0.5 * (lower + upper);
        if middle <= lower || middle >= upper {
            break;
        }
        if function(middle).signum() == at_lower.signum() {
            lower = middle;
        } else {
            upper = middle;
        }
    }
    0.5 * (lower + upper)
}

#[cfg(test)]
mod tests {
    use super::bisect;

    #[test]
    fn finds_roots_of_both_slopes() {
        assert!((bisect(0.0, 2.0, |x| x * x - 2.0) - 2f64.sqrt()).abs() < 1e-15);
        assert!((bisect(0.0, 2.0, |x| 2.0 - x * x) - 2f64.sqrt()).abs() < 1e-15);
        assert!((bisect(3.0, 4.0, |x| x) - 3.0).abs() < 1e-15);
    }
}
