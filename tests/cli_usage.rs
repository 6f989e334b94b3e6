//! The program as typed: wrong flags, exit codes, what the messages name.

use std::net::TcpListener;
use std::process::{Command, Output};

fn ringstorm(line: &str) -> Output {
    let program = env!("CARGO_BIN_EXE_ringstorm");
    Command::new(program)
        .args(line.split_whitespace())
        .output()
        .expect("the program runs")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Each line exits 2 and names both words.
fn refused(cases: &[(&str, &str, &str)]) {
    for (line, flag, example) in cases.iter().copied() {
        let output = ringstorm(line);
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{line}: {text}");
        assert!(
            text.contains(flag) && text.contains(example),
            "{line}: {text}"
        );
    }
}

#[test]
fn a_wrong_flag_names_the_flag_and_an_example_and_exits_2() {
    let cases = [
        ("serve --listen nowhere", "--listen", "127.0.0.1:9000"),
        ("serve --cores 9999", "--cores", "--cores 0"),
        ("serve --receive-buffers 1000", "--receive-buffers", "1024"),
        (
            "serve --max-message 8M --max-backlog 4M",
            "--max-backlog",
            "--max-backlog 16777216",
        ),
        (
            "serve --engine tokio --max-connections 100M",
            "--max-connections",
            "ulimit -n",
        ),
        ("serve --engine magic", "--engine", "ring"),
        ("load ws://127.0.0.1:1/echo -d 10", "--duration", "10s"),
        ("load ws://127.0.0.1:1/echo -c 0", "--connections", "64"),
        ("load ws://127.0.0.1:1/echo --payload 4", "payload", "8"),
        ("load http://127.0.0.1:1/events -r 100", "--rate", "ws://"),
        (
            "load http://127.0.0.1:1/events --scenario echo",
            "echo",
            "ws://",
        ),
        (
            "load ws://127.0.0.1:1/echo --source-ip 192.0.2.1",
            "--source-ip",
            "ip addr",
        ),
        (
            "load ws://127.0.0.1:1/echo --engine tokio -c 100M",
            "-c",
            "ulimit -n",
        ),
        ("load 127.0.0.1:9000", "URL", "ws://127.0.0.1:9000/echo"),
        ("probe http://127.0.0.1:1/events --echo", "--echo", "ws://"),
        (
            "probe http://127.0.0.1:1/events --count x",
            "--count",
            "10k",
        ),
        ("agent http://127.0.0.1:1 --refresh 1ms", "--refresh", "1s"),
        (
            "agent http://127.0.0.1:1 --count 0",
            "--count",
            "--count 10",
        ),
        (
            "agent ws://127.0.0.1:1/echo",
            "URL",
            "http://127.0.0.1:9000",
        ),
        ("demo --fast", "--fast", "ringstorm demo"),
        ("sevre", "sevre", "ringstorm"),
    ];
    refused(&cases);
}

#[test]
fn a_calibration_of_what_cannot_be_compared_is_refused() {
    refused(&[
        (
            "load ws://127.0.0.1:1/echo --calibrate",
            "--calibrate",
            "-r 20k",
        ),
        (
            "load http://127.0.0.1:1/events --calibrate",
            "--calibrate",
            "--scenario echo",
        ),
        (
            "load wss://127.0.0.1:1/echo --insecure -r 10 --calibrate",
            "--calibrate",
            "ws:// URL",
        ),
    ]);
}

#[test]
fn a_wrong_option_of_a_connection_names_itself_and_an_example() {
    refused(&[
        (
            "load ws://127.0.0.1:1/?u={user}",
            "{user}",
            "/echo?user={number}",
        ),
        (
            "load ws://127.0.0.1:1/ http://127.0.0.1:1/",
            "URL",
            "a run for each scheme",
        ),
        ("load ws://127.0.0.1:1/ --insecure", "--insecure", "wss://"),
        ("load ws://127.0.0.1:1/ --tick 1ms", "--tick", "-r 1000"),
        (
            "load ws://127.0.0.1:1/ -r 10 --tick 1s",
            "a tick of 1s",
            "100ms",
        ),
        (
            "load ws://127.0.0.1:1/ --basic ann",
            "--basic",
            "ann:secret",
        ),
        (
            "load ws://127.0.0.1:1/ --cookie a",
            "--cookie",
            "session=abc",
        ),
        (
            "load ws://127.0.0.1:1/ --resolve a:1",
            "--resolve",
            "example.org:443:127.0.0.1",
        ),
        (
            "load ws://127.0.0.1:1/ --config /nowhere.toml",
            "--config",
            "load.toml",
        ),
        (
            "serve --tls-cert /nowhere --tls-key /nowhere",
            "--tls-cert",
            "PEM",
        ),
    ]);
}

#[test]
fn help_has_examples_and_exits_0() {
    for line in [
        "--help",
        "serve --help",
        "load --help",
        "probe --help",
        "agent --help",
        "demo --help",
    ] {
        let output = ringstorm(line);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(0), "{line}");
        assert!(text.contains("Examples:\n  ringstorm"), "{line}: {text}");
    }
}

