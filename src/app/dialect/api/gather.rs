//! Calls whose answers are being gathered, and how they are put together.

use super::request::{ApiRequest, SessionQuestion};
use crate::app::User;
use crate::app::dialect::views;
use crate::app::hub::answer::HubAnswer;
use crate::app::hub::history::Catchup;
use crate::protocol::centrifugo::{self as codec, ErrorCode};
use crate::protocol::json;
use std::collections::{BTreeMap, VecDeque};
use std::io::Write as _;
use std::sync::Arc;

/// How the answers to one call are put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// `{"result":{}}` or `{"error":{}}`.
    One,
    /// `{"result":{"responses":[..]}}`.
    Broadcast,
    /// `{"replies":[{"publish":{}},..]}`.
    Batch,
    /// `{"results":[..],"cores","connections"}`.
    Publish,
    /// The same, with the status that `AnyCable` answers a broadcast with: 201.
    Created,
}

/// All calls that wait for something.
#[derive(Debug, Default)]
pub(super) struct Gathers {
    /// By the ticket of the first question.
    calls: BTreeMap<u32, Gather>,
    /// Which question belongs to which call.
    questions: BTreeMap<u32, u32>,
    next: u32,
    done: VecDeque<(User, u16, String)>,
}

/// One call.
#[derive(Debug)]
struct Gather {
    asker: User,
    shape: Shape,
    slots: Vec<ApiSlot>,
    waiting: usize,
    clients: u64,
    cores: u16,
}

/// One question of a call.
#[derive(Debug)]
struct ApiSlot {
    /// What its answer is called.
    name: &'static str,
    /// How many answers it waits for: one, or one from each core.
    waiting: u16,
    clients: u64,
    channels: Vec<(Arc<str>, u64)>,
    answer: Option<Result<Vec<u8>, ErrorCode>>,
}

impl Gathers {
    /// A call with so many questions: the ticket of the first.
    pub(super) fn begin(&mut self, asker: User, shape: Shape, requests: &[ApiRequest]) -> u32 {
        let count = u32::try_from(requests.len()).unwrap_or(u32::MAX);
        let first = self.next;
        // Tickets of calls that wait are never given again: there are far fewer than 2^32 of them.
        self.next = self.next.checked_add(count).unwrap_or(0);
        let slots = requests.iter().map(|request| ApiSlot {
            name: name(request),
            waiting: 1,
            clients: 0,
            channels: Vec::new(),
            answer: None,
        });
        let gather = Gather {
            asker,
            shape,
            slots: slots.collect(),
            waiting: requests.len(),
            clients: 0,
            cores: 0,
        };
        self.calls.insert(first, gather);
        for ticket in first..first.saturating_add(count) {
            self.questions.insert(ticket, first);
        }
        first
    }

    /// A question is answered by so many cores.
    pub(super) fn wait_for(&mut self, ticket: u32, cores: u16) {
        if let Some(slot) = self.slot(ticket) {
            slot.waiting = cores;
        }
    }

    /// A question is not asked.
    pub(super) fn refused(&mut self, ticket: u32, error: ErrorCode) {
        self.settle(ticket, Err(error), (0, 0));
    }

    /// It is done, and there is nothing to say of it.
    pub(super) fn done(&mut self, ticket: u32) {
        self.settle(ticket, Ok(b"{}".to_vec()), (0, 0));
    }

    /// The hub has answered.
    pub(super) fn answered(&mut self, ticket: u32, answer: HubAnswer) {
        let mut reach = (0, 0);
        let settled = match answer {
            HubAnswer::Reached { clients, channels } => {
                let Some(slot) = self.slot(ticket) else {
                    return;
                };
                slot.clients += clients;
                slot.channels.extend(channels);
                slot.waiting = slot.waiting.saturating_sub(1);
                if slot.waiting > 0 {
                    return;
                }
                Ok(order_answer(slot))
            }
            HubAnswer::Refused(error) => Err(views::error(error)),
            answer => {
                if let HubAnswer::Published(delivery) = &answer {
                    reach = (delivery.clients, delivery.cores);
                }
                let is_session = self.slot(ticket).is_some_and(|slot| slot.name == SESSION);
                Ok(match &answer {
                    HubAnswer::History(_, held) if is_session => held_by(held),
                    answer => value(answer),
                })
            }
        };
        self.settle(ticket, settled, reach);
    }

    /// The next call that has its answer: a status and JSON.
    pub(super) fn next(&mut self) -> Option<(User, u16, String)> {
        self.done.pop_front()
    }

    fn slot(&mut self, ticket: u32) -> Option<&mut ApiSlot> {
        let first = self.questions.get(&ticket)?;
        let call = self.calls.get_mut(first)?;
        call.slots.get_mut((ticket - first) as usize)
    }

