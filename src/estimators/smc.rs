//! Annealed sequential Monte Carlo: annealed importance sampling with resampling where the weights drift apart.

use std::sync::Arc;

use super::estimate::{Estimate, Guarantee};
use super::monitor::Monitor;
use super::settings::Settings;
use super::{Estimator, ais};
use crate::error::Result;
use crate::models::Model;

/// Annealed sequential Monte Carlo (Del Moral, Doucet & Jasra 2006, doi:10.1111/j.1467-9868.2006.00553.x).
///
/// As [`Ais`](ais::Ais), but whenever the ESS of the weights has fallen below N/2, chains are resampled systematically in proportion
/// to them and go on with equal ones. `E[Ẑ] = Z` still, and where the ESS stays above N/2 it *is* annealed importance sampling. Where
/// it would not, the variance of log Ẑ grows with the length of the path instead of exponentially, so fewer rungs do.
///
/// Chains that share an ancestor are not independent, so the interval is Student's on the sums of weights over the descendants of
/// each start: log Ẑ is the log-mean of these as well, and their spread carries what resampling adds (Chan & Lai 2013,
/// doi:10.1214/13-AOS1172; Lee & Whiteley 2018, doi:10.1093/biomet/asy028). ESS and k̂ are those of these sums, so that a run in which
/// few starts have left descendants is seen.
///
/// With [`Settings::waste_free`] the reported round is [`waste_free::forward`](super::waste_free::forward) (Dau & Chopin 2022,
/// doi:10.1111/rssb.12475): rungs of ESS ½ that all resample, with every state that a chain passes through, and Student's interval on
/// the Ẑ of 128 independent islands or more, to whose number and weights ESS and k̂ then belong. Pilots and evidence stay as they are.
///
/// Where it helps: with as many states P to a chain as a kernel needs to forget, and not by much. The spread of log Ẑ over 100 seeds
/// times √(million sweeps), without and with P = 8 and 32 (128 on the larger lattice), was 0.0084, 0.0065, 0.0061 on
/// `ref:gaussian?dim=10`; 0.013, 0.018, 0.011 on `ref:ising?side=8&coupling=0.44`; 0.033, 0.044, 0.032 (0.026) on the same of side 16.
/// One run each of the RBM with 500 hidden units in `examples/models`, all of three million sweeps, claimed 0.058, and 0.11, 0.068 and
/// 0.051 with P = 8, 32 and 128. Short chains lose, because two states of one chain are then hardly more than one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Smc;

impl Estimator for Smc {
    fn name(&self) -> &'static str {
        "smc"
    }

    fn summary(&self) -> &'static str {
        "annealing with resampling where weights drift apart, pilots and evidence as ais"
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee::UnbiasedZ
    }

    fn run(&self, model: &Arc<dyn Model>, settings: &Settings, monitor: &dyn Monitor) -> Result<Estimate> {
        ais::anneal(self, true, model, settings, monitor)
    }
}
