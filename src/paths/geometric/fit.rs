//! What a reference may be fitted as, and whether correlations describe states plainly better than independent normals do.

use std::collections::HashSet;

use ndarray::{Array1, Array2, ArrayView2, Axis};
use statrs::function::gamma::ln_gamma;

use super::INFLATION;
use super::clusters;
use crate::kernels::ReferenceChoice;
use crate::kernels::reference::{Component, Components, Frame, Reference, Spread};
use crate::math::linear::Cholesky;
use crate::math::{Stream, statistics};

/// Share of a mixture's mass that stays with independent normals: where the fit lost a mode, weights are at most five times as large
/// as without it.
const DEFENSIVE: f64 = 0.2;
/// Most dimensions for which correlations are tried without being asked for: with 100 of them 329 rungs do instead of 838, but in as
/// much time, and the run from a much wider reference grows with the correlations.
const MOST_CORRELATED: usize = 32;
/// Most states that are fitted.
const MOST_STATES: usize = 2048;
/// Nats per state that correlations must gain on states that they were not fitted to, and standard errors of that gain.
const LEAST_GAIN: f64 = 1.0;
const CERTAIN: f64 = 4.0;
/// Degrees of freedom of Student's t that are tried.
const FREEDOMS: [f64; 5] = [1.0, 2.0, 4.0, 8.0, 16.0];

/// The kind of a reference on ℝᵈ, with what a kind has beside the mean and spread of each coordinate.
#[derive(Clone, Debug)]
pub(super) enum Form {
    /// Independent normals.
    Diagonal,
    /// A normal distribution with correlations: independent in this frame, with scales 1 until it is widened.
    Full { frame: Frame, scales: Vec<f64> },
    /// Student's t.
    Student { centre: Vec<f64>, scales: Vec<f64>, freedom: f64 },
    /// A mixture of normals; proposals are in units of `scales`, the width within its components.
    Mixture { components: Components, scales: Vec<f64> },
}

impl Form {
    /// What it is called.
    pub(super) fn choice(&self) -> ReferenceChoice {
        match self {
            Self::Diagonal => ReferenceChoice::Diagonal,
            Self::Full { .. } => ReferenceChoice::Full,
            Self::Student { .. } => ReferenceChoice::Student,
            Self::Mixture { .. } => ReferenceChoice::Mixture,
        }
    }

    /// f₀ of this form, N(`centre`, `spread`²) where it is diagonal.
    pub(super) fn reference(&self, centre: &[f64], spread: &[f64]) -> Reference {
        match self {
            Self::Diagonal => Reference::normal(centre.to_vec(), spread.to_vec()),
            Self::Full { frame, scales } => {
                Reference::normal(vec![0.0; scales.len()], scales.clone()).within(frame.clone())
            }
            Self::Student { centre, scales, freedom } => {
                Reference::student(centre.clone(), scales.clone(), *freedom)
            }
            Self::Mixture { components, scales } => Reference::mixture(components.clone(), scales.clone()),
        }
    }

    /// N(`centre`, `spread`²) in the units that the chains of this form have, if these live in the model's coordinates.
    pub(super) fn plain(&self, centre: &[f64], spread: &[f64]) -> Reference {
        let spreads = Array1::from_vec(spread.to_vec());
        let alone = |mean, spread| Components::new(vec![Component { weight: 1.0, mean, spread }]);
        let diagonal = || alone(Array1::from_vec(centre.to_vec()), Spread::Diagonal(spreads.clone()));
        match self {
            Self::Diagonal => Reference::normal(centre.to_vec(), spread.to_vec()),
            Self::Student { scales, .. } | Self::Mixture { scales, .. } => {
                Reference::mixture(diagonal(), scales.clone())
            }
            Self::Full { .. } => unreachable!("a reference in a frame is widened in its frame"),
        }
    }

    /// This normal distribution with correlations, so wide in its frame that N(`centre`, `spread`²) is no wider along any axis.
    /// Three times its own width would not do: where it was fitted to one of several modes, it is narrow on the way to the others.
    pub(super) fn widened_within(&self, centre: &[f64], spread: &[f64]) -> Option<Self> {
        let Self::Full { frame, .. } = self else { return None };
        let centre = Array1::from_vec(centre.to_vec());
        let shift = frame.inward(centre.view().insert_axis(Axis(0)));
        // Row i is how the frame sees a step of one standard deviation of coordinate i.
        let mut seen = Array2::from_diag(&Array1::from_vec(spread.to_vec()));
        for row in seen.rows_mut() {
            frame.factor().solve_lower(row);
        }
        let reached = |i: usize| shift[[0, i]].abs() + seen.column(i).dot(&seen.column(i)).sqrt();
        Some(Self::Full { frame: frame.clone(), scales: (0..spread.len()).map(reached).collect() })
    }

