//! What is said in the other dialects, and what is put into a poll.

use super::draws::{Draws, line, object, parsed, read};
use crate::fuzzing::property;
use ringstorm::protocol::socketcluster::{ClusterError, HandshakeReply};
use ringstorm::protocol::socketio::polling::{self, PolledPacket};
use ringstorm::protocol::{cable, json, socketcluster, socketio};
use serde_json::{Value, json};

/// Answers of SocketCluster's protocol.
fn answers(draws: &mut Draws<'_>) {
    let (call, name, message) = (draws.number(), draws.text(), draws.text());
    let (code, data) = (draws.optional(Draws::small), draws.optional(Draws::json));
    let error = ClusterError {
        name: &name,
        message: &message,
        code,
    };
    let shown = object([
        ("name", Some(json!(name))),
        ("message", Some(json!(message))),
        ("code", code.map(|code| json!(code))),
    ]);
    let fault = draws.flag().then_some(error);
    let reply = HandshakeReply {
        id: &call,
        ping_timeout_ms: u128::from(call),
        is_authenticated: fault.is_none(),
        fault,
    };
    let stands = object([
        ("id", Some(json!(call.to_string()))),
        ("pingTimeout", Some(json!(call))),
        ("authError", fault.map(|_| shown.clone())),
        ("isAuthenticated", Some(json!(fault.is_none()))),
    ]);
    assert_eq!(
        read(|into| socketcluster::handshake_reply(into, &call, reply)),
        json!({"rid": call, "data": stands})
    );
    assert_eq!(
        read(|into| socketcluster::authenticated(into, &call)),
        json!({"rid": call, "data": {"isAuthenticated": true, "authError": null}})
    );
    assert_eq!(
        read(|into| socketcluster::failure(into, &call, error)),
        json!({"rid": call, "error": shown})
    );
    let content = data.as_deref().map(parsed);
    assert_eq!(
        read(|into| socketcluster::response(into, &call, data.as_deref())),
        object([("rid", Some(json!(call))), ("data", content)])
    );
}

/// Events of SocketCluster's protocol.
fn events(draws: &mut Draws<'_>) {
    let (channel, within) = (draws.text(), draws.optional(Draws::text));
    let (name, data) = (draws.text(), draws.json());
    assert_eq!(
        read(|into| socketcluster::event(into, &name, Some(&data))),
        json!({"event": name, "data": parsed(&data)})
    );
    let text = line(|into| {
        socketcluster::publication(into, &channel, within.as_deref(), &data);
    });
    let publication = object([
        ("channel", Some(json!(channel))),
        ("within", within.map(|within| json!(within))),
        ("data", Some(parsed(&data))),
    ]);
    let value: Value = serde_json::from_slice(&text).expect("JSON");
    assert_eq!(value, json!({"event": "#publish", "data": publication}));
    let mut encoded = Vec::new();
    json::string(&mut encoded, &channel);
    let heard = |said: socketcluster::Said<'_>| {
        let socketcluster::Said::Published {
            channel,
            data: heard,
        } = said
        else {
            panic!("{said:?}");
        };
        assert!(socketcluster::is_channel(channel, &encoded));
        assert_eq!(heard.get(), data);
    };
    socketcluster::read(&text, heard).expect("what a server says");
    assert_eq!(
        read(|into| socketcluster::kick_out(into, &channel, &name)),
        json!({"event": "#kickOut", "data": {"channel": channel, "message": name}})
    );
}

#[test]
fn clients_of_socketcluster_read_what_is_meant_whatever_it_is_about() {
    property!(|input: &[u8]| {
        answers(&mut Draws::new(input));
        events(&mut Draws::new(input));
    });
}

#[test]
fn clients_of_actioncable_read_what_is_meant_whatever_it_is_about() {
    property!(|input: &[u8]| {
        let mut draws = Draws::new(input);
        let (channel, stream, data) = (draws.text(), draws.text(), draws.json());
        let (epoch, offset) = (draws.number().to_string(), draws.number());
        let may_return = draws.flag();
        // What looks like an object is taken for one.
        let identifier = if channel.starts_with('{') {
            channel.clone()
        } else {
            json!({"channel": channel}).to_string()
        };
        let quoted = json!(identifier).to_string();
        let is = cable::Identifier::new(&channel);
        let place = draws.flag().then_some(cable::StreamPlace {
            stream: &stream,
            epoch: &epoch,
            offset,
        });
        let text = line(|into| cable::message(into, &quoted, &data, place));
        let said = object([
            ("identifier", Some(json!(identifier))),
            ("message", Some(parsed(&data))),
            ("stream_id", place.map(|it| json!(it.stream))),
            ("epoch", place.map(|it| json!(it.epoch))),
            ("offset", place.map(|it| json!(it.offset))),
        ]);
        assert_eq!(serde_json::from_slice::<Value>(&text).expect("JSON"), said);
        match cable::read(&text) {
            Ok(cable::Said::Message {
                identifier,
                message,
            }) => {
                assert!(is.is(identifier) && message.get() == data);
            }
            other => panic!("{other:?}"),
        }
        type Write = fn(&mut Vec<u8>, &str);
        let kinds: [(&str, Write); 4] = [
            ("confirm_subscription", cable::confirm),
            ("reject_subscription", cable::reject),
            ("confirm_history", cable::confirm_history),
            ("reject_history", cable::reject_history),
        ];
        for (kind, write) in kinds {
            assert_eq!(
                read(|into| write(into, &quoted)),
                json!({"identifier": identifier, "type": kind})
            );
        }
        let parting = cable::CableParting {
            reason: &stream,
            may_return,
        };
        assert_eq!(
            read(|into| cable::disconnect(into, parting)),
            json!({"type": "disconnect", "reason": stream, "reconnect": may_return})
        );
        assert_eq!(
            read(|into| cable::ping(into, offset)),
            json!({"type": "ping", "message": offset})
        );
    });
}

