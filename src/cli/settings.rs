//! What flags leave open: environment variables, and a file that names flags.
//!
//! The command line wins over the environment, the environment over the file. What the two say is
//! written out as flags, so that a record's command line tells all of it.

use super::config_file::{self, FileSettings};
use super::config_key::{ConfigKey, variable};
use super::flags::{Command as Chosen, Flags};
use super::secrets;
use crate::app::rules::RuleFile;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, Command, CommandFactory, Error, FromArgMatches};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Commands that can be told by environment and file.
const TOLD: [&str; 3] = ["load", "probe", "serve"];

/// A command line, and what it leaves open from environment and file.
pub(super) struct Settled {
    /// All flags, each with its environment variable.
    pub(super) command: Command,
    /// The words of the command line and of the file.
    pub(super) argv: Vec<OsString>,
    /// What they mean together, the environment too.
    pub(super) matches: ArgMatches,
    /// What clap calls the flags that the file told.
    pub(super) from_file: Vec<String>,
    /// The file's tables of rules and channels, if they are to be gone by.
    pub(super) rules: Option<RuleFile>,
    /// The file, if there is one.
    pub(super) file: Option<PathBuf>,
}

/// Reads the command line, and what it leaves open from environment and file.
pub(super) fn parse(argv: Vec<OsString>) -> Result<Flags, Error> {
    settle(argv)?.flags()
}

/// The same before it is given to the commands.
pub(super) fn settle(mut argv: Vec<OsString>) -> Result<Settled, Error> {
    let mut command = command();
    let typed = command.clone().ignore_errors(true);
    let lenient = typed.try_get_matches_from(&argv)?;
    let told = lenient.subcommand().filter(|(name, _)| TOLD.contains(name));
    let (mut found, mut path) = (FileSettings::default(), None);
    if let Some((name, matches)) = told {
        path = matches.try_get_one::<PathBuf>("config").ok().flatten();
        if let Some(path) = path {
            found = read(&mut command, name, path)?;
        }
        let is_open = |id: &str| {
            let source = matches.value_source(id);
            source != Some(ValueSource::CommandLine) && source != Some(ValueSource::EnvVariable)
        };
        found.keys.retain(|(id, _)| is_open(id));
        found.rules = found.rules.filter(|_| is_open("rules"));
        let words = found.keys.iter().flat_map(|(_, words)| words.clone());
        // After the program and the command.
        let begin = 2.min(argv.len());
        argv.splice(begin..begin, words);
    }
    let matches = command.clone().try_get_matches_from(&argv)?;
    Ok(Settled {
        file: path.cloned(),
        command,
        argv,
        matches,
        from_file: found.keys.into_iter().map(|(id, _)| id).collect(),
        rules: found.rules,
    })
}

impl Settled {
    /// The keys of the command, and what each comes to.
    pub(super) fn values(&self) -> BTreeMap<String, Vec<OsString>> {
        let Some((name, matches)) = self.matches.subcommand() else {
            return BTreeMap::new();
        };
        let command = self.command.find_subcommand(name).into_iter();
        let keys = command
            .flat_map(Command::get_arguments)
            .filter_map(ConfigKey::of);
        let values = keys.map(|key| {
            let raw = matches.get_raw(key.id()).into_iter().flatten();
            (key.name(), raw.map(OsString::from).collect())
        });
        values.collect()
    }

    /// The flags of the command.
    pub(super) fn flags(self) -> Result<Flags, Error> {
        let mut flags = Flags::from_arg_matches(&self.matches)?;
        let words = self.argv.iter().map(|word| word.to_string_lossy().into());
        match (&mut flags.command, self.matches.subcommand()) {
            (Some(Chosen::Compare(compare)), _) => compare.study.command = secrets::hidden(words),
            (Some(Chosen::Capacity(capacity)), _) => {
                capacity.study.command = secrets::hidden(words);
            }
            (Some(Chosen::Load(load)), Some((name, matches))) => {
                let environment = from_environment(&self.command, name, matches);
                load.command = secrets::hidden(words.chain(environment));
            }
            (Some(Chosen::Serve(serve)), _) => serve.channels.file_rules = self.rules,
            _ => {}
        }
        Ok(flags)
    }
}

