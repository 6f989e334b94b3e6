//! Holds the shape of the source: the arrows between modules, what pure means, lengths, headers.
//!
//! Each rule is a function from files to findings, and each is tested with a planted violation.

#[path = "tidy/circles.rs"]
mod circles;
#[path = "tidy/fields.rs"]
mod fields;
#[path = "tidy/planted.rs"]
mod planted;
#[path = "tidy/references.rs"]
mod references;
#[path = "tidy/source.rs"]
mod source;
#[path = "tidy/types.rs"]
mod types;
#[path = "tidy/wires.rs"]
mod wires;

use std::fs;
use std::path::{Path, PathBuf};

/// Names that so many types still have, at most. The numbers only shrink, and a name
/// that has become one type's own must go.
const SHARED: &[(usize, &str)] = &[
    (
        2,
        "Addresses Connects Content CoreFigures Due Ending Event Events FanOut Figures \
         Inflater Latencies Load Mailbox Message Messages Open Outcome Phase Pieces Pings \
         Pool Progress Queue Request Rings Role Rooms Round Server Stamp Template \
         Tls",
    ),
    (3, "Asked Said Session"),
    (4, "Kind Stage"),
    (9, "Config"),
];

/// How many files of its folder may touch the fields of one struct.
const TOUCHING_FILES: usize = 3;

/// Lines of one file.
const FILE_LINES: usize = 500;
/// Columns of one line.
const LINE_COLUMNS: usize = 100;

/// What each module at the top of `src` may name of the crate: a module, or one item of it.
/// The code map of ARCHITECTURE.md, as a table. A module always knows itself.
const ARROWS: &[(&str, &[&str])] = &[
    ("limits", &[]),
    ("time", &[]),
    ("live", &[]),
    ("payload", &["limits"]),
    ("shard", &["limits", "time", "payload"]),
    ("wheel", &["limits", "time", "shard"]),
    ("protocol", &["limits", "time", "payload"]),
    (
        "app",
        &[
            "limits",
            "time",
            "live",
            "shard::Core",
            "shard::PeerNameKind",
            "shard::PeerNames",
            "protocol::cable",
            "protocol::centrifugo",
            "protocol::socketcluster",
            "protocol::socketio",
            "protocol::json",
            "protocol::Malformed",
        ],
    ),
    (
        "backend",
        &[
            "limits",
            "time",
            "app::backend",
            "app::passing",
            "engine::now",
        ],
    ),
    ("store", &["limits", "time", "app::hub", "engine::now"]),
    ("door", &["limits", "time", "shard", "wheel"]),
    ("stats", &["limits", "time"]),
    ("tune", &["limits", "stats"]),
    (
        "server",
        &[
            "limits", "time", "live", "shard", "wheel", "protocol", "app", "door", "stats",
        ],
    ),
    ("load", &["limits", "time", "shard", "wheel", "protocol"]),
    ("tls", &["limits", "time", "live", "shard"]),
    ("proxy", &["time", "shard", "protocol"]),
    ("study", &[]),
    (
        "report",
        &["limits", "time", "load", "stats", "study", "tune"],
    ),
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
    "limits", "time", "live", "payload", "shard", "wheel", "protocol", "app", "door", "stats",
    "tune", "server", "load", "study", "report", "tls", "proxy",
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

    /// Whether the file is code of the crate, and not of its tests.
    fn is_code(&self) -> bool {
        self.is_in("src/") && self.path.ends_with(".rs") && !self.is_test()
    }

    /// Whether the file is the module of that path, or one below it.
    fn is_at_or_below(&self, path: &str) -> bool {
        let folder = path.trim_end_matches(".rs").trim_end_matches("/mod");
        self.path == path || self.is_in(&format!("{folder}/"))
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

/// A rule on all files together.
type TreeRule = fn(&[File]) -> Vec<String>;

const TREE_RULES: &[TreeRule] = &[
    circles::circles,
    types::impls,
    |files| types::names(files, SHARED),
    |files| fields::touched(files, TOUCHING_FILES),
    references::empty_tests,
    references::pages,
    references::promised_tests,
    wires::forwarded,
];

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
    let mut take = |path: &Path| {
        let text = fs::read_to_string(path).expect("a readable source file");
        let inside = path.strip_prefix(root).expect("a path below the root");
        files.push(File::new(&inside.to_string_lossy(), &text));
    };
    for folder in ["src", "tests", "benches", "examples", "docs"] {
        collect(&root.join(folder), &mut take);
    }
    let entries = fs::read_dir(root).into_iter().flatten().flatten();
    let pages = entries.map(|entry| entry.path());
    pages
        .filter(|path| is_page(path))
        .for_each(|path| take(&path));
    files
}

fn is_page(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "md")
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
        } else if is_page(&path) || path.extension().is_some_and(|extension| extension == "rs") {
            take(&path);
        }
    }
}

#[test]
fn the_source_keeps_every_rule() {
    let files = read_tree();
    assert!(files.len() > 10, "the tree was not found");
    let code = files.iter().filter(|file| file.path.ends_with(".rs"));
    let mut findings: Vec<String> = code
        .flat_map(|file| RULES.iter().flat_map(|rule| rule(file)))
        .collect();
    for rule in TREE_RULES {
        findings.extend(rule(&files));
    }
    assert!(
        findings.is_empty(),
        "{} findings:\n{}",
        findings.len(),
        findings.join("\n")
    );
}
