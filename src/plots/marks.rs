//! From marks to what a pen draws, cut off at the panel's edges.

use super::figure::{Map, Marks, Panel, Raster, Series};
use super::scene::{Item, Rgb, Text};
use super::text::{self, fitted};

const LINE: f64 = 1.8;
const GUIDE: f64 = 1.4;
const WHISKER: f64 = 1.4;
const DOT: f64 = 3.6;
const SPECK: f64 = 1.6;
/// Half of the bar at the end of a whisker.
const CAP: f64 = 3.5;
/// Half of a cross from side to side, and the width of its lines.
const CROSS: f64 = 2.4;
const CROSS_LINE: f64 = 1.1;
const PALE: f64 = 0.22;
const BAR: f64 = 0.55;
const CLOUD: f64 = 0.7;
const WORDS: f64 = 11.0;
/// Pixels per em of what is written in tiles, at most and at least, and how much of a tile it may take.
const TILE_WORDS: [f64; 2] = [14.0, 7.0];
const TILE_SHARE: f64 = 0.8;
/// Shades of a raster in a legend.
const SHADES: usize = 5;

/// The rectangle between the axes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub left: f64,
    pub right: f64,
    pub top: f64,
    pub bottom: f64,
}

/// What `series` draws in `frame`.
pub(super) fn draw(panel: &Panel, series: &Series, frame: &Frame, colour: Rgb) -> Vec<Item> {
    let pen = Pen { panel, frame: *frame, colour };
    match &series.marks {
        Marks::Line(points) => pen.line(points, LINE, false),
        Marks::Dashed(points) => pen.line(points, GUIDE, true),
        Marks::Band(rows) => pen.band(rows),
        Marks::Points(points) => pen.dots(points, DOT, 1.0),
        Marks::Cloud(points) => pen.dots(points, SPECK, CLOUD),
        Marks::Crosses(points) => pen.crosses(points),
        Marks::Bars(bars) => pen.bars(bars),
        Marks::Steps(bars) => pen.steps(bars),
        Marks::Whiskers(rows) => pen.whiskers(rows, false),
        Marks::ErrorBars(rows) => pen.whiskers(rows, true),
        Marks::Vertical(x) => pen.line(&[[*x, panel.y.range[0]], [*x, panel.y.range[1]]], GUIDE, true),
        Marks::Horizontal(y) => pen.line(&[[panel.x.range[0], *y], [panel.x.range[1], *y]], GUIDE, true),
        Marks::Words(at, words) => pen.words(*at, words),
        Marks::Raster(raster) => pen.raster(raster),
    }
}

/// A sample of `marks` whose left end, half way up, lies at `at`.
pub(super) fn swatch(marks: &Marks, [x, y]: [f64; 2], width: f64, colour: Rgb) -> Vec<Item> {
    let stroke = |width_of_line, dashed| {
        vec![Item::Path { points: vec![[x, y], [x + width, y]], width: width_of_line, dashed, colour }]
    };
    let block = |opacity| vec![Item::Block { place: [x, y - 5.0, width, 10.0], colour, opacity }];
    let dot = |radius, opacity| vec![Item::Disc { centre: [x + 0.5 * width, y], radius, colour, opacity }];
    match marks {
        Marks::Line(_) | Marks::Steps(_) => stroke(LINE, false),
        Marks::Dashed(_) | Marks::Vertical(_) | Marks::Horizontal(_) => stroke(GUIDE, true),
        Marks::Band(_) => block(PALE),
        Marks::Bars(_) => block(BAR),
        Marks::Points(_) | Marks::Words(..) => dot(DOT, 1.0),
        Marks::Cloud(_) => dot(SPECK, 1.0),
        Marks::Crosses(_) => cross([x + 0.5 * width, y], colour).into(),
        Marks::Whiskers(_) | Marks::ErrorBars(_) => {
            let mut items = stroke(WHISKER, false);
            items.extend(dot(DOT, 1.0));
            items
        }
        Marks::Raster(raster) => {
            let step = width / SHADES as f64;
            let block = |i: usize| Item::Block {
                place: [x + i as f64 * step, y - 5.0, step, 10.0],
                colour: shade((i + 1) as f64 / SHADES as f64, raster.map),
                opacity: 1.0,
            };
            (0..SHADES).map(block).collect()
        }
    }
}

