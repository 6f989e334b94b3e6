//! What long polling puts into the body of a request or an answer: packets one behind the other,
//! binary ones in base64 (`engine.io-protocol` revision 4, "Packet encoding").

use super::Malformed;
use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// Between two packets.
const SEPARATOR: char = '\u{1e}';
/// What a packet begins with that is a binary message.
const BINARY: char = 'b';

/// Asks whether a WebSocket works, before a session moves to it.
pub const PROBE: &str = "2probe";
/// It does.
pub const PROBED: &str = "3probe";
/// The session moves.
pub const UPGRADE: &str = "5";
/// Nothing: ends a poll.
pub const NOOP: &str = "6";
/// The session is over.
pub const CLOSE: &str = "1";

/// A packet of a payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolledPacket<'a> {
    /// The session is over.
    Close,
    /// A text.
    Text(&'a str),
    /// A binary message.
    Binary(Vec<u8>),
}

/// Padding may be there or not.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The first packet of a payload, and the payload behind it; `None` behind the last.
///
/// # Errors
/// [`Malformed`]: it is neither a text nor base64.
pub fn next_packet(payload: &str) -> Result<(PolledPacket<'_>, Option<&str>), Malformed> {
    let (first, rest) = match payload.split_once(SEPARATOR) {
        Some((first, rest)) => (first, Some(rest)),
        None => (payload, None),
    };
    let packet = match first.strip_prefix(BINARY) {
        Some(text) => PolledPacket::Binary(
            BASE64
                .decode(text)
                .map_err(|_| Malformed("a binary message that is no base64"))?,
        ),
        None if first.starts_with(CLOSE) => PolledPacket::Close,
        None => PolledPacket::Text(first),
    };
    Ok((packet, rest))
}

/// Appends a packet to a payload.
pub fn push_text(payload: &mut String, packet: &str) {
    begin(payload);
    payload.push_str(packet);
}

/// Appends a binary message to a payload.
pub fn push_binary(payload: &mut String, bytes: &[u8]) {
    begin(payload);
    payload.push(BINARY);
    BASE64.encode_string(bytes, payload);
}

fn begin(payload: &mut String) {
    if !payload.is_empty() {
        payload.push(SEPARATOR);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(payload: &str) -> Result<Vec<PolledPacket<'_>>, Malformed> {
        let (mut packets, mut rest) = (Vec::new(), Some(payload));
        while let Some(payload) = rest {
            let (packet, behind) = next_packet(payload)?;
            packets.push(packet);
            rest = behind;
        }
        Ok(packets)
    }

    /// The example of `engine.io-protocol`, "Packet encoding", "HTTP long-polling".
    #[test]
    fn the_packets_of_a_payload_are_told_apart() {
        let payload = "4hello\u{1e}2\u{1e}4world\u{1e}bAQIDBA==";
        let packets = all(payload).expect("packets");
        let wanted = [
            PolledPacket::Text("4hello"),
            PolledPacket::Text("2"),
            PolledPacket::Text("4world"),
            PolledPacket::Binary(vec![1, 2, 3, 4]),
        ];
        assert_eq!(packets, wanted);
        assert_eq!(all("1"), Ok(vec![PolledPacket::Close]));
        assert_eq!(all("b"), Ok(vec![PolledPacket::Binary(Vec::new())]));
        assert_eq!(all("bAQ"), Ok(vec![PolledPacket::Binary(vec![1])]));
        let ends = [PolledPacket::Text("3"), PolledPacket::Text("")];
        assert_eq!(all("3\u{1e}").as_deref(), Ok(&ends[..]));
        assert!(all("3\u{1e}b*").is_err());
    }

    proptest! {
        #[test]
        fn no_payload_panics(payload: String) {
            let _ = all(&payload);
        }

        #[test]
        fn what_is_put_into_a_payload_comes_out_of_it(
            packets: Vec<(bool, Vec<u8>)>,
        ) {
            let mut payload = String::new();
            let mut wanted = Vec::new();
            prop_assume!(!packets.is_empty());
            for (is_binary, bytes) in &packets {
                if *is_binary {
                    push_binary(&mut payload, bytes);
                    wanted.push(PolledPacket::Binary(bytes.clone()));
                } else {
                    push_text(&mut payload, "4x");
                    wanted.push(PolledPacket::Text("4x"));
                }
            }
            prop_assert_eq!(all(&payload).expect("packets"), wanted);
        }
    }
}
