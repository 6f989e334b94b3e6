//! What clients say (`socketcluster-client`, its `transport.js`), read from their bytes without
//! being copied.

use super::elements::elements;
use crate::protocol::{Malformed, json};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// One packet of a client.
#[derive(Debug)]
pub struct ClientPacket<'a> {
    /// The event's name; `None` for a packet that is none.
    pub event: Option<Cow<'a, str>>,
    /// What goes with it: any JSON.
    pub data: Option<&'a RawValue>,
    /// What the response is known by, if it is a call.
    pub call: Option<CallNumber<'a>>,
}

/// The number of a call, as the client writes it.
#[derive(Clone, Copy, Debug)]
pub struct CallNumber<'a>(&'a RawValue);

/// The data of a handshake.
#[derive(Debug, Default, Deserialize)]
pub struct ClusterHandshake<'a> {
    #[serde(rename = "authToken", borrow)]
    token: Option<&'a RawValue>,
}

/// The data of a subscription or of a publication.
#[derive(Debug, Deserialize)]
pub struct Subscription<'a> {
    /// The channel.
    #[serde(borrow)]
    pub channel: Cow<'a, str>,
    /// What is published, or what the client says about its subscription.
    #[serde(borrow)]
    pub data: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow)]
    event: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    cid: Option<&'a RawValue>,
}

impl CallNumber<'_> {
    /// One more than the number, below that of every other use; `None` if it is no whole number,
    /// or above 4,294,967,290: no client counts that far.
    #[must_use]
    pub fn ticket(self) -> Option<u32> {
        let number: u32 = self.0.get().parse().ok()?;
        (number <= u32::MAX - 5).then_some(number + 1)
    }
}

impl fmt::Display for CallNumber<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.get())
    }
}

impl<'a> ClusterHandshake<'a> {
    /// Reads the data of a handshake; there may be none.
    #[must_use]
    pub fn read(data: Option<&'a RawValue>) -> Self {
        data.and_then(|data| json::object(data.get().as_bytes()).ok())
            .unwrap_or_default()
    }

    /// The token that it shows, if it shows one; what is no text is none of ours.
    #[must_use]
    pub fn token(&self) -> Option<Cow<'a, str>> {
        let token = self.token.filter(|token| token.get() != "null")?;
        Some(read_text(Some(token)).unwrap_or_default())
    }
}

impl<'a> Subscription<'a> {
    /// Reads the data of a subscription or of a publication.
    ///
    /// # Errors
    /// [`Malformed`] for data without a channel.
    pub fn read(data: Option<&'a RawValue>) -> Result<Self, Malformed> {
        let data = data.ok_or(Malformed("no data"))?;
        json::object(data.get().as_bytes())
    }

    /// The token that a client shows with its subscription: `{"token":".."}` as its data.
    #[must_use]
    pub fn token(&self) -> Option<Cow<'a, str>> {
        #[derive(Deserialize)]
        struct Shown<'a> {
            #[serde(borrow)]
            token: Cow<'a, str>,
        }
        let shown: Shown<'_> = json::object(self.data?.get().as_bytes()).ok()?;
        Some(shown.token)
    }
}

/// Reads data that is a text.
#[must_use]
pub fn read_text(data: Option<&RawValue>) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
    let text: Text<'_> = serde_json::from_str(data?.get()).ok()?;
    Some(text.0)
}

/// Reads a message of a client, which may be a batch of several packets; each is shown to `hear`,
/// until that says that it has heard enough. A ping is not for here.
///
/// # Errors
/// [`Malformed`] for what is no JSON; then nothing of it has been heard.
pub fn read_packets<'a>(
    text: &'a [u8],
    mut hear: impl FnMut(ClientPacket<'a>) -> bool,
) -> Result<(), Malformed> {
    if text.trim_ascii_start().first() != Some(&b'[') {
        hear(packet(json::object(text)?));
        return Ok(());
    }
    // A batch that is broken at its end is broken (`JSON.parse`).
    serde_json::from_slice::<IgnoredAny>(text).map_err(|_| Malformed("no JSON"))?;
    elements(text, |raw| {
        hear(json::object(raw.get().as_bytes()).map_or(ClientPacket::NONE, packet))
    })
}

impl ClientPacket<'_> {
    const NONE: Self = Self {
        event: None,
        data: None,
        call: None,
    };
}

