//! Normalised log-likelihood of data, log p(x) = −E(x) − log Z, with the data's error and that of log Z told apart.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::estimators::Estimate;
use crate::math::{log_sum_exp, statistics};
use crate::models::{Model, energies};
use crate::wording::{decimals, number};

/// Largest size of a log Z: sums of log p over examples stay within f64, which ends at 1.8·10³⁰⁸.
const LARGEST: f64 = 1e298;

/// A log Z to normalise with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogZ {
    /// log Z in nats.
    pub value: f64,
    /// Its standard error; 0 if exact.
    pub std_err: f64,
    /// Where it comes from.
    pub source: String,
}

impl LogZ {
    /// A log Z from `source`.
    ///
    /// # Errors
    /// [`Error::Setting`] unless the value is finite, at most 10²⁹⁸ in size, and the standard error is not negative (it may be infinite).
    pub fn new(value: f64, std_err: f64, source: impl Into<String>) -> Result<Self> {
        if value.is_nan() || value.abs() > LARGEST {
            let expected =
                format!("only a finite log Z, at most {} in size, normalises a density", number(LARGEST));
            return Err(Error::setting("--log-z", value, expected));
        }
        if std_err.is_nan() || std_err < 0.0 {
            return Err(Error::setting("--log-z-se", std_err, "a standard error is not negative"));
        }
        Ok(Self { value, std_err, source: source.into() })
    }

    /// The log Z of an estimate, with its standard error, else with its estimated error of integration, else exact.
    ///
    /// # Errors
    /// As [`LogZ::new`].
    pub fn of(estimate: &Estimate, source: impl Into<String>) -> Result<Self> {
        let error = estimate.std_err.or(estimate.diagnostics.discretisation_error).unwrap_or(0.0);
        Self::new(estimate.log_z, error, source)
    }
}

/// The log-likelihood of data, in nats per example.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Likelihood {
    /// (1/n) Σ log p(xᵢ).
    pub mean: f64,
    /// Standard error of the mean over examples, sd / √n: how much another data set of this size would change it. Infinite for
    /// one example, which tells nothing about the spread.
    pub data_std_err: f64,
    /// Standard error of log Z, which shifts all examples together and does not shrink with more data.
    pub log_z_std_err: f64,
    /// √(data² + log Z²).
    pub combined_std_err: f64,
    /// −mean / (d log 2). Of bits, spins or categories it is a code length. Of a continuous space p is a density with respect
    /// to x as given: rescaling the data by s adds log₂ s, and quantised data must have been dequantised.
    pub bits_per_dimension: f64,
    /// How many examples.
    pub examples: usize,
    /// log p(xᵢ) of each example; −∞ where the density is zero.
    pub per_example: Vec<f64>,
}

/// Distinct examples whose probabilities add up to more than one: proof that log Z is too low.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Excess {
    /// How many distinct examples there are.
    pub distinct: usize,
    /// log Σ p(x) over them. The log Z that was used is at least so much too low, in nats.
    pub log_probability: f64,
}

impl fmt::Display for Excess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { distinct, log_probability } = self;
        let least =
            if *log_probability < 1e-3 { number(*log_probability) } else { decimals(*log_probability, 3) };
        let probability = if *log_probability < 7.0 {
            decimals(log_probability.exp(), 2)
        } else {
            format!("e^{}", number(log_probability.round()))
        };
        let examples = if *distinct == 1 {
            "1 distinct example".into()
        } else {
            format!("{distinct} distinct examples")
        };
        write!(
            f,
            "log Z is too low by at least {least} nats: the {examples} alone would have probability {probability}"
        )
    }
}

/// The mean difference of two models on the same data, first minus second, in nats per example.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// (1/n) Σ (log p_A(xᵢ) − log p_B(xᵢ)).
    pub mean: f64,
    /// Standard error of the mean of the paired differences: what both models find hard alike cancels.
    pub data_std_err: f64,
    /// √(se_A² + se_B²) of the two log Z, taken as independent.
    pub log_z_std_err: f64,
    /// √(data² + log Z²).
    pub combined_std_err: f64,
    /// Share of examples to which the first model gives the higher probability.
    pub first_better: f64,
}

