//! Wires around wires: each has every method of the seam, its own or handed on.

use super::File;
use super::source;

/// Where the seam is.
const SEAM: &str = "src/shard.rs";
/// What is made of another method: a wire around a wire has its own by that.
const MADE: &[&str] = &["send"];

/// A wire around another (`impl<W: Wire<..>> Wire<..> for`) leaves no method to the trait's
/// default, which would not ask the wire inside.
pub(super) fn forwarded(files: &[File]) -> Vec<String> {
    let seam = files.iter().find(|it| it.path == SEAM);
    let seam = seam.map(|it| source::code_only(&it.text));
    let methods: Vec<String> = seam.iter().flat_map(|code| methods(code)).collect();
    let inside = files.iter().filter(|it| it.is_code());
    inside.flat_map(|file| missing(file, &methods)).collect()
}

/// The methods of `Wire`.
fn methods(code: &str) -> Vec<String> {
    let body = code.split("pub trait Wire<").nth(1).unwrap_or_default();
    let body = body.split("\n}").next().unwrap_or_default();
    let names = body.split("\n    fn ").skip(1);
    names
        .filter_map(|it| Some(it.split('(').next()?.to_owned()))
        .filter(|name| !MADE.contains(&name.as_str()))
        .collect()
}

fn missing(file: &File, methods: &[String]) -> Vec<String> {
    let code = source::code_only(&file.text);
    let mut findings = Vec::new();
    for (at, _) in code.match_indices("\nimpl<") {
        let item = code[at + 1..].split("\n}").next().unwrap_or_default();
        let head = item.split('{').next().unwrap_or_default();
        if !head.contains(": Wire<") || !head.contains("> Wire<") {
            continue;
        }
        let line = 2 + code[..at].matches('\n').count();
        let words: Vec<&str> = forwards(item).chain(own(item)).collect();
        let missing = methods.iter().filter(|it| !words.contains(&it.as_str()));
        findings.extend(missing.map(|name| {
            let remedy = "name it in its `forward_wire!`";
            let what = format!("a wire around a wire leaves `{name}` to its default; {remedy}");
            file.at(line, &what)
        }));
    }
    findings
}

/// What is named in `forward_wire!(M: ..)`.
fn forwards(item: &str) -> impl Iterator<Item = &str> {
    let list = item.split("forward_wire!(").nth(1).unwrap_or_default();
    let list = list.split(')').next().unwrap_or_default();
    list.split_whitespace()
}

/// The methods that are written out.
fn own(item: &str) -> impl Iterator<Item = &str> {
    let names = item.split("    fn ").skip(1);
    names.filter_map(|it| it.split(['(', '<']).next())
}
