//! From a figure's numbers to places on a canvas: axes, ticks and legends around the marks, all of it inside.

use super::figure::{Axis, Colour, Figure, Panel, Series, Shape, Ticks};
use super::marks::{self, Frame};
use super::scene::{Item, Rgb, Scene, Text};
use super::text::{self, fitted, wrapped};
use super::ticks::ticks;

/// Pixels from side to side.
const WIDTH: f64 = 720.0;
/// Around everything.
const MARGIN: f64 = 14.0;
/// Pixels per em of the title, of the axes' labels and legends, and of what stands along an axis.
const TITLE: f64 = 15.0;
const LABEL: f64 = 12.0;
const TICK: f64 = 11.0;
/// Lines of text, in em.
const LEADING: f64 = 1.35;
/// Between an axis and what stands along it.
const GAP: f64 = 6.0;
/// The usual height of a panel that stands alone, and of one of several.
const ALONE: f64 = 290.0;
const STACKED: f64 = 190.0;
/// Of a row of a list; longer lists have narrower ones.
const ROW: f64 = 32.0;
/// Of a row of a long list.
const ROW_OF_TEXT: f64 = 17.0;
/// The most that a list may take.
const LONGEST_LIST: f64 = 900.0;
/// The longest side of a panel whose units are equally long.
const SIDE: f64 = 460.0;
/// The most that words along the y axis may take.
const NAMES: f64 = 250.0;
/// Between panels, and between a legend and its panel.
const BETWEEN: f64 = 16.0;
/// A sample of a mark in a legend.
const SWATCH: f64 = 22.0;

const INK: Rgb = [34, 34, 34];
const PALE_INK: Rgb = [85, 85, 85];
const FRAME: Rgb = [120, 120, 120];
const GRID: Rgb = [232, 232, 232];

/// Places everything.
pub(super) fn scene(figure: &Figure) -> Scene {
    let mut items = Vec::new();
    let mut top = MARGIN;
    let title = wrapped(&figure.title, TITLE, true, WIDTH - 2.0 * MARGIN);
    let lines = title.into_iter().map(|words| {
        let baseline = top + TITLE;
        top += LEADING * TITLE;
        Item::Text(Text { bold: true, ..Text::new(words, [MARGIN, baseline], TITLE, INK) })
    });
    items.push(Item::Group { class: "title", label: String::new(), items: lines.collect() });
    top += 0.4 * TITLE;
    for (i, panel) in figure.panels.iter().enumerate() {
        let height = match panel.shape {
            Shape::Wide if figure.panels.len() == 1 => ALONE,
            _ => STACKED,
        };
        let (drawn, bottom) = place(panel, top, height);
        items.push(Item::Group { class: "panel", label: i.to_string(), items: drawn });
        top = bottom + BETWEEN;
    }
    Scene { width: WIDTH, height: (top - BETWEEN + MARGIN).ceil(), items }
}

/// A panel whose legend begins at `top`, and where it ends.
fn place(panel: &Panel, top: f64, height: f64) -> (Vec<Item>, f64) {
    let mut items = Vec::new();
    let height = match panel.shape {
        Shape::Wide => height,
        Shape::Rows(count) => (ROW * count.max(1) as f64 + 0.5 * ROW).min(LONGEST_LIST),
        Shape::Lines(count) => ROW_OF_TEXT * count.max(1) as f64,
        Shape::Equal => SIDE,
    };
    let along_y = ticks(&panel.y, (height / 38.0) as usize);
    let names = matches!(panel.y.ticks, Ticks::Named(_));
    let along_y: Vec<(f64, String)> = along_y
        .into_iter()
        .map(|(value, words)| (value, if names { fitted(&words, TICK, NAMES) } else { words }))
        .collect();
    let widest = along_y.iter().map(|(_, words)| text::width(words, TICK, false)).fold(0.0, f64::max);
    let y_label = if panel.y.label.is_empty() { 0.0 } else { LEADING * LABEL };
    let bare = panel.x.ticks == Ticks::None && panel.y.ticks == Ticks::None;
    let left = MARGIN + y_label + if widest > 0.0 { widest + GAP } else { 0.0 };
    // Half of a number at the right end may stand out.
    let right = WIDTH - MARGIN - if bare { 0.0 } else { 14.0 };
    let mut frame = frame(panel, left, right, top, height);
    let (legend, below) = legend(panel, frame.left, WIDTH - MARGIN, top);
    items.extend(legend);
    (frame.top, frame.bottom) = (below, frame.bottom + below - top);
    if !bare {
        items.push(across(panel, &frame));
        let label = frame.left - left + MARGIN + 0.8 * LABEL;
        items.push(upwards(panel, &frame, &along_y, label));
    }
    for series in &panel.series {
        let label = series.label.clone().unwrap_or_default();
        let drawn = marks::draw(panel, series, &frame, colour(series.colour));
        items.push(Item::Group { class: "series", label, items: drawn });
    }
    let mut bottom = frame.bottom;
    if panel.x.ticks != Ticks::None {
        bottom += GAP + LEADING * TICK;
    }
    if !panel.x.label.is_empty() {
        bottom += LEADING * LABEL;
    }
    (items, bottom)
}

