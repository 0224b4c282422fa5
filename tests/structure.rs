//! The house: a folder of `src/` uses folders of lower rank only; and within a folder no files or folders form a circle.

#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};
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

/// Circles that are still to be untied: a folder, and what goes round in it.
const TANGLED: &[(&str, &[&str])] = &[
    ("io", &["format", "idx", "mat", "npz", "safetensors", "tensors"]),
    ("models/network", &["fuse", "graph", "layout", "operators", "plan", "program"]),
    ("training/rbm", &["block", "machine", "rows"]),
];

/// Every module, by its path in the crate, and its code without comments and without its tests.
fn modules() -> BTreeMap<Vec<String>, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = BTreeMap::new();
    for path in sources(&root) {
        let inside = path.strip_prefix(&root).unwrap().with_extension("");
        let mut name: Vec<String> =
            inside.components().map(|part| part.as_os_str().to_str().unwrap().to_owned()).collect();
        name.pop_if(|last| last == "mod");
        let text = fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        let lines: Vec<&str> = code.lines().map(|line| line.split("//").next().unwrap()).collect();
        found.insert(name, lines.join("\n"));
    }
    found
}

/// Every path that a tree of `use` stands for.
fn branches(tree: &str) -> Vec<String> {
    let tree = tree.trim();
    let Some((before, rest)) = tree.split_once('{') else {
        return vec![tree.split(" as ").next().unwrap().trim().to_owned()];
    };
    let inside = &rest[..rest.rfind('}').unwrap()];
    let (mut depth, mut start, mut found) = (0, 0, Vec::new());
    for (place, letter) in inside.char_indices().chain([(inside.len(), ',')]) {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                found.extend(branches(&format!("{before}{}", inside[start..place].trim())));
                start = place + 1;
            }
            _ => {}
        }
    }
    found
}

/// Each `use` of some code: whether it exports, and its paths.
fn uses(code: &str) -> Vec<(bool, Vec<String>)> {
    let statements = code.split(';').filter_map(|statement| {
        let (before, tree) = statement.rsplit_once("use ")?;
        let head = before.lines().last().unwrap_or_default().trim();
        (head.is_empty() || head.starts_with("pub")).then(|| (head.starts_with("pub"), branches(tree)))
    });
    statements.collect()
}

struct House {
    modules: BTreeMap<Vec<String>, String>,
    /// What a module exports under a name of its own: where that comes from.
    exports: BTreeMap<(Vec<String>, String), Vec<String>>,
}

impl House {
    fn new() -> Self {
        let mut house = Self { modules: modules(), exports: BTreeMap::new() };
        let mut exports = BTreeMap::new();
        for (name, code) in &house.modules {
            for path in uses(code).into_iter().filter(|(exported, _)| *exported).flat_map(|(_, paths)| paths)
            {
                if let Some(absolute) = house.absolute(&path, name) {
                    exports.insert((name.clone(), absolute.last().unwrap().clone()), absolute);
                }
            }
        }
        house.exports = exports;
        house
    }

    /// A path from the root of the crate, `None` for one of another crate.
    fn absolute(&self, path: &str, from: &[String]) -> Option<Vec<String>> {
        let parts: Vec<String> = path.split("::").map(str::to_owned).collect();
        let mut base = from.to_vec();
        let mut rest = &parts[..];
        match parts[0].as_str() {
            "crate" | "lnz" => (base, rest) = (Vec::new(), &parts[1..]),
            "self" => rest = &parts[1..],
            "super" => {
                while rest.first().is_some_and(|part| part == "super") {
                    base.pop();
                    rest = &rest[1..];
                }
            }
            child => {
                base.push(child.to_owned());
                if !self.modules.contains_key(&base) {
                    return None;
                }
                rest = &parts[1..];
            }
        }
        Some([&base, rest].concat())
    }

