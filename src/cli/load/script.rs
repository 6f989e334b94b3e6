//! The scenario custom: its file becomes a script that fits the URL and the pace.

use super::flags::LoadFlags;
use super::scenario_flag::ScenarioFlag;
use crate::cli::Failure;
use crate::cli::url::Scheme;
use crate::load::scenario::custom::{Custom, Script};
use std::path::Path;
use std::sync::Arc;

/// The scenario of the flags, if it is custom.
pub(super) fn custom(flags: &LoadFlags) -> Result<Option<Custom>, Failure> {
    let usage = |text: &str| Err(Failure::Usage(text.to_owned()));
    let is_custom = flags.scenario == Some(ScenarioFlag::Custom);
    let path = match (&flags.script, is_custom) {
        (Some(path), true) => path,
        (None, false) => return Ok(None),
        (Some(_), false) => {
            return usage("--script: only the scenario custom has one; add --scenario custom");
        }
        (None, true) => {
            return usage(
                "--scenario custom: it needs a file; add --script FILE, such as \
                 scripts/scenarios/chat.toml",
            );
        }
    };
    let script = read(path)?;
    let is_stream = flags.urls.iter().any(|url| url.scheme == Scheme::Http);
    if let Some(step) = script.needs_websocket()
        && is_stream
    {
        let path = path.display();
        return usage(&format!(
            "--script: {path}: an event stream carries no {step}; use a ws:// URL, or only wait, \
             think_ms and vanish"
        ));
    }
    if script.is_breathless() && flags.pace.is_closed() {
        let path = path.display();
        return usage(&format!(
            "--script: {path}: a turn that waits for nothing needs a plan; add --rate 100, or a \
             step such as {{ wait = {{}} }} or {{ think_ms = 100 }}"
        ));
    }
    if let Some(flag) = flags.pace.typed()
        && !script.has_turns()
    {
        let path = path.display();
        return usage(&format!(
            "{flag}: no client of {path} takes turns; leave {flag} out, or give a [[client]] a turn"
        ));
    }
    Ok(Some(Custom {
        iterations: flags.iterations,
        script: Arc::new(script),
    }))
}

fn read(path: &Path) -> Result<Script, Failure> {
    let refused = |error: String| {
        let path = path.display();
        Failure::Usage(format!("--script: {path}: {error}"))
    };
    let text = std::fs::read_to_string(path)
        .map_err(|error| refused(format!("{error}; try: scripts/scenarios/chat.toml")))?;
    // What it names lies beside it.
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut fetch = |name: &str| {
        let path = folder.join(name);
        let shown = path.display();
        std::fs::read(&path).map_err(|error| {
            format!("{name}: cannot read {shown}: {error}; names are relative to the script")
        })
    };
    Script::parse(&text, &mut fetch).map_err(|error| refused(error.to_string()))
}
