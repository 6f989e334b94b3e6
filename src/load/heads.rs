//! The heads of a connect: the request that is sent, the response that makes a stream.

use super::config::{Config, Scenario, Transport};
use super::failure::Kind;
use super::fleet::{Client, EventStream, Stream};
use super::run::seeded;
use super::template;
use crate::protocol::http::body::BodyReader;
use crate::protocol::http::{BodyLength, Request, Response};
use crate::protocol::sse;
use crate::protocol::websocket::decoder::Decoder;
use crate::protocol::websocket::handshake::EXTENSIONS;
use crate::protocol::websocket::{ClientHandshake, Extension, Role, deflate};

/// What the purpose of a connection's generator begins at: below are sequence numbers.
const NONCES: u64 = 1 << 32;

/// Appends the request that a client's transport begins with.
pub(super) fn encode_request(into: &mut Vec<u8>, config: &Config, client: &Client) {
    match config.transport {
        Transport::Sse => encode_sse_request(into, config, client),
        Transport::WebSocket => encode_upgrade(into, config, client.number),
    }
}

fn encode_upgrade(into: &mut Vec<u8>, config: &Config, number: u32) {
    let handshake = handshake(config.seed, number);
    let mut headers = pairs(&config.headers);
    if config.deflate {
        headers.push((EXTENSIONS, deflate::OFFER));
    }
    let (host, target) = config.page(u64::from(number));
    let target = template::expanded(target, config.seed, number);
    handshake.encode(into, host, &target, &headers, &config.subprotocols);
}

/// Appends the request of an event stream (WHATWG HTML, 9.2).
fn encode_sse_request(into: &mut Vec<u8>, config: &Config, client: &Client) {
    let (host, target) = config.page(u64::from(client.number));
    let target = template::expanded(target, config.seed, client.number);
    let last = client.talk.last_event_id();
    let mut headers = vec![
        ("Host", host),
        ("Accept", "text/event-stream"),
        ("Cache-Control", "no-store"),
    ];
    headers.extend(last.map(|id| ("Last-Event-ID", id)));
    headers.extend(pairs(&config.headers));
    Request::encode(into, "GET", &target, &headers);
}

/// The stream after a complete and right response head; `None` while it is not complete.
pub(super) fn read_head(
    config: &Config,
    client: &mut Client,
    bytes: &[u8],
    at: &mut usize,
) -> Result<Option<Stream>, Kind> {
    let number = client.number;
    let Stream::Head(reader) = &mut client.stream else {
        return Ok(None);
    };
    loop {
        let head = reader.next(bytes, at).map_err(|_| Kind::BadResponse)?;
        let Some(head) = head else { return Ok(None) };
        let response = Response::parse(head).map_err(|_| Kind::BadResponse)?;
        // RFC 9110, 15.2: a client may be sent any number of interim responses before.
        if (100..200).contains(&response.status) && response.status != 101 {
            continue;
        }
        return match config.transport {
            Transport::WebSocket => begin_websocket(config, number, &response),
            Transport::Sse => begin_sse(&response),
        }
        .map(Some);
    }
}

fn begin_websocket(config: &Config, number: u32, response: &Response<'_>) -> Result<Stream, Kind> {
    if response.status != 101 {
        return Err(Kind::HttpStatus(response.status));
    }
    let handshake = handshake(config.seed, number);
    let (verified, extension) = if config.deflate {
        let verified = handshake.verify_deflating(response, &config.subprotocols);
        (verified, Extension::Deflate)
    } else {
        let verified = handshake.verify(response, &config.subprotocols);
        (verified, Extension::None)
    };
    verified.map_err(|_| Kind::BadResponse)?;
    if let Scenario::Dialogue(program) = &config.scenario
        && let Some(needed) = program.subprotocol()
        && response.headers.get("sec-websocket-protocol") != Some(needed)
    {
        return Err(Kind::Application("subprotocol_refused"));
    }
    let decoder = Decoder::new(Role::Client).with(extension);
    Ok(Stream::WebSocket(decoder))
}

fn begin_sse(response: &Response<'_>) -> Result<Stream, Kind> {
    // WHATWG HTML, 9.2.3: 200 and text/event-stream, or the connection fails.
    if response.status != 200 {
        return Err(Kind::HttpStatus(response.status));
    }
    let kind = response.headers.get("content-type").unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("text/event-stream") {
        return Err(Kind::NotEventStream);
    }
    Ok(Stream::Sse(Box::new(EventStream {
        body: BodyReader::new(response.body),
        parser: sse::Parser::new(),
        is_until_end: response.body == BodyLength::UntilEnd,
        retry: None,
    })))
}

/// The handshake of that connection: made twice rather than kept, it follows from the seed.
fn handshake(seed: u64, number: u32) -> ClientHandshake {
    let nonce = seeded(seed, NONCES + u64::from(number)).u128(..);
    ClientHandshake::new(nonce.to_le_bytes())
}

fn pairs(headers: &[(String, String)]) -> Vec<(&str, &str)> {
    headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect()
}