fn frame(panel: &Panel, left: f64, right: f64, top: f64, height: f64) -> Frame {
    if panel.shape != Shape::Equal {
        return Frame { left, right, top, bottom: top + height };
    }
    let length = |axis: &Axis| axis.range[1] - axis.range[0];
    let unit = ((right - left) / length(&panel.x)).min(height / length(&panel.y));
    let (width, height) = (unit * length(&panel.x), unit * length(&panel.y));
    let middle = 0.5 * (left + right);
    let left = (middle - 0.5 * width).max(left);
    Frame { left, right: left + width, top, bottom: top + height }
}

/// The x axis: grid, numbers, label.
fn across(panel: &Panel, frame: &Frame) -> Item {
    let room = frame.right - frame.left;
    let mut most = (room / 60.0) as usize;
    let mut found = ticks(&panel.x, most);
    while most > 2 && overlap(&panel.x, &found, room) {
        most -= 1;
        found = ticks(&panel.x, most);
    }
    let mut items = vec![line([frame.left, frame.bottom], [frame.right, frame.bottom], FRAME)];
    let mut last = f64::NEG_INFINITY;
    for (value, words) in found {
        let Some(place) = panel.x.place(value) else { continue };
        let x = frame.left + place * room;
        if !matches!(panel.y.ticks, Ticks::Named(_)) || matches!(panel.x.ticks, Ticks::Numbers) {
            items.push(line([x, frame.top], [x, frame.bottom], GRID));
        }
        items.push(line([x, frame.bottom], [x, frame.bottom + 4.0], FRAME));
        let half = 0.5 * text::width(&words, TICK, false);
        let x = x.min(WIDTH - 2.0 - half);
        // Words that would touch the last ones are left out.
        if x - half > last + 4.0 {
            last = x + half;
            let at = [x, frame.bottom + GAP + TICK];
            items.push(Item::Text(Text { anchor: 0.5, ..Text::new(words, at, TICK, PALE_INK) }));
        }
    }
    if !panel.x.label.is_empty() {
        let numbers = if panel.x.ticks == Ticks::None { 0.0 } else { LEADING * TICK };
        let at = [0.5 * (frame.left + frame.right), frame.bottom + GAP + numbers + LABEL];
        items.push(Item::Text(centred(
            &panel.x.label,
            at,
            2.0 * (WIDTH - MARGIN - at[0]).min(at[0] - MARGIN),
        )));
    }
    Item::Group { class: "axis", label: panel.x.label.clone(), items }
}

fn overlap(axis: &Axis, ticks: &[(f64, String)], room: f64) -> bool {
    let ends = |(value, words): &(f64, String)| {
        let (x, half) = (axis.place(*value).unwrap_or(0.0) * room, 0.5 * text::width(words, TICK, false));
        [x - half, x + half]
    };
    ticks.windows(2).any(|pair| ends(&pair[0])[1] + 8.0 > ends(&pair[1])[0])
}

