//! An energy as a density against a box or a normal, and confined where asked.

use std::f64::consts::PI;
use std::fmt;
use std::sync::Arc;

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};
use serde::{Deserialize, Serialize};

use super::{Domain, Gradient, Model, Space};
use crate::error::{Error, Result};
use crate::wording;

/// What exp(−E) is a density against.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Base {
    /// Lebesgue measure on the model's own space.
    #[default]
    Own,
    /// Lebesgue measure on the box lowerᵢ ≤ xᵢ ≤ upperᵢ.
    Box {
        /// The least value of each coordinate.
        lower: Vec<f64>,
        /// The greatest value of each coordinate.
        upper: Vec<f64>,
    },
    /// The probability N(mean, standard_deviation²) of every coordinate, all independent.
    Normal {
        /// The mean of each coordinate.
        mean: f64,
        /// The standard deviation of each coordinate.
        standard_deviation: f64,
    },
}

/// How a model's energy was made a density: its base, and a term that confines it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tilt {
    /// What exp(−E) is a density against.
    pub base: Base,
    /// κ of a term ½ κ |x|² that is added to E, 0 for none.
    pub confinement: f64,
}

impl Tilt {
    /// Whether it leaves every model as it is.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.base == Base::Own && self.confinement == 0.0
    }
}

/// As the options of the command line.
impl fmt::Display for Tilt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.base {
            Base::Own => f.write_str("--domain real")?,
            Base::Box { lower, upper } => {
                f.write_str("--domain box:")?;
                let alike = lower.iter().all(|l| *l == lower[0]) && upper.iter().all(|u| *u == upper[0]);
                let sides = if alike { 1 } else { lower.len() };
                for (i, (low, high)) in lower.iter().zip(upper).take(sides).enumerate() {
                    let comma = if i == 0 { "" } else { "," };
                    write!(f, "{comma}{},{}", wording::number(*low), wording::number(*high))?;
                }
            }
            Base::Normal { mean, standard_deviation } => {
                let [mean, spread] = [*mean, *standard_deviation].map(wording::number);
                write!(f, "--domain gaussian:{mean},{spread}")?;
            }
        }
        if self.confinement > 0.0 {
            write!(f, " --confine {}", wording::number(self.confinement))?;
        }
        Ok(())
    }
}

/// Any model on a continuous space with another base, or confined: p(x) ∝ exp(−E(x) − ½ κ |x|²) b(x).
///
/// b is 1 on the model's own space or on a box, or the density of a normal, Πᵢ N(xᵢ; mean, sd²): an energy that is bounded, as that
/// of many networks is, has an integral against it. The energy of this model is E(x) + ½ κ |x|² − log b(x), its measure Lebesgue's.
/// A temperature divides E and the confinement, never the base. Neither closed forms nor exact draws of the inner model are those of
/// this one, so it offers none.
///
/// ```
/// use std::sync::Arc;
/// use lnz::models::{Base, Domain, FunctionModel, Model, Space, Tilt, Tilted};
/// let bounded = FunctionModel::new(Space::new(1, Domain::Real), |x| x[0].tanh());
/// let base = Base::Normal { mean: 0.0, standard_deviation: 1.0 };
/// let model = Tilted::new(Arc::new(bounded), Tilt { base, confinement: 0.0 })?;
/// let at_zero = model.energy(ndarray::array![[0.0]].view())[0];
/// assert!((at_zero - 0.5 * (2.0 * std::f64::consts::PI).ln()).abs() < 1e-15);
/// # Ok::<(), lnz::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Tilted {
    /// At its temperature.
    model: Arc<dyn Model>,
    tilt: Tilt,
    temperature: f64,
}

