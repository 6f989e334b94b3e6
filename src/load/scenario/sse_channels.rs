//! The scenario `sse-channels`: an event stream of channels (`/channels?topic=a&topic=b`), on which
//! the place of everything that it is told is checked.
//!
//! Each event's id is a cursor: `EPOCH:OFFSET` of each topic, in the order of the address. Whoever
//! comes back shows the last, as a browser does; what it missed comes before the event `ready`.

use super::calls::{Calls, Stamp, delivered, filler};
use super::channel_place::ChannelPlace;
use super::{Context, Dialogue, Incoming, Piece, Program, Senders, Turns};
use crate::load::measure::deliveries::Delivered;
use crate::protocol::json;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Where publications are posted.
const PUBLISH: &str = "/publish";

/// What all clients of the scenario share.
#[derive(Clone, Debug)]
pub struct StreamedChannels(Arc<StreamedPlan>);

/// How the scenario is meant.
#[derive(Clone, Debug)]
pub struct StreamedChannelsOptions {
    /// What each client listens to.
    pub topics: Vec<String>,
    /// Bytes of a publication.
    pub content_bytes: usize,
    /// Who publishes: one topic after the other, by `POST /publish`.
    pub senders: Senders,
    /// Of the content.
    pub seed: u64,
}

#[derive(Debug)]
struct StreamedPlan {
    options: StreamedChannelsOptions,
    filler: Vec<u8>,
    /// Where each client was when it was cut off.
    places: Mutex<BTreeMap<u32, Arc<Mutex<Vec<ChannelPlace>>>>>,
}

#[derive(Debug)]
struct Listener {
    plan: Arc<StreamedPlan>,
    places: Arc<Mutex<Vec<ChannelPlace>>>,
    /// Each topic stands: what comes now has just been said.
    is_ready: bool,
    /// It was ready before, on this connection or an earlier one.
    was_here: bool,
    calls: Calls,
    /// How often it has published.
    turn: usize,
}

/// The data of an event. Keys that are not there are not needed.
#[derive(Deserialize)]
struct TopicNews<'a> {
    #[serde(borrow)]
    topic: Option<Cow<'a, str>>,
    #[serde(default)]
    offset: u64,
    #[serde(borrow, rename = "data")]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    epoch: Option<Cow<'a, str>>,
    latest: Option<u64>,
    missed: Option<u64>,
}

impl StreamedChannels {
    /// The scenario as meant.
    #[must_use]
    pub fn new(options: StreamedChannelsOptions) -> Self {
        Self(Arc::new(StreamedPlan {
            filler: filler(options.content_bytes, options.seed),
            places: Mutex::default(),
            options,
        }))
    }
}

impl Program for StreamedChannels {
    fn name(&self) -> &'static str {
        "sse-channels"
    }

    fn turns(&self) -> Turns {
        self.0.options.senders.turns()
    }

    fn begin(&self, number: u32) -> Box<dyn Dialogue> {
        let topics = self.0.options.topics.len();
        let mut all = self.0.places.lock().unwrap_or_else(PoisonError::into_inner);
        let places = all.entry(number).or_insert_with(|| {
            let places = (0..topics).map(|_| ChannelPlace::default());
            Arc::new(Mutex::new(places.collect()))
        });
        let places = places.clone();
        let was_here = {
            let places = places.lock().unwrap_or_else(PoisonError::into_inner);
            places.iter().any(|place| !place.epoch.is_empty())
        };
        Box::new(Listener {
            plan: Arc::clone(&self.0),
            places,
            is_ready: false,
            was_here,
            calls: Calls::default(),
            turn: 0,
        })
    }
}

