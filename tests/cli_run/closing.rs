//! Connections that the server closes while their peers do not read.

use super::program::Serving;
use rustix::process::Signal;
use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// A listener that reads nothing, once more is queued for it than the kernel takes.
fn behind(server: &Serving) -> TcpStream {
    let mut peer = TcpStream::connect(&server.address).expect("the server accepts");
    peer.write_all(b"GET /events HTTP/1.1\r\nHost: a\r\n\r\n")
        .expect("the server reads");
    while server.stats()["total"]["backlog_bytes"].as_u64() < Some(1 << 20) {
        std::thread::sleep(Duration::from_millis(20));
    }
    peer
}

fn goes_on(server: &Serving) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", server.pid()));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

#[test]
fn who_reads_nothing_of_what_is_left_has_the_time_of_a_backlog() {
    for engine in ["ring", "tokio"] {
        let start = |time| {
            let flags = ["--engine", engine, "--cores", "0", "--drain", "60s"];
            let events = [
                "--chunk-ms",
                "10",
                "--chunk-bytes",
                "64k",
                "--max-backlog",
                "64M",
            ];
            Serving::start(&[&flags[..], &events, &["--backlog-timeout", time]].concat())
        };
        let [quick, patient] = ["3s", "50s"].map(start);
        let _peers = [&quick, &patient].map(behind);
        let began = Instant::now();
        patient.signal(Signal::TERM);
        let (code, line) = quick.stop();
        assert!(code == 0 && line.contains("1 cut off"), "{engine}: {line}");
        let took = began.elapsed();
        let wanted = Duration::from_secs(3)..Duration::from_secs(20);
        assert!(wanted.contains(&took), "{engine}: {took:?}");
        assert!(goes_on(&patient), "{engine}: ended within {took:?}");
    }
}
