//! Estimates against the rungs they took: forward ones come from below, reverse ones from above.

use super::figure::{Axis, Colour, Figure, Marks, Panel, Series};
use super::numbers::{quantile, significant, sorted, with_error};
use super::rows;
use crate::estimators::{Direction, Estimate, Guarantee};

/// Usual half-widths from the reported estimate beyond which a pilot is written at the edge.
const REACH: f64 = 25.0;
/// Factor between answers of as many rungs, which would lie on each other.
const APART: f64 = 1.08;

/// One estimate: where it stands, and what it says.
struct Answer {
    colour: Colour,
    rungs: f64,
    log_z: f64,
    interval: [f64; 2],
}

pub(super) fn figure(estimate: &Estimate) -> Option<Figure> {
    let mut answers = answers(estimate);
    if answers.len() < 2 {
        return None;
    }
    spread_out(&mut answers);
    let reported = rows::reported(estimate).filter(|ends| ends.iter().all(|end| end.is_finite()));
    let x = Axis::log("rungs of the run", answers.iter().map(|answer| answer.rungs));
    let y = Axis::around("log Z (nats)", worth_showing(estimate, &answers, reported));
    let ([left, right], [low, high]) = (x.range, y.range);

    let mut series = Vec::new();
    if let Some([lower, upper]) = reported.filter(|_| estimate.log_z.is_finite()) {
        let band = [left, right].map(|x| [x, lower.clamp(low, high), upper.clamp(low, high)]);
        let label = format!("reported {} interval", rows::percent(rows::level(estimate)));
        series.push(Series::new(label, Colour::Main, Marks::Band(band.to_vec())));
        series.push(Series::unnamed(Colour::Main, Marks::Horizontal(estimate.log_z)));
    }
    for (colour, label) in
        [(Colour::Quiet, "pilots"), (Colour::Other, "reverse runs"), (Colour::Main, "forward runs")]
    {
        let of_it = || answers.iter().filter(|answer| answer.colour == colour);
        let inside = of_it().filter(|answer| (low..=high).contains(&answer.log_z));
        let bars: Vec<[f64; 4]> = inside
            .map(|answer| {
                let [lower, upper] = answer.interval.map(|end| end.clamp(low, high));
                [answer.rungs, answer.log_z, lower, upper]
            })
            .filter(|bar| bar.iter().all(|number| number.is_finite()))
            .collect();
        if !bars.is_empty() {
            series.push(Series::new(label, colour, Marks::ErrorBars(bars)));
        }
        for answer in of_it() {
            let (below, above) = (answer.log_z < low, answer.log_z > high);
            if below || above {
                let arrow = if below { '↓' } else { '↑' };
                let at = [
                    answer.rungs,
                    if below { low + 0.05 * (high - low) } else { high - 0.05 * (high - low) },
                ];
                let words = format!("{arrow} {}", significant(answer.log_z, 4));
                series.push(Series::unnamed(colour, Marks::Words(at, words)));
            }
        }
    }
    Some(Figure {
        name: "sandwich",
        title: format!(
            "Answers from below and above: log Z = {}",
            with_error(estimate.log_z, estimate.std_err.unwrap_or(0.0))
        ),
        reading: "Forward runs are low on average and rise with the number of rungs; reverse runs, if they start well, are high \
                  on average and fall. Where the two meet is log Z; a gap between them at the right is a bad sign."
            .into(),
        panels: vec![Panel::wide(x, y, series)],
    })
}

/// Pilots, evidence, and the reported answer where it is one run in one direction and not among the evidence.
fn answers(estimate: &Estimate) -> Vec<Answer> {
    let level = rows::level(estimate);
    let answer = |colour, rungs: usize, log_z: f64, std_err: f64| Answer {
        colour,
        rungs: rungs as f64,
        log_z,
        interval: if std_err.is_nan() { [log_z; 2] } else { rows::around(log_z, std_err, level) },
    };
    let pilots = &estimate.trace.pilots;
    let mut answers: Vec<Answer> =
        pilots.iter().map(|p| answer(Colour::Quiet, p.rungs, p.log_z, p.std_err)).collect();
    answers.extend(estimate.diagnostics.evidence.iter().filter_map(|other| {
        let colour = match other.direction {
            Direction::Forward | Direction::Flat => Colour::Main,
            Direction::Reverse => Colour::Other,
            Direction::Bound => return None,
        };
        Some(answer(colour, other.rungs, other.log_z, other.std_err))
    }));
    let direction = match estimate.guarantee {
        Guarantee::UnbiasedZ | Guarantee::Conditional(_) => Some(Colour::Main),
        Guarantee::StochasticUpper => Some(Colour::Other),
        _ => None,
    };
    if let (Some(colour), Some(rungs)) = (direction, estimate.diagnostics.rungs) {
        answers.push(answer(colour, rungs, estimate.log_z, estimate.std_err.unwrap_or(0.0)));
    }
    answers.retain(|answer| answer.rungs > 0.0 && answer.log_z.is_finite());
    answers
}

