//! Any model at another temperature.

use std::sync::Arc;

use ndarray::{Array1, Array2, ArrayView2};

use super::{Gradient, Model, Space};
use crate::error::Error;

/// E(x)/T for a model whose family is not closed under division by T.
#[derive(Debug)]
pub struct Tempered {
    model: Arc<dyn Model>,
    temperature: f64,
}

impl Tempered {
    /// `model` with its energy divided by a positive finite `temperature`.
    #[must_use]
    pub fn new(model: Arc<dyn Model>, temperature: f64) -> Self {
        Self { model, temperature }
    }
}

impl Model for Tempered {
    fn kind(&self) -> &'static str {
        self.model.kind()
    }

    fn space(&self) -> Space {
        self.model.space()
    }

    fn energy(&self, states: ArrayView2<'_, f64>) -> Array1<f64> {
        self.model.energy(states) / self.temperature
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        let mut facts = self.model.facts();
        facts.push(("temperature", self.temperature.to_string()));
        facts
    }

    fn closed_form(&self) -> Option<f64> {
        if self.temperature == 1.0 { self.model.closed_form() } else { None }
    }

    fn gradient(&self) -> Option<&dyn Gradient> {
        self.model.gradient().map(|_| self as &dyn Gradient)
    }

    fn failure(&self) -> Option<Error> {
        self.model.failure()
    }

    fn precise(&self) -> Option<Arc<dyn Model>> {
        let model = self.model.precise()?;
        Some(Arc::new(Self { model, temperature: self.temperature }))
    }

    fn preferred_rows(&self) -> Option<usize> {
        self.model.preferred_rows()
    }

    fn at_temperature(self: Arc<Self>, temperature: f64) -> Arc<dyn Model> {
        Arc::new(Self { model: Arc::clone(&self.model), temperature: self.temperature * temperature })
    }
}

impl Gradient for Tempered {
    fn energy_and_gradient(&self, states: ArrayView2<'_, f64>) -> (Array1<f64>, Array2<f64>) {
        let (energy, gradient) = self
            .model
            .gradient()
            .expect("only a model with a gradient is offered as one")
            .energy_and_gradient(states);
        (energy / self.temperature, gradient / self.temperature)
    }
}
