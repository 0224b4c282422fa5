//! The data in the units that a machine is trained in.

use ndarray::{Array1, Array2, ArrayView2, Axis};

use super::Visible;
use super::block::Block;
use crate::error::{Error, Result};
use crate::math::bits::BitRows;
use crate::models::{Domain, Space};
use crate::training::some;

/// A column varies whose spread is more than this share of its mean.
const ROUNDING: f64 = 1e-9;
/// What stands for the spread of one that does not, as a share of the largest.
const STILL: f64 = 0.01;

/// Rows of bits as they are, or of real numbers as u = (v − mean) / spread, column by column.
pub(super) struct Rows<'a> {
    pub data: ArrayView2<'a, f64>,
    pub scale: Option<Scale>,
    /// Of bits.
    packed: BitRows,
}

/// Mean and standard deviation of each column.
pub(super) struct Scale {
    pub mean: Array1<f64>,
    pub spread: Array1<f64>,
}

impl Scale {
    /// u = v.
    pub(super) fn unit(columns: usize) -> Self {
        Self { mean: Array1::zeros(columns), spread: Array1::ones(columns) }
    }
}

impl<'a> Rows<'a> {
    /// # Errors
    /// [`Error::Data`] for no data, data that are not of the units, or real ones that do not vary.
    pub(super) fn new(data: ArrayView2<'a, f64>, visible: Visible) -> Result<Self> {
        some(data)?;
        let domain = if visible == Visible::Bernoulli { Domain::Bits } else { Domain::Real };
        Space::new(data.ncols(), domain).check(data)?;
        let scale = (visible == Visible::Gaussian).then(|| Scale {
            mean: data.mean_axis(Axis(0)).expect("there are rows"),
            spread: data.std_axis(Axis(0), 0.0),
        });
        let scale = scale.map(|Scale { mean, spread }| {
            let largest = spread.iter().copied().fold(0.0, f64::max);
            if largest.is_normal() {
                let varies =
                    |(&s, &m): (&f64, &f64)| if s > ROUNDING * m.abs() { s } else { STILL * largest };
                return Ok(Scale { spread: spread.iter().zip(&mean).map(varies).collect(), mean });
            }
            let message =
                "all rows of the data are the same, or too far apart; a density needs rows that differ";
            Err(Error::data(message))
        });
        let packed = if visible == Visible::Bernoulli { BitRows::of(data) } else { BitRows::unset(0, 0) };
        Ok(Self { data, scale: scale.transpose()?, packed })
    }

    /// Row `to` of a block becomes row `row`; bits are left to be unpacked.
    pub(super) fn copy(&self, row: usize, block: &mut Block, to: usize) {
        match &self.scale {
            None => block.bits.row_mut(to).copy_from_slice(self.packed.row(row)),
            Some(Scale { mean, spread }) => {
                let (row, out) = (self.data.row(row), block.visible.row_mut(to));
                ndarray::azip!((u in out, &v in &row, &m in mean, &s in spread) *u = ((v - m) / s) as f32);
            }
        }
    }

    /// Means of the columns, in the units of training.
    pub(super) fn means(&self) -> Vec<f32> {
        match self.scale {
            None => self.data.mean_axis(Axis(0)).expect("there are rows").mapv(|mean| mean as f32).to_vec(),
            Some(_) => vec![0.0; self.data.ncols()],
        }
    }

    /// States in the units of training as rows like the data.
    pub(super) fn restored(&self, states: Array2<f64>) -> Array2<f64> {
        match &self.scale {
            None => states,
            Some(Scale { mean, spread }) => states * spread + mean,
        }
    }
}
