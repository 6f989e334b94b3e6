//! Event streams of channels: `/channels?topic=a&topic=b`, one cursor over all topics.
//!
//! Each publication is an event without a name whose data is `{"topic","offset","data"}`. Its id
//! is the cursor: `EPOCH:OFFSET` for each topic, in the order of the address, joined by commas.
//! Once each topic is answered there is an event `ready`. What somebody who comes back has missed
//! comes before it, and what cannot be given any more is told by an event `stale`.

use crate::app::User;
use crate::app::hub::answer::Subscribed;
use crate::app::hub::position::{Epoch, Position, Since};
use crate::app::hub::publication::Publication;
use crate::limits;
use crate::protocol::centrifugo::ErrorCode;
use crate::protocol::json;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;

use super::query;

/// The event that tells that a stream has begun.
pub const READY: &str = "ready";
/// The event that tells that something is lost.
pub const STALE: &str = "stale";
/// The event that tells that a topic is not to be had.
pub const REFUSED: &str = "refused";

/// Which topics somebody wants, and from where on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicRequest {
    /// Each, once.
    pub topics: Vec<(Box<str>, Option<Since>)>,
}

/// The streams whose cursor has to be kept: those that begin, and those of several topics.
#[derive(Debug, Default)]
pub struct TopicStreams {
    all: BTreeMap<User, TopicStream>,
}

#[derive(Debug)]
struct TopicStream {
    topics: Vec<TopicPlace>,
    /// Topics that are not answered yet.
    waiting: usize,
}

#[derive(Debug)]
struct TopicPlace {
    name: Box<str>,
    place: Option<Position>,
}

impl TopicRequest {
    /// Reads the query of an address and the id that the client has seen last.
    ///
    /// # Errors
    /// What is wrong, in a few words.
    pub fn parse(query: &str, last_event_id: &str) -> Result<Self, &'static str> {
        let mut request = Self::default();
        for topic in query::values(query, "topic") {
            let mut known = request.topics.iter();
            if known.any(|(name, _)| **name == *topic) {
                continue;
            }
            if request.topics.len() >= limits::CHANNELS_PER_CLIENT {
                return Err("at most 128 topics");
            }
            request.topics.push((topic.into(), None));
        }
        if request.topics.is_empty() {
            return Err("name a topic: /channels?topic=news");
        }
        if !last_event_id.is_empty() {
            let mut places = last_event_id.split(',');
            for (_, since) in &mut request.topics {
                *since = match places.next() {
                    Some(NOWHERE) => None,
                    place => Some(place.and_then(parse_place).unwrap_or(FOREIGN)),
                };
            }
        }
        Ok(request)
    }
}

impl TopicStreams {
    /// A stream begins.
    pub fn begin(&mut self, user: User, request: &TopicRequest) {
        let place = None;
        let named = request.topics.iter().map(|(name, _)| name.clone());
        let topics: Vec<_> = named.map(|name| TopicPlace { name, place }).collect();
        let waiting = topics.len();
        self.all.insert(user, TopicStream { topics, waiting });
    }

    /// A stream is over.
    pub fn end(&mut self, user: User) {
        self.all.remove(&user);
    }

    /// The topic of that number.
    #[must_use]
    pub fn topic(&self, user: User, number: u32) -> Box<str> {
        let stream = self.all.get(&user);
        let topic = stream.and_then(|stream| stream.topics.get(number as usize));
        topic.map_or_else(Box::default, |topic| topic.name.clone())
    }

    /// A topic is answered. Whether it was the last.
    pub fn answered(&mut self, user: User) -> bool {
        let Some(stream) = self.all.get_mut(&user) else {
            return false;
        };
        stream.waiting = stream.waiting.saturating_sub(1);
        stream.waiting == 0
    }

    /// A stream has come to that place in a topic: writes its cursor.
    pub fn moved(&mut self, user: User, topic: &str, place: Position, into: &mut String) {
        if let Some(stream) = self.all.get_mut(&user) {
            let mut topics = stream.topics.iter_mut();
            if let Some(found) = topics.find(|found| *found.name == *topic) {
                found.place = Some(place);
            }
        }
        self.cursor(user, into);
    }

    /// Writes the cursor of a stream.
    pub fn cursor(&self, user: User, into: &mut String) {
        into.clear();
        let topics = self.all.get(&user).map_or(&[][..], |stream| &stream.topics);
        for (at, topic) in topics.iter().enumerate() {
            if at > 0 {
                into.push(',');
            }
            match topic.place {
                Some(place) => write_place(into, place.epoch, place.offset),
                None => into.push_str(NOWHERE),
            }
        }
    }

    /// Writes what a stream has begun with, and forgets it if its cursor follows from each event.
    pub fn ready(&mut self, user: User, into: &mut Vec<u8>) {
        into.extend_from_slice(b"{\"topics\":[");
        let Some(stream) = self.all.get(&user) else {
            into.extend_from_slice(b"]}");
            return;
        };
        for (at, topic) in stream.topics.iter().enumerate() {
            if at > 0 {
                into.push(b',');
            }
            json::string(into, &topic.name);
        }
        into.extend_from_slice(b"]}");
        if stream.topics.len() == 1 {
            self.end(user);
        }
    }
}

/// A topic without a place, in a cursor.
const NOWHERE: &str = "-";

