//! Reads Rust source as text: what is code, and which modules of the crate it names.

/// The source with every comment, string and character literal blanked out; line breaks stay.
pub(super) fn code_only(source: &str) -> String {
    let mut code = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let skipped = literal_or_comment(rest, code.chars().next_back());
        if skipped == 0 {
            code.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            let blank = |c: char| if c == '\n' { '\n' } else { ' ' };
            code.extend(rest[..skipped].chars().map(blank));
            rest = &rest[skipped..];
        }
    }
    code
}

/// Bytes of the comment or literal that `rest` begins with; 0 if it begins with code.
fn literal_or_comment(rest: &str, before: Option<char>) -> usize {
    let in_word = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return block_comment(rest);
    }
    if let Some(inside) = rest.strip_prefix('"') {
        return 1 + quoted(inside, '"');
    }
    if !in_word && (rest.starts_with("r\"") || rest.starts_with("r#") || rest.starts_with("br")) {
        return raw_string(rest);
    }
    if rest.starts_with('\'') {
        return character(rest);
    }
    0
}

fn block_comment(rest: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

/// Bytes up to and with the closing quote.
fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

fn raw_string(rest: &str) -> usize {
    let prefix = if rest.starts_with('b') { 2 } else { 1 };
    let hashes = rest[prefix..].bytes().take_while(|&b| b == b'#').count();
    let open = prefix + hashes;
    if rest.as_bytes().get(open) != Some(&b'"') {
        return 0;
    }
    let close = format!("\"{}", "#".repeat(hashes));
    let body = &rest[open + 1..];
    let end = body.find(&close).map_or(body.len(), |at| at + close.len());
    open + 1 + end
}

/// A character literal; 0 for a lifetime.
fn character(rest: &str) -> usize {
    let mut chars = rest[1..].chars();
    match (chars.next(), chars.next()) {
        (Some('\\'), _) => 1 + quoted(&rest[1..], '\''),
        (Some(c), Some('\'')) => 2 + c.len_utf8(),
        _ => 0,
    }
}

/// Every path that begins with the crate itself, without that beginning, with its line from 1.
///
/// `use crate::{limits, shard::{Core, Wire}};` gives `limits`, `shard::Core` and `shard::Wire`.
/// `depth` is how many `super` lead from the file's module to the crate's root.
pub(super) fn crate_paths(code: &str, depth: usize) -> Vec<(usize, String)> {
    let mut paths = Vec::new();
    let root = "super::".repeat(depth);
    for (number, start) in starts(code, "crate::").chain(starts(code, &root)) {
        let mut found = Vec::new();
        tree(&code[start..], "", &mut found);
        paths.extend(found.into_iter().map(|path| (number, path)));
    }
    paths
}

/// Where the text after each whole-word occurrence of `prefix` begins, with its line.
fn starts<'c>(code: &'c str, prefix: &str) -> impl Iterator<Item = (usize, usize)> + use<'c> {
    let length = prefix.len();
    let hits: Vec<usize> = if prefix.is_empty() {
        Vec::new()
    } else {
        code.match_indices(prefix).map(|(at, _)| at).collect()
    };
    hits.into_iter()
        .filter(|&at| !code[..at].ends_with(|c: char| is_word(c) || c == ':' || c == '$'))
        .map(move |at| (1 + code[..at].matches('\n').count(), at + length))
}

