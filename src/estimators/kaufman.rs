//! Kaufman's formula for the Ising model without a field on a torus.

use std::f64::consts::{LN_2, PI};
use std::sync::Arc;
use std::time::Instant;

use super::{Cost, Counts, Estimate, Estimator, Guarantee, Monitor, Plan, Settings};
use crate::error::{Error, Result};
use crate::models::{Ising, Lattice, Model, downcast};

/// log Z of the zero-field Ising model on an m × n torus (Kaufman 1949, doi:10.1103/PhysRev.76.1232).
///
/// With S = sinh 2J and cosh γₗ = coth 2J cosh 2J − cos(πl/n),
/// Z = ½ (2S)^{mn/2} [Π 2cosh ½mγ_{2r+1} + Π 2sinh ½mγ_{2r+1} + Π 2cosh ½mγ_{2r} + Π 2sinh ½mγ_{2r}] over r < n, where γ₀ has
/// the sign of S − 1. With sinh² ½γₗ = (1−S)²/2S + sin²(πl/2n) it keeps its digits at criticality.
///
/// Z is a polynomial in S up to a known factor, so couplings J < 0 follow by continuation to −S: the signs of the four products
/// become + + + + on even × even tori (no frustration), + + − − where the one even side is n, and − + + − on odd × odd ones. Where
/// that sum cancels to less than 10⁻⁴ of its terms (large frustrated tori at low temperature) the method refuses.
#[derive(Clone, Copy, Debug, Default)]
pub struct Kaufman;

const NAME: &str = "kaufman";
/// What small lattices take; 1000 × 1000 sites take 0.1 ms.
const SECONDS: f64 = 1e-6;

fn refusal(reason: impl Into<String>) -> Error {
    Error::NotApplicable { estimator: NAME, reason: reason.into() }
}

fn formula(model: &Arc<dyn Model>) -> Result<f64> {
    let ising = downcast::<Ising>(model)
        .ok_or_else(|| refusal(format!("it is for the Ising model, not for this {}", model.kind())))?;
    if ising.field() != 0.0 {
        return Err(refusal(format!(
            "it needs field 0, not {}; transfer-matrix takes a field",
            ising.field()
        )));
    }
    match ising.lattice() {
        Lattice::Torus { rows, columns } => log_z(rows, columns, ising.coupling()),
        lattice => Err(refusal(format!("it needs a torus, not a {lattice}; transfer-matrix takes that"))),
    }
}

/// log Z on a torus with coupling J.
fn log_z(rows: usize, columns: usize, coupling: f64) -> Result<f64> {
    let sites = (rows * columns) as f64;
    if coupling == 0.0 {
        return Ok(sites * LN_2);
    }
    // A frustrated torus needs its even side, if it has one, in the place of n.
    let n_is_rows = if rows % 2 == columns % 2 { rows <= columns } else { rows.is_multiple_of(2) };
    let (n, m) = if n_is_rows { (rows, columns) } else { (columns, rows) };
    let strength = coupling.abs();
    let signs = match (coupling > 0.0, n % 2, m % 2) {
        (true, ..) | (_, 0, 0) => [1.0, 1.0, 1.0, 1.0],
        (_, 0, _) => [1.0, 1.0, -1.0, -1.0],
        _ => [-1.0, 1.0, 1.0, -1.0],
    };
    // Beyond J = 175, where S² overflows, all but the ground states are lost to rounding.
    if strength > 175.0 {
        return if signs[2] > 0.0 && signs[0] > 0.0 {
            Ok(2.0 * sites * strength + LN_2)
        } else {
            Err(cancelled(rows, columns))
        };
    }
    let s = (2.0 * strength).sinh();
    let log_2s = 2.0 * strength + (-(-4.0 * strength).exp_m1()).ln();
    let half_m = 0.5 * m as f64;
    let mut logs = [0.0; 4];
    for l in 0..2 * n {
        let wave = (0.5 * PI * l as f64 / n as f64).sin();
        // log 2S + γ = 2 log(√a + √(a + 2S)) with a = 2S sinh² ½γ, which cancels neither at S = 1 nor as S → 0.
        let a = (1.0 - s).powi(2) + 2.0 * s * wave * wave;
        let growth = 2.0 * (a.sqrt() + (a + 2.0 * s).sqrt()).ln();
        let decay = -2.0 * half_m * (growth - log_2s).max(0.0);
        let even = 2 * (1 - l % 2);
        logs[even] += half_m * growth + decay.exp().ln_1p();
        logs[even + 1] += half_m * growth + (-decay.exp_m1()).ln();
    }
    let top = logs.into_iter().fold(f64::NEG_INFINITY, f64::max);
    let last = if s < 1.0 { -signs[3] } else { signs[3] };
    let terms: [f64; 4] =
        std::array::from_fn(|k| if k == 3 { last } else { signs[k] } * (logs[k] - top).exp());
    let sum: f64 = terms.iter().sum();
    if sum < 1e-4 {
        return Err(cancelled(rows, columns));
    }
    Ok(top + sum.ln() - LN_2)
}