/// Two strokes.
fn cross([x, y]: [f64; 2], colour: Rgb) -> [Item; 2] {
    [-CROSS, CROSS].map(|rise| Item::Path {
        points: vec![[x - CROSS, y - rise], [x + CROSS, y + rise]],
        width: CROSS_LINE,
        dashed: false,
        colour,
    })
}

struct Pen<'a> {
    panel: &'a Panel,
    frame: Frame,
    colour: Rgb,
}

impl Pen<'_> {
    /// A place in pixels, wherever it lies; none for what has no place on its axis.
    fn at(&self, [x, y]: [f64; 2]) -> Option<[f64; 2]> {
        let Frame { left, right, top, bottom } = self.frame;
        let place = [
            left + self.panel.x.place(x)? * (right - left),
            bottom - self.panel.y.place(y)? * (bottom - top),
        ];
        place.iter().all(|coordinate| coordinate.is_finite()).then_some(place)
    }

    /// The same, pulled to the nearest point of the panel.
    fn within(&self, point: [f64; 2]) -> Option<[f64; 2]> {
        let [x, y] = self.at(point)?;
        let Frame { left, right, top, bottom } = self.frame;
        Some([x.clamp(left, right), y.clamp(top, bottom)])
    }

    fn holds(&self, [x, y]: [f64; 2]) -> bool {
        let Frame { left, right, top, bottom } = self.frame;
        (left - 0.5..=right + 0.5).contains(&x) && (top - 0.5..=bottom + 0.5).contains(&y)
    }

    fn path(&self, points: Vec<[f64; 2]>, width: f64, dashed: bool) -> Item {
        Item::Path { points, width, dashed, colour: self.colour }
    }

    /// A line, interrupted where it leaves the panel or has no place.
    fn line(&self, points: &[[f64; 2]], width: f64, dashed: bool) -> Vec<Item> {
        let mut runs: Vec<Vec<[f64; 2]>> = Vec::new();
        for pair in points.windows(2) {
            let (Some(from), Some(to)) = (self.at(pair[0]), self.at(pair[1])) else { continue };
            let Some([from, to]) = clipped(from, to, &self.frame) else { continue };
            match runs.last_mut() {
                Some(run) if run.last() == Some(&from) => run.push(to),
                _ => runs.push(vec![from, to]),
            }
        }
        runs.into_iter().map(|run| self.path(run, width, dashed)).collect()
    }

    fn band(&self, rows: &[[f64; 3]]) -> Vec<Item> {
        let inside =
            |row: &&[f64; 3]| self.panel.x.place(row[0]).is_some_and(|x| (-1e-9..=1.0 + 1e-9).contains(&x));
        let kept = || rows.iter().filter(inside);
        let upper = kept().filter_map(|[x, _, high]| self.within([*x, *high]));
        let lower = kept().rev().filter_map(|[x, low, _]| self.within([*x, *low]));
        let points: Vec<[f64; 2]> = upper.chain(lower).collect();
        if points.len() < 3 {
            Vec::new()
        } else {
            vec![Item::Area { points, colour: self.colour, opacity: PALE }]
        }
    }

    fn dots(&self, points: &[[f64; 2]], radius: f64, opacity: f64) -> Vec<Item> {
        let centres = points.iter().filter_map(|point| self.at(*point)).filter(|place| self.holds(*place));
        centres.map(|centre| Item::Disc { centre, radius, colour: self.colour, opacity }).collect()
    }

    fn crosses(&self, points: &[[f64; 2]]) -> Vec<Item> {
        let centres = points.iter().filter_map(|point| self.at(*point)).filter(|place| self.holds(*place));
        centres.flat_map(|centre| cross(centre, self.colour)).collect()
    }

    fn bars(&self, bars: &[[f64; 3]]) -> Vec<Item> {
        let floor = self.panel.y.range[0];
        let bar = |[from, to, height]: &[f64; 3]| {
            let ([left, bottom], [right, top]) = (self.within([*from, floor])?, self.within([*to, *height])?);
            let place = [left, top, right - left, bottom - top];
            (place[2] > 0.0 && place[3] > 0.0).then_some(Item::Block {
                place,
                colour: self.colour,
                opacity: BAR,
            })
        };
        bars.iter().filter_map(bar).collect()
    }

    /// The outline of bars, without the stretches at either end where there are none.
    fn steps(&self, bars: &[[f64; 3]]) -> Vec<Item> {
        let floor = self.panel.y.range[0];
        let filled = |bar: &[f64; 3]| bar[2] > floor;
        let (Some(first), Some(last)) = (bars.iter().position(filled), bars.iter().rposition(filled)) else {
            return Vec::new();
        };
        let bars = &bars[first..=last];
        let mut points = vec![[bars[0][0], floor]];
        points.extend(bars.iter().flat_map(|[left, right, height]| [[*left, *height], [*right, *height]]));
        points.push([bars[bars.len() - 1][1], floor]);
        let points: Vec<[f64; 2]> = points.into_iter().filter_map(|point| self.within(point)).collect();
        vec![self.path(points, LINE, false)]
    }

    /// Rows of (position, value, low, high), the whisker along y if `upright`.
    fn whiskers(&self, rows: &[[f64; 4]], upright: bool) -> Vec<Item> {
        let turned = |along: f64, across: f64| if upright { [across, along] } else { [along, across] };
        let mut items = Vec::new();
        for [position, value, low, high] in rows {
            let Some(centre) = self.at(turned(*value, *position)).filter(|place| self.holds(*place)) else {
                continue;
            };
            if let (Some(from), Some(to)) =
                (self.within(turned(*low, *position)), self.within(turned(*high, *position)))
            {
                items.push(self.path(vec![from, to], WHISKER, false));
                for [x, y] in [from, to] {
                    let cap =
                        if upright { [[x - CAP, y], [x + CAP, y]] } else { [[x, y - CAP], [x, y + CAP]] };
                    items.push(self.path(cap.to_vec(), WHISKER, false));
                }
            }
            items.push(Item::Disc { centre, radius: DOT, colour: self.colour, opacity: 1.0 });
        }
        items
    }

    fn words(&self, at: [f64; 2], words: &str) -> Vec<Item> {
        let Some([x, y]) = self.within(at) else { return Vec::new() };
        let words = fitted(words, WORDS, self.frame.right - x);
        vec![Item::Text(Text::new(words, [x, y + 0.36 * WORDS], WORDS, self.colour))]
    }

    fn raster(&self, raster: &Raster) -> Vec<Item> {
        let [left, right, bottom, top] = raster.extent;
        let (Some(upper), Some(lower)) = (self.within([left, top]), self.within([right, bottom])) else {
            return Vec::new();
        };
        let place = [upper[0], upper[1], lower[0] - upper[0], lower[1] - upper[1]];
        let cells: Vec<Rgb> = raster.cells.iter().map(|cell| shade(*cell, raster.map)).collect();
        let words = written(raster, place, &cells);
        std::iter::once(Item::Raster { place, columns: raster.columns, cells }).chain(words).collect()
    }
}

