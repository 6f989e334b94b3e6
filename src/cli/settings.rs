//! What flags leave open: environment variables, and a file that names flags.
//!
//! The command line wins over the environment, the environment over the file. What the two say is
//! written out as flags, so that a record's command line tells all of it.

use super::flags::{Command as Chosen, Flags};
use super::secrets;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, Command, CommandFactory, Error, FromArgMatches};
use std::ffi::OsString;
use toml::{Table, Value};

/// Commands that can be told by environment and file.
const TOLD: [&str; 2] = ["load", "probe"];
/// What an environment variable of ours begins with.
const PREFIX: &str = "RINGSTORM_";

/// Reads the command line, and what it leaves open from environment and file.
pub(super) fn parse(argv: Vec<OsString>) -> Result<Flags, Error> {
    let mut command = command();
    let typed = command.clone().ignore_errors(true);
    let lenient = typed.try_get_matches_from(&argv)?;
    let told = lenient.subcommand().filter(|(name, _)| TOLD.contains(name));
    let mut argv = argv;
    if let Some((name, matches)) = told {
        let words = from_file(&mut command, name, matches)?;
        // After the program and the command.
        argv.splice(2.min(argv.len())..2.min(argv.len()), words);
    }
    let matches = command.clone().try_get_matches_from(&argv)?;
    let mut flags = Flags::from_arg_matches(&matches)?;
    let words = argv.iter().map(|word| word.to_string_lossy().into());
    match (&mut flags.command, matches.subcommand()) {
        (Some(Chosen::Compare(compare)), _) => compare.study.command = secrets::hidden(words),
        (Some(Chosen::Capacity(capacity)), _) => capacity.study.command = secrets::hidden(words),
        (Some(Chosen::Load(load)), Some((name, matches))) => {
            let environment = from_environment(&command, name, matches);
            load.command = secrets::hidden(words.chain(environment));
        }
        _ => {}
    }
    Ok(flags)
}

/// The flags, each with its environment variable.
fn command() -> Command {
    TOLD.into_iter().fold(Flags::command(), |all, name| {
        all.mut_subcommand(name, |one| {
            one.mut_args(|arg| match arg.get_id().as_str() {
                "help" | "version" => arg,
                id => {
                    let name = format!("{PREFIX}{}", id.to_uppercase());
                    // The program parses its command line once: this is no leak that grows.
                    arg.env(&*name.leak()).hide_env(true)
                }
            })
        })
    })
}

/// What the file of `--config` says, as flags, but for those that are given elsewhere.
fn from_file(
    command: &mut Command,
    name: &str,
    matches: &ArgMatches,
) -> Result<Vec<OsString>, Error> {
    let Ok(Some(path)) = matches.try_get_one::<std::path::PathBuf>("config") else {
        return Ok(Vec::new());
    };
    let mut refuse = |why: String| {
        let text = format!("--config: {}: {why}", path.display());
        command.error(ErrorKind::ValueValidation, text)
    };
    let text = std::fs::read_to_string(path)
        .map_err(|error| refuse(format!("{error}; try: a file such as load.toml")))?;
    let table: Table = text.parse().map_err(|error: toml::de::Error| {
        refuse(format!("{error}try: lines such as connections = 1000"))
    })?;
    let one = self::command();
    let one = one.find_subcommand(name);
    let mut words = Vec::new();
    for (key, value) in table {
        let id = key.replace('-', "_");
        let known = one.and_then(|one| one.get_arguments().find(|arg| arg.get_id() == id.as_str()));
        let Some(arg) = known.filter(|_| !["config", "help"].contains(&key.as_str())) else {
            let text = format!("`{key}` is no flag of `ringstorm {name}`");
            return Err(refuse(format!(
                "{text}; try: a name from its --help without the dashes, such as connections"
            )));
        };
        let source = matches.value_source(&id);
        if let Some(ValueSource::CommandLine | ValueSource::EnvVariable) = source {
            continue;
        }
        let values = match value {
            Value::Array(values) => values,
            one => vec![one],
        };
        for value in values {
            let flag = arg.get_long().map(str::to_owned);
            words.extend(word(flag, &value).map_err(|why| refuse(format!("`{key}`: {why}")))?);
        }
    }
    Ok(words)
}

/// One value as it would be typed; nothing for a switch that is off.
fn word(flag: Option<String>, value: &Value) -> Result<Option<OsString>, &'static str> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Boolean(false) => return Ok(None),
        Value::Boolean(true) => return Ok(flag.map(|flag| format!("--{flag}").into())),
        Value::Datetime(_) | Value::Array(_) | Value::Table(_) => {
            return Err("a text, a number, true, or a list of these");
        }
    };
    let word = flag.map_or_else(|| text.clone(), |flag| format!("--{flag}={text}"));
    Ok(Some(word.into()))
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
            ("syntax", "connections = ", "line 1"),
            ("value", "connections = 'many'", "--connections"),
            ("shape", "payload = { a = 1 }", "payload"),
        ] {
            let error = told(name, text, url).unwrap_err();
            assert!(error.contains(found), "{found}: {error}");
        }
        let missing = ["ringstorm", "load", url, "--config", "/no"].map(OsString::from);
        let error = parse(missing.to_vec()).unwrap_err().to_string();
        assert!(error.contains("--config: /no"), "{error}");
    }
}