    fn settle(
        &mut self,
        ticket: u32,
        answer: Result<Vec<u8>, ErrorCode>,
        (clients, cores): (u64, u16),
    ) {
        let Some(first) = self.questions.remove(&ticket) else {
            return;
        };
        let Some(call) = self.calls.get_mut(&first) else {
            return;
        };
        if let Some(slot) = call.slots.get_mut((ticket - first) as usize) {
            slot.answer = Some(answer);
        }
        call.clients += clients;
        call.cores = call.cores.max(cores);
        call.waiting -= 1;
        if call.waiting == 0
            && let Some(call) = self.calls.remove(&first)
        {
            self.done
                .push_back((call.asker, call.status(), call.json()));
        }
    }
}

impl Gather {
    fn status(&self) -> u16 {
        match self.shape {
            Shape::Created => 201,
            Shape::One | Shape::Broadcast | Shape::Batch | Shape::Publish => 200,
        }
    }

    fn json(&self) -> String {
        let mut into = Vec::new();
        let (before, after) = match self.shape {
            Shape::One => ("", String::new()),
            Shape::Broadcast => ("{\"result\":{\"responses\":[", "]}}".to_owned()),
            Shape::Batch => ("{\"replies\":[", "]}".to_owned()),
            Shape::Publish | Shape::Created => {
                let (clients, cores) = (self.clients, self.cores);
                let after = format!("],\"connections\":{clients},\"cores\":{cores}}}");
                ("{\"results\":[", after)
            }
        };
        into.extend_from_slice(before.as_bytes());
        for (at, slot) in self.slots.iter().enumerate() {
            if at > 0 {
                into.push(b',');
            }
            let name = match self.shape {
                Shape::Batch => slot.name,
                Shape::One | Shape::Broadcast | Shape::Publish | Shape::Created => "result",
            };
            match &slot.answer {
                Some(Ok(value)) => {
                    put(&mut into, format_args!("{{\"{name}\":"));
                    into.extend_from_slice(value);
                    into.push(b'}');
                }
                Some(Err(error)) => into.extend_from_slice(failed(*error).as_bytes()),
                None => into.extend_from_slice(failed(ErrorCode::INTERNAL).as_bytes()),
            }
        }
        into.extend_from_slice(after.as_bytes());
        String::from_utf8(into).unwrap_or_default()
    }
}

/// The answer to what failed.
pub(super) fn failed(error: ErrorCode) -> String {
    let mut into = vec![b'{'];
    codec::error(&mut into, error);
    into.push(b'}');
    String::from_utf8(into).unwrap_or_default()
}

/// What the answer to a request is called in a batch.
fn name(request: &ApiRequest) -> &'static str {
    use crate::app::hub::letter::ClientAction;
    match request {
        ApiRequest::Publish(_) => "publish",
        ApiRequest::Presence(_) => "presence",
        ApiRequest::PresenceStats(_) => "presence_stats",
        ApiRequest::History(..) => "history",
        ApiRequest::HistoryRemove(_) => "history_remove",
        ApiRequest::Session(_, SessionQuestion::Get) => SESSION,
        ApiRequest::Session(_, SessionQuestion::Set(_)) => "sessions/set",
        ApiRequest::Session(_, SessionQuestion::Clients) => "sessions/clients",
        ApiRequest::Clients(_, ClientAction::Emit(_)) => "sessions/emit",
        ApiRequest::Clients(_, ClientAction::Subscribe(_)) => "subscribe",
        ApiRequest::Clients(_, ClientAction::Unsubscribe(_)) => "unsubscribe",
        ApiRequest::Clients(_, ClientAction::Disconnect(_)) => "disconnect",
        ApiRequest::Clients(_, ClientAction::Channels(_)) => "channels",
        ApiRequest::Clients(_, ClientAction::Count) => "info",
        ApiRequest::Clients(_, ClientAction::Refresh(_)) => "refresh",
        ApiRequest::Revoke(_) => "tokens/revoke",
        ApiRequest::Unknown => "error",
    }
}

/// What the answer about what a session holds is called in a batch.
const SESSION: &str = "sessions/get";

/// What a session holds, as an object.
fn held_by(held: &Catchup) -> Vec<u8> {
    let data = held.publications.last().map_or("{}", |it| &*it.data);
    format!("{{\"data\":{data}}}").into_bytes()
}

