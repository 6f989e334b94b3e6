//! Packets of namespaces but `/`, as packets of `/` and back (`socket.io-protocol` revision 5).

use super::IoEvent;
use std::borrow::Cow;

/// A packet of a namespace but `/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namespaced<'a> {
    /// The namespace, with its `/`.
    pub name: &'a str,
    /// The same packet in `/`.
    pub packet: String,
}

/// Whether a text may be a packet of a namespace but `/`: one that is not is none.
#[inline]
#[must_use]
pub const fn may_have_namespace(text: &[u8]) -> bool {
    matches!(text, [b'4', _, b'/', ..] | [b'4', b'5' | b'6', ..])
}

/// Takes a packet out of its namespace; `None` for one of `/`, and for what is no packet.
#[must_use]
pub fn take_namespace(text: &str) -> Option<Namespaced<'_>> {
    let at = namespace_at(text)?;
    let (head, rest) = text.split_at_checked(at)?;
    // Without data there is no comma.
    let (name, data) = rest.split_once(',').unwrap_or((rest, ""));
    let is_other = name.starts_with('/') && name != "/";
    is_other.then(|| Namespaced {
        name,
        packet: format!("{head}{data}"),
    })
}

/// Appends a packet of `/` as one of a namespace.
pub fn put_namespace(into: &mut String, packet: &str, name: &str) {
    let at = namespace_at(packet).unwrap_or(packet.len());
    let (head, data) = packet.split_at_checked(at).unwrap_or((packet, ""));
    into.push_str(head);
    into.push_str(name);
    into.push(',');
    into.push_str(data);
}

/// The channel that is the room which an event names first, in that namespace or in `/`: a room of
/// `/` is called as no room of another.
#[must_use]
pub fn room<'e>(namespace: Option<&str>, event: &IoEvent<'e>) -> Option<Cow<'e, str>> {
    let room = event.text(0)?;
    match namespace {
        Some(namespace) => Some(Cow::Owned(format!("{namespace}:{room}"))),
        None => Some(room).filter(|room| !room.starts_with('/')),
    }
}

/// Whether a namespace may be called that.
#[must_use]
pub fn is_namespace(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
    name.len() > 1 && name.starts_with('/') && name.bytes().all(is_plain)
}

/// Where a packet names its namespace: behind its types, and behind the count of its attachments.
fn namespace_at(packet: &str) -> Option<usize> {
    match packet.as_bytes() {
        [b'4', b'5' | b'6', ..] => packet.find('-').map(|at| at + 1),
        [b'4', _, ..] => Some(2),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_packet_is_taken_out_of_its_namespace_and_put_into_it() {
        for (text, name, packet) in [
            ("40/admin,{\"a\":1}", "/admin", "40{\"a\":1}"),
            ("42/a-b,12[\"x\",\"/,\"]", "/a-b", "4212[\"x\",\"/,\"]"),
            ("452-/a,3[\"x\"]", "/a", "452-3[\"x\"]"),
            ("41/a,", "/a", "41"),
        ] {
            let found = take_namespace(text).expect("a namespace");
            assert_eq!((found.name, &*found.packet), (name, packet));
            assert!(may_have_namespace(text.as_bytes()));
            let mut again = String::new();
            put_namespace(&mut again, packet, name);
            assert_eq!(again, text);
        }
        assert_eq!(
            take_namespace("40/a").map(|it| it.packet),
            Some("40".into())
        );
        for text in [
            "40",
            "42[\"/a,\"]",
            "42/,[\"x\"]",
            "3",
            "",
            "4",
            "45",
            "451-[\"x\"]",
            "/a,",
        ] {
            assert_eq!(take_namespace(text), None, "{text}");
        }
    }

    #[test]
    fn rooms_of_namespaces_are_channels_of_their_own() {
        let event = |data| IoEvent::read(data).expect("an event");
        let plain = event("[\"join\",\"a\"]");
        assert_eq!(room(None, &plain).as_deref(), Some("a"));
        assert_eq!(room(Some("/x"), &plain).as_deref(), Some("/x:a"));
        let foreign = event("[\"join\",\"/x:a\"]");
        assert_eq!(room(None, &foreign), None);
        assert_eq!(room(Some("/y"), &foreign).as_deref(), Some("/y:/x:a"));
        assert_eq!(room(None, &event("[\"join\",7]")), None);
        for name in ["/admin", "/a.b/c-d_9"] {
            assert!(is_namespace(name), "{name}");
        }
        for name in ["", "/", "a", "/a:b", "/a?b", "/a b", "/\u{e9}"] {
            assert!(!is_namespace(name), "{name}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text: String, packet in "4[0-6][0-9/,\\-a\\[\\]\"\u{e9}]{0,20}") {
            let _ = (take_namespace(&text), take_namespace(&packet));
            put_namespace(&mut String::new(), &packet, "/a");
            put_namespace(&mut String::new(), &text, "/a");
        }
    }
}
