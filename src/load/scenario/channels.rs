//! The scenario `channels`: subscribes to a channel of a server that speaks Centrifugo's client
//! protocol, publishes there, and checks the number of everything that it is told.
//!
//! Whoever comes back after a cut asks for what it missed. So of each publication it is known
//! whether it came, came twice, came late, was given after a cut, or was told to be lost.

use super::calls::{Calls, Stamp, delivered, filler};
use super::channel_place::ChannelPlace;
use super::{Context, Dialogue, Incoming, Piece, Program, Senders, Turns};
use crate::load::decimal::Decimal;
use crate::load::measure::deliveries::Delivered;
use crate::protocol::centrifugo::{
    ServerLine, ServerPublication, ServerPush, ServerSubscription, read_server,
};
use crate::protocol::json;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

const CONNECT: u32 = 1;
const SUBSCRIBE: u32 = 2;
/// From this code on, who was unsubscribed subscribes again.
const RESUBSCRIBE: u32 = 2500;

/// What all clients of the scenario share.
#[derive(Clone, Debug)]
pub struct NumberedChannels(Arc<ChannelsPlan>);

/// How the scenario is meant.
#[derive(Clone, Debug)]
pub struct NumberedChannelsOptions {
    /// What the channels are called; each name ends with its number if there are several.
    pub channel: String,
    /// How many channels there are: client `n` is in channel `n` modulo that.
    pub channels: u32,
    /// What to show.
    pub auth_token: Option<String>,
    /// Bytes of a publication.
    pub content_bytes: usize,
    /// Who publishes.
    pub senders: Senders,
    /// Of the content.
    pub seed: u64,
}

#[derive(Debug)]
struct ChannelsPlan {
    options: NumberedChannelsOptions,
    filler: Vec<u8>,
    /// Where each client was when it was cut off.
    places: Mutex<BTreeMap<u32, Arc<Mutex<ChannelPlace>>>>,
}

/// How far a client has connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ChannelStage {
    Connecting,
    Subscribing,
    Subscribed,
}

#[derive(Debug)]
struct Subscriber {
    plan: Arc<ChannelsPlan>,
    /// Its channel, as JSON.
    channel: Vec<u8>,
    stage: ChannelStage,
    is_up: bool,
    place: Arc<Mutex<ChannelPlace>>,
    calls: Calls,
}

impl NumberedChannels {
    /// The scenario as meant.
    #[must_use]
    pub fn new(options: NumberedChannelsOptions) -> Self {
        Self(Arc::new(ChannelsPlan {
            filler: filler(options.content_bytes, options.seed),
            places: Mutex::default(),
            options,
        }))
    }
}

impl Program for NumberedChannels {
    fn name(&self) -> &'static str {
        "channels"
    }

    fn turns(&self) -> Turns {
        self.0.options.senders.turns()
    }

    fn begin(&self, number: u32) -> Box<dyn Dialogue> {
        let options = &self.0.options;
        let name = match options.channels {
            0 | 1 => options.channel.clone(),
            channels => format!("{}{}", options.channel, number % channels),
        };
        let mut channel = Vec::new();
        json::string(&mut channel, &name);
        let mut places = self.0.places.lock().unwrap_or_else(PoisonError::into_inner);
        let place = places.entry(number).or_default().clone();
        Box::new(Subscriber {
            plan: Arc::clone(&self.0),
            channel,
            stage: ChannelStage::Connecting,
            is_up: false,
            place,
            calls: Calls::default(),
        })
    }
}

impl Dialogue for Subscriber {
    fn on_open(&mut self, context: &mut Context<'_>) {
        let mut text = br#"{"id":1,"connect":{"name":"ringstorm""#.to_vec();
        if let Some(token) = &self.plan.options.auth_token {
            text.extend_from_slice(b",\"token\":");
            json::string(&mut text, token);
        }
        text.extend_from_slice(b"}}");
        context.text_parts(&[&text]);
    }

    fn on_message(&mut self, heard: Incoming<'_>, context: &mut Context<'_>) {
        let text = match heard {
            Incoming::Text(text) => text,
            Incoming::Pong(_) => return,
            Incoming::Binary(_) | Incoming::Event { .. } => b"?",
        };
        match read_server(text, |line| self.told_by_server(&line, context)) {
            Ok(()) => {}
            Err(_) if self.is_up => context.wrong(),
            Err(_) => context.fail("not_centrifugo"),
        }
    }

    /// It has taken too long to come up.
    fn on_timer(&mut self, context: &mut Context<'_>) {
        match self.stage {
            ChannelStage::Connecting => context.fail("no_connect_reply"),
            ChannelStage::Subscribing => context.fail("no_subscription"),
            ChannelStage::Subscribed => {}
        }
    }

