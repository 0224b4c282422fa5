//! Maximum likelihood for models whose log Z this crate can check: one file per method.
//!
//! ∂/∂θ of the mean log-likelihood of data is ⟨−∂E/∂θ⟩ over the data less the same mean under the model; methods differ in
//! where they take the second mean from. [`Moments`] holds such means for an RBM.

mod moments;
pub mod pcd;
mod trainer;

pub use moments::Moments;
pub use pcd::{Epoch, Pcd};
