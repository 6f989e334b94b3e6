//! What a key of a configuration file is: a flag of the command, with the flag's name, help, type
//! and default. There is no other list of keys.

use clap::{Arg, ArgAction};
use toml::de::DeValue;

/// What an environment variable of ours begins with.
pub(super) const PREFIX: &str = "RINGSTORM_";

/// Flags that are no keys: they are about this run of the program.
const NO_KEYS: [&str; 4] = ["help", "version", "config", "no_restart"];

/// A key.
#[derive(Clone, Copy)]
pub(super) struct ConfigKey<'c>(&'c Arg);

/// What a value of a key is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ValueKind {
    /// On or off.
    Switch,
    /// On or off, or a way to be on.
    Mode,
    /// One of a few words.
    Choice,
    /// How many: a number, or a text such as `10k`.
    Count,
    /// Bytes: a number, or a text such as `64k`.
    Size,
    /// A span of time: a text such as `10s`.
    Time,
    /// CPUs or an address: a number or a text.
    Place,
    /// The path of a file.
    Path,
    /// Where a secret is: `env:NAME` or `file:PATH`.
    Secret,
    /// A text of another kind.
    Text,
    /// What the other commands take: a number or a text.
    Any,
}

/// The environment variable of what clap calls so.
pub(super) fn variable(id: &str) -> String {
    format!("{PREFIX}{}", id.to_uppercase())
}

impl<'c> ConfigKey<'c> {
    /// The key that a flag is, if it is one.
    pub(super) fn of(arg: &'c Arg) -> Option<Self> {
        let is_key = !NO_KEYS.contains(&arg.get_id().as_str()) && !arg.is_hide_set();
        is_key.then_some(Self(arg))
    }

    /// What clap calls it.
    pub(super) fn id(self) -> &'c str {
        self.0.get_id().as_str()
    }

    /// Its name in a file.
    pub(super) fn name(self) -> String {
        self.id().replace('_', "-")
    }

    /// Its flag, without dashes; none of what has a place instead.
    pub(super) fn flag(self) -> Option<&'c str> {
        self.0.get_long()
    }

    /// Its environment variable.
    pub(super) fn variable(self) -> String {
        variable(self.id())
    }

    /// What the help of its flag says.
    pub(super) fn help(self) -> String {
        let help = self.0.get_long_help().or(self.0.get_help());
        let help = help.map(ToString::to_string).unwrap_or_default();
        help.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// Whether it may have several values.
    pub(super) fn is_list(self) -> bool {
        matches!(self.0.get_action(), ArgAction::Append)
            || self.0.get_num_args().is_some_and(|it| it.max_values() > 1)
    }

    /// What it is where nobody says, as it would be typed; nothing for what then is not there.
    pub(super) fn defaults(self) -> Vec<String> {
        let all = self.0.get_default_values().iter();
        all.map(|it| it.to_string_lossy().into_owned()).collect()
    }

    /// The words that a choice has.
    pub(super) fn words(self) -> Vec<String> {
        let all = self.0.get_possible_values();
        all.iter().map(|it| it.get_name().to_owned()).collect()
    }

    /// What its values are.
    pub(super) fn kind(self) -> ValueKind {
        if !self.0.get_action().takes_values() {
            return ValueKind::Switch;
        }
        if !self.words().is_empty() {
            return ValueKind::Choice;
        }
        let names = self.0.get_value_names();
        let name = names.and_then(|names| names.first());
        match name.map_or("", |name| name.as_str()) {
            "N" | "MS" | "CODE" | "RATE" => ValueKind::Count,
            "CONTEXT" => ValueKind::Mode,
            "BYTES" => ValueKind::Size,
            "TIME" => ValueKind::Time,
            "LIST" | "[HOST:]PORT" => ValueKind::Place,
            "FILE" | "DIR" => ValueKind::Path,
            "WHERE" => ValueKind::Secret,
            "MODE" | "NAME" | "NETWORK" | "ORIGIN" | "TEXT" | "URL" => ValueKind::Text,
            _ => ValueKind::Any,
        }
    }
}

impl ValueKind {
    /// Whether a value may be of that kind, as far as its type tells.
    pub(super) fn takes(self, value: &DeValue<'_>) -> bool {
        match self {
            Self::Switch => value.is_bool(),
            Self::Mode => value.is_bool() || value.is_str(),
            Self::Count | Self::Size | Self::Place => value.is_integer() || value.is_str(),
            Self::Choice | Self::Time | Self::Path | Self::Secret | Self::Text => value.is_str(),
            Self::Any => {
                value.is_bool() || value.is_integer() || value.is_float() || value.is_str()
            }
        }
    }

    /// What to write.
    pub(super) const fn described(self) -> &'static str {
        match self {
            Self::Switch => "true or false",
            Self::Mode => "true, false, or a text such as \"takeover\"",
            Self::Choice => "one of its words in quotes",
            Self::Count => "a whole number, or a text such as \"10k\"",
            Self::Size => "a number of bytes, or a text such as \"64k\"",
            Self::Time => "a time as a text, such as \"10s\"",
            Self::Place => "a number or a text, such as 9000 or \"127.0.0.1:9000\", 0 or \"0-3\"",
            Self::Path => "a path as a text",
            Self::Secret => "\"env:NAME\" or \"file:PATH\"",
            Self::Text => "a text in quotes",
            Self::Any => "a text, a number, true, or a list of these",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::flags::Flags;
    use clap::CommandFactory;

    #[test]
    fn every_key_of_serve_has_a_kind_of_its_own_and_says_what_it_is_for() {
        let all = Flags::command();
        let serve = all.find_subcommand("serve").expect("a command");
        let keys: Vec<_> = serve.get_arguments().filter_map(ConfigKey::of).collect();
        for key in &keys {
            assert_ne!(key.kind(), ValueKind::Any, "{}", key.name());
            assert!(
                key.help().len() > 10 && key.flag().is_some(),
                "{}",
                key.name()
            );
        }
        assert!(keys.len() > 30, "{}", keys.len());
        assert!(keys.iter().all(|key| key.name() != "end-with-parent"));
    }
}
