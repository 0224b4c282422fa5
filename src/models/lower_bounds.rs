//! What a model may say about its log Z for certain.

use ndarray::{Array1, Array2, ArrayView2};

/// A model that says where to look for mass, and how much there is at least.
pub trait LowerBounds {
    /// At most about `most` states, as rows, near which there may be mass: what single hidden units or couplings ask for.
    fn landmarks(&self, most: usize) -> Array2<f64>;

    /// A number that log Z is certainly not below (but for rounding), from each row of `near`.
    fn lower_bounds(&self, near: ArrayView2<'_, f64>) -> Array1<f64>;
}
