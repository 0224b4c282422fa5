//! Gaussian shells: mass on two thin spheres, which no normal reference resembles.

use std::f64::consts::{LN_2, PI};
use std::sync::Arc;

use gauss_quad::GaussLegendre;
use ndarray::{Array1, Array2, ArrayView2};
use rand::RngExt;
use rand_distr::StandardNormal;
use statrs::function::gamma::ln_gamma;

use super::{Domain, Gradient, Model, Sampler, Space, Tempered};
use crate::error::{Error, Result};
use crate::math::random::Generator;
use crate::math::{log_add_exp, log_sum_exp};
use crate::wording::number;

/// Half of the distance between the centres, which lie on the first axis.
const OFFSET: f64 = 3.5;
/// Widths of the radial density that its quadrature reaches from its peak.
const REACH: f64 = 14.0;
const PANELS: usize = 56;
const NODES: usize = 16;

/// exp(−E(x)) = Σ over c = ±3.5 e₁ of N(|x − c|; r, w²) on ℝᵈ: two spheres of radius r, each w thick.
///
/// (Feroz & Hobson 2008, §7.3, arXiv:0704.3704, there with a uniform prior on [−6, 6]ᵈ: log Z less d log 12 is their log evidence,
/// −1.75 for d = 2 and −14.59 for d = 10, for r = 2 and w = 0.1.) Z = 2 S ∫₀^∞ ρ^{d−1} N(ρ; r, w²) dρ with S the area of the unit
/// sphere, by Gauss–Legendre rules to rounding.
///
/// ```
/// use lnz::models::{Model, Shells};
/// let log_z = Shells::new(2, 2.0, 0.1)?.closed_form().expect("a radial integral");
/// assert!((log_z - (8.0 * std::f64::consts::PI).ln()).abs() < 1e-12);
/// # Ok::<(), lnz::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Shells {
    dim: usize,
    radius: f64,
    width: f64,
    log_z: f64,
}

impl Shells {
    /// Shells of this `radius` and `width` in `dim` dimensions.
    ///
    /// # Errors
    /// [`Error::Model`] in no dimension, or unless radius and width are positive and finite.
    pub fn new(dim: usize, radius: f64, width: f64) -> Result<Self> {
        if dim == 0 {
            return Err(Error::model("gaussian-shells", "dimension 0; shells have at least 1"));
        }
        for (name, value) in [("radius", radius), ("width", width)] {
            if !(1e-100..=1e100).contains(&value) {
                let message = format!("the {name} is {}; it must be a positive finite number", number(value));
                return Err(Error::model("gaussian-shells", message));
            }
        }
        let mut shells = Self { dim, radius, width, log_z: 0.0 };
        shells.log_z = LN_2 + shells.log_area() + shells.log_radial_integral();
        Ok(shells)
    }

    /// log of the area of the unit sphere, 2 π^{d/2} / Γ(d/2).
    fn log_area(&self) -> f64 {
        let half = 0.5 * self.dim as f64;
        LN_2 + half * PI.ln() - ln_gamma(half)
    }

    /// log N(ρ; r, w²).
    fn log_normal(&self, radius: f64) -> f64 {
        let away = (radius - self.radius) / self.width;
        -0.5 * away * away - self.width.ln() - 0.5 * (2.0 * PI).ln()
    }

    /// log of ρ^{d−1} N(ρ; r, w²).
    fn log_radial(&self, radius: f64) -> f64 {
        // A zeroth power is 1, whatever of.
        let power = if self.dim == 1 { 0.0 } else { (self.dim - 1) as f64 * radius.ln() };
        power + self.log_normal(radius)
    }

    /// Where that is highest: ρ (ρ − r) = (d − 1) w².
    fn peak(&self) -> f64 {
        let half = 0.5 * self.radius;
        half + half.hypot(self.width * ((self.dim - 1) as f64).sqrt())
    }

    fn log_radial_integral(&self) -> f64 {
        let rule = GaussLegendre::new(NODES.try_into().expect("a rule has nodes"));
        let peak = self.peak();
        let (from, to) = ((peak - REACH * self.width).max(0.0), peak + REACH * self.width);
        let half = 0.5 * (to - from) / PANELS as f64;
        let mut terms = Vec::with_capacity(PANELS * NODES);
        for panel in 0..PANELS {
            let middle = from + (2 * panel + 1) as f64 * half;
            terms.extend(
                rule.iter()
                    .map(|(node, weight)| self.log_radial(middle + half * node) + (weight * half).ln()),
            );
        }
        log_sum_exp(&terms)
    }
}

impl Model for Shells {
    fn kind(&self) -> &'static str {
        "gaussian-shells"
    }

    fn space(&self) -> Space {
        Space::new(self.dim, Domain::Real)
    }

    fn energy(&self, states: ArrayView2<'_, f64>) -> Array1<f64> {
        self.energy_and_gradient(states).0
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        vec![
            ("dimension", self.dim.to_string()),
            ("radius", number(self.radius)),
            ("width", number(self.width)),
        ]
    }

    fn closed_form(&self) -> Option<f64> {
        Some(self.log_z)
    }

    fn gradient(&self) -> Option<&dyn Gradient> {
        Some(self)
    }

    fn sampler(&self) -> Option<&dyn Sampler> {
        Some(self)
    }

    fn at_temperature(self: Arc<Self>, temperature: f64) -> Arc<dyn Model> {
        Arc::new(Tempered::new(self, temperature))
    }
}

