//! The agent against real servers: samples, a restart, a server that is not there; the view drawn.

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ringstorm::cli::agent::view::{AgentScreen, draw};
use ringstorm::cli::agent::{AgentOutput, Config, Ended, HostFigures, watch};
use ringstorm::engine::{self, EngineConfig, EngineError, Listeners, Stop};
use ringstorm::server::{self, Server};
use ringstorm::stats::{HostSample, Sample, ServerWatch, Texts};
use ringstorm::time::Instant;
use serde_json::{Value, json};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;

type Outcomes = Result<Vec<server::Outcome>, EngineError>;

/// A server on the tokio engine; ends when dropped.
struct Running {
    address: SocketAddr,
    stop: Stop,
    thread: Option<JoinHandle<Outcomes>>,
}

impl Running {
    fn start(address: SocketAddr) -> Self {
        let listeners = Listeners::bind(&[address], 2).expect("a free port");
        let address = listeners.addresses()[0];
        let stop = Stop::default();
        let plan = EngineConfig {
            listeners,
            stop: stop.clone(),
            ..EngineConfig::new(vec![0, 0])
        };
        let started = engine::now();
        let serve = move || {
            engine::tokio::run(plan, move |core| {
                Server::new(core, server::Config::new("tokio", started))
            })
        };
        Self {
            address,
            stop,
            thread: Some(thread::spawn(serve)),
        }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.throw();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn any() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

fn config(url: &str, form: AgentOutput, count: u64) -> Config {
    let mut config = Config::at(url).expect("a URL");
    config.form = form;
    config.count = count;
    config.refresh = Duration::from_millis(100);
    config
}

fn run(config: &Config) -> (Ended, String) {
    let mut out = Vec::new();
    let ended = watch(config, &mut out, &Stop::default()).expect("a vector takes all");
    (ended, String::from_utf8(out).expect("text"))
}

fn objects(text: &str) -> Vec<Value> {
    let parse = |line| serde_json::from_str(line).expect("JSON");
    text.lines().map(parse).collect()
}

#[test]
fn json_tells_levels_rates_and_the_host() {
    let server = Running::start(any());
    let mut config = config(&server.url(), AgentOutput::Json, 3);
    config.host = HostFigures::On;
    let (ended, text) = run(&config);
    assert_eq!(ended, Ended::Done);
    let objects = objects(&text);
    assert_eq!(objects.len(), 3, "{text}");
    let last = &objects[2];
    assert_eq!(last["schema"], "ringstorm.agent/1");
    assert_eq!((&last["sample"], &last["state"]), (&json!(3), &json!("up")));
    assert_eq!(
        (&last["engine"], &last["change"]),
        (&json!("tokio"), &json!(null))
    );
    // One connection for all samples, and it is the agent's own.
    assert_eq!(
        (&last["accepted"], &last["open"]["http"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(last["accepted_per_s"], 0.0);
    assert_eq!(objects[0]["accepted_per_s"], Value::Null);
    for key in ["turns_per_s", "bytes_in_per_s", "cpu_percent"] {
        assert!(last[key].as_f64() > Some(0.0), "{key}: {last}");
    }
    assert_eq!(last["cores"].as_array().map(Vec::len), Some(2));
    for key in ["tcp_in_use", "listen_overflows", "memory_bytes"] {
        assert!(last["host"][key].is_number(), "{key}: {last}");
    }
    assert!(
        last["host"]["cpus"][0]["busy_percent"].is_number(),
        "{last}"
    );
}

#[test]
fn one_sample_is_a_table_or_one_object() {
    let server = Running::start(any());
    let (ended, text) = run(&config(&server.url(), AgentOutput::Table, 1));
    assert_eq!(ended, Ended::Done);
    for part in [
        "engine tokio",
        "accept queue",
        "descriptors",
        "core 1",
        "messages in",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let (_, text) = run(&config(&server.url(), AgentOutput::Json, 1));
    assert_eq!(objects(&text)[0]["change"], "first");
}

#[test]
fn columns_stay_where_they_are() {
    let server = Running::start(any());
    let (_, text) = run(&config(&server.url(), AgentOutput::Plain, 3));
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 4, "{text}");
    assert!(lines[0].contains("msgs_in/s"), "{text}");
    for line in &lines {
        assert_eq!(line.len(), lines[0].len(), "{text}");
        assert_eq!(line.split_whitespace().count(), 17, "{text}");
    }
}

/// Reads what the agent writes, object by object, and does something about it.
struct Script<F: FnMut(&Value)>(Vec<Value>, F);

impl<F: FnMut(&Value)> Write for Script<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let object = serde_json::from_slice(bytes).map_err(io::Error::other)?;
        (self.1)(&object);
        self.0.push(object);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_restart_of_the_server_is_survived_and_told() {
    let mut server = Some(Running::start(any()));
    let address = server.as_ref().expect("running").address;
    let config = config(&format!("http://{address}"), AgentOutput::Json, 100);
    let stop = Stop::default();
    let mut after = 0;
    let mut out = Script(Vec::new(), |object: &Value| {
        let sample = object["sample"].as_u64();
        match object["state"].as_str() {
            Some("up") if sample == Some(3) => server = None,
            Some("lost") if server.is_none() => server = Some(Running::start(address)),
            Some("up") if sample > Some(3) => {
                after += 1;
                if after == 3 {
                    stop.throw();
                }
            }
            _ => {}
        }
    });
    let ended = watch(&config, &mut out, &stop).expect("it is written");
    assert_eq!(ended, Ended::Stopped);
    let seen: Vec<(&str, Option<&str>)> = out
        .0
        .iter()
        .map(|it| {
            (
                it["state"].as_str().expect("a state"),
                it["change"].as_str(),
            )
        })
        .collect();
    let lost = seen.iter().filter(|(state, _)| *state == "lost").count();
    assert!(lost > 0, "{seen:?}");
    let restart = seen.iter().position(|it| it.1 == Some("restarted"));
    assert_eq!(restart, Some(3 + lost), "{seen:?}");
    let why = out.0[3]["why"].as_str().expect("a reason");
    assert!(why.contains("try: "), "{why}");
}

#[test]
fn without_a_server_at_the_start_it_ends_and_says_what_to_do() {
    // Bound and gone: a connect is refused.
    let address = TcpListener::bind(any()).expect("a port").local_addr();
    let address = address.expect("an address");
    let (ended, text) = run(&config(&format!("http://{address}"), AgentOutput::Json, 5));
    assert!(
        matches!(&ended, Ended::NoServer(why) if why.contains("is a server running there?")),
        "{ended:?}"
    );
    assert_eq!(text, "");
    assert!(Config::at("ws://127.0.0.1:1").is_err_and(|why| why.contains("http://")));
}

/// Answers one request with these bytes and ends.
fn answering(bytes: Vec<u8>) -> String {
    let listener = TcpListener::bind(any()).expect("a port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        let (mut peer, _): (TcpStream, _) = listener.accept().expect("the agent connects");
        let _ = peer.read(&mut [0; 1024]);
        let _ = peer.write_all(&bytes);
    });
    format!("http://{address}")
}

#[test]
fn what_is_no_stats_is_refused_and_never_held_without_bound() {
    let endless = || {
        let mut bytes = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
        bytes.resize(9 * 1024 * 1024, b' ');
        bytes
    };
    let cases = [
        (
            b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec(),
            "404",
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}".to_vec(),
            "not the /stats",
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{".to_vec(),
            "not the /stats",
        ),
        (b"SSH-2.0-x\r\n\r\n".to_vec(), "not HTTP"),
        (Vec::new(), "ended the connection"),
        (endless(), "larger than"),
    ];
    for (bytes, part) in cases {
        let (ended, _) = run(&config(&answering(bytes), AgentOutput::Plain, 1));
        assert!(
            matches!(&ended, Ended::NoServer(why) if why.contains(part)),
            "{part}: {ended:?}"
        );
    }
}

fn told(at_s: u64, connections: u64) -> Sample {
    let counted = at_s * connections;
    let figures = json!({
        "open": { "websocket": connections, "sse": 40, "http": 1 },
        "accepted": connections + 50 * at_s, "closed": { "local": 0, "peer_ended": 50 * at_s },
        "messages_in": counted * 2, "messages_out": counted * 3,
        "bytes_in": counted * 76, "bytes_out": counted * 72, "backlog_bytes": 1_572_864,
        "turns": at_s * 1000, "events": counted * 2, "starved": 7 * at_s, "accept_pauses": 2,
        "rescues": 0, "cpu_s": at_s as f64 * 0.73, "accept_queue": 12, "accept_queue_limit": 8192,
        "slots_used": connections + 41, "slots": 131_072,
    });
    let mut core = figures.clone();
    core["core"] = json!(0);
    let mut second = core.clone();
    (second["core"], second["cpu_s"]) = (json!(1), json!(at_s as f64 * 0.08));
    let body = json!({
        "engine": "ring", "uptime_s": at_s, "cores": [core, second], "total": figures,
        "process": { "cpu_s": at_s as f64 * 0.81, "rss_bytes": 25_690_112,
            "descriptors": 31, "descriptor_limit": 20_000 },
        "missing": [],
        "listeners": [
            { "address": "[::1]:90", "core": 0, "accept_queue": 2, "accept_queue_limit": 4096 },
            { "address": "[::1]:90", "core": 1, "accept_queue": 10, "accept_queue_limit": 4096 },
        ],
    });
    Sample::parse(body.to_string().as_bytes()).expect("a sample")
}

fn host_at(at_s: u64) -> HostSample {
    let cpu = |number: u64| {
        let busy = at_s * (20 + number);
        format!(
            "cpu{number} {busy} 0 {busy} {} 0 0 {} {at_s}\n",
            at_s * 50,
            at_s * 9
        )
    };
    let texts = Texts {
        stat: cpu(0) + &cpu(1),
        sockstat: "TCP: inuse 20000 orphan 3 tw 17 alloc 20003 mem 811\n".to_owned(),
        netstat: format!("TcpExt: ListenOverflows ListenDrops\nTcpExt: {at_s} {at_s}\n"),
        snmp: format!("Tcp: RetransSegs\nTcp: {}\n", at_s * 4),
        softnet: format!("00000001 00000000 {at_s:08x}\n"),
        load: "1.25 1.00 0.50 1/200 999\n".to_owned(),
        pressure_cpu: "some avg10=12.00 avg60=0.00 avg300=0.00 total=0\n".to_owned(),
        pressure_memory: "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n".to_owned(),
        memory: "MemTotal: 25165824 kB\nMemAvailable: 12582912 kB\n".to_owned(),
        ..Texts::default()
    };
    HostSample::parse(&texts, Instant::from_nanos(at_s * 1_000_000_000))
}

/// What a terminal of that size shows after looks at these seconds.
fn drawn((width, height): (u16, u16), host: HostFigures, looks: &[Option<u64>]) -> String {
    let mut watch = ServerWatch::new();
    let mut screen = AgentScreen::new("http://127.0.0.1:9000", Duration::from_secs(1));
    for (at_s, look) in (1..).zip(looks) {
        let told = look
            .map(|uptime_s| told(uptime_s, 10_000))
            .ok_or_else(|| "cannot connect to 127.0.0.1:9000: refused".to_owned());
        let now = Instant::from_nanos(at_s * 1_000_000_000);
        let host = (host == HostFigures::On).then(|| host_at(at_s));
        screen.take(watch.look(now, told, host));
    }
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal");
    terminal.draw(|frame| draw(frame, &screen)).expect("drawn");
    terminal.backend().to_string().replace('"', "")
}

/// Compares with the file; `GOLDEN=write` writes it anew.
fn golden(name: &str, text: &str) {
    let path = format!(
        "{}/tests/golden/agent/{name}.txt",
        env!("CARGO_MANIFEST_DIR")
    );
    if std::env::var("GOLDEN").is_ok_and(|value| value == "write") {
        std::fs::write(&path, text).expect("written");
    }
    let wanted = std::fs::read_to_string(&path).expect("a golden file");
    assert_eq!(
        text, wanted,
        "{name}: GOLDEN=write, if this is what it shall be"
    );
}

#[test]
fn the_view_shows_everything_on_80_columns_and_24_lines() {
    let looks = [Some(10), Some(11), None, Some(13), Some(14)];
    golden("server", &drawn((80, 24), HostFigures::Off, &looks));
    golden("host", &drawn((80, 24), HostFigures::On, &looks));
    golden("wide", &drawn((132, 40), HostFigures::On, &looks));
}

#[test]
fn the_view_says_that_the_server_is_lost_or_was_restarted() {
    let lost = drawn(
        (80, 24),
        HostFigures::Off,
        &[Some(10), Some(11), None, None],
    );
    golden("lost", &lost);
    let restarted = drawn(
        (80, 24),
        HostFigures::Off,
        &[Some(10), None, Some(1), Some(2)],
    );
    assert!(restarted.contains("restarted 1 s ago"), "{restarted}");
}

#[test]
fn what_a_narrow_terminal_cuts_has_a_sign() {
    let cells = |width: u16| -> Vec<String> {
        let shown = drawn((width, 40), HostFigures::On, &[Some(10), Some(11)]);
        let rows = shown.lines().filter(|row| !row.contains(['█', '░']));
        let cells = rows.flat_map(|row| row.split('│').skip(1).map(str::trim).map(str::to_owned));
        cells.filter(|cell| !cell.is_empty()).collect()
    };
    let wide = cells(200);
    let mut signs = 0;
    for width in 30..80 {
        for cell in cells(width) {
            let has_sign = cell.ends_with('…') || cell.starts_with('+');
            assert!(has_sign || wide.contains(&cell), "{width}: {cell:?}");
            signs += usize::from(has_sign);
        }
    }
    assert!(signs > 50, "{signs}");
}

#[test]
fn no_size_of_a_terminal_breaks_the_view() {
    for size in [(1, 1), (10, 3), (40, 12), (79, 23), (300, 5), (20, 80)] {
        drawn(size, HostFigures::On, &[Some(10), Some(11)]);
        drawn(size, HostFigures::Off, &[]);
    }
}
