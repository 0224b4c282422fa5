//! How a run tells of its progress.

/// Listens to a run. Called from many threads.
pub trait Monitor: Sync {
    /// A phase of `total` units of work begins.
    fn begin(&self, phase: &str, total: u64);
    /// So many more units are done.
    fn advance(&self, units: u64);
    /// What follows the phase that begins next should take `times` as long as it does.
    fn follows(&self, _times: f64) {}
    /// The running effective sample size, where there is one.
    fn effective_sample_size(&self, _ess: f64) {}
    /// A line worth keeping, such as a pilot's result.
    fn note(&self, line: &str);
}

/// Listens to nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Monitor for Silent {
    fn begin(&self, _phase: &str, _total: u64) {}
    fn advance(&self, _units: u64) {}
    fn note(&self, _line: &str) {}
}
