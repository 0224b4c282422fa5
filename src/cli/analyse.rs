//! `lnz analyse`: log Z of many states from energies of samples, of a tempering run or of any program's.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use lnz::estimators::estimate::Analysis;
use lnz::estimators::mbar::{LEAST_OVERLAP, Mbar, Reduced, inefficiencies};
use lnz::estimators::tempering::analyse;
use lnz::io::energies::read_energies;
use lnz::io::record::to_json;
use lnz::math::{Stream, statistics};
use lnz::plots;
use serde::Serialize;

use super::arguments::{Running, count};
use super::estimate::ENERGIES;
use super::pictures::Pictures;
use super::{Report, print, table};

/// Most states that a table shows in full.
const MOST_ROWS: usize = 60;

/// Estimate log Z of many states from samples of all of them (MBAR), without sampling again
///
/// Takes the record of `lnz estimate --method tempering --out RUN.json`, which has RUN.energies.npz beside it, or energies from
/// elsewhere: an .npz with u_kn (states, samples), the reduced energy of every sample at every state, samples ordered by the state
/// that they came from, and N_k, how many came from each; or u_kln (states, states, samples), the energy at state l of sample n of
/// state k, with N_k.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// .npz with u_kn (or u_kln) and N_k, or the record of a tempering run (.json)
    file: PathBuf,
    /// Bootstrap samples for a second error bar
    #[arg(long, value_name = "N", value_parser = count, allow_negative_numbers = true)]
    bootstrap: Option<usize>,
    /// Seed of the bootstrap
    #[arg(long, value_name = "N", default_value = "1")]
    seed: u64,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    pictures: Pictures,
    #[command(flatten)]
    running: Running,
}

/// Nats from which on an error bar says that hardly a sample joins a state to the first, so that there is neither a number nor an
/// error: exp(10) samples would be needed for one.
const MOST_ERROR: f64 = 10.0;
/// Independent samples below which an error bar is itself uncertain by more than a sixth.
const LEAST_INDEPENDENT: f64 = 20.0;

/// One state.
#[derive(Debug, Serialize)]
struct State {
    #[serde(skip_serializing_if = "Option::is_none")]
    beta: Option<f64>,
    samples: usize,
    /// log Z of the state less that of the first.
    log_z: f64,
    /// Absent for state 0, and where there is no overlap to take it from.
    #[serde(skip_serializing_if = "Option::is_none")]
    std_err: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bootstrap_std_err: Option<f64>,
    effective_samples: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    statistical_inefficiency: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    overlap_with_next: Option<f64>,
}

/// What was found.
#[derive(Debug, Serialize)]
struct Found {
    states: Vec<State>,
    /// log Z of the model in several ways, where the samples are of a tempering run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    analyses: Vec<Analysis>,
    /// O_ij, the chance that a sample which looks like one of state i is one of state j.
    overlap: Vec<Vec<f64>>,
    newton_steps: usize,
    verdict: &'static str,
    /// What speaks against the error bars.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasons: Vec<String>,
}

impl Arguments {
    pub(crate) fn run(&self) -> Result<Report> {
        self.running.start()?;
        self.pictures.check()?;
        let path = beside(&self.file);
        let stored = read_energies(&path)?;
        let samples = Reduced::new(stored.energies.view(), &stored.counts)
            .map_err(|error| lnz::Error::Data { message: format!("{}: {error}", path.display()) })?;
        let solved = Mbar::solve(samples)?;
        let clusters = stored.run.as_ref().map(|(run, _)| run.clusters());
        let in_time = clusters.is_none().then(|| inefficiencies(samples));
        let covariance = match (&clusters, &in_time) {
            (Some(clusters), _) => solved.covariance_of_clusters(clusters),
            (None, Some(times)) => solved.covariance_in_time(times),
            (None, None) => solved.covariance(),
        };
        let resampled = match self.bootstrap {
            Some(replicates) => {
                let rows =
                    solved.bootstrap(samples, clusters.as_deref(), replicates, Stream::new(self.seed))?;
                let spread = |k: usize| statistics::variance(&rows.column(k).to_vec()).sqrt();
                // A state's only sample is drawn again and again, and shows no spread.
                Some(
                    (0..stored.counts.len())
                        .map(|k| Some(spread(k)).filter(|error| *error > 0.0))
                        .collect::<Vec<_>>(),
                )
            }
            None => None,
        };
        self.pictures.draw(|| vec![plots::of_states(&solved)])?;
        let (overlap, effective) = (solved.overlap(), solved.effective_samples());
        let next = solved.overlap_with_next();
        let states: Vec<State> = (0..stored.counts.len())
            .map(|k| State {
                beta: stored.run.as_ref().map(|(run, _)| run.schedule.betas()[k]),
                samples: stored.counts[k],
                log_z: solved.log_z[k],
                std_err: Some(covariance[[k, k]].max(0.0).sqrt())
                    .filter(|error| k > 0 && *error < MOST_ERROR),
                bootstrap_std_err: resampled.as_ref().and_then(|errors| errors[k]),
                effective_samples: effective[k],
                statistical_inefficiency: in_time.as_ref().map(|times| times[k]),
                overlap_with_next: next[k],
            })
            .collect();
        let mut analyses = Vec::new();
        if let Some((run, reference)) = &stored.run {
            analyses = analyse(run)?;
            for way in &mut analyses {
                way.log_z += reference;
            }
        }
        let reasons = doubts(&states);
        let converged = reasons.is_empty();
        let verdict = if converged { "converged" } else { "not-converged" };
        let overlap = overlap.rows().into_iter().map(|row| row.to_vec()).collect();
        let found = Found { states, analyses, overlap, newton_steps: solved.steps, verdict, reasons };
        let text = if self.json { to_json(&found) } else { self.text(&found) };
        Ok(Report { text, converged, warnings: Vec::new() })
    }

