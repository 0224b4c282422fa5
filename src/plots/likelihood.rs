//! How the log-likelihood spreads over examples, for one or more sets of them.

use super::bins::Bins;
use super::figure::{Axis, Colour, Figure, Marks, Panel, Series};
use super::numbers::{asides, counted, quantile, shortened, significant, sorted, with_error};
use crate::math::statistics;

/// Bins over all sets, for many examples.
const BINS: f64 = 40.0;
/// Letters of a set's name.
const NAME: usize = 24;

/// Examples whose log-likelihoods are shown together.
#[derive(Clone, Debug)]
pub struct Examples<'a> {
    /// What they are: training data, test data, the model that judges them.
    pub name: String,
    /// log p of each.
    pub log_likelihoods: &'a [f64],
    /// Standard error of the log Z in them; 0 if exact or not known.
    pub log_z_std_err: f64,
}

impl Examples<'_> {
    fn mean(&self) -> f64 {
        statistics::mean(self.log_likelihoods)
    }
}

pub(super) fn figure(sets: &[Examples<'_>]) -> Figure {
    let all = sorted(sets.iter().flat_map(|set| set.log_likelihoods.iter().copied()));
    let means: Vec<f64> = sets.iter().map(Examples::mean).filter(|mean| mean.is_finite()).collect();
    let [low, high] = range(&all, &means);
    let fewest = sets.iter().map(|set| set.log_likelihoods.len()).min().unwrap_or(0);
    let bins = Bins::new(low, high, (2.0 * (fewest as f64).sqrt()).clamp(10.0, BINS) as usize);
    let [low, high] = bins.ends();
    let margin = 0.02 * (high - low);
    let mut series = Vec::new();
    let mut heights = vec![];
    for (i, set) in sets.iter().enumerate() {
        let share = 1.0 / set.log_likelihoods.len().max(1) as f64;
        let shares = bins.heights(set.log_likelihoods.iter().map(|&value| (value, share)));
        let label = label(set, &bins);
        series.push(Series::new(label, Colour::Nth(i), Marks::Steps(bins.bars(&shares))));
        if set.mean().is_finite() {
            series.push(Series::unnamed(Colour::Nth(i), Marks::Vertical(set.mean())));
        }
        heights.extend(shares);
    }
    let x = Axis::linear("log p(x) (nats per example)", low - margin, high + margin);
    Figure {
        name: "likelihood",
        title: match sets {
            [set] => format!("Log-likelihood of {}", counted(set.log_likelihoods.len(), "example")),
            _ => format!("Log-likelihood of the examples of {}", counted(sets.len(), "set")),
        },
        reading: "Further right is better. Good: training and test examples lie on each other. Bad: test examples lie further \
                  left (overfitting), or a tail to the left, which moves the mean by a few odd examples."
            .into(),
        panels: vec![Panel::wide(x, Axis::from_zero("share of the examples", heights), series)],
    }
}

/// All values, unless a few lie so far out that the rest would be one bar; and every mean.
fn range(sorted: &[f64], means: &[f64]) -> [f64; 2] {
    let at = |share: f64| quantile(sorted, share).unwrap_or(0.0);
    let (inner, outer) = ([at(0.005), at(0.995)], [at(0.0), at(1.0)]);
    let far = 2.0 * (inner[1] - inner[0]);
    let mut range =
        if far > 0.0 { [outer[0].max(inner[0] - far), outer[1].min(inner[1] + far)] } else { outer };
    for mean in means {
        range = [range[0].min(*mean), range[1].max(*mean)];
    }
    range
}

/// `train: −73.20 ± 0.24`, and what the bins do not show.
fn label(set: &Examples<'_>, bins: &Bins) -> String {
    let error = statistics::std_err(set.log_likelihoods).hypot(set.log_z_std_err);
    let mean = if error.is_finite() { with_error(set.mean(), error) } else { significant(set.mean(), 5) };
    let count = |of: &dyn Fn(f64) -> bool| set.log_likelihoods.iter().filter(|value| of(**value)).count();
    let impossible = count(&|value| value == f64::NEG_INFINITY);
    let outside = count(&|value| value.is_finite() && bins.of(value).is_none());
    let left_out = asides(&[(impossible, "with p = 0"), (outside, "outside")]);
    format!("{}: {mean}{left_out}", shortened(&set.name, NAME))
}

#[cfg(test)]
mod tests {
    use super::super::trials::assert_sound;
    use super::*;

    fn set<'a>(name: &str, log_likelihoods: &'a [f64]) -> Examples<'a> {
        Examples { name: name.into(), log_likelihoods, log_z_std_err: 0.0 }
    }

    fn steps(figure: &Figure, series: usize) -> Vec<[f64; 3]> {
        match &figure.panels[0].series[series].marks {
            Marks::Steps(steps) => steps.clone(),
            other => panic!("steps, not {other:?}"),
        }
    }

    #[test]
    fn shares_add_up_over_common_bins() {
        let (one, two) = ((0..900).map(f64::from).collect::<Vec<_>>(), [-3.0, 5.0, 7.5, f64::NEG_INFINITY]);
        let figure = figure(&[set("train", &one), set("test", &two)]);
        assert_sound(&figure);
        let total = |series| steps(&figure, series).iter().map(|step| step[2]).sum::<f64>();
        assert!((total(0) - 1.0).abs() < 1e-9);
        assert!((total(2) - 0.75).abs() < 1e-9, "one of four has p = 0");
        let label = figure.panels[0].series[2].label.as_deref().expect("a legend");
        assert_eq!(label, "test: −∞ (1 with p = 0)");
        assert_eq!(steps(&figure, 0)[5][..2], steps(&figure, 2)[5][..2]);
        assert_eq!(figure.panels[0].series[1].marks, Marks::Vertical(449.5));
    }

    #[test]
    fn a_few_far_examples_do_not_hide_the_rest() {
        let mut values: Vec<f64> = (0..1000).map(|i| f64::from(i) / 100.0).collect();
        values[0] = -1e5;
        let figure = figure(&[set("test", &values)]);
        assert!(figure.panels[0].x.range[0] > -200.0);
        assert!(figure.panels[0].series[0].label.as_deref().expect("a legend").ends_with("(1 outside)"));
    }

    #[test]
    fn nothing_at_all_is_still_a_figure() {
        for values in [vec![], vec![1.0], vec![f64::NEG_INFINITY; 3], vec![f64::NAN, 1e300, -1e300]] {
            assert_sound(&figure(&[set("test", &values)]));
        }
        assert_sound(&figure(&[]));
    }
}
