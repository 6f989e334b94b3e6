//! Probes an event stream as a browser's `EventSource` does: prints events, and comes back with
//! `Last-Event-ID` after the server's `retry` when the stream ends (WHATWG HTML, 9.2.3).

use super::stream::{Got, ProbeStream, refused, unwanted};
use super::{Config, End, Trace, shown};
use crate::cli::url::Url;
use crate::cli::{Exit, Failure, print};
use crate::protocol::http::{BodyReader, Coding, Inflater, Request, Response, merged};
use crate::protocol::sse::{Item, Parser, Pool};
use crate::report::remedy::Asked;
use std::time::{Duration, Instant};

/// Time before coming back where the server does not say: what browsers use.
const RETRY_TIME: Duration = Duration::from_secs(3);
/// Redirects that are followed one after the other: browsers follow 20, curl 50.
const REDIRECTS_MAX: u32 = 20;
/// How long to sleep before looking whether to end.
const LOOK_TIME: Duration = Duration::from_millis(50);

/// What outlives one connection of an event source.
struct Source {
    parser: Parser,
    pool: Pool,
    retry: Duration,
}

/// The body of a response: its framing, and its coding if it has one.
struct Body {
    framed: BodyReader,
    inflater: Option<Inflater>,
}

/// How one connection went.
enum Over {
    /// The probe shall end.
    Due,
    /// Come back.
    Lost(String),
    /// Ask there.
    Elsewhere(Box<Url>),
    /// The server does not want to be asked again (204).
    Enough,
}

/// Runs the probe to its end.
pub(super) fn run(config: &Config, end: &mut End) -> Result<Exit, Failure> {
    let mut source = Source {
        parser: Parser::new(),
        pool: Pool::new(config.max_message),
        retry: RETRY_TIME,
    };
    // A server that cannot be reached at all is a mistake in the URL, not a loss.
    let mut url = config.url.clone();
    let mut stream = ProbeStream::connect(config, &url)?;
    let mut redirects = 0;
    loop {
        let lost = match source.follow(stream, &url, config, end)? {
            Over::Due => return Ok(end.exit()),
            Over::Elsewhere(next) if redirects < REDIRECTS_MAX => {
                redirects += 1;
                print::note(format_args!("redirected to {next}"));
                stream = ProbeStream::connect(config, &next)?;
                url = *next;
                continue;
            }
            Over::Elsewhere(next) => {
                let text = format!("redirected {REDIRECTS_MAX} times, and then to {next}");
                return Err(Failure::Run(text));
            }
            Over::Enough => {
                print::note("the server has no more events (204)");
                return Ok(Exit::Pass);
            }
            Over::Lost(why) => why,
        };
        source.parser.restart(&mut source.pool);
        // As browsers do: it is asked for where it was asked for at first.
        (url, redirects) = (config.url.clone(), 0);
        stream = match source.reconnect(&lost, config, end) {
            Some(stream) => stream,
            None => return Ok(end.exit()),
        };
    }
}

impl Source {
    /// Waits, then connects, as often as it takes; `None` if the probe shall end meanwhile.
    fn reconnect(&self, lost: &str, config: &Config, end: &End) -> Option<ProbeStream> {
        let mut lost = lost.to_owned();
        loop {
            print::note(format_args!("{lost}; again in {:?}", self.retry));
            let at = Instant::now() + self.retry;
            while Instant::now() < at {
                if end.is_due() {
                    return None;
                }
                std::thread::sleep(LOOK_TIME.min(at.saturating_duration_since(Instant::now())));
            }
            match ProbeStream::connect(config, &config.url) {
                Ok(stream) => return Some(stream),
                Err(failure) => lost = failure.to_string(),
            }
        }
    }

