//! The JSON Schema of configuration files: of the flags, and of the tables of rules.

use super::serve_command;
use crate::app::rules::{ChannelTable, RuleTable};
use crate::cli::config_key::{ConfigKey, ValueKind};
use crate::cli::serve::RELOADED;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

/// It, as it is written.
pub(super) fn text() -> String {
    let text = serde_json::to_string_pretty(&schema()).unwrap_or_default();
    format!("{text}\n")
}

/// It.
pub(super) fn schema() -> Value {
    let mut rules = SchemaSettings::draft2020_12().into_generator();
    let rule = rules.subschema_for::<RuleTable>();
    let serve = serve_command();
    let keys = serve.get_arguments().filter_map(ConfigKey::of);
    let mut properties: Map<String, Value> = keys.map(|key| (key.name(), property(key))).collect();
    let channel = rules.subschema_for::<ChannelTable>();
    let tables = [
        (
            "rule",
            rule,
            "Who may do what, the first that decides: docs/realtime.md.",
        ),
        (
            "channel",
            channel,
            "What channels are like: docs/realtime.md.",
        ),
    ];
    for (name, items, description) in tables {
        let table = json!({
            "description": description,
            "type": "array",
            "x-reloads": name == "rule",
            "items": items,
        });
        properties.insert(name.to_owned(), table);
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Configuration of ringstorm serve",
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
        "$defs": rules.take_definitions(true),
    })
}

/// What a key may be.
fn property(key: ConfigKey<'_>) -> Value {
    let one = match key.kind() {
        ValueKind::Switch => json!({"type": "boolean"}),
        ValueKind::Mode => json!({"type": ["boolean", "string"]}),
        ValueKind::Choice => json!({"type": "string", "enum": key.words()}),
        ValueKind::Count | ValueKind::Size | ValueKind::Place => {
            json!({"type": ["integer", "string"]})
        }
        ValueKind::Secret => json!({"type": "string", "pattern": "^(env|file):."}),
        ValueKind::Time | ValueKind::Path | ValueKind::Text => json!({"type": "string"}),
        ValueKind::Any => json!({}),
    };
    let mut property = match key.is_list() {
        true => json!({"anyOf": [one, {"type": "array", "items": one}]}),
        false => one,
    };
    if let Value::Object(property) = &mut property {
        property.insert("description".into(), key.help().into());
        property.insert("x-write".into(), key.kind().described().into());
        property.insert("x-variable".into(), key.variable().into());
        property.insert("x-reloads".into(), RELOADED.contains(&&*key.name()).into());
        let mut defaults = key.defaults();
        let default = match key.kind() {
            ValueKind::Switch | ValueKind::Mode => Some(false.into()),
            _ if key.is_list() && !defaults.is_empty() => Some(defaults.into()),
            _ => defaults.pop().map(Value::from),
        };
        if let Some(default) = default {
            property.insert("default".into(), default);
        }
    }
    property
}
