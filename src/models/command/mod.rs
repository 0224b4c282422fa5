//! Energies that another program gives, over pipes.
//!
//! The program is started once for every thread that asks it at the same time, and serves until its standard input ends. Numbers are
//! little-endian; f64 are IEEE doubles. lnz speaks first:
//!
//! | from | bytes | what |
//! |---|---|---|
//! | lnz | 4 | `lnzE` |
//! | | 4 | u32, the version of this protocol: 1 |
//! | | 8 | u64, d: the coordinates of a state |
//! | program | 4 | `lnzE` |
//! | | 4 | u32, the version: 1 |
//! | | 8 | u64, bit 0 set where it gives gradients; the others are 0 |
//!
//! Then, for each batch:
//!
//! | from | bytes | what |
//! |---|---|---|
//! | lnz | 4 | `lnzQ` |
//! | | 4 | u32, 1 for energies, 2 for energies and gradients |
//! | | 8 | u64, n: how many states |
//! | | 8 n d | f64, n rows of d coordinates |
//! | program | 4 | `lnzA` |
//! | | 4 | u32, 0; anything else says that it could not answer |
//! | | 8 | u64, n again |
//! | | 8 n | f64, the energy E(x) of each row: finite, or +∞ where the density is zero |
//! | | 8 n d | f64, ∇E(x) of each row, where gradients were asked for |
//!
//! The program reads a batch to its end before it answers, flushes what it wrote, and prints nothing else to standard output. What it
//! prints to standard error is shown where something goes wrong. It should end where its input does.
//!
//! For the same rows it must give the same numbers, whatever was asked before: lnz asks in batches that do not depend on the number of
//! threads, so runs are repeated to the bit.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use ndarray::{Array1, Array2, ArrayView2, Axis, s};

use super::{Domain, Gradient, Model, Space, Tempered};
use crate::error::{Error, Result};

mod program;

use program::{Asked, Failure, Program};

/// Rows of a batch, and numbers in it.
const MOST_ROWS: usize = 4096;
const MOST_NUMBERS: usize = 1 << 20;

/// An energy on ℝᵈ, and its gradient if the program offers one, that another program answers.
///
/// The protocol is that of [this module](self); `examples/serve_energy.rs` and `examples/python/lnz_energy.py` speak it. A program that
/// dies, hangs or answers nonsense makes every energy NaN from then on, and [`Model::failure`] says what happened; estimators answer
/// with that error.
///
/// ```no_run
/// use std::time::Duration;
/// use lnz::models::CommandModel;
/// let words = ["python", "energy.py"].map(String::from);
/// let model = CommandModel::start(&words, 10, Duration::from_secs(60))?;
/// # Ok::<(), lnz::Error>(())
/// ```
pub struct CommandModel {
    words: Vec<String>,
    dim: usize,
    timeout: Duration,
    gradients: bool,
    /// Programs that nobody asks at present: as many are started as are asked at once.
    idle: Mutex<Vec<Program>>,
    /// The first failure; there is nothing to ask after it.
    failed: OnceLock<Failure>,
}

impl CommandModel {
    /// Starts the program `words[0]` with the arguments `words[1..]` for states of `dim` coordinates. It has `timeout` for each answer.
    ///
    /// # Errors
    /// [`Error::Program`] if it does not start, or does not greet as it should; [`Error::Setting`] for no words or no coordinates.
    pub fn start(words: &[String], dim: usize, timeout: Duration) -> Result<Self> {
        if words.is_empty() {
            return Err(Error::setting("--command", "''", "a command is a program and its arguments"));
        }
        if dim == 0 || dim > MOST_NUMBERS {
            return Err(Error::setting("--dim", dim, format!("a state has 1 to {MOST_NUMBERS} coordinates")));
        }
        let first = Program::start(words, dim, timeout).map_err(|failure| failure.error(words))?;
        Ok(Self {
            words: words.to_vec(),
            dim,
            timeout,
            gradients: first.gradients(),
            idle: Mutex::new(vec![first]),
            failed: OnceLock::new(),
        })
    }

    /// The answer to one batch.
    fn ask(&self, rows: ArrayView2<'_, f64>, asked: Asked) -> Result<Vec<f64>, Failure> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut program = match idle {
            Some(program) => program,
            None => Program::start(&self.words, self.dim, self.timeout)?,
        };
        let answer = program.answer(rows, asked)?;
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(program);
        Ok(answer)
    }

    /// Energies, and gradients if `asked` for; NaN after a failure.
    fn answer(&self, states: ArrayView2<'_, f64>, asked: Asked) -> (Array1<f64>, Array2<f64>) {
        let count = states.nrows();
        let mut energies = Array1::from_elem(count, f64::NAN);
        let columns = if asked == Asked::Gradients { self.dim } else { 0 };
        let mut gradients = Array2::from_elem((count, columns), f64::NAN);
        let rows = (MOST_NUMBERS / self.dim).clamp(1, MOST_ROWS);
        for start in (0..count).step_by(rows) {
            if self.failed.get().is_some() {
                break;
            }
            let end = (start + rows).min(count);
            match self.ask(states.slice(s![start..end, ..]), asked) {
                Ok(answer) => {
                    let (found, slopes) = answer.split_at(end - start);
                    energies
                        .slice_mut(s![start..end])
                        .iter_mut()
                        .zip(found)
                        .for_each(|(to, from)| *to = *from);
                    let mut part = gradients.slice_axis_mut(Axis(0), (start..end).into());
                    part.iter_mut().zip(slopes).for_each(|(to, from)| *to = *from);
                }
                // Another thread's may have been first; one is enough.
                Err(failure) => drop(self.failed.set(failure)),
            }
        }
        (energies, gradients)
    }
}

impl fmt::Debug for CommandModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommandModel")
            .field("words", &self.words)
            .field("dim", &self.dim)
            .finish_non_exhaustive()
    }
}

impl Model for CommandModel {
    fn kind(&self) -> &'static str {
        "program"
    }

    fn space(&self) -> Space {
        Space::new(self.dim, Domain::Real)
    }

    fn energy(&self, states: ArrayView2<'_, f64>) -> Array1<f64> {
        self.answer(states, Asked::Energies).0
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        vec![("gradient", if self.gradients { "yes" } else { "no" }.into())]
    }

    fn gradient(&self) -> Option<&dyn Gradient> {
        self.gradients.then_some(self as &dyn Gradient)
    }

    fn failure(&self) -> Option<Error> {
        self.failed.get().map(|failure| failure.error(&self.words))
    }

    fn at_temperature(self: Arc<Self>, temperature: f64) -> Arc<dyn Model> {
        Arc::new(Tempered::new(self, temperature))
    }
}

impl Gradient for CommandModel {
    fn energy_and_gradient(&self, states: ArrayView2<'_, f64>) -> (Array1<f64>, Array2<f64>) {
        self.answer(states, Asked::Gradients)
    }
}
