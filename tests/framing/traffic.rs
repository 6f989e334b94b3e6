//! Makes WebSocket traffic from a seed, written by tungstenite's frame coder, and breaks it.

use super::oracles::Said;
use ringstorm::protocol::websocket::{Opcode, Role, closing};
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::OpCode;

pub(crate) use fastrand::Rng;

/// Some messages and control frames, the last perhaps a close.
pub(crate) fn messages(rng: &mut Rng) -> Vec<Said> {
    let mut messages: Vec<Said> = (0..rng.usize(0..6)).map(|_| message(rng)).collect();
    if rng.u8(0..3) == 0 {
        messages.push(close(rng));
    }
    messages
}

/// The bytes that a peer of `role` sends for some messages, in random fragments with control
/// frames between them, and what is to be heard.
pub(crate) fn valid(role: Role, rng: &mut Rng) -> (Vec<u8>, Vec<Said>) {
    let messages = messages(rng);
    write(role, messages, rng)
}

/// The same, but of few and small messages: mutations hit headers rather than payloads.
pub(crate) fn short(role: Role, rng: &mut Rng) -> (Vec<u8>, Vec<Said>) {
    let mut messages: Vec<Said> = (0..rng.usize(1..4))
        .map(|_| match rng.u8(0..4) {
            0 => Said::Text(text(3, rng)),
            1 => Said::Binary(bytes(3, rng)),
            2 => Said::Ping(bytes(2, rng)),
            _ => Said::Text("\u{20ac}".to_owned()),
        })
        .collect();
    if rng.bool() {
        messages.push(close(rng));
    }
    write(role, messages, rng)
}

fn write(role: Role, messages: Vec<Said>, rng: &mut Rng) -> (Vec<u8>, Vec<Said>) {
    let (mut bytes, mut heard) = (Vec::new(), Vec::new());
    for said in messages {
        let (opcode, payload) = said.parts();
        let mut fragments = vec![payload.as_slice()];
        while !opcode.is_control() && rng.u8(0..3) == 0 {
            let last = fragments.pop().unwrap_or_default();
            let (a, b) = last.split_at(rng.usize(0..=last.len()));
            fragments.extend([a, b]);
        }
        let count = fragments.len();
        for (i, fragment) in fragments.into_iter().enumerate() {
            let opcode = if i == 0 { opcode } else { Opcode::Continuation };
            frame(&mut bytes, role, opcode, i + 1 == count, fragment, rng);
            if i + 1 < count && rng.u8(0..4) == 0 {
                let ping = Said::Ping(super::traffic::bytes(125, rng));
                frame(&mut bytes, role, Opcode::Ping, true, &ping.parts().1, rng);
                heard.push(ping);
            }
        }
        heard.push(said);
    }
    (bytes, heard)
}

fn frame(
    into: &mut Vec<u8>,
    role: Role,
    opcode: Opcode,
    is_final: bool,
    payload: &[u8],
    rng: &mut Rng,
) {
    let mask = (role == Role::Server).then(|| rng.u32(..).to_le_bytes());
    let opcode = OpCode::from(opcode as u8);
    let header = FrameHeader {
        is_final,
        opcode,
        mask,
        ..FrameHeader::default()
    };
    header
        .format(payload.len() as u64, into)
        .expect("writing to memory");
    let key = mask.unwrap_or_default();
    into.extend(
        payload
            .iter()
            .zip(key.iter().cycle())
            .map(|(byte, key)| byte ^ key),
    );
}

fn message(rng: &mut Rng) -> Said {
    // Around the lengths where the header changes its form, or small.
    let len = match rng.u8(0..20) {
        0 => rng.usize(65_530..65_545),
        1..=4 => rng.usize(120..130),
        5..=7 => rng.usize(0..3),
        _ => rng.usize(0..60),
    };
    match rng.u8(0..6) {
        0..=2 => Said::Text(text(len, rng)),
        3 => Said::Binary(bytes(len, rng)),
        4 => Said::Ping(super::traffic::bytes(125, rng)),
        _ => Said::Pong(bytes(125, rng)),
    }
}

fn close(rng: &mut Rng) -> Said {
    if rng.bool() {
        return Said::Close(None, String::new());
    }
    // 1014 is younger than both oracles.
    let code = loop {
        let code = rng.u16(1000..5000);
        if closing::may_be_received(code) && code != 1014 {
            break code;
        }
    };
    Said::Close(Some(code), text(60, rng))
}

/// Text of up to about `max` bytes: ASCII, or characters of every length in UTF-8.
fn text(max: usize, rng: &mut Rng) -> String {
    let len = rng.usize(0..=max);
    let is_ascii = rng.bool();
    let mut text = String::new();
    while text.len() < len {
        text.push(match rng.u8(0..4) {
            0 if !is_ascii => '\u{e9}',
            1 if !is_ascii => '\u{20ac}',
            2 if !is_ascii => rng.char('\u{10000}'..='\u{10ffff}'),
            _ => rng.char(' '..='~'),
        });
    }
    text
}

fn bytes(max: usize, rng: &mut Rng) -> Vec<u8> {
    let len = rng.usize(0..=max);
    std::iter::repeat_with(|| rng.u8(..)).take(len).collect()
}

/// Changes traffic in a few places, mostly near its start where the first header is.
pub(crate) fn mutate(bytes: &mut Vec<u8>, rng: &mut Rng) {
    for _ in 0..rng.usize(1..4) {
        let near = bytes.len().min(40);
        let at = if rng.bool() {
            rng.usize(0..=near)
        } else {
            rng.usize(0..=bytes.len())
        };
        match rng.u8(0..8) {
            0..=2 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << rng.u8(0..8);
                }
            }
            3 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = rng.u8(..);
                }
            }
            4 => bytes.insert(at, rng.u8(..)),
            5 if at < bytes.len() => {
                bytes.remove(at);
            }
            6 => lengthen(bytes, rng),
            _ => {
                let header = [
                    rng.choice([0x81, 0x82, 0x80, 0x88, 0x89]).unwrap_or(0x81),
                    rng.u8(..),
                ];
                bytes.splice(at..at, header);
            }
        }
    }
}

/// Writes the first frame's length in a longer form, as it is or far too big.
fn lengthen(bytes: &mut Vec<u8>, rng: &mut Rng) {
    let Some(second) = bytes.get_mut(1) else {
        return;
    };
    let (short, mask) = (*second & 0x7f, *second & 0x80);
    if short > 125 {
        return;
    }
    let (form, top) = (
        rng.bool(),
        rng.choice([0, 0, 0x7f, 0x80, 0xff]).unwrap_or(0),
    );
    *second = mask | if form { 126 } else { 127 };
    let length = if form {
        vec![0, short]
    } else {
        vec![top, 0, 0, 0, 0, 0, 0, short]
    };
    bytes.splice(2..2, length);
}

/// Random bytes that begin like a frame more often than not.
pub(crate) fn noise(rng: &mut Rng) -> Vec<u8> {
    let mut noise = Vec::new();
    for _ in 0..rng.usize(0..5) {
        if rng.u8(0..4) > 0 {
            noise.push(
                rng.choice([0x81, 0x82, 0x01, 0x80, 0x89, 0x8a, 0x88])
                    .unwrap_or(0x81),
            );
            noise.push(rng.choice([0, 0x80]).unwrap_or(0) | rng.u8(0..20));
        }
        noise.extend(bytes(30, rng));
    }
    noise
}
