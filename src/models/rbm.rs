//! Restricted Boltzmann machines with Bernoulli (or ±1) visible and hidden units.

use std::sync::Arc;

use ndarray::{Array1, Array2, ArrayView2, Axis, concatenate};

pub use super::Units;
use super::{HiddenUnits, LowerBounds, Model, Space, check_finite, downcast};
use crate::error::{Error, Result};
use crate::wording::number;

/// E(v, h) = −b·v − c·h − vᵀW h with h summed out: E(v) = −b·v − Σⱼ log Σ_{hⱼ} exp(hⱼ (cⱼ + (vW)ⱼ)).
///
/// Units are bits or spins. A machine of spins is held as the machine of bits that it equals under s = 2x − 1
/// (W′ = 4W, b′ = 2(b − W1), c′ = 2(c − Wᵀ1) and a constant), so everything downstream knows bits only; states that
/// go in and come out are in the machine's own units.
///
/// ```
/// use ndarray::array;
/// use lnz::models::{Model, Rbm, rbm::Units};
/// let rbm = Rbm::new(array![[1.0], [-2.0]], array![0.5, 0.0], array![0.25], Units::Bits)?;
/// let energy = rbm.energy(array![[1.0, 0.0]].view())[0];
/// assert!((energy - (-0.5 - (1.0 + 1.25f64.exp()).ln())).abs() < 1e-12);
/// # Ok::<(), lnz::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Rbm {
    units: Units,
    /// W (visible, hidden), b, c of the machine of bits, and what its energies must be raised by.
    weights: Array2<f64>,
    visible_bias: Array1<f64>,
    hidden_bias: Array1<f64>,
    offset: f64,
    /// The part of the offset that is not there because spins are held as bits.
    own_offset: f64,
    /// Mean of each visible unit over the training data, in [0, 1], where the file stores it.
    base_rates: Option<Array1<f64>>,
}

impl Rbm {
    /// A machine with W (visible, hidden), b (visible) and c (hidden).
    ///
    /// # Errors
    /// [`Error::Model`] when the lengths disagree, a side is empty, or a parameter is not finite.
    pub fn new(
        weights: Array2<f64>,
        visible_bias: Array1<f64>,
        hidden_bias: Array1<f64>,
        units: Units,
    ) -> Result<Self> {
        let (visible, hidden) = weights.dim();
        if visible == 0 || hidden == 0 {
            return Err(Error::model("rbm", format!("W is {visible}x{hidden}; both sides need a unit")));
        }
        if visible_bias.len() != visible || hidden_bias.len() != hidden {
            return Err(Error::model(
                "rbm",
                format!(
                    "W is {visible}x{hidden} (visible, hidden), but the visible bias has length {} and the hidden bias {}",
                    visible_bias.len(),
                    hidden_bias.len()
                ),
            ));
        }
        check_finite("rbm", "W", &weights)?;
        check_finite("rbm", "the visible bias", &visible_bias)?;
        check_finite("rbm", "the hidden bias", &hidden_bias)?;
        Ok(match units {
            Units::Bits => Self {
                units,
                weights,
                visible_bias,
                hidden_bias,
                offset: 0.0,
                own_offset: 0.0,
                base_rates: None,
            },
            Units::Spins => Self {
                units,
                offset: visible_bias.sum() + hidden_bias.sum() - weights.sum(),
                own_offset: 0.0,
                visible_bias: 2.0 * (&visible_bias - &weights.sum_axis(Axis(1))),
                hidden_bias: 2.0 * (&hidden_bias - &weights.sum_axis(Axis(0))),
                weights: 4.0 * weights,
                base_rates: None,
            },
        })
    }

    /// The same machine with an energy raised by `offset`, so that log Z falls by it.
    ///
    /// # Errors
    /// [`Error::Model`] for an offset that is not finite.
    pub fn with_offset(mut self, offset: f64) -> Result<Self> {
        check_finite("rbm", "the offset", &[offset])?;
        self.offset += offset;
        self.own_offset += offset;
        Ok(self)
    }

