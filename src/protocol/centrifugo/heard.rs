//! What a server says, as its client reads it: replies and pushes, one JSON object a line.

use super::super::{Malformed, json};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// One line of a server. All of it empty is its ping.
#[derive(Debug, Deserialize)]
pub struct ServerLine<'a> {
    /// Which command it answers; 0 for none.
    #[serde(default)]
    pub id: u32,
    /// Why that was not done.
    pub error: Option<ServerError>,
    /// How a subscription stands.
    #[serde(borrow)]
    pub subscribe: Option<ServerSubscription<'a>>,
    /// What nobody asked for.
    #[serde(borrow)]
    pub push: Option<ServerPush<'a>>,
}

/// Why a command was not done.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct ServerError {
    /// As of [`super::ErrorCode`].
    pub code: u32,
}

/// How a subscription stands.
#[derive(Debug, Deserialize)]
pub struct ServerSubscription<'a> {
    /// Which history.
    #[serde(borrow, default)]
    pub epoch: Cow<'a, str>,
    /// How far it is.
    #[serde(default)]
    pub offset: u64,
    /// Whether everything since the place that was asked for is in `publications`.
    #[serde(default)]
    pub recovered: bool,
    /// What was missed.
    #[serde(borrow, default)]
    pub publications: Vec<ServerPublication<'a>>,
}

/// Something that was said in a channel.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct ServerPublication<'a> {
    /// Its number; 0 where there is no history.
    #[serde(default)]
    pub offset: u64,
    /// The content.
    #[serde(borrow)]
    pub data: &'a RawValue,
}

/// What nobody asked for.
#[derive(Debug, Deserialize)]
pub struct ServerPush<'a> {
    /// Something was said.
    #[serde(borrow, rename = "pub")]
    pub publication: Option<ServerPublication<'a>>,
    /// A subscription is over.
    pub unsubscribe: Option<ServerError>,
    /// The application says something, or the server how much was passed over.
    #[serde(borrow, rename = "message")]
    pub notice: Option<ServerMessage<'a>>,
}

/// A message of no channel.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct ServerMessage<'a> {
    /// The content.
    #[serde(borrow)]
    pub data: &'a RawValue,
}

#[derive(Deserialize)]
struct PassedOver {
    missed: u64,
}

impl ServerMessage<'_> {
    /// How many publications were passed over, because the client did not read.
    #[must_use]
    pub fn missed(self) -> Option<u64> {
        let read = serde_json::from_str::<PassedOver>(self.data.get());
        read.ok().map(|it| it.missed)
    }
}

impl ServerLine<'_> {
    /// Whether it is a ping, which wants `{}`.
    #[must_use]
    pub const fn is_ping(&self) -> bool {
        self.id == 0 && self.push.is_none()
    }
}

/// Reads a text message of a server; each line of it is shown to `hear`.
///
/// # Errors
/// [`Malformed`] for what no server says; what came before it has been heard.
pub fn read_server<'a>(
    text: &'a [u8],
    mut hear: impl FnMut(ServerLine<'a>),
) -> Result<(), Malformed> {
    let lines = text.split(|byte| *byte == b'\n');
    for line in lines.filter(|line| !line.trim_ascii().is_empty()) {
        hear(json::object(line)?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_a_server_says_is_understood() {
        let text = concat!(
            "{}\n",
            r#"{"id":1,"connect":{"client":"x","version":"1","ping":25,"pong":true}}"#,
            "\n",
            r#"{"id":2,"subscribe":{"epoch":"e","offset":9,"was_recovering":true,"#,
            r#""recovered":true,"publications":[{"data":{"a":1},"offset":9}]}}"#,
            "\n",
            r#"{"push":{"channel":"c","pub":{"data":"x","offset":10}}}"#,
            "\n",
            r#"{"push":{"channel":"c","message":{"data":{"channel":"c","missed":4}}}}"#,
            "\n",
            r#"{"id":3,"error":{"code":103,"message":"no"}}"#,
        );
        let mut all = Vec::new();
        read_server(text.as_bytes(), |line| all.push(line)).unwrap();
        assert!(all[0].is_ping() && !all[1].is_ping());
        let subscribed = all[2].subscribe.as_ref().unwrap();
        assert_eq!((&*subscribed.epoch, subscribed.offset), ("e", 9));
        assert!(subscribed.recovered && subscribed.publications[0].offset == 9);
        let push = |line: &ServerLine<'_>| line.push.as_ref().unwrap().publication.unwrap().offset;
        assert_eq!(push(&all[3]), 10);
        let missed = all[4].push.as_ref().unwrap().notice.unwrap().missed();
        assert_eq!((missed, all[5].error.unwrap().code), (Some(4), 103));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = read_server(&bytes, |_| ());
        }
    }
}
