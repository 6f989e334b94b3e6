//! Servers of the message protocols that scenarios speak, which fail as they are told: the other
//! half of the conversation, over a WebSocket of another make.

use serde_json::{Value, json};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tungstenite::protocol::frame::coding::{Data, OpCode};
use tungstenite::protocol::frame::{Frame, FrameHeader};
use tungstenite::{Message, WebSocket, accept_hdr};

/// What a server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    Cable,
    SocketCluster,
    SocketIo,
    Rooms,
    Channels,
}

/// What a server does to each of its clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Conduct {
    /// All is well.
    Serves,
    /// It says no, in the words of its protocol.
    Refuses,
    /// It says nothing after the upgrade.
    Silent,
    /// It answers so many messages, then its connection is gone without a word.
    Dies(u32),
    /// It answers so many messages, then none.
    Stalls(u32),
    /// It answers so many messages, then half of one, and nothing more.
    Halves(u32),
    /// It answers every other message.
    EveryOther,
}

/// What is said to a client that has said something.
enum Answer {
    Nothing,
    /// Of the protocol's own handshake.
    Greeting(String),
    /// To a message.
    Reply(String),
}

/// Serves on that listener until the test is over; the address.
pub(super) fn serve(listener: TcpListener, dialect: Dialect, conduct: Conduct) -> SocketAddr {
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        for peer in listener.incoming().map_while(Result::ok) {
            // A client that goes in the middle of it all is none of the server's business.
            thread::spawn(move || talk(peer, dialect, conduct));
        }
    });
    address
}

#[expect(clippy::result_large_err, reason = "the handshake's own types")]
fn upgrade(request: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
    let name = "Sec-WebSocket-Protocol";
    if let Some(offered) = request.headers().get(name).cloned() {
        response.headers_mut().insert(name, offered);
    }
    Ok(response)
}

fn talk(peer: TcpStream, dialect: Dialect, conduct: Conduct) -> Option<()> {
    let mut socket = accept_hdr(peer, upgrade).ok()?;
    if let Some(first) = greeting(dialect, conduct).filter(|_| conduct != Conduct::Silent) {
        socket.send(Message::text(first)).ok()?;
    }
    let mut replies = 0;
    loop {
        let message = socket.read().ok()?;
        let Message::Text(text) = message else {
            continue;
        };
        match answer(dialect, conduct, text.as_str(), replies) {
            _ if conduct == Conduct::Silent => {}
            Answer::Nothing => {}
            Answer::Greeting(text) => socket.send(Message::text(text)).ok()?,
            Answer::Reply(text) => {
                replies += 1;
                reply(&mut socket, conduct, (replies, text))?;
            }
        }
    }
}

/// Replies, or does what it does instead; `None` if the connection is over.
fn reply(
    socket: &mut WebSocket<TcpStream>,
    conduct: Conduct,
    (nth, text): (u32, String),
) -> Option<()> {
    match conduct {
        Conduct::Dies(most) if nth > most => return None,
        Conduct::Halves(most) if nth == most + 1 => {
            // RFC 6455, 5.2: the header says how long the payload is; half of it comes.
            let header = FrameHeader {
                opcode: OpCode::Data(Data::Text),
                ..FrameHeader::default()
            };
            let frame = Frame::from_payload(header, text.into_bytes().into());
            let mut bytes = Vec::new();
            frame.format(&mut bytes).ok()?;
            let half = bytes.len() / 2;
            std::io::Write::write_all(socket.get_mut(), &bytes[..half]).ok()?;
        }
        Conduct::Stalls(most) | Conduct::Halves(most) if nth > most => {}
        Conduct::EveryOther if nth % 2 == 0 => {}
        _ => socket.send(Message::text(text)).ok()?,
    }
    Some(())
}

