//! A new program takes over from a server that runs: nobody who connects notices, and a new program
//! that will not do changes nothing.

use super::listening::handed;
use super::program::{Ran, Serving, ringstorm};
use super::surviving::{call, child};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tungstenite::Message;

const ENGINES: [&str; 2] = ["ring", "tokio"];
const PATIENCE: Duration = Duration::from_secs(30);

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

    /// A program of those lines of sh.
    fn program(&self, name: &str, lines: &str) -> String {
        let path = self.path(name);
        fs::write(&path, format!("#!/bin/sh\n{lines}\n")).expect("written");
        fs::set_permissions(&path, Permissions::from_mode(0o755)).expect("permissions");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A server that has taken over, whose output nobody reads to its end. Killed when dropped.
struct Successor(Option<Pid>);

impl Successor {
    fn of(ran: &Ran) -> Self {
        assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
        let said = ran.out.trim();
        let pid = said
            .strip_prefix("process ")
            .and_then(|it| it.strip_suffix(" serves"));
        let pid = pid.and_then(|it| it.parse().ok()).and_then(Pid::from_raw);
        Self(Some(pid.unwrap_or_else(|| panic!("{said:?}"))))
    }

    fn pid(&self) -> String {
        self.0.expect("not ended").as_raw_nonzero().to_string()
    }

    /// Asks it to end and waits until it has.
    fn stop(mut self) {
        let pid = self.0.take().expect("not ended");
        let _ = kill_process(pid, Signal::TERM);
        wait_for("its end", || !is_running(pid));
    }
}

impl Drop for Successor {
    fn drop(&mut self) {
        if let Some(pid) = self.0.take() {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// Whether it is there, and no process that nobody has waited for.
fn is_running(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    stat.is_ok_and(|text| !text.contains(") Z "))
}

/// Whether one of its threads has started a process.
fn has_children(of: &str) -> bool {
    let threads = fs::read_dir(format!("/proc/{of}/task"))
        .into_iter()
        .flatten();
    let mut lists = threads.flatten().map(|it| it.path().join("children"));
    lists.any(|it| fs::read_to_string(it).is_ok_and(|text| !text.is_empty()))
}

fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let by = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < by, "{what} takes too long");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The answer to a GET, over a connection of its own.
fn get(address: &str, path: &str) -> std::io::Result<String> {
    let mut peer = TcpStream::connect(address)?;
    peer.set_read_timeout(Some(PATIENCE))?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    peer.write_all(request.as_bytes())?;
    let mut answer = String::new();
    peer.read_to_string(&mut answer)?;
    Ok(answer)
}

fn stats(address: &str) -> Value {
    let answer = get(address, "/stats").expect("it answers");
    let (_, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    serde_json::from_str(body).expect("JSON")
}

/// Whoever connects, asks and is answered, again and again, from several threads: what went wrong.
struct Visitors {
    ends: Arc<AtomicBool>,
    threads: Vec<JoinHandle<(u64, Vec<String>)>>,
}

impl Visitors {
    fn of(address: &str) -> Self {
        let ends = Arc::new(AtomicBool::new(false));
        let visit = |number: usize| {
            let (address, ends) = (address.to_owned(), Arc::clone(&ends));
            move || {
                let (mut visits, mut wrong) = (0, Vec::new());
                while !ends.load(Ordering::Acquire) {
                    let went = match number % 2 {
                        0 => get(&address, "/healthz").map_err(|error| error.to_string()),
                        _ => echo(&address),
                    };
                    match went {
                        Ok(answer) if answer.starts_with("HTTP/1.1 200") => visits += 1,
                        Ok(answer) | Err(answer) => wrong.push(answer),
                    }
                }
                (visits, wrong)
            }
        };
        let threads = (0..4).map(|number| std::thread::spawn(visit(number)));
        Self {
            threads: threads.collect(),
            ends,
        }
    }

    fn end(self) -> u64 {
        self.ends.store(true, Ordering::Release);
        let all = self
            .threads
            .into_iter()
            .map(|it| it.join().expect("no panic"));
        let mut visits = 0;
        for (some, wrong) in all {
            assert!(wrong.is_empty(), "{} of {some}: {wrong:?}", wrong.len());
            visits += some;
        }
        visits
    }
}

/// A message comes back over a WebSocket, which is then closed.
fn echo(address: &str) -> Result<String, String> {
    let peer = TcpStream::connect(address).map_err(|error| error.to_string())?;
    peer.set_read_timeout(Some(PATIENCE)).expect("an option");
    let opened = tungstenite::client("ws://a/echo", peer).map_err(|error| error.to_string());
    let (mut socket, _) = opened?;
    let went = socket
        .send(Message::text("hello"))
        .and_then(|()| socket.read());
    let said = went.map_err(|error| error.to_string())?;
    let _ = socket.close(None);
    match said == Message::text("hello") {
        true => Ok("HTTP/1.1 200".to_owned()),
        false => Err(format!("{said:?}")),
    }
}

fn upgrade(pid: &str, flags: &[&str]) -> Ran {
    ringstorm(&[&["upgrade", "--pid", pid], flags].concat())
}

#[test]
fn nobody_who_connects_notices_ten_upgrades_in_a_row() {
    for engine in ENGINES {
        let server = Serving::start(&["--engine", engine, "--cores", "0,1"]);
        let address = server.address.clone();
        let visitors = Visitors::of(&address);
        let mut successor: Option<Successor> = None;
        for number in 1..=10 {
            let pid = successor
                .as_ref()
                .map_or_else(|| server.pid(), Successor::pid);
            let next = Successor::of(&upgrade(&pid, &[]));
            wait_for("it to serve alone", || {
                stats(&address)["upgrades"] == number
            });
            let before = Pid::from_raw(pid.parse().expect("a number")).expect("a process");
            if let Some(mut gone) = successor.replace(next) {
                gone.0 = None;
            }
            // It has nobody left soon, and ends.
            wait_for("the end of the server before", || !is_running(before));
        }
        assert!(visitors.end() > 0);
        successor.expect("ten").stop();
        wait_for("its sockets' end", || TcpStream::connect(&address).is_err());
        let (code, said) = server.read_to_end();
        assert_eq!(code, 0, "{said}");
        assert!(said.contains("has taken over"), "{said}");
    }
}

#[test]
fn who_is_connected_is_told_to_come_back_and_finds_the_new_server() {
    for engine in ENGINES {
        let flags = ["--engine", engine, "--cores", "0", "--drain-spread", "1s"];
        let server = Serving::start(&flags);
        let url = format!("ws://{}/push", server.address);
        let probe = std::thread::spawn(move || ringstorm(&["probe", &url, "--debug"]));
        server.wait_for_open(1);
        let successor = Successor::of(&upgrade(&server.pid(), &[]));
        let told = probe.join().expect("no panic");
        assert!(
            told.err.contains("close code 1012"),
            "{engine}: {}",
            told.err
        );
        echo(&server.address).expect("the new one echoes");
        successor.stop();
        let (code, said) = server.read_to_end();
        assert_eq!(code, 0, "{engine}: {said}");
    }
}

#[test]
fn a_signal_upgrades_too_and_what_is_at_the_path_of_the_program_is_started() {
    let folder = Folder::new("replaced");
    let path = folder.path("ringstorm");
    let program = env!("CARGO_BIN_EXE_ringstorm");
    fs::copy(program, &path).expect("a copy");
    let listen = ["serve", "--listen", "127.0.0.1:0", "--drain", "1s"];
    let all = [
        &[&*path],
        &listen[..],
        &["--cores", "0", "--engine", "tokio"],
    ]
    .concat();
    let server = Serving::start_with(&all);
    // As it is installed: the file of the one that runs has no name any more.
    let new = folder.path("new");
    fs::copy(program, &new).expect("a copy");
    fs::rename(&new, &path).expect("it takes its place");
    server.signal(Signal::USR2);
    // A second one changes nothing.
    wait_for("the first", || has_children(&server.pid()));
    server.signal(Signal::USR2);
    wait_for("the upgrade", || stats(&server.address)["upgrades"] == 1);
    let pid = child(&server.pid()).expect("the new server");
    let successor = Successor(Some(pid));
    let running = fs::read_link(format!("/proc/{}/exe", successor.pid())).expect("a link");
    assert_eq!(running, Path::new(&path));
    let address = server.address.clone();
    wait_for("the end", || child(&server.pid()).is_none());
    successor.stop();
    let (code, said) = server.read_to_end();
    assert_eq!(code, 0, "{said}");
    let twice = ["an upgrade is under way", "has taken over already"];
    assert!(twice.iter().any(|it| said.contains(it)), "{said}");
    wait_for("its sockets' end", || TcpStream::connect(&address).is_err());
}

/// What `upgrade` says of a program that will not do; the server goes on, and can be upgraded.
fn refused(server: &Serving, flags: &[&str]) -> String {
    let Ran { code, out, err } = upgrade(&server.pid(), flags);
    assert_eq!(code, 1, "{flags:?}: {out}{err}");
    assert!(err.contains("goes on as before"), "{flags:?}: {err}");
    echo(&server.address).expect("it goes on");
    err
}

#[test]
fn a_program_that_will_not_do_changes_nothing_and_is_told() {
    let folder = Folder::new("programs");
    let text = folder.path("text");
    fs::write(&text, "no program").expect("written");
    let config = folder.path("serve.toml");
    for engine in ENGINES {
        fs::write(&config, "room-size = 20\n").expect("written");
        let flags = ["--engine", engine, "--cores", "0", "--config", &config];
        let server = Serving::start(&flags);
        let visitors = Visitors::of(&server.address);
        for (lines, expected) in [
            ("exit 3", "exit status: 3"),
            ("kill -9 $$", "signal: 9"),
            ("exit 0", "exit status: 0"),
        ] {
            let program = folder.program("program", lines);
            let err = refused(&server, &["--binary", &program]);
            assert!(err.contains(expected), "{err}");
        }
        let err = refused(&server, &["--binary", &text]);
        assert!(err.contains("chmod +x"), "{err}");
        let slow = folder.program("slow", "exec sleep 60");
        let err = refused(&server, &["--binary", &slow, "--timeout", "100ms"]);
        assert!(err.contains("not ready within 100 ms"), "{err}");
        // The configuration is another by now, and wrong.
        fs::write(&config, "room-size = many\n").expect("written");
        let err = refused(&server, &[]);
        assert!(err.contains("exit status: 2"), "{err}");
        // It has the sockets by then.
        fs::write(&config, "logs = \"/proc/no/such\"\n").expect("written");
        let err = refused(&server, &[]);
        assert!(err.contains("--logs"), "{err}");
        fs::write(&config, "room-size = 20\n").expect("written");
        let successor = Successor::of(&upgrade(&server.pid(), &[]));
        let visits = visitors.end();
        assert!(visits > 0);
        successor.stop();
        let (code, said) = server.read_to_end();
        assert_eq!(code, 0, "{said}");
    }
}

#[test]
fn what_cannot_be_upgraded_says_so() {
    let Ran { code, err, .. } = upgrade(&std::process::id().to_string(), &[]);
    assert!(
        code == 1 && err.contains("no server that can be upgraded"),
        "{code} {err}"
    );
    let server = Serving::start(&["--cores", "0", "--engine", "tokio", "--end-with-parent"]);
    let err = refused(&server, &[]);
    assert!(
        err.contains("ends with the process that started it"),
        "{err}"
    );
    let Ran { code, err, .. } = upgrade(&server.pid(), &["--binary", "/no/such/program"]);
    assert!(code == 2 && err.contains("--binary"), "{code} {err}");
}

#[test]
fn a_service_whose_manager_would_not_hear_of_it_is_not_upgraded() {
    let script = "export SYSTEMD_EXEC_PID=$$; exec \"$@\"";
    let command = ["bash", "-c", script, "bash"];
    let server = Serving::start_by(&command, &["--cores", "0", "--engine", "tokio"]);
    let err = refused(&server, &[]);
    assert!(err.contains("Type=notify"), "{err}");
}

#[test]
fn two_upgrades_at_once_are_one() {
    let folder = Folder::new("twice");
    let slow = folder.program("slow", "exec sleep 60");
    let server = Serving::start(&["--cores", "0", "--engine", "tokio"]);
    let pid = server.pid();
    let first = std::thread::spawn(move || upgrade(&pid, &["--binary", &slow, "--timeout", "1s"]));
    wait_for("the first", || has_children(&server.pid()));
    let err = refused(&server, &[]);
    assert!(err.contains("an upgrade is under way"), "{err}");
    assert_eq!(first.join().expect("no panic").code, 1);
    // Then it can.
    Successor::of(&upgrade(&server.pid(), &[])).stop();
    server.read_to_end();
}

#[test]
fn a_watched_server_is_upgraded_and_the_watching_process_stays() {
    for engine in ENGINES {
        let flags = ["--engine", engine, "--cores", "0", "--supervise"];
        // With port 0 each start takes another one.
        let free = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = free.local_addr().expect("an address").to_string();
        drop(free);
        let server = Serving::start_at(&address, &flags);
        let visitors = Visitors::of(&server.address);
        let first = child(&server.pid()).expect("a server");
        let asked = upgrade(&first.as_raw_nonzero().to_string(), &[]);
        assert!(asked.code == 1, "{}", asked.err);
        let Ran { code, out, err } = upgrade(&server.pid(), &[]);
        assert_eq!(code, 0, "{out}{err}");
        wait_for("the end of the first", || {
            child(&server.pid()) != Some(first)
        });
        wait_for("the first", || stats(&server.address)["upgrades"] == 1);
        server.signal(Signal::USR2);
        wait_for("the second", || stats(&server.address)["upgrades"] == 2);
        let second = child(&server.pid()).expect("a server");
        wait_for("its end", || child(&server.pid()) != Some(second));
        assert!(visitors.end() > 0);
        // What came of an upgrade is watched as well.
        let third = child(&server.pid()).expect("a server");
        kill_process(third, Signal::KILL).expect("it is there");
        let back = || get(&server.address, "/healthz").is_ok_and(|it| it.contains("200"));
        wait_for("the third", back);
        assert_eq!(stats(&server.address)["upgrades"], 0);
        let (code, said) = server.stop_and_read();
        assert_eq!(code, 0, "{said}");
    }
}

#[test]
fn paths_channels_and_logs_go_on_with_the_new_server() {
    let folder = Folder::new("files");
    let (path, store, logs) = (folder.path("s"), folder.path("a.redb"), folder.path("logs"));
    let at = format!("unix:{path}");
    let flags = ["--listen", &at, "--store", &store, "--logs", &logs];
    let more = ["--dev", "--cores", "0", "--engine", "tokio"];
    let server = Serving::start(&[&flags[..], &more].concat());
    let publish = |text| {
        let publication = json!({"channel": "news", "data": text});
        call(&server.address, "publish", &publication).expect("an answer")
    };
    assert_eq!(publish("1")["offset"], 1);
    // One that has the files already and cannot listen: the server before has them again.
    let program = env!("CARGO_BIN_EXE_ringstorm");
    let lines = format!("exec {program} \"$@\" --listen unix:/no/such/s");
    let wrong = folder.program("wrong", &lines);
    let err = refused(&server, &["--binary", &wrong]);
    assert!(err.contains("cannot listen on unix:/no/such/s"), "{err}");
    assert_eq!(publish("2")["offset"], 2);
    let successor = Successor::of(&upgrade(&server.pid(), &[]));
    let wanted = json!({"channel": "news", "limit": 9});
    let found = call(&server.address, "history", &wanted).expect("an answer");
    let publications = found["publications"].as_array();
    assert_eq!(publications.map(Vec::len), Some(2), "{found}");
    assert!(UnixStream::connect(&path).is_ok());
    wait_for("the end of the server before", || {
        !has_children(&server.pid())
    });
    assert!(Path::new(&path).exists(), "it is the new one's");
    assert_eq!(publish("3")["offset"], 3);
    successor.stop();
    assert_eq!(server.read_to_end().0, 0);
    assert!(!Path::new(&path).exists());
    let figures = fs::read_to_string(format!("{logs}/bandwidth.jsonl")).expect("a file");
    assert!(figures.lines().count() >= 4, "{figures}");
}

#[test]
fn sockets_that_were_handed_over_stay_open_through_two_upgrades() {
    for engine in ENGINES {
        let socket = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = socket.local_addr().expect("an address").to_string();
        let flags = ["--listen", "systemd", "--engine", engine];
        let server = handed(socket.into(), &flags);
        echo(&address).expect("it listens");
        let visitors = Visitors::of(&address);
        let mut first = Successor::of(&upgrade(&server.pid(), &[]));
        wait_for("the end of the first", || !has_children(&server.pid()));
        let second = Successor::of(&upgrade(&first.pid(), &[]));
        // It ends by itself.
        first.0 = None;
        wait_for("the second alone", || stats(&address)["upgrades"] == 2);
        assert!(visitors.end() > 0);
        second.stop();
        wait_for("its sockets' end", || TcpStream::connect(&address).is_err());
        assert_eq!(server.end().code, 0);
    }
}

#[test]
fn the_service_manager_is_told_who_serves() {
    let folder = Folder::new("notify");
    let path = folder.path("socket");
    let manager = UnixDatagram::bind(&path).expect("a socket");
    manager.set_read_timeout(Some(PATIENCE)).expect("an option");
    let said = || {
        let mut bytes = [0; 200];
        let count = manager.recv(&mut bytes).expect("a word");
        String::from_utf8_lossy(&bytes[..count]).into_owned()
    };
    let name = format!("NOTIFY_SOCKET={path}");
    let server = Serving::start_by(&["env", &name], &["--cores", "0", "--engine", "tokio"]);
    assert_eq!(said(), "READY=1");
    let successor = Successor::of(&upgrade(&server.pid(), &[]));
    assert_eq!(said(), "READY=1");
    let told = said();
    assert!(
        told.starts_with(&format!("MAINPID={}\n", successor.pid())),
        "{told}"
    );
    successor.stop();
    server.read_to_end();
}