/// The log-likelihood of `data`, rows of the model's space. Energies are computed in parallel and in f64; the result does not
/// depend on the number of threads.
///
/// # Errors
/// [`Error::Data`] for no rows, rows outside the space, or an energy of NaN or −∞.
///
/// ```
/// use std::sync::Arc;
/// use lnz::likelihood::{LogZ, evaluate};
/// use lnz::models::{Independent, Model};
/// let model: Arc<dyn Model> = Arc::new(Independent::bits(ndarray::array![0.0, 0.0])?);
/// let log_z = LogZ::new(4f64.ln(), 0.0, "by formula")?;
/// let likelihood = evaluate(&model, ndarray::array![[0.0, 1.0], [1.0, 1.0]].view(), &log_z)?;
/// assert!((likelihood.bits_per_dimension - 1.0).abs() < 1e-12);
/// # Ok::<(), lnz::Error>(())
/// ```
pub fn evaluate(model: &Arc<dyn Model>, data: ArrayView2<'_, f64>, log_z: &LogZ) -> Result<Likelihood> {
    if data.nrows() == 0 {
        return Err(Error::data("there are no examples to evaluate"));
    }
    model.space().check(data)?;
    let energies = energies(&**model, data);
    if let Some(row) = energies.iter().position(|e| e.is_nan() || *e == f64::NEG_INFINITY) {
        return Err(Error::data(format!(
            "the energy of row {row} is {}; an energy must be finite or +inf",
            energies[row]
        )));
    }
    let per_example: Vec<f64> = energies.iter().map(|energy| -energy - log_z.value).collect();
    let (mean, data_std_err) = moments(&per_example);
    Ok(Likelihood {
        mean,
        data_std_err,
        log_z_std_err: log_z.std_err,
        combined_std_err: data_std_err.hypot(log_z.std_err),
        bits_per_dimension: -mean / (model.space().dim as f64 * std::f64::consts::LN_2),
        examples: per_example.len(),
        per_example,
    })
}

/// Whether the distinct rows of `data` alone have a probability above one, by more than three standard errors of log Z. Always
/// `None` on a continuous space, where densities may exceed one.
///
/// `likelihood` is that of the same rows, from [`evaluate`].
///
/// ```
/// use std::sync::Arc;
/// use lnz::likelihood::{LogZ, evaluate, excess};
/// use lnz::models::{Independent, Model};
/// let model: Arc<dyn Model> = Arc::new(Independent::bits(ndarray::array![0.0, 0.0])?);
/// let data = ndarray::array![[0.0, 1.0], [1.0, 1.0], [0.0, 1.0]];
/// let log_z = LogZ::new(0.0, 0.0, "a mistake")?;
/// let found = excess(&model, data.view(), &evaluate(&model, data.view(), &log_z)?, &log_z).expect("p = 1 twice");
/// assert_eq!((found.distinct, found.log_probability), (2, 2f64.ln()));
/// # Ok::<(), lnz::Error>(())
/// ```
#[must_use]
pub fn excess(
    model: &Arc<dyn Model>,
    data: ArrayView2<'_, f64>,
    likelihood: &Likelihood,
    log_z: &LogZ,
) -> Option<Excess> {
    model.space().values()?;
    let mut rows: Vec<usize> = (0..data.nrows()).collect();
    // States are finite numbers, and −0 is 0.
    let order = |a: &usize, b: &usize| {
        let values = data.row(*a).into_iter().zip(data.row(*b));
        values
            .map(|(x, y)| (x + 0.0).total_cmp(&(y + 0.0)))
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    };
    rows.sort_by(order);
    rows.dedup_by(|a, b| order(a, b).is_eq());
    let logs: Vec<f64> = rows.iter().map(|row| likelihood.per_example[*row]).collect();
    let log_probability = log_sum_exp(&logs);
    // Of an exact log Z, rounding and the decimals that were printed remain.
    let allowed = (3.0 * log_z.std_err).max(1e-9 * (1.0 + log_z.value.abs()));
    (log_probability > allowed).then_some(Excess { distinct: rows.len(), log_probability })
}

/// How much better `first` explains the data than `second`; both are of the same rows.
///
/// # Errors
/// [`Error::Data`] for different numbers of examples, or an example with density zero under both models.
pub fn paired(first: &Likelihood, second: &Likelihood) -> Result<Difference> {
    if first.examples != second.examples {
        return Err(Error::data(format!(
            "a paired difference needs the same examples, not {} and {}",
            first.examples, second.examples
        )));
    }
    let differences: Vec<f64> =
        first.per_example.iter().zip(&second.per_example).map(|(one, other)| one - other).collect();
    if let Some(row) = differences.iter().position(|difference| difference.is_nan()) {
        return Err(Error::data(format!("row {row} has density zero under both models; leave it out")));
    }
    let (mean, data_std_err) = moments(&differences);
    if mean.is_nan() {
        return Err(Error::data("some rows have density zero under one model, some under the other"));
    }
    let log_z_std_err = first.log_z_std_err.hypot(second.log_z_std_err);
    Ok(Difference {
        mean,
        data_std_err,
        log_z_std_err,
        combined_std_err: data_std_err.hypot(log_z_std_err),
        first_better: differences.iter().filter(|d| **d > 0.0).count() as f64 / differences.len() as f64,
    })
}

impl Difference {
    /// The same with another standard error of the difference of both log Z, where that is known better than each of them.
    #[must_use]
    pub fn with_log_z_std_err(self, log_z_std_err: f64) -> Self {
        Self { log_z_std_err, combined_std_err: self.data_std_err.hypot(log_z_std_err), ..self }
    }
}