    /// W (visible, hidden), b and c in the machine's own units: the inverse of how [`Rbm::new`] turns spins into bits.
    #[must_use]
    pub fn own_parameters(&self) -> (Array2<f64>, Array1<f64>, Array1<f64>) {
        let (weights, visible_bias, hidden_bias) = (&self.weights, &self.visible_bias, &self.hidden_bias);
        match self.units {
            Units::Bits => (weights.clone(), visible_bias.clone(), hidden_bias.clone()),
            Units::Spins => {
                let weights = weights / 4.0;
                let visible_bias = visible_bias / 2.0 + weights.sum_axis(Axis(1));
                let hidden_bias = hidden_bias / 2.0 + weights.sum_axis(Axis(0));
                (weights, visible_bias, hidden_bias)
            }
        }
    }

    /// What is added to the energy in the machine's own units; zero unless it was stated ([`Rbm::with_offset`]) or came of centring.
    #[must_use]
    pub fn own_offset(&self) -> f64 {
        self.own_offset
    }

    /// The same machine with the training data's mean of each visible unit (as bits, in [0, 1]), from which annealing starts.
    ///
    /// # Errors
    /// [`Error::Model`] on another length or a value outside [0, 1].
    pub fn with_base_rates(mut self, rates: Array1<f64>) -> Result<Self> {
        if rates.len() != self.visible() {
            return Err(Error::model(
                "rbm",
                format!("{} base rates for {} visible units", rates.len(), self.visible()),
            ));
        }
        if let Some(rate) = rates.iter().find(|r| !(0.0..=1.0).contains(*r)) {
            return Err(Error::model(
                "rbm",
                format!("base rate {}; rates lie between 0 and 1", number(*rate)),
            ));
        }
        self.base_rates = Some(rates);
        Ok(self)
    }

    /// The machine of bits with the sides exchanged, without offset and base rates.
    pub(crate) fn transposed(&self) -> Self {
        Self {
            units: Units::Bits,
            weights: self.weights.t().to_owned(),
            visible_bias: self.hidden_bias.clone(),
            hidden_bias: self.visible_bias.clone(),
            offset: 0.0,
            own_offset: 0.0,
            base_rates: None,
        }
    }

    /// The same distribution and log Z with more hidden units, which are free and connected to nothing.
    fn padded(&self, hidden: usize) -> Self {
        let extra = hidden - self.hidden();
        let mut padded = self.clone();
        padded.weights = concatenate![Axis(1), self.weights, Array2::zeros((self.visible(), extra))];
        padded.hidden_bias = concatenate![Axis(0), self.hidden_bias, Array1::zeros(extra)];
        padded.offset += extra as f64 * std::f64::consts::LN_2;
        padded.own_offset += extra as f64 * std::f64::consts::LN_2;
        padded
    }

    /// The number of visible units.
    #[must_use]
    pub fn visible(&self) -> usize {
        self.visible_bias.len()
    }

    /// The number of hidden units.
    #[must_use]
    pub fn hidden(&self) -> usize {
        self.hidden_bias.len()
    }

    /// Whether states are bits or spins.
    #[must_use]
    pub fn units(&self) -> Units {
        self.units
    }

    /// W (visible, hidden) of the equal machine of bits.
    #[must_use]
    pub fn weights(&self) -> &Array2<f64> {
        &self.weights
    }

    /// b of the equal machine of bits.
    #[must_use]
    pub fn visible_bias(&self) -> &Array1<f64> {
        &self.visible_bias
    }

    /// c of the equal machine of bits.
    #[must_use]
    pub fn hidden_bias(&self) -> &Array1<f64> {
        &self.hidden_bias
    }

    /// E = offset + E of the machine of bits; log Z falls by it. Zero for bits unless [`Rbm::own_offset`] is there.
    #[must_use]
    pub fn offset(&self) -> f64 {
        self.offset
    }

