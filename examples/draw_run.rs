//! Draws what a run record holds, so that one can see whether to believe its number:
//! `cargo run --release --example draw_run -- RUN.json PICTURE.png`.
//!
//! Left, the log-weights of the chains: a narrow hill means that no few chains decide. Middle, the variance of the log-weights
//! along the schedule: it should rise steadily, to about one. Right, the estimate with its 95 % interval and the independent
//! answers that it is held against.

use std::path::Path;
use std::process::ExitCode;

use lnz::estimators::Estimate;
use lnz::io::record::RunRecord;
use plotters::prelude::*;
use plotters::style::{FontStyle, register_font};

type Failure = Box<dyn std::error::Error>;

/// Okabe & Ito's colours, which colour-blind people can tell apart.
const BLUE: RGBColor = RGBColor(0, 114, 178);
const ORANGE: RGBColor = RGBColor(213, 94, 0);
const INK: RGBColor = RGBColor(40, 40, 40);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [record, picture] = arguments.as_slice() else {
        eprintln!("usage: draw_run RUN.json PICTURE.png");
        return ExitCode::from(2);
    };
    match draw(Path::new(record), Path::new(picture)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

fn draw(record: &Path, picture: &Path) -> Result<(), Failure> {
    let record = RunRecord::read(record)?;
    let estimate = &record.estimate;
    if estimate.trace.log_weights.is_empty() {
        return Err(format!("a run of {} keeps no weights to draw", estimate.method).into());
    }
    register_font("sans-serif", FontStyle::Normal, dejavu::sans::regular())
        .map_err(|_| "the embedded font")?;
    let root = BitMapBackend::new(picture, (1500, 460)).into_drawing_area();
    root.fill(&WHITE)?;
    let panels = root.split_evenly((1, 3));
    weights(&panels[0], estimate)?;
    variance(&panels[1], estimate)?;
    evidence(&panels[2], estimate)?;
    root.present()?;
    Ok(())
}

type Area<'a> = DrawingArea<BitMapBackend<'a>, plotters::coord::Shift>;

fn weights(area: &Area<'_>, estimate: &Estimate) -> Result<(), Failure> {
    let log_weights = &estimate.trace.log_weights;
    let mean = lnz::math::log_mean_exp(log_weights);
    let centred: Vec<f64> = log_weights.iter().map(|w| w - mean).filter(|w| w.is_finite()).collect();
    let low = centred.iter().copied().fold(0.0, f64::min).floor();
    let high = centred.iter().copied().fold(0.0, f64::max).ceil().max(low + 1.0);
    let bins = 40;
    let width = (high - low) / f64::from(bins);
    let mut counts = vec![0u32; bins as usize];
    for w in &centred {
        counts[(((w - low) / width) as usize).min(bins as usize - 1)] += 1;
    }
    let top = counts.iter().copied().max().unwrap_or(1) as f64 * 1.1;
    let diagnostics = &estimate.diagnostics;
    let title = format!(
        "ESS {:.0} of {}, Pareto shape {:.2}",
        diagnostics.effective_sample_size.unwrap_or(f64::NAN),
        log_weights.len(),
        diagnostics.pareto_shape.unwrap_or(f64::NAN)
    );
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 20))
        .margin(14)
        .x_label_area_size(46)
        .y_label_area_size(56)
        .build_cartesian_2d(low..high, 0.0..top)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(INK.mix(0.12))
        .x_desc("log-weight − log mean weight (nats)")
        .y_desc("chains")
        .y_label_formatter(&|count| format!("{count:.0}"))
        .label_style(("sans-serif", 15))
        .axis_desc_style(("sans-serif", 17))
        .draw()?;
    chart.draw_series(counts.iter().enumerate().map(|(i, &count)| {
        let left = low + i as f64 * width;
        Rectangle::new([(left, 0.0), (left + 0.9 * width, f64::from(count))], BLUE.filled())
    }))?;
    chart.draw_series(LineSeries::new([(0.0, 0.0), (0.0, top)], ORANGE.stroke_width(2)))?;
    Ok(())
}

fn variance(area: &Area<'_>, estimate: &Estimate) -> Result<(), Failure> {
    let rungs = &estimate.trace.rungs;
    let top = rungs.iter().map(|rung| rung.log_weight_variance).fold(1.0, f64::max) * 1.1;
    let count = rungs.len() as f64;
    let mut chart = ChartBuilder::on(area)
        .caption(format!("Where the variance of {} rungs arises", rungs.len()), ("sans-serif", 20))
        .margin(14)
        .x_label_area_size(46)
        .y_label_area_size(56)
        .build_cartesian_2d(0.0..1.0, 0.0..top)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(INK.mix(0.12))
        .x_desc("share of the rungs")
        .y_desc("variance of the log-weights")
        .label_style(("sans-serif", 15))
        .axis_desc_style(("sans-serif", 17))
        .draw()?;
    chart.draw_series(DashedLineSeries::new([(0.0, 0.0), (1.0, 1.0)], 6, 6, ORANGE.stroke_width(2)))?;
    let points =
        rungs.iter().enumerate().map(|(k, rung)| ((k as f64 + 1.0) / count, rung.log_weight_variance));
    chart.draw_series(LineSeries::new(points, BLUE.stroke_width(3)))?;
    chart.draw_series([Text::new(
        "a straight line to one",
        (0.08, 0.93 * top),
        ("sans-serif", 15).into_font().color(&ORANGE),
    )])?;
    Ok(())
}

fn evidence(area: &Area<'_>, estimate: &Estimate) -> Result<(), Failure> {
    let mut rows = vec![("the estimate", estimate.log_z, estimate.std_err.unwrap_or(0.0))];
    for other in &estimate.diagnostics.evidence {
        let source = other.source.split(" (").next().unwrap_or(&other.source);
        rows.push((source, other.log_z, other.std_err));
    }
    let reach =
        |sign: f64| rows.iter().map(|(_, value, error)| sign * value + 2.6 * error).fold(f64::MIN, f64::max);
    let (low, high) = (-reach(-1.0), reach(1.0));
    let verdict = if estimate.verdict.is_converged() { "converged" } else { "not converged" };
    let mut chart = ChartBuilder::on(area)
        .caption(format!("log Z = {:.2} nats: {verdict}", estimate.log_z), ("sans-serif", 20))
        .margin(14)
        .x_label_area_size(46)
        .build_cartesian_2d(low..high, 0.0..rows.len() as f64)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(INK.mix(0.12))
        .disable_y_mesh()
        .disable_y_axis()
        .x_labels(6)
        .x_label_formatter(&|x| format!("{x:.1}"))
        .x_desc("log Z and its 95 % interval (nats)")
        .label_style(("sans-serif", 15))
        .axis_desc_style(("sans-serif", 17))
        .draw()?;
    for (i, (name, value, error)) in rows.iter().enumerate() {
        let height = rows.len() as f64 - i as f64 - 0.65;
        let colour = if i == 0 { BLUE } else { INK };
        let ends = [(value - 1.96 * error, height), (value + 1.96 * error, height)];
        chart.draw_series(LineSeries::new(ends, colour.stroke_width(3)))?;
        chart.draw_series([Circle::new((*value, height), 6, colour.filled())])?;
        let place = (low + 0.02 * (high - low), height + 0.42);
        chart.draw_series([Text::new(
            (*name).to_owned(),
            place,
            ("sans-serif", 15).into_font().color(&colour),
        )])?;
    }
    Ok(())
}
