//! Both ends of a geometric path, in the coordinates that its chains live in.

use std::sync::Arc;

use ndarray::{Array1, Array2, ArrayView2};

use crate::kernels::{Ends, Reference};
use crate::models::Model;
use crate::paths::Counts;

/// Both ends of the path, counting what they are asked.
pub(super) struct Counted {
    pub(super) model: Arc<dyn Model>,
    pub(super) reference: Reference,
    pub(super) counts: Counts,
}

impl Ends for Counted {
    fn reference(&self) -> &Reference {
        &self.reference
    }

    fn evaluate(&mut self, states: ArrayView2<'_, f64>) -> Array1<f64> {
        self.counts.energy_evaluations += states.nrows() as u64;
        match self.reference.frame() {
            Some(frame) => -self.model.energy(frame.outward(states).view()),
            None => -self.model.energy(states),
        }
    }

    fn evaluate_with_gradient(&mut self, states: ArrayView2<'_, f64>) -> (Array1<f64>, Array2<f64>) {
        self.counts.energy_evaluations += states.nrows() as u64;
        self.counts.gradient_evaluations += states.nrows() as u64;
        let model = self.model.gradient().expect("kernels with gradients are for models that have them");
        if let Some(frame) = self.reference.frame() {
            let (energy, gradient) = model.energy_and_gradient(frame.outward(states).view());
            return (-energy, frame.gradient(gradient.view()));
        }
        let (energy, gradient) = model.energy_and_gradient(states);
        let gradient =
            if gradient.is_standard_layout() { gradient } else { gradient.as_standard_layout().into_owned() };
        (-energy, gradient)
    }
}
