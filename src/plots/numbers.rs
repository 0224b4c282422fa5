//! Numbers as words: to the digits that are worth saying, with real minus signs and powers of ten.

/// A number to so many significant digits, without trailing zeros: `817.28`, `−0.031`, `1.2×10⁻⁹`, `−∞`.
pub(super) fn significant(value: f64, digits: usize) -> String {
    if value.is_nan() {
        return "no number".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "∞" } else { "−∞" }.into();
    }
    if value == 0.0 {
        return "0".into();
    }
    let scientific = format!("{value:.*e}", digits.max(1) - 1);
    let (mantissa, exponent) = scientific.split_once('e').expect("that format has an exponent");
    let power: i32 = exponent.parse().expect("the exponent of a float is small");
    let text = if (-4..6).contains(&power) {
        let decimals = (digits as i32 - 1 - power).max(0) as usize;
        trimmed(&format!("{value:.decimals$}")).to_owned()
    } else {
        format!("{}×10{}", trimmed(mantissa), raised(exponent))
    };
    text.replace('-', "−")
}

/// A number of usual size to so many decimals; others as [`significant`] writes them.
pub(super) fn decimals(value: f64, count: usize) -> String {
    if value.abs() >= 1e6 || value.is_nan() {
        return significant(value, 3);
    }
    let text = format!("{value:.count$}");
    // What rounds to nothing has no sign.
    let zero = text.starts_with('-') && value.abs() < 0.5 * 10f64.powi(-(count as i32));
    text[usize::from(zero)..].replace('-', "−")
}

/// A number to the digits that its error supports, and its error to two: `451.283 ± 0.042`.
pub(super) fn with_error(value: f64, error: f64) -> String {
    if !value.is_finite() || error.is_nan() || error <= 0.0 {
        return significant(value, 9);
    }
    let decimals = 1.0 - error.log10().floor();
    if error.is_infinite() || error >= 1e6 || value.abs() >= 1e9 || decimals > 9.0 {
        let digits = if decimals > 9.0 { 9 } else { 4 };
        return format!("{} ± {}", significant(value, digits), significant(error, 2));
    }
    let decimals = decimals.max(0.0) as usize;
    let text = format!("{value:.decimals$} ± {error:.decimals$}");
    let zero = text.starts_with("-0") && value.abs() < 0.5 * 10f64.powi(-(decimals as i32));
    text[usize::from(zero)..].replace('-', "−")
}

/// `words`, with an ellipsis in the middle where they are longer than `most` letters.
pub(super) fn shortened(words: &str, most: usize) -> String {
    let letters: Vec<char> = words.chars().collect();
    if letters.len() <= most {
        return words.to_owned();
    }
    let (head, tail) = ((most - 1).div_ceil(2), (most - 1) / 2);
    letters[..head].iter().chain(&['…']).chain(&letters[letters.len() - tail..]).collect()
}

/// `one thing`, `2 things`.
pub(super) fn counted(count: usize, one: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") }
}

/// ` (3 outside)` for what there is, nothing for what there is not.
pub(super) fn asides(counts: &[(usize, &str)]) -> String {
    let told = counts.iter().filter(|(count, _)| *count > 0);
    told.fold(String::new(), |text, (count, what)| format!("{text} ({count} {what})"))
}

/// At most about `most` of the indices below `count`, evenly spaced, with the last one.
pub(super) fn thinned(count: usize, most: usize) -> Vec<usize> {
    let stride = count.div_ceil(most.max(1)).max(1);
    let mut kept: Vec<usize> = (0..count).step_by(stride).collect();
    if let Some(last) = count.checked_sub(1)
        && kept.last() != Some(&last)
    {
        kept.push(last);
    }
    kept
}

/// The value below which this share of the sorted `values` lies; `None` where there are none.
pub(super) fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    Some(sorted[((share * last as f64).round() as usize).min(last)])
}

/// Names of the places 0 … `last` of a list: all of them, or round numbers, about twelve at most.
pub(super) fn places(last: usize) -> Vec<usize> {
    let steps = (0..).flat_map(|power| [1, 2, 5].map(|times| times * 10usize.saturating_pow(power)));
    let step = steps.into_iter().find(|step| last / step <= 12).unwrap_or(last.max(1));
    (0..=last).step_by(step).collect()
}

/// The finite ones of `values`, rising.
pub(super) fn sorted(values: impl IntoIterator<Item = f64>) -> Vec<f64> {
    let mut finite: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
    finite.sort_by(f64::total_cmp);
    finite
}

fn trimmed(decimal: &str) -> &str {
    if decimal.contains('.') { decimal.trim_end_matches('0').trim_end_matches('.') } else { decimal }
}

/// An exponent in small letters.
pub(super) fn raised(exponent: &str) -> String {
    let raise = |c: char| match c.to_digit(10) {
        Some(digit) => ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'][digit as usize],
        None => '⁻',
    };
    exponent.chars().map(raise).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_digits_that_matter() {
        for (value, says) in [
            (817.28249, "817.28"),
            (-0.0311, "−0.0311"),
            (0.5, "0.5"),
            (100.0, "100"),
            (1e300, "1×10³⁰⁰"),
            (-1.25e-9, "−1.25×10⁻⁹"),
            (f64::NEG_INFINITY, "−∞"),
            (0.0, "0"),
        ] {
            assert_eq!(significant(value, 5), says);
        }
        for (value, error, says) in [
            (817.2824, 0.0421, "817.282 ± 0.042"),
            (-73.1966, 0.24, "−73.20 ± 0.24"),
            (1234.4, 321.0, "1234 ± 321"),
            (-0.001, 0.3, "0.00 ± 0.30"),
            (5.0, f64::INFINITY, "5 ± ∞"),
            (-1e300, 1.0, "−1×10³⁰⁰ ± 1"),
            (2.5, 0.0, "2.5"),
            (2.0, 1e-12, "2 ± 1×10⁻¹²"),
        ] {
            assert_eq!(with_error(value, error), says);
        }
    }

    #[test]
    fn nothing_has_no_sign() {
        assert_eq!([-0.004, -0.006, 0.004].map(|value| decimals(value, 2)), ["0.00", "−0.01", "0.00"]);
        assert_eq!(decimals(-0.0, 1), "0.0");
    }

    #[test]
    fn places_are_round_and_few() {
        assert_eq!(places(0), [0]);
        assert_eq!(places(4), [0, 1, 2, 3, 4]);
        assert_eq!(places(24), [0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24]);
        assert_eq!(places(199)[..3], [0, 20, 40]);
        assert!(places(usize::MAX).len() < 14);
    }

    #[test]
    fn thinning_keeps_both_ends() {
        for (count, most) in [(0, 5), (1, 5), (5, 5), (6, 5), (1_000_000, 1000)] {
            let kept = thinned(count, most);
            assert!(kept.len() <= most + 1);
            assert_eq!(kept.first().copied(), (count > 0).then_some(0));
            assert_eq!(kept.last().copied(), count.checked_sub(1));
        }
        assert_eq!(shortened("a-very-long-name.json", 9), "a-ve…json");
    }
}