    /// Whether flipping all units, visible and hidden, leaves E(v, h) alone up to rounding: no biases as a machine of spins.
    #[must_use]
    pub fn is_even(&self) -> bool {
        [(&self.visible_bias, Axis(1)), (&self.hidden_bias, Axis(0))].into_iter().all(|(bias, axis)| {
            let (sums, sizes) = (self.weights.sum_axis(axis), self.weights.mapv(f64::abs).sum_axis(axis));
            let of_units = bias.iter().zip(sums.iter().zip(&sizes));
            of_units
                .into_iter()
                .all(|(b, (sum, size))| (b + 0.5 * sum).abs() <= 1e-9 * (b.abs() + 0.5 * size))
        })
    }

    /// The training data's mean of each visible unit, where known.
    #[must_use]
    pub fn base_rates(&self) -> Option<&Array1<f64>> {
        self.base_rates.as_ref()
    }

    /// States in the machine's own units as bits.
    #[must_use]
    pub fn to_bits(&self, states: ArrayView2<'_, f64>) -> Array2<f64> {
        match self.units {
            Units::Bits => states.to_owned(),
            Units::Spins => states.mapv(|s| 0.5 * (s + 1.0)),
        }
    }

    /// Bits as states in the machine's own units.
    #[must_use]
    pub fn from_bits(&self, mut bits: Array2<f64>) -> Array2<f64> {
        if self.units == Units::Spins {
            bits.mapv_inplace(|x| 2.0 * x - 1.0);
        }
        bits
    }
}

impl Model for Rbm {
    fn kind(&self) -> &'static str {
        "rbm"
    }

    fn space(&self) -> Space {
        Space::new(self.visible(), self.units.domain())
    }

    fn energy(&self, states: ArrayView2<'_, f64>) -> Array1<f64> {
        let (visible, activations) = self.activations(states);
        visible - activations.mapv_into(softplus).sum_axis(Axis(1))
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        let mut facts = vec![
            ("visible units", self.visible().to_string()),
            ("hidden units", self.hidden().to_string()),
            ("base rates stored", if self.base_rates.is_some() { "yes" } else { "no" }.into()),
        ];
        if self.own_offset != 0.0 {
            facts.push(("offset", number(self.own_offset)));
        }
        facts
    }

    fn lower_bounds(&self) -> Option<&dyn LowerBounds> {
        Some(self)
    }

    fn hidden_units(&self) -> Option<&dyn HiddenUnits> {
        Some(self)
    }

    fn at_temperature(self: Arc<Self>, temperature: f64) -> Arc<dyn Model> {
        let mut scaled = (*self).clone();
        scaled.weights /= temperature;
        scaled.visible_bias /= temperature;
        scaled.hidden_bias /= temperature;
        scaled.offset /= temperature;
        scaled.own_offset /= temperature;
        Arc::new(scaled)
    }

    fn toward(&self, other: &Arc<dyn Model>, share: f64) -> Option<Arc<dyn Model>> {
        let other = downcast::<Self>(other).filter(|other| other.units == self.units)?;
        let hidden = self.hidden().max(other.hidden());
        let (one, other) = (self.padded(hidden), other.padded(hidden));
        let mix = |one: &Array1<f64>, other: &Array1<f64>| (1.0 - share) * one + share * other;
        Some(Arc::new(Self {
            units: self.units,
            weights: (1.0 - share) * &one.weights + share * &other.weights,
            visible_bias: mix(&one.visible_bias, &other.visible_bias),
            hidden_bias: mix(&one.hidden_bias, &other.hidden_bias),
            offset: (1.0 - share) * one.offset + share * other.offset,
            own_offset: (1.0 - share) * one.own_offset + share * other.own_offset,
            base_rates: None,
        }))
    }
}

impl HiddenUnits for Rbm {
    /// offset − b·v and c + vW, of the machine of bits.
    fn activations(&self, states: ArrayView2<'_, f64>) -> (Array1<f64>, Array2<f64>) {
        let bits = self.to_bits(states);
        (self.offset - bits.dot(&self.visible_bias), bits.dot(&self.weights) + &self.hidden_bias)
    }
}