impl Tilted {
    /// `model` against the base of `tilt`, with its confinement.
    ///
    /// # Errors
    /// [`Error::Setting`] for a model on a finite space, for a box that is empty or not within the model's own, for a normal that is
    /// improper or goes with a model in a box, and for a confinement that is negative or not finite.
    pub fn new(model: Arc<dyn Model>, tilt: Tilt) -> Result<Self> {
        let space = model.space();
        let option = if tilt.base == Base::Own { "--confine" } else { "--domain" };
        let written = tilt.to_string();
        let written = written.strip_prefix("--domain ").unwrap_or(&written);
        let shown = if tilt.base == Base::Own { wording::number(tilt.confinement) } else { written.into() };
        let refuse = |expected: String| Err(Error::setting(option, &shown, expected));
        if space.values().is_some() {
            return refuse(format!(
                "this is for models on continuous spaces, but the states of this {} lie in {space}; leave it out",
                model.kind()
            ));
        }
        if !(0.0..=1e100).contains(&tilt.confinement) {
            return refuse("a confinement is a number from 0 to 1e100".into());
        }
        match (&tilt.base, &space.domain) {
            (Base::Own, _) => {}
            (Base::Box { lower, upper }, own) => {
                if lower.len() != space.dim || upper.len() != space.dim {
                    return refuse(format!(
                        "a box is LO,HI for all coordinates or LO,HI for each of the {}, but this has {} numbers",
                        space.dim,
                        lower.len() + upper.len()
                    ));
                }
                if let Some(i) = (0..space.dim)
                    .find(|&i| !(lower[i] < upper[i] && lower[i].is_finite() && upper[i].is_finite()))
                {
                    return refuse(format!(
                        "coordinate {i} would go from {} to {}; the first must be less than the second, both finite",
                        wording::number(lower[i]),
                        wording::number(upper[i])
                    ));
                }
                if let Domain::Box { lower: least, upper: most } = own
                    && let Some(i) = (0..space.dim).find(|&i| lower[i] < least[i] || upper[i] > most[i])
                {
                    return refuse(format!(
                        "the model is defined in a box of its own, and its coordinate {i} goes from {} to {}; stay within",
                        wording::number(least[i]),
                        wording::number(most[i])
                    ));
                }
            }
            (Base::Normal { .. }, Domain::Box { .. }) => {
                return refuse("the model is defined in a box of its own; leave --domain out".into());
            }
            (Base::Normal { mean, standard_deviation }, _) => {
                if !(mean.is_finite() && (1e-100..=1e100).contains(standard_deviation)) {
                    return refuse("a normal has a finite mean and a positive standard deviation".into());
                }
            }
        }
        Ok(Self { model, tilt, temperature: 1.0 })
    }

    /// The model whose energy it has, without base and confinement.
    #[must_use]
    pub fn model(&self) -> &Arc<dyn Model> {
        &self.model
    }

    /// How it was made, whatever its temperature.
    #[must_use]
    pub fn tilt(&self) -> &Tilt {
        &self.tilt
    }

    /// κ at its temperature.
    fn confinement(&self) -> f64 {
        self.tilt.confinement / self.temperature
    }

    /// ½ κ |x|² − log b(x).
    fn added(&self, x: ArrayView1<'_, f64>) -> f64 {
        let confined = match self.confinement() {
            0.0 => 0.0,
            strength => 0.5 * strength * x.dot(&x),
        };
        match self.tilt.base {
            Base::Own | Base::Box { .. } => confined,
            Base::Normal { mean, standard_deviation: spread } => {
                let squares = x.iter().map(|x| ((x - mean) / spread).powi(2)).sum::<f64>();
                confined + 0.5 * squares + x.len() as f64 * (spread.ln() + 0.5 * (2.0 * PI).ln())
            }
        }
    }
}

impl Model for Tilted {
    fn kind(&self) -> &'static str {
        self.model.kind()
    }

    fn space(&self) -> Space {
        let space = self.model.space();
        match &self.tilt.base {
            Base::Own | Base::Normal { .. } => space,
            Base::Box { lower, upper } => {
                Space::new(space.dim, Domain::Box { lower: lower.clone(), upper: upper.clone() })
            }
        }
    }

    fn energy(&self, states: ArrayView2<'_, f64>) -> Array1<f64> {
        let mut energies = self.model.energy(states);
        for (energy, x) in energies.iter_mut().zip(states.axis_iter(Axis(0))) {
            *energy += self.added(x);
        }
        energies
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        let mut facts = self.model.facts();
        let domain = self.tilt.to_string();
        let domain = domain.split(" --confine").next().unwrap_or_default().trim_start_matches("--domain ");
        if self.tilt.base != Base::Own {
            facts.push(("domain", domain.to_owned()));
        }
        if self.tilt.confinement > 0.0 {
            let strength = wording::number(self.tilt.confinement);
            facts.push(("confinement", format!("{strength} |x|^2 / 2, added to the energy")));
        }
        facts
    }

    fn gradient(&self) -> Option<&dyn Gradient> {
        self.model.gradient().map(|_| self as &dyn Gradient)
    }

    fn base(&self) -> Option<&Base> {
        Some(&self.tilt.base)
    }

    fn failure(&self) -> Option<Error> {
        self.model.failure()
    }

    fn precise(&self) -> Option<Arc<dyn Model>> {
        let model = self.model.precise()?;
        Some(Arc::new(Self { model, ..self.clone() }))
    }

    fn preferred_rows(&self) -> Option<usize> {
        self.model.preferred_rows()
    }

    fn at_temperature(self: Arc<Self>, temperature: f64) -> Arc<dyn Model> {
        Arc::new(Self {
            model: Arc::clone(&self.model).at_temperature(temperature),
            tilt: self.tilt.clone(),
            temperature: self.temperature * temperature,
        })
    }
}