    fn text(&self, found: &Found) -> String {
        let last = found.states.len() - 1;
        let mut text = if let Some(way) = found.analyses.first() {
            format!("log Z = {} nats\n", print::with_error(way.log_z, way.std_err))
        } else {
            let state = &found.states[last];
            format!("log Z of state {last} - log Z of state 0 = {} nats\n", number(state))
        };
        let from = format!("{}, solved in {} Newton steps", self.file.display(), found.newton_steps);
        let mut lines = vec![("  from", from)];
        lines.push((
            "  verdict",
            if found.reasons.is_empty() {
                "converged"
            } else {
                "NOT CONVERGED: do not rely on these error bars"
            }
            .into(),
        ));
        lines.extend(found.reasons.iter().map(|reason| ("", format!("- {reason}"))));
        lines.extend(print::analyses(&found.analyses));
        text += &print::aligned(&lines);
        text.push('\n');
        let named = |name: &'static str, there: bool| there.then_some(name);
        let first = &found.states[0];
        let bootstrapped = self.bootstrap.is_some();
        let header: Vec<&str> = [
            Some("state"),
            named("beta", first.beta.is_some()),
            Some("samples"),
            Some("log Z - log Z of state 0"),
            named("bootstrap", bootstrapped),
            Some("effective"),
            named("inefficiency", first.statistical_inefficiency.is_some()),
            Some("overlap with next"),
        ]
        .into_iter()
        .flatten()
        .collect();
        let stride = found.states.len().div_ceil(MOST_ROWS);
        let shown = (0..=last).filter(|k| k % stride == 0 || *k == last);
        let rows: Vec<Vec<String>> = shown
            .map(|k| {
                let state = &found.states[k];
                [
                    Some(k.to_string()),
                    state.beta.map(|beta| format!("{beta:.4}")),
                    Some(state.samples.to_string()),
                    Some(if k == 0 { "0".into() } else { number(state) }),
                    bootstrapped
                        .then(|| table::or_dash(state.bootstrap_std_err, |error| format!("± {error:.2e}"))),
                    Some(format!("{:.0}", state.effective_samples)),
                    state.statistical_inefficiency.map(|time| format!("{time:.1}")),
                    Some(table::or_dash(state.overlap_with_next, |overlap| format!("{overlap:.2}"))),
                ]
                .into_iter()
                .flatten()
                .collect()
            })
            .collect();
        text + &table::table(&header, &rows)
    }
}

/// The energies that belong to a record.
fn beside(file: &Path) -> PathBuf {
    let record = file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
    if record { file.with_extension(ENERGIES) } else { file.into() }
}

/// log Z of a state beyond the first, as far as it is known.
fn number(state: &State) -> String {
    state.std_err.map_or_else(|| "unknown".into(), |error| print::with_error(state.log_z, error))
}

fn doubts(states: &[State]) -> Vec<String> {
    let mut reasons = Vec::new();
    for (k, state) in states.iter().enumerate() {
        if k > 0 && state.std_err.is_none() {
            reasons.push(format!(
                "state {k} does not overlap with state 0, so their log Z cannot be compared; put states between them, or draw more \
                 samples"
            ));
        }
        let independent = state.effective_samples / state.statistical_inefficiency.unwrap_or(1.0);
        if independent < LEAST_INDEPENDENT {
            reasons.push(format!(
                "averages of state {k} rest on {independent:.1} independent samples, too few for an error bar; draw at least \
                 {LEAST_INDEPENDENT} of it or of states that overlap with it"
            ));
        }
        if let Some(overlap) = state.overlap_with_next.filter(|overlap| *overlap < LEAST_OVERLAP) {
            reasons.push(format!(
                "state {k} and the next that was sampled hardly overlap ({overlap:.3}, at least {LEAST_OVERLAP} is safe), so their \
                 error bars may be too small; put a state between them, or draw more samples"
            ));
        }
    }
    reasons
}