/// The y axis: grid, numbers or names, and a label whose baseline stands at `label`.
fn upwards(panel: &Panel, frame: &Frame, ticks: &[(f64, String)], label: f64) -> Item {
    let mut items = vec![line([frame.left, frame.top], [frame.left, frame.bottom], FRAME)];
    let height = frame.bottom - frame.top;
    let mut last = f64::INFINITY;
    let mut rising: Vec<&(f64, String)> = ticks.iter().collect();
    rising.sort_by(|one, other| one.0.total_cmp(&other.0));
    for (value, words) in rising {
        let Some(place) = panel.y.place(*value) else { continue };
        let y = frame.bottom - place * height;
        items.push(line([frame.left, y], [frame.right, y], GRID));
        if last - y > TICK {
            last = y;
            let at = [frame.left - GAP, y + 0.36 * TICK];
            items.push(Item::Text(Text { anchor: 1.0, ..Text::new(words.clone(), at, TICK, PALE_INK) }));
        }
    }
    if !panel.y.label.is_empty() {
        let at = [label, 0.5 * (frame.top + frame.bottom)];
        let room = height + 20.0;
        items.push(Item::Text(Text { upwards: true, ..centred(&panel.y.label, at, room) }));
    }
    Item::Group { class: "axis", label: panel.y.label.clone(), items }
}

/// Samples of the marks and what they are, in rows from `top`, and where they end.
fn legend(panel: &Panel, left: f64, right: f64, top: f64) -> (Option<Item>, f64) {
    let named: Vec<(&Series, &str)> =
        panel.series.iter().filter_map(|series| Some((series, series.label.as_deref()?))).collect();
    if named.is_empty() {
        return (None, top);
    }
    let (mut x, mut y) = (left, top);
    let mut items = Vec::new();
    for (series, label) in named {
        let words = fitted(label, LABEL, right - left - SWATCH - GAP);
        let width = SWATCH + GAP + text::width(&words, LABEL, false);
        if x > left && x + width > right {
            (x, y) = (left, y + LEADING * LABEL);
        }
        let middle = y + 0.5 * LEADING * LABEL;
        items.extend(marks::swatch(&series.marks, [x, middle], SWATCH, colour(series.colour)));
        let at = [x + SWATCH + GAP, middle + 0.36 * LABEL];
        items.push(Item::Text(Text::new(words, at, LABEL, INK)));
        x += width + 2.0 * LABEL;
    }
    let item = Item::Group { class: "legend", label: String::new(), items };
    (Some(item), y + LEADING * LABEL + 0.6 * BETWEEN)
}

fn centred(words: &str, at: [f64; 2], room: f64) -> Text {
    Text { anchor: 0.5, ..Text::new(fitted(words, LABEL, room), at, LABEL, INK) }
}

fn line(from: [f64; 2], to: [f64; 2], colour: Rgb) -> Item {
    Item::Path { points: vec![from, to], width: 1.0, dashed: false, colour }
}