/// A place that is none of any history here.
const FOREIGN: Since = Since::place(None, 0);

/// Appends a place as a cursor has it.
pub fn write_place(into: &mut String, epoch: Epoch, offset: u64) {
    // Writing to a String does not fail.
    let _ = write!(into, "{epoch}:{offset}");
}

fn parse_place(text: &str) -> Option<Since> {
    let (epoch, offset) = text.split_once(':')?;
    // Digits only: `parse` alone would take "+7".
    let is_plain = offset.bytes().all(|byte| byte.is_ascii_digit());
    let offset = offset.parse().ok().filter(|_| is_plain)?;
    let epoch = Some(Epoch::parse(epoch)?);
    Some(Since::place(epoch, offset))
}

/// Appends a publication as the data of an event.
pub fn write(into: &mut Vec<u8>, topic: &str, it: &Publication) {
    into.extend_from_slice(b"{\"topic\":");
    json::string(into, topic);
    // Writing to a Vec does not fail.
    if it.offset > 0 {
        let _ = write!(into, ",\"offset\":{}", it.offset);
    }
    let _ = write!(into, ",\"data\":{}", it.data);
    if let Some(tags) = &it.tags {
        let _ = write!(into, ",\"tags\":{tags}");
    }
    into.push(b'}');
}

/// Appends a publication in a channel that a pattern takes.
pub fn write_matched(into: &mut Vec<u8>, (pattern, topic): (&str, &str), it: &Publication) {
    write(into, topic, it);
    into.pop();
    into.extend_from_slice(b",\"pattern\":");
    json::string(into, pattern);
    into.push(b'}');
}

/// Appends what is lost as the data of an event.
pub fn write_stale(into: &mut Vec<u8>, it: &Subscribed) {
    into.extend_from_slice(b"{\"topic\":");
    json::string(into, &it.channel);
    let Position { epoch, offset } = it.position;
    // Writing to a Vec does not fail.
    let _ = write!(into, ",\"epoch\":\"{epoch}\",\"latest\":{offset}}}");
}

/// Appends how much was passed over as the data of an event.
pub fn write_missed(into: &mut Vec<u8>, topic: &str, count: u64) {
    into.extend_from_slice(b"{\"topic\":");
    json::string(into, topic);
    // Writing to a Vec does not fail.
    let _ = write!(into, ",\"missed\":{count}}}");
}

/// Appends why a topic is not to be had as the data of an event.
pub fn write_refused(into: &mut Vec<u8>, topic: &str, error: ErrorCode) {
    into.extend_from_slice(b"{\"topic\":");
    json::string(into, topic);
    // Writing to a Vec does not fail.
    let _ = write!(into, ",\"code\":{},\"message\":", error.code);
    json::string(into, error.message);
    into.push(b'}');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn place(offset: u64) -> Position {
        let epoch = Epoch(7);
        Position { epoch, offset }
    }

    #[test]
    fn a_cursor_is_read_as_it_is_written() {
        let user = User(1);
        let request = TopicRequest::parse("topic=a&topic=b&topic=a&topic=c", "").expect("topics");
        assert_eq!(request.topics.len(), 3, "each once");
        let mut streams = TopicStreams::default();
        streams.begin(user, &request);
        let mut cursor = String::new();
        streams.moved(user, "b", place(9), &mut cursor);
        assert_eq!(cursor, "-,00000007:9,-");
        streams.moved(user, "a", place(1), &mut cursor);
        let again = TopicRequest::parse("topic=a&topic=b&topic=c", &cursor).expect("topics");
        let since: Vec<_> = again.topics.iter().map(|(_, since)| *since).collect();
        assert_eq!(since, [Some(place(1).into()), Some(place(9).into()), None]);
    }

    #[test]
    fn a_cursor_that_is_none_is_of_no_history_here() {
        for cursor in [
            "x",
            "7",
            "00000007",
            "00000007:+1",
            ":1",
            "00000007:1:1",
            "0000000g:1",
            ",",
        ] {
            let request = TopicRequest::parse("topic=a", cursor).expect("topics");
            assert_eq!(request.topics[0].1, Some(FOREIGN), "{cursor:?}");
        }
        let request = TopicRequest::parse("topic=a&topic=b", "00000007:1").expect("topics");
        assert_eq!(request.topics[1].1, Some(FOREIGN), "one is missing");
    }

    #[test]
    fn what_is_no_request_says_what_to_write() {
        assert!(TopicRequest::parse("", "").is_err());
        let many: Vec<String> = (0..200).map(|number| format!("topic={number}")).collect();
        assert!(TopicRequest::parse(&many.join("&"), "").is_err());
    }

    #[test]
    fn a_stream_is_ready_when_each_topic_is_answered() {
        let user = User(1);
        let request = TopicRequest::parse("topic=a&topic=b%22", "").expect("topics");
        let mut streams = TopicStreams::default();
        streams.begin(user, &request);
        assert!(!streams.answered(user) && streams.answered(user));
        let mut text = Vec::new();
        streams.ready(user, &mut text);
        assert_eq!(text, br#"{"topics":["a","b\""]}"#);
        streams.end(user);
        assert!(!streams.answered(user));
    }

    proptest! {
        #[test]
        fn no_request_panics(query: String, cursor: String) {
            let _ = TopicRequest::parse(&query, &cursor);
        }
    }
}