    /// Mean log of the units that proposals are made in.
    pub(super) fn log_unit(&self, spread: &[f64]) -> f64 {
        let mean = |scales: &[f64]| scales.iter().map(|scale| scale.ln()).sum::<f64>() / scales.len() as f64;
        match self {
            Self::Diagonal => mean(spread),
            Self::Full { frame, scales } => frame.log_volume() / spread.len() as f64 + mean(scales),
            Self::Student { scales, .. } | Self::Mixture { scales, .. } => mean(scales),
        }
    }

    /// How many states a fit of it takes.
    pub(super) fn states(&self, dim: usize) -> usize {
        match self {
            Self::Diagonal | Self::Student { .. } => 0,
            Self::Full { .. } => 4 * dim,
            Self::Mixture { components, .. } => 16 * components.parts().len(),
        }
    }
}

/// Mean and `INFLATION` standard deviations of each coordinate.
pub(super) fn moments(states: ArrayView2<'_, f64>) -> (Vec<f64>, Vec<f64>) {
    states
        .axis_iter(Axis(1))
        .map(|column| {
            let mean = column.mean().unwrap_or(0.0);
            let variance = column.mapv(|x| (x - mean).powi(2)).sum() / (column.len() - 1) as f64;
            // A coordinate that never varied would make a reference without width.
            (mean, INFLATION * variance.sqrt().max(1e-6 * (1.0 + mean.abs())))
        })
        .unzip()
}

/// The form that was chosen, or of the kind that is `settled`. What is automatic has correlations where these gain plainly on states
/// held back. (Mixtures and Student's t are for those who ask: chosen in the same way, a mixture made runs on Gaussian shells 25 times
/// and on forty modes in the plane 1.5 times as long, for no better verdict.)
pub(super) fn fit(states: ArrayView2<'_, f64>, choice: ReferenceChoice, settled: Option<&Form>) -> Form {
    let choice = settled.map_or(choice, Form::choice);
    let states = distinct(states);
    if states.nrows() < 4 || matches!(choice, ReferenceChoice::Diagonal | ReferenceChoice::Uniform) {
        return Form::Diagonal;
    }
    let found = match choice {
        ReferenceChoice::Full => full(states.view()),
        ReferenceChoice::Student => Some(student(states.view())),
        ReferenceChoice::Mixture => {
            let count = match settled {
                // Without the defensive one.
                Some(Form::Mixture { components, .. }) => Some(components.parts().len() - 1),
                _ => halves(&states).map(|(one, other)| clusters(one.view(), other.view()).0),
            };
            count.map(|count| mixture(states.view(), count.max(1)))
        }
        _ => automatic(&states),
    };
    found.unwrap_or(Form::Diagonal)
}

/// Rows that differ: copies on both sides of a split would make every fit look good. At most `MOST_STATES`.
fn distinct(states: ArrayView2<'_, f64>) -> Array2<f64> {
    let mut seen = HashSet::new();
    let step = states.nrows().div_ceil(MOST_STATES).max(1);
    let rows: Vec<usize> = (0..states.nrows())
        .step_by(step)
        .filter(|&row| seen.insert(states.row(row).iter().map(|x| x.to_bits()).collect::<Vec<u64>>()))
        .collect();
    states.select(Axis(0), &rows)
}

fn halves(states: &Array2<f64>) -> Option<(Array2<f64>, Array2<f64>)> {
    let half = |from: usize| (from..states.nrows()).step_by(2).collect::<Vec<_>>();
    (states.nrows() >= 32).then(|| (states.select(Axis(0), &half(0)), states.select(Axis(0), &half(1))))
}

fn automatic(states: &Array2<f64>) -> Option<Form> {
    let (train, test) = halves(states)?;
    let dim = states.ncols();
    let (centre, spread) = moments(train.view());
    let score = |form: &Form| {
        let reference = form.reference(&centre, &spread);
        let rows = match reference.frame() {
            Some(frame) => frame.inward(test.view()),
            None => test.clone(),
        };
        reference.log_densities(&rows)
    };
    if !(2..=MOST_CORRELATED).contains(&dim) {
        return None;
    }
    let gains = (score(&full(train.view())?) - score(&Form::Diagonal)).to_vec();
    let gain = statistics::mean(&gains);
    (gain > LEAST_GAIN && gain > CERTAIN * statistics::std_err(&gains)).then(|| full(states.view()))?
}

