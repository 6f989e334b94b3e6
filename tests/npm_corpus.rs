//! The codecs of other servers' clients against what the clients' own libraries make: a corpus of
//! packets, each with what it says, that `tests/clients/corpus.cjs` has written.

use ringstorm::protocol::cable::{ChannelParams, read_command};
use ringstorm::protocol::socketcluster::read_packets;
use ringstorm::protocol::socketio::namespace::{Namespaced, take_namespace};
use ringstorm::protocol::socketio::polling::{PolledPacket, next_packet, push_binary, push_text};
use ringstorm::protocol::socketio::{ClientSays, IoEvent, Kind, read_client};
use serde_json::{Value, json};

const PACKETS: &str = include_str!("npm_corpus/packets.jsonl");

/// The lines of one kind.
fn lines(of: &str) -> Vec<Value> {
    let all = PACKETS
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    let lines: Vec<Value> = all.filter(|line: &Value| line["of"] == of).collect();
    assert!(lines.len() >= 50, "{} lines of {of}", lines.len());
    lines
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

#[test]
fn packets_of_socketio_say_here_what_they_say_to_its_own_parser() {
    for line in lines("socketio") {
        let whole = text(&line["text"]);
        let (space, packet) = match take_namespace(whole) {
            Some(Namespaced { name, packet }) => (name, packet),
            None => ("/", whole.to_owned()),
        };
        assert_eq!(space, text(&line["space"]), "{whole}");
        let Ok(ClientSays::Message(said)) = read_client(packet.as_bytes()) else {
            panic!("no packet: {whole}");
        };
        let kind = match said.kind {
            Kind::Connect => "CONNECT",
            Kind::Disconnect => "DISCONNECT",
            Kind::Event => "EVENT",
            Kind::Ack => "ACK",
            Kind::ConnectError => "CONNECT_ERROR",
        };
        let read = json!({ "kind": kind, "id": said.id, "attachments": said.attachments,
                           "data": said.data });
        for (name, value) in read.as_object().unwrap() {
            assert_eq!(*value, line[name], "{name} of {whole}");
        }
        if said.kind == Kind::Event {
            let event = IoEvent::read(said.data).unwrap();
            assert_eq!(&*event.name, text(&line["name"]), "{whole}");
            assert_eq!(json!(event.arguments.len()), line["arguments"], "{whole}");
        }
    }
}

#[test]
fn payloads_of_engineio_are_taken_apart_and_made_as_by_its_own_parser() {
    for line in lines("payload") {
        let mut made = String::new();
        let mut rest = Some(text(&line["payload"]));
        for packet in line["packets"].as_array().unwrap() {
            let (found, behind) = next_packet(rest.unwrap()).unwrap();
            rest = behind;
            if let Some(text) = packet["text"].as_str() {
                assert_eq!(found, PolledPacket::Text(text));
                push_text(&mut made, text);
            } else {
                let bytes: Vec<u8> = serde_json::from_value(packet["binary"].clone()).unwrap();
                push_binary(&mut made, &bytes);
                assert_eq!(found, PolledPacket::Binary(bytes));
            }
        }
        assert_eq!((rest, &*made), (None, text(&line["payload"])));
    }
}

#[test]
fn packets_of_socketcluster_say_here_what_its_own_codec_was_given() {
    for line in lines("socketcluster") {
        let mut read = Vec::new();
        read_packets(text(&line["text"]).as_bytes(), |packet| {
            let call = packet
                .call
                .map(|call| call.to_string().parse::<u64>().unwrap());
            // Nothing is `null` to its applications too.
            let data = packet.data.map_or("null", serde_json::value::RawValue::get);
            read.push(json!({ "event": packet.event, "data": data, "cid": call }));
            true
        })
        .unwrap();
        assert_eq!(json!(read), line["packets"], "{line}");
    }
}

#[test]
fn commands_of_actioncable_say_here_what_its_own_client_means() {
    for line in lines("cable") {
        let command = read_command(text(&line["text"]).as_bytes()).unwrap();
        let verb = format!("{:?}", command.verb).to_lowercase();
        assert_eq!(verb, text(&line["command"]));
        let identifier = command.identifier().unwrap();
        assert_eq!(identifier, text(&line["identifier"]));
        let params = ChannelParams::read(&identifier).unwrap();
        assert_eq!(&*params.channel, text(&line["channel"]));
        match line["action"].as_str() {
            Some(name) => {
                let action = command.action().unwrap();
                assert_eq!((&*action.name, &*action.data), (name, text(&line["data"])));
            }
            None => assert!(command.action().is_err()),
        }
    }
}
