//! Progress on stderr: what runs, how far it is, the effective sample size, and the time left.

use std::io::IsTerminal;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use lnz::estimators::Monitor;

use super::print;

/// A rate is known from then on; what a phase does first is not like the rest of it.
const KNOWN: Duration = Duration::from_secs(1);

/// A bar for the current phase; a phase's notes stay above it. Silent unless stderr is a terminal.
#[derive(Debug)]
pub(crate) struct Progress {
    shown: Option<Mutex<Shown>>,
}

#[derive(Debug)]
struct Shown {
    bar: ProgressBar,
    outlook: Outlook,
    /// What the bar counts down to, at every tick and not only when work is done.
    end: Arc<Mutex<Option<End>>>,
}

impl Progress {
    /// A monitor that shows nothing if `quiet`.
    pub(crate) fn new(quiet: bool) -> Self {
        let visible = !quiet && std::io::stderr().is_terminal();
        let shown = || {
            let outlook = Outlook::new(Instant::now());
            Mutex::new(Shown { bar: ProgressBar::hidden(), outlook, end: Arc::default() })
        };
        Self { shown: visible.then(shown) }
    }

    fn with(&self, act: impl FnOnce(&mut Shown)) {
        if let Some(shown) = &self.shown {
            act(&mut lock(shown));
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Monitor for Progress {
    fn begin(&self, phase: &str, total: u64) {
        self.with(|shown| {
            shown.bar.finish_and_clear();
            *lock(&shown.end) = shown.outlook.begin(Instant::now());
            let end = Arc::clone(&shown.end);
            let left = move |_: &ProgressState, text: &mut dyn std::fmt::Write| {
                if let Some(left) = lock(&end).and_then(|end| end.left(Instant::now())) {
                    // Less than the whole label is no reason to fail.
                    let _ = text.write_str(&left);
                }
            };
            let style = ProgressStyle::with_template("{prefix:23} {bar:16} {pos}/{len} {msg} {left}")
                .expect("the template is valid")
                .with_key("left", left);
            shown.bar = ProgressBar::new(total).with_prefix(phase.to_owned()).with_style(style);
            shown.bar.enable_steady_tick(Duration::from_millis(200));
        });
    }

    fn advance(&self, units: u64) {
        self.with(|shown| {
            shown.bar.inc(units);
            let done = shown.bar.position() as f64 / shown.bar.length().unwrap_or(0) as f64;
            *lock(&shown.end) = shown.outlook.advance(Instant::now(), done);
        });
    }

    fn follows(&self, times: f64) {
        self.with(|shown| shown.outlook.next = Some(times));
    }

    fn effective_sample_size(&self, ess: f64) {
        self.with(|shown| shown.bar.set_message(format!("ESS {ess:.0}")));
    }

    fn note(&self, line: &str) {
        self.with(|shown| shown.bar.suspend(|| super::to_stderr(line)));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.with(|shown| shown.bar.finish_and_clear());
    }
}

/// When the phase, or the whole run, is expected to end.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Phase(Instant),
    Run(Instant),
}

impl End {
    /// `58 s left of phase`; nothing once it has passed, because then it is not known.
    fn left(self, now: Instant) -> Option<String> {
        let (Self::Phase(at) | Self::Run(at)) = self;
        let seconds = at.checked_duration_since(now)?.as_secs_f64().ceil();
        let mut text = if seconds < 120.0 { format!("{seconds} s") } else { print::duration(seconds) };
        text += " left";
        if let Self::Phase(_) = self {
            text += " of phase";
        }
        Some(text)
    }
}

/// Tells when things end from how long they took so far.
#[derive(Debug)]
struct Outlook {
    began: Instant,
    /// How many times as long as the phase that begins next what follows it takes, and the same of the present one.
    next: Option<f64>,
    follows: Option<f64>,
    /// When the run should end, once a phase that knew what follows is over.
    run: Option<Instant>,
}

impl Outlook {
    fn new(now: Instant) -> Self {
        Self { began: now, next: None, follows: None, run: None }
    }

    fn begin(&mut self, now: Instant) -> Option<End> {
        if let Some(times) = self.follows.take() {
            self.run = after(now, times * (now - self.began).as_secs_f64());
        }
        self.follows = self.next.take();
        self.began = now;
        self.run.filter(|_| self.follows.is_none()).map(End::Run)
    }

    fn advance(&self, now: Instant, done: f64) -> Option<End> {
        let spent = now - self.began;
        if spent < KNOWN || done <= 0.0 {
            return self.run.filter(|_| self.follows.is_none()).map(End::Run);
        }
        let whole = spent.as_secs_f64() / done;
        let phase = after(self.began, whole)?;
        match (self.follows, self.run) {
            (Some(times), _) => after(phase, times * whole).map(End::Run),
            (None, Some(run)) => Some(End::Run(run.max(phase))),
            (None, None) => Some(End::Phase(phase)),
        }
    }
}

/// `None` beyond what a clock can hold.
fn after(start: Instant, seconds: f64) -> Option<Instant> {
    start.checked_add(Duration::try_from_secs_f64(seconds).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_is_told_once_it_is_known() {
        let start = Instant::now();
        let at = |seconds: f64| after(start, seconds).expect("soon");
        let left = |end: Option<End>, now: f64| end.and_then(|end| end.left(at(now)));
        let mut outlook = Outlook::new(start);

        // A pilot: nobody knows what follows.
        assert_eq!(outlook.begin(at(0.0)), None);
        assert_eq!(outlook.advance(at(0.1), 0.5), None);
        let end = outlook.advance(at(2.0), 0.25);
        assert_eq!(left(end, 2.0).as_deref(), Some("6 s left of phase"));
        // No news: it counts down, and then says nothing rather than 0 s.
        assert_eq!(left(end, 4.5).as_deref(), Some("4 s left of phase"));
        assert_eq!(left(end, 8.1), None);

        // The reported round, with evidence that takes half as long.
        outlook.next = Some(0.5);
        assert_eq!(outlook.begin(at(10.0)), None);
        assert_eq!(left(outlook.advance(at(12.0), 0.1), 12.0).as_deref(), Some("28 s left"));
        // It took 30 s, so the evidence should take 15, of which one phase may need more than is left.
        assert_eq!(left(outlook.begin(at(40.0)), 40.0).as_deref(), Some("15 s left"));
        assert_eq!(left(outlook.advance(at(45.0), 0.9), 45.0).as_deref(), Some("10 s left"));
        assert_eq!(left(outlook.begin(at(46.0)), 46.0).as_deref(), Some("9 s left"));
        assert_eq!(left(outlook.advance(at(50.0), 0.2), 50.0).as_deref(), Some("16 s left"));
    }

    #[test]
    fn endless_work_is_no_panic() {
        let start = Instant::now();
        let mut outlook = Outlook::new(start);
        outlook.begin(start);
        let later = start + Duration::from_secs(2);
        assert_eq!(outlook.advance(later, 1e-30), None);
        assert_eq!(outlook.advance(later, f64::NAN), None);
    }
}