impl Gradient for Shells {
    /// ∇E = Σ s_c (|x − c| − r)/w² · (x − c)/|x − c| with s the shares of the shells; 0 for one at whose centre x lies.
    fn energy_and_gradient(&self, states: ArrayView2<'_, f64>) -> (Array1<f64>, Array2<f64>) {
        let mut gradients = Array2::zeros(states.dim());
        let energies = states
            .rows()
            .into_iter()
            .zip(gradients.rows_mut())
            .map(|(state, mut gradient)| {
                let rest: f64 = state.iter().skip(1).map(|x| x * x).sum();
                let distance = |centre: f64| (rest + (state[0] - centre).powi(2)).sqrt();
                let distances = [distance(-OFFSET), distance(OFFSET)];
                let logs = distances.map(|distance| self.log_normal(distance));
                let sum = log_add_exp(logs[0], logs[1]);
                let pull = |i: usize| {
                    let share = (logs[i] - sum).exp();
                    if share == 0.0 || distances[i] == 0.0 {
                        return 0.0;
                    }
                    share * (distances[i] - self.radius) / (self.width * self.width * distances[i])
                };
                let pulls = [pull(0), pull(1)];
                gradient.assign(&state);
                gradient *= pulls[0] + pulls[1];
                gradient[0] = pulls[0] * (state[0] + OFFSET) + pulls[1] * (state[0] - OFFSET);
                -sum
            })
            .collect();
        (energies, gradients)
    }
}

impl Sampler for Shells {
    /// The radius by rejection from N(ρ*, w²), ρ* its peak: the logarithm of its density is at least as curved.
    fn sample(&self, count: usize, generator: &mut Generator) -> Array2<f64> {
        let mut draws = Array2::zeros((count, self.dim));
        let peak = self.peak();
        let highest = self.log_radial(peak);
        for mut row in draws.rows_mut() {
            let centre = if generator.random::<bool>() { OFFSET } else { -OFFSET };
            let radius = loop {
                let noise: f64 = generator.sample(StandardNormal);
                let radius = peak + self.width * noise;
                let uniform: f64 = generator.random();
                if radius > 0.0 && uniform.ln() < self.log_radial(radius) - highest + 0.5 * noise * noise {
                    break radius;
                }
            };
            row.mapv_inplace(|_: f64| generator.sample(StandardNormal));
            let length = row.dot(&row).sqrt();
            row *= radius / length;
            row[0] += centre;
        }
        draws
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::checks::{assert_gradient, assert_moments, assert_temperature, log_z_by_grid};
    use ndarray::array;

    fn shells(dim: usize, radius: f64, width: f64) -> Shells {
        Shells::new(dim, radius, width).expect("a dimension and positive numbers")
    }

    #[test]
    fn closed_form_is_the_integral() {
        for model in [shells(1, 2.0, 0.3), shells(2, 2.0, 0.3)] {
            let exact = model.closed_form().expect("a radial integral");
            let found = log_z_by_grid(&model, -9.0, 9.0, 1501);
            assert!((exact - found).abs() < 1e-9, "{}: {exact} and {found}", model.dim);
        }
        // E[ρ⁹] of a normal number: Σ over even k of binom(9, k) r^{9−k} wᵏ (k − 1)!!.
        let (r, w): (f64, f64) = (2.0, 0.1);
        let moment: f64 = [(1.0, 0), (36.0, 2), (126.0 * 3.0, 4), (84.0 * 15.0, 6), (9.0 * 105.0, 8)]
            .iter()
            .map(|(factor, k)| factor * r.powi(9 - k) * w.powi(*k))
            .sum();
        let model = shells(10, r, w);
        let exact = LN_2 + (PI.powi(5) / 12.0).ln() + moment.ln();
        assert!((model.log_z - exact).abs() < 1e-12);
    }

    /// Table 1 of Feroz & Hobson prints −1.75 and −14.59.
    #[test]
    fn evidences_are_those_of_the_paper() {
        for (dim, printed) in [(2, -1.75), (10, -14.59)] {
            let found = shells(dim, 2.0, 0.1).log_z - dim as f64 * 12f64.ln();
            assert!((found - printed).abs() < 0.005, "{found}");
        }
    }

    #[test]
    fn gradient_and_temperature() {
        let model = shells(3, 2.0, 0.4);
        let states = array![[0.1, 0.5, -0.2], [3.0, -1.0, 0.7], [-30.0, 2.0, 8.0]];
        assert_gradient(&model, states.view());
        assert_temperature(model, states.view());
        let (_, gradient) = model.energy_and_gradient(array![[OFFSET, 0.0, 0.0]].view());
        assert!(gradient.iter().all(|slope| slope.is_finite()));
    }

    /// E|x − c|² = E[ρ^{d+1}]/E[ρ^{d−1}], a d-th of it along each axis.
    #[test]
    fn draws_have_the_right_moments() {
        for (dim, width) in [(2, 0.1), (4, 1.5)] {
            let model = shells(dim, 2.0, width);
            let second =
                (shells(dim + 2, 2.0, width).log_radial_integral() - model.log_radial_integral()).exp();
            let mut covariance = Array2::eye(dim) * (second / dim as f64);
            covariance[[0, 0]] += OFFSET * OFFSET;
            assert_moments(&model, &Array1::zeros(dim), &covariance);
        }
    }

    #[test]
    fn bad_shells_are_refused() {
        assert!(Shells::new(0, 2.0, 0.1).is_err());
        assert!(Shells::new(2, 0.0, 0.1).is_err());
        assert!(Shells::new(2, 2.0, f64::NAN).is_err());
    }
}
