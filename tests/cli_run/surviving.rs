//! What outlives a server: its store, and whoever starts it again.

use super::program::{Ran, Serving, ringstorm};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// A folder of its own, gone with it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = format!("ringstorm-{name}-{}", std::process::id());
        let folder = std::env::temp_dir().join(folder);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("a folder");
        Self(folder)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("UTF-8").to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What the API answers, if anybody is there.
pub(super) fn call(address: &str, method: &str, body: &Value) -> Option<Value> {
    let body = body.to_string();
    let head = format!(
        "POST /api/{method} HTTP/1.1\r\nHost: {address}\r\nX-API-Key: dev\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    let mut peer = TcpStream::connect(address).ok()?;
    peer.write_all(format!("{head}{body}").as_bytes()).ok()?;
    let mut answer = String::new();
    peer.read_to_string(&mut answer).ok()?;
    let (_, body) = answer.split_once("\r\n\r\n")?;
    let answer: Value = serde_json::from_str(body).ok()?;
    Some(answer["result"].clone())
}

fn publish(address: &str, text: &str) -> Value {
    let publication = json!({"channel": "news", "data": text});
    call(address, "publish", &publication).expect("an answer")
}

fn history(address: &str) -> Option<Value> {
    call(address, "history", &json!({"channel": "news", "limit": 10}))
}

fn texts(history: &Value) -> Vec<&str> {
    let all = history["publications"].as_array();
    let all = all.into_iter().flatten();
    all.filter_map(|it| it["data"].as_str()).collect()
}

fn serve(store: &str) -> Serving {
    Serving::start(&[
        "--dev", "--cores", "0", "--engine", "tokio", "--store", store,
    ])
}

/// What somebody who cannot have that store is told.
fn refused(store: &str) -> String {
    let listen = ["serve", "--listen", "127.0.0.1:0", "--dev", "--cores", "0"];
    let Ran { code, err, out } = ringstorm(&[&listen[..], &["--store", store]].concat());
    assert!(code == 1 && out.is_empty(), "{code}, {out}{err}");
    assert!(err.contains("--store") && err.contains("try:"), "{err}");
    err
}

#[test]
fn channels_go_on_after_a_server_that_ended_and_a_store_is_one_server_s() {
    let folder = Folder::new("store");
    let store = folder.path("a.redb");
    let server = serve(&store);
    let published = ["1", "2", "3"].map(|text| publish(&server.address, text));
    assert!(refused(&store).contains("another server has it open"));
    let (code, said) = server.stop_and_read();
    assert!(code == 0 && said.contains("a.redb: begun"), "{said}");
    let server = serve(&store);
    let found = history(&server.address).expect("an answer");
    assert_eq!(texts(&found), ["1", "2", "3"]);
    assert_eq!(found["epoch"], published[2]["epoch"]);
    let next = publish(&server.address, "4");
    assert_eq!(
        (&next["offset"], &next["epoch"]),
        (&json!(4), &found["epoch"])
    );
    let told = &server.stats()["store"];
    assert_eq!(told["restored_publications"], 3, "{told}");
    let (_, said) = server.stop_and_read();
    let recovered = "recovered 1 channel with 3 publications, 0 sessions (";
    assert!(said.contains(recovered), "{said}");
}

#[test]
fn a_store_that_cannot_be_had_is_told_with_its_remedy() {
    let folder = Folder::new("stores");
    assert!(refused(&folder.path("none/a.redb")).contains("mkdir -p"));
    assert!(refused(&folder.path("")).contains("the path of a file"));
    let text = folder.path("text");
    fs::write(
        &text,
        "something else, of more than a few bytes\n".repeat(999),
    )
    .expect("written");
    assert!(refused(&text).contains("no store"));
    let store = folder.path("a.redb");
    let server = serve(&store);
    publish(&server.address, &"x".repeat(20_000));
    server.stop();
    let mut bytes = fs::read(&store).expect("a store");
    let newer = redb::Database::open(&store).expect("a store");
    let write = newer.begin_write().expect("a transaction");
    let meta = redb::TableDefinition::<&str, &[u8]>::new("meta");
    let format = 99u32.to_le_bytes();
    let table = write.open_table(meta);
    table
        .expect("a table")
        .insert("format", &format[..])
        .expect("a row");
    write.commit().expect("written");
    drop(newer);
    assert!(refused(&store).contains("format 99"));
    // All but the first page, which says what the file is.
    bytes[4096..].fill(0xa5);
    fs::write(&store, bytes).expect("written");
    assert!(refused(&store).contains("damaged"));
}

#[test]
fn without_dev_the_channels_are_kept_whose_table_says_so() {
    let folder = Folder::new("tables");
    let (rules, key) = (folder.path("rules.toml"), folder.path("key"));
    fs::write(&rules, "[[channel]]\nname = \"kept:*\"\nstore = true\n").expect("written");
    fs::write(&key, "dev").expect("written");
    let key = format!("file:{key}");
    let flags = ["--rules", &rules, "--api-key", &key, "--cores", "0"];
    let Ran { code, err, .. } = ringstorm(&[&["serve"], &flags[..]].concat());
    assert!(
        code == 2 && err.contains("there is no store; try: --store"),
        "{code} {err}"
    );
    let store = folder.path("a.redb");
    let flags = [&flags[..], &["--engine", "tokio", "--store", &store]].concat();
    let server = Serving::start(&flags);
    for channel in ["kept:a", "other"] {
        let publication = json!({"channel": channel, "data": channel});
        call(&server.address, "publish", &publication).expect("an answer");
    }
    server.stop();
    let server = Serving::start(&flags);
    for (channel, expected) in [("kept:a", &["kept:a"][..]), ("other", &[])] {
        let wanted = json!({"channel": channel, "limit": 10});
        let found = call(&server.address, "history", &wanted).expect("an answer");
        assert_eq!(texts(&found), expected);
    }
    server.stop();
}

/// The process that a watching one has started.
pub(super) fn child(of: &str) -> Option<Pid> {
    let children = fs::read_to_string(format!("/proc/{of}/task/{of}/children")).ok()?;
    Pid::from_raw(children.split_whitespace().next()?.parse().ok()?)
}

#[test]
fn a_server_that_is_killed_is_back_and_knows_its_channels() {
    let folder = Folder::new("supervised");
    let store = folder.path("a.redb");
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = free.local_addr().expect("an address").to_string();
    drop(free);
    let flags = ["--dev", "--cores", "0", "--engine", "tokio", "--supervise"];
    let watching = Serving::start_at(&address, &[&flags[..], &["--store", &store]].concat());
    let first = child(&watching.pid()).expect("a server");
    let published = publish(&address, "1");
    while watching.stats()["store"]["written"] != 1 {
        std::thread::sleep(Duration::from_millis(10));
    }
    kill_process(first, Signal::KILL).expect("it is there");
    let by = Instant::now() + Duration::from_secs(20);
    let found = loop {
        match history(&address) {
            Some(found) => break found,
            None => assert!(Instant::now() < by, "it is not back"),
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    assert_eq!(texts(&found), ["1"]);
    assert_ne!(
        found["epoch"], published["epoch"],
        "something may be missing"
    );
    assert_ne!(child(&watching.pid()), Some(first));
    // The signal is passed on, and the code handed back.
    let (code, said) = watching.stop_and_read();
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("ended with signal: 9 (SIGKILL)"), "{said}");
    assert!(said.contains("but it was not closed"), "{said}");
}

#[test]
fn what_cannot_start_is_not_started_again_and_no_restart_wins() {
    let wrong = ["serve", "--supervise", "--listen", "nowhere.invalid:1"];
    let Ran { code, err, .. } = ringstorm(&wrong);
    assert!(code != 0 && !err.contains("started again"), "{code} {err}");
    let server = Serving::start(&["--supervise", "--no-restart", "--cores", "0"]);
    assert_eq!(child(&server.pid()), None, "it watches nobody");
    server.stop();
}

#[test]
fn a_token_that_was_taken_back_is_bad_in_the_next_run_too() {
    let folder = Folder::new("revoked");
    let (store, list) = (folder.path("s.redb"), folder.path("tokens.json"));
    let tokens =
        json!({"a token of sixteen": {"sub": "a"}, "another one of sixteen": {"sub": "b"}});
    fs::write(&list, tokens.to_string()).expect("written");
    let start = || {
        let flags = ["--dev", "--cores", "0", "--engine", "tokio"];
        Serving::start(&[&flags[..], &["--store", &store, "--token-list", &list]].concat())
    };
    // What an event stream gets that shows it.
    let status = |server: &Serving, token: &str| {
        let mut peer = TcpStream::connect(&server.address).expect("it listens");
        let path = format!("/channels?topic=a&token={}", token.replace(' ', "%20"));
        let head = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
        peer.write_all(head.as_bytes()).expect("it reads");
        let mut line = [0; 12];
        peer.read_exact(&mut line).expect("it answers");
        String::from_utf8_lossy(&line).into_owned()
    };
    let (good, bad) = ("another one of sixteen", "a token of sixteen");
    let server = start();
    assert_eq!(status(&server, bad), "HTTP/1.1 200");
    call(&server.address, "tokens/revoke", &json!({"token": bad})).expect("an answer");
    assert_eq!(status(&server, bad), "HTTP/1.1 401");
    let (_, first) = server.stop_and_read();
    assert!(first.contains("begun"), "{first}");
    let server = start();
    assert_eq!(status(&server, bad), "HTTP/1.1 401");
    assert_eq!(status(&server, good), "HTTP/1.1 200");
    let (_, said) = server.stop_and_read();
    assert!(said.contains("recovered"), "{said}");
}