#[test]
fn clients_of_socketio_read_what_is_meant_whatever_it_is_about() {
    property!(|input: &[u8]| {
        let mut draws = Draws::new(input);
        let (name, why, id) = (draws.text(), draws.text(), draws.number());
        let arguments: Vec<_> = (0..draws.byte() % 4).map(|_| draws.json()).collect();
        let namespace = ["/", "/a", "/é"][usize::from(draws.byte() % 3)];
        let attachments = u32::from(draws.byte() % 3);
        let argument = draws.json();
        let heard = |text: &[u8]| match socketio::read(text) {
            Ok(socketio::Packet::Message(said)) => (
                said.kind,
                said.namespace.to_owned(),
                said.id,
                said.attachments,
                parsed(said.data),
            ),
            other => panic!("{other:?}"),
        };
        let text = line(|into| socketio::event(into, &name, &argument, None));
        let event = (socketio::Kind::Event, "/".to_owned(), None, 0);
        let content = json!([name, parsed(&argument)]);
        assert_eq!(heard(&text), (event.0, event.1, event.2, event.3, content));
        let all = || arguments.iter().map(String::as_str);
        let text = line(|into| socketio::acknowledgement(into, (id, attachments), all()));
        let content = json!(all().map(parsed).collect::<Vec<_>>());
        let ack = (
            socketio::Kind::Ack,
            "/".to_owned(),
            Some(id),
            attachments,
            content,
        );
        assert_eq!(heard(&text), ack);
        let text = line(|into| socketio::connect_error(into, namespace, &why));
        let refused = (
            socketio::Kind::ConnectError,
            namespace.to_owned(),
            None,
            0,
            json!({"message": why}),
        );
        assert_eq!(heard(&text), refused);
        // What our client says is read by our server.
        let text = line(|into| socketio::acknowledge(into, namespace, id));
        match socketio::read_client(&text) {
            Ok(socketio::ClientSays::Message(said)) => {
                assert_eq!(
                    (said.namespace, said.id, said.data),
                    (namespace, Some(id), "[]")
                );
            }
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn the_packets_of_a_poll_are_those_that_were_put_into_it() {
    property!(|input: &[u8]| {
        let mut draws = Draws::new(input);
        let packets: Vec<_> = (0..1 + draws.byte() % 5)
            .map(|_| match draws.byte() % 3 {
                0 => PolledPacket::Binary(draws.text().into_bytes()),
                1 => PolledPacket::Binary((0..draws.byte()).map(|_| draws.byte()).collect()),
                _ => PolledPacket::Close,
            })
            .collect();
        let texts: Vec<_> = packets
            .iter()
            .map(|_| format!("4{}", draws.text()))
            .collect();
        let mut payload = String::new();
        for (packet, text) in packets.iter().zip(&texts) {
            match packet {
                PolledPacket::Binary(bytes) => polling::push_binary(&mut payload, bytes),
                PolledPacket::Close | PolledPacket::Text(_) => {
                    polling::push_text(&mut payload, text)
                }
            }
        }
        let mut rest = Some(&*payload);
        for (packet, text) in packets.into_iter().zip(&texts) {
            let put = match packet {
                PolledPacket::Close => PolledPacket::Text(text),
                other => other,
            };
            let (packet, behind) = polling::next_packet(rest.expect("a packet")).expect("a packet");
            assert_eq!(packet, put);
            rest = behind;
        }
        assert_eq!(rest, None);
        // And what anybody else puts there ends.
        let other = String::from_utf8_lossy(input);
        let (mut rest, mut count) = (Some(&*other), 0);
        while let Some(payload) = rest
            && let Ok((_, behind)) = polling::next_packet(payload)
        {
            count += 1;
            rest = behind;
        }
        assert!(count <= other.len() + 1);
    });
}
