//! How many threads there are: as many as were asked for, within reason.

use anyhow::Result;
use rayon::ThreadPoolBuilder;

use super::to_stderr;

/// What asks for threads where no option does.
const VARIABLE: &str = "RAYON_NUM_THREADS";
/// Threads to a core beyond which more only take memory, and many more cannot be started at all.
const MOST: usize = 4;

/// Starts `asked` threads, or as many as the environment asks for, or one for each core; where that is too many it says so, unless it
/// is to be `quiet`.
pub(crate) fn start(asked: Option<usize>, quiet: bool) -> Result<()> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let variable = std::env::var(VARIABLE).ok();
    let (threads, note) = allowed(asked, variable.as_deref(), cores);
    if let Some(note) = note.filter(|_| !quiet) {
        to_stderr(&format!("warning: {note}"));
    }
    if let Some(threads) = threads {
        ThreadPoolBuilder::new().num_threads(threads).build_global()?;
    }
    Ok(())
}

/// The threads to start, where it is not one for each core, and what to say about them.
fn allowed(asked: Option<usize>, variable: Option<&str>, cores: usize) -> (Option<usize>, Option<String>) {
    let (asked, by) = match asked {
        Some(asked) => (asked, "--threads"),
        None => match variable.and_then(|text| text.trim().parse().ok()).filter(|asked| *asked > 0) {
            Some(asked) => (asked, VARIABLE),
            None => return (None, None),
        },
    };
    let most = MOST * cores;
    let note = (asked > most)
        .then(|| format!("{by} asks for {asked} threads; {most} are used, {MOST} for each of {cores} cores"));
    (Some(asked.min(most)), note)
}

#[cfg(test)]
mod tests {
    use super::allowed;

    #[test]
    fn threads_are_at_most_four_times_the_cores() {
        assert_eq!(allowed(None, None, 2), (None, None));
        assert_eq!(allowed(None, Some("many"), 2), (None, None));
        assert_eq!(allowed(None, Some("0"), 2), (None, None));
        assert_eq!(allowed(Some(8), Some("1000000"), 2), (Some(8), None));
        for (asked, variable, by) in
            [(Some(1_000_000), None, "--threads"), (None, Some("1000000"), "RAYON_NUM_THREADS")]
        {
            let (threads, note) = allowed(asked, variable, 2);
            let note = note.expect("it is said");
            assert_eq!(threads, Some(8));
            assert!(note.contains(by) && note.contains("1000000") && note.contains("8 are used"), "{note}");
        }
    }
}
