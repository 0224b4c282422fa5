//! Numbers and times as messages and results show them, whatever their size.

use std::fmt::Display;

/// From here on decimals are noise: f64 holds no more than these digits.
const LARGE: f64 = 1e15;
/// Below, leading zeros hide the digits.
const SMALL: f64 = 1e-6;
/// The most characters of a number that no person would write otherwise.
const MOST_DIGITS: usize = 24;
const YEAR: f64 = 365.25 * 86_400.0;

/// Whether a number is easier to read as a power of ten: beyond 10¹⁵ or below 10⁻⁶ in size.
#[must_use]
pub fn is_extreme(value: f64) -> bool {
    value.is_finite() && value != 0.0 && !(SMALL..LARGE).contains(&value.abs())
}

/// A number with the digits that tell it from its neighbours: `0.5`, `1e300`, `-inf`.
///
/// ```
/// assert_eq!([0.25, 1e300, -3e-9, f64::INFINITY].map(lnz::wording::number).join(" "), "0.25 1e300 -3e-9 inf");
/// ```
#[must_use]
pub fn number(value: f64) -> String {
    if is_extreme(value) { format!("{value:e}") } else { value.to_string() }
}

/// A value as it was given, but a number of hundreds of digits as [`number`].
#[must_use]
pub fn shown(value: impl Display) -> String {
    let text = value.to_string();
    match text.parse::<f64>() {
        Ok(value) if text.len() > MOST_DIGITS => number(value),
        _ => text,
    }
}

/// A number to so many decimals, or to all its digits where it is larger than decimals make sense for.
#[must_use]
pub fn decimals(value: f64, decimals: usize) -> String {
    if value.abs() < LARGE { format!("{value:.decimals$}") } else { number(value) }
}

/// A time that a person can grasp.
///
/// ```
/// assert_eq!(lnz::wording::duration(5400.0), "90 minutes");
/// ```
#[must_use]
pub fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 0.001 => "under a millisecond".into(),
        s if s < 1.0 => format!("{:.0} ms", 1e3 * s),
        s if s < 10.0 => format!("{s:.1} s"),
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7200.0 => format!("{:.0} minutes", s / 60.0),
        s if s < 2.0 * 86_400.0 => format!("{:.0} hours", s / 3600.0),
        s if s < 2.0 * YEAR => format!("{:.0} days", s / 86_400.0),
        s if s < 1e6 * YEAR => format!("{:.0} years", s / YEAR),
        s => format!("{:.0e} years", s / YEAR),
    }
}

/// A time given by the logarithm of its seconds, which may lie far beyond f64.
///
/// ```
/// assert_eq!(lnz::wording::duration_of_log(5000.0 * std::f64::consts::LN_2), "4e1497 years");
/// ```
#[must_use]
pub fn duration_of_log(log_seconds: f64) -> String {
    if log_seconds < 600.0 {
        return duration(log_seconds.exp());
    }
    let digits = (log_seconds - YEAR.ln()) / std::f64::consts::LN_10;
    let (mut leading, mut power) = (10f64.powf(digits.fract()).round(), digits.floor());
    if leading >= 10.0 {
        (leading, power) = (1.0, power + 1.0);
    }
    format!("{leading:.0}e{power:.0} years")
}

/// Text and numbers apart, so that names sort with `2` before `10`.
#[must_use]
pub fn natural(name: &str) -> Vec<(String, Option<u64>)> {
    let mut parts = Vec::new();
    let mut rest = name;
    while !rest.is_empty() {
        let (text, from_number) =
            rest.split_at(rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len()));
        let ends = from_number.find(|c: char| !c.is_ascii_digit()).unwrap_or(from_number.len());
        let (number, after) = from_number.split_at(ends);
        parts.push((text.to_owned(), number.parse().ok()));
        rest = after;
    }
    parts
}

/// A word as a shell would need it.
#[must_use]
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=,:+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.into()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_in_units_that_people_use() {
        let times = [0.0, 0.25, 3.21, 45.0, 600.0, 1e5, 1e6, 1e10, 1e30].map(duration);
        assert_eq!(
            times.join(", "),
            "under a millisecond, 250 ms, 3.2 s, 45 s, 10 minutes, 28 hours, 12 days, 317 years, 3e22 years"
        );
    }

    #[test]
    fn times_beyond_f64_continue_those_within() {
        assert_eq!(duration_of_log(599.9), duration(599.9f64.exp()));
        assert_eq!(duration_of_log(600.1), duration(600.1f64.exp()));
        assert_eq!(duration_of_log(0.0), "1.0 s");
        assert_eq!(duration_of_log(YEAR.ln() + 999.999 * std::f64::consts::LN_10), "1e1000 years");
    }

    #[test]
    fn no_number_takes_hundreds_of_digits() {
        assert_eq!([shown(1e300), shown("1e300"), shown("0,0.5,1")].join(" "), "1e300 1e300 0,0.5,1");
        assert_eq!([decimals(2.0, 3), decimals(2e15, 3)].join(" "), "2.000 2e15");
        for value in [1e300, -1e300, 1e-300, 5e-324, f64::MAX, 123_456.75, 0.1, 0.0] {
            let text = number(value);
            assert!(text.len() < 25, "{text}");
            assert_eq!(text.parse(), Ok(value));
        }
    }

    #[test]
    fn numbers_in_names_sort_as_numbers() {
        let mut names = ["net.10.", "net.2.", "net.0.", "a.", "net.2.1."];
        names.sort_by_key(|name| natural(name));
        assert_eq!(names, ["a.", "net.0.", "net.2.", "net.2.1.", "net.10."]);
    }
}
