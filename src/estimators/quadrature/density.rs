//! The integrand: log f = −E in the model's coordinates and in those that whiten its main mode.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ndarray::{Array1, Array2, ArrayView1, ArrayView2};

use crate::error::{Error, Result};
use crate::estimators::deadline::Deadline;
use crate::models::{Domain, Model};

/// What a search or an integration is that did not end in time.
pub(super) fn late(evaluations: u64) -> Error {
    Error::NotReached {
        estimator: super::NAME,
        message: format!(
            "there was no time for more than {evaluations} energies; try a longer --max-time, or annealing (--method smc)"
        ),
    }
}

/// −E, counted and checked.
#[derive(Debug)]
pub(super) struct Density {
    model: Arc<dyn Model>,
    /// Ends of the box that states lie in; infinite on ℝᵈ.
    pub(super) lower: Vec<f64>,
    pub(super) upper: Vec<f64>,
    /// Relative accuracy that is aimed at, that is still an answer, and the energies that may be spent on it.
    pub(super) target: f64,
    pub(super) worst: f64,
    pub(super) budget: u64,
    /// Most points of a scan; `None` lets the energy's pace decide.
    pub(super) points: Option<f64>,
    /// When searches end.
    pub(super) deadline: Deadline,
    evaluations: AtomicU64,
}

impl Density {
    pub(super) fn new(model: &Arc<dyn Model>) -> Option<Self> {
        let space = model.space();
        let (lower, upper) = match space.domain {
            Domain::Real => (vec![f64::NEG_INFINITY; space.dim], vec![f64::INFINITY; space.dim]),
            Domain::Box { lower, upper } => (lower, upper),
            Domain::Bits | Domain::Spins | Domain::Categories { .. } => return None,
        };
        // Beyond three dimensions no answer is so accurate that f32 would show.
        let model = model.precise().filter(|_| space.dim <= 3).unwrap_or_else(|| Arc::clone(model));
        Some(Self {
            model,
            lower,
            upper,
            target: 0.0,
            worst: 0.0,
            budget: 0,
            points: None,
            deadline: Deadline::default(),
            evaluations: AtomicU64::new(0),
        })
    }

    /// [`Error::NotReached`] where the time is over.
    fn in_time(&self) -> Result<()> {
        if self.deadline.has_passed() { Err(late(self.evaluations())) } else { Ok(()) }
    }

    pub(super) fn dim(&self) -> usize {
        self.lower.len()
    }

    pub(super) fn is_bounded(&self) -> bool {
        self.lower.iter().chain(&self.upper).all(|end| end.is_finite())
    }

    pub(super) fn evaluations(&self) -> u64 {
        self.evaluations.load(Ordering::Relaxed)
    }

    /// log f of each row.
    pub(super) fn log(&self, states: ArrayView2<'_, f64>) -> Result<Array1<f64>> {
        self.evaluations.fetch_add(states.nrows() as u64, Ordering::Relaxed);
        let logs = self.model.energy(states).mapv_into(|energy| -energy);
        match logs.iter().position(|log| log.is_nan() || *log == f64::INFINITY) {
            Some(chain) => {
                let state = states.row(chain).to_vec();
                Err(Error::NonFinite { chain, beta: 1.0, value: logs[chain], state })
            }
            None => Ok(logs),
        }
    }

    /// log f of each row of a search, by the rules of [`Density::log_at`].
    pub(super) fn log_of_search(&self, states: ArrayView2<'_, f64>) -> Result<Vec<f64>> {
        self.in_time()?;
        self.evaluations.fetch_add(states.nrows() as u64, Ordering::Relaxed);
        let inside = |x: ArrayView1<'_, f64>| {
            x.iter().zip(self.lower.iter().zip(&self.upper)).all(|(x, (low, high))| low <= x && x <= high)
        };
        // A model need not be defined outside its box: the nearest state within stands in, and its value is dropped.
        let mut within = states.to_owned();
        for mut row in within.rows_mut() {
            for (x, (low, high)) in row.iter_mut().zip(self.lower.iter().zip(&self.upper)) {
                *x = x.clamp(*low, *high);
            }
        }
        let energies = self.model.energy(within.view());
        let log = |(chain, energy): (usize, &f64)| match -energy {
            log if log == f64::INFINITY => {
                let state = within.row(chain).to_vec();
                Err(Error::NonFinite { chain, beta: 1.0, value: log, state })
            }
            log if inside(states.row(chain)) => Ok(log.max(f64::NEG_INFINITY)),
            _ => Ok(f64::NEG_INFINITY),
        };
        energies.iter().enumerate().map(log).collect()
    }

    /// log f at one point of a search, −∞ outside the box. A search goes far out, where terms of an energy may overflow to
    /// ∞ − ∞ or 0 · ∞, so it takes NaN for −∞; a NaN where the mass is meets [`Density::log`] later.
    pub(super) fn log_at(&self, x: &[f64]) -> Result<f64> {
        let inside =
            x.iter().zip(self.lower.iter().zip(&self.upper)).all(|(x, (low, high))| low <= x && x <= high);
        if !inside || x.iter().any(|x| !x.is_finite()) {
            return Ok(f64::NEG_INFINITY);
        }
        self.in_time()?;
        let row = ArrayView2::from_shape((1, x.len()), x).expect("one row of d numbers");
        self.evaluations.fetch_add(1, Ordering::Relaxed);
        match -self.model.energy(row)[0] {
            log if log == f64::INFINITY => {
                Err(Error::NonFinite { chain: 0, beta: 1.0, value: log, state: x.to_vec() })
            }
            log => Ok(log.max(f64::NEG_INFINITY)),
        }
    }
}

