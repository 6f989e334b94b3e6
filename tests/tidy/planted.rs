//! Each rule is shown to find a planted violation, and to keep quiet about what is allowed.

use super::*;

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
        "use crate::engine::EngineConfig;",
        "not `engine::EngineConfig`",
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
fn every_rule_finds_a_planted_violation_and_names_file_line_and_remedy() {
    let long = format!("//! X.\n{}", "\n".repeat(FILE_LINES));
    let wide = format!("//! {}", "x".repeat(LINE_COLUMNS));
    let lengths: [(Rule, &str, &str, &str); 2] = [
        (file_length, "src/x.rs", &long, "501 lines"),
        (line_length, "src/x.rs", &wide, "104 columns"),
    ];
    for (rule, path, text, part) in PLANTED.iter().chain(&lengths) {
        let findings = rule(&File::new(path, text)).join("\n");
        let place = findings.strip_prefix(path);
        let line = place.and_then(|rest| rest.strip_prefix(':')?.split(':').next());
        let line = line.and_then(|line| line.parse::<usize>().ok());
        assert!(
            line.is_some_and(|line| (1..=text.lines().count()).contains(&line)),
            "{path}: {text:?} was not found: {findings}"
        );
        assert!(findings.contains(part), "{findings}");
        assert!(findings.contains("; "), "no remedy: {findings}");
    }
    let planted = PLANTED.iter().chain(&lengths);
    let planted: Vec<usize> = planted.map(|(rule, ..)| *rule as usize).collect();
    for rule in RULES {
        assert!(planted.contains(&(*rule as usize)), "a rule is not planted");
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

/// A rule on all files, the files, and what must be said: file, line and a part of it.
type PlantedTree = (
    TreeRule,
    &'static [(&'static str, &'static str)],
    &'static str,
    &'static str,
);

const PLANTED_TREES: &[PlantedTree] = &[
    (
        circles::circles,
        &[
            ("src/load/mod.rs", "mod a;\nmod b;"),
            ("src/load/a.rs", "//! A.\n\nuse super::b::B;\npub struct A;"),
            (
                "src/load/b.rs",
                "//! B.\nfn f(a: super::a::A) {}\npub struct B;",
            ),
        ],
        "src/load/b.rs:2:",
        "`b` takes `A` of `a`",
    ),
    (
        circles::circles,
        &[
            (
                "src/load/mod.rs",
                "mod a;\nmod b;\nmod c;\npub use c::{B as X, C};",
            ),
            ("src/load/a/deep.rs", "use crate::load::b::B;"),
            ("src/load/a/mod.rs", "pub mod deep;"),
            ("src/load/b.rs", "use super::C;"),
            ("src/load/c.rs", "use crate::load::{a::deep};"),
        ],
        "src/load/b.rs:1:",
        "`b` takes `C` of `c`",
    ),
    (
        types::impls,
        &[
            ("src/tls/a.rs", "pub struct A<T>(T);"),
            ("src/tls/b.rs", "\nimpl<T: Into<u8>> super::a::A<T> {}"),
        ],
        "src/tls/b.rs:2:",
        "CONTRIBUTING.md",
    ),
    (
        |files| types::names(files, &[]),
        &[
            ("src/tls/a.rs", "pub struct Plan;"),
            ("src/load/b.rs", "//! B.\npub(crate) enum Plan {}"),
        ],
        "src/load/b.rs:2:",
        "src/tls/a.rs",
    ),
    (
        |files| types::names(files, &[(2, "Plan")]),
        &[("src/tls/a.rs", "pub struct Plan;")],
        "tests/tidy.rs:1:",
        "no two types are called `Plan`; ",
    ),
    (
        |files| types::names(files, &[(3, "Plan")]),
        &[
            ("src/tls/a.rs", "pub struct Plan;"),
            ("src/load/b.rs", "pub struct Plan;"),
        ],
        "tests/tidy.rs:1:",
        "only 2 types are called `Plan`; ",
    ),
    (
        |files| fields::touched(files, 1),
        &[
            (
                "src/load/a.rs",
                "//! A.\npub struct A<T> {\n    pub(super) fee: T,\n}\nfn f(it: A) { it.fee }",
            ),
            ("src/load/b.rs", "fn f(it: &A) { it.a\n    .fee = 1; }"),
        ],
        "src/load/a.rs:1:",
        "by 2 files, 1 at most: src/load/a.rs, src/load/b.rs",
    ),
    (
        |files| fields::touched(files, 1),
        &[
            ("src/server/a.rs", "struct Big {\n    fee: u8,\n}\n"),
            ("src/server/b.rs", "struct Other {\n    fee: u8,\n}\n"),
            ("src/server/c.rs", "fn f() { let Big { fee } = x; }"),
            ("src/server/d.rs", "fn f() { self.big.fee += 1; }"),
        ],
        "src/server/a.rs:1:",
        "by 2 files, 1 at most: src/server/c.rs, src/server/d.rs",
    ),
    (
        wires::forwarded,
        &[
            (
                "src/shard.rs",
                "pub trait Wire<M> {\n    fn now(&self);\n    fn held(&self) {}\n    \
                 fn core(&self);\n}",
            ),
            (
                "src/tls/a.rs",
                "//! A.\n\nimpl<M, W: Wire<M>> Wire<M> for A<W> {\n    \
                 forward_wire!(M: now);\n\n    fn core(&self) {}\n}",
            ),
        ],
        "src/tls/a.rs:3:",
        "leaves `held` to its default",
    ),
    (
        references::empty_tests,
        &[("src/tls/record_tests.rs", "use super::*;")],
        "src/tls/record_tests.rs:1:",
        "without a test",
    ),
    (
        references::pages,
        &[
            ("docs/load.md", concat!("see [b](gone.", "md)")),
            ("docs/serve.md", ""),
        ],
        "docs/load.md:1:",
        concat!("there is no gone.", "md"),
    ),
    (
        references::promised_tests,
        &[
            ("SECURITY.md", "# X\n| `limits_of` | `a_bomb_is_stopped` |"),
            ("tests/x.rs", "fn a_bomb_is_stopped() {}"),
        ],
        "SECURITY.md:2:",
        "`a_bomb_is_stopped`",
    ),
    (
        references::promised_tests,
        &[
            (
                "SECURITY.md",
                "| class | held by |\n|---|---|\n| bombs | a test |",
            ),
            ("tests/x.rs", ""),
        ],
        "SECURITY.md:3:",
        "a class without a test",
    ),
];

fn tree(files: &[(&str, &str)]) -> Vec<File> {
    let files = files.iter();
    files.map(|(path, text)| File::new(path, text)).collect()
}

#[test]
fn every_rule_of_the_tree_finds_a_planted_violation_and_names_file_line_and_remedy() {
    for (rule, files, place, part) in PLANTED_TREES {
        let findings = rule(&tree(files));
        let found = findings.iter().find(|it| it.starts_with(place));
        let found = found.unwrap_or_else(|| panic!("{place} {part} was not found: {findings:?}"));
        assert!(found.contains(part), "{found}");
        assert!(found.contains("; "), "no remedy: {found}");
    }
}

/// A rule of the tree, and files that keep it.
const KEPT_TREES: &[(TreeRule, &[(&str, &str)])] = &[
    (
        circles::circles,
        &[
            (
                "src/load/mod.rs",
                "mod a;\nmod b;\npub use a::A;\npub struct P;",
            ),
            (
                "src/load/a.rs",
                "use super::P;\n#[cfg(test)]\nmod tests { use super::super::b::B; }",
            ),
            (
                "src/load/b.rs",
                "use super::{A, P};\n// super::b is `crate::load::b`",
            ),
            ("src/load/a/tests.rs", "use crate::load::b::B;"),
        ],
    ),
    (
        types::impls,
        &[
            ("src/tls/a/mod.rs", "pub struct A<T>(T);\nimpl<T> A<T> {}"),
            ("src/tls/a/b.rs", "impl super::A<u8> {}"),
            ("src/tls/c.rs", "impl<T> Clone for super::a::A<T> {}"),
        ],
    ),
    (
        |files| fields::touched(files, 1),
        &[
            (
                "src/load/a.rs",
                "struct A {\n    fee: u8,\n}\nimpl A { fn f() -> A { self.fee() } }",
            ),
            (
                "src/load/b.rs",
                "fn f(a: A) -> A { a.fee(); 0..fee; a.fee::<u8>(); b::A { x } }",
            ),
            ("src/load/tests/c.rs", "fn f(a: A) { a.fee }"),
            ("src/server/d.rs", "fn f(a: A) { a.fee }"),
            ("src/load/e.rs", "#[cfg(test)]\nmod tests { a.fee }"),
        ],
    ),
    (
        wires::forwarded,
        &[
            (
                "src/shard.rs",
                "pub trait Wire<M> {\n    fn now(&self);\n    fn send(&self) {}\n}",
            ),
            (
                "src/tls/a.rs",
                "//! A.\n\nimpl<M, W: Wire<M>> Wire<M> for A<W> {\n    \
                     forward_wire!(M:\n now);\n}",
            ),
            ("src/tls/b.rs", "//! B.\n\nimpl<M> Wire<M> for B {}"),
        ],
    ),
    (
        |files| types::names(files, &[(2, "Plan")]),
        &[
            ("src/tls/a.rs", "pub struct Plan;\nstruct State;"),
            ("src/load/b.rs", "pub struct Plan;\nenum State {}"),
        ],
    ),
    (
        references::empty_tests,
        &[
            ("src/tls/tests.rs", "mod a;"),
            ("src/tls/tests/a.rs", "#[test]\nfn a() {}"),
        ],
    ),
    (
        references::pages,
        &[
            (
                "docs/load.md",
                "[b](../SECURITY.md), `docs/load.md`, serve.md, https://x.org/gone.md",
            ),
            ("SECURITY.md", "docs/load.md"),
            ("docs/serve.md", ""),
        ],
    ),
    (
        references::promised_tests,
        &[
            (
                "SECURITY.md",
                "`max_memory`\n| `a_b` | `a_bomb_is_stopped` |",
            ),
            ("tests/x.rs", "#[test]\nfn a_bomb_is_stopped() {}"),
        ],
    ),
];

#[test]
fn what_a_tree_may_have_is_not_found() {
    for (rule, files) in KEPT_TREES {
        let findings = rule(&tree(files));
        assert!(findings.is_empty(), "{findings:?}");
    }
}
