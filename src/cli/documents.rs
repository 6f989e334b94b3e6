//! Holds README.md and docs/ to the program: what they tell to type can be typed.

use super::flags::{Command, Flags};
use super::{agent, capacity, compare, doctor, init, load, probe, serve};
use clap::{CommandFactory, Parser};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A plain limit on descriptors, whatever this host's is.
const DESCRIPTORS: u64 = 20_000;

/// A page and its text.
struct Page {
    name: String,
    text: String,
}

/// One thing to be typed, and where it stands.
struct Typed {
    place: String,
    words: Vec<String>,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// README.md, its neighbours and the pages of docs/, without the decisions and the changelog, which
/// tell of what is gone and of other tools too.
fn pages() -> Vec<Page> {
    let mut paths: Vec<PathBuf> = fs::read_dir(root().join("docs"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|it| it == "md"))
        .collect();
    let beside = [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
    ];
    paths.extend(beside.map(|name| root().join(name)));
    paths.sort();
    let pages = paths.into_iter().map(|path| Page {
        name: path.file_name().unwrap().to_string_lossy().into_owned(),
        text: fs::read_to_string(&path).unwrap(),
    });
    pages.collect()
}

/// The words of a line as a shell splits it, up to its comment, pipe or redirection.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for letter in line.chars() {
        match (quote, letter) {
            (Some(open), _) if open == letter => quote = None,
            (Some(_), _) => word.get_or_insert_default().push(letter),
            (None, '\'' | '"') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (None, '#') if word.is_none() => break,
            (None, '|' | '>' | '<') => break,
            (None, _) if letter.is_whitespace() => words.extend(word.take()),
            (None, _) => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words
}

/// The lines of `sh` and `console` blocks that are typed, continued ones joined.
fn typed_in_blocks(page: &Page) -> Vec<Typed> {
    let (mut found, mut block, mut held) = (Vec::new(), "", String::new());
    for (number, line) in page.text.lines().enumerate() {
        if let Some(kind) = line.strip_prefix("```") {
            block = if block.is_empty() { kind } else { "" };
            continue;
        }
        let typed = match block {
            "sh" => Some(line),
            "console" if held.is_empty() => line.strip_prefix("$ "),
            "console" => Some(line),
            _ => None,
        };
        let Some(typed) = typed else { continue };
        if let Some(part) = typed.strip_suffix('\\') {
            held += part;
            continue;
        }
        held += typed;
        // What is piped into a command is no part of it.
        let line = std::mem::take(&mut held);
        let line = line.rsplit_once(" | ").map_or(&*line, |(_, last)| last);
        let place = format!("{}:{}", page.name, number + 1);
        let words = words(line);
        found.push(Typed { place, words });
    }
    found
}

/// What stands between backticks outside of blocks; in tables of other tools only the last column.
fn spans(page: &Page) -> Vec<(String, String)> {
    let (mut found, mut is_block) = (Vec::new(), false);
    for (number, line) in page.text.lines().enumerate() {
        is_block ^= line.starts_with("```");
        if is_block {
            continue;
        }
        let ours = match line.trim_end().strip_suffix('|') {
            Some(row) if page.name == "migrating.md" => row.rsplit('|').next().unwrap_or(row),
            _ => line,
        };
        let place = format!("{}:{}", page.name, number + 1);
        let between = ours.split('`').skip(1).step_by(2);
        found.extend(between.map(|span| (place.clone(), span.to_owned())));
    }
    found
}

/// Every command line of ours: of blocks, and in sentences and tables.
fn commands() -> Vec<Typed> {
    let mut all = Vec::new();
    for page in pages() {
        all.extend(typed_in_blocks(&page));
        let spans = spans(&page).into_iter();
        let spans =
            spans.filter(|(_, span)| span.starts_with("ringstorm ") && span.contains("://"));
        all.extend(spans.map(|(place, span)| Typed {
            place,
            words: words(&span),
        }));
    }
    all.retain(|typed| typed.words.first().is_some_and(|word| word == "ringstorm"));
    all
}

/// A folder with the files that the pages let the reader have.
fn files() -> PathBuf {
    let folder = std::env::temp_dir().join(format!("ringstorm-pages-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("users.csv"), "user,token\nann,abc\n").unwrap();
    init::write(&folder.join("hello")).ok().unwrap();
    folder
}

/// What is particular to a reader's host: files, CPUs, a process.
fn made_possible(word: &str, before: &str, folder: &Path) -> String {
    match (before, word) {
        (_, "users.csv" | "rows.csv") => folder.join(word).display().to_string(),
        (_, "scripts/scenarios/chat.toml") => root().join(word).display().to_string(),
        ("--rules" | "--config", _) if folder.join(word).exists() => {
            folder.join(word).display().to_string()
        }
        ("--api-key", _) => {
            let path = word.strip_prefix("file:").unwrap_or(word);
            format!("file:{}", folder.join(path).display())
        }
        ("--cores", _) => "0".into(),
        ("--server-pid", _) => std::process::id().to_string(),
        _ => word.into(),
    }
}

#[test]
fn every_command_of_the_pages_can_be_typed_and_meant() {
    let folder = files();
    let mut faults = Vec::new();
    let commands = commands();
    for typed in &commands {
        let before = std::iter::once("").chain(typed.words.iter().map(String::as_str));
        let argv = typed.words.iter().zip(before);
        let argv = argv.map(|(word, before)| made_possible(word, before, &folder));
        let config = Flags::try_parse_from(argv).map_err(|error| error.to_string());
        let config = config.and_then(|flags| {
            let config = match flags.command.unwrap_or_default() {
                Command::Serve(it) => serve::Config::new(*it, DESCRIPTORS).map(drop),
                Command::Load(it) => load::Config::new(it, DESCRIPTORS).map(drop),
                Command::Probe(it) => probe::Config::new(it).map(drop),
                Command::Doctor(it) => doctor::Config::new(it).map(drop),
                Command::Agent(it) => agent::Config::new(&it).map(drop),
                Command::Capacity(it) => capacity::CapacityConfig::new(it).map(drop),
                Command::Compare(it) => compare::CompareConfig::new(it).map(drop),
                Command::Config(_)
                | Command::Demo(_)
                | Command::Completions(_)
                | Command::Init(_)
                | Command::Man(_)
                | Command::Merge(_)
                | Command::Report(_)
                | Command::Upgrade(_) => Ok(()),
            };
            config.map_err(|failure| failure.to_string())
        });
        if let Err(why) = config {
            faults.push(format!("{} {}: {why}", typed.place, typed.words.join(" ")));
        }
    }
    fs::remove_dir_all(&folder).unwrap();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(commands.len() >= 30, "{}", commands.len());
}

#[test]
fn every_flag_that_the_pages_name_is_one_of_the_program() {
    let all = Flags::command();
    let mut known = BTreeSet::new();
    for command in std::iter::once(&all).chain(all.get_subcommands()) {
        for arg in command.get_arguments() {
            known.extend(arg.get_long_and_visible_aliases().unwrap_or_default());
        }
    }
    // Of scripts/bench, scripts/fuzz and of clap itself.
    known.extend(["help", "version", "before", "pairs", "seconds"]);
    let (mut faults, mut looked) = (Vec::new(), 0);
    for (place, span) in pages().iter().flat_map(spans) {
        if !span.starts_with('-') && !span.contains(" --") {
            continue;
        }
        // Programs of others have flags of their own.
        if span.starts_with("cargo ") || span.starts_with("openssl ") {
            continue;
        }
        for word in words(&span) {
            let Some(flag) = word.strip_prefix("--").filter(|flag| !flag.is_empty()) else {
                continue;
            };
            let name = flag.split(['=', '[']).next().unwrap_or(flag);
            looked += 1;
            if !known.contains(name) {
                faults.push(format!("{place}: --{name}"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(looked >= 100, "{looked}");
}

#[test]
fn every_script_and_page_that_the_pages_name_is_there() {
    let (mut faults, mut looked) = (Vec::new(), 0);
    for page in pages() {
        let typed = typed_in_blocks(&page).into_iter();
        let typed = typed.filter_map(|typed| Some((typed.place, typed.words.first()?.clone())));
        let named = spans(&page).into_iter().chain(typed);
        for (place, name) in named {
            let path = name.split_whitespace().next().unwrap_or("");
            if !["scripts/", "tests/", "sysctl/", "src/"]
                .iter()
                .any(|it| path.starts_with(it))
            {
                continue;
            }
            looked += 1;
            if !root().join(path).exists() {
                faults.push(format!("{place}: {path}"));
            }
        }
        let here = if root().join(&page.name).exists() {
            root().into()
        } else {
            root().join("docs")
        };
        for link in page.text.split("](").skip(1) {
            let link = link.split([')', '#']).next().unwrap_or("");
            looked += 1;
            if !link.is_empty() && !link.contains("://") && !here.join(link).exists() {
                faults.push(format!("{}: {link}", page.name));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(looked >= 40, "{looked}");
}

#[test]
fn a_line_is_split_as_a_shell_splits_it() {
    let typed = "ringstorm load 'ws://h/?u={n}' -H \"A: b\" ''  # why";
    assert_eq!(
        words(typed),
        ["ringstorm", "load", "ws://h/?u={n}", "-H", "A: b", ""]
    );
    assert_eq!(words("a 'b>c' > d"), ["a", "b>c"]);
    assert_eq!(words("x=# y#z"), ["x=#", "y#z"]);
}

#[test]
fn what_a_block_shows_is_not_taken_for_what_is_typed() {
    let page = Page {
        name: "load.md".into(),
        text:
            "```console\n$ one \\\n    two\nout\n$ a | b c\n```\n```sh\nd\n```\n```toml\ne\n```\n"
                .into(),
    };
    let typed: Vec<_> = typed_in_blocks(&page)
        .into_iter()
        .map(|it| it.words)
        .collect();
    assert_eq!(typed, [vec!["one", "two"], vec!["b", "c"], vec!["d"]]);
}
