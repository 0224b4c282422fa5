//! Many small pictures on one sheet.

use super::figure::{Axis, Colour, Map, Marks, Panel, Raster, Series, Shape};

/// Pictures on a sheet.
const MOST: usize = 100;
/// Cells of a sheet.
const MOST_CELLS: usize = 2_000_000;
/// The shortest side that makes a list of numbers a picture.
const LEAST_SIDE: usize = 3;

/// Side by side in rows, with white lines one cell wide between them.
pub(super) struct Sheet {
    /// Of one picture.
    pub rows: usize,
    pub columns: usize,
}

impl Sheet {
    /// For pictures of `count` numbers, if that is a square.
    pub(super) fn square(count: usize) -> Option<Self> {
        let side = count.isqrt();
        (side * side == count && side >= LEAST_SIDE).then_some(Self { rows: side, columns: side })
    }

    /// For pictures of `rows` × `columns`, if both make a picture.
    pub(super) fn of(rows: usize, columns: usize) -> Option<Self> {
        (rows >= LEAST_SIDE && columns >= LEAST_SIDE).then_some(Self { rows, columns })
    }

    /// How many of `count` pictures fit and fill their rows.
    pub(super) fn room(&self, count: usize) -> usize {
        let most = count.min(MOST).min(MOST_CELLS / ((self.rows + 1) * (self.columns + 1)).max(1));
        most - most % self.across(most)
    }

    /// Pictures in a row of a sheet about as high as wide.
    fn across(&self, count: usize) -> usize {
        let (height, width) = ((self.rows + 1) as f64, (self.columns + 1) as f64);
        ((count as f64 * height / width).sqrt().ceil() as usize).clamp(1, count.max(1))
    }

    /// A panel of `pictures`, each with `rows` × `columns` numbers in 0 … 1; none without any.
    pub(super) fn panel(&self, pictures: &[Vec<f64>], map: Map) -> Option<Panel> {
        let (height, width) = (self.rows + 1, self.columns + 1);
        let across = self.across(pictures.len());
        let down = pictures.len().div_ceil(across);
        let (columns, rows) = (across * width - 1, (down * height).checked_sub(1)?);
        let mut cells = vec![f64::NAN; columns * rows];
        for (i, picture) in pictures.iter().enumerate() {
            let corner = (i / across) * height * columns + (i % across) * width;
            for (j, &value) in picture.iter().take(self.rows * self.columns).enumerate() {
                cells[corner + j / self.columns * columns + j % self.columns] = value;
            }
        }
        Some(raster(cells, columns, map))
    }
}

/// A panel of nothing but cells, row by row from the top.
pub(super) fn raster(cells: Vec<f64>, columns: usize, map: Map) -> Panel {
    let (width, height) = (columns as f64, (cells.len() / columns) as f64);
    let raster = Raster { extent: [0.0, width, 0.0, height], columns, cells, map, words: Vec::new() };
    Panel {
        x: Axis::bare(0.0, width),
        y: Axis::bare(0.0, height),
        series: vec![Series::unnamed(Colour::Main, Marks::Raster(raster))],
        shape: if (0.2..=5.0).contains(&(width / height)) { Shape::Equal } else { Shape::Wide },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_lie_where_they_belong() {
        let sheet = Sheet { rows: 2, columns: 3 };
        let pictures: Vec<Vec<f64>> = (0..3).map(|i| vec![0.1 * f64::from(i); 6]).collect();
        let panel = sheet.panel(&pictures, Map::Grey).expect("pictures");
        let Marks::Raster(raster) = &panel.series[0].marks else { panic!("a raster") };
        assert_eq!((raster.columns, raster.cells.len()), (7, 35));
        let at = |row: usize, column: usize| raster.cells[row * 7 + column];
        assert_eq!((at(1, 2), at(1, 4), at(3, 0)), (0.0, 0.1, 0.2));
        assert!(at(1, 3).is_nan() && at(2, 0).is_nan() && at(3, 4).is_nan());
    }

    #[test]
    fn sheets_are_small() {
        assert_eq!(Sheet { rows: 28, columns: 28 }.room(500), 100);
        assert_eq!(Sheet { rows: 1000, columns: 1000 }.room(500), 1);
        assert!(Sheet { rows: 1, columns: 1 }.panel(&[], Map::Grey).is_none());
        assert!(Sheet::square(784).is_some() && Sheet::square(785).is_none() && Sheet::square(4).is_none());
    }
}
