//! What the repository says of itself: files and tests that are named are there.

use super::File;
use super::source;
use std::collections::BTreeSet;

/// A file of tests has at least one.
pub(super) fn empty_tests(files: &[File]) -> Vec<String> {
    let of_tests = |file: &&File| file.path.starts_with("src/") && file.path.ends_with("tests.rs");
    let is_empty = |file: &&File| {
        let folder = file.path.trim_end_matches(".rs");
        let tests = |other: &File| {
            let is_part = other.path == file.path || other.is_in(&format!("{folder}/"));
            is_part && (other.text.contains("#[test]") || other.text.contains("proptest! {"))
        };
        !files.iter().any(tests)
    };
    let found = files.iter().filter(of_tests).filter(is_empty);
    let remedy = "write the tests, or remove the file (CONTRIBUTING.md, rule 10)";
    let what = format!("a file of tests without a test; {remedy}");
    found.map(|file| file.at(1, &what)).collect()
}

/// A page that is named is in the repository: from its root, its docs, or where it is named.
pub(super) fn pages(files: &[File]) -> Vec<String> {
    let paths: BTreeSet<&str> = files.iter().map(|file| file.path.as_str()).collect();
    let is_there = |file: &File, page: &str| {
        let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let from_there = resolved(folder, page);
        let in_docs = resolved("docs", page);
        [page, &from_there, &in_docs]
            .iter()
            .any(|it| paths.contains(it))
    };
    let mut findings = Vec::new();
    for file in files {
        for (index, line) in file.text.lines().enumerate() {
            for page in named_pages(line).filter(|page| !is_there(file, page)) {
                let remedy = "say it here, or name a page that is in the repository, such as \
                              ARCHITECTURE.md";
                findings.push(file.at(index + 1, &format!("there is no {page}; {remedy}")));
            }
        }
    }
    findings
}

/// The words of a line that end like a page's name and are no address of another site.
fn named_pages(line: &str) -> impl Iterator<Item = &str> {
    let is_of_path = |c: char| c.is_alphanumeric() || "_-./:".contains(c);
    line.split(move |c| !is_of_path(c)).filter_map(|word| {
        let word = word.trim_end_matches(['.', ':', '/']);
        let is_page = word.ends_with(".md") && word.len() > ".md".len();
        (is_page && !word.contains(':')).then_some(word)
    })
}

/// The path from the root that `page` is from that folder.
fn resolved(folder: &str, page: &str) -> String {
    let mut path: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in page.split('/') {
        match part {
            "." => {}
            ".." => {
                path.pop();
            }
            _ => path.push(part),
        }
    }
    path.join("/")
}

/// Every class of SECURITY.md names a test that holds it, and every test that it names exists.
pub(super) fn promised_tests(files: &[File]) -> Vec<String> {
    let Some(promise) = files.iter().find(|file| file.path == "SECURITY.md") else {
        return vec!["SECURITY.md:1: there is no such page; README.md links to it".to_owned()];
    };
    let code = files.iter().filter(|file| file.path.ends_with(".rs"));
    let tests: BTreeSet<String> = code.flat_map(|file| source::tests(&file.text)).collect();
    let mut findings = Vec::new();
    // Within the table of classes, behind its head.
    let mut in_classes = false;
    for (index, line) in promise.text.lines().enumerate() {
        // The last cell of a row names the tests that hold it.
        let row = line.strip_prefix("| ").map(|row| row.trim_end_matches('|'));
        let cell = row
            .and_then(|row| row.rsplit_once('|'))
            .map_or("", |(_, last)| last);
        if in_classes && row.is_some() && !cell.contains('`') {
            let remedy = "name it, as CONTRIBUTING.md says";
            findings.push(promise.at(index + 1, &format!("a class without a test; {remedy}")));
        }
        in_classes = line.starts_with('|') && (in_classes || cell.trim() == "held by");
        let quoted = cell.split('`').skip(1).step_by(2);
        let named = quoted.filter(|word| word.contains('_') && !tests.contains(*word));
        findings.extend(named.map(|test| {
            let remedy = "name the test that holds it now, as CONTRIBUTING.md says";
            promise.at(index + 1, &format!("there is no test `{test}`; {remedy}"))
        }));
    }
    findings
}
