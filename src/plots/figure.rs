//! A figure as data: panels with axes, and series of marks in the units of the axes. How it looks is decided elsewhere.

/// A picture of one or more panels, one above the other.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// The stem of its file's name, such as `weights`.
    pub name: &'static str,
    /// What it shows, with the numbers that matter.
    pub title: String,
    /// How to read it, in a sentence or two: what is good, what is bad.
    pub reading: String,
    /// At least one, from top to bottom.
    pub panels: Vec<Panel>,
}

/// Axes and what is drawn between them.
#[derive(Clone, Debug, PartialEq)]
pub struct Panel {
    /// The horizontal axis.
    pub x: Axis,
    /// The vertical axis.
    pub y: Axis,
    /// Drawn in this order, the first at the bottom.
    pub series: Vec<Series>,
    /// How the panel is stretched.
    pub shape: Shape,
}

/// How a panel is stretched.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shape {
    /// To the figure's whole width, with a usual height.
    Wide,
    /// To the figure's whole width, with a height for so many rows of a list.
    Rows(usize),
    /// The same for long lists: rows as high as a line of text, however many.
    Lines(usize),
    /// A unit of x is as long as a unit of y.
    Equal,
}

/// A direction of a panel.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// What it measures, with the unit in parentheses; empty for a bare one.
    pub label: String,
    /// How numbers become lengths.
    pub scale: Scale,
    /// The numbers at its two ends, the lower first.
    pub range: [f64; 2],
    /// What stands along it.
    pub ticks: Ticks,
}

/// How numbers become lengths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// In proportion.
    Linear,
    /// In proportion to the logarithm; only positive numbers have a place.
    Log,
}

/// What stands along an axis.
#[derive(Clone, Debug, PartialEq)]
pub enum Ticks {
    /// Round numbers that suit the range.
    Numbers,
    /// These words at these numbers.
    Named(Vec<(f64, String)>),
    /// Nothing, and no line either: for sheets of pictures.
    None,
}

/// Marks that belong together.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// What they are, for the legend; `None` where the axes say it.
    pub label: Option<String>,
    /// Their colour.
    pub colour: Colour,
    /// The marks.
    pub marks: Marks,
}

/// Colours by what they mean, so that a person who has read one figure can read all; Okabe and Ito's palette, which colour-blind
/// people can tell apart, and which differs in lightness, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// What was measured.
    Main,
    /// What it is held against: guides, truth lines, the other direction.
    Other,
    /// Neither: further information.
    Quiet,
    /// One of several equals, counted from 0; they repeat after seven.
    Nth(usize),
}

/// What is drawn, in the units of the axes. Numbers that are not finite, or not positive on a logarithmic axis, are left out.
#[derive(Clone, Debug, PartialEq)]
pub enum Marks {
    /// A line through points (x, y).
    Line(Vec<[f64; 2]>),
    /// The same, dashed: a guide rather than a measurement.
    Dashed(Vec<[f64; 2]>),
    /// A pale area between two curves: (x, low, high).
    Band(Vec<[f64; 3]>),
    /// Dots at (x, y).
    Points(Vec<[f64; 2]>),
    /// Small pale dots, for many.
    Cloud(Vec<[f64; 2]>),
    /// Small crosses, which can be told from dots that they lie on.
    Crosses(Vec<[f64; 2]>),
    /// Bars on the lower end of the y axis: (left, right, height).
    Bars(Vec<[f64; 3]>),
    /// The outline of such bars, for histograms that overlap.
    Steps(Vec<[f64; 3]>),
    /// Dots with a horizontal whisker: (y, value, low, high).
    Whiskers(Vec<[f64; 4]>),
    /// Dots with a vertical whisker: (x, value, low, high).
    ErrorBars(Vec<[f64; 4]>),
    /// A dashed line across the whole panel at this x.
    Vertical(f64),
    /// A dashed line across the whole panel at this y.
    Horizontal(f64),
    /// Words whose left end, half way up, lies at (x, y).
    Words([f64; 2], String),
    /// A raster.
    Raster(Raster),
}

/// A grid of coloured cells.
#[derive(Clone, Debug, PartialEq)]
pub struct Raster {
    /// Left, right, bottom, top.
    pub extent: [f64; 4],
    /// Cells in a row.
    pub columns: usize,
    /// Row by row from the top, in 0 … 1 of the map; NaN is the space between pictures.
    pub cells: Vec<f64>,
    /// From numbers to colours.
    pub map: Map,
    /// What is written in the cells, in the same order, where there is room; empty for nothing.
    pub words: Vec<String>,
}

/// From numbers in 0 … 1 to colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Map {
    /// White to dark blue: a density.
    Density,
    /// Blue through white (at one half) to vermilion: signed weights.
    Signed,
    /// Black to white: pictures.
    Grey,
}

impl Panel {
    /// A wide panel.
    pub(super) fn wide(x: Axis, y: Axis, series: Vec<Series>) -> Self {
        Self { x, y, series, shape: Shape::Wide }
    }
}

