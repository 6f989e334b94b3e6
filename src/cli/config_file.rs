//! A configuration file, read: keys are flags, each mistake has its line, its column and what would
//! do.

use super::config_key::{ConfigKey, ValueKind};
use super::listen::UNIX;
use crate::app::rules::{RuleFile, TextFault, nearest};
use clap::Command;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use std::error::Error as _;
use std::ffi::OsString;
use std::ops::Range;
use std::path::Path;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The tables of rules and of channels, which only `serve` has.
pub(super) const TABLES: [&str; 2] = ["channel", "rule"];
/// Flags of `serve` that say the same.
const RULES: &str = "rules";

/// What a file says.
#[derive(Debug, Default)]
pub(super) struct FileSettings {
    /// Each key that it has, by what clap calls it, and the flags that say the same.
    pub(super) keys: Vec<(String, Vec<OsString>)>,
    /// Its tables `[[rule]]` and `[[channel]]`, if it has any.
    pub(super) rules: Option<RuleFile>,
}

/// Reads the text of a file for that command. `folder` is where its paths begin.
///
/// # Errors
/// The first mistake.
pub(super) fn read(
    command: &Command,
    text: &str,
    folder: &Path,
) -> Result<FileSettings, TextFault> {
    let table = DeTable::parse(text).map_err(|error| {
        let start = error.span().map_or(0, |at| at.start);
        let what = format!("{}; try: lines such as cores = \"0-3\"", error.message());
        TextFault::at(text, start, what)
    })?;
    let mut settings = FileSettings::default();
    for (name, value) in table.get_ref() {
        let at = |at: Range<usize>| move |what| TextFault::at(text, at.start, what);
        if TABLES.contains(&&**name.get_ref()) && command.get_name() == "serve" {
            let rules = RuleFile::parse_among(text)?;
            settings.rules = Some(rules);
            continue;
        }
        let key = key(command, name.get_ref()).map_err(at(name.span()))?;
        let words = words(command, key, value, folder);
        let words = words.map_err(|(place, what)| at(place)(what))?;
        settings.keys.push((key.id().to_owned(), words));
    }
    let also = table
        .get_ref()
        .get(RULES)
        .filter(|_| settings.rules.is_some());
    match also {
        Some(file) => {
            let what = "rules or channels stand here already, as tables; leave one of them out";
            Err(TextFault::at(text, file.span().start, what.to_owned()))
        }
        None => Ok(settings),
    }
}

/// The key of that name.
fn key<'c>(command: &'c Command, name: &str) -> Result<ConfigKey<'c>, String> {
    let keys = || command.get_arguments().filter_map(ConfigKey::of);
    let id = name.replace('-', "_");
    keys().find(|key| key.id() == id).ok_or_else(|| {
        let known: Vec<String> = keys().map(ConfigKey::name).collect();
        let meant = nearest(name, known.iter().map(String::as_str)).unwrap_or_default();
        let command = command.get_name();
        format!(
            "`{name}` is no key of `ringstorm {command}`; is `{meant}` meant? Keys are its flags \
             without the dashes"
        )
    })
}

/// What is wrong, and where.
type Misplaced = (Range<usize>, String);

/// The value of a key as flags.
fn words(
    command: &Command,
    key: ConfigKey<'_>,
    value: &Spanned<DeValue<'_>>,
    folder: &Path,
) -> Result<Vec<OsString>, Misplaced> {
    let one = std::slice::from_ref(value);
    let values = match value.get_ref() {
        DeValue::Array(values) if key.is_list() || key.kind() == ValueKind::Any => values,
        _ => one,
    };
    let mut words = Vec::new();
    for value in values {
        let wrong = |what| (value.span(), format!("`{}`: {what}", key.name()));
        let Some(word) = word(key, value.get_ref(), folder).map_err(wrong)? else {
            continue;
        };
        if let Some(what) = refused(command, &word) {
            return Err(wrong(what));
        }
        words.push(word);
    }
    Ok(words)
}

/// One value as it would be typed; nothing for a switch that is off.
fn word(
    key: ConfigKey<'_>,
    value: &DeValue<'_>,
    folder: &Path,
) -> Result<Option<OsString>, String> {
    let kind = key.kind();
    if !kind.takes(value) {
        let list = if key.is_list() { ", or a list" } else { "" };
        let found = value.type_str();
        return Err(format!(
            "write {}{list}; this is of type {found}",
            kind.described()
        ));
    }
    let text = match value {
        DeValue::String(text) => text.to_string(),
        DeValue::Integer(number) if number.radix() == 10 => number.as_str().to_owned(),
        DeValue::Float(number) => number.as_str().to_owned(),
        DeValue::Boolean(false) => return Ok(None),
        DeValue::Boolean(true) => return Ok(key.flag().map(|flag| format!("--{flag}").into())),
        DeValue::Integer(_) | DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => {
            return Err(format!("write {}", kind.described()));
        }
    };
    let text = match (kind, text.strip_prefix("file:")) {
        (ValueKind::Path, _) => folder.join(text).display().to_string(),
        (ValueKind::Place, _) if text.starts_with(UNIX) => {
            let path = text.strip_prefix(UNIX).unwrap_or_default();
            format!("{UNIX}{}", folder.join(path).display())
        }
        (ValueKind::Secret, Some(path)) => format!("file:{}", folder.join(path).display()),
        _ => text,
    };
    let word = key
        .flag()
        .map_or_else(|| text.clone(), |flag| format!("--{flag}={text}"));
    Ok(Some(word.into()))
}

