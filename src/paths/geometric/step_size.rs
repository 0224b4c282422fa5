//! The step size of a kernel along the path.

use crate::paths::RungStats;

/// The step size as a function of β: its logarithm is linear between knots.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct StepSize {
    knots: Vec<(f64, f64)>,
}

impl StepSize {
    pub(super) fn constant(scale: f64) -> Self {
        Self { knots: vec![(0.0, scale.ln())] }
    }

    pub(super) fn divided(&self, factor: f64) -> Self {
        Self { knots: self.knots.iter().map(|(beta, log)| (*beta, log - factor.ln())).collect() }
    }

    /// Through the adapted step sizes of a pilot, each averaged with its neighbours over a tenth of the rungs.
    pub(super) fn fitted(rungs: &[RungStats]) -> Option<Self> {
        let logs: Vec<(f64, f64)> =
            rungs.iter().filter_map(|rung| Some((rung.beta, rung.step.mean_scale()?.ln()))).collect();
        let reach = logs.len() / 20;
        let knots: Vec<(f64, f64)> = (0..logs.len())
            .map(|k| {
                let near = &logs[k.saturating_sub(reach)..(k + reach + 1).min(logs.len())];
                (logs[k].0, near.iter().map(|(_, log)| log).sum::<f64>() / near.len() as f64)
            })
            .collect();
        (!knots.is_empty()).then_some(Self { knots })
    }

    pub(super) fn at(&self, beta: f64) -> f64 {
        let after = self.knots.partition_point(|(knot, _)| *knot < beta);
        let log = if after == 0 {
            self.knots[0].1
        } else if after == self.knots.len() {
            self.knots[after - 1].1
        } else {
            let ((b0, y0), (b1, y1)) = (self.knots[after - 1], self.knots[after]);
            y0 + (y1 - y0) * (beta - b0) / (b1 - b0)
        };
        log.exp()
    }
}
