//! Energies E(x) with p(x) = exp(−E(x)) / Z: the contract, the spaces, and one file per model.
//!
//! To add a model: one file that implements [`Model`], its `mod` line and, if it can be named on the command line, one line in
//! [`builtin::REFERENCES`] or in the reader of model files. Everything beyond [`Model::energy`] is a capability: give what the
//! model has, and the kernels, paths and estimators that need it apply. A family that is not closed under E/T returns
//! [`Tempered`] from [`Model::at_temperature`]. Its tests use the assertions of `checks.rs`: the gradient against differences, the
//! closed form against a sum or an integral, E/T, and the sampler's moments.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use ndarray::{Array1, Array2, ArrayView2, Axis};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::math::random::Generator;
use crate::wording;

pub mod banana;
mod blend;
pub mod boltzmann;
pub mod builtin;
mod centring;
#[cfg(test)]
pub(crate) mod checks;
pub mod command;
pub mod function;
pub mod funnel;
pub mod gaussian;
pub mod gaussian_rbm;
pub mod independent;
pub mod ising;
pub mod lattice;
mod lower_bounds;
pub mod many_well;
pub mod mean_field;
pub mod mixture;
pub mod network;
pub mod potts;
pub mod rbm;
pub mod shells;
pub mod student_mixture;
pub(crate) mod tails;
mod tempered;
pub mod tilted;

pub use banana::Banana;
pub use blend::blend;
pub use boltzmann::Boltzmann;
pub use command::CommandModel;
pub use function::FunctionModel;
pub use funnel::Funnel;
pub use gaussian::Gaussian;
pub use gaussian_rbm::GaussianRbm;
pub use independent::Independent;
pub use ising::Ising;
pub use lattice::Lattice;
pub use lower_bounds::LowerBounds;
pub use many_well::ManyWell;
pub use mixture::Mixture;
pub use network::Network;
pub use potts::Potts;
pub use rbm::Rbm;
pub use shells::Shells;
pub use student_mixture::StudentMixture;
pub use tempered::Tempered;
pub use tilted::{Base, Tilt, Tilted};

/// Rows whose energies are computed together: a model's temporary arrays stay small, whatever the number of states.
const BATCH: usize = 256;

/// What each coordinate of a state may be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Domain {
    /// Any real number; Lebesgue measure.
    Real,
    /// Real numbers with lowerᵢ ≤ xᵢ ≤ upperᵢ; Lebesgue measure.
    Box {
        /// The least value of each coordinate.
        lower: Vec<f64>,
        /// The greatest value of each coordinate.
        upper: Vec<f64>,
    },
    /// 0 or 1; counting measure.
    Bits,
    /// −1 or +1; counting measure.
    Spins,
    /// 0, 1, …, states − 1; counting measure.
    Categories {
        /// How many values a coordinate takes.
        states: usize,
    },
}

/// What binary units take: 0/1 or −1/+1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Units {
    /// 0 and 1.
    Bits,
    /// −1 and +1.
    Spins,
}

impl Units {
    /// The domain of a coordinate.
    #[must_use]
    pub fn domain(self) -> Domain {
        match self {
            Self::Bits => Domain::Bits,
            Self::Spins => Domain::Spins,
        }
    }
}

/// The set that a model's states lie in; states are rows of `dim` f64 numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Space {
    /// The number of coordinates.
    pub dim: usize,
    /// What each coordinate may be.
    pub domain: Domain,
}

impl Space {
    /// `dim` coordinates in `domain`.
    #[must_use]
    pub fn new(dim: usize, domain: Domain) -> Self {
        Self { dim, domain }
    }

    /// The values of a coordinate of a finite space, `None` for a continuous one.
    #[must_use]
    pub fn values(&self) -> Option<Vec<f64>> {
        match &self.domain {
            Domain::Real | Domain::Box { .. } => None,
            Domain::Bits => Some(vec![0.0, 1.0]),
            Domain::Spins => Some(vec![-1.0, 1.0]),
            Domain::Categories { states } => Some((0..*states).map(|s| s as f64).collect()),
        }
    }

    /// log of the number of states of a finite space, `None` for a continuous one.
    #[must_use]
    pub fn log_count(&self) -> Option<f64> {
        self.values().map(|values| self.dim as f64 * (values.len() as f64).ln())
    }