#[test]
fn what_only_the_ring_has_is_refused_on_other_engines() {
    for engine in ["tokio", "baseline"] {
        for (flag, value) in [("--receive-buffers", "1024"), ("--receive-bytes", "4k")] {
            let line = format!("serve --engine {engine} --cores 0 {flag} {value}");
            if cfg!(feature = "baseline") || engine != "baseline" {
                refused(&[(&line, flag, "try: --engine ring")]);
            }
        }
    }
}

#[test]
fn a_wrong_flag_of_a_chat_names_the_flag_and_an_example() {
    refused(&[
        (
            "load ws://127.0.0.1:1/chat --scenario chat -c 3",
            "-c",
            "-c 4",
        ),
        (
            "load http://127.0.0.1:1/chat --scenario chat",
            "chat",
            "ws://",
        ),
        (
            "load ws://127.0.0.1:1/chat --scenario chat --payload 20k",
            "--payload",
            "--payload 2000",
        ),
        (
            "load ws://127.0.0.1:1/echo --typing",
            "--typing",
            "--scenario chat",
        ),
        ("serve --logs /dev/null/logs", "--logs", "may write"),
    ]);
}

#[cfg(feature = "baseline")]
#[test]
fn what_the_baseline_has_not_is_refused_and_not_ignored() {
    for asked in [
        "--max-connections 10",
        "--drain-delay 1s",
        "--drain-spread 1s",
        "--drain-code 1012",
        "--idle-timeout off",
        "--message-timeout 1s",
        "--backlog-timeout off",
        "--max-memory 32M",
        "--max-backlog 8M",
        "--max-fragments 7",
        "--room-size 3",
        "--deflate",
        "--subprotocol chat",
        "--origin https://a.example",
        "--admin-listen 127.0.0.1:0",
        "--logs logs",
    ] {
        let line = format!("serve --engine baseline --cores 0 --listen 127.0.0.1:0 {asked}");
        let flag = asked.split_whitespace().next().unwrap();
        refused(&[(&line, flag, "try: --engine tokio")]);
    }
}

#[cfg(not(feature = "baseline"))]
#[test]
fn a_build_without_the_baseline_says_so() {
    refused(&[
        ("serve --engine baseline", "--engine baseline", "`baseline`"),
        ("demo --short", "demo", "`baseline`"),
    ]);
}

#[test]
fn a_port_in_use_is_named_with_what_to_do() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    for engine in crate::ENGINES {
        let output = ringstorm(&format!(
            "serve --engine {engine} --cores 0 --listen {address}"
        ));
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{engine}: {text}");
        assert!(
            text.contains(&address.to_string()) && text.contains("try:"),
            "{engine}: {text}"
        );
    }
}

#[test]
fn nobody_there_ends_a_probe_with_1_and_a_load_with_99() {
    // Bound and not listening: nobody else gets this port, and a connect is refused.
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let output = ringstorm(&format!("probe ws://{free}/echo"));
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("is a server running there?"),
        "{}",
        stderr(&output)
    );
    let output = ringstorm(&format!(
        "load ws://{free}/echo -c 3 -d 500ms --quiet --engine tokio"
    ));
    assert_eq!(output.status.code(), Some(99), "{}", stderr(&output));
    assert!(String::from_utf8_lossy(&output.stdout).contains("3 connect: refused"));
}
