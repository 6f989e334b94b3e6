//! Holds the shape of the source: the arrows between modules, what pure means, lengths, headers.
//!
//! Each rule is a function from files to findings, and each is tested with a planted violation.

#[path = "tidy/source.rs"]
mod source;

use std::fs;
use std::path::{Path, PathBuf};

/// Lines of one file.
const FILE_LINES: usize = 500;
/// Columns of one line.
const LINE_COLUMNS: usize = 100;

/// What each module at the top of `src` may name of the crate: a module, or one item of it.
/// The code map of ARCHITECTURE.md, as a table. A module always knows itself.
const ARROWS: &[(&str, &[&str])] = &[
    ("limits", &[]),
    ("time", &[]),
    ("shard", &["limits", "time"]),
    ("wheel", &["limits", "time", "shard"]),
    ("protocol", &["limits", "time"]),
    ("app", &["limits", "time", "shard::Core"]),
    ("stats", &["limits", "time"]),
    ("tune", &["limits", "stats"]),
    (
        "server",
        &[
            "limits", "time", "shard", "wheel", "protocol", "app", "stats",
        ],
    ),
    ("load", &["limits", "time", "shard", "wheel", "protocol"]),
    ("tls", &["limits", "time", "shard"]),
    ("report", &["limits", "time", "load", "stats", "tune"]),
    ("engine", &["limits", "time", "shard"]),
    (
        "sampler",
        &["shard", "stats", "engine::Stop", "engine::now"],
    ),
    ("baseline", &["limits", "engine::Stop", "engine::now"]),
    ("main", &["cli"]),
    ("lib", &[]),
];

/// The one module that may name every other.
const TOP: &str = "cli";

/// Modules without clock, socket, file, thread, print or `unsafe`.
const PURE: &[&str] = &[
    "limits", "time", "shard", "wheel", "protocol", "app", "stats", "tune", "server", "load",
    "report", "tls",
];

/// What opens every pure module.
const PURE_ATTRIBUTES: &[&str] = &[
    "#![forbid(unsafe_code)]",
    "clippy::disallowed_methods",
    "clippy::disallowed_types",
    "clippy::indexing_slicing",
    "clippy::panic",
    "clippy::expect_used",
];

/// Crates and parts of the standard library that reach outside.
const OUTSIDE: &[&str] = &[
    "tokio::",
    "glommio::",
    "io_uring::",
    "libc::",
    "rustix::",
    "socket2::",
    "procfs::",
    "std::fs",
    "std::thread",
    "std::process",
    "std::os",
    "std::io::std",
    "std::env",
];

/// One source file: its path from the root of the repository, and its text.
struct File {
    path: String,
    text: String,
}

impl File {
    fn new(path: &str, text: &str) -> Self {
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
        }
    }

    /// The module at the top of `src` that the file belongs to; `None` outside `src`.
    fn module(&self) -> Option<&str> {
        let inside = self.path.strip_prefix("src/")?;
        let first = inside.split('/').next()?;
        Some(first.strip_suffix(".rs").unwrap_or(first))
    }

    /// How many `super` lead from the file's module to the root of the crate.
    fn depth(&self) -> usize {
        let inside = self.path.strip_prefix("src/").unwrap_or(&self.path);
        let names = inside.split('/').count();
        if inside.ends_with("/mod.rs") {
            names - 1
        } else {
            names
        }
    }

    /// Whether the file is the root of a module at the top of `src`.
    fn is_root(&self) -> bool {
        self.path.starts_with("src/") && self.depth() == 1
    }

    fn is_test(&self) -> bool {
        self.path.contains("/tests") || self.path.ends_with("_tests.rs")
    }

    fn is_in(&self, folder: &str) -> bool {
        self.path.starts_with(folder)
    }

    fn at(&self, line: usize, what: &str) -> String {
        format!("{}:{line}: {what}", self.path)
    }
}

fn arrows(file: &File) -> Vec<String> {
    let Some(module) = file.module().filter(|&module| module != TOP) else {
        return Vec::new();
    };
    let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == module) else {
        let remedy = "give it a line in ARROWS of tests/tidy.rs, or move it into a module";
        return vec![file.at(1, &format!("`{module}` has no arrows; {remedy}"))];
    };
    let code = source::code_only(&file.text);
    let mut paths = source::crate_paths(&code, file.depth());
    if module == "main" {
        let outside = source::crate_paths(&code.replace("ringstorm::", "crate::"), 0);
        paths.extend(outside);
    }
    let paths = paths
        .into_iter()
        .flat_map(|found| through_module(&code, allowed, found));
    let allows = |path: &str| {
        let first = path.split("::").next().unwrap_or(path);
        let itself = first == module || !is_module(first);
        let fits = |arrow: &&str| path == *arrow || path.starts_with(&format!("{arrow}::"));
        itself || allowed.iter().any(fits)
    };
    paths
        .filter(|(_, path)| !allows(path))
        .map(|(line, path)| {
            let remedy = "move the code to where it is known, or pass it in";
            let known = allowed.join(", ");
            file.at(
                line,
                &format!("`{module}` may know [{known}], not `{path}`; {remedy}"),
            )
        })
        .collect()
}