    /// Asks for the stream and prints what it says until it ends.
    fn follow(
        &mut self,
        mut stream: ProbeStream,
        url: &Url,
        config: &Config,
        end: &mut End,
    ) -> Result<Over, Failure> {
        let head = match stream.exchange(&self.request(url, config), config, end) {
            Ok(Some(head)) => head,
            Ok(None) => return Ok(Over::Due),
            Err(Failure::Os(error)) => return Ok(Over::Lost(error.to_string())),
            Err(failure) => return Err(failure),
        };
        let response = Response::parse(&head).map_err(refused)?;
        if response.status == 204 {
            return Ok(Over::Enough);
        }
        // RFC 9110, 15.4: those that keep the method, and for GET the others as well.
        if config.follows
            && matches!(response.status, 301 | 302 | 303 | 307 | 308)
            && let Some(location) = response.headers.get("location")
        {
            let next = url.joined(location).map_err(Failure::Run)?;
            return Ok(Over::Elsewhere(Box::new(next)));
        }
        let kind = response.headers.get("content-type").unwrap_or("");
        let kind = kind.split(';').next().unwrap_or(kind).trim();
        if response.status != 200 || !kind.eq_ignore_ascii_case("text/event-stream") {
            return Err(unwanted(&mut stream, &response, Asked::EventStream));
        }
        let coding = Coding::of(&response.headers).map_err(refused)?;
        let mut body = Body {
            framed: BodyReader::new(response.body),
            inflater: Inflater::new(coding),
        };
        loop {
            if end.is_due() {
                return Ok(Over::Due);
            }
            if body.framed.is_done() {
                return Ok(Over::Lost("the event stream ended".to_owned()));
            }
            match stream.read() {
                Ok(Got::Bytes) => self.hear(&mut stream, &mut body, config, end)?,
                Ok(Got::Nothing) => {}
                Ok(Got::End) => return Ok(Over::Lost("the connection ended".to_owned())),
                Err(error) => return Ok(Over::Lost(error.to_string())),
            }
        }
    }

    fn request(&self, url: &Url, config: &Config) -> Vec<u8> {
        let host = url.authority();
        let own = [
            ("Host", host.as_str()),
            ("Accept", "text/event-stream"),
            // RFC 9110, 12.5.3: without it, any coding is welcome.
            ("Accept-Encoding", "identity"),
            ("Cache-Control", "no-store"),
        ];
        let mut given = config.headers();
        if !url.is_beside(&config.url) {
            // What is meant for one server, or names it, is not another's to read.
            let is_its_own = |name: &str| {
                let names = ["Authorization", "Cookie", "Host"];
                names.iter().any(|own| own.eq_ignore_ascii_case(name))
            };
            given.retain(|(name, _)| !is_its_own(name));
        }
        let mut headers = merged(&own, &given);
        let last = self.parser.last_event_id();
        if !last.is_empty() {
            // What was heard is newer than what the user gave to begin with.
            headers.retain(|(name, _)| !name.eq_ignore_ascii_case("Last-Event-ID"));
            headers.push(("Last-Event-ID", last));
        }
        let mut request = Vec::new();
        Request::encode(&mut request, "GET", &url.target, &headers);
        request
    }

    fn hear(
        &mut self,
        stream: &mut ProbeStream,
        body: &mut Body,
        config: &Config,
        end: &mut End,
    ) -> Result<(), Failure> {
        let (bytes, at) = stream.unused();
        while let Some(piece) = body.framed.next(bytes, at).map_err(refused)? {
            let Some(inflater) = &mut body.inflater else {
                self.parse(piece, config, end)?;
                continue;
            };
            let mut used = 0;
            while let Some(content) = inflater.next(piece, &mut used).map_err(refused)? {
                self.parse(content, config, end)?;
            }
        }
        Ok(())
    }

    fn parse(&mut self, content: &[u8], config: &Config, end: &mut End) -> Result<(), Failure> {
        let mut used = 0;
        while let Some(item) = self
            .parser
            .next(content, &mut used, &mut self.pool)
            .map_err(refused)?
        {
            match item {
                Item::Event(_) if end.left == 0 => {}
                Item::Event(event) => {
                    shown::event(config.form, &event)?;
                    end.counted();
                }
                Item::Retry(ms) => {
                    self.retry = Duration::from_millis(ms);
                    trace(config, format_args!("retry {ms} ms"));
                }
                Item::Comment => trace(config, format_args!("comment")),
            }
        }
        Ok(())
    }
}

fn trace(config: &Config, text: std::fmt::Arguments<'_>) {
    if config.trace == Trace::On {
        print::note(format_args!("< {text}"));
    }
}