/// What a server says first, if it speaks first.
fn greeting(dialect: Dialect, conduct: Conduct) -> Option<String> {
    let refuses = conduct == Conduct::Refuses;
    let said = match dialect {
        // Action Cable, ActionCable::INTERNAL.
        Dialect::Cable if refuses => {
            json!({"type": "disconnect", "reason": "unauthorized", "reconnect": false})
        }
        Dialect::Cable => json!({"type": "welcome"}),
        Dialect::SocketCluster | Dialect::Channels => return None,
        // Engine.IO protocol, revision 4: open.
        Dialect::SocketIo => {
            let open = json!({"sid": "a", "upgrades": [], "pingInterval": 25_000,
                              "pingTimeout": 20_000, "maxPayload": 1_000_000});
            return Some(format!("0{open}"));
        }
        Dialect::Rooms if refuses => json!({"type": "closed"}),
        Dialect::Rooms => json!({"type": "room", "seq": 1, "room": "0-0", "member": 0,
                                 "members": 1, "size": 1}),
    };
    Some(said.to_string())
}

fn answer(dialect: Dialect, conduct: Conduct, text: &str, replies: u32) -> Answer {
    let refuses = conduct == Conduct::Refuses;
    let read = || serde_json::from_str::<Value>(text).unwrap_or_default();
    match dialect {
        Dialect::Cable => {
            let said = read();
            let identifier = &said["identifier"];
            if said["command"] == "subscribe" {
                let kind = "confirm_subscription";
                let confirmed = json!({"identifier": identifier, "type": kind});
                return Answer::Greeting(confirmed.to_string());
            }
            let back = json!({"identifier": identifier, "message": said["data"]});
            Answer::Reply(back.to_string())
        }
        // SocketCluster protocol, version 2: a response has the id of its call.
        Dialect::SocketCluster => {
            let said = read();
            let id = &said["cid"];
            match said["event"].as_str() {
                Some("#handshake") if refuses => Answer::Greeting(
                    json!({"rid": id, "error": {"name": "AuthError", "message": "no"}}).to_string(),
                ),
                Some("#handshake") => {
                    let data = json!({"id": "a", "pingTimeout": 20_000, "isAuthenticated": false});
                    Answer::Greeting(json!({"rid": id, "data": data}).to_string())
                }
                Some("#subscribe") => Answer::Greeting(json!({"rid": id}).to_string()),
                Some(_) => Answer::Reply(json!({"rid": id}).to_string()),
                None => Answer::Nothing,
            }
        }
        // Socket.IO protocol, revision 5: connect, connect error, event with an id, ack.
        Dialect::SocketIo => match (text.get(..2), text.get(2..)) {
            (Some("40"), _) if refuses => Answer::Greeting("44{\"message\":\"no\"}".to_owned()),
            (Some("40"), _) => Answer::Greeting("40{\"sid\":\"b\"}".to_owned()),
            (Some("42"), Some(rest)) => {
                let digits = rest.split('[').next().unwrap_or_default();
                Answer::Reply(format!("43{digits}[]"))
            }
            _ => Answer::Nothing,
        },
        // Centrifugo's client protocol, JSON: a reply has the id of its command, a push has none.
        Dialect::Channels => {
            let said = read();
            let id = &said["id"];
            if said.get("connect").is_some() {
                let error = json!({"id": id, "error": {"code": 101, "message": "unauthorized"}});
                let reply = json!({"id": id, "connect": {"client": "a", "version": "0"}});
                return Answer::Greeting((if refuses { error } else { reply }).to_string());
            }
            if said.get("subscribe").is_some() {
                let reply = json!({"id": id, "subscribe": {"epoch": "e", "offset": 0}});
                return Answer::Greeting(reply.to_string());
            }
            let (channel, data) = (&said["publish"]["channel"], &said["publish"]["data"]);
            let publication = json!({"data": data, "offset": replies + 1});
            let push = json!({"push": {"channel": channel, "pub": publication}});
            Answer::Reply(format!("{}\n{push}", json!({"id": id, "publish": {}})))
        }
        Dialect::Rooms => {
            let said = json!({"type": "said", "seq": replies + 2, "member": 0, "text": text});
            Answer::Reply(said.to_string())
        }
    }
}
