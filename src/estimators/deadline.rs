//! When a run is to end, for the phases whose length no pilot foresees.

use std::time::{Duration, Instant};

/// A point in time that long phases look at between batches of work; none where no clock may decide anything, as with a budget or
/// where a run is replayed.
///
/// What a phase leaves out because of it goes into [`Decisions`](super::Decisions), for a replay to leave out as well.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Deadline(Option<Instant>);

impl Deadline {
    /// So many seconds from `begin`.
    pub(crate) fn after(begin: Instant, seconds: f64) -> Self {
        Self(begin.checked_add(Duration::from_secs_f64(seconds.min(1e9))))
    }

    /// This, or so many seconds from now where that is earlier.
    pub(crate) fn within(self, seconds: f64) -> Self {
        let Self(Some(end)) = self else { return self };
        let Self(sooner) = Self::after(Instant::now(), seconds);
        Self(Some(sooner.map_or(end, |sooner| sooner.min(end))))
    }

    /// Whether it is over.
    pub(crate) fn has_passed(self) -> bool {
        self.0.is_some_and(|end| Instant::now() >= end)
    }

    /// Whether so many seconds are left.
    pub(crate) fn leaves(self, seconds: f64) -> bool {
        self.0.is_none_or(|end| Instant::now() + Duration::from_secs_f64(seconds) < end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_passes_and_none_never_does() {
        let now = Instant::now();
        assert!(Deadline::after(now, 0.0).has_passed());
        assert!(!Deadline::after(now, 3600.0).has_passed());
        assert!(Deadline::after(now, 3600.0).within(0.0).has_passed());
        assert!(Deadline::after(now, 0.0).within(3600.0).has_passed());
        assert!(!Deadline::default().has_passed() && !Deadline::default().within(0.0).has_passed());
        assert!(!Deadline::after(now, 1e300).has_passed());
        assert!(Deadline::after(now, 3600.0).leaves(60.0) && !Deadline::after(now, 60.0).leaves(3600.0));
        assert!(Deadline::default().leaves(1e6));
    }
}