/// Takes one use tree off `rest`, adds its paths, and says how many bytes it had.
fn tree(rest: &str, prefix: &str, paths: &mut Vec<String>) -> usize {
    let indent = rest.len() - rest.trim_start().len();
    let body = &rest[indent..];
    if let Some(inner) = body.strip_prefix('{') {
        let mut at = 1;
        loop {
            at += tree(&body[at..], prefix, paths);
            match body[at..].chars().next() {
                Some(',') => at += 1,
                _ => break,
            }
        }
        debug_assert!(!inner.is_empty(), "an open brace ends the file");
        let close = body[at..].find('}').map_or(body.len(), |end| at + end + 1);
        return indent + close;
    }
    let word: usize = body
        .chars()
        .take_while(|&c| is_word(c) || c == '*')
        .map(char::len_utf8)
        .sum();
    if word == 0 {
        return indent;
    }
    let path = format!("{prefix}{}", &body[..word]);
    if let Some(further) = body[word..].strip_prefix("::")
        && further.starts_with(|c: char| is_word(c) || c == '{' || c == '*' || c == '\n')
    {
        return indent + word + 2 + tree(further, &format!("{path}::"), paths);
    }
    paths.push(path);
    // `as name` belongs to the tree.
    let end = body[word..].find([',', '}', ';', '\n']).unwrap_or(0);
    indent + word + end
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The code before the tests at its end.
pub(super) fn without_tests(code: &str) -> String {
    let tests = code.match_indices("#[cfg(test)]\n").map(|(at, _)| at);
    let is_module = |&at: &usize| {
        let mut lines = code[at..].lines().skip(1);
        let item = lines.find(|line| !line.starts_with("#["));
        item.is_some_and(|line| line.starts_with("mod ") && line.ends_with('{'))
    };
    let end = tests.into_iter().find(is_module).unwrap_or(code.len());
    code[..end].to_owned()
}

/// Every path of a `use`, in its words, with its line from 1.
pub(super) fn used(code: &str) -> Vec<(usize, Vec<String>)> {
    let found = starts(code, "use ").flat_map(|(line, start)| {
        let mut paths = Vec::new();
        tree(&code[start..], "", &mut paths);
        paths.into_iter().map(move |path| (line, words_of(&path)))
    });
    found.collect()
}

/// Every path that begins with the crate, its own module or one above, in words from the root.
pub(super) fn relative_paths(code: &str, module: &[String]) -> Vec<(usize, Vec<String>)> {
    let mut paths = Vec::new();
    for prefix in ["crate::", "super::", "self::"] {
        for (line, start) in starts(code, prefix) {
            let mut found = Vec::new();
            tree(&code[start - prefix.len()..], "", &mut found);
            let absolute = |path: String| {
                let words = words_of(&path);
                let ups = words.iter().take_while(|word| *word == "super").count();
                let kept = match words.first().map(String::as_str) {
                    Some("crate") => 0,
                    _ => module.len().saturating_sub(ups),
                };
                let rest = words.into_iter().skip(ups.max(1));
                (line, module[..kept].iter().cloned().chain(rest).collect())
            };
            paths.extend(found.into_iter().map(absolute));
        }
    }
    paths
}

fn words_of(path: &str) -> Vec<String> {
    path.split("::").map(str::to_owned).collect()
}

/// Every struct, enum and union: its line from 1, its name, whether other files can see it.
pub(super) fn types(code: &str) -> Vec<(usize, String, bool)> {
    let mut types = Vec::new();
    for (index, line) in code.lines().enumerate() {
        let item = line.trim_start();
        let plain = match item.strip_prefix("pub") {
            Some(rest) if rest.starts_with('(') => rest.split_once(") ").map_or("", |it| it.1),
            Some(rest) => rest.trim_start(),
            None => item,
        };
        let kinds = ["struct ", "enum ", "union "];
        if let Some(rest) = kinds.iter().find_map(|kind| plain.strip_prefix(kind)) {
            let name = rest.chars().take_while(|&c| is_word(c)).collect();
            types.push((index + 1, name, item != plain));
        }
    }
    types
}

/// Every `impl` without a trait: its line from 1 and the type's name.
pub(super) fn inherent_impls(code: &str) -> Vec<(usize, String)> {
    let heads = starts(code, "impl").filter(|(_, start)| {
        let before = code[..start - "impl".len()].chars().next_back();
        before.is_none_or(|c| c == '\n')
    });
    let impls = heads.filter_map(|(line, start)| {
        let head = code[start..].split('{').next()?;
        let head = head.split(" where ").next()?.split("\nwhere").next()?;
        let of = past_generics(head.trim_start()).trim();
        if head.contains(" for ") {
            return None;
        }
        let path = of.split('<').next()?.trim();
        let name = path.rsplit("::").next()?;
        Some((line, name.to_owned()))
    });
    impls.collect()
}

/// Every struct with named fields, and their names.
pub(super) fn fields(code: &str) -> Vec<(String, Vec<String>)> {
    let structs = starts(code, "struct ").filter_map(|(_, start)| {
        let name: String = code[start..].chars().take_while(|&c| is_word(c)).collect();
        let end = code[start..].find(['{', ';', '('])?;
        let body = code[start + end..].strip_prefix('{')?;
        let body = body.split("\n}").next()?.split("\n    }").next()?;
        let fields = body.lines().filter_map(|line| {
            let line = line.trim_start();
            let plain = match line.strip_prefix("pub(") {
                Some(rest) => rest.split_once(") ")?.1,
                None => line.strip_prefix("pub ").unwrap_or(line),
            };
            let (field, kind) = plain.split_once(':')?;
            let is_name = !field.is_empty() && field.chars().all(is_word);
            (is_name && !kind.starts_with(':')).then(|| field.to_owned())
        });
        Some((name, fields.collect()))
    });
    structs.collect()
}

/// Every `receiver.field` that is no call, by the last word of its receiver and the field's name.
pub(super) fn accesses(code: &str) -> Vec<(String, String)> {
    let dots = code.match_indices('.').filter_map(|(at, _)| {
        let after = &code[at + 1..];
        let field: String = after.chars().take_while(|&c| is_word(c)).collect();
        let rest = after[field.len()..].trim_start();
        let is_field = field.starts_with(|c: char| c.is_alphabetic())
            && !rest.starts_with(['(', '!'])
            && !rest.starts_with("::");
        let before = code[..at].trim_end();
        let receiver = before.rsplit(|c| !is_word(c)).next()?;
        let is_range = before.ends_with('.');
        (is_field && !is_range).then(|| (receiver.to_owned(), field))
    });
    dots.collect()
}

/// The names of all structs that are built or taken apart, as `Name { .. }`.
pub(super) fn braced(code: &str) -> Vec<String> {
    let braces = code.match_indices(" {").filter_map(|(at, _)| {
        let name = code[..at].rsplit(|c| !is_word(c)).next()?;
        let before = code[..at - name.len()].trim_end();
        let word = before.rsplit(|c| !is_word(c)).next()?;
        let heads = [
            "struct", "enum", "union", "trait", "impl", "for", "mod", "dyn",
        ];
        let is_head = heads.contains(&word) || before.ends_with(['>', '&', '+', ':']);
        let is_type = name.starts_with(|c: char| c.is_uppercase());
        (is_type && !is_head).then(|| name.to_owned())
    });
    braces.collect()
}

/// What follows `<...>`, if it begins with that.
fn past_generics(head: &str) -> &str {
    if !head.starts_with('<') {
        return head;
    }
    let mut depth = 0;
    let mut before = ' ';
    for (at, c) in head.char_indices() {
        match c {
            '<' => depth += 1,
            '>' if before != '-' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return &head[at + 1..];
        }
        before = c;
    }
    head
}

/// The names of all functions that are marked as tests, and those inside `proptest!`.
pub(super) fn tests(text: &str) -> Vec<String> {
    // A test of the suite of all engines.
    let suite = text.match_indices("<H: Harness>()").filter_map(|(at, _)| {
        let name = text[..at].rsplit(|c| !is_word(c)).next()?;
        Some(name.to_owned())
    });
    let marked = text.match_indices("#[test]").filter_map(|(at, _)| {
        let after = &text[at..];
        let name = &after[after.find("fn ")? + 3..];
        Some(name.chars().take_while(|&c| is_word(c)).collect())
    });
    marked.chain(suite).collect()
}

#[test]
fn comments_strings_and_characters_are_not_code() {
    let source = "a \"crate::x\\\"\" b // crate::y\n/* crate::z /* */ */ 'c' '\\'' r#\"\"crate\"#d";
    let code = code_only(source);
    assert!(!code.contains("crate"), "{code}");
    assert_eq!(code.split_whitespace().collect::<Vec<_>>(), ["a", "b", "d"]);
    assert_eq!(code.matches('\n').count(), 1);
}

#[test]
fn a_lifetime_is_not_a_character() {
    assert_eq!(
        code_only("fn f<'a>(x: &'a str) {}"),
        "fn f<'a>(x: &'a str) {}"
    );
}

#[test]
fn a_use_tree_gives_every_path_in_it() {
    let paths = |code, depth| -> Vec<String> {
        crate_paths(code, depth)
            .into_iter()
            .map(|(_, path)| path)
            .collect()
    };
    let nested = "use crate::{limits, shard::{Core, Wire as W}, time::*};\nlet x = crate::a::b();";
    let expected = ["limits", "shard::Core", "shard::Wire", "time::*", "a::b"];
    assert_eq!(paths(nested, 1), expected);
    assert_eq!(paths("use super::super::limits::X;", 2), ["limits::X"]);
    assert_eq!(paths("fn f() { mycrate::x(); }", 1), [""; 0]);
}