fn cancelled(rows: usize, columns: usize) -> Error {
    refusal(format!(
        "a {rows}x{columns} torus is frustrated at this negative coupling and the formula's terms cancel; use transfer-matrix or a sampler"
    ))
}

impl Estimator for Kaufman {
    fn name(&self) -> &'static str {
        NAME
    }

    fn summary(&self) -> &'static str {
        "exact: Kaufman's formula for the Ising model without a field on a torus"
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee::Exact
    }

    fn plan(&self, model: &Arc<dyn Model>) -> Result<Plan> {
        formula(model)?;
        Ok(Plan { seconds: Some(SECONDS), bytes: 0.0 })
    }

    fn run(&self, model: &Arc<dyn Model>, _: &Settings, _: &dyn Monitor) -> Result<Estimate> {
        let start = Instant::now();
        let log_z = formula(model)?;
        let cost = Cost::of_one(NAME, start.elapsed().as_secs_f64(), Counts::default());
        Ok(Estimate::exact(NAME, log_z, Guarantee::Exact, cost))
    }
}

#[cfg(test)]
mod tests {
    use super::log_z;

    /// Values of an independent implementation in 50 digits.
    #[test]
    fn known_values() {
        for (rows, columns, coupling, expected) in
            [(8, 8, 0.44, 60.076_307_527), (16, 16, 0.44, 238.387_247_204)]
        {
            let found = log_z(rows, columns, coupling).expect("ferromagnetic");
            assert!((found - expected).abs() < 1e-9, "{rows}x{columns}: {found}");
        }
    }

    /// log Z is even under transposition, and as J → 0 becomes mn log 2 + mn log cosh²J, and as J → ∞ log 2 + 2mnJ.
    #[test]
    fn limits() {
        let critical = 0.5 * 1f64.asinh();
        for (rows, columns) in [(1000, 1000), (5, 8), (6, 4), (33, 3)] {
            let sites = (rows * columns) as f64;
            for coupling in
                [1e-300, 1e-9, 1e-3, 0.3, critical, critical * (1.0 + 1e-15), 0.5, 5.0, 100.0, 174.9, 1e5]
            {
                let found = log_z(rows, columns, coupling).expect("ferromagnetic");
                let turned = log_z(columns, rows, coupling).expect("ferromagnetic");
                assert!((found - turned).abs() < 1e-13 * found);
                if coupling < 1e-2 {
                    // Loops of length 3 and 4 add O(J³).
                    let expected = sites * (std::f64::consts::LN_2 + 2.0 * coupling.cosh().ln());
                    assert!(
                        (found - expected).abs() < sites * (2.0 * coupling.powi(3) + 1e-13),
                        "{coupling}"
                    );
                }
                if coupling > 20.0 {
                    assert!((found - 2.0 * sites * coupling - std::f64::consts::LN_2).abs() < 1e-13 * found);
                }
            }
        }
    }

    #[test]
    fn cancellation_is_refused() {
        assert!(log_z(51, 50, -2.0).is_err());
        assert!(log_z(51, 51, -1e3).is_err());
        assert!(log_z(50, 50, -2.0).is_ok());
    }
}
