//! A model given by a closure.

use std::fmt;
use std::sync::Arc;

use ndarray::{Array1, Array2, ArrayView1, ArrayView2};

use super::{Gradient, Model, Space, Tempered};

type Energy = dyn Fn(ArrayView1<'_, f64>) -> f64 + Send + Sync;
type Slope = dyn Fn(ArrayView1<'_, f64>) -> Array1<f64> + Send + Sync;

/// An energy (and its gradient, if known) given by closures over one state.
///
/// ```
/// use lnz::models::{Domain, FunctionModel, Model, Space};
/// let double_well = FunctionModel::new(Space::new(1, Domain::Real), |x| (x[0] * x[0] - 1.0).powi(2))
///     .with_gradient(|x| ndarray::array![4.0 * x[0] * (x[0] * x[0] - 1.0)]);
/// assert_eq!(double_well.energy(ndarray::array![[1.0], [0.0]].view()), ndarray::array![0.0, 1.0]);
/// ```
#[derive(Clone)]
pub struct FunctionModel {
    space: Space,
    energy: Arc<Energy>,
    gradient: Option<Arc<Slope>>,
}

impl FunctionModel {
    /// exp(−energy(x)) on `space`. Whether its integral is finite is the caller's promise.
    pub fn new(space: Space, energy: impl Fn(ArrayView1<'_, f64>) -> f64 + Send + Sync + 'static) -> Self {
        Self { space, energy: Arc::new(energy), gradient: None }
    }

    /// The same with ∇E, which HMC and MALA need.
    #[must_use]
    pub fn with_gradient(
        mut self,
        gradient: impl Fn(ArrayView1<'_, f64>) -> Array1<f64> + Send + Sync + 'static,
    ) -> Self {
        self.gradient = Some(Arc::new(gradient));
        self
    }
}

impl fmt::Debug for FunctionModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FunctionModel").field("space", &self.space).finish_non_exhaustive()
    }
}

impl Model for FunctionModel {
    fn kind(&self) -> &'static str {
        "function"
    }

    fn space(&self) -> Space {
        self.space.clone()
    }

    fn energy(&self, states: ArrayView2<'_, f64>) -> Array1<f64> {
        states.rows().into_iter().map(|x| (self.energy)(x)).collect()
    }

    fn gradient(&self) -> Option<&dyn Gradient> {
        self.gradient.is_some().then_some(self as &dyn Gradient)
    }

    fn at_temperature(self: Arc<Self>, temperature: f64) -> Arc<dyn Model> {
        Arc::new(Tempered::new(self, temperature))
    }
}

impl Gradient for FunctionModel {
    fn energy_and_gradient(&self, states: ArrayView2<'_, f64>) -> (Array1<f64>, Array2<f64>) {
        let slope = self.gradient.as_ref().expect("only a model with a gradient is offered as one");
        let mut gradients = Array2::zeros(states.dim());
        for (x, mut row) in states.rows().into_iter().zip(gradients.rows_mut()) {
            row.assign(&slope(x));
        }
        (self.energy(states), gradients)
    }
}
