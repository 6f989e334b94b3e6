//! Which channel of the hub an identifier is of, and who has signed the name of a stream (as Rails'
//! `ActiveSupport::MessageVerifier` and `AnyCable` do: base64 of the name as JSON, two dashes, its
//! HMAC-SHA-256 in hexadecimal).

use super::{CableClients, CableKind};
use crate::protocol::cable::ChannelParams;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use ring::hmac;
use std::fmt;

/// What the names of streams are signed with; by default nothing, and no name is taken for signed.
#[derive(Clone, Default)]
pub struct StreamKey(Option<hmac::Key>);

/// What a subscription is of.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct CableTarget {
    pub(super) kind: CableKind,
    /// The channel of the hub; `None` for what no channel is behind.
    pub(super) channel: Option<String>,
    /// The application has signed it: whoever shows it may be told.
    pub(super) is_signed: bool,
}

impl StreamKey {
    /// That secret.
    #[must_use]
    pub fn new(secret: &[u8]) -> Self {
        Self(Some(hmac::Key::new(hmac::HMAC_SHA256, secret)))
    }

    /// The name that was signed; `None` if it was not, or by somebody else.
    #[must_use]
    pub fn verified(&self, signed: &str) -> Option<String> {
        let (data, digest) = signed.rsplit_once("--")?;
        let tag = hexadecimal(digest)?;
        hmac::verify(self.0.as_ref()?, data.as_bytes(), &tag).ok()?;
        let json = STANDARD.decode(data).or_else(|_| URL_SAFE.decode(data));
        serde_json::from_slice(&json.ok()?).ok()
    }

    /// The name as it is signed; `None` without a key.
    #[cfg(test)]
    pub(crate) fn sign(&self, name: &str) -> Option<String> {
        let data = STANDARD.encode(serde_json::to_vec(name).ok()?);
        let tag = hmac::sign(self.0.as_ref()?, data.as_bytes());
        let digest: String = tag.as_ref().iter().map(|it| format!("{it:02x}")).collect();
        Some(format!("{data}--{digest}"))
    }
}

impl fmt::Debug for StreamKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What it is is told to nobody.
        write!(f, "StreamKey({})", self.0.is_some())
    }
}

impl CableClients {
    /// What an identifier is of; `None` for what is not there.
    pub(super) fn target(&self, identifier: &str) -> Option<CableTarget> {
        let params = ChannelParams::read(identifier).ok()?;
        let target = |kind, channel, is_signed| CableTarget {
            kind,
            channel,
            is_signed,
        };
        match &*params.channel {
            "EchoChannel" if self.rules.echo => Some(target(CableKind::Echo, None, false)),
            "ChatChannel" if self.rules.echo => {
                let channel = match params.room() {
                    Some(room) => format!("chat:{room}"),
                    None if params.has_room() => return None,
                    None => "chat".to_owned(),
                };
                Some(target(CableKind::Chat, Some(channel), false))
            }
            // As `turbo_stream_from` of Rails subscribes to what it signs.
            "$pubsub" | "Turbo::StreamsChannel" => {
                let signed = params.signed_stream_name.as_deref();
                match (signed, params.stream_name) {
                    (Some(signed), _) => {
                        let name = self.key.verified(signed)?;
                        Some(target(CableKind::Stream, Some(name), true))
                    }
                    (None, Some(name)) => {
                        let name = Some(name.into_owned());
                        Some(target(CableKind::Stream, name, false))
                    }
                    (None, None) => None,
                }
            }
            _ => None,
        }
    }
}

/// The bytes that hexadecimal digits are.
fn hexadecimal(digits: &str) -> Option<Vec<u8>> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let pairs = digits.as_bytes().chunks(2).map(|pair| match pair {
        [high, low] => u8::try_from(digit(high)? << 4 | digit(low)?).ok(),
        _ => None,
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::dialect::centrifugo::ClientRules;
    use proptest::prelude::*;

    #[test]
    fn a_name_that_rails_signed_is_known_and_no_other() {
        let key = StreamKey::new(b"s3Krit");
        // As OpenSSL signs it.
        let digest = "2b2e054b6413bf3bc7e8bbad2f68962aa2ba19821800ccbd8de6fd7314e8320c";
        let signed = format!("ImNoYXQvMjAyMyI=--{digest}");
        assert_eq!(key.sign("chat/2023").as_ref(), Some(&signed));
        assert_eq!(key.verified(&signed).as_deref(), Some("chat/2023"));
        assert_eq!(StreamKey::new(b"other").verified(&signed), None);
        assert_eq!(StreamKey::default().verified(&signed), None);
        let (data, digest) = signed.split_once("--").expect("two parts");
        for changed in [
            data.to_owned(),
            format!("{data}--"),
            format!("{data}-{digest}"),
            format!("{data}--{}", &digest[1..]),
            format!("{data}--{digest}0"),
            format!("x{data}--{digest}"),
        ] {
            assert_eq!(key.verified(&changed), None, "{changed}");
        }
    }

    #[test]
    fn identifiers_are_of_the_channels_that_are_there() {
        let all = ClientRules {
            echo: true,
            ..ClientRules::default()
        };
        let open = CableClients::new(all, StreamKey::new(b"s3Krit"));
        let closed = CableClients::new(ClientRules::default(), StreamKey::default());
        let of = |clients: &CableClients, identifier: &str| {
            let target = clients.target(identifier)?;
            Some((target.channel.unwrap_or_default(), target.is_signed))
        };
        let named = |name: &str| Some((name.to_owned(), false));
        assert_eq!(of(&open, r#"{"channel":"EchoChannel"}"#), named(""));
        assert_eq!(
            of(&open, r#"{"channel":"ChatChannel","room":7}"#),
            named("chat:7")
        );
        assert_eq!(of(&open, r#"{"channel":"ChatChannel"}"#), named("chat"));
        assert_eq!(of(&open, r#"{"channel":"ChatChannel","room":[1]}"#), None);
        let public = r#"{"channel":"$pubsub","stream_name":"news"}"#;
        assert_eq!(
            (of(&open, public), of(&closed, public)),
            (named("news"), named("news"))
        );
        let signed = StreamKey::new(b"s3Krit").sign("news").expect("a key");
        let signed = format!("{{\"channel\":\"$pubsub\",\"signed_stream_name\":\"{signed}\"}}");
        assert_eq!(of(&open, &signed), Some(("news".to_owned(), true)));
        for identifier in [
            &signed,
            r#"{"channel":"EchoChannel"}"#,
            r#"{"channel":"ChatChannel"}"#,
            r#"{"channel":"OtherChannel"}"#,
            r#"{"channel":"$pubsub"}"#,
            "EchoChannel",
            "",
        ] {
            assert_eq!(of(&closed, identifier), None, "{identifier}");
        }
    }

    proptest! {
        #[test]
        fn no_name_panics(text: String) {
            let _ = StreamKey::new(b"s3Krit").verified(&text);
            let _ = hexadecimal(&text);
        }
    }
}