/// The number of components, doubled or thereabouts until that no longer helps, that describes `test` best when fitted to `train`;
/// and the log-densities of `test`.
fn clusters(train: ArrayView2<'_, f64>, test: ArrayView2<'_, f64>) -> (usize, Array1<f64>) {
    let test = test.as_standard_layout().into_owned();
    let mut best: Option<(usize, Array1<f64>)> = None;
    let mut worse = 0;
    for count in [2, 3, 4, 6, 8, 12, 16, 24, 32, 40, 48, 64] {
        if 6 * count > train.nrows() || worse > 1 {
            break;
        }
        let Form::Mixture { components, .. } = mixture(train, count) else { break };
        let found = components.log_densities(&test);
        if best.as_ref().is_none_or(|(_, before)| found.sum() > before.sum()) {
            best = Some((count, found));
            worse = 0;
        } else {
            worse += 1;
        }
    }
    best.unwrap_or_else(|| (1, Array1::from_elem(test.nrows(), f64::NEG_INFINITY)))
}

/// EM for `count` components, and independent normals beside them.
fn mixture(states: ArrayView2<'_, f64>, count: usize) -> Form {
    let stream = Stream::new(0x6d69_7865).child(states.nrows() as u64).child(count as u64);
    let (mut parts, scales) = clusters::expectation_maximisation(states, count, stream);
    let (centre, spread) = moments(states);
    parts.push(Component {
        weight: DEFENSIVE / (1.0 - DEFENSIVE),
        mean: Array1::from_vec(centre),
        spread: Spread::Diagonal(Array1::from_vec(spread)),
    });
    Form::Mixture { components: Components::new(parts), scales }
}

/// The covariance with its correlations shrunk towards none by as much as their sampling errors call for (Schäfer & Strimmer 2005,
/// doi:10.2202/1544-6115.1175), inflated.
fn full(states: ArrayView2<'_, f64>) -> Option<Form> {
    let (centre, spread) = moments(states);
    let count = states.nrows() as f64;
    let centre = Array1::from_vec(centre);
    let spread = Array1::from_vec(spread);
    let units =
        (&states - &centre.view().insert_axis(Axis(0))) / spread.view().insert_axis(Axis(0)) * INFLATION;
    let correlations = units.t().dot(&units) / (count - 1.0);
    let squared = units.mapv(|x| x * x);
    let fourth = squared.t().dot(&squared) / count;
    let (mut noise, mut signal) = (0.0, 0.0);
    for ((i, j), correlation) in correlations.indexed_iter() {
        if i != j {
            noise += (fourth[[i, j]] - correlation * correlation) / (count - 1.0);
            signal += correlation * correlation;
        }
    }
    let kept = if signal > 0.0 { (1.0 - noise / signal).clamp(0.0, 1.0) } else { 0.0 };
    let covariance = Array2::from_shape_fn(correlations.dim(), |(i, j)| {
        let share = if i == j { correlations[[i, i]].max(1e-12) } else { kept * correlations[[i, j]] };
        share * spread[i] * spread[j]
    });
    let frame = Frame::new(centre, Cholesky::new(covariance.view()).ok()?);
    Some(Form::Full { scales: vec![1.0; spread.len()], frame })
}