/// What a channel's answer is, as an object.
fn value(answer: &HubAnswer) -> Vec<u8> {
    let mut into = Vec::new();
    match answer {
        HubAnswer::Published(delivery) => {
            let position = delivery.position;
            let (offset, epoch) = (position.offset, position.epoch);
            put(
                &mut into,
                format_args!(
                    "{{\"offset\":{offset},\"epoch\":\"{epoch}\",\"connections\":{},\"cores\":{}}}",
                    delivery.clients, delivery.cores
                ),
            );
            return into;
        }
        HubAnswer::History(_, caught) => {
            let at = codec::StreamView {
                epoch: &caught.position.epoch,
                offset: caught.position.offset,
            };
            let publications = caught.publications.iter().map(views::publication);
            codec::history(&mut into, at, publications);
        }
        HubAnswer::Presence(list) => {
            codec::presence(&mut into, list.iter().map(|info| views::info(info)));
        }
        HubAnswer::Headcount(count) => {
            codec::presence_stats(&mut into, count.clients, count.users);
        }
        HubAnswer::Subscribed(_)
        | HubAnswer::Reached { .. }
        | HubAnswer::Done
        | HubAnswer::Refused(_) => return b"{}".to_vec(),
    }
    // What a reply calls it does not stand here.
    let named = into.iter().position(|byte| *byte == b':');
    into.split_off(named.map_or(0, |at| at + 1))
}

/// What an order has come to, as an object.
fn order_answer(slot: &ApiSlot) -> Vec<u8> {
    let mut into = Vec::new();
    match slot.name {
        "channels" => {
            into.extend_from_slice(b"{\"channels\":{");
            for (at, (channel, clients)) in slot.channels.iter().enumerate() {
                if at > 0 {
                    into.push(b',');
                }
                json::string(&mut into, channel);
                put(&mut into, format_args!(":{{\"num_clients\":{clients}}}"));
            }
            into.extend_from_slice(b"}}");
        }
        "info" => put(
            &mut into,
            format_args!(
                "{{\"nodes\":[{{\"name\":\"ringstorm\",\"version\":\"{}\",\"num_clients\":{}}}]}}",
                env!("CARGO_PKG_VERSION"),
                slot.clients
            ),
        ),
        _ => put(&mut into, format_args!("{{\"clients\":{}}}", slot.clients)),
    }
    into
}

fn put(into: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // Writing to a Vec does not fail.
    let _ = into.write_fmt(text);
}

#[cfg(test)]
mod tests {
    use super::super::request;
    use super::*;
    use crate::app::hub::answer::{Delivery, HubError};
    use crate::app::hub::position::{Epoch, Position};
    use crate::app::hub::presence::Headcount;
    use serde_json::{Value, json};

    fn published(clients: u64, cores: u16) -> HubAnswer {
        let (epoch, offset) = (Epoch(1), 4);
        let position = Position { epoch, offset };
        HubAnswer::Published(Delivery {
            position,
            clients,
            cores,
        })
    }

    fn read(gathers: &mut Gathers) -> Value {
        let (user, status, json) = gathers.next().expect("done");
        assert_eq!((user, status), (User(9), 200));
        serde_json::from_str(&json).expect("json")
    }

    #[test]
    fn a_call_is_answered_once_all_its_questions_are() {
        let text = r#"{"commands":[{"publish":{"channel":"a","data":1}},{"presence_stats":
            {"channel":"a"}},{"history":{"channel":"b"}},{"info":{}}]}"#;
        let requests = request::batch(text).expect("a batch");
        let mut gathers = Gathers {
            next: 7,
            ..Gathers::default()
        };
        let first = gathers.begin(User(9), Shape::Batch, &requests);
        gathers.wait_for(first + 3, 2);
        gathers.answered(first + 2, HubAnswer::Refused(HubError::NotAvailable));
        let (clients, users) = (3, 2);
        gathers.answered(
            first + 1,
            HubAnswer::Headcount(Headcount { clients, users }),
        );
        gathers.answered(first, published(5, 2));
        for clients in [2, 3] {
            assert!(gathers.next().is_none(), "a core has not answered");
            let channels = Vec::new();
            gathers.answered(first + 3, HubAnswer::Reached { clients, channels });
        }
        let replies = read(&mut gathers)["replies"].take();
        assert_eq!(replies[0]["publish"]["offset"], 4);
        assert_eq!(
            replies[1]["presence_stats"],
            json!({"num_clients": 3, "num_users": 2})
        );
        assert_eq!(replies[2]["error"]["code"], 108);
        assert_eq!(replies[3]["info"]["nodes"][0]["num_clients"], 5);
        gathers.answered(first, published(5, 2));
        assert!(gathers.next().is_none(), "twice is once");
        assert!(gathers.calls.is_empty() && gathers.questions.is_empty());
    }

    #[test]
    fn whoever_publishes_is_told_how_far_it_went() {
        let requests = request::publications(r#"[{"topic":"a","data":1},{"topic":"b","data":2}]"#);
        let mut gathers = Gathers::default();
        let first = gathers.begin(User(9), Shape::Publish, &requests.expect("two"));
        gathers.answered(first, published(5, 2));
        gathers.answered(first + 1, published(1, 1));
        let answer = read(&mut gathers);
        assert_eq!(
            (&answer["connections"], &answer["cores"]),
            (&json!(6), &json!(2))
        );
        assert_eq!(answer["results"][1]["result"]["offset"], 4);
    }
}
