//! Round numbers along an axis, written as people write them.

use super::figure::{Axis, Scale, Ticks};
use super::numbers::{raised, significant};

/// Where ticks stand and what they say, from the lower end, at most about `most` of them.
pub(super) fn ticks(axis: &Axis, most: usize) -> Vec<(f64, String)> {
    let most = most.max(2);
    let mut found = match (&axis.ticks, axis.scale) {
        (Ticks::None, _) => Vec::new(),
        (Ticks::Named(names), _) => names.clone(),
        (Ticks::Numbers, Scale::Linear) => linear(axis.range, most),
        (Ticks::Numbers, Scale::Log) => log(axis.range, most),
    };
    found.retain(|(value, _)| axis.place(*value).is_some_and(|place| (-1e-9..=1.0 + 1e-9).contains(&place)));
    found.dedup_by(|next, last| next.1 == last.1);
    found
}

fn linear([low, high]: [f64; 2], most: usize) -> Vec<(f64, String)> {
    let least = (high / most as f64 - low / most as f64).max(f64::MIN_POSITIVE * 1e9);
    let power = 10f64.powf(least.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .map(|times| times * power)
        .into_iter()
        .find(|step| *step >= least * (1.0 - 1e-9));
    let step = step.unwrap_or(least);
    let first = (low / step - 1e-9).ceil();
    let count = ((high - low) / step + 1e-9).floor().clamp(0.0, 1e3) as usize + 1;
    let largest = low.abs().max(high.abs());
    (0..count)
        .map(|i| (first + i as f64) * step)
        .filter(|value| *value <= high + 1e-9 * (high - low))
        .map(|value| (value, written(if value.abs() < step / 1e6 { 0.0 } else { value }, step, largest)))
        .collect()
}

fn log(range: [f64; 2], most: usize) -> Vec<(f64, String)> {
    let [low, high] = range.map(f64::log10);
    let decades = (low.ceil() as i32..=high.floor() as i32).collect::<Vec<_>>();
    if decades.len() >= 3 {
        let every = decades.len().div_ceil(most) as i32;
        return decades
            .into_iter()
            .filter(|decade| decade % every == 0)
            .map(|decade| (10f64.powi(decade), power_of_ten(decade)))
            .collect();
    }
    let inside = |values: &[f64]| -> Vec<(f64, String)> {
        (low.floor() as i32..=high.floor() as i32)
            .flat_map(|decade| values.iter().map(move |times| times * 10f64.powi(decade)))
            .filter(|value| (range[0]..=range[1]).contains(value))
            .map(|value| {
                (
                    value,
                    if range[1] < 1e5 { significant(value, 1) } else { written(value, value, f64::INFINITY) },
                )
            })
            .collect()
    };
    let each = inside(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]);
    match (each.len(), inside(&[1.0, 2.0, 5.0])) {
        (2.., fewer) if fewer.len() >= 3 => fewer,
        (2.., _) => each,
        _ => linear(range, most),
    }
}

/// A number on an axis whose steps are `step` and whose numbers reach `largest`.
fn written(value: f64, step: f64, largest: f64) -> String {
    let power = step.log10().floor();
    if (-5.0..=6.0).contains(&power) && largest < 1e7 {
        return format!("{value:.*}", (-power).max(0.0) as usize).replace('-', "−");
    }
    if value == 0.0 {
        return "0".into();
    }
    let exponent = value.abs().log10().floor();
    // Two divisions: ten to a very negative power is no number, nor is its inverse.
    let half = (exponent / 2.0).floor();
    let mantissa = value / 10f64.powf(half) / 10f64.powf(exponent - half);
    let digits = (exponent - power).clamp(0.0, 12.0) as usize;
    if digits == 0 && (mantissa.abs() - 1.0).abs() < 1e-6 {
        let sign = if value < 0.0 { "−" } else { "" };
        return format!("{sign}{}", power_of_ten(exponent as i32));
    }
    format!("{mantissa:.digits$}×{}", power_of_ten(exponent as i32)).replace('-', "−")
}

fn power_of_ten(power: i32) -> String {
    match power {
        -2..=3 => format!("{}", 10f64.powi(power)),
        _ => format!("10{}", raised(&power.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(axis: &Axis) -> Vec<String> {
        ticks(axis, 6).into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn numbers_are_round() {
        assert_eq!(said(&Axis::linear("", 0.0, 1.0)), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(
            said(&Axis::linear("", 817.13, 817.41)),
            ["817.15", "817.20", "817.25", "817.30", "817.35", "817.40"]
        );
        assert_eq!(said(&Axis::linear("", -30.0, 12.0)), ["−30", "−20", "−10", "0", "10"]);
        assert_eq!(said(&Axis::linear("", 0.0, 4e8)), ["0", "10⁸", "2×10⁸", "3×10⁸", "4×10⁸"]);
        assert_eq!(said(&Axis::linear("", 0.0, 2e-9)).last().map(String::as_str), Some("2.0×10⁻⁹"));
    }

    #[test]
    fn logarithmic_axes_show_powers_or_what_fits() {
        let log = |low: f64, high: f64| Axis { scale: Scale::Log, ..Axis::linear("", low, high) };
        assert_eq!(said(&log(0.5, 2e6)), ["1", "100", "10⁴", "10⁶"]);
        assert_eq!(said(&log(3.0, 60.0)), ["5", "10", "20", "50"]);
        assert_eq!(said(&log(30.0, 45.0)), ["30", "40"]);
        assert!(said(&log(1000.0, 1010.0)).len() >= 2);
    }

    #[test]
    fn there_are_ticks_at_every_size() {
        for size in [1e-300, 1e-12, 1e-3, 1.0, 1e5, 1e9, 1e300] {
            for (low, high) in [(0.0, size), (-size, size), (size, 1.001 * size), (0.9 * size, 1.7 * size)] {
                let axis = Axis::linear("", low, high);
                let found = ticks(&axis, 6);
                assert!((2..=8).contains(&found.len()), "{low} to {high}: {found:?}");
                assert!(found.iter().all(|(_, text)| text.chars().count() < 20), "{found:?}");
            }
        }
    }
}