fn spread_out(answers: &mut [Answer]) {
    for i in 1..answers.len() {
        let (before, rest) = answers.split_at_mut(i);
        let near =
            |rungs: f64| before.iter().any(|other| (other.rungs / rungs).ln().abs() < 0.9 * APART.ln());
        while near(rest[0].rungs) {
            rest[0].rungs *= APART;
        }
    }
}

/// Everything but pilots that are far off, which the first ones usually are.
fn worth_showing(estimate: &Estimate, answers: &[Answer], reported: Option<[f64; 2]>) -> Vec<f64> {
    let grown = || answers.iter().filter(|answer| answer.colour != Colour::Quiet);
    let centre = Some(estimate.log_z).filter(|log_z| log_z.is_finite()).unwrap_or(answers[0].log_z);
    let halves =
        grown().map(|answer| answer.interval).chain(reported).map(|[low, high]| high / 2.0 - low / 2.0);
    let usual = quantile(&sorted(halves.filter(|half| *half > 0.0)), 0.5);
    let span = grown().map(|answer| (answer.log_z - centre).abs()).fold(0.0, f64::max);
    let limit = usual.map_or(f64::INFINITY, |half| (REACH * half).max(1.5 * span));
    let near = |value: f64| (value - centre).abs() <= limit;
    let mut shown: Vec<f64> = grown().map(|answer| answer.log_z).chain([centre]).collect();
    shown.extend(answers.iter().map(|answer| answer.log_z).filter(|value| near(*value)));
    let widest = shown.iter().map(|value| (value - centre).abs()).fold(usual.unwrap_or(0.0), f64::max);
    let ends = grown().map(|answer| answer.interval).chain(reported).flatten();
    shown.extend(ends.filter(|end| (end - centre).abs() <= 2.0 * widest));
    shown
}

#[cfg(test)]
mod tests {
    use super::super::trials::{assert_sound, estimate};
    use super::*;

    fn bars(figure: &Figure, colour: Colour) -> Vec<[f64; 4]> {
        let of_it = figure.panels[0].series.iter().filter(|series| series.colour == colour);
        of_it
            .filter_map(|series| match &series.marks {
                Marks::ErrorBars(bars) => Some(bars.clone()),
                _ => None,
            })
            .flatten()
            .collect()
    }

    #[test]
    fn every_answer_has_its_bar() {
        let estimate = estimate("ais", "ref:ising?side=4");
        let figure = figure(&estimate).expect("answers");
        assert_sound(&figure);
        let evidence = &estimate.diagnostics.evidence;
        let (forward, reverse) = (bars(&figure, Colour::Main), bars(&figure, Colour::Other));
        assert_eq!(forward.iter().map(|bar| bar[1]).collect::<Vec<_>>(), [evidence[0].log_z, estimate.log_z]);
        assert_eq!(reverse.iter().map(|bar| bar[1]).collect::<Vec<_>>(), [evidence[1].log_z]);
        let error = evidence[1].std_err;
        assert!((reverse[0][3] - reverse[0][1] - 1.96 * error).abs() < 1e-3 * error);
        assert_eq!(bars(&figure, Colour::Quiet).len(), estimate.trace.pilots.len());
        let rungs: Vec<f64> = forward.iter().chain(&reverse).map(|bar| bar[0]).collect();
        assert!(rungs.iter().all(|r| rungs.iter().filter(|other| *other == r).count() == 1), "{rungs:?}");
    }

    #[test]
    fn far_pilots_are_written_at_the_edge() {
        let mut estimate = estimate("ais", "ref:ising?side=4");
        estimate.trace.pilots[0].log_z -= 500.0;
        let figure = figure(&estimate).expect("answers");
        assert_eq!(bars(&figure, Colour::Quiet).len(), estimate.trace.pilots.len() - 1);
        let written =
            |series: &Series| matches!(&series.marks, Marks::Words(_, words) if words.starts_with('↓'));
        assert!(figure.panels[0].series.iter().any(written));
    }
}