/// Student's t by EM, with the degrees of freedom under which the states are likeliest; its scales are inflated.
fn student(states: ArrayView2<'_, f64>) -> Form {
    let (count, dim) = (states.nrows() as f64, states.ncols() as f64);
    let fits = FREEDOMS.map(|freedom| {
        let (centre, spread) = moments(states);
        let (mut centre, mut scales) = (Array1::from_vec(centre), Array1::from_vec(spread) / INFLATION);
        let mut log_likelihood = f64::NEG_INFINITY;
        for _ in 0..50 {
            let away = &states - &centre.view().insert_axis(Axis(0));
            let squares =
                (&away / &scales.view().insert_axis(Axis(0))).mapv_into(|x| x * x).sum_axis(Axis(1));
            log_likelihood = -0.5 * (freedom + dim) * squares.mapv(|square| (square / freedom).ln_1p()).sum()
                + count
                    * (ln_gamma(0.5 * (freedom + dim))
                        - ln_gamma(0.5 * freedom)
                        - 0.5 * dim * freedom.ln()
                        - scales.mapv(f64::ln).sum());
            let weights = squares.mapv(|square| (freedom + dim) / (freedom + square));
            centre = states.t().dot(&weights) / weights.sum();
            let away = &states - &centre.view().insert_axis(Axis(0));
            let variances = away.mapv(|x| x * x).t().dot(&weights) / count;
            scales.zip_mut_with(&variances, |scale, variance| {
                *scale = variance.sqrt().max(1e-6 * *scale);
            });
        }
        (log_likelihood, centre, scales, freedom)
    });
    let best = fits.into_iter().max_by(|one, other| one.0.total_cmp(&other.0));
    let (_, centre, scales, freedom) = best.expect("some degrees of freedom");
    Form::Student { centre: centre.to_vec(), scales: (scales * INFLATION).to_vec(), freedom }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::builtin;

    /// What is chosen for exact draws of a model.
    fn chosen(spec: &str, count: usize) -> ReferenceChoice {
        let model = builtin::parse(spec).expect(spec);
        let draws = model.sampler().expect("exact draws").sample(count, &mut Stream::new(2).generator());
        fit(draws.view(), ReferenceChoice::Auto, None).choice()
    }

    #[test]
    fn what_helps_plainly_is_chosen_and_nothing_else() {
        for (spec, expected) in [
            ("ref:gaussian?dim=100", ReferenceChoice::Diagonal),
            ("ref:gaussian?dim=10", ReferenceChoice::Full),
            ("ref:forty-modes", ReferenceChoice::Diagonal),
            ("ref:student-mixture?modes=1", ReferenceChoice::Diagonal),
            ("ref:many-well?dim=32", ReferenceChoice::Diagonal),
            ("ref:mixture?dim=2&modes=1", ReferenceChoice::Diagonal),
        ] {
            assert_eq!(chosen(spec, 640), expected, "{spec}");
        }
    }

    /// States on a thin diagonal line: a mode beside it, well within the spread of each coordinate, is not far from the wider reference.
    #[test]
    fn a_wider_reference_is_wide_across_as_well_as_along() {
        let states = Array2::from_shape_fn((400, 2), |(row, column)| {
            let along = (row as f64 * 0.618).fract() - 0.5;
            along + if column == 0 { 0.0 } else { 0.02 * ((row as f64 * 0.414).fract() - 0.5) }
        });
        let form = fit(states.view(), ReferenceChoice::Full, None);
        let (centre, spread) = moments(states.view());
        let wide: Vec<f64> = spread.iter().map(|spread| 3.0 * spread).collect();
        let below_the_top = |form: &Form| {
            let reference = form.reference(&centre, &spread);
            let beside =
                [centre.clone(), vec![centre[0] + 1.5 * spread[0], centre[1] - 1.5 * spread[1]]].concat();
            let beside = Array2::from_shape_vec((2, 2), beside).expect("two states");
            let densities =
                reference.log_densities(&reference.frame().expect("correlations").inward(beside.view()));
            densities[0] - densities[1]
        };
        assert!(below_the_top(&form) > 1000.0);
        assert!(below_the_top(&form.widened_within(&centre, &wide).expect("correlations")) < 1.0);
    }

    #[test]
    fn shrinkage_keeps_few_states_positive_definite() {
        let model = builtin::parse("ref:gaussian?dim=60").expect("a reference");
        let draws = model.sampler().expect("exact").sample(40, &mut Stream::new(2).generator());
        assert!(full(draws.view()).is_some());
    }

    /// The plain normal is the same density whatever it stands in for.
    #[test]
    fn a_plain_normal_is_one_density() {
        let model = builtin::parse("ref:gaussian?dim=3").expect("a reference");
        let draws = model.sampler().expect("exact").sample(200, &mut Stream::new(2).generator());
        let (centre, spread) = ([0.3, -0.2, 1.0], [1.0, 3.0, 0.5]);
        let expected = Reference::normal(centre.to_vec(), spread.to_vec()).log_densities(&draws);
        for choice in [ReferenceChoice::Student, ReferenceChoice::Mixture] {
            let form = fit(draws.view(), choice, None);
            assert_eq!(form.choice(), choice);
            let found = form.plain(&centre, &spread).log_densities(&draws);
            assert!((&found - &expected).iter().all(|d| d.abs() < 1e-9), "{choice:?}");
        }
    }
}
