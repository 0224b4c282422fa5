//! A scene as scalable vector graphics.
//!
//! Written here rather than by plotters' own backend, which rounds to whole pixels, leaves the width of text to the viewer's fonts
//! and cannot say what belongs to which series.

use std::fmt::Write as _;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use maud::{Markup, Render, html};

use super::png;
use super::scene::{Item, Rgb, Scene, Text};

/// The dashes of guides, in pixels.
const DASHES: &str = "6 4";

/// One `<svg>` element, for a file of its own or within a page.
///
/// Every group has a class (`title`, `panel`, `axis`, `legend`, `series`) and the name of what it shows in `data-label`.
pub(super) fn write(scene: &Scene, description: &str) -> Markup {
    let (width, height) = (Short(scene.width), Short(scene.height));
    html! {
        svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label=(description) width=(width) height=(height)
            viewBox={ "0 0 " (width) " " (height) } font-family="DejaVu Sans, Verdana, sans-serif" {
            rect width="100%" height="100%" fill="#ffffff" {}
            @for item in &scene.items { (draw(item)) }
        }
    }
}

fn draw(item: &Item) -> Markup {
    match item {
        Item::Group { class, label, items } => html! {
            g class=(class) data-label=(label) { @for item in items { (draw(item)) } }
        },
        Item::Path { points, width, dashed, colour } => html! {
            polyline points=(Points(points)) fill="none" stroke=(Hex(*colour)) stroke-width=(Short(*width))
                stroke-dasharray=[dashed.then_some(DASHES)] stroke-linejoin="round" {}
        },
        Item::Area { points, colour, opacity } => html! {
            polygon points=(Points(points)) fill=(Hex(*colour)) fill-opacity=(Short(*opacity)) {}
        },
        Item::Block { place: [left, top, width, height], colour, opacity } => html! {
            rect x=(Short(*left)) y=(Short(*top)) width=(Short(*width)) height=(Short(*height)) fill=(Hex(*colour))
                fill-opacity=(Short(*opacity)) {}
        },
        Item::Disc { centre: [x, y], radius, colour, opacity } => html! {
            circle cx=(Short(*x)) cy=(Short(*y)) r=(Short(*radius)) fill=(Hex(*colour)) fill-opacity=(Short(*opacity)) {}
        },
        Item::Text(text) => words(text),
        Item::Raster { place: [left, top, width, height], columns, cells } => {
            let image = STANDARD.encode(png::encode(*columns, cells.as_flattened()));
            html! {
                image x=(Short(*left)) y=(Short(*top)) width=(Short(*width)) height=(Short(*height))
                    preserveAspectRatio="none" style="image-rendering: pixelated"
                    href={ "data:image/png;base64," (image) } {}
            }
        }
    }
}

/// Text is as long as in the embedded font, whatever fonts the viewer has.
fn words(text: &Text) -> Markup {
    let [x, y] = text.start().map(Short);
    let turned = text.upwards.then(|| html! { "rotate(-90 " (x) " " (y) ")" }.into_string());
    html! {
        text x=(x) y=(y) font-size=(Short(text.size)) font-weight=[text.bold.then_some("bold")]
            textLength=(Short(text.width())) lengthAdjust="spacingAndGlyphs" transform=[turned] fill=(Hex(text.colour)) {
            (text.words)
        }
    }
}

/// A number to a hundredth of a pixel.
#[derive(Clone, Copy)]
struct Short(f64);

impl Render for Short {
    fn render_to(&self, buffer: &mut String) {
        let text = format!("{:.2}", self.0);
        buffer.push_str(text.trim_end_matches('0').trim_end_matches('.'));
    }
}

struct Points<'a>(&'a [[f64; 2]]);

impl Render for Points<'_> {
    fn render_to(&self, buffer: &mut String) {
        for (i, [x, y]) in self.0.iter().enumerate() {
            if i > 0 {
                buffer.push(' ');
            }
            Short(*x).render_to(buffer);
            buffer.push(',');
            Short(*y).render_to(buffer);
        }
    }
}

struct Hex(Rgb);

impl Render for Hex {
    fn render_to(&self, buffer: &mut String) {
        let [red, green, blue] = self.0;
        write!(buffer, "#{red:02x}{green:02x}{blue:02x}").expect("writing to a string cannot fail");
    }
}
