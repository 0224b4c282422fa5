//! log Z of trained energy-based models, with an error bar that covers and a verdict that says whether to believe it.
//!
//! A model gives an energy E(x), and p(x) = exp(−E(x)) / Z. This library estimates log Z = log ∫ exp(−E(x)) dx (a sum on finite
//! spaces), in nats, and turns it into normalised log-likelihoods. The binary of the same name is a thin layer over it.
//!
//! ```
//! use std::sync::Arc;
//! use lnz::estimators::{Settings, Silent, by_name, quickest_exact};
//! use lnz::models::{Model, Rbm, Units};
//! use ndarray::{Array1, Array2};
//!
//! let weights = Array2::from_shape_fn((12, 6), |(i, j)| 0.5 * ((3 * i + 5 * j) as f64).sin());
//! let model: Arc<dyn Model> =
//!     Arc::new(Rbm::new(weights, Array1::from_elem(12, -0.2), Array1::zeros(6), Units::Bits)?);
//!
//! let annealed = by_name("ais")?.estimate(&model, &Settings::default(), &Silent)?;
//! let (exact, _) = quickest_exact(&model).expect("six hidden units can be enumerated");
//! let truth = exact.estimate(&model, &Settings::default(), &Silent)?.log_z;
//! assert!((annealed.log_z - truth).abs() < 0.1);
//! assert!(annealed.verdict.is_converged());
//! # Ok::<(), lnz::Error>(())
//! ```
//!
//! # Words
//!
//! - A [model](models) is an unnormalised density exp(−E(x)) on a [space](models::Space): ℝᵈ, a box, bits, spins or categories, with
//!   Lebesgue or counting measure.
//! - A reference is a model whose log Z is known and which can be sampled exactly.
//! - A [path](paths) is a family f_β from a reference (β = 0) to the model (β = 1); a schedule is 0 = β₀ < … < β_K = 1, and a rung is
//!   one β of it.
//! - A kernel is a Markov step that leaves f_β invariant; the [continuous ones](kernels) stand alone, Gibbs kernels live with their
//!   paths.
//! - An [ensemble](paths::Ensemble) is a block of chains on a path, stored however makes that path fast; a
//!   [population](paths::Population) is all blocks of a run.
//! - An [estimator](estimators) is a method for log Z, an [estimate](estimators::Estimate) its result: number, error, interval, guarantee,
//!   verdict, warnings, cost, diagnostics.
//!
//! # Beyond one log Z
//!
//! [`estimators::mbar`] and [`estimators::bar`] work on plain arrays of reduced energies, from whatever program;
//! [`estimators::curve`] gives log Z, energy, heat capacity and entropy at many temperatures, [`estimators::between`] the ratio of
//! two models' Z, and [`likelihood`] normalised log-likelihoods of data.
//!
//! # The house
//!
//! [`math`] → [`models`] → [`kernels`] → [`paths`] → [`estimators`] → [`studies`] → [`io`], [`likelihood`], [`sampling`] →
//! [`plots`], [`training`]: each uses what stands to
//! its left. A new model or estimator is one file, its `mod` line and one line in a registry.
//!
//! # How the numbers are kept honest
//!
//! 1. Pilots choose schedule, rungs, chains and kernels; then one round with everything frozen runs on fresh random streams and
//!    is reported, whatever it shows. Stopping when the reported round's own error looks good would bias it.
//! 2. *Converged* needs an effective sample size of 100, a light tail of the weights (Pareto k̂) *and* independent evidence that
//!    agrees and is precise enough to disagree. Weights alone cannot see a mode that no chain visited.
//! 3. One seed gives the same bits on any number of threads, for one binary, instruction set and settings. Where the clock decides
//!    (`max_time`), the run record keeps [what it decided](estimators::Decisions), and a replay follows that.
//! 4. Log-weights are f64 sums whatever the precision of the energies, and no sum is taken outside the log domain.
//!
//! # What it does not do
//!
//! It does not read PyTorch pickles (networks come as ONNX), or find a mode that neither pilots, reference nor data hint at.

pub mod error;
pub mod estimators;
pub mod io;
pub mod kernels;
pub mod likelihood;
pub mod math;
pub mod models;
pub mod paths;
pub mod plots;
pub mod sampling;
pub mod studies;
pub mod training;
pub mod wording;

pub use error::{Error, Result};

/// README's code, tested.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
