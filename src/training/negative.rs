//! Where the model's half of the gradient comes from.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The negative phase: how means under the model are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Negative {
    /// Contrastive divergence: chains start anew from the batch at every update (Hinton 2002, doi:10.1162/089976602760128018).
    Cd,
    /// Persistent contrastive divergence: chains live as long as the training (Tieleman 2008, doi:10.1145/1390156.1390290).
    #[default]
    Pcd,
    /// As `Pcd`, with replicas at lower β that chains exchange states with (Desjardins et al. 2010, PMLR 9:145).
    Tempering,
    /// Exactly, by summation over all states.
    Exact,
}

impl Negative {
    /// All of them, by name.
    pub const NAMES: [(&'static str, Self); 4] =
        [("pcd", Self::Pcd), ("cd", Self::Cd), ("tempering", Self::Tempering), ("exact", Self::Exact)];
}

impl fmt::Display for Negative {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cd => "contrastive divergence",
            Self::Pcd => "persistent contrastive divergence",
            Self::Tempering => "parallel tempering",
            Self::Exact => "exact gradients",
        })
    }
}
