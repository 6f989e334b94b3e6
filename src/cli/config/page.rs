//! docs/configuration.md, made of the schema.

use super::schema;
use serde_json::Value;

const HEAD: &str = "\
# Configuration of serve

`ringstorm serve --config FILE` (or `RINGSTORM_CONFIG=FILE`) reads TOML. Each key is a flag of
`serve` without its dashes, and a variable of the environment as well: `--max-message 64k` is
`max-message = \"64k\"` and `RINGSTORM_MAX_MESSAGE=64k`. A flag wins over a variable, a variable
over the file, the file over the default. A key that takes a list takes a single value too; in a
variable its values stand between commas. Paths begin in the folder of the file.

```toml
listen = [\"127.0.0.1:9000\", \"[::1]:9000\"]
max-message = \"64k\"
origin = \"https://example.org\"
api-key = \"file:api.key\"

[[rule]]                       # docs/realtime.md has what rules say
on = \"handshake\"
action = \"allow\"
```

`ringstorm init DIR` writes such a file. `ringstorm config check FILE` says whether `serve` takes
it; what is wrong is told with its line and column, an unknown key with the nearest that is known.
`ringstorm config print FILE` shows every key, its value and where that is from; `ringstorm config
schema` is the JSON Schema for editors, [serve.schema.json](serve.schema.json).

SIGHUP reads the file anew, and the files that it names. What can change while the server runs is
marked below; for the rest a restart is needed, and stderr says so ([serve](serve.md)).

";

/// The page.
fn text(schema: &Value) -> String {
    let mut text = HEAD.to_owned();
    text += "| key | write | default | SIGHUP | is |\n|---|---|---|---|---|\n";
    let empty = serde_json::Map::new();
    let keys = schema["properties"].as_object().unwrap_or(&empty);
    for (name, key) in keys {
        let write = match (key["x-write"].as_str(), key["enum"].as_array()) {
            (_, Some(words)) => words
                .iter()
                .map(|word| format!("`{word}`"))
                .collect::<Vec<_>>()
                .join(", "),
            (Some(write), None) => write.to_owned(),
            (None, None) => "tables".to_owned(),
        };
        let default = match &key["default"] {
            Value::Null => String::new(),
            default => format!("`{default}`"),
        };
        let is_list = key["anyOf"].is_array();
        let list = if is_list { "; or a list" } else { "" };
        let is = key["description"].as_str().unwrap_or_default();
        let reloads = if key["x-reloads"] == true {
            "takes it"
        } else {
            ""
        };
        text += &format!("| `{name}` | {write}{list} | {default} | {reloads} | {is} |\n");
    }
    text
}

#[test]
fn the_schema_and_the_page_of_the_docs_are_those_of_the_flags() {
    let schema = schema::schema();
    for (name, text) in [
        ("serve.schema.json", schema::text()),
        ("configuration.md", text(&schema)),
    ] {
        let path = format!("{}/docs/{name}", env!("CARGO_MANIFEST_DIR"));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, &text).expect("a writable file");
        }
        let kept = std::fs::read_to_string(&path).expect("the file");
        assert_eq!(text, kept, "{path} differs; UPDATE_GOLDEN=1 writes it");
    }
    let all = schema["properties"].as_object().expect("keys");
    assert!(all.len() > 30 && all.contains_key("rule"));
}