    /// Whether coordinate `index` may have this value.
    #[must_use]
    pub fn admits(&self, index: usize, value: f64) -> bool {
        match &self.domain {
            Domain::Real => value.is_finite(),
            Domain::Box { lower, upper } => lower[index] <= value && value <= upper[index],
            Domain::Bits => value == 0.0 || value == 1.0,
            Domain::Spins => value == -1.0 || value == 1.0,
            Domain::Categories { states } => value >= 0.0 && value < *states as f64 && value.fract() == 0.0,
        }
    }

    /// Checks that rows of states or data lie in this space.
    ///
    /// # Errors
    /// [`Error::Data`] naming the width, or the first row and column outside the space and its value.
    pub fn check(&self, states: ArrayView2<'_, f64>) -> Result<()> {
        if states.ncols() != self.dim {
            return Err(Error::data(format!(
                "rows have {} columns, but the model has {} ({self})",
                states.ncols(),
                self.dim
            )));
        }
        for ((row, column), &value) in states.indexed_iter() {
            if !self.admits(column, value) {
                let hint = match self.domain {
                    Domain::Bits => "; `--binarize 0.5` makes grey values 0 or 1",
                    Domain::Spins => "; 0/1 data become spins by 2x - 1",
                    _ => "",
                };
                return Err(Error::data(format!(
                    "row {row}, column {column} is {}, but the model's space is {self}{hint}",
                    wording::number(value)
                )));
            }
        }
        Ok(())
    }
}

impl fmt::Display for Space {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.domain {
            Domain::Real => write!(f, "real numbers^{}", self.dim),
            Domain::Box { .. } => write!(f, "a box in real numbers^{}", self.dim),
            Domain::Bits => write!(f, "{{0, 1}}^{}", self.dim),
            Domain::Spins => write!(f, "{{-1, +1}}^{}", self.dim),
            Domain::Categories { states } => write!(f, "{{0..{}}}^{}", states - 1, self.dim),
        }
    }
}

/// An unnormalised density exp(−E(x)) on a [`Space`].
///
/// Energies are finite, or +∞ where the density is zero; never NaN or −∞.
pub trait Model: Any + Send + Sync + fmt::Debug {
    /// The kind of model, as `lnz list` names it.
    fn kind(&self) -> &'static str;

    /// Where its states lie.
    fn space(&self) -> Space;

