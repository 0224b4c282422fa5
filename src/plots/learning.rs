//! The likelihood while a model is trained, with what log Z leaves open.

use super::figure::{Axis, Colour, Figure, Marks, Panel, Series};
use super::numbers::significant;

/// Half of a normal 95 % interval, in standard errors.
const NORMAL: f64 = 1.96;

/// What is known of a model on the way.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Stage {
    /// The epoch, or its number among checkpoints.
    pub at: f64,
    /// log Z, where it is known.
    pub log_z: Option<f64>,
    /// Its standard error.
    pub std_err: f64,
    /// What following the model gave where log Z was then found anew, and its standard error.
    pub followed: Option<(f64, f64)>,
    /// Mean log-likelihoods of training and of validation data.
    pub log_likelihoods: [Option<f64>; 2],
}

pub(super) fn figure(stages: &[Stage]) -> Option<Figure> {
    let known: Vec<(&Stage, f64)> = stages
        .iter()
        .filter_map(|stage| Some((stage, stage.log_z?)))
        .filter(|(_, z)| z.is_finite())
        .collect();
    let (last, _) = known.last()?;
    let names = ["training data", "validation data"];
    let curves: Vec<(usize, Vec<[f64; 3]>)> = (0..2)
        .map(|k| {
            let points = known
                .iter()
                .filter_map(|(stage, _)| Some([stage.at, stage.log_likelihoods[k]?, NORMAL * stage.std_err]));
            (k, points.collect::<Vec<_>>())
        })
        .filter(|(_, points)| !points.is_empty())
        .collect();
    let mut panels = Vec::new();
    if !curves.is_empty() {
        let all = curves.iter().flat_map(|(_, points)| points).copied().collect::<Vec<[f64; 3]>>();
        let y = Axis::around("mean log-likelihood (nats)", rising(&all));
        let series = curves.iter().flat_map(|(k, points)| {
            let colour = if *k == 0 { Colour::Main } else { Colour::Other };
            lines(points, colour, names[*k])
        });
        panels.push(Panel::wide(
            Axis::around("epoch", all.iter().map(|point| point[0])),
            y,
            series.collect(),
        ));
    }
    let points: Vec<[f64; 3]> =
        known.iter().map(|(stage, log_z)| [stage.at, *log_z, NORMAL * stage.std_err]).collect();
    let compared: Vec<(f64, f64, f64)> = known
        .iter()
        .filter_map(|(stage, _)| stage.followed.map(|(log_z, std_err)| (stage.at, log_z, std_err)))
        .filter(|(_, log_z, _)| log_z.is_finite())
        .collect();
    let mut series = lines(&points, Colour::Main, "log Z");
    if !compared.is_empty() {
        series.push(Series {
            label: Some("by following, where it was then found anew".into()),
            colour: Colour::Other,
            marks: Marks::Points(compared.iter().map(|(at, log_z, _)| [*at, *log_z]).collect()),
        });
    }
    let reached = points.iter().flat_map(reach);
    let y = Axis::around("log Z (nats)", reached.chain(compared.iter().map(|(_, log_z, _)| *log_z)));
    panels.push(Panel::wide(Axis::around("epoch", points.iter().map(|point| point[0])), y, series));
    let mut shown =
        last.log_likelihoods.iter().zip(names).filter_map(|(value, name)| Some(((*value)?, name)));
    let end = shown.next_back().map_or(String::new(), |(value, name)| {
        let error = match last.std_err {
            0.0 => String::new(),
            known if known.is_finite() => format!(" ± {}", significant(known, 2)),
            _ => " ± ?".into(),
        };
        format!(": {value:.2}{error} nats an example of {name}")
    });
    Some(Figure {
        name: "learning",
        title: format!("Up to epoch {}{end}", last.at),
        reading: "Good: likelihoods that rise and level off together, and points of following inside the band of log Z. Bad: \
                  validation data that fall while training data rise (too many epochs), or bands so wide that nothing is told. A \
                  dashed line may be off by many nats: too few of the chains that follow have a common weight for an error bar."
            .into(),
        panels,
    })
}

/// A line, with a band where there are errors, and dashed where these are not known.
fn lines(points: &[[f64; 3]], colour: Colour, name: &str) -> Vec<Series> {
    let at =
        |points: &[[f64; 3]]| points.iter().map(|[at, value, _]| [*at, *value]).collect::<Vec<[f64; 2]>>();
    let mut series = Vec::new();
    if points.iter().any(|point| !point[2].is_finite()) {
        let label = Some(format!("{name}, error not known"));
        series.push(Series { label, ..Series::unnamed(colour, Marks::Dashed(at(points))) });
    }
    let mut label = Some(name.to_owned());
    for known in points.split(|point| !point[2].is_finite()).filter(|known| !known.is_empty()) {
        if known.iter().any(|point| point[2] > 0.0) {
            let band = known.iter().map(|[at, value, half]| [*at, value - half, value + half]).collect();
            series.push(Series::unnamed(colour, Marks::Band(band)));
        }
        let marks = if known.len() > 1 { Marks::Line(at(known)) } else { Marks::Points(at(known)) };
        series.push(Series { label: label.take(), ..Series::unnamed(colour, marks) });
    }
    series
}

/// A value and the ends of its interval, where that is known.
fn reach([_, value, half]: &[f64; 3]) -> [f64; 2] {
    let half = if half.is_finite() { half } else { &0.0 };
    [value - half, value + half]
}

/// What the axis has to hold: everything but early values so low that all later ones would lie on a line.
fn rising(points: &[[f64; 3]]) -> impl Iterator<Item = f64> {
    let highest = points.iter().map(|point| point[1]).fold(f64::NEG_INFINITY, f64::max);
    let mut values: Vec<f64> = points.iter().map(|point| point[1]).collect();
    values.sort_by(f64::total_cmp);
    let middle = values[values.len() / 4];
    let least = (highest - 4.0 * (highest - middle)).max(values[0]);
    points.iter().flat_map(reach).filter(move |v| *v >= least)
}

#[cfg(test)]
mod tests {
    use super::super::trials::assert_sound;
    use super::*;

    fn stages(errors: &[f64]) -> Vec<Stage> {
        let stage = |(i, &std_err): (usize, &f64)| Stage {
            at: (i + 1) as f64,
            log_z: Some(10.0 + i as f64),
            std_err,
            followed: (i == 2).then_some((12.5, f64::INFINITY)),
            log_likelihoods: [Some(-20.0 + i as f64), None],
        };
        errors.iter().enumerate().map(stage).collect()
    }

    #[test]
    fn errors_that_are_not_known_are_dashed_and_leave_the_axes_alone() {
        let found = figure(&stages(&[0.1, f64::INFINITY, 0.2, 0.1, f64::INFINITY])).expect("a figure");
        assert_sound(&found);
        assert!(found.title.contains("-16.00 ± ? nats"), "{}", found.title);
        let labels: Vec<&str> = found.panels[0].series.iter().filter_map(|s| s.label.as_deref()).collect();
        assert_eq!(labels, ["training data, error not known", "training data"]);
        let bands = found.panels[0].series.iter().filter(|s| matches!(s.marks, Marks::Band(_))).count();
        assert_eq!(bands, 2);

        let exact = figure(&stages(&[0.0; 3])).expect("a figure");
        assert_sound(&exact);
        assert_eq!(exact.panels[0].series.len(), 1);
        let unknown = figure(&stages(&[f64::INFINITY; 3])).expect("a figure");
        assert_sound(&unknown);
        assert_eq!(unknown.panels[0].series.len(), 1);
    }
}