impl Axis {
    /// From `low` to `high`, with round numbers along it.
    pub(super) fn linear(label: impl Into<String>, low: f64, high: f64) -> Self {
        Self { label: label.into(), scale: Scale::Linear, range: opened(low, high), ticks: Ticks::Numbers }
    }

    /// Wide enough for all finite `values` and a margin.
    pub(super) fn around(label: impl Into<String>, values: impl IntoIterator<Item = f64>) -> Self {
        let (low, high) = extremes(values.into_iter().filter(|value| value.is_finite()));
        let margin = 0.06 * (high - low);
        Self::linear(label, low - margin, high + margin)
    }

    /// From zero to a little more than the largest of `values`.
    pub(super) fn from_zero(label: impl Into<String>, values: impl IntoIterator<Item = f64>) -> Self {
        let (_, high) = extremes(values.into_iter().filter(|value| value.is_finite()).chain([0.0]));
        Self::linear(label, 0.0, 1.08 * high)
    }

    /// Logarithmic, wide enough for all positive `values` and a margin.
    pub(super) fn log(label: impl Into<String>, values: impl IntoIterator<Item = f64>) -> Self {
        let logs = values.into_iter().filter(|value| *value > 0.0 && value.is_finite()).map(f64::ln);
        let (low, high) = extremes(logs);
        let margin = (0.06 * (high - low)).max(0.2);
        let range = [(low - margin).exp().max(f64::MIN_POSITIVE), (high + margin).exp().min(f64::MAX)];
        Self { label: label.into(), scale: Scale::Log, range, ticks: Ticks::Numbers }
    }

    /// A bare one, for pictures.
    pub(super) fn bare(low: f64, high: f64) -> Self {
        Self { ticks: Ticks::None, ..Self::linear("", low, high) }
    }

    /// The same with words along it.
    pub(super) fn named(self, names: Vec<(f64, String)>) -> Self {
        Self { ticks: Ticks::Named(names), ..self }
    }

    /// Where `value` lies: 0 at the lower end, 1 at the upper; `None` where it has no place.
    pub(super) fn place(&self, value: f64) -> Option<f64> {
        let of = |number: f64| match self.scale {
            Scale::Linear => number,
            Scale::Log => number.ln(),
        };
        // Halves keep the difference of the largest numbers finite.
        let (low, high) = (of(self.range[0]) / 2.0, of(self.range[1]) / 2.0);
        Some((of(value) / 2.0 - low) / (high - low)).filter(|place| place.is_finite())
    }
}

impl Series {
    /// Marks with an entry in the legend.
    pub(super) fn new(label: impl Into<String>, colour: Colour, marks: Marks) -> Self {
        Self { label: Some(label.into()), colour, marks }
    }

    /// Marks that need none.
    pub(super) fn unnamed(colour: Colour, marks: Marks) -> Self {
        Self { label: None, colour, marks }
    }
}

fn extremes(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) = values
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
    if low <= high { (low, high) } else { (0.0, 1.0) }
}

/// A range of some length, whatever was asked for: an axis of one point, or an upside-down one, has no scale.
fn opened(low: f64, high: f64) -> [f64; 2] {
    let (low, high) =
        (low.clamp(-f64::MAX / 4.0, f64::MAX / 4.0), high.clamp(-f64::MAX / 4.0, f64::MAX / 4.0));
    let least = 1e-9 * low.abs().max(high.abs()).max(1e-3);
    if high - low > least {
        [low, high]
    } else {
        let half =
            0.5 * low.abs().max(high.abs()).max(1.0) * if low == 0.0 && high == 0.0 { 1.0 } else { 1e-3 };
        [low - half, high + half]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_axis_has_a_length() {
        let huge = f64::MAX;
        for values in [
            vec![],
            vec![3.0],
            vec![f64::NAN],
            vec![0.0, 0.0],
            vec![-huge, huge],
            vec![1e300, 1e300],
            vec![f64::INFINITY, 2.0],
        ] {
            for axis in [
                Axis::around("", values.clone()),
                Axis::from_zero("", values.clone()),
                Axis::log("", values.clone()),
            ] {
                let [low, high] = axis.range;
                assert!(low < high && low.is_finite() && high.is_finite(), "{values:?}: {low} {high}");
                assert_eq!(axis.place(low), Some(0.0), "{values:?}");
                assert_eq!(axis.place(high), Some(1.0), "{values:?}");
            }
        }
    }

    #[test]
    fn places_follow_the_scale() {
        let axis = Axis { scale: Scale::Log, ..Axis::linear("", 1.0, 100.0) };
        assert!((axis.place(10.0).expect("positive") - 0.5).abs() < 1e-12);
        assert_eq!(axis.place(0.0), None);
        assert_eq!(axis.place(-1.0), None);
        assert_eq!(Axis::linear("", 0.0, 4.0).place(1.0), Some(0.25));
        assert_eq!(Axis::linear("", 0.0, 4.0).place(f64::NAN), None);
    }
}