    /// E(xᵢ) of each row of `states` (n, dim).
    fn energy(&self, states: ArrayView2<'_, f64>) -> Array1<f64>;

    /// What it consists of, as (name, value) pairs for `lnz inspect` and the run record.
    fn facts(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    /// log Z by a formula that costs next to nothing, where there is one.
    fn closed_form(&self) -> Option<f64> {
        None
    }

    /// ∇E, where it is known.
    fn gradient(&self) -> Option<&dyn Gradient> {
        None
    }

    /// Exact independent draws, where they are cheap.
    fn sampler(&self) -> Option<&dyn Sampler> {
        None
    }

    /// Hidden units, where there are any and they were summed out: the energy is not divided by T then, E(x, h) is.
    fn hidden_units(&self) -> Option<&dyn HiddenUnits> {
        None
    }

    /// Certain lower bounds of log Z, where there are better ones than −E of states that chains visited.
    fn lower_bounds(&self) -> Option<&dyn LowerBounds> {
        None
    }

    /// What exp(−E) was made a density against, where somebody said so: a normal is then the natural reference, as it bounds the tails.
    fn base(&self) -> Option<&Base> {
        None
    }

    /// Why this model's energies are not to be had any more, where they come from elsewhere: they are NaN then, and this is the reason.
    fn failure(&self) -> Option<Error> {
        None
    }

    /// The same model with energies in f64, where they are computed with less.
    fn precise(&self) -> Option<Arc<dyn Model>> {
        None
    }

    /// Rows of a call below which energies cost more each, where a block of chains of the usual size is fewer than that.
    fn preferred_rows(&self) -> Option<usize> {
        None
    }

    /// The model with energy E(x)/T, p ∝ exp(−E/T). `temperature` is positive and finite.
    ///
    /// Where hidden units were summed out, the joint energy is divided, E(v, h)/T, and they are summed out after that.
    fn at_temperature(self: Arc<Self>, temperature: f64) -> Arc<dyn Model>;

    /// The model of this family with energy (1 − share) E + share E′, E′ that of `other`, where the family holds it; else
    /// [`blend`] makes one outside of it. Hidden units are paired by number: the joint energies are mixed.
    fn toward(&self, _other: &Arc<dyn Model>, _share: f64) -> Option<Arc<dyn Model>> {
        None
    }
}

/// E of every row of `states`, as [`Model::energy`] gives it, over the threads of the current rayon pool.
#[must_use]
pub fn energies(model: &dyn Model, states: ArrayView2<'_, f64>) -> Array1<f64> {
    let batches: Vec<_> = states.axis_chunks_iter(Axis(0), BATCH).collect();
    let parts: Vec<Array1<f64>> = batches.into_par_iter().map(|batch| model.energy(batch)).collect();
    parts.into_iter().flatten().collect()
}

/// A model that knows ∇E.
pub trait Gradient {
    /// E(xᵢ) and ∇E(xᵢ), (n) and (n, dim), for each row of `states`.
    fn energy_and_gradient(&self, states: ArrayView2<'_, f64>) -> (Array1<f64>, Array2<f64>);
}

/// A model whose binary hidden units were summed out: E(x, h) = E₀(x) − h·a(x), so that E(x) = E₀(x) − Σⱼ softplus(aⱼ(x)).
pub trait HiddenUnits {
    /// E₀(xᵢ) and a(xᵢ), (n) and (n, hidden), for each row of `states`.
    fn activations(&self, states: ArrayView2<'_, f64>) -> (Array1<f64>, Array2<f64>);
}

/// A model that can be sampled exactly.
pub trait Sampler {
    /// `count` independent draws from p, as rows.
    fn sample(&self, count: usize, generator: &mut Generator) -> Array2<f64>;
}

/// The model as its concrete type, if it is a `T`: how fast paths and exact methods recognise what they serve.
#[must_use]
pub fn downcast<T: Model>(model: &Arc<dyn Model>) -> Option<Arc<T>> {
    let any: Arc<dyn Any + Send + Sync> = Arc::clone(model) as Arc<dyn Any + Send + Sync>;
    any.downcast::<T>().ok()
}

/// Largest size of a parameter: sums of many, at any temperature, stay within f64, which ends at 1.8·10³⁰⁸.
const LARGEST: f64 = 1e290;

/// Checks that every parameter in `values` is finite, and not so large that energies would not be.
pub(crate) fn check_finite<'a>(
    model: &'static str,
    name: &str,
    values: impl IntoIterator<Item = &'a f64>,
) -> Result<()> {
    match values.into_iter().find(|value| !value.is_finite() || value.abs() > LARGEST) {
        Some(value) if value.is_finite() => Err(Error::model(
            model,
            format!(
                "{name} holds {}; energies would overflow, parameters are at most {} in size",
                wording::number(*value),
                wording::number(LARGEST)
            ),
        )),
        Some(value) => Err(Error::model(model, format!("{name} holds {value}; parameters must be finite"))),
        None => Ok(()),
    }
}

/// Checks that the square `matrix` is finite and symmetric to 1e-6 of its largest entry, and removes what asymmetry rounding left.
pub(crate) fn symmetric(model: &'static str, name: &str, mut matrix: Array2<f64>) -> Result<Array2<f64>> {
    check_finite(model, name, &matrix)?;
    let largest = matrix.iter().fold(0.0f64, |most, value| most.max(value.abs()));
    for i in 0..matrix.nrows() {
        for j in i + 1..matrix.ncols() {
            let (above, below) = (matrix[[i, j]], matrix[[j, i]]);
            if (above - below).abs() > 1e-6 * largest {
                return Err(Error::model(
                    model,
                    format!(
                        "{name} is not symmetric: [{i}, {j}] is {} but [{j}, {i}] is {}",
                        wording::number(above),
                        wording::number(below)
                    ),
                ));
            }
            let both = 0.5 * above + 0.5 * below;
            matrix[[i, j]] = both;
            matrix[[j, i]] = both;
        }
    }
    Ok(matrix)
}

/// Checks a temperature given by a person.
///
/// # Errors
/// [`Error::Setting`] unless it is positive and finite.
pub fn check_temperature(temperature: f64) -> Result<()> {
    if temperature > 0.0 && temperature.is_finite() {
        Ok(())
    } else {
        Err(Error::setting("--temperature", temperature, "a temperature is a positive finite number"))
    }
}