/// The flags, each with its environment variable.
fn command() -> Command {
    TOLD.into_iter().fold(Flags::command(), |all, name| {
        all.mut_subcommand(name, |one| {
            one.mut_args(|arg| match arg.get_id().as_str() {
                "help" | "version" => arg,
                _ if arg.is_hide_set() => arg,
                id => {
                    let name = variable(id);
                    // The program parses its command line seldom: this is no leak that grows.
                    arg.env(&*name.leak()).hide_env(true)
                }
            })
        })
    })
}

/// What the file says.
fn read(command: &mut Command, name: &str, path: &Path) -> Result<FileSettings, Error> {
    let shown = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("{shown}: {error}; try: a file such as {name}.toml"));
    // Where a server is started from is its supervisor's affair; a load is started by hand.
    let folder = path.parent().filter(|_| name == "serve");
    // Without the environment: what is wrong there is no mistake of the file.
    let one = Flags::command();
    let one = one.find_subcommand(name).cloned().unwrap_or_default();
    let read = text.and_then(|text| {
        let read = config_file::read(&one, &text, folder.unwrap_or(Path::new("")));
        read.map_err(|fault| format!("{shown}:{fault}"))
    });
    read.map_err(|why| command.error(ErrorKind::ValueValidation, format!("--config: {why}")))
}

/// What the environment says, as flags.
fn from_environment(command: &Command, name: &str, matches: &ArgMatches) -> Vec<String> {
    let arguments = command.find_subcommand(name).into_iter();
    let arguments = arguments.flat_map(Command::get_arguments);
    let told = arguments.filter(|arg| {
        let source = matches.value_source(arg.get_id().as_str());
        source == Some(ValueSource::EnvVariable)
    });
    let mut words = Vec::new();
    for arg in told {
        let raw = matches.get_raw(arg.get_id().as_str()).into_iter().flatten();
        for value in raw.map(|value| value.to_string_lossy()) {
            words.extend(match (arg.get_long(), &*value) {
                (Some(_), "false") => None,
                (Some(flag), "true") => Some(format!("--{flag}")),
                (Some(flag), value) => Some(format!("--{flag}={value}")),
                (None, value) => Some(value.to_owned()),
            });
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn file(name: &str, text: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("{}-{name}.toml", std::process::id()));
        std::fs::write(&path, text).unwrap();
        path
    }

    fn told(name: &str, text: &str, line: &str) -> Result<Vec<String>, String> {
        let path = file(name, text);
        let line = format!("ringstorm load --config {} {line}", path.display());
        let parsed = parse(line.split_whitespace().map(OsString::from).collect());
        std::fs::remove_file(path).unwrap();
        let flags = parsed.map_err(|error| error.to_string())?;
        let Some(Chosen::Load(load)) = flags.command else {
            panic!("not a load");
        };
        Ok(load.command)
    }

    #[test]
    fn a_file_fills_what_the_command_line_leaves_open_and_is_told() {
        let text = "urls = 'ws://127.0.0.1:1/'\nconnections = '2k'\npayload = 64\n\
                    header = ['A: 1', 'B: 2']\nquiet = true\ntext = false\nwarm-up = '1s'\n";
        let command = told("good", text, "-c 7 -H C:3").unwrap().join(" ");
        for part in [
            "ws://127.0.0.1:1/",
            "--payload=64",
            "--quiet",
            "--warm-up=1s",
            "-c 7",
        ] {
            assert!(command.contains(part), "{part}: {command}");
        }
        for part in ["2k", "A: 1", "--text"] {
            assert!(!command.contains(part), "{part}: {command}");
        }
    }

    #[test]
    fn what_is_wrong_in_a_file_is_named_with_what_would_do() {
        let url = "ws://127.0.0.1:1/";
        for (name, text, found) in [
            ("unknown", "conections = 1", "conections"),
            ("syntax", "connections = ", ":1:"),
            (
                "value",
                "connections = 'many'",
                ":1:15: `connections`: write",
            ),
            ("shape", "payload = { a = 1 }", ":1:11: `payload`"),
        ] {
            let error = told(name, text, url).unwrap_err();
            assert!(error.contains(found), "{found}: {error}");
        }
        let missing = ["ringstorm", "load", url, "--config", "/no"].map(OsString::from);
        let error = parse(missing.to_vec()).unwrap_err().to_string();
        assert!(error.contains("--config: /no"), "{error}");
    }
}