fn packet(fields: Fields<'_>) -> ClientPacket<'_> {
    let is_number = |raw: &&RawValue| {
        let first = raw.get().as_bytes().first();
        first.is_some_and(|byte| byte.is_ascii_digit() || *byte == b'-')
    };
    ClientPacket {
        event: read_text(fields.event),
        data: fields.data,
        call: fields.cid.filter(is_number).map(CallNumber),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn heard(text: &str) -> Result<Vec<(String, String, Option<u32>)>, Malformed> {
        let mut all = Vec::new();
        read_packets(text.as_bytes(), |packet| {
            let event = packet.event.unwrap_or_default().into_owned();
            let data = packet.data.map_or("", RawValue::get).to_owned();
            all.push((event, data, packet.call.and_then(CallNumber::ticket)));
            true
        })?;
        Ok(all)
    }

    #[test]
    fn events_calls_and_batches_are_understood() {
        let one = |event: &str, data: &str, ticket| (event.to_owned(), data.to_owned(), ticket);
        assert_eq!(
            heard(r##"{"event":"#publish","data":{"channel":"a"},"cid":7}"##).unwrap(),
            [one("#publish", r#"{"channel":"a"}"#, Some(8))]
        );
        let batch = r##"[{"event":"a"},{"event":"b\n","cid":0},7,{"rid":1},{"event":1}]"##;
        let wanted = [
            one("a", "", None),
            one("b\n", "", Some(1)),
            one("", "", None),
            one("", "", None),
            one("", "", None),
        ];
        assert_eq!(heard(batch).unwrap(), wanted);
    }

    #[test]
    fn a_call_is_known_by_the_number_that_the_client_wrote() {
        for (written, ticket) in [
            ("0", Some(1)),
            ("4294967290", Some(4_294_967_291)),
            ("4294967291", None),
            ("-1", None),
            ("1.5", None),
            ("1e99", None),
        ] {
            let text = format!("{{\"event\":\"x\",\"cid\":{written}}}");
            read_packets(text.as_bytes(), |packet| {
                let call = packet.call.expect("a call");
                assert_eq!((&*call.to_string(), call.ticket()), (written, ticket));
                true
            })
            .unwrap();
        }
        for cid in ["null", "\"1\"", "{}"] {
            let text = format!("{{\"event\":\"x\",\"cid\":{cid}}}");
            let heard = read_packets(text.as_bytes(), |packet| {
                assert!(packet.call.is_none(), "{cid}");
                true
            });
            assert_eq!(heard, Ok(()));
        }
    }

    #[test]
    fn a_batch_is_heard_until_enough_and_not_at_all_if_it_is_broken() {
        let mut count = 0;
        let read = read_packets(b"[{},{},{}]", |_| {
            count += 1;
            count < 2
        });
        assert_eq!((read, count), (Ok(()), 2));
        for text in ["[{},{}", "[{}] x", "x", "1", "", "#2", "{\"event\":\"a\""] {
            assert!(heard(text).is_err(), "{text}");
        }
    }

    #[test]
    fn tokens_and_channels_are_found_where_clients_put_them() {
        let raw = |text| serde_json::from_str::<&RawValue>(text).unwrap();
        let token = |text| ClusterHandshake::read(Some(raw(text))).token();
        assert_eq!(token(r#"{"authToken":"a.b"}"#).as_deref(), Some("a.b"));
        assert_eq!(token(r#"{"authToken":null}"#), None);
        assert_eq!(token(r#"{"authToken":{}}"#).as_deref(), Some(""));
        assert_eq!(
            (token("7"), ClusterHandshake::read(None).token()),
            (None, None)
        );
        let said = Subscription::read(Some(raw(r#"{"channel":"a\"b","data":{"token":"t"}}"#)));
        let said = said.unwrap();
        assert_eq!(
            (&*said.channel, said.token().as_deref()),
            ("a\"b", Some("t"))
        );
        for text in ["null", "{}", "[\"a\"]", "{\"channel\":1}"] {
            assert!(Subscription::read(Some(raw(text))).is_err(), "{text}");
        }
        assert_eq!(
            read_text(Some(raw("\"\\u00e9\""))).as_deref(),
            Some("\u{e9}")
        );
        assert_eq!((read_text(Some(raw("1"))), read_text(None)), (None, None));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = read_packets(&bytes, |_| true);
        }
    }
}