/// softplus(x) = log(1 + eˣ) in f64.
#[must_use]
pub(crate) fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::log_sum_exp;
    use crate::models::checks::{all_states, assert_close, log_z_by_summation};
    use ndarray::array;

    fn weights() -> Array2<f64> {
        array![[0.7, -1.3], [0.2, 0.9], [-1.1, 0.4]]
    }

    fn machine(units: Units) -> Rbm {
        Rbm::new(weights(), array![0.3, -0.5, 0.8], array![-0.2, 0.6], units).expect("valid parameters")
    }

    /// −b·v − c·h − vᵀWh of the parameters as they were given.
    fn joint_energy(v: &[f64], h: &[f64]) -> f64 {
        let mut energy = 0.0;
        for i in 0..3 {
            energy -= [0.3, -0.5, 0.8][i] * v[i];
            for j in 0..2 {
                energy -= v[i] * weights()[[i, j]] * h[j];
            }
        }
        energy + 0.2 * h[0] - 0.6 * h[1]
    }

    #[test]
    fn energies_sum_over_hidden_units_in_the_machines_own_units() {
        for (units, low) in [(Units::Bits, 0.0), (Units::Spins, -1.0)] {
            let machine = Arc::new(machine(units));
            let states = all_states(&*machine);
            for temperature in [1.0, 0.6] {
                let expected = states
                    .rows()
                    .into_iter()
                    .map(|v| {
                        let terms: Vec<f64> = [[low, low], [low, 1.0], [1.0, low], [1.0, 1.0]]
                            .iter()
                            .map(|h| -joint_energy(&v.to_vec(), h) / temperature)
                            .collect();
                        -log_sum_exp(&terms)
                    })
                    .collect();
                assert_close(
                    &Arc::clone(&machine).at_temperature(temperature).energy(states.view()),
                    &expected,
                    1e-13,
                );
            }
            assert_eq!(machine.from_bits(machine.to_bits(states.view())), states);
        }
    }

    /// What estimators of the machine of bits rely on: log Z of spins = log Z of bits − offset.
    #[test]
    fn the_offset_is_what_separates_spins_from_bits() {
        let spins = machine(Units::Spins);
        let bits = Rbm::new(
            spins.weights().clone(),
            spins.visible_bias().clone(),
            spins.hidden_bias().clone(),
            Units::Bits,
        )
        .expect("valid parameters");
        assert!((log_z_by_summation(&spins) - log_z_by_summation(&bits) + spins.offset()).abs() < 1e-12);
        assert_eq!(machine(Units::Bits).offset(), 0.0);
    }

    /// With one hidden unit of weight zero the joint energy has no entropy to keep, so E(v)/T is its visible part plus log 2.
    #[test]
    fn without_weights_temperature_divides_the_visible_energy() {
        let free =
            Rbm::new(Array2::zeros((3, 1)), array![0.3, -0.5, 0.8], array![0.0], Units::Bits).expect("valid");
        let states = all_states(&free);
        let constant = 2f64.ln();
        let expected = (free.energy(states.view()) + constant) / 2.0 - constant;
        assert_close(&Arc::new(free).at_temperature(2.0).energy(states.view()), &expected, 1e-13);
    }

    #[test]
    fn bad_parameters_are_named() {
        let message = |visible_bias, hidden_bias| {
            Rbm::new(weights(), visible_bias, hidden_bias, Units::Bits).expect_err("a bad bias").to_string()
        };
        assert!(message(array![0.0], array![0.0, 0.0]).contains("the visible bias has length 1"));
        assert!(message(array![0.0, 0.0, 0.0], array![0.0, f64::NAN]).contains("hidden bias holds NaN"));
        assert!(machine(Units::Bits).with_base_rates(array![0.5, 0.5, 1.5]).is_err());
        assert!(machine(Units::Bits).with_base_rates(array![0.5]).is_err());
    }
}
