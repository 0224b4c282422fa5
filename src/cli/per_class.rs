//! `lnz estimate --per-class`: log Z of every class of a network with logits, and what share of the whole each is.

use lnz::estimators::{Estimate, Verdict};
use lnz::io::record::to_json;
use lnz::math::log_sum_exp;
use serde::Serialize;

use super::model::Source;
use super::table::table;
use super::{Report, print};

/// p(y) = Z_y / Σ Z of classes whose log Z were estimated apart, and the log of that sum.
#[derive(Debug)]
struct Shares {
    /// p(y) and its standard error.
    shares: Vec<(f64, f64)>,
    /// log Σ Z and its standard error.
    log_sum: (f64, f64),
}

/// To first order in the errors of log Z, which are independent: ∂p_y/∂log Z_k = p_y (δ_yk − p_k), ∂log Σ Z/∂log Z_k = p_k.
fn shares(log_z: &[(f64, f64)]) -> Shares {
    let values: Vec<f64> = log_z.iter().map(|(value, _)| *value).collect();
    let log_sum = log_sum_exp(&values);
    let p: Vec<f64> = values.iter().map(|value| (value - log_sum).exp()).collect();
    let variances: Vec<f64> = p.iter().zip(log_z).map(|(p, (_, error))| (p * error).powi(2)).collect();
    let error_of = |y: usize| {
        let others = variances.iter().enumerate().filter(|(k, _)| *k != y).map(|(_, variance)| variance);
        // 1 − p_y as the sum of the others, which does not cancel.
        let rest: f64 = p.iter().enumerate().filter(|(k, _)| *k != y).map(|(_, p)| p).sum();
        p[y] * (rest * log_z[y].1).hypot(others.sum::<f64>().sqrt())
    };
    Shares {
        shares: (0..p.len()).map(|y| (p[y], error_of(y))).collect(),
        log_sum: (log_sum, variances.iter().sum::<f64>().sqrt()),
    }
}

/// The error that an estimate claims, sampled or of an integration.
fn std_err(estimate: &Estimate) -> f64 {
    estimate.std_err.or(estimate.diagnostics.discretisation_error).unwrap_or(0.0)
}

/// What the runs of classes 0, 1, … found.
pub(crate) fn report(runs: &[(Source, Estimate)], temperature: f64, json: bool, quiet: bool) -> Report {
    let log_z: Vec<(f64, f64)> =
        runs.iter().map(|(_, estimate)| (estimate.log_z, std_err(estimate))).collect();
    let found = shares(&log_z);
    let converged = runs.iter().all(|(_, estimate)| estimate.verdict.is_converged());
    let mut warnings = runs.first().map_or(Vec::new(), |(source, _)| source.warnings.clone());
    if !json {
        for (class, (_, estimate)) in runs.iter().enumerate() {
            let reasons = match &estimate.verdict {
                Verdict::Converged => &[][..],
                Verdict::NotConverged { reasons } => reasons,
            };
            let all = reasons.iter().chain(&estimate.warnings);
            warnings.extend(all.map(|warning| format!("class {class}: {warning}")));
        }
    }
    if quiet {
        warnings.clear();
    }
    let text =
        if json { as_json(runs, temperature, &found, converged) } else { as_text(runs, temperature, &found) };
    Report { text, warnings, converged }
}

fn as_text(runs: &[(Source, Estimate)], temperature: f64, found: &Shares) -> String {
    let mut rows: Vec<Vec<String>> = runs
        .iter()
        .zip(&found.shares)
        .enumerate()
        .map(|(class, ((_, estimate), (p, error)))| {
            let verdict = if estimate.verdict.is_converged() { "converged" } else { "NOT CONVERGED" };
            vec![
                class.to_string(),
                print::number(estimate.log_z, std_err(estimate)),
                print::number(*p, *error),
                verdict.to_owned(),
                estimate.method.clone(),
                print::duration(estimate.cost.seconds),
            ]
        })
        .collect();
    let (log_sum, error) = found.log_sum;
    rows.push(vec!["all".into(), print::number(log_sum, error)]);
    let lines = runs.first().map_or(String::new(), |(source, _)| {
        print::aligned(&[
            ("model", print::model(source, temperature)),
            ("read as", "logits f of classes; log Z of each class's own energy -f_y(x)".into()),
        ])
    });
    format!("{lines}\n{}", table(&["class", "log Z", "p(y)", "verdict", "method", "time"], &rows))
}

fn as_json(runs: &[(Source, Estimate)], temperature: f64, found: &Shares, converged: bool) -> String {
    #[derive(Serialize)]
    struct Row<'a> {
        class: usize,
        p: f64,
        p_std_err: f64,
        #[serde(flatten)]
        estimate: print::EstimateJson<'a>,
    }
    #[derive(Serialize)]
    struct Whole<'a> {
        /// Of all classes together.
        log_z: f64,
        std_err: f64,
        converged: bool,
        classes: Vec<Row<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        model: Option<print::ModelJson<'a>>,
        lnz: &'static str,
    }
    let classes = runs.iter().zip(&found.shares).enumerate();
    to_json(&Whole {
        log_z: found.log_sum.0,
        std_err: found.log_sum.1,
        converged,
        classes: classes
            .map(|(class, ((_, estimate), (p, p_std_err)))| Row {
                class,
                p: *p,
                p_std_err: *p_std_err,
                estimate: print::EstimateJson::new(estimate),
            })
            .collect(),
        model: runs.first().map(|(source, _)| print::ModelJson::new(source, temperature)),
        lnz: env!("CARGO_PKG_VERSION"),
    }) + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_shares_are_those_of_small_shifts() {
        let log_z = [(1.0, 0.02), (2.5, 0.05), (0.3, 0.01)];
        let found = shares(&log_z);
        let step = 1e-6;
        let derivative = |of: &dyn Fn(&Shares) -> f64, k: usize| {
            let mut shifted = log_z;
            shifted[k].0 += step;
            (of(&shares(&shifted)) - of(&found)) / step
        };
        let error = |of: &dyn Fn(&Shares) -> f64| {
            (0..3).map(|k| (derivative(of, k) * log_z[k].1).powi(2)).sum::<f64>().sqrt()
        };
        for y in 0..3 {
            assert!((error(&|s| s.shares[y].0) / found.shares[y].1 - 1.0).abs() < 1e-4, "class {y}");
        }
        assert!((error(&|s| s.log_sum.0) / found.log_sum.1 - 1.0).abs() < 1e-4);
        assert!((found.shares.iter().map(|(p, _)| p).sum::<f64>() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn two_exact_classes_have_exact_shares() {
        let found = shares(&[(700.0, 0.0), (700.0, 0.0)]);
        let close =
            |(value, error): (f64, f64), exact: f64| (value - exact).abs() < 1e-12 * exact && error == 0.0;
        assert!(close(found.log_sum, 700.0 + 2f64.ln()), "{found:?}");
        assert!(found.shares.iter().all(|share| close(*share, 0.5)), "{found:?}");
    }
}
