//! The embedded font, and how wide text is in it.

use std::sync::LazyLock;

use ab_glyph::{Font, FontRef, PxScale, point};

/// DejaVu Sans, under its own free licence (see the `dejavu` crate).
static REGULAR: LazyLock<FontRef<'static>> = LazyLock::new(|| font(dejavu::sans::regular()));
static BOLD: LazyLock<FontRef<'static>> = LazyLock::new(|| font(dejavu::sans::bold()));

fn font(bytes: &'static [u8]) -> FontRef<'static> {
    FontRef::try_from_slice(bytes).expect("the embedded font is one")
}

fn face(bold: bool) -> &'static FontRef<'static> {
    if bold { &BOLD } else { &REGULAR }
}

/// Width in pixels of `words` at `size` pixels per em.
pub(super) fn width(words: &str, size: f64, bold: bool) -> f64 {
    words.chars().map(|letter| advance(face(bold), letter)).sum::<f64>() * size
}

/// From the start of a letter to that of the next, in em.
fn advance(font: &FontRef<'_>, letter: char) -> f64 {
    let units = f64::from(font.units_per_em().unwrap_or(2048.0));
    f64::from(font.h_advance_unscaled(font.glyph_id(letter))) / units
}

/// Calls `pixel` with the place of each pixel that `words` touch, along and below the start of the baseline, and how much of it
/// they cover, 0 … 1.
pub(super) fn rasterise(words: &str, size: f64, bold: bool, mut pixel: impl FnMut(f64, f64, f64)) {
    let font = face(bold);
    let units = font.units_per_em().unwrap_or(2048.0);
    // The library scales by the height of a line.
    let scale = PxScale::from(size as f32 * font.height_unscaled() / units);
    let mut along = 0.0;
    for letter in words.chars() {
        let glyph = font.glyph_id(letter).with_scale_and_position(scale, point(along as f32, 0.0));
        if let Some(outline) = font.outline_glyph(glyph) {
            let corner = outline.px_bounds().min;
            outline.draw(|x, y, cover| {
                pixel(
                    f64::from(corner.x) + f64::from(x),
                    f64::from(corner.y) + f64::from(y),
                    f64::from(cover),
                );
            });
        }
        along += size * advance(font, letter);
    }
}

/// `words`, shortened in the middle to fit into `room` pixels.
pub(super) fn fitted(words: &str, size: f64, room: f64) -> String {
    if width(words, size, false) <= room {
        return words.to_owned();
    }
    let letters: Vec<char> = words.chars().collect();
    let shortened = |keep: usize| -> String {
        let (head, tail) = (keep.div_ceil(2), keep / 2);
        letters[..head].iter().chain(&['…']).chain(&letters[letters.len() - tail..]).collect()
    };
    let keep = (0..letters.len()).rev().find(|keep| width(&shortened(*keep), size, false) <= room);
    keep.map_or_else(String::new, shortened)
}

/// `words` in lines of at most `room` pixels.
pub(super) fn wrapped(words: &str, size: f64, bold: bool, room: f64) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in words.split_whitespace() {
        let line = lines.last_mut().expect("there is always one");
        let longer = if line.is_empty() { word.to_owned() } else { format!("{line} {word}") };
        if line.is_empty() || width(&longer, size, bold) <= room {
            *line = longer;
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
        .into_iter()
        .map(|line| if width(&line, size, bold) > room { fitted(&line, 1.1 * size, room) } else { line })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_letter_that_figures_use_is_in_the_font() {
        for letter in "log Ẑ ± − β Λ ² ₁₂ ₀ ½ × 10⁻⁶ ⁰¹²³⁴⁵⁶⁷⁸⁹ k̂ … ≤ ≥ √ σ ∂ ← →".chars()
        {
            assert_ne!(REGULAR.glyph_id(letter).0, 0, "{letter}");
        }
    }

    #[test]
    fn long_text_is_made_to_fit() {
        let name = "a/very/long/path/to/some/model/that/nobody/would/type.safetensors";
        let short = fitted(name, 12.0, 150.0);
        assert!(
            width(&short, 12.0, false) <= 150.0 && short.contains('…') && short.ends_with("ors"),
            "{short}"
        );
        assert_eq!(fitted("short", 12.0, 150.0), "short");
        assert_eq!(fitted(name, 12.0, 0.0), "");
        let lines = wrapped("some words that take more than one line", 12.0, true, 100.0);
        assert!(lines.len() > 1 && lines.iter().all(|line| width(line, 12.0, true) <= 100.0), "{lines:?}");
        for line in wrapped(name, 12.0, true, 100.0) {
            assert!(width(&line, 12.0, true) <= 100.0, "{line}");
        }
    }
}
