//! Which scenario files are taken, and what is said of the others.

use super::*;

fn parse(text: &str) -> Result<Script, ScriptError> {
    Script::parse(text, &mut |path| match path {
        "users.csv" => Ok(b"\xef\xbb\xbfuser, token\nann,1\nbob,2\n".to_vec()),
        "uneven.csv" => Ok(b"user,token\nann,1\nbob\n".to_vec()),
        "empty.csv" => Ok(b"user\n".to_vec()),
        "bytes.bin" => Ok(vec![0xff; 3]),
        "large.bin" => Ok(vec![0; SAID_BYTES_MAX + 1]),
        _ => Err(format!("{path}: no such file")),
    })
}

fn refused(text: &str, parts: [&str; 2]) {
    let error = parse(text).unwrap_err().to_string();
    for part in parts {
        assert!(error.contains(part), "{text}\n{error}");
    }
}

#[test]
fn a_wrong_step_is_named_by_line_and_key_with_what_would_do() {
    for (step, parts) in [
        ("{ sent = 'x' }", ["sent", "`send`"]),
        ("{ send = '${nobody}' }", ["send: ${nobody}", "now_ns"]),
        ("{ send = '${a' }", ["send", "$${"]),
        ("{ wait = { regex = '(' } }", ["wait.regex", "^hello"]),
        ("{ wait = { json = 'a' } }", ["wait.json", "$.users"]),
        (
            "{ wait = { json = '/a', regex = 'b' } }",
            ["wait:", "regex alone"],
        ),
        ("{ wait = { equals = '${x}' } }", ["wait.equals", "csv"]),
        ("{ send = 'a', ping = true }", ["step", "{ wait = {} }"]),
        ("{ ping = false }", ["step", "ping = true"]),
        ("{ close = 1006 }", ["close", "1000"]),
        ("{ send = 'a', within_ms = 5 }", ["within_ms", "wait"]),
        ("{ send = 'a', text = true }", ["text", "file"]),
        ("{ think_ms = 9, think_ms_max = 8 }", ["think_ms_max", "9"]),
        ("{ file = 'gone.bin' }", ["file", "gone.bin"]),
        ("{ file = 'large.bin' }", ["file", "at most"]),
        (
            "{ file = 'bytes.bin', text = true }",
            ["file", "leave text out"],
        ),
    ] {
        let text = format!("[[client]]\nturn = [\n\n{step}]");
        refused(&text, parts);
        refused(&text, ["line 4", parts[0]]);
    }
}

#[test]
fn what_else_is_wrong_is_named_by_line_and_key_with_what_would_do() {
    for (text, line, parts) in [
        ("[[client]]\nweight = 'x'", "line 2", ["weight", "u32"]),
        ("[[client]]\nweight = -1", "line 2", ["weight", "u32"]),
        ("[[client]]\nweight = 0", "line 1", ["client", "at least 1"]),
        (
            "[[client]]\nweight = 10_000\n[[client]]",
            "line 3",
            ["weight", "smaller"],
        ),
        (
            "[[client]]\nread_rate = 0",
            "line 2",
            ["read_rate", "at least 1"],
        ),
        (
            "\ncsv = 'gone.csv'\n[[client]]",
            "line 2",
            ["csv", "gone.csv"],
        ),
        (
            "csv = 'uneven.csv'\n[[client]]",
            "line 1",
            ["csv: uneven.csv", "line: 3"],
        ),
        (
            "csv = 'empty.csv'\n[[client]]",
            "line 1",
            ["csv: empty.csv", "row"],
        ),
        ("csv = 'users.csv'", "line 1", ["client", "missing"]),
        ("client = []", "line 1", ["client", "at least 1"]),
    ] {
        refused(text, parts);
        refused(text, [line, parts[0]]);
    }
}

#[test]
fn what_can_be_said_and_waited_for_is_read() {
    let turn = |steps: &str| format!("[[client]]\nturn = [{steps}]");
    let steps = "{ send = '${user} ${token} $${x}' },
        { wait = { json = '$.a[0]', equals = '${random}' } },
        { wait = { equals = 'b' }, within_ms = 5 },
        { ping = true, within_ms = 5 }, { close = 4000 }";
    let script = parse(&format!("csv = 'users.csv'\n{}", turn(steps))).unwrap();
    assert_eq!(script.rows, [["ann", "1"], ["bob", "2"]]);
    assert_eq!(script.kinds[0].turn.len(), 5);
    assert_eq!(script.needs_websocket(), Some("send"));
    assert!(!script.is_breathless());
    let script = parse(&turn("{ file = 'bytes.bin' }")).unwrap();
    assert!(script.is_breathless());
    let script = parse(&turn("{ wait = {} }, { vanish = true }")).unwrap();
    assert_eq!(script.needs_websocket(), None);
}
