//! How often neighbouring rungs of a tempering ladder exchange states, and how far states travel.

use super::figure::{Axis, Colour, Figure, Marks, Series};
use super::numbers::{counted, decimals, significant};
use super::steps;
use crate::estimators::Estimate;
use crate::math::statistics::mean;

pub(super) fn figure(estimate: &Estimate) -> Option<Figure> {
    let diagnostics = &estimate.diagnostics;
    let rates = &diagnostics.swap_rates;
    if rates.is_empty() {
        return None;
    }
    let mean = mean(rates);
    let trips = diagnostics.round_trips.zip(diagnostics.chains.filter(|&systems| systems > 0));
    let travel = trips.map_or(String::new(), |(trips, systems)| {
        format!("; {} round trips a system", significant(trips as f64 / systems as f64, 3))
    });
    let line = Series::new(format!("mean: {}", decimals(mean, 2)), Colour::Other, Marks::Horizontal(mean));
    let counts = trips.map_or(String::new(), |(trips, systems)| {
        format!(
            " In this run {} made {} in all.",
            counted(systems, "system"),
            counted(trips as usize, "round trip")
        )
    });
    Some(Figure {
        name: "swaps",
        title: format!(
            "Exchanges over {}: {} accepted{travel}",
            counted(rates.len(), "rung"),
            decimals(mean, 2)
        ),
        reading: format!(
            "Good: bars of one height, near a half, and many round trips of each system from the reference (rung 0) to the model \
             and back. Bad: a low bar, where states hardly pass; or bars that are fine and round trips that are few (below four), \
             where states turn back: more rungs there, or a longer run.{counts}"
        ),
        panels: vec![steps::panel("rung", Axis::linear("exchanges accepted", 0.0, 1.0), rates, vec![line])],
    })
}

#[cfg(test)]
mod tests {
    use super::super::trials::{assert_sound, estimate};
    use super::*;

    #[test]
    fn bars_are_the_rates_and_the_title_counts_trips_of_a_system() {
        let mut estimate = estimate("tempering", "ref:ising?side=3");
        let rates = estimate.diagnostics.swap_rates.clone();
        let sum: f64 = rates.iter().sum();
        assert!(rates.len() == 20 && sum > 0.0, "{rates:?}");
        estimate.diagnostics.round_trips = Some(250);
        let figure = figure(&estimate).expect("exchanges");
        assert_sound(&figure);
        let series = &figure.panels[0].series;
        let Marks::Bars(bars) = &series[0].marks else { panic!("bars") };
        assert_eq!(bars.iter().map(|bar| bar[2]).collect::<Vec<_>>(), rates);
        let Marks::Horizontal(mean) = series[1].marks else { panic!("a line") };
        assert!((mean - sum / 20.0).abs() < 1e-12);
        assert!(figure.title.ends_with("; 1.25 round trips a system"), "{}", figure.title);
        assert!(figure.reading.ends_with("200 systems made 250 round trips in all."), "{}", figure.reading);
    }

    #[test]
    fn other_methods_have_none() {
        assert!(figure(&estimate("ais", "ref:ising?side=3")).is_none());
    }
}