/// `use crate::engine;` where only some items of `engine` are allowed: what is used through it.
fn through_module(
    code: &str,
    allowed: &[&str],
    (line, path): (usize, String),
) -> Vec<(usize, String)> {
    let inner = format!("{path}::");
    if allowed.iter().all(|arrow| !arrow.starts_with(&inner)) {
        return vec![(line, path)];
    }
    let ends = |text: &str| text.find(|c: char| !c.is_alphanumeric() && c != '_');
    code.match_indices(&inner)
        .map(|(at, _)| {
            let item = &code[at + inner.len()..];
            let item = &item[..ends(item).unwrap_or(item.len())];
            let line = 1 + code[..at].matches('\n').count();
            (line, format!("{inner}{item}"))
        })
        .collect()
}

/// Whether the word is a module at the top of `src`, and not an item of the file itself.
fn is_module(word: &str) -> bool {
    word == TOP || ARROWS.iter().any(|(name, _)| *name == word)
}

fn is_pure(file: &File) -> bool {
    file.module().is_some_and(|module| PURE.contains(&module))
}

fn pure_attributes(file: &File) -> Vec<String> {
    if !is_pure(file) || !file.is_root() {
        return Vec::new();
    }
    PURE_ATTRIBUTES
        .iter()
        .filter(|attribute| !file.text.contains(**attribute))
        .map(|attribute| {
            let remedy = "open it with the attributes of CONTRIBUTING.md, as src/time.rs does";
            file.at(1, &format!("a pure module without `{attribute}`; {remedy}"))
        })
        .collect()
}

fn pure_reach(file: &File) -> Vec<String> {
    if !is_pure(file) {
        return Vec::new();
    }
    let remedy = "pure code is handed what it needs: read it in engine or cli and pass it in";
    words(file, OUTSIDE, |word| {
        format!("a pure module names `{word}`; {remedy}")
    })
}

fn prints(file: &File) -> Vec<String> {
    if !file.is_in("src/") || file.is_in("src/cli/") || file.is_test() {
        return Vec::new();
    }
    let printing = [
        "println!",
        "eprintln!",
        "print!",
        "eprint!",
        "io::stdout",
        "io::stderr",
    ];
    let remedy = "return it as a value and let src/cli print it";
    words(file, &printing, |word| {
        format!("`{word}` outside cli; {remedy}")
    })
}

fn unsafe_code(file: &File) -> Vec<String> {
    let granted = ["src/engine/ring/", "benches/", "tests/"];
    if granted.iter().any(|folder| file.is_in(folder)) {
        return Vec::new();
    }
    let remedy = "use a safe crate (rustix, socket2), or move it into src/engine/ring";
    words(file, &["unsafe "], |_| {
        format!("`unsafe` outside src/engine/ring; {remedy}")
    })
}

fn allows(file: &File) -> Vec<String> {
    let remedy = "use #[expect(lint, reason = \"...\")]";
    words(file, &["#[allow(", "#![allow("], |word| {
        format!("`{word}...)]`; {remedy}")
    })
}

/// A finding for every line of code that has one of the words, not as the end of a longer one.
fn words(file: &File, words: &[&str], say: impl Fn(&str) -> String) -> Vec<String> {
    let code = source::code_only(&file.text);
    let mut findings = Vec::new();
    // Tests at the end of a file may print and read what they like.
    let code = code
        .split("#[cfg(test)]\nmod tests {")
        .next()
        .unwrap_or(&code);
    for (index, line) in code.lines().enumerate() {
        for word in words {
            let whole = |at: usize| {
                let before = line[..at].chars().next_back();
                !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':')
            };
            if line.match_indices(word).any(|(at, _)| whole(at)) {
                findings.push(file.at(index + 1, &say(word)));
            }
        }
    }
    findings
}

fn header(file: &File) -> Vec<String> {
    if file.text.starts_with("//! ") {
        return Vec::new();
    }
    vec![file.at(
        1,
        "no header; open the file with a `//!` sentence saying what it is for",
    )]
}

fn file_length(file: &File) -> Vec<String> {
    let lines = file.text.lines().count();
    if lines <= FILE_LINES {
        return Vec::new();
    }
    let remedy = "split it by what changes together, tests into a file of their own";
    vec![file.at(
        lines,
        &format!("{lines} lines, {FILE_LINES} at most; {remedy}"),
    )]
}

fn line_length(file: &File) -> Vec<String> {
    let is_table = |line: &str| line.starts_with("//! |") || line.starts_with("/// |");
    file.text
        .lines()
        .enumerate()
        .filter(|(_, line)| line.chars().count() > LINE_COLUMNS && !is_table(line))
        .map(|(index, line)| {
            let columns = line.chars().count();
            let remedy = "break it; cargo fmt does for code";
            file.at(
                index + 1,
                &format!("{columns} columns, {LINE_COLUMNS} at most; {remedy}"),
            )
        })
        .collect()
}