/// Mean and standard error, the latter infinite where the values do not tell it.
fn moments(values: &[f64]) -> (f64, f64) {
    let mean = statistics::mean(values);
    let error =
        if values.len() > 1 && mean.is_finite() { statistics::std_err(values) } else { f64::INFINITY };
    (mean, error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::builtin;
    use ndarray::{Array2, array};

    fn all_bits(dim: usize) -> Array2<f64> {
        Array2::from_shape_fn((1 << dim, dim), |(row, column)| (row >> column & 1) as f64)
    }

    #[test]
    fn probabilities_of_all_states_add_up_to_one() {
        let model = builtin::parse("ref:rbm?visible=10&hidden=4&scale=1").expect("valid");
        let states = all_bits(10);
        let value = log_sum_exp(&model.energy(states.view()).mapv(|e| -e).to_vec());
        let log_z = LogZ::new(value, 0.3, "a sum").expect("finite");
        let likelihood = evaluate(&model, states.view(), &log_z).expect("in the space");
        assert!(log_sum_exp(&likelihood.per_example).abs() < 1e-12);
        assert_eq!(likelihood.examples, 1024);
        assert!((likelihood.combined_std_err.powi(2) - likelihood.data_std_err.powi(2) - 0.09).abs() < 1e-12);
        assert!((likelihood.bits_per_dimension * 10.0 * 2f64.ln() + likelihood.mean).abs() < 1e-12);
    }

    #[test]
    fn probabilities_above_one_prove_log_z_too_low() {
        let model = builtin::parse("ref:rbm?visible=10&hidden=4&scale=1").expect("valid");
        let states = all_bits(10);
        let twice = ndarray::concatenate![ndarray::Axis(0), states, states];
        let truth = log_sum_exp(&model.energy(states.view()).mapv(|e| -e).to_vec());
        let found = |value: f64, std_err: f64, data: &Array2<f64>| {
            let log_z = LogZ::new(value, std_err, "given").expect("finite");
            let likelihood = evaluate(&model, data.view(), &log_z).expect("in the space");
            excess(&model, data.view(), &likelihood, &log_z)
        };
        for data in [&states, &twice] {
            assert_eq!(found(truth, 0.0, data), None);
            assert_eq!(found(truth - 0.29, 0.1, data), None);
            let excess = found(truth - 0.31, 0.1, data).expect("more than three standard errors");
            assert_eq!(excess.distinct, 1024);
            assert!((excess.log_probability - 0.31).abs() < 1e-9);
        }
        let text = found(truth - 230.3, 0.0, &states).expect("far too low").to_string();
        assert!(text.contains("at least 230.300 nats: the 1024 distinct examples alone"), "{text}");
        assert!(text.ends_with("probability e^230"), "{text}");
        let continuous = builtin::parse("ref:gaussian?dim=1").expect("valid");
        let log_z = LogZ::new(-50.0, 0.0, "given").expect("finite");
        let likelihood = evaluate(&continuous, array![[0.0]].view(), &log_z).expect("in the space");
        assert_eq!(excess(&continuous, array![[0.0]].view(), &likelihood, &log_z), None);
    }

    #[test]
    fn a_model_against_itself_differs_by_log_z_only() {
        let model = builtin::parse("ref:rbm?visible=6&hidden=3").expect("valid");
        let states = all_bits(6);
        let one = evaluate(&model, states.view(), &LogZ::new(5.0, 0.3, "a").expect("finite")).expect("valid");
        let two = evaluate(&model, states.view(), &LogZ::new(5.5, 0.4, "b").expect("finite")).expect("valid");
        let difference = paired(&one, &two).expect("the same rows");
        assert!((difference.mean - 0.5).abs() < 1e-12);
        assert!(difference.data_std_err < 1e-12);
        assert!((difference.log_z_std_err - 0.5).abs() < 1e-12);
        assert_eq!(difference.first_better, 1.0);
        assert_eq!(paired(&two, &one).expect("the same rows").first_better, 0.0);
    }

    #[test]
    fn what_cannot_be_evaluated_is_refused() {
        let model = builtin::parse("ref:independent?dim=2").expect("valid");
        let log_z = LogZ::new(0.0, 0.0, "given").expect("finite");
        for data in [Array2::zeros((0, 2)), Array2::zeros((1, 3)), array![[0.5, 0.0]]] {
            assert!(evaluate(&model, data.view(), &log_z).is_err());
        }
        let one = evaluate(&model, array![[0.0, 1.0]].view(), &log_z).expect("one row");
        assert_eq!(one.data_std_err, f64::INFINITY);
        for (value, std_err) in
            [(f64::NAN, 0.0), (1e308, 0.0), (f64::INFINITY, 0.0), (1.0, -1.0), (1.0, f64::NAN)]
        {
            assert!(LogZ::new(value, std_err, "given").is_err());
        }
    }
}
