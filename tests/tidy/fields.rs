//! Whose fields are whose: how many files of a folder reach into one struct.
//!
//! Read from text, so by approximation: `.name` that is no call is a field of the one struct of
//! the folder that has a field of that name; where several have one, of the struct of the same
//! file for `self.name`, and of the struct that the receiver is called after for others
//! (`shared.name` of `Shared`); the rest is left out. `Struct { .. }` as a value or as a pattern
//! reaches for all fields. Tests do not count, and the file of the struct counts as one.

use super::File;
use super::source;
use std::collections::{BTreeMap, BTreeSet};

/// Folders that the rule is for.
const FOLDERS: &[&str] = &["src/load/", "src/server/"];

/// A struct by its file and name.
type Owner<'f> = (&'f str, String);

/// The fields of a struct are touched by at most `most` files.
pub(super) fn touched(files: &[File], most: usize) -> Vec<String> {
    let touches = FOLDERS.iter().flat_map(|it| touches(files, it));
    let too_many = touches.filter(|(_, touching)| touching.len() > most);
    too_many
        .map(|((path, name), touching)| {
            let is = touching.len();
            let them = touching.into_iter().collect::<Vec<_>>().join(", ");
            let remedy = "let the struct do what they do (CONTRIBUTING.md, rule 2)";
            let what = format!("fields of `{name}` are touched by {is} files, {most} at most");
            format!("{path}:1: {what}: {them}; {remedy}")
        })
        .collect()
}

/// The files of the folder that touch fields of each of its structs.
fn touches<'f>(files: &'f [File], folder: &str) -> BTreeMap<Owner<'f>, BTreeSet<&'f str>> {
    let inside = files.iter().filter(|it| it.is_code() && it.is_in(folder));
    let code: Vec<(&str, String)> = inside
        .map(|it| (it.path.as_str(), source::code_only(&it.text)))
        .map(|(path, code)| (path, source::without_tests(&code)))
        .collect();
    let mut having: BTreeMap<String, Vec<Owner<'f>>> = BTreeMap::new();
    let mut called: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (path, code) in &code {
        for (name, fields) in source::fields(code) {
            called.entry(name.clone()).or_default().push(path);
            for field in fields {
                having.entry(field).or_default().push((path, name.clone()));
            }
        }
    }
    let mut touching: BTreeMap<Owner<'f>, BTreeSet<&str>> = BTreeMap::new();
    for (path, code) in &code {
        for (receiver, field) in source::accesses(code) {
            let owners = having.get(&field).map_or(&[][..], Vec::as_slice);
            if let Some(owner) = owner(owners, &receiver, path) {
                touching.entry(owner.clone()).or_default().insert(path);
            }
        }
        for name in source::braced(code) {
            if let Some(&[home]) = called.get(&name).map(Vec::as_slice) {
                touching.entry((home, name)).or_default().insert(path);
            }
        }
    }
    touching
}

/// Whose field it is, of those that have one of that name.
fn owner<'o, 'f>(owners: &'o [Owner<'f>], receiver: &str, path: &str) -> Option<&'o Owner<'f>> {
    if let [one] = owners {
        return Some(one);
    }
    let is_it = |(home, name): &&Owner<'f>| match receiver {
        "self" => *home == path,
        receiver => snake(name) == receiver,
    };
    let mut fitting = owners.iter().filter(is_it);
    fitting.next().filter(|_| fitting.next().is_none())
}

/// `RetryPolicy` is called `retry_policy`.
fn snake(name: &str) -> String {
    let mut snake = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.extend(c.to_lowercase());
    }
    snake
}
