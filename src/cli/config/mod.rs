//! `config`: what is wrong with a configuration file of `serve`, what it comes to, and its schema.

#[cfg(test)]
mod page;
mod schema;

use super::config_file::TABLES;
use super::config_flags::{ConfigDeed, ConfigFlags, FileFlags};
use super::config_key::{ConfigKey, ValueKind};
use super::flags::{Command as Chosen, Flags};
use super::settings::{self, Settled};
use super::{Exit, Failure, print, serve, usage};
use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory};
use std::ffi::OsString;
use std::path::Path;
use toml::{Table, Value};

/// Does it; `descriptor_limit` is this host's.
pub(super) fn run(flags: &ConfigFlags, descriptor_limit: u64) -> Result<Exit, Failure> {
    match &flags.deed {
        ConfigDeed::Check(flags) => {
            let settled = match settled(flags) {
                Ok(settled) => settled,
                Err(error) => return Ok(usage::explain(&error)),
            };
            let line = summary(&settled);
            let flags = match settled.flags() {
                Ok(flags) => flags,
                Err(error) => return Ok(usage::explain(&error)),
            };
            if let Some(Chosen::Serve(flags)) = flags.command {
                serve::Config::new(*flags, descriptor_limit)?;
            }
            print::line(line)?;
        }
        ConfigDeed::Print(flags) => match settled(flags) {
            Ok(settled) => print::text(&printed(&settled)?)?,
            Err(error) => return Ok(usage::explain(&error)),
        },
        ConfigDeed::Schema => print::text(&schema::text())?,
    }
    Ok(Exit::Pass)
}

/// What `serve --config FILE` would be told.
fn settled(flags: &FileFlags) -> Result<Settled, clap::Error> {
    let mut argv: Vec<OsString> = vec!["ringstorm".into(), "serve".into()];
    if let Some(file) = &flags.file {
        argv.extend(["--config".into(), file.into()]);
    }
    settings::settle(argv)
}

/// What a file that is fine has.
fn summary(settled: &Settled) -> String {
    let file = settled.file.as_deref().map(Path::display);
    let file = file.map_or_else(|| "no file".to_owned(), |file| file.to_string());
    let rules = settled.rules.as_ref().map_or(0, |file| file.rules.len());
    let count = |count: usize, what: &str| match count {
        1 => format!("1 {what}"),
        count => format!("{count} {what}s"),
    };
    let keys = settled.from_file.len();
    format!(
        "{file}: fine, {} and {}",
        count(keys, "key"),
        count(rules, "rule")
    )
}

/// Every key with its value, as a file that says all of it.
fn printed(settled: &Settled) -> Result<String, Failure> {
    let mut text = String::new();
    let serve = settled.command.find_subcommand("serve");
    let keys = serve.into_iter().flat_map(|serve| serve.get_arguments());
    let Some((_, matches)) = settled.matches.subcommand() else {
        return Ok(text);
    };
    for key in keys.filter_map(ConfigKey::of) {
        let name = key.name();
        let from = match matches.value_source(key.id()) {
            _ if settled.from_file.iter().any(|id| id == key.id()) => "file".to_owned(),
            Some(ValueSource::EnvVariable) => key.variable(),
            _ => "default".to_owned(),
        };
        text += &match value(key, matches) {
            Some(value) => format!("{name} = {value}  # {from}\n"),
            None => format!("# {name} is not set\n"),
        };
    }
    if settled.rules.is_some()
        && let Some(path) = &settled.file
    {
        text += &rules(path)?;
    }
    Ok(text)
}

/// The value of a key as TOML has it.
fn value(key: ConfigKey<'_>, matches: &ArgMatches) -> Option<Value> {
    if key.kind() == ValueKind::Switch {
        return Some(Value::Boolean(matches.get_flag(key.id())));
    }
    let raw = matches.get_raw(key.id())?;
    let mut values: Vec<Value> = raw
        .map(|value| {
            let text = value.to_string_lossy();
            if key.kind() == ValueKind::Mode
                && let Ok(is_on) = text.parse()
            {
                return Value::Boolean(is_on);
            }
            let number = matches!(key.kind(), ValueKind::Count | ValueKind::Size);
            let number = text.parse().ok().filter(|_| number);
            number.map_or_else(|| Value::String(text.into_owned()), Value::Integer)
        })
        .collect();
    match key.is_list() {
        true => Some(Value::Array(values)),
        false => values.pop(),
    }
}

/// The tables of rules of a file that was read before.
fn rules(path: &Path) -> Result<String, Failure> {
    let table = std::fs::read_to_string(path)?.parse::<Table>();
    let mut table = table.map_err(|error| Failure::Run(error.to_string()))?;
    table.retain(|key, _| TABLES.contains(&key));
    Ok(format!("\n{table}"))
}

/// The command whose configuration it is.
fn serve_command() -> clap::Command {
    let all = Flags::command();
    all.find_subcommand("serve").cloned().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is printed for a file with that text, and what `check` says of it.
    fn shown(name: &str, text: &str) -> Result<(String, String), String> {
        let path = std::env::temp_dir().join(format!("{}-{name}.toml", std::process::id()));
        std::fs::write(&path, text).unwrap();
        let flags = FileFlags {
            file: Some(path.clone()),
        };
        let settled = settled(&flags).map_err(|error| error.to_string());
        let shown = settled.map(|settled| (printed(&settled).ok().unwrap(), summary(&settled)));
        std::fs::remove_file(path).unwrap();
        shown
    }

    #[test]
    fn what_is_printed_is_a_file_that_comes_to_the_same() {
        let text = "max-message = \"64k\"\nroom-size = 7\ndeflate = true\n\
                    origin = [\"https://a.b\"]\n\
                    [[rule]]\non = \"request\"\naction = \"deny\"\n";
        let (printed, summary) = shown("printed", text).unwrap();
        assert!(
            summary.ends_with(".toml: fine, 4 keys and 1 rule"),
            "{summary}"
        );
        for line in [
            "max-message = \"64k\"  # file",
            "room-size = 7  # file",
            "deflate = true  # file",
            "origin = [\"https://a.b\"]  # file",
            "chunk-ms = 1000  # default",
            "listen = [\"127.0.0.1:9000\"]  # default",
            "# admin-listen is not set",
            "[[rule]]",
        ] {
            assert!(printed.lines().any(|it| it == line), "{line}\n{printed}");
        }
        let (again, _) = shown("again", &printed).unwrap();
        let plain = |text: &str| text.replace("  # file", "").replace("  # default", "");
        assert_eq!(plain(&again), plain(&printed));
    }
}