impl Gradient for Tilted {
    fn energy_and_gradient(&self, states: ArrayView2<'_, f64>) -> (Array1<f64>, Array2<f64>) {
        let inner = self.model.gradient().expect("only a model with a gradient is offered as one");
        let (mut energies, mut gradients) = inner.energy_and_gradient(states);
        for (energy, x) in energies.iter_mut().zip(states.axis_iter(Axis(0))) {
            *energy += self.added(x);
        }
        let (centre, precision) = match self.tilt.base {
            Base::Normal { mean, standard_deviation } => (mean, standard_deviation.powi(-2)),
            Base::Own | Base::Box { .. } => (0.0, 0.0),
        };
        let confinement = self.confinement();
        if confinement != 0.0 || precision != 0.0 {
            gradients.zip_mut_with(&states, |slope, x| *slope += confinement * x + precision * (x - centre));
        }
        (energies, gradients)
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;
    use crate::models::checks::{assert_gradient, log_z_by_grid};
    use crate::models::{FunctionModel, Gaussian};

    fn sine() -> Arc<dyn Model> {
        let model = FunctionModel::new(Space::new(2, Domain::Real), |x| x[0].sin() - 0.5 * x[1].cos());
        Arc::new(model.with_gradient(|x| array![x[0].cos(), 0.5 * x[1].sin()]))
    }

    fn normal(mean: f64, standard_deviation: f64) -> Base {
        Base::Normal { mean, standard_deviation }
    }

    /// ∫ N(x; m, s²) exp(−½ κ x²) dx = (1 + κ s²)^{−½} exp(−½ κ m² / (1 + κ s²)) in each coordinate.
    #[test]
    fn a_base_and_a_confinement_have_their_integral_at_any_temperature() {
        let nothing: Arc<dyn Model> = Arc::new(FunctionModel::new(Space::new(2, Domain::Real), |_| 0.0));
        for (temperature, confinement) in [(1.0, 0.7), (2.0, 0.7), (2.0, 0.0)] {
            let tilt = Tilt { base: normal(0.3, 1.5), confinement };
            let model = Arc::new(Tilted::new(Arc::clone(&nothing), tilt).expect("valid"));
            let model = model.at_temperature(temperature);
            let growth = 1.0 + confinement / temperature * 2.25;
            let exact = -growth.ln() - confinement / temperature * 0.09 / growth;
            assert!((log_z_by_grid(&*model, -14.0, 14.0, 201) - exact).abs() < 1e-10);
        }
    }

    #[test]
    fn gradients_are_those_of_the_sum() {
        let states = array![[0.1, -0.4], [1.3, 0.9], [-2.0, 0.6]];
        let boxed = Base::Box { lower: vec![-3.0; 2], upper: vec![3.0; 2] };
        for (base, confinement) in
            [(normal(0.5, 0.8), 0.0), (normal(0.5, 0.8), 0.3), (boxed, 0.0), (Base::Own, 2.0)]
        {
            let model = Tilted::new(sine(), Tilt { base, confinement }).expect("valid");
            assert_gradient(&model, states.view());
            assert_gradient(&*Arc::new(model).at_temperature(3.0), states.view());
        }
    }

    #[test]
    fn nothing_exact_leaks_through() {
        let gaussian: Arc<dyn Model> = Arc::new(Gaussian::random(3, 1).expect("valid"));
        assert!(gaussian.closed_form().is_some() && gaussian.sampler().is_some());
        let tilted = Tilted::new(gaussian, Tilt { base: normal(0.0, 1.0), confinement: 0.0 }).expect("valid");
        assert!(tilted.closed_form().is_none() && tilted.sampler().is_none());
        assert!(tilted.hidden_units().is_none() && tilted.lower_bounds().is_none());
    }

    #[test]
    fn options_come_back_as_they_were_written() {
        let boxed = |lower: &[f64], upper: &[f64]| Base::Box { lower: lower.into(), upper: upper.into() };
        for (base, confinement, text) in [
            (boxed(&[-1.0, -1.0], &[1.0, 1.0]), 0.0, "--domain box:-1,1"),
            (boxed(&[-1.0, 0.0], &[1.0, 2.0]), 0.0, "--domain box:-1,1,0,2"),
            (normal(0.0, 2.0), 0.5, "--domain gaussian:0,2 --confine 0.5"),
        ] {
            assert_eq!(Tilt { base, confinement }.to_string(), text);
        }
    }
}
