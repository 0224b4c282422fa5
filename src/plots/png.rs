//! A scene as a picture of pixels, by plotters.

use plotters::backend::BitMapBackend;
use plotters_backend::{BackendColor, BackendStyle, DrawingBackend};

use super::scene::{Item, Rgb, Scene, Text};
use super::text;

/// Pixels of the picture to a pixel of the scene: sharp on dense screens and on paper.
const DENSITY: usize = 2;
/// Pixels drawn to a pixel of the picture: plotters rounds to whole ones, and averaging them smooths edges.
const FINE: usize = 2;
/// Drawn to a pixel of the scene.
const SCALE: f64 = (DENSITY * FINE) as f64;
/// Lengths of a dash and of the gap after it, in pixels of the scene.
const DASHES: [f64; 2] = [6.0, 4.0];

/// The bytes of a PNG file, twice as many pixels as the scene has in each direction.
pub(super) fn draw(scene: &Scene) -> Vec<u8> {
    let (width, height) = ((scene.width * SCALE) as usize, (scene.height * SCALE) as usize);
    let mut pixels = vec![255; 3 * width * height];
    let mut canvas =
        Canvas { backend: BitMapBackend::with_buffer(&mut pixels, (width as u32, height as u32)) };
    scene.items.iter().for_each(|item| canvas.draw(item));
    drop(canvas);
    encode(width / FINE, &averaged(&pixels, width))
}

/// A PNG file of red, green and blue bytes, row by row from the top.
pub(super) fn encode(width: usize, bytes: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    let height = bytes.len() / (3 * width);
    let mut encoder = ::png::Encoder::new(&mut file, width as u32, height as u32);
    encoder.set_color(::png::ColorType::Rgb);
    encoder.set_compression(::png::Compression::High);
    let written = encoder.write_header().and_then(|mut writer| writer.write_image_data(bytes));
    written.expect("memory takes everything, and the bytes fill the rows");
    file
}

/// Means over squares of `FINE` × `FINE` pixels.
fn averaged(pixels: &[u8], width: usize) -> Vec<u8> {
    let rows = pixels.len() / (3 * width) / FINE;
    let mut mean = Vec::with_capacity(pixels.len() / (FINE * FINE));
    for row in 0..rows {
        for column in 0..width / FINE {
            for channel in 0..3 {
                let pixel = |i: usize| {
                    let at = (FINE * row + i / FINE) * width + FINE * column + i % FINE;
                    usize::from(pixels[3 * at + channel])
                };
                mean.push(((0..FINE * FINE).map(pixel).sum::<usize>() / (FINE * FINE)) as u8);
            }
        }
    }
    mean
}

struct Canvas<'a> {
    backend: BitMapBackend<'a>,
}

/// Memory takes every pixel.
const DRAWN: &str = "drawing into memory cannot fail";

impl Canvas<'_> {
    fn draw(&mut self, item: &Item) {
        match item {
            Item::Group { items, .. } => items.iter().for_each(|item| self.draw(item)),
            Item::Path { points, width, dashed: false, colour } => self.line(points, *width, *colour),
            Item::Path { points, width, dashed: true, colour } => {
                for dash in dashes(points) {
                    self.line(&dash, *width, *colour);
                }
            }
            Item::Area { points, colour, opacity } => self.polygon(points, *colour, *opacity),
            Item::Block { place: [left, top, width, height], colour, opacity } => {
                let (from, to) = (place([*left, *top]), place([left + width, top + height]));
                let to = (to.0.max(from.0 + 1), to.1.max(from.1 + 1));
                self.backend.draw_rect(from, to, &ink(*colour, *opacity), true).expect(DRAWN);
            }
            Item::Disc { centre, radius, colour, opacity } => {
                let radius = (radius * SCALE).round() as u32;
                self.backend.draw_circle(place(*centre), radius, &ink(*colour, *opacity), true).expect(DRAWN);
            }
            Item::Text(text) => self.text(text),
            Item::Raster { place, columns, cells } => self.raster(*place, *columns, cells),
        }
    }

    /// Each segment as a rectangle, with round joints.
    fn line(&mut self, points: &[[f64; 2]], width: f64, colour: Rgb) {
        let half = 0.5 * width;
        for pair in points.windows(2) {
            let [along, across] = [pair[1][0] - pair[0][0], pair[1][1] - pair[0][1]];
            let length = along.hypot(across);
            if length == 0.0 {
                continue;
            }
            let side = [-across / length * half, along / length * half];
            let corner = |point: [f64; 2], sign: f64| [point[0] + sign * side[0], point[1] + sign * side[1]];
            let corners =
                [corner(pair[0], 1.0), corner(pair[1], 1.0), corner(pair[1], -1.0), corner(pair[0], -1.0)];
            self.polygon(&corners, colour, 1.0);
        }
        for joint in points.iter().skip(1).take(points.len().saturating_sub(2)) {
            let radius = (half * SCALE).round() as u32;
            self.backend.draw_circle(place(*joint), radius, &ink(colour, 1.0), true).expect(DRAWN);
        }
    }

    fn polygon(&mut self, points: &[[f64; 2]], colour: Rgb, opacity: f64) {
        self.backend.fill_polygon(points.iter().copied().map(place), &ink(colour, opacity)).expect(DRAWN);
    }

    fn text(&mut self, text: &Text) {
        let [x, y] = text.start().map(|coordinate| coordinate * SCALE);
        text::rasterise(&text.words, text.size * SCALE, text.bold, |along, down, cover| {
            let at = if text.upwards { (x + down, y - along) } else { (x + along, y + down) };
            let at = (at.0.round() as i32, at.1.round() as i32);
            self.backend.draw_pixel(at, ink(text.colour, cover).color).expect(DRAWN);
        });
    }

    fn raster(&mut self, [left, top, width, height]: [f64; 4], columns: usize, cells: &[Rgb]) {
        let rows = cells.len() / columns;
        let edge = |start: f64, length: f64, i: usize, count: usize| {
            ((start + length * i as f64 / count as f64) * SCALE).round() as i32
        };
        for (i, cell) in cells.iter().enumerate() {
            let (row, column) = (i / columns, i % columns);
            let from = (edge(left, width, column, columns), edge(top, height, row, rows));
            let to = (edge(left, width, column + 1, columns), edge(top, height, row + 1, rows));
            self.backend.draw_rect(from, to, &ink(*cell, 1.0), true).expect(DRAWN);
        }
    }
}

