//! Schedules from files: the one that a run used, or βs as text.

use std::path::Path;

use super::Parsed;
use super::bytes::{printable, read_file};
use super::record::Record;
use crate::error::{Error, Result};
use crate::paths::Schedule;

/// Reads the schedule of a `RUN.json`, or βs from a text: one a line, or with commas between. What follows `#` is a comment.
///
/// # Errors
/// [`Error::File`] if it cannot be read; [`Error::Format`] with the line unless its numbers rise strictly from 0 to 1, and for
/// records without a schedule.
pub fn read_schedule(path: &Path) -> Result<Schedule> {
    let bytes = read_file(path)?;
    let format = |message| Error::Format { path: path.into(), message };
    if !bytes.trim_ascii_start().starts_with(b"{") {
        return parse(&bytes).map_err(format);
    }
    let betas = match Record::read(path)? {
        Record::Run(record) if record.estimate.trace.schedule.is_empty() => {
            return Err(format(format!("a run of {} has no schedule", record.estimate.method)));
        }
        Record::Run(record) => record.estimate.trace.schedule,
        Record::Comparison(_) | Record::Calibration(_) => {
            return Err(format("records of many runs keep no schedule; name that of one run".into()));
        }
    };
    Schedule::given(betas).map_err(|error| format(format!("damaged run record ({error})")))
}

fn parse(bytes: &[u8]) -> Parsed<Schedule> {
    let text = std::str::from_utf8(bytes).map_err(|_| "neither a run record nor text".to_owned())?;
    let mut betas: Vec<f64> = Vec::new();
    let mut last_line = 0;
    for (line, content) in (1..).zip(text.trim_start_matches('\u{feff}').lines()) {
        let content = content.split('#').next().unwrap_or_default().trim();
        if content.is_empty() {
            continue;
        }
        last_line = line;
        // A comma at the end of a line goes on to the next one.
        for word in content.strip_suffix(',').unwrap_or(content).split(',').map(str::trim) {
            let beta: f64 = word
                .parse()
                .map_err(|_| format!("line {line}: `{}` is not a number; {RIGHT}", printable(word)))?;
            match betas.last() {
                None if beta != 0.0 => return Err(format!("line {line}: it starts at {beta}; {RIGHT}")),
                // NaN is not above anything.
                Some(&before) if beta.partial_cmp(&before) != Some(std::cmp::Ordering::Greater) => {
                    return Err(format!("line {line}: {beta} after {before}; {RIGHT}"));
                }
                _ => betas.push(beta),
            }
        }
    }
    match betas.last() {
        None => Err(format!("there are no numbers in it; {RIGHT}")),
        Some(&1.0) => Ok(Schedule::given(betas).expect("it was seen to rise from 0 to 1")),
        Some(last) => Err(format!("line {last_line}: it ends at {last}; {RIGHT}")),
    }
}

const RIGHT: &str = "a schedule rises strictly from 0 to 1";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn betas_stand_in_lines_or_between_commas() {
        for text in [
            "0\n0.25\n1\n",
            "0,0.25,1",
            "\u{feff}# by hand\r\n0, 0.25,\r\n\r\n1e0 # the end\r\n",
            "0\n 2.5e-1, 1",
        ] {
            assert_eq!(parse(text.as_bytes()).expect(text).betas(), [0.0, 0.25, 1.0], "{text}");
        }
    }

    #[test]
    fn mistakes_are_placed() {
        for (text, message) in [
            ("", "no numbers"),
            ("# nothing\n\n", "no numbers"),
            ("0\nhalf\n1\n", "line 2: `half` is not a number"),
            ("0,,1", "line 1: `` is not a number"),
            ("0 0.5 1", "line 1: `0 0.5 1` is not a number"),
            ("\n0.1\n1\n", "line 2: it starts at 0.1"),
            ("nan\n1\n", "line 1: it starts at NaN"),
            ("0\n", "line 1: it ends at 0;"),
            ("0,0.5\n\n0.9 # not there\n\n", "line 3: it ends at 0.9"),
            ("0\n0.6,0.5\n1", "line 2: 0.5 after 0.6"),
            ("0\n0.5\n0.5\n1", "line 3: 0.5 after 0.5"),
            ("0\nnan\n1", "line 2: NaN after 0"),
            ("0\n1\n2\n", "line 3: it ends at 2"),
        ] {
            let error = parse(text.as_bytes()).expect_err(text);
            assert!(error.contains(message), "{text:?}: {error}");
        }
        assert!(parse(b"\xff\xfe0").is_err());
    }
}
