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
    let reach = points.iter().flat_map(|[_, value, half]| [value - half, value + half]);
    let y = Axis::around("log Z (nats)", reach.chain(compared.iter().map(|(_, log_z, _)| *log_z)));
    panels.push(Panel::wide(Axis::around("epoch", points.iter().map(|point| point[0])), y, series));
    let mut shown =
        last.log_likelihoods.iter().zip(names).filter_map(|(value, name)| Some(((*value)?, name)));
    let end = shown.next_back().map_or(String::new(), |(value, name)| {
        let error =
            if last.std_err > 0.0 { format!(" ± {}", significant(last.std_err, 2)) } else { String::new() };
        format!(": {value:.2}{error} nats an example of {name}")
    });
    Some(Figure {
        name: "learning",
        title: format!("Up to epoch {}{end}", last.at),
        reading: "Good: likelihoods that rise and level off together, and points of following inside the band of log Z. Bad: \
                  validation data that fall while training data rise (too many epochs), or bands so wide that nothing is told."
            .into(),
        panels,
    })
}

/// A band where there are errors, and the line in it.
fn lines(points: &[[f64; 3]], colour: Colour, name: &str) -> Vec<Series> {
    let mut series = Vec::new();
    if points.iter().any(|point| point[2] > 0.0) {
        let band = points.iter().map(|[at, value, half]| [*at, value - half, value + half]).collect();
        series.push(Series::unnamed(colour, Marks::Band(band)));
    }
    let line: Vec<[f64; 2]> = points.iter().map(|[at, value, _]| [*at, *value]).collect();
    let marks = if line.len() > 1 { Marks::Line(line) } else { Marks::Points(line) };
    series.push(Series { label: Some(name.into()), ..Series::unnamed(colour, marks) });
    series
}

/// What the axis has to hold: everything but early values so low that all later ones would lie on a line.
fn rising(points: &[[f64; 3]]) -> impl Iterator<Item = f64> {
    let highest = points.iter().map(|point| point[1]).fold(f64::NEG_INFINITY, f64::max);
    let mut values: Vec<f64> = points.iter().map(|point| point[1]).collect();
    values.sort_by(f64::total_cmp);
    let middle = values[values.len() / 4];
    let least = (highest - 4.0 * (highest - middle)).max(values[0]);
    points.iter().flat_map(|point| [point[1] - point[2], point[1] + point[2]]).filter(move |v| *v >= least)
}