/// Why the command does not take that word for its flag, if it does not.
fn refused(command: &Command, word: &OsString) -> Option<String> {
    let alone = command.clone().no_binary_name(true);
    let error = alone.try_get_matches_from([word]).err()?;
    match error.kind() {
        ErrorKind::ValueValidation => Some(error.source()?.to_string()),
        ErrorKind::InvalidValue => {
            let known = match error.get(ContextKind::ValidValue) {
                Some(ContextValue::Strings(known)) => known.join(", "),
                _ => String::new(),
            };
            Some(format!("write one of these: {known}"))
        }
        // What goes with what is asked of all of them together.
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::flags::Flags;
    use clap::CommandFactory;

    fn told(text: &str) -> Result<Vec<String>, String> {
        let all = Flags::command();
        let serve = all.find_subcommand("serve").expect("a command");
        let settings = read(serve, text, Path::new("/etc/x")).map_err(|it| it.to_string())?;
        let words = settings.keys.into_iter().flat_map(|(_, words)| words);
        Ok(words.map(|it| it.to_string_lossy().into_owned()).collect())
    }

    #[test]
    fn keys_are_flags_and_paths_begin_where_the_file_is() {
        let text = "max-message = \"64k\"\nroom_size = 7\ndeflate = true\ndrain = \"1s\"\n\
                    listen = [9000, \"127.0.0.1:9001\"]\ncores = 0\n\
                    admin-listen = \"unix:s\"\n\
                    tls-key = \"k.pem\"\ntls-cert = \"/c.pem\"\napi-key = \"file:key\"\n";
        let mut words = told(text).unwrap();
        words.sort();
        let expected = [
            "--admin-listen=unix:/etc/x/s",
            "--api-key=file:/etc/x/key",
            "--cores=0",
            "--deflate",
            "--drain=1s",
            "--listen=127.0.0.1:9001",
            "--listen=9000",
            "--max-message=64k",
            "--room-size=7",
            "--tls-cert=/c.pem",
            "--tls-key=/etc/x/k.pem",
        ];
        assert_eq!(words, expected);
        assert_eq!(told("deflate = false").unwrap(), [""; 0]);
        let rules = "cores = 0\n[[rule]]\non = \"request\"\naction = \"deny\"\n";
        assert_eq!(told(rules).unwrap(), ["--cores=0"]);
    }

    #[test]
    fn a_mistake_has_its_line_its_column_and_what_would_do() {
        for (text, found) in [
            ("\n  max-mesage = 1", "2:3: `max-mesage` is no key"),
            ("max-mesage = 1", "is `max-message` meant"),
            (
                "\ndrain = 5",
                "2:9: `drain`: write a time as a text, such as \"10s\"",
            ),
            ("drain = 5", "of type integer"),
            (
                "drain = \"5\"",
                "1:9: `drain`: write numbers and their units",
            ),
            ("dev = \"yes\"", "1:7: `dev`: write true or false"),
            (
                "deflate = 1",
                "1:11: `deflate`: write true, false, or a text",
            ),
            (
                "deflate = \"some\"",
                "1:11: `deflate`: write true, false, takeover",
            ),
            (
                "listen = [9000,\n true]",
                "2:2: `listen`: write a number or a text",
            ),
            ("cores = [0, 1]", "1:9: `cores`: write a number or a text"),
            (
                "engine = \"rign\"",
                "1:10: `engine`: write one of these: ring, tokio",
            ),
            ("room-size = 0", "1:13: `room-size`: 0 is not in 1..=1024"),
            ("max-message = ", "1:"),
            ("[tls]\ncert = 1", "1:2: `tls` is no key"),
            ("config = \"x\"", "`config` is no key"),
            ("end-with-parent = true", "`end-with-parent` is no key"),
            (
                "[[rule]]\non = \"request\"\nactoin = 1",
                "3:1: `actoin` is unknown; is `action`",
            ),
            (
                "rules = \"r\"\n[[rule]]\non = \"request\"\naction = \"deny\"",
                "1:9: rules or channels",
            ),
        ] {
            let error = told(text).unwrap_err();
            assert!(error.contains(found), "{text}\n{found}\n{error}");
        }
    }
}