/// The words of a raster at `place`, in the middle of their cells; none where they would not fit.
fn written(raster: &Raster, [left, top, width, height]: [f64; 4], cells: &[Rgb]) -> Vec<Item> {
    let rows = cells.len() / raster.columns.max(1);
    let (cell_width, cell_height) = (width / raster.columns as f64, height / rows as f64);
    let [most, least] = TILE_WORDS;
    let widest = raster.words.iter().map(|words| text::width(words, 1.0, false)).fold(0.0, f64::max);
    let size = most.min(TILE_SHARE * cell_height).min(TILE_SHARE * cell_width / widest);
    if widest == 0.0 || size < least {
        return Vec::new();
    }
    let word = |(i, (words, cell)): (usize, (&String, &Rgb))| {
        let (row, column) = ((i / raster.columns) as f64, (i % raster.columns) as f64);
        let at = [left + (column + 0.5) * cell_width, top + (row + 0.5) * cell_height + 0.36 * size];
        let colour =
            if cell.iter().map(|&part| u32::from(part)).sum::<u32>() < 400 { [255; 3] } else { [34; 3] };
        Item::Text(Text { anchor: 0.5, ..Text::new(words.clone(), at, size, colour) })
    };
    let all = raster.words.iter().zip(cells).enumerate();
    all.filter(|(_, (words, _))| !words.is_empty()).map(word).collect()
}

