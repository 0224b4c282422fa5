//! The house: a folder uses folders of lower rank (or itself) only, so sources have no cycle.

#![allow(clippy::unwrap_used, missing_docs)]

use std::fs;
use std::path::{Path, PathBuf};

/// Folders and files below `src/`, lowest first; those of one rank do not use each other.
const RANKS: &[&[&str]] = &[
    &["wording"],
    &["error"],
    &["math"],
    &["models"],
    &["kernels"],
    &["paths"],
    &["estimators"],
    &["studies"],
    &["io", "likelihood", "sampling"],
    &["plots", "training"],
    &["cli"],
];

fn rank(name: &str) -> Option<usize> {
    RANKS.iter().position(|names| names.contains(&name))
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
    found
}

#[test]
fn folders_use_lower_ranks_only() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut arrows = 0;
    for path in sources(&root) {
        let inside = path.strip_prefix(&root).unwrap();
        let own = inside.components().next().unwrap().as_os_str().to_str().unwrap().trim_end_matches(".rs");
        if ["lib", "main"].contains(&own) {
            continue;
        }
        let own_rank = rank(own).unwrap_or_else(|| panic!("{own} has no rank in this test"));
        let text = fs::read_to_string(&path).unwrap();
        // Tests inside a file may use anything.
        let code = text.split("#[cfg(test)]").next().unwrap();
        for line in code.lines().filter(|line| !line.trim_start().starts_with("//")) {
            for marker in ["crate::", "lnz::"] {
                for part in line.split(marker).skip(1) {
                    let used: String =
                        part.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                    let Some(other) = rank(&used).filter(|_| used != own) else { continue };
                    arrows += 1;
                    assert!(other < own_rank, "{} uses {used}: {line}", inside.display());
                }
            }
        }
    }
    assert!(arrows > 100, "only {arrows} uses were seen: the test reads nothing");
}
