//! Load and probe through proxies, on both engines: tunnels with and without TLS, and what becomes
//! of a run whose proxy makes none.

use super::program::{Ran, Serving, ringstorm, ringstorm_within};
use super::proxy_server::{Manner, Proxying, Speaks};
use serde_json::Value;
use std::net::TcpListener;
use std::path::PathBuf;

const ENGINES: [&str; 2] = ["ring", "tokio"];

/// A name that no DNS knows (RFC 6761, 6.4): only the proxy does.
const NAME: &str = "behind.invalid";

/// Files of a certificate for that name, and of its key.
struct Pem {
    certificate: PathBuf,
    key: PathBuf,
}

impl Pem {
    fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(vec![NAME.to_owned()]).expect("a key");
        let file = |what: &str, text: &str| {
            let name = format!("ringstorm-{}-{what}.pem", std::process::id());
            let path = std::env::temp_dir().join(name);
            std::fs::write(&path, text).expect("a file");
            path
        };
        Self {
            certificate: file("proxied", &made.cert.pem()),
            key: file("proxied-key", &made.signing_key.serialize_pem()),
        }
    }
}

impl Drop for Pem {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.certificate);
        let _ = std::fs::remove_file(&self.key);
    }
}

fn load(engine: &str, url: &str, proxy: &str, more: &[&str]) -> Ran {
    let common = [
        "-c", "4", "-d", "300ms", "--cores", "0", "--json", "--quiet",
    ];
    let flags = ["load", url, "--engine", engine, "--proxy", proxy];
    ringstorm(&[&flags[..], &common, more].concat())
}

fn record(ran: &Ran) -> Value {
    serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{}{}", ran.out, ran.err))
}

