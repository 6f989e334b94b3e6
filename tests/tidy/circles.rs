//! The arrows among the files of one folder: none may lead back to where it began.
//!
//! A folder's module with all below it is one room of the folder that it lies in. The root of a
//! module and its children are not told apart here: a child may name what its parent holds.

use super::File;
use super::source;
use std::collections::{BTreeMap, BTreeSet};

/// One arrow between two modules of a folder.
struct Arrow<'f> {
    folder: Vec<String>,
    from: String,
    to: String,
    file: &'f File,
    line: usize,
    name: String,
}

/// A finding for every arrow that is part of a circle, once for each file and room.
pub(super) fn circles(files: &[File]) -> Vec<String> {
    let modules = Modules::new(files);
    let arrows: Vec<Arrow<'_>> = files
        .iter()
        .filter(|file| file.is_code())
        .flat_map(|file| modules.arrows(file))
        .collect();
    let mut next: BTreeMap<(&[String], &str), BTreeSet<&str>> = BTreeMap::new();
    for arrow in &arrows {
        let tos = next.entry((&arrow.folder, &arrow.from)).or_default();
        tos.insert(&arrow.to);
    }
    let mut told = BTreeSet::new();
    let in_circle = arrows
        .iter()
        .filter(|arrow| leads(&next, &arrow.folder, &arrow.to, &arrow.from));
    in_circle
        .filter(|arrow| told.insert((&arrow.file.path, &arrow.to)))
        .map(|arrow| {
            let remedy = "move what both need below both, as CONTRIBUTING.md says";
            let (from, to, name) = (&arrow.from, &arrow.to, &arrow.name);
            let what = format!("`{from}` takes `{name}` of `{to}`, which needs `{from}`; {remedy}");
            arrow.file.at(arrow.line, &what)
        })
        .collect()
}

/// Whether arrows of that folder lead from one of its modules to another.
fn leads(
    next: &BTreeMap<(&[String], &str), BTreeSet<&str>>,
    folder: &[String],
    from: &str,
    to: &str,
) -> bool {
    let mut seen = BTreeSet::from([from]);
    let mut open = vec![from];
    while let Some(at) = open.pop() {
        if at == to {
            return true;
        }
        let tos = next.get(&(folder, at)).into_iter().flatten();
        open.extend(tos.filter(|next| seen.insert(*next)));
    }
    false
}

/// The modules of the crate, and which names each hands on from its children.
struct Modules {
    paths: BTreeSet<Vec<String>>,
    /// By a module's path and a name in it: the child that the name comes from.
    handed_on: BTreeMap<(Vec<String>, String), String>,
}

impl Modules {
    fn new(files: &[File]) -> Self {
        let inside = files.iter().filter(|file| file.is_code());
        let paths = inside.clone().map(module_path).collect();
        let mut modules = Self {
            paths,
            handed_on: BTreeMap::new(),
        };
        for file in inside {
            let own = module_path(file);
            let code = source::without_tests(&source::code_only(&file.text));
            for (_, path) in source::used(&code) {
                let mut words = path.iter().skip_while(|word| *word == "self");
                let child = words.next().cloned().unwrap_or_default();
                let is_child = modules.paths.contains(&joined(&own, &child));
                if let (true, Some(name)) = (is_child, words.last()) {
                    let key = (own.clone(), name.clone());
                    modules.handed_on.insert(key, child);
                }
            }
        }
        modules
    }

    fn arrows<'f>(&self, file: &'f File) -> Vec<Arrow<'f>> {
        let own = module_path(file);
        let code = source::without_tests(&source::code_only(&file.text));
        let paths = source::relative_paths(&code, &own);
        let arrows = paths.into_iter().filter_map(|(line, path)| {
            let shared = own.iter().zip(&path).take_while(|(a, b)| a == b).count();
            let (from, word) = (own.get(shared)?, path.get(shared)?);
            let folder = own.get(..shared)?.to_vec();
            let to = if self.paths.contains(&joined(&folder, word)) {
                word
            } else {
                self.handed_on.get(&(folder.clone(), word.clone()))?
            };
            (from != to).then(|| Arrow {
                folder,
                from: from.clone(),
                to: to.clone(),
                file,
                line,
                name: path.last().cloned().unwrap_or_default(),
            })
        });
        arrows.collect()
    }
}

fn joined(folder: &[String], name: &str) -> Vec<String> {
    let mut path = folder.to_vec();
    path.push(name.to_owned());
    path
}

/// `src/engine/ring/mod.rs` is the module `engine::ring`.
fn module_path(file: &File) -> Vec<String> {
    let inside = file.path.trim_start_matches("src/").trim_end_matches(".rs");
    let words = inside.split('/').map(str::to_owned);
    words
        .filter(|word| word != "mod" && word != "lib")
        .collect()
}