    /// The module in which a path is defined, through what others export.
    fn home(&self, path: &[String], depth: usize) -> Option<Vec<String>> {
        let known = (1..=path.len()).rev().find(|&length| self.modules.contains_key(&path[..length]))?;
        let (module, rest) = path.split_at(known);
        let exported = rest.first().and_then(|name| self.exports.get(&(module.to_vec(), name.clone())));
        match exported.filter(|_| depth < 6) {
            Some(from) => self.home(&[from, &rest[1..]].concat(), depth + 1),
            None => Some(module.to_vec()),
        }
    }

    /// What every module uses, in `use` and in paths that are written out.
    fn arrows(&self) -> BTreeSet<(Vec<String>, Vec<String>)> {
        let mut found = BTreeSet::new();
        for (name, code) in &self.modules {
            let mut paths: Vec<String> = uses(code).into_iter().flat_map(|(_, paths)| paths).collect();
            for start in ["crate::", "super::", "self::"] {
                // Not within a path that begins before.
                for (place, _) in
                    code.match_indices(start).filter(|(place, _)| !code[..*place].ends_with("::"))
                {
                    let letters = code[place..].chars();
                    paths.push(letters.take_while(|c| c.is_alphanumeric() || "_:".contains(*c)).collect());
                }
            }
            let homes = paths.iter().filter_map(|path| self.home(&self.absolute(path, name)?, 0));
            found.extend(homes.filter(|home| home != name).map(|home| (name.clone(), home)));
        }
        found
    }
}

/// What goes round in a graph of names: those that can be reached from themselves.
fn circle(graph: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let reaches_itself = |start: &String| {
        let (mut seen, mut open) = (BTreeSet::new(), vec![start]);
        while let Some(name) = open.pop() {
            for name in graph.get(name).into_iter().flatten() {
                if name == start {
                    return true;
                }
                if seen.insert(name) {
                    open.push(name);
                }
            }
        }
        false
    };
    graph.keys().filter(|name| reaches_itself(name)).cloned().collect()
}

/// A file that has a folder counts as that folder; a folder and the `mod.rs` that speaks for it are one.
#[test]
fn no_folder_has_a_circle() {
    let house = House::new();
    let arrows = house.arrows();
    assert!(arrows.len() > 800, "only {} uses were seen: the test reads nothing", arrows.len());
    let folders: BTreeSet<&[String]> =
        house.modules.keys().flat_map(|name| (0..name.len()).map(move |length| &name[..length])).collect();
    let mut tangled = Vec::new();
    for folder in folders {
        let child = |name: &[String]| name.strip_prefix(folder).and_then(|rest| rest.first().cloned());
        let mut graph: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (from, to) in &arrows {
            let (Some(from), Some(to)) = (child(from), child(to)) else { continue };
            if from != to && !["lib", "main"].contains(&from.as_str()) {
                graph.entry(from).or_default().insert(to);
            }
        }
        let found = circle(&graph);
        if !found.is_empty() {
            tangled.push((folder.join("/"), found));
        }
    }
    let known: Vec<(String, Vec<String>)> = TANGLED
        .iter()
        .map(|(folder, names)| ((*folder).to_owned(), names.iter().map(|name| (*name).to_owned()).collect()))
        .collect();
    assert_eq!(tangled, known);
}

#[test]
fn circles_are_found() {
    let graph = |arrows: &[(&str, &str)]| {
        let mut graph: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (from, to) in arrows {
            graph.entry((*from).to_owned()).or_default().insert((*to).to_owned());
        }
        graph
    };
    assert!(circle(&graph(&[("a", "b"), ("b", "c"), ("a", "c")])).is_empty());
    assert_eq!(circle(&graph(&[("a", "b"), ("b", "c"), ("c", "b"), ("c", "d")])), ["b", "c"]);
    assert_eq!(branches("a::{b, c::{self, d as e}}"), ["a::b", "a::c::self", "a::c::d"]);
}