/// The part of a segment inside the frame (Liang and Barsky, doi:10.1145/357332.357333).
fn clipped(from: [f64; 2], to: [f64; 2], frame: &Frame) -> Option<[[f64; 2]; 2]> {
    let step = [to[0] - from[0], to[1] - from[1]];
    let (mut start, mut end) = (0.0f64, 1.0f64);
    for (rate, room) in [
        (-step[0], from[0] - frame.left),
        (step[0], frame.right - from[0]),
        (-step[1], from[1] - frame.top),
        (step[1], frame.bottom - from[1]),
    ] {
        // Half a pixel outside is rounding.
        if rate == 0.0 {
            if room < -0.5 {
                return None;
            }
        } else if rate < 0.0 {
            start = start.max(room / rate);
        } else {
            end = end.min(room / rate);
        }
    }
    let point = |share: f64| match share {
        0.0 => from,
        1.0 => to,
        _ => [from[0] + share * step[0], from[1] + share * step[1]],
    };
    (start <= end).then(|| [point(start), point(end)])
}

/// The colour of a cell; a pale one for NaN.
fn shade(cell: f64, map: Map) -> Rgb {
    /// What separates pictures must differ from all that they may hold.
    const BETWEEN: Rgb = [214, 221, 230];
    const WHITE: [f64; 3] = [255.0; 3];
    const BLACK: [f64; 3] = [0.0; 3];
    const BLUE: [f64; 3] = [0.0, 90.0, 160.0];
    const DARK_BLUE: [f64; 3] = [0.0, 30.0, 80.0];
    const VERMILION: [f64; 3] = [200.0, 70.0, 0.0];
    if cell.is_nan() {
        return BETWEEN;
    }
    let cell = cell.clamp(0.0, 1.0);
    let between = |low: [f64; 3], high: [f64; 3], share: f64| {
        std::array::from_fn(|i| (low[i] + share * (high[i] - low[i])).round() as u8)
    };
    match map {
        Map::Grey => between(BLACK, WHITE, cell),
        Map::Density if cell < 0.5 => between(WHITE, BLUE, 2.0 * cell),
        Map::Density => between(BLUE, DARK_BLUE, 2.0 * cell - 1.0),
        Map::Signed if cell < 0.5 => between(BLUE, WHITE, 2.0 * cell),
        Map::Signed => between(WHITE, VERMILION, 2.0 * cell - 1.0),
    }
}

#[cfg(test)]
mod tests {
    use super::super::figure::{Axis, Colour};
    use super::*;

    const FRAME: Frame = Frame { left: 0.0, right: 10.0, top: 0.0, bottom: 10.0 };

    fn drawn(marks: Marks) -> Vec<Item> {
        let panel = Panel::wide(Axis::linear("", 0.0, 1.0), Axis::linear("", 0.0, 1.0), Vec::new());
        draw(&panel, &Series::unnamed(Colour::Main, marks), &FRAME, [0; 3])
    }

    fn paths(marks: Marks) -> Vec<Vec<[f64; 2]>> {
        let path = |item| match item {
            Item::Path { points, .. } => points,
            other => panic!("a path, not {other:?}"),
        };
        drawn(marks).into_iter().map(path).collect()
    }

