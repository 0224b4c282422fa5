//! Where the answer starts: from a flat reference, or from one that was fitted.

use std::sync::Arc;
use std::time::Instant;

use super::series::{Series, Until};
use super::{LEAST_RUNGS, MOST_FLAT_RUNGS, SHARE, first_curve};
use crate::error::Result;
use crate::estimators::comparison::LIMIT;
use crate::estimators::decisions::FlatStart;
use crate::estimators::phases::Phases;
use crate::estimators::settings::Settings;
use crate::math::Stream;
use crate::paths::{Path, Pilot, Start};

/// Most rungs of the first pilots from a flat reference; what is settled by then is not fitted at all.
const FIRST_LOOK: usize = 128;
/// Share of the limit that pilots from a flat reference may have used before any is fitted to.
const FIRST_SHARE: f64 = 0.08;
/// The same of those that run on once another is fitted, for themselves.
const FLAT_SHARE: f64 = 0.003;
/// Runs that bend the path from a flat reference: what more of them would gain, the time that a user waits for them would lose.
const FLAT_BENDS: usize = 8;
/// How many times the rungs of a fitted reference a flat one may need and be preferred.
const PREFERENCE: f64 = 2.0;

/// The series of pilots to plan by.
pub(super) struct Chosen<'a> {
    pub answer: Series<'a>,
    /// The series from a flat reference, where that is not the answer's.
    pub check: Option<Series<'a>>,
    /// Pilots of the series that was fitted, or of the only one, and runs that bent its path.
    pub pilots: (usize, Option<usize>),
    /// The same of the series from a flat reference, where there was another.
    pub flat: Option<FlatStart>,
}

/// Runs pilots from a flat reference where `path` leans, and from the fitted one unless those were settled at once.
///
/// A fit leans to the modes that chains were in, and a reference that leans has forgotten the others: over many coordinates a little
/// lean is enough. So the flat one is preferred wherever it is affordable, which is up to 2,048 rungs or twice the fitted one's, and
/// wherever its pilots found more than the fitted one's by more than 2.5 standard errors. Else the fitted reference gives the
/// answer, and the flat one is `checked` against it.
pub(super) fn choose<'a>(
    path: Arc<dyn Path>,
    checked: bool,
    (settings, begin, stream): (&'a Settings, Instant, Stream),
    phases: &mut Phases<'_>,
) -> Result<Chosen<'a>> {
    let known = path.start() == Some(Start::Known);
    let of = |path: Arc<dyn Path>, fitting, suffix, stream| -> Result<Series<'a>> {
        Ok(Series::new(path, first_curve(settings)?, fitting, suffix, (settings, begin, stream)))
    };
    let fitting = path.start() == Some(Start::Open);
    let replay = settings.replay.map(|decided| (decided.pilots, decided.bends));
    let whole = Until { rungs: usize::MAX, bends: usize::MAX, share: SHARE, replay };
    let Some(flat) = path.flat().filter(|_| checked || !known) else {
        let mut answer = of(path, fitting, "", stream)?;
        answer.run(whole, phases)?;
        let pilots = (answer.records.len(), answer.bends);
        return Ok(Chosen { answer, check: None, pilots, flat: None });
    };
    let replay = settings.replay.and_then(|decided| decided.flat).map(|flat| (flat.pilots, flat.bends));
    let mut flat = of(flat, fitting, " from a flat reference", stream.child(996))?;
    let first = Until { rungs: FIRST_LOOK, bends: FLAT_BENDS, share: FIRST_SHARE, replay };
    flat.run(first, phases)?;
    if flat.is_settled() && flat.needed() <= LEAST_RUNGS as f64 {
        let counts = FlatStart { pilots: flat.records.len(), bends: flat.bends, rungs: None, runs: None };
        return Ok(Chosen { answer: flat, check: None, pilots: (0, None), flat: Some(counts) });
    }
    let states = flat.states.take();
    let tuned = states.and_then(|states| path.tuned(&Pilot { rungs: &[], states: states.view() }));
    let mut fitted = of(tuned.unwrap_or(path), fitting, "", stream)?;
    fitted.run(whole, phases)?;
    let longest = (0.5 * fitted.needed()).max(0.5 * MOST_FLAT_RUNGS as f64) as usize;
    let share = match settings.budget {
        Some(_) => SHARE,
        None => (begin.elapsed().as_secs_f64() / settings.max_time + FLAT_SHARE).min(SHARE),
    };
    flat.run(Until { rungs: longest.next_power_of_two(), share, ..first }, phases)?;

    let pilots = (fitted.records.len(), fitted.bends);
    let counts = Some(FlatStart { pilots: flat.records.len(), bends: flat.bends, rungs: None, runs: None });
    let affordable =
        flat.is_settled() && flat.needed() <= (PREFERENCE * fitted.needed()).max(MOST_FLAT_RUNGS as f64);
    if affordable || found_more(&flat, &fitted) {
        return Ok(Chosen { answer: flat, check: None, pilots, flat: counts });
    }
    Ok(Chosen { answer: fitted, check: Some(flat), pilots, flat: counts })
}

/// Whether one series found more of the model's mass than another: its log Ẑ, which is low on average however it was found, is higher
/// by more than chance allows.
fn found_more(one: &Series<'_>, other: &Series<'_>) -> bool {
    let (one, other) = (one.last(), other.last());
    one.log_z - other.log_z > LIMIT * one.std_err.hypot(other.std_err)
}