    fn on_turn(&mut self, piece: Piece, context: &mut Context<'_>) {
        let stamp = self.calls.begin(piece, context);
        let id = Decimal::new(u64::from(stamp.number));
        let (stamp, filler) = (stamp.encode(), &self.plan.filler);
        context.text_parts(&[
            b"{\"id\":",
            id.as_bytes(),
            b",\"publish\":{\"channel\":",
            &self.channel,
            b",\"data\":\"",
            &stamp,
            filler,
            b"\"}}",
        ]);
    }
}

impl Subscriber {
    fn told_by_server(&mut self, line: &ServerLine<'_>, context: &mut Context<'_>) {
        if line.is_ping() {
            return context.text_parts(&[b"{}"]);
        }
        if let Some(push) = &line.push {
            return self.pushed(push, context);
        }
        match (line.id, line.error, self.stage) {
            (CONNECT, Some(_), ChannelStage::Connecting) => context.fail("connect_rejected"),
            (CONNECT, None, ChannelStage::Connecting) => self.subscribe(context),
            (SUBSCRIBE, Some(_), ChannelStage::Subscribing) => {
                context.fail("subscription_rejected");
            }
            (SUBSCRIBE, None, ChannelStage::Subscribing) => match &line.subscribe {
                Some(it) => self.subscribed(it, context),
                None => context.fail("not_centrifugo"),
            },
            (id, error, _) => match (self.calls.take(u64::from(id)), error) {
                (Some(exchange), None) => context.finish(exchange),
                (Some(exchange), Some(_)) => context.lose(exchange),
                (None, _) => context.wrong(),
            },
        }
    }

    fn pushed(&mut self, push: &ServerPush<'_>, context: &mut Context<'_>) {
        if let Some(publication) = push.publication {
            self.published(publication, Delivered::Live, context);
        } else if let Some(missed) = push.notice.and_then(|notice| notice.missed()) {
            self.at_place(|place| place.told += missed);
            context.delivery(Delivered::Told(missed));
        } else if let Some(ended) = push.unsubscribe {
            match ended.code >= RESUBSCRIBE {
                true => self.subscribe(context),
                false => context.fail("unsubscribed"),
            }
        }
    }

    /// Asks for the channel, and for what was missed in it if it was there before.
    fn subscribe(&mut self, context: &mut Context<'_>) {
        self.stage = ChannelStage::Subscribing;
        let since = self.at_place(|place| {
            let mut since = Vec::new();
            if !place.epoch.is_empty() {
                since.extend_from_slice(b",\"recover\":true,\"offset\":");
                since.extend_from_slice(place.offset.to_string().as_bytes());
                since.extend_from_slice(b",\"epoch\":");
                json::string(&mut since, &place.epoch);
            }
            since
        });
        let id = Decimal::new(u64::from(SUBSCRIBE));
        context.text_parts(&[
            b"{\"id\":",
            id.as_bytes(),
            b",\"subscribe\":{\"channel\":",
            &self.channel,
            &since,
            b"}}",
        ]);
    }

    /// The subscription stands.
    fn subscribed(&mut self, it: &ServerSubscription<'_>, context: &mut Context<'_>) {
        self.stage = ChannelStage::Subscribed;
        let (was_here, is_same, offset) = self.at_place(|place| {
            (
                !place.epoch.is_empty(),
                place.epoch == it.epoch,
                place.offset,
            )
        });
        if was_here && it.recovered {
            for publication in &it.publications {
                self.published(*publication, Delivered::Recovered, context);
            }
            // What a server calls whole and is not is lost without a word.
            let lost = self.at_place(|place| place.came_to(it.offset));
            context.delivery(Delivered::Lost(lost));
        } else if was_here {
            let known = it.offset.saturating_sub(offset);
            let lost = if is_same { known } else { known.max(1) };
            context.delivery(Delivered::Told(lost));
        }
        self.at_place(|place| place.begins_at(&it.epoch, it.offset));
        if !self.is_up {
            self.is_up = true;
            context.ready(self.plan.options.senders.part(context.number()));
        }
    }

    fn published(
        &mut self,
        publication: ServerPublication<'_>,
        how: Delivered,
        context: &mut Context<'_>,
    ) {
        let data = publication.data.get().as_bytes();
        let stamp = match how {
            // What was kept for it is no measure of the way.
            Delivered::Recovered => None,
            _ => Stamp::find(data),
        };
        delivered(stamp, data.len(), context);
        context.delivery(how);
        if publication.offset > 0 {
            let found = self.at_place(|place| place.has(publication.offset));
            context.delivery(found);
        }
    }

    fn at_place<R>(&self, act: impl FnOnce(&mut ChannelPlace) -> R) -> R {
        // One client has it at a time.
        let mut place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
        act(&mut place)
    }
}