/// A style of plotters.
struct Ink {
    color: BackendColor,
}

impl BackendStyle for Ink {
    fn color(&self) -> BackendColor {
        self.color
    }
}

fn ink([red, green, blue]: Rgb, alpha: f64) -> Ink {
    Ink { color: BackendColor { alpha, rgb: (red, green, blue) } }
}

fn place([x, y]: [f64; 2]) -> (i32, i32) {
    ((x * SCALE).round() as i32, (y * SCALE).round() as i32)
}

/// A line cut into dashes.
fn dashes(points: &[[f64; 2]]) -> Vec<Vec<[f64; 2]>> {
    let mut all = Vec::new();
    let (mut left, mut drawn) = (DASHES[0], true);
    let mut dash: Vec<[f64; 2]> = points.first().copied().into_iter().collect();
    for pair in points.windows(2) {
        let [mut from, to] = [pair[0], pair[1]];
        loop {
            let rest = (to[0] - from[0]).hypot(to[1] - from[1]);
            if rest <= left {
                left -= rest;
                dash.push(to);
                break;
            }
            let share = left / rest;
            from = [from[0] + share * (to[0] - from[0]), from[1] + share * (to[1] - from[1])];
            dash.push(from);
            let finished = std::mem::replace(&mut dash, vec![from]);
            if drawn {
                all.push(finished);
            }
            drawn = !drawn;
            left = DASHES[usize::from(!drawn)];
        }
    }
    if drawn {
        all.push(dash);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_covers_its_pixels_and_no_others() {
        let block = Item::Block { place: [2.0, 1.0, 3.0, 2.0], colour: [0, 0, 0], opacity: 1.0 };
        let file = draw(&Scene { width: 8.0, height: 4.0, items: vec![block] });
        let mut reader = ::png::Decoder::new(std::io::Cursor::new(file)).read_info().expect("a header");
        let mut bytes = vec![0; reader.output_buffer_size().expect("small")];
        reader.next_frame(&mut bytes).expect("a picture");
        let dark = |column: usize, row: usize| bytes[3 * (16 * row + column)] == 0;
        assert_eq!(bytes.len(), 3 * 16 * 8);
        let found = (0..8).flat_map(|row| (0..16).map(move |column| (column, row)));
        let found: Vec<_> = found.filter(|(column, row)| dark(*column, *row)).collect();
        assert_eq!(found.len(), 6 * 4, "{found:?}");
        assert_eq!((found[0], found[23]), ((4, 2), (9, 5)));
    }

    #[test]
    fn dashes_go_round_corners() {
        let line = [[0.0, 0.0], [8.0, 0.0], [8.0, 12.0]];
        let found = dashes(&line);
        assert_eq!(found[0], [[0.0, 0.0], [6.0, 0.0]]);
        assert_eq!(found[1], [[8.0, 2.0], [8.0, 8.0]]);
        assert_eq!(found.len(), 3 - 1);
        let corner = dashes(&[[0.0, 0.0], [3.0, 0.0], [3.0, 9.0]]);
        assert_eq!(corner[0], [[0.0, 0.0], [3.0, 0.0], [3.0, 3.0]]);
    }
}
