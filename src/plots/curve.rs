//! log Z, mean energy, heat capacity and entropy against temperature.

use super::figure::{Axis, Colour, Figure, Marks, Panel, Series};
use super::numbers::significant;
use crate::estimators::curve::{Curve, Point, Quantity};

/// Half of a normal 95 % interval, in standard errors.
const NORMAL: f64 = 1.96;

pub(super) fn figure(curve: &Curve, per_site: bool) -> Figure {
    let mut points: Vec<&Point> = curve.points.iter().collect();
    points.sort_by(|one, other| one.temperature.total_cmp(&other.temperature));
    let per = if per_site { " per site" } else { "" };
    let panels = [
        (format!("log Z{per} (nats)"), (|point: &Point| point.log_z) as fn(&Point) -> Quantity),
        (format!("mean energy{per}"), |point| point.mean_energy),
        (format!("heat capacity{per}"), |point| point.heat_capacity),
        (format!("entropy{per} (nats)"), |point| point.entropy),
    ];
    let sampled = curve.run.is_some();
    let peak = points.iter().max_by(|a, b| a.heat_capacity.value.total_cmp(&b.heat_capacity.value));
    let peak = peak.map_or(String::new(), |point| {
        format!(
            ": heat capacity {} at most, at T = {}",
            significant(point.heat_capacity.value, 3),
            significant(point.temperature, 3)
        )
    });
    Figure {
        name: "curve",
        title: format!("{} temperatures{peak}", points.len()),
        reading: if sampled {
            "Good: narrow bands, and an energy and an entropy that rise with the temperature. Bad: a band that widens, where few \
             states of the run count, or a peak of the heat capacity no wider than its band."
                .into()
        } else {
            "Exact, so without bands. A peak of the heat capacity, where the energy rises steeply, is where the model changes its phase."
                .into()
        },
        panels: panels
            .into_iter()
            .enumerate()
            .map(|(k, (label, of))| panel(&points, label, of, (k == 0).then_some("±1.96 standard errors")))
            .collect(),
    }
}

fn panel(points: &[&Point], label: String, of: fn(&Point) -> Quantity, legend: Option<&str>) -> Panel {
    let rows: Vec<[f64; 3]> = points
        .iter()
        .map(|point| {
            let Quantity { value, std_err } = of(point);
            [point.temperature, value, NORMAL * std_err.unwrap_or(0.0)]
        })
        .collect();
    let x = Axis::around("temperature T", rows.iter().map(|row| row[0]));
    let y = Axis::around(label, rows.iter().flat_map(|[_, value, half]| [value - half, value + half]));
    let line: Vec<[f64; 2]> = rows.iter().map(|[t, value, _]| [*t, *value]).collect();
    let mut series = Vec::new();
    if rows.iter().any(|[_, _, half]| *half > 0.0) {
        let band = rows.iter().map(|[t, value, half]| [*t, value - half, value + half]).collect();
        series.push(Series {
            label: legend.map(str::to_owned),
            ..Series::unnamed(Colour::Main, Marks::Band(band))
        });
    }
    // A line of one point is not to be seen.
    let marks = if line.len() > 1 { Marks::Line(line) } else { Marks::Points(line) };
    series.push(Series::unnamed(Colour::Main, marks));
    Panel::wide(x, y, series)
}

#[cfg(test)]
mod tests {
    use super::super::trials::assert_sound;
    use super::*;
    use crate::estimators::{Settings, Silent, curve};
    use crate::models::builtin;

    #[test]
    fn bands_are_the_errors_and_lines_the_numbers() {
        let model = builtin::parse("ref:ising?side=4&field=0.1").expect("valid");
        let temperatures = [2.0, 0.8, 1.2];
        let sampled = curve::tempered(&model, &temperatures, &Settings::default(), &Silent).expect("samples");
        let drawn = figure(&sampled, false);
        assert_sound(&drawn);
        assert_eq!(drawn.panels.len(), 4);
        let (Marks::Band(band), Marks::Line(line)) =
            (&drawn.panels[2].series[0].marks, &drawn.panels[2].series[1].marks)
        else {
            panic!("a band and a line")
        };
        // In the order of temperatures.
        let Quantity { value, std_err } = sampled.points[1].heat_capacity;
        assert_eq!(line[0], [0.8, value]);
        assert!((band[0][2] - band[0][1] - 2.0 * NORMAL * std_err.expect("sampled")).abs() < 1e-12);
        let exact = curve::exact(&model, &temperatures, &Silent).expect("exact");
        assert!(figure(&exact, true).panels.iter().all(|panel| panel.series.len() == 1));
    }
}
