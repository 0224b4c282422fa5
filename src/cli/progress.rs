//! Progress on stderr: what runs, how far it is, the effective sample size, and the time left.

use std::io::IsTerminal;
use std::sync::Mutex;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use lnz::estimators::Monitor;

/// A bar for the current phase; a phase's notes stay above it. Silent unless stderr is a terminal.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: Option<Mutex<ProgressBar>>,
}

impl Progress {
    /// A monitor that shows nothing if `quiet`.
    pub(crate) fn new(quiet: bool) -> Self {
        let visible = !quiet && std::io::stderr().is_terminal();
        Self { bar: visible.then(|| Mutex::new(ProgressBar::hidden())) }
    }

    fn with_bar(&self, act: impl FnOnce(&mut ProgressBar)) {
        if let Some(bar) = &self.bar {
            act(&mut bar.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
        }
    }
}

impl Monitor for Progress {
    fn begin(&self, phase: &str, total: u64) {
        self.with_bar(|bar| {
            bar.finish_and_clear();
            *bar = ProgressBar::new(total).with_prefix(phase.to_owned()).with_style(
                ProgressStyle::with_template("{prefix:24} {bar:30} {pos}/{len} {msg:>12} {eta:>5} left")
                    .expect("the template is valid"),
            );
            bar.enable_steady_tick(Duration::from_millis(200));
        });
    }

    fn advance(&self, units: u64) {
        self.with_bar(|bar| bar.inc(units));
    }

    fn effective_sample_size(&self, ess: f64) {
        self.with_bar(|bar| bar.set_message(format!("ESS {ess:.0}")));
    }

    fn note(&self, line: &str) {
        self.with_bar(|bar| bar.suspend(|| super::to_stderr(line)));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.with_bar(|bar| bar.finish_and_clear());
    }
}