fn proxies() -> [(Speaks, &'static str); 2] {
    [(Speaks::Connect, "http"), (Speaks::Socks5, "socks5h")]
}

#[test]
fn a_load_and_a_probe_go_through_both_kinds_of_proxy_with_and_without_tls() {
    let pem = Pem::new();
    let [certificate, key] = [&pem.certificate, &pem.key].map(|path| path.to_str().unwrap());
    let plain = Serving::start(&["--cores", "0", "--chunk-ms", "20"]);
    let tls = ["--tls-cert", certificate, "--tls-key", key];
    let secure = Serving::start(&[&["--cores", "0"], &tls[..]].concat());
    for (speaks, scheme) in proxies() {
        for (server, url, trust) in [
            (&plain, format!("ws://{NAME}/echo"), &[][..]),
            (&plain, format!("http://{NAME}:81/events"), &[]),
            (
                &secure,
                format!("wss://{NAME}/echo"),
                &["--ca", certificate],
            ),
        ] {
            let proxy = Proxying::start(speaks, Manner::Login, &server.address);
            let at = format!("{scheme}://ann:s%40e@{}", proxy.address);
            let port = match url.split(':').next() {
                Some("ws") => 80,
                Some("http") => 81,
                _ => 443,
            };
            let asked = format!("{NAME}:{port}");
            for engine in ENGINES {
                let ran = load(engine, &url, &at, trust);
                // 98: on a busy machine the generator may be the limit.
                assert!(
                    matches!(ran.code, 0 | 98),
                    "{engine}: {}{}",
                    ran.out,
                    ran.err
                );
                let record = record(&ran);
                assert_eq!(record["connects"]["up"], 4, "{engine}, {at}: {}", ran.out);
                let shown = format!("{scheme}://ann:***@{}", proxy.address);
                assert_eq!(record["run"]["proxy"], shown);
                assert_eq!(proxy.asked(), [&*asked; 4], "{engine}");
            }
            let send: &[&str] = if port == 81 { &[] } else { &["--send", "x"] };
            let flags = ["probe", &url, "--proxy", &at, "--count", "1"];
            let probe = ringstorm(&[&flags[..], send, trust].concat());
            assert_eq!(probe.code, 0, "{at}, {url}: {}", probe.err);
            assert_eq!(proxy.asked(), [&*asked]);
        }
    }
}

/// The clients of an event stream post on connections of their own: through the proxy too.
#[test]
fn members_of_rooms_post_through_the_proxy() {
    let server = Serving::start(&["--cores", "0", "--room-size", "2"]);
    let proxy = Proxying::start(Speaks::Connect, Manner::Open, &server.address);
    let (url, at) = (
        format!("http://{NAME}/rooms"),
        format!("http://{}", proxy.address),
    );
    for engine in ENGINES {
        let more = ["--scenario", "rooms", "--iterations", "3", "-d", "5s"];
        let common = [
            "-c", "4", "--cores", "0", "--json", "--quiet", "--proxy", &at,
        ];
        let flags = ["load", &url, "--engine", engine];
        let ran = ringstorm(&[&flags[..], &common, &more].concat());
        assert!(
            matches!(ran.code, 0 | 98),
            "{engine}: {}{}",
            ran.out,
            ran.err
        );
        assert_eq!(record(&ran)["fan_out"]["complete"], 6, "{}", ran.out);
        let asked = proxy.asked();
        assert!(asked.len() > 4, "{engine}: {asked:?}");
        assert!(
            asked.iter().all(|it| *it == format!("{NAME}:80")),
            "{asked:?}"
        );
    }
}

#[test]
fn an_address_is_asked_for_as_one_and_socks5_finds_names_here() {
    let server = Serving::start(&["--cores", "0"]);
    let proxy = Proxying::start(Speaks::Socks5, Manner::Open, &server.address);
    let resolve = format!("{NAME}:80:127.0.0.7");
    for (scheme, url, more) in [
        ("socks5h", "ws://127.0.0.7:80/echo".to_owned(), &[][..]),
        (
            "socks5",
            format!("ws://{NAME}/echo"),
            &["--resolve", &resolve],
        ),
    ] {
        let at = format!("{scheme}://{}", proxy.address);
        let flags = ["probe", &url, "--proxy", &at, "--count", "1", "--send", "x"];
        let probe = ringstorm(&[&flags[..], more].concat());
        assert_eq!(
            (probe.code, probe.out.as_str()),
            (0, "x\n"),
            "{}",
            probe.err
        );
        assert_eq!(proxy.asked(), ["127.0.0.7:80"]);
    }
}

#[test]
fn a_proxy_that_makes_no_tunnel_is_a_failure_of_its_own_kind_with_a_remedy() {
    let http = |manner| (Speaks::Connect, "http", manner);
    let socks = |manner| (Speaks::Socks5, "socks5h", manner);
    let forbidden = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\n\r\nno!\n";
    for ((speaks, scheme, manner), kind, remedy) in [
        (http(Manner::Login), "proxy_http_407", "USER:PASSWORD"),
        (
            http(Manner::Says(forbidden)),
            "proxy_http_403",
            "allows CONNECT",
        ),
        (
            http(Manner::Says(b"\x05\xff\r\n\r\n")),
            "proxy_malformed",
            "socks5h://",
        ),
        (
            http(Manner::Says(b"HTTP/1.1 2")),
            "proxy_ended",
            "socks5h://",
        ),
        (
            socks(Manner::Login),
            "proxy_socks_no_method",
            "USER:PASSWORD",
        ),
        (
            socks(Manner::Says(b"HTTP/1.1 400 x")),
            "proxy_malformed",
            "socks5h://",
        ),
        (socks(Manner::Says(b"\x05")), "proxy_ended", "socks5h://"),
        (
            socks(Manner::Says(b"\x05\x00\x05\x04\x00\x01")),
            "proxy_socks_host_unreachable",
            "behind the proxy",
        ),
    ] {
        let proxy = Proxying::start(speaks, manner, "127.0.0.1:9");
        assert_no_tunnel(&format!("{scheme}://{}", proxy.address), kind, remedy);
    }
    let closed = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let at = format!("http://{}", closed.local_addr().expect("it is bound"));
    drop(closed);
    assert_no_tunnel(&at, "proxy_refused", "a proxy running there");
    let silent = Proxying::start(Speaks::Connect, Manner::Silent, "127.0.0.1:9");
    let at = format!("http://{}", silent.address);
    assert_no_tunnel(&at, "timed_out", "--connect-timeout");
}

fn assert_no_tunnel(proxy: &str, kind: &str, remedy: &str) {
    let url = format!("ws://{NAME}/echo");
    let patience = ["--connect-timeout", "700ms"];
    for engine in ENGINES {
        let ran = load(engine, &url, proxy, &patience);
        assert_eq!(ran.code, 99, "{engine}, {kind}: {}{}", ran.out, ran.err);
        let failure = &record(&ran)["failures"][0];
        let found = (&failure["stage"], &failure["kind"], &failure["count"]);
        let expected = (&"connect".into(), &kind.into(), &4.into());
        assert_eq!(found, expected, "{engine}: {}", ran.out);
    }
    let flags = ["load", &url, "--proxy", proxy, "-c", "1", "-d", "100ms"];
    let text = ringstorm(&[&flags[..], &patience].concat()).out;
    let words = kind.replace('_', " ");
    assert!(text.contains(&words) && text.contains(remedy), "{text}");
    let probe = ringstorm(&[&["probe", &url, "--proxy", proxy], &patience[..]].concat());
    assert_eq!(probe.code, 1, "{kind}: {}", probe.err);
    let said = &probe.err;
    assert!(
        said.contains("proxy") && said.contains(remedy),
        "{kind}: {said}"
    );
}

#[test]
fn the_environment_is_used_where_it_is_asked_for_and_said_where_it_is_not() {
    let server = Serving::start(&["--cores", "0"]);
    let proxy = Proxying::start(Speaks::Connect, Manner::Open, &server.address);
    let at = format!("http://{}", proxy.address);
    let straight = format!("ws://{}/echo", server.address);
    let behind = format!("ws://{NAME}/echo");
    let set = [("http_proxy", at.as_str()), ("NO_PROXY", "127.0.0.0/8")];
    let flags = ["--count", "1", "--send", "x"];
    let through = |url: &str, more: &[&str]| {
        ringstorm_within(&set, &[&["probe", url], &flags[..], more].concat())
    };
    let probe = through(&behind, &["--proxy", "env"]);
    assert_eq!(probe.code, 0, "{}", probe.err);
    assert_eq!(proxy.asked(), [format!("{NAME}:80")]);
    for more in [&["--proxy", "env"][..], &[]] {
        let probe = through(&straight, more);
        assert_eq!(probe.code, 0, "{}", probe.err);
        let is_noted = probe.err.contains("http_proxy is set and not used");
        assert_eq!(is_noted, more.is_empty(), "{}", probe.err);
        assert_eq!(proxy.asked(), [""; 0]);
    }
}

#[test]
fn a_proxy_that_is_none_and_two_servers_behind_one_are_refused_before_the_run() {
    for (flags, word) in [
        (&["ws://a/", "--proxy", "https://p:1"][..], "behind TLS"),
        (
            &["ws://a/", "--proxy", "ftp://p:1"],
            "socks5h://127.0.0.1:1080",
        ),
        (
            &[
                "ws://a.invalid/",
                "ws://b.invalid/",
                "--proxy",
                "127.0.0.1:1",
            ],
            "a run for each",
        ),
    ] {
        let ran = ringstorm(&[&["load"], flags].concat());
        assert_eq!(ran.code, 2, "{flags:?}: {}{}", ran.out, ran.err);
        assert!(ran.err.contains(word), "{flags:?}: {}", ran.err);
    }
}