type Rule = fn(&File) -> Vec<String>;

const RULES: &[Rule] = &[
    arrows,
    pure_attributes,
    pure_reach,
    prints,
    unsafe_code,
    allows,
    header,
    file_length,
    line_length,
];

fn read_tree() -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in ["src", "tests", "benches", "examples"] {
        collect(&root.join(folder), &mut |path| {
            let text = fs::read_to_string(path).expect("a readable source file");
            let inside = path.strip_prefix(root).expect("a path below the root");
            files.push(File::new(&inside.to_string_lossy(), &text));
        });
    }
    files
}

fn collect(folder: &Path, take: &mut impl FnMut(&Path)) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            collect(&path, take);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            take(&path);
        }
    }
}

#[test]
fn the_source_keeps_every_rule() {
    let files = read_tree();
    assert!(files.len() > 10, "the tree was not found");
    let findings: Vec<String> = files
        .iter()
        .flat_map(|file| RULES.iter().flat_map(|rule| rule(file)))
        .collect();
    assert!(
        findings.is_empty(),
        "{} findings:\n{}",
        findings.len(),
        findings.join("\n")
    );
}

/// A rule, a file that breaks it, what is planted in it, and a part of what must be said.
const PLANTED: &[(Rule, &str, &str, &str)] = &[
    (
        arrows,
        "src/load/shard.rs",
        "use crate::server::Server;",
        "`load` may know",
    ),
    (
        arrows,
        "src/load/shard.rs",
        "use super::super::{limits, server};",
        "not `server`",
    ),
    (
        arrows,
        "src/protocol/mod.rs",
        "fn f() { crate::shard::f() }",
        "not `shard::f`",
    ),
    (
        arrows,
        "src/baseline/mod.rs",
        "use crate::engine::Plan;",
        "not `engine::Plan`",
    ),
    (
        arrows,
        "src/engine/ring/mod.rs",
        "use crate::{time, protocol::http};",
        "not `protocol",
    ),
    (
        arrows,
        "src/main.rs",
        "use ringstorm::server;",
        "not `server`",
    ),
    (arrows, "src/manager.rs", "//! X.", "ARROWS"),
    (
        pure_attributes,
        "src/time.rs",
        "//! X.",
        "#![forbid(unsafe_code)]",
    ),
    (
        pure_attributes,
        "src/load/mod.rs",
        "//! X.",
        "clippy::panic",
    ),
    (
        pure_reach,
        "src/server/x.rs",
        "use std::fs::read;",
        "`std::fs`",
    ),
    (
        prints,
        "src/engine/mod.rs",
        "fn f() { println!(\"\") }",
        "src/cli",
    ),
    (
        unsafe_code,
        "src/cli/mod.rs",
        "unsafe { f() }",
        "src/engine/ring",
    ),
    (allows, "src/cli/mod.rs", "#[allow(dead_code)]", "#[expect"),
    (header, "src/x.rs", "use std::io;", "`//!`"),
];

#[test]
fn every_rule_finds_a_planted_violation_and_names_file_and_remedy() {
    let long = format!("//! X.\n{}", "\n".repeat(FILE_LINES));
    let wide = format!("//! {}", "x".repeat(LINE_COLUMNS));
    let lengths: [(Rule, &str, &str, &str); 2] = [
        (file_length, "src/x.rs", &long, "501 lines"),
        (line_length, "src/x.rs", &wide, "104 columns"),
    ];
    for (rule, path, text, part) in PLANTED.iter().chain(&lengths) {
        let findings = rule(&File::new(path, text)).join("\n");
        assert!(
            findings.starts_with(path),
            "{path}: {text:?} was not found: {findings}"
        );
        assert!(findings.contains(part), "{findings}");
    }
}

#[test]
fn what_is_allowed_is_not_found() {
    let kept: &[(Rule, &str, &str)] = &[
        (
            arrows,
            "src/load/shard.rs",
            "use crate::{limits, shard::Wire}; use super::config;",
        ),
        (
            arrows,
            "src/baseline/mod.rs",
            "use crate::engine::Stop; crate::engine::now();",
        ),
        (arrows, "src/cli/mod.rs", "use crate::server::Server;"),
        (
            arrows,
            "src/engine/mod.rs",
            "// crate::server\nconst S: &str = \"crate::server\";",
        ),
        (arrows, "src/time.rs", "mod tests { use super::*; }"),
        (prints, "src/cli/mod.rs", "println!(\"\")"),
        (unsafe_code, "src/engine/ring/kernel.rs", "unsafe { f() }"),
        (unsafe_code, "src/lib.rs", "#![forbid(unsafe_code)]"),
    ];
    for (rule, path, text) in kept {
        let findings = rule(&File::new(path, text));
        assert!(findings.is_empty(), "{findings:?}");
    }
}
