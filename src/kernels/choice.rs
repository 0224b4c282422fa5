//! Which kernel and which reference a person asks for.

use serde::{Deserialize, Serialize};

/// The Markov step on a continuous space.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KernelChoice {
    /// What suits the model: its own, or [`Hmc`](super::Hmc) where there is a gradient, else [`RandomWalk`](super::RandomWalk).
    #[default]
    Auto,
    /// [`Hmc`](super::Hmc).
    Hmc,
    /// [`Mala`](super::Mala).
    Mala,
    /// [`RandomWalk`](super::RandomWalk).
    RandomWalk,
    /// [`EllipticalSlice`](super::EllipticalSlice).
    EllipticalSlice,
}

/// The density that chains start from on a continuous space.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReferenceChoice {
    /// What describes the pilots' states, or the data, plainly better than independent normals do; else these.
    #[default]
    Auto,
    /// Independent normals.
    Diagonal,
    /// A normal distribution with correlations.
    Full,
    /// A mixture of normals.
    Mixture,
    /// A multivariate Student t distribution, for heavy tails.
    Student,
    /// Uniform on the model's box.
    Uniform,
}

impl KernelChoice {
    /// All of them, by name.
    pub const NAMES: [(&'static str, Self); 5] = [
        ("auto", Self::Auto),
        ("hmc", Self::Hmc),
        ("mala", Self::Mala),
        ("random-walk", Self::RandomWalk),
        ("elliptical-slice", Self::EllipticalSlice),
    ];

    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        name(&Self::NAMES, self)
    }
}

impl ReferenceChoice {
    /// All of them, by name.
    pub const NAMES: [(&'static str, Self); 6] = [
        ("auto", Self::Auto),
        ("diagonal", Self::Diagonal),
        ("full", Self::Full),
        ("mixture", Self::Mixture),
        ("student", Self::Student),
        ("uniform", Self::Uniform),
    ];

    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        name(&Self::NAMES, self)
    }
}

fn name<T: PartialEq>(names: &[(&'static str, T)], choice: T) -> &'static str {
    names.iter().find(|(_, one)| *one == choice).expect("every choice has a name").0
}
