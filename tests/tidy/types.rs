//! Where types stand: their `impl`s beside them, and one name for one thing.

use super::File;
use super::source;
use std::collections::BTreeMap;

/// An inherent `impl` stands in its type's file or below it.
pub(super) fn impls(files: &[File]) -> Vec<String> {
    let types = defined(files, |_| true);
    let inside = files.iter().filter(|file| file.is_code());
    inside
        .flat_map(|file| {
            let code = source::without_tests(&source::code_only(&file.text));
            let apart = source::inherent_impls(&code)
                .into_iter()
                .filter(|(_, name)| {
                    let homes = types.get(name.as_str()).into_iter().flatten();
                    !homes.clone().any(|home| file.is_at_or_below(&home.0.path))
                });
            let found = apart.map(|(line, name)| {
                let remedy = "move it there, or make what it does a value of its own \
                              (CONTRIBUTING.md, rule 2)";
                let what = format!("an `impl {name}` apart from the file of `{name}`; {remedy}");
                file.at(line, &what)
            });
            found.collect::<Vec<_>>()
        })
        .collect()
}

/// A type that other files can see has a name of its own, or as many namesakes as `shared` says.
pub(super) fn names(files: &[File], shared: &[(usize, &str)]) -> Vec<String> {
    let types = defined(files, |is_visible| is_visible);
    let allowed = |name: &str| {
        let has = |names: &str| names.split(' ').any(|known| known == name);
        let entry = shared.iter().find(|(_, names)| has(names));
        entry.map_or(1, |(count, _)| *count)
    };
    let mut findings = Vec::new();
    for (name, homes) in &types {
        let (is, may) = (homes.len(), allowed(name));
        if is < may && is > 1 {
            let what = format!("only {is} types are called `{name}`; lower its number in SHARED");
            findings.push(format!("tests/tidy.rs:1: {what}"));
        }
        let Some((file, line)) = homes.last().filter(|_| is > may) else {
            continue;
        };
        let others: Vec<&str> = homes[..is - 1]
            .iter()
            .map(|it| it.0.path.as_str())
            .collect();
        let remedy = "say in its name what it is (CONTRIBUTING.md, Words)";
        let what = format!("`{name}` is also a type of {}; {remedy}", others.join(", "));
        findings.push(file.at(*line, &what));
    }
    for name in shared.iter().flat_map(|(_, names)| names.split(' ')) {
        if types.get(name).map_or(0, Vec::len) < 2 {
            let what = format!("no two types are called `{name}`; take its line out of SHARED");
            findings.push(format!("tests/tidy.rs:1: {what}"));
        }
    }
    findings
}

/// Every type by its name, with where it is defined.
fn defined(files: &[File], wanted: fn(bool) -> bool) -> BTreeMap<String, Vec<(&File, usize)>> {
    let mut types: BTreeMap<String, Vec<(&File, usize)>> = BTreeMap::new();
    for file in files.iter().filter(|file| file.is_code()) {
        let code = source::without_tests(&source::code_only(&file.text));
        for (line, name, is_visible) in source::types(&code) {
            let homes = types.entry(name).or_default();
            let is_known = homes.iter().any(|(known, _)| known.path == file.path);
            if wanted(is_visible) && !is_known {
                homes.push((file, line));
            }
        }
    }
    types.retain(|_, homes| !homes.is_empty());
    types
}
