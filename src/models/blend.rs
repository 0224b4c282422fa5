//! The models between two models of one space.

use std::sync::Arc;

use ndarray::{Array1, Array2, ArrayView2};

use super::{Gradient, Model, Space, Tempered};
use crate::error::{Error, Result};

/// The model with energy (1 − share) E + share E′ of `one` and `other`, 0 ≤ share ≤ 1: in their family where it holds it
/// ([`Model::toward`]).
///
/// # Errors
/// [`Error::Data`] for models on different spaces.
pub fn blend(one: &Arc<dyn Model>, other: &Arc<dyn Model>, share: f64) -> Result<Arc<dyn Model>> {
    if one.space() != other.space() {
        return Err(Error::data(format!(
            "there is nothing between a model on {} and one on {}: their spaces must be the same",
            one.space(),
            other.space()
        )));
    }
    Ok(one
        .toward(other, share)
        .unwrap_or_else(|| Arc::new(Blend { one: Arc::clone(one), other: Arc::clone(other), share })))
}

/// (1 − share) E + share E′ of any two models.
#[derive(Debug)]
struct Blend {
    one: Arc<dyn Model>,
    other: Arc<dyn Model>,
    share: f64,
}

impl Blend {
    /// A model has no part where its share is zero, wherever its energy is infinite.
    fn mixed(&self, one: f64, other: f64) -> f64 {
        let part = |share: f64, value: f64| if share == 0.0 { 0.0 } else { share * value };
        part(1.0 - self.share, one) + part(self.share, other)
    }
}

impl Model for Blend {
    fn kind(&self) -> &'static str {
        "blend"
    }

    fn space(&self) -> Space {
        self.one.space()
    }

    fn energy(&self, states: ArrayView2<'_, f64>) -> Array1<f64> {
        let (one, other) = (self.one.energy(states), self.other.energy(states));
        one.iter().zip(&other).map(|(&one, &other)| self.mixed(one, other)).collect()
    }

    fn gradient(&self) -> Option<&dyn Gradient> {
        self.one.gradient().and(self.other.gradient()).map(|_| self as &dyn Gradient)
    }

    fn failure(&self) -> Option<Error> {
        self.one.failure().or_else(|| self.other.failure())
    }

    fn at_temperature(self: Arc<Self>, temperature: f64) -> Arc<dyn Model> {
        Arc::new(Tempered::new(self, temperature))
    }
}

impl Gradient for Blend {
    fn energy_and_gradient(&self, states: ArrayView2<'_, f64>) -> (Array1<f64>, Array2<f64>) {
        let of = |model: &Arc<dyn Model>| {
            model
                .gradient()
                .expect("only two models with gradients are offered as one")
                .energy_and_gradient(states)
        };
        let ((one, one_slope), (other, other_slope)) = (of(&self.one), of(&self.other));
        let energy = one.iter().zip(&other).map(|(&one, &other)| self.mixed(one, other)).collect();
        (energy, (1.0 - self.share) * one_slope + self.share * other_slope)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::builtin;
    use crate::models::checks::{all_states, assert_close, assert_gradient};
    use ndarray::array;

    #[test]
    fn energies_are_mixed_in_every_family() {
        for (one, other) in [
            ("ref:ising?side=3&coupling=0.3&field=0.1", "ref:ising?side=3&coupling=0.5&field=-0.2"),
            ("ref:boltzmann?dim=6", "ref:boltzmann?dim=6&seed=2"),
            ("ref:potts?side=2&boundary=grid", "ref:potts?side=2&boundary=grid&coupling=0.4&field=0.3"),
            ("ref:ising?rows=2&columns=3&boundary=grid", "ref:spin-glass?rows=2&columns=3&boundary=grid"),
        ] {
            let [one, other] = [one, other].map(|spec| builtin::parse(spec).expect(spec));
            let states = all_states(&*one);
            for share in [0.0, 0.3, 1.0] {
                let between = blend(&one, &other, share).expect("one space");
                let expected =
                    (1.0 - share) * one.energy(states.view()) + share * other.energy(states.view());
                assert_close(&between.energy(states.view()), &expected, 1e-12);
            }
        }
    }

    #[test]
    fn machines_end_at_their_own_energies_whatever_their_hidden_units() {
        let specs =
            ["ref:rbm?visible=6&hidden=3&units=spins", "ref:rbm?visible=6&hidden=5&seed=2&units=spins"];
        let [one, other] = specs.map(|spec| builtin::parse(spec).expect(spec));
        let states = all_states(&*one);
        for (from, to) in [(&one, &other), (&other, &one)] {
            let at = |share| blend(from, to, share).expect("one space");
            assert_eq!((at(0.4).kind(), at(0.4).hidden_units().is_some()), ("rbm", true));
            assert_close(&at(0.0).energy(states.view()), &from.energy(states.view()), 1e-12);
            assert_close(&at(1.0).energy(states.view()), &to.energy(states.view()), 1e-12);
        }
    }

    #[test]
    fn gradients_and_spaces() {
        let [one, other] =
            ["ref:gaussian?dim=2", "ref:funnel?dim=2"].map(|spec| builtin::parse(spec).expect(spec));
        let states = array![[0.3, -1.0], [2.0, 0.7]];
        assert_gradient(&*blend(&one, &other, 0.25).expect("one space"), states.view());
        let bits = builtin::parse("ref:boltzmann?dim=2").expect("valid");
        assert!(blend(&one, &bits, 0.5).expect_err("two spaces").to_string().contains("spaces"));
    }
}
