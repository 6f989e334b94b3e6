//! Fires the requests of `--trigger`, one after the other, on a thread of their own.

use crate::cli::socket::first_of;
use crate::cli::url::{Resolve, Scheme, Security, Url};
use crate::cli::{Failure, print};
use crate::load::scenario::Trigger;
use crate::protocol::http;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

/// What is replaced by a stamp.
const PLACE: &str = "{stamp}";
/// Of a status line.
const LINE_BYTES_MAX: u64 = 8 * 1024;

/// A request without a body.
#[derive(Clone, Debug)]
pub(super) struct Request {
    method: String,
    url: Url,
    /// Of the user, beside our own.
    headers: Vec<(String, String)>,
}

impl FromStr for Request {
    type Err = String;

    fn from_str(typed: &str) -> Result<Self, String> {
        let example = "write it like http://127.0.0.1:3000/announce or 'GET http://HOST:PORT/PATH'";
        let (method, url) = typed.split_once(' ').unwrap_or(("POST", typed));
        let is_method = !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_uppercase());
        let url: Url = url.parse().map_err(|_| example.to_owned())?;
        if !is_method || url.scheme != Scheme::Http || url.security != Security::Plain {
            return Err(example.to_owned());
        }
        Ok(Self {
            method: method.to_owned(),
            url,
            headers: Vec::new(),
        })
    }
}

impl Request {
    /// Where it goes.
    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    /// With the run's headers: whatever lets its clients in lets its broadcasts in. But for those
    /// that say where it goes and how long it is.
    pub(super) fn with(mut self, headers: Vec<(String, String)>) -> Self {
        let own = ["Host", "Content-Length", "Transfer-Encoding", "Connection"];
        let is_own = |name: &str| own.iter().any(|it| it.eq_ignore_ascii_case(name));
        self.headers = headers;
        self.headers.retain(|(name, _)| !is_own(name));
        self
    }

    /// What is sent, with that stamp.
    fn encoded(&self, stamp: &str) -> Vec<u8> {
        let host = self.url.authority();
        let own = [
            ("Host", host.as_str()),
            ("Content-Length", "0"),
            ("Connection", "close"),
        ];
        let given = self.headers.iter();
        let given: Vec<(&str, &str)> = given.map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let target = self.url.target.replace(PLACE, stamp);
        let mut bytes = Vec::new();
        let fields = http::merged(&own, &given);
        http::Request::encode(&mut bytes, &self.method, &target, &fields);
        bytes
    }

    /// Fires it and reads its status.
    fn fire(&self, to: &[SocketAddr], stamp: &str, patience: Duration) -> Result<(), String> {
        let failed = |error: std::io::Error| error.to_string();
        let connected = first_of(to, Instant::now() + patience);
        let (mut stream, _) = connected.map_err(|(_, error)| failed(error))?;
        stream.set_read_timeout(Some(patience)).map_err(failed)?;
        stream.set_write_timeout(Some(patience)).map_err(failed)?;
        stream.write_all(&self.encoded(stamp)).map_err(failed)?;
        let mut line = String::new();
        let mut reader = BufReader::new(stream.take(LINE_BYTES_MAX));
        reader.read_line(&mut line).map_err(failed)?;
        // RFC 9112, 4: the version, a blank, three digits.
        let status = line.split(' ').nth(1).unwrap_or_default();
        match status.parse::<u16>() {
            Ok(200..400) => Ok(()),
            Ok(status) => Err(format!("HTTP status {status}")),
            Err(_) => Err("no HTTP response".to_owned()),
        }
    }
}

/// A trigger that fires this request, each answered within that time.
pub(super) fn trigger(
    request: Request,
    overrides: &[Resolve],
    patience: Duration,
) -> Result<Trigger, Failure> {
    let to = request.url.resolve(overrides).map_err(Failure::Run)?;
    let (fire, fired) = channel::<String>();
    let failed = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&failed);
    // It ends with the trigger, or with the program.
    std::thread::spawn(move || {
        for stamp in fired {
            if let Err(error) = request.fire(&to, &stamp, patience)
                && count.fetch_add(1, Ordering::Relaxed) == 0
            {
                let url = &request.url;
                print::note(format_args!("--trigger: {url}: {error}"));
            }
        }
    });
    let fire = move |stamp: &str| {
        // Nobody receives it only if the thread has ended, which it does last.
        let _ = fire.send(stamp.to_owned());
    };
    Ok(Trigger::new(Box::new(fire), failed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trigger_has_the_users_headers_but_for_those_that_frame_it() {
        let request: Request = "http://a:1/say?at={stamp}".parse().expect("a request");
        let given = [
            ("Authorization", "Bearer x"),
            ("host", "b"),
            ("Content-Length", "7"),
        ];
        let given = given.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let sent = request.with(given.to_vec()).encoded("7");
        assert_eq!(
            String::from_utf8(sent).expect("text"),
            "POST /say?at=7 HTTP/1.1\r\nHost: a:1\r\nContent-Length: 0\r\n\
             Connection: close\r\nAuthorization: Bearer x\r\n\r\n"
        );
    }
}
