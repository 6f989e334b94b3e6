//! What members read, as JSON, and the address that says where to post.

use super::message::{Member, RoomEvent, SayAddress};
use std::fmt::Write as _;

/// Where members post; [`SayAddress`] follows as a query.
pub const SAY: &str = "/rooms/say";

/// Writes what a new member is told.
pub(super) fn welcome(
    into: &mut String,
    address: SayAddress,
    (members, size): (u16, u16),
    seq: u64,
) {
    let SayAddress { member, key } = address;
    let Member { room, number } = member;
    let (home, index) = (room.home.0, room.index);
    into.clear();
    // Writing to a String does not fail.
    let _ = write!(
        into,
        "{{\"type\":\"room\",\"seq\":{seq},\"room\":\"{home}-{index}\",\"member\":{number},\
         \"members\":{members},\"size\":{size},\
         \"say\":\"{SAY}?room={home}-{index}&member={number}&key={key:032x}\"}}"
    );
}

/// Writes what members are told, and gives its name.
pub(super) fn write_event(into: &mut String, seq: u64, event: RoomEvent<&str>) -> &'static str {
    into.clear();
    let (name, member) = match event {
        RoomEvent::Joined { member, .. } => ("joined", member),
        RoomEvent::Left { member, .. } => ("left", member),
        RoomEvent::Said { member, .. } => ("said", member),
    };
    let number = member.number;
    // Writing to a String does not fail.
    let _ = write!(
        into,
        "{{\"type\":\"{name}\",\"seq\":{seq},\"member\":{number},"
    );
    match event {
        RoomEvent::Joined { members, .. } | RoomEvent::Left { members, .. } => {
            let _ = write!(into, "\"members\":{members}}}");
        }
        RoomEvent::Said { text, .. } => {
            into.push_str("\"text\":\"");
            escape(into, text);
            into.push_str("\"}");
        }
    }
    name
}

/// Appends a text as it stands in a JSON string (RFC 8259, 7).
fn escape(into: &mut String, text: &str) {
    let mut rest = text;
    let special = |byte: u8| byte < 0x20 || byte == b'"' || byte == b'\\';
    while let Some(at) = rest.bytes().position(special) {
        let (before, from) = rest.split_at_checked(at).unwrap_or_default();
        into.push_str(before);
        let mut after = from.chars();
        match after.next() {
            Some('\n') => into.push_str("\\n"),
            Some('\r') => into.push_str("\\r"),
            Some('\t') => into.push_str("\\t"),
            Some(quoted @ ('"' | '\\')) => into.extend(['\\', quoted]),
            Some(control) => {
                let _ = write!(into, "\\u{:04x}", u32::from(control));
            }
            None => {}
        }
        rest = after.as_str();
    }
    into.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::rooms::Room;
    use crate::shard::Core;
    use proptest::prelude::*;

    const MEMBER: Member = Member {
        room: Room {
            home: Core(3),
            index: 17,
        },
        number: 5,
    };

    proptest! {
        #[test]
        fn what_is_said_is_read_back(text in any::<String>()) {
            let mut json = String::new();
            let said = RoomEvent::Said { member: MEMBER, text: text.as_str() };
            assert_eq!(write_event(&mut json, 9, said), "said");
            let read: serde_json::Value = serde_json::from_str(&json).expect("JSON");
            assert_eq!(read["text"], text);
            assert_eq!((&read["seq"], &read["member"]), (&9.into(), &5.into()));
        }

        #[test]
        fn an_address_is_read_or_not_but_never_panics(query in ".{0,60}") {
            let _ = SayAddress::parse(&query);
        }
    }

    #[test]
    fn a_new_member_can_post_to_the_address_it_is_told() {
        let key = 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef;
        let address = SayAddress {
            member: MEMBER,
            key,
        };
        let mut json = String::new();
        welcome(&mut json, address, (2, 6), 12);
        let read: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        assert_eq!(read["room"], "3-17");
        let (path, query) = read["say"]
            .as_str()
            .and_then(|say| say.split_once('?'))
            .unwrap();
        assert_eq!((path, SayAddress::parse(query)), (SAY, Some(address)));
    }

    #[test]
    fn a_wrong_address_is_none() {
        for query in [
            "",
            "room=3-17&member=5",
            "room=317&member=5&key=0123456789abcdef0123456789abcdef",
            "room=3-+17&member=5&key=0123456789abcdef0123456789abcdef",
            "room=3-17&member=-5&key=0123456789abcdef0123456789abcdef",
            "room=3-17&member=5&key=123456789abcdef0123456789abcdef",
            "room=3-17&member=5&key=0123456789abcdef",
            "room=3-17&member=5&key=0123456789abcdef0123456789abcdeg",
            "room=3-17&member=5&key=+123456789abcdef0123456789abcdef",
            "room=70000-17&member=5&key=0123456789abcdef0123456789abcdef",
        ] {
            assert_eq!(SayAddress::parse(query), None, "{query}");
        }
    }
}