    #[test]
    fn lines_end_at_the_edge_and_come_back() {
        let line = vec![[0.0, 0.5], [0.5, 0.5], [0.5, 2.5], [1.0, 0.5], [f64::NAN, 0.0], [1.0, 1.0]];
        assert_eq!(
            paths(Marks::Line(line)),
            [vec![[0.0, 5.0], [5.0, 5.0], [5.0, 0.0]], vec![[8.75, 0.0], [10.0, 5.0]]]
        );
        assert!(paths(Marks::Vertical(1.5)).is_empty());
        assert_eq!(paths(Marks::Vertical(0.5)), [vec![[5.0, 10.0], [5.0, 0.0]]]);
    }

    #[test]
    fn outlines_leave_out_empty_ends() {
        let bars = vec![[0.0, 0.2, 0.0], [0.2, 0.4, 0.5], [0.4, 0.6, 0.0], [0.6, 0.8, 1.0], [0.8, 1.0, 0.0]];
        let path = &paths(Marks::Steps(bars))[0];
        assert_eq!((path[0], path[path.len() - 1]), ([2.0, 10.0], [8.0, 10.0]));
        assert_eq!(path.len(), 8);
    }

    #[test]
    fn areas_and_dots_stay_inside() {
        let band = vec![[0.0, -1.0, 0.5], [1.0, 0.2, 7.0], [1.5, 0.0, 1.0]];
        let items = drawn(Marks::Band(band));
        let Item::Area { points, .. } = &items[0] else { panic!("an area") };
        assert_eq!(points, &[[0.0, 5.0], [10.0, 0.0], [10.0, 8.0], [0.0, 10.0]]);
        assert_eq!(drawn(Marks::Points(vec![[0.5, 0.5], [1.2, 0.5], [f64::NAN, 0.5]])).len(), 1);
        assert_eq!(drawn(Marks::Bars(vec![[0.0, 0.5, 0.0], [0.5, 1.0, 9.0]])).len(), 1);
    }

    /// Numbers stand in the middle of their tiles, pale on dark, and go where tiles are too small for them.
    #[test]
    fn tiles_have_numbers_while_there_is_room() {
        let texts = |side: usize, width: f64| -> Vec<Text> {
            let raster = Raster {
                extent: [0.0, 1.0, 0.0, 1.0],
                columns: side,
                cells: (0..side * side).map(|i| if i == 0 { 1.0 } else { 0.0 }).collect(),
                map: Map::Density,
                words: vec!["0.12".into(); side * side],
            };
            let panel = Panel::wide(Axis::linear("", 0.0, 1.0), Axis::linear("", 0.0, 1.0), Vec::new());
            let frame = Frame { left: 0.0, right: width, top: 0.0, bottom: width };
            let series = Series::unnamed(Colour::Main, Marks::Raster(raster));
            let text = |item| match item {
                Item::Text(text) => Some(text),
                _ => None,
            };
            draw(&panel, &series, &frame, [0; 3]).into_iter().filter_map(text).collect()
        };
        let few = texts(2, 100.0);
        let middle = |text: &Text| text.start()[0] + 0.5 * text.width();
        assert_eq!(few.iter().map(middle).collect::<Vec<_>>(), [25.0, 75.0, 25.0, 75.0]);
        assert!(few.iter().all(|text| text.width() < 50.0));
        assert_eq!((few[0].colour, few[1].colour), ([255; 3], [34; 3]));
        assert!(texts(20, 100.0).is_empty());
    }

    #[test]
    fn colours_run_from_end_to_end() {
        assert_ne!(shade(f64::NAN, Map::Grey), shade(1.0, Map::Grey));
        assert_eq!((shade(0.0, Map::Grey), shade(1.0, Map::Grey)), ([0; 3], [255; 3]));
        assert_eq!((shade(0.0, Map::Density), shade(0.5, Map::Signed)), ([255; 3], [255; 3]));
        assert_eq!(shade(0.5, Map::Density), [0, 90, 160]);
    }
}
