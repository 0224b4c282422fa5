//! Do two builds give the same numbers? For changes of structure, which must not change any:
//! `LNZ_BEFORE=path/to/other/lnz cargo test --release --test numbers -- --ignored --nocapture`, a quarter of an hour on two cores.
//!
//! Runs every command of `numbers/commands.txt` with both, and compares exit statuses, every number that is printed as JSON or written
//! (to the bit, but for what the clock says) and every other file. Numbers count wherever they stand and by whatever name: names may
//! change.

#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

const COMMANDS: &str = include_str!("numbers/commands.txt");
/// What the clock says, by any name.
const TIMES: [&str; 2] = ["seconds", "wall"];
/// A limit that no clock reaches, where a command takes one.
const UNLIMITED: [&str; 5] = ["estimate", "sample", "evaluate", "between", "curve"];

/// Every way to read a line, a choice of each {a,b}.
fn choices(line: &str) -> Vec<String> {
    let Some((before, rest)) = line.split_once('{') else { return vec![line.to_owned()] };
    let (inside, after) = rest.split_once('}').unwrap();
    let ends = choices(after);
    inside
        .split(',')
        .flat_map(|choice| ends.iter().map(move |end| format!("{before}{choice}{end}")))
        .collect()
}

fn commands() -> Vec<String> {
    let lines = COMMANDS.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.flat_map(choices).collect()
}

/// The exit status and what was printed.
fn run(program: &str, command: &str, folder: &Path, before: &Path) -> (Option<i32>, String) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let command = command
        .replace("$MODELS", &root.join("examples/models").display().to_string())
        .replace("$TESTS", &root.join("tests").display().to_string())
        .replace("$BEFORE", &before.display().to_string());
    let limited = UNLIMITED.iter().any(|name| command.starts_with(name)) && !command.contains("--replay");
    let limit: &[&str] = if limited { &["--max-time", "100000s"] } else { &[] };
    let output = Command::new(program)
        .args(command.split_whitespace())
        .args(["--json"])
        .args(limit)
        .current_dir(folder)
        .output()
        .unwrap();
    let mut printed = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.code() == Some(2) {
        printed = String::from_utf8_lossy(&output.stderr).into_owned();
    }
    (output.status.code(), printed)
}

/// How often each number occurs, by its bits, and under which name it was seen first.
fn numbers(value: &Value, name: &str, found: &mut BTreeMap<u64, (usize, String)>) {
    match value {
        Value::Number(number) => {
            let entry = found.entry(number.as_f64().unwrap().to_bits()).or_insert((0, name.to_owned()));
            entry.0 += 1;
        }
        Value::Array(values) => values.iter().for_each(|value| numbers(value, name, found)),
        Value::Object(fields) => {
            for (field, value) in
                fields.iter().filter(|(field, _)| TIMES.iter().all(|time| !field.contains(time)))
            {
                numbers(value, &format!("{name}.{field}"), found);
            }
        }
        _ => {}
    }
}

/// What tells one text of JSON (or lines of it) from another, empty where the numbers are the same; other text as it is.
fn differences(one: &str, other: &str) -> Vec<String> {
    let parse = |text: &str| {
        let mut found = BTreeMap::new();
        for value in serde_json::Deserializer::from_str(text).into_iter::<Value>() {
            numbers(&value.ok()?, "", &mut found);
        }
        Some(found)
    };
    let (Some(before), Some(after)) = (parse(one), parse(other)) else {
        return if one == other { Vec::new() } else { vec![format!("text:\n{one}\n{other}")] };
    };
    let only = |here: &BTreeMap<u64, (usize, String)>, there: &BTreeMap<u64, (usize, String)>, side: &str| {
        let missing =
            here.iter().filter(|(bits, (count, _))| there.get(bits).is_none_or(|other| other.0 != *count));
        let line = |(bits, (count, name)): (&u64, &(usize, String))| {
            format!("{side}{name}: {} ({count} times)", f64::from_bits(*bits))
        };
        missing.map(line).collect::<Vec<_>>()
    };
    [only(&before, &after, "before "), only(&after, &before, "after ")].concat()
}

#[test]
#[ignore = "compares with another build, by the command above"]
fn two_builds_give_the_same_numbers() {
    let other = std::env::var("LNZ_BEFORE").expect("LNZ_BEFORE is the program to compare with");
    let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut differing = 0;
    let commands = commands();
    for command in &commands {
        let before = run(&other, command, old.path(), old.path());
        let after = run(env!("CARGO_BIN_EXE_lnz"), command, new.path(), old.path());
        let mut found = differences(&before.1, &after.1);
        if before.0 != after.0 {
            found.push(format!("exit status {:?}, now {:?}", before.0, after.0));
        }
        println!("{} {command}", if found.is_empty() { "same" } else { "DIFFERS" });
        found.iter().take(6).for_each(|line| println!("    {line}"));
        differing += usize::from(!found.is_empty());
    }
    for file in fs::read_dir(old.path()).unwrap().map(|file| file.unwrap().file_name()) {
        let of = |folder: &Path| fs::read(folder.join(&file)).unwrap_or_default();
        let (before, after) = (of(old.path()), of(new.path()));
        let same = match (std::str::from_utf8(&before), std::str::from_utf8(&after)) {
            (Ok(before), Ok(after)) => differences(before, after).is_empty(),
            _ => before == after,
        };
        println!("{} {}", if same { "same" } else { "DIFFERS" }, file.display());
        differing += usize::from(!same);
    }
    println!("{} commands, {differing} differ", commands.len());
    assert_eq!(differing, 0);
}

#[test]
fn numbers_are_told_apart_and_names_and_times_are_not() {
    assert!(differences(r#"{"a":1.5,"seconds":3}"#, r#"{"b":1.5,"seconds":4}"#).is_empty());
    assert_eq!(differences(r#"{"a":1.5}"#, r#"{"a":1.5000000000000002}"#).len(), 2);
    assert_eq!(differences(r#"{"a":[1,1]}"#, r#"{"a":[1]}"#).len(), 2);
    assert_eq!(differences("a,b", "a,c").len(), 1);
}

#[test]
fn choices_multiply() {
    assert_eq!(choices("x {a,b} {c,d}"), ["x a c", "x a d", "x b c", "x b d"]);
    assert!(commands().len() > 150, "{}", commands().len());
}