impl Dialogue for Listener {
    fn on_open(&mut self, _: &mut Context<'_>) {}

    fn on_message(&mut self, heard: Incoming<'_>, context: &mut Context<'_>) {
        let (kind, text, id) = match heard {
            Incoming::Event { kind, text, id } => (kind, text, id),
            Incoming::Text(_) | Incoming::Binary(_) | Incoming::Pong(_) => {
                return context.fail("needs_event_stream");
            }
        };
        let news: Result<TopicNews<'_>, _> = serde_json::from_str(text);
        match (kind, news) {
            ("ready", Ok(_)) => self.stands(id, context),
            ("refused", _) => context.fail("topic_refused"),
            ("stale", Ok(news)) => self.lost(&news, context),
            ("message", Ok(news)) if news.topic.is_some() => self.told(&news, id, context),
            // Said to all clients, in no topic.
            ("emit", _) => context.received(text.len()),
            _ if self.is_ready => context.wrong(),
            _ => context.fail("no_channels"),
        }
    }

    /// It has taken too long to come up.
    fn on_timer(&mut self, context: &mut Context<'_>) {
        if !self.is_ready {
            context.fail("no_ready");
        }
    }

    fn on_turn(&mut self, piece: Piece, context: &mut Context<'_>) {
        let stamp = self.calls.begin(piece, context);
        let topics = &self.plan.options.topics;
        let topic = topics.get(self.turn % topics.len().max(1));
        self.turn = self.turn.wrapping_add(1);
        let mut body = b"{\"topic\":".to_vec();
        json::string(&mut body, topic.map_or("", String::as_str));
        body.extend_from_slice(b",\"data\":\"");
        body.extend_from_slice(&stamp.encode());
        body.extend_from_slice(&self.plan.filler);
        body.extend_from_slice(b"\"}");
        // Letters, digits and what JSON has.
        context.post(PUBLISH, &String::from_utf8_lossy(&body));
    }
}

impl Listener {
    /// Something was published.
    fn told(&mut self, news: &TopicNews<'_>, id: &str, context: &mut Context<'_>) {
        let data = news.content.map_or("", RawValue::get).as_bytes();
        let how = match self.is_ready || !self.was_here {
            true => Delivered::Live,
            false => Delivered::Recovered,
        };
        match Stamp::find(data) {
            Some(stamp) if how == Delivered::Live => {
                self.calls.came_back(stamp, data.len(), context);
            }
            // What was kept for it is no measure of the way.
            Some(_) | None => delivered(None, data.len(), context),
        }
        context.delivery(how);
        let Some(at) = self.topic(news) else {
            return context.wrong();
        };
        if news.offset == 0 {
            // It has no number.
            return;
        }
        let Some((epoch, offset)) = place(id, at) else {
            return context.wrong();
        };
        if offset != news.offset {
            return context.wrong();
        }
        let found = self.at_place(at, |known| {
            let is_next = known.epoch.is_empty();
            let is_other = !is_next && known.epoch != epoch;
            if is_next || is_other {
                known.begins_at(epoch, offset - 1);
            }
            let found = known.has(offset);
            // Another history, and nobody said that the first is lost.
            if is_other { Delivered::Lost(1) } else { found }
        });
        context.delivery(found.unwrap_or(Delivered::Lost(0)));
    }

    /// The server says that something is lost.
    fn lost(&mut self, news: &TopicNews<'_>, context: &mut Context<'_>) {
        let Some(at) = self.topic(news) else {
            return context.wrong();
        };
        let lost = self.at_place(at, |known| {
            if let Some(missed) = news.missed {
                known.told += missed;
                return missed;
            }
            let (epoch, latest) = (
                news.epoch.as_deref().unwrap_or(""),
                news.latest.unwrap_or(0),
            );
            let passed = latest.saturating_sub(known.offset);
            let lost = if known.epoch == epoch {
                passed
            } else {
                passed.max(1)
            };
            known.begins_at(epoch, latest);
            lost
        });
        context.delivery(Delivered::Told(lost.unwrap_or_default()));
    }

    /// Each topic stands, at the place that the cursor says.
    fn stands(&mut self, id: &str, context: &mut Context<'_>) {
        for at in 0..self.plan.options.topics.len() {
            let Some((epoch, offset)) = place(id, at) else {
                return context.fail("no_channels");
            };
            let lost = self.at_place(at, |known| {
                let was_here = !known.epoch.is_empty();
                let is_same = known.epoch == epoch;
                // What a server calls whole and is not is lost without a word.
                let lost = match (was_here, is_same) {
                    (true, true) => known.came_to(offset),
                    (true, false) => 1,
                    (false, _) => 0,
                };
                known.begins_at(epoch, offset.max(if is_same { known.offset } else { 0 }));
                lost
            });
            context.delivery(Delivered::Lost(lost.unwrap_or_default()));
        }
        if !self.is_ready {
            self.is_ready = true;
            self.was_here = true;
            context.ready(self.plan.options.senders.part(context.number()));
        }
    }

    /// Which topic that is about.
    fn topic(&self, news: &TopicNews<'_>) -> Option<usize> {
        let topic = news.topic.as_deref()?;
        let mut topics = self.plan.options.topics.iter();
        topics.position(|known| known == topic)
    }

    /// Does something with the place of the topic of that number; nothing if there is none.
    fn at_place<R>(&self, at: usize, act: impl FnOnce(&mut ChannelPlace) -> R) -> Option<R> {
        // One client has them at a time.
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        places.get_mut(at).map(act)
    }
}

/// The place of one topic in a cursor.
fn place(cursor: &str, topic: usize) -> Option<(&str, u64)> {
    let (epoch, offset) = cursor.split(',').nth(topic)?.split_once(':')?;
    Some((epoch, offset.parse().ok()?))
}
