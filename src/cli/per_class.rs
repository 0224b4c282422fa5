//! `lnz estimate --per-class`: log Z of each class of a classifier read as a joint model, and so the probabilities of its classes.

use lnz::estimators::{Estimate, Verdict};
use lnz::math::log_sum_exp;
use serde_json::json;

use super::Report;
use super::print;
use super::table::table;

/// What became of each class, and what follows: log Σ Z_y and p(y) = Z_y / Σ Z.
///
/// The estimates are independent, so the variance of log Σ Z is Σ p² s², and that of p(y) is p² ((1 − p)² s² + Σ of the others' p² s²).
pub(crate) fn report(estimates: &[Estimate], as_json: bool) -> Report {
    let logs: Vec<f64> = estimates.iter().map(|estimate| estimate.log_z).collect();
    let errors: Vec<f64> = estimates.iter().map(|estimate| estimate.std_err.unwrap_or(0.0)).collect();
    let total = log_sum_exp(&logs);
    let shares: Vec<f64> = logs.iter().map(|log| (log - total).exp()).collect();
    let variances: Vec<f64> =
        shares.iter().zip(&errors).map(|(share, error)| (share * error).powi(2)).collect();
    let variance: f64 = variances.iter().sum();
    let share_error = |class: usize| {
        let own = ((1.0 - shares[class]) * errors[class]).powi(2);
        shares[class] * (own + variance - variances[class]).max(0.0).sqrt()
    };
    let converged = estimates.iter().all(|estimate| estimate.verdict.is_converged());
    let text = if as_json {
        let classes: Vec<_> = estimates
            .iter()
            .enumerate()
            .map(|(class, estimate)| {
                json!({
                    "class": class,
                    "probability": shares[class],
                    "probability_std_err": share_error(class),
                    "estimate": estimate,
                })
            })
            .collect();
        let all =
            json!({"log_z": total, "std_err": variance.sqrt(), "converged": converged, "classes": classes});
        format!("{all:#}\n")
    } else {
        let rows: Vec<Vec<String>> = estimates
            .iter()
            .enumerate()
            .map(|(class, estimate)| {
                let verdict = if estimate.verdict.is_converged() { "converged" } else { "NOT CONVERGED" };
                let share = print::with_error(shares[class], share_error(class));
                vec![class.to_string(), print::with_error(logs[class], errors[class]), share, verdict.into()]
            })
            .collect();
        let header = ["class", "log Z", "p(class)", "verdict"];
        format!(
            "log Z of all classes together = {} nats\n{}",
            print::with_error(total, variance.sqrt()),
            table(&header, &rows)
        )
    };
    let mut warnings = Vec::new();
    for (class, estimate) in estimates.iter().enumerate().filter(|_| !as_json) {
        if let Verdict::NotConverged { reasons } = &estimate.verdict {
            warnings.extend(reasons.iter().map(|reason| format!("class {class}: {reason}")));
        }
    }
    Report { text, warnings, converged }
}