/// x = centre + axes · z, with axes (d, d) such that the main mode has unit width in every direction of z.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    pub(super) centre: Vec<f64>,
    pub(super) axes: Array2<f64>,
    pub(super) log_volume: f64,
}

impl Frame {
    /// Axes along the coordinates, with these widths.
    pub(super) fn diagonal(centre: Vec<f64>, widths: &[f64]) -> Self {
        let log_volume = widths.iter().map(|w| w.ln()).sum();
        Self { centre, axes: Array2::from_diag(&Array1::from(widths.to_vec())), log_volume }
    }

    /// Axes that whiten a mode of precision matrix `precision`; `None` unless it is positive semi-definite next to `widths`,
    /// the mode's widths along the coordinates.
    pub(super) fn whitening(centre: Vec<f64>, precision: &Array2<f64>, widths: &[f64]) -> Option<Self> {
        let dim = widths.len();
        // Cholesky factor C of the precision in units of the widths, then axes = widths · C⁻ᵀ, column by column.
        let mut factor = Array2::<f64>::zeros((dim, dim));
        for i in 0..dim {
            for j in 0..=i {
                let rest = precision[[i, j]] * widths[i] * widths[j]
                    - (0..j).map(|k| factor[[i, k]] * factor[[j, k]]).sum::<f64>();
                factor[[i, j]] = if i == j {
                    if !(rest > -1e-6 && rest < 1e6) {
                        return None;
                    }
                    // A direction that is flat at this scale becomes a long axis.
                    rest.max(1e-6).sqrt()
                } else {
                    rest / factor[[j, j]]
                };
            }
        }
        let mut axes = Array2::zeros((dim, dim));
        for column in 0..dim {
            for i in (0..dim).rev() {
                let unit = if i == column { 1.0 } else { 0.0 };
                let rest: f64 = (i + 1..dim).map(|k| factor[[k, i]] * axes[[k, column]]).sum();
                axes[[i, column]] = (unit - rest) / factor[[i, i]];
            }
        }
        for (mut row, width) in axes.rows_mut().into_iter().zip(widths) {
            row *= *width;
        }
        let log_volume = (0..dim).map(|i| widths[i].ln() - factor[[i, i]].ln()).sum();
        Some(Self { centre, axes, log_volume })
    }

    /// Rows of z as rows of x.
    pub(super) fn states(&self, z: ArrayView2<'_, f64>) -> Array2<f64> {
        z.dot(&self.axes.t()) + &Array1::from(self.centre.clone())
    }

    /// x as z, by Gaussian elimination with pivots.
    pub(super) fn inverse(&self, x: &[f64]) -> Vec<f64> {
        let dim = x.len();
        let mut matrix = self.axes.clone();
        let mut z: Vec<f64> = x.iter().zip(&self.centre).map(|(x, c)| x - c).collect();
        for k in 0..dim {
            let pivot = (k..dim)
                .max_by(|&a, &b| matrix[[a, k]].abs().total_cmp(&matrix[[b, k]].abs()))
                .expect("there is a row left");
            for column in 0..dim {
                matrix.swap([k, column], [pivot, column]);
            }
            z.swap(k, pivot);
            for row in k + 1..dim {
                let ratio = matrix[[row, k]] / matrix[[k, k]];
                for column in k..dim {
                    matrix[[row, column]] -= ratio * matrix[[k, column]];
                }
                z[row] -= ratio * z[k];
            }
        }
        for k in (0..dim).rev() {
            let rest: f64 = (k + 1..dim).map(|column| matrix[[k, column]] * z[column]).sum();
            z[k] = (z[k] - rest) / matrix[[k, k]];
        }
        z
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn whitening_axes_reproduce_the_covariance() {
        let precision = array![[4.0, 1.0, 0.2], [1.0, 2.0, -0.5], [0.2, -0.5, 1.0]];
        let frame =
            Frame::whitening(vec![1.0, -2.0, 0.5], &precision, &[0.5, 0.7, 1.0]).expect("positive definite");
        let identity = frame.axes.t().dot(&precision).dot(&frame.axes);
        assert!((&identity - &Array2::<f64>::eye(3)).iter().all(|d| d.abs() < 1e-12));
        let z = array![[0.3, -1.0, 2.0]];
        let back = frame.inverse(frame.states(z.view()).row(0).to_vec().as_slice());
        assert!(back.iter().zip(z.row(0)).all(|(a, b)| (a - b).abs() < 1e-12));
        assert!(Frame::whitening(vec![0.0; 2], &array![[1.0, 2.0], [2.0, 1.0]], &[1.0, 1.0]).is_none());
    }
}
