//! What a pen draws: lines, areas, dots, words and rasters at places in pixels, y downwards.

use super::text;

/// A colour of the screen.
pub(super) type Rgb = [u8; 3];

/// A canvas of `width` × `height` pixels, white, and what is on it.
#[derive(Clone, Debug)]
pub(super) struct Scene {
    pub width: f64,
    pub height: f64,
    pub items: Vec<Item>,
}

/// One thing on the canvas; later ones lie on top.
#[derive(Clone, Debug)]
pub(super) enum Item {
    /// What belongs together: `class` says what it is, `label` which one.
    Group { class: &'static str, label: String, items: Vec<Item> },
    /// A line through points.
    Path { points: Vec<[f64; 2]>, width: f64, dashed: bool, colour: Rgb },
    /// A filled polygon.
    Area { points: Vec<[f64; 2]>, colour: Rgb, opacity: f64 },
    /// A filled rectangle: left, top, width, height.
    Block { place: [f64; 4], colour: Rgb, opacity: f64 },
    /// A dot.
    Disc { centre: [f64; 2], radius: f64, colour: Rgb, opacity: f64 },
    /// A line of text.
    Text(Text),
    /// A raster of square or oblong cells: left, top, width, height; colours row by row from the top.
    Raster { place: [f64; 4], columns: usize, cells: Vec<Rgb> },
}

/// A line of text.
#[derive(Clone, Debug)]
pub(super) struct Text {
    pub words: String,
    /// A point of the baseline.
    pub at: [f64; 2],
    /// Which part of the text stands there: 0 its beginning, ½ its middle, 1 its end.
    pub anchor: f64,
    /// Pixels per em.
    pub size: f64,
    pub bold: bool,
    /// Whether it runs upwards.
    pub upwards: bool,
    pub colour: Rgb,
}

impl Text {
    /// Words that begin at `at` and run to the right.
    pub(super) fn new(words: impl Into<String>, at: [f64; 2], size: f64, colour: Rgb) -> Self {
        Self { words: words.into(), at, anchor: 0.0, size, bold: false, upwards: false, colour }
    }

    /// Pixels from the first letter to the last.
    pub(super) fn width(&self) -> f64 {
        text::width(&self.words, self.size, self.bold)
    }

    /// Where its baseline begins.
    pub(super) fn start(&self) -> [f64; 2] {
        let [x, y] = self.at;
        let before = self.anchor * self.width();
        if self.upwards { [x, y + before] } else { [x - before, y] }
    }
}

#[cfg(test)]
impl Text {
    /// Two opposite corners of what it covers.
    pub(super) fn corners(&self) -> [[f64; 2]; 2] {
        let [x, y] = self.start();
        let (length, ascent, descent) = (self.width(), 0.76 * self.size, 0.24 * self.size);
        if self.upwards {
            [[x - ascent, y], [x + descent, y - length]]
        } else {
            [[x, y - ascent], [x + length, y + descent]]
        }
    }
}
