//! Scenario files: the example as played, and what a wrong file says.

use super::program::{Serving, ringstorm};
use serde_json::Value;

fn example(name: &str) -> String {
    format!("{}/scripts/scenarios/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_server_got_what_the_script_says_no_more_and_no_less() {
    let server = Serving::start(&["--cores", "0"]);
    let url = format!("ws://{}/echo", server.address);
    let (chat, unruly) = (example("chat.toml"), example("unruly.toml"));
    let flags = ["--scenario", "custom", "--json", "--quiet", "--script"];
    let load = |more: &[&str]| {
        let ran = ringstorm(&[&["load", &url], &flags[..], more].concat());
        assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
        serde_json::from_str::<Value>(&ran.out).unwrap()
    };
    let in_all = || server.stats()["total"]["messages_in"].as_u64().unwrap();

    let record = load(&[&chat, "-c", "8", "--iterations", "5"]);
    let of = |key: &str| record["messages"][key].as_u64().unwrap();
    assert_eq!((of("planned"), of("dropped"), of("lost")), (40, 0, 0));
    assert_eq!((of("sent"), of("replied")), (40, 40));
    let bytes = &record["run"]["payload_bytes"];
    assert!(bytes.is_null(), "what is said is the script's: {bytes}");
    // Of eight clients two only ping; six say hello, and two messages a turn.
    assert_eq!(in_all(), 6 + 6 * 5 * 2);

    let before = in_all();
    let record = load(&[&unruly, "-c", "8", "-d", "300ms"]);
    let connects = &record["connects"];
    assert_eq!(
        (&connects["left"], &connects["ended_early"]),
        (&4.into(), &0.into())
    );
    assert_eq!(record["messages"]["sent"].as_u64(), Some(in_all() - before));
}

#[test]
fn a_wrong_script_is_refused_by_line_and_key_before_anybody_connects() {
    let folder = std::env::temp_dir().join(format!("ringstorm-scripts-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("wrong.toml");
    let name = path.to_str().unwrap();
    let url = "ws://127.0.0.1:9/echo";
    let turn = |step: &str| format!("[[client]]\nturn = [\n{step}]");
    for (text, parts) in [
        (turn("{ sned = 'x' }"), ["line 3", "sned", "`send`"]),
        (
            turn("{ wait = { regex = '(' } }"),
            ["line 3", "wait.regex", "try:"],
        ),
        (
            turn("{ file = 'gone' }"),
            ["line 3", "file: gone", "relative to the script"],
        ),
        (
            "csv = 'gone'\n[[client]]".into(),
            ["line 1", "csv: gone", "relative"],
        ),
        (
            "[[client]]\nweight = -1".into(),
            ["line 2", "weight", "u32"],
        ),
        (
            turn("{ send = 'x' }"),
            ["--script", "waits for nothing", "--rate 100"],
        ),
    ] {
        std::fs::write(&path, &text).unwrap();
        let ran = ringstorm(&["load", url, "--scenario", "custom", "--script", name]);
        assert_eq!(ran.code, 2, "{text}: {}", ran.err);
        for part in parts {
            assert!(ran.err.contains(part), "{text}: {part}: {}", ran.err);
        }
    }
    std::fs::remove_dir_all(&folder).unwrap();
    let chat = example("chat.toml");
    for (line, parts) in [
        (
            vec![url, "--scenario", "custom", "--script", name],
            ["wrong.toml", "No such file"],
        ),
        (
            vec![url, "--scenario", "custom"],
            ["--script FILE", "chat.toml"],
        ),
        (
            vec![url, "--script", &chat],
            ["--script", "--scenario custom"],
        ),
        (
            vec![
                "http://127.0.0.1:9/x",
                "--scenario",
                "custom",
                "--script",
                &chat,
            ],
            ["no send", "ws:// URL"],
        ),
    ] {
        let ran = ringstorm(&[&["load"], &line[..]].concat());
        assert_eq!(ran.code, 2, "{line:?}: {}", ran.err);
        for part in parts {
            assert!(ran.err.contains(part), "{line:?}: {part}: {}", ran.err);
        }
    }
}

/// Each message has what its client has: a server that answers with anything else is caught.
#[test]
fn an_echo_says_what_each_client_has_of_its_own() {
    let table = std::env::temp_dir().join(format!("ringstorm-{}-words.csv", std::process::id()));
    std::fs::write(&table, "user,token\nann,t-1\nbob,t-two\n").unwrap();
    let values = table.to_str().unwrap();
    let server = Serving::start(&["--cores", "0", "--deflate"]);
    let url = format!("ws://{}/echo", server.address);
    let words = r#"{"user":"{user}","n":{number},"seq":"{seq}"}"#;
    for engine in ["ring", "tokio"] {
        for (words, more, shown) in [
            (
                words,
                &[][..],
                r#"0 < text frame, 37 bytes: "{\"user\":\"ann\",\"n\":0,\"seq\":\""#,
            ),
            ("{token}", &["--deflate"], "0 < text frame"),
            (
                "hi",
                &["--binary", "--pipeline", "3"],
                "0 < binary frame, 2 bytes: \"hi\"",
            ),
        ] {
            let flags = ["load", &url, "--engine", engine, "-c", "4", "-d", "300ms"];
            let common = [
                "--cores", "0", "--json", "--quiet", "--values", values, "--debug",
            ];
            let ran = ringstorm(&[&flags[..], &common, &["--message", words], more].concat());
            let record: Value = serde_json::from_str(&ran.out).expect(&ran.err);
            let messages = &record["messages"];
            assert!(
                messages["replied"].as_u64() > Some(4),
                "{engine}, {words}: {}",
                ran.out
            );
            assert_eq!(messages["wrong"], 0, "{engine}, {words}: {}", ran.out);
            assert_eq!(messages["lost"], 0, "{engine}, {words}: {}", ran.out);
            let is_shown = ran.err.lines().any(|line| line.starts_with(shown));
            assert!(is_shown, "{engine}, {words}: {}", ran.err);
        }
    }
    for (wrong, word) in [
        (&["--message", r#"{"u":"{user}"}"#][..], "{user}"),
        (&["-H", "Authorization: Bearer {token}"], "{token}"),
        (
            &["--message", "{user} {nobody}", "--values", values][..],
            "{nobody}",
        ),
        (
            &["--message", "x", "--scenario", "listen"],
            "--scenario echo",
        ),
        (&["--message", "x", "--payload", "9"], "--payload"),
    ] {
        let ran = ringstorm(&[&["load", &url], wrong].concat());
        assert_eq!(ran.code, 2, "{wrong:?}: {}", ran.err);
        assert!(ran.err.contains(word), "{wrong:?}: {}", ran.err);
    }
    std::fs::remove_file(&table).unwrap();
}