/// Okabe and Ito's colours (doi:10.1038/nmeth.1618), by what they mean.
fn colour(colour: Colour) -> Rgb {
    const BLUE: Rgb = [0, 114, 178];
    const VERMILION: Rgb = [213, 94, 0];
    const GREY: Rgb = [110, 110, 110];
    const EQUALS: [Rgb; 7] =
        [BLUE, VERMILION, [0, 158, 115], [204, 121, 167], [230, 159, 0], [86, 180, 233], [0, 0, 0]];
    match colour {
        Colour::Main => BLUE,
        Colour::Other => VERMILION,
        Colour::Quiet => GREY,
        Colour::Nth(i) => EQUALS[i % EQUALS.len()],
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::figure::Marks;
    use super::*;

    /// Every item of `scene`, out of its groups.
    pub(in crate::plots) fn flat(items: &[Item]) -> Vec<&Item> {
        items
            .iter()
            .flat_map(|item| match item {
                Item::Group { items, .. } => flat(items),
                other => vec![other],
            })
            .collect()
    }

    /// Every word lies inside the canvas, every place is a number, and every series is there with its name.
    pub(in crate::plots) fn assert_drawn(figure: &Figure) {
        let scene = scene(figure);
        let inside = |[x, y]: [f64; 2], what: &dyn std::fmt::Debug| {
            let fits = (-0.5..=scene.width + 0.5).contains(&x) && (-0.5..=scene.height + 0.5).contains(&y);
            assert!(fits, "{}: ({x}, {y}) of {what:?}", figure.name);
        };
        for item in flat(&scene.items) {
            match item {
                Item::Path { points, .. } | Item::Area { points, .. } => {
                    for point in points {
                        inside(*point, item);
                    }
                }
                Item::Block { place: [left, top, width, height], .. }
                | Item::Raster { place: [left, top, width, height], .. } => {
                    inside([*left, *top], &"a block");
                    inside([left + width, top + height], &"a block");
                }
                Item::Disc { centre, .. } => inside(*centre, item),
                Item::Text(text) => text.corners().into_iter().for_each(|corner| inside(corner, item)),
                Item::Group { .. } => {}
            }
        }
        let panels = scene.items.iter().filter_map(|item| match item {
            Item::Group { class: "panel", items, .. } => Some(items),
            _ => None,
        });
        for (drawn, panel) in panels.zip(&figure.panels) {
            let groups = drawn.iter().filter_map(|item| match item {
                Item::Group { class: "series", label, items } => Some((label, items)),
                _ => None,
            });
            let labels: Vec<&String> = groups.clone().map(|(label, _)| label).collect();
            let expected: Vec<String> =
                panel.series.iter().map(|series| series.label.clone().unwrap_or_default()).collect();
            assert_eq!(labels, expected.iter().collect::<Vec<_>>(), "{}", figure.name);
            for ((label, items), series) in groups.zip(&panel.series) {
                // A truth line within the axis must be seen.
                if let Marks::Vertical(x) = series.marks
                    && panel.x.place(x).is_some_and(|place| (0.0..=1.0).contains(&place))
                {
                    assert!(!items.is_empty(), "{}: {label}", figure.name);
                }
            }
        }
    }

    fn panel(series: Vec<Series>) -> Panel {
        Panel::wide(Axis::linear("x (m)", 0.0, 1.0), Axis::linear("y (s)", -1.0, 1.0), series)
    }

    fn figure(panels: Vec<Panel>) -> Figure {
        Figure { name: "trial", title: "A trial of the layout".into(), reading: "Read it.".into(), panels }
    }

    #[test]
    fn long_words_and_many_series_stay_inside() {
        let long = "a label that goes on and on and on ".repeat(8);
        let series = (0..12)
            .map(|i| Series::new(format!("{i} {long}"), Colour::Nth(i), Marks::Horizontal(0.1 * i as f64)))
            .collect();
        let mut panel = panel(series);
        panel.x.label.clone_from(&long);
        panel.y.label.clone_from(&long);
        panel.y.ticks = Ticks::Named(vec![(0.0, long.clone()), (0.001, "touches it".into())]);
        assert_drawn(&figure(vec![panel.clone(), panel]));
    }

    #[test]
    fn a_point_stands_where_its_numbers_say() {
        let figure =
            figure(vec![panel(vec![Series::new("dot", Colour::Main, Marks::Points(vec![[0.25, 0.0]]))])]);
        let scene = scene(&figure);
        let frame_lines: Vec<&Vec<[f64; 2]>> = flat(&scene.items)
            .into_iter()
            .filter_map(|item| match item {
                Item::Path { points, colour, .. } if *colour == FRAME => Some(points),
                _ => None,
            })
            .collect();
        let (bottom, side) = (frame_lines[0], frame_lines.last().expect("two axes"));
        let Some(Item::Group { items, .. }) = flat_groups(&scene, "series").first().copied() else {
            panic!("a series")
        };
        let Item::Disc { centre, .. } = items[0] else { panic!("a dot") };
        let [left, right] = [bottom[0][0], bottom[1][0]];
        assert!((centre[0] - (left + 0.25 * (right - left))).abs() < 1e-9);
        assert!((centre[1] - 0.5 * (side[0][1] + side[1][1])).abs() < 1e-9);
    }

    fn flat_groups<'a>(scene: &'a Scene, wanted: &str) -> Vec<&'a Item> {
        scene
            .items
            .iter()
            .flat_map(|item| match item {
                Item::Group { items, .. } => items.as_slice(),
                _ => &[],
            })
            .filter(|item| matches!(item, Item::Group { class, .. } if *class == wanted))
            .collect()
    }

    #[test]
    fn units_are_equally_long_where_they_should_be() {
        let mut panel = panel(Vec::new());
        panel.shape = Shape::Equal;
        for (x, y) in [([0.0, 1.0], [-1.0, 1.0]), ([0.0, 3.0], [0.0, 1.0])] {
            (panel.x.range, panel.y.range) = (x, y);
            let frame = frame(&panel, 50.0, 700.0, 20.0, SIDE);
            let unit_x = (frame.right - frame.left) / (x[1] - x[0]);
            let unit_y = (frame.bottom - frame.top) / (y[1] - y[0]);
            assert!((unit_x / unit_y - 1.0).abs() < 1e-9);
            assert!(frame.right <= 700.0 + 1e-9 && frame.bottom <= 20.0 + SIDE + 1e-9);
        }
    }
}
