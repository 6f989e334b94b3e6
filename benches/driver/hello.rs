//! What a client of a dialect says once its WebSocket is open, and what it waits for then.

use clap::Args;
use std::io::{self, Read, Write};
use std::net::TcpStream;

/// The key of every frame: it masks nothing, and costs the server as much as another.
const KEY: [u8; 4] = [0; 4];

#[derive(Args, Clone, Default)]
pub(crate) struct Hello {
    /// The subprotocol that is asked for.
    #[arg(long)]
    subprotocol: Option<String>,
    /// A text that each connection says once it is open; several are said in a row.
    #[arg(long)]
    hello: Vec<String>,
    /// What is in the message that each connection waits for then.
    #[arg(long, default_value = "")]
    until: String,
}

impl Hello {
    /// The field of the upgrade.
    pub(crate) fn field(&self) -> String {
        let name = self.subprotocol.as_deref();
        name.map_or_else(String::new, |name| {
            format!("Sec-WebSocket-Protocol: {name}\r\n")
        })
    }

    /// Says it, and waits for the answer; what comes behind that is left in the socket.
    pub(crate) fn say(&self, stream: &mut TcpStream) -> io::Result<()> {
        let said: Vec<u8> = self.hello.iter().flat_map(|text| masked(text)).collect();
        stream.write_all(&said)?;
        while !self.until.is_empty() {
            let heard = hear(stream)?;
            if heard.contains(&self.until) {
                break;
            }
        }
        Ok(())
    }
}

/// A client's text frame. RFC 6455, 5.2.
pub(crate) fn masked(text: &str) -> Vec<u8> {
    frame(text, 0x80, &KEY)
}

/// A server's text frame.
pub(crate) fn unmasked(text: &str) -> Vec<u8> {
    frame(text, 0, &[])
}

fn frame(text: &str, masked: u8, key: &[u8]) -> Vec<u8> {
    let mut frame = match (u8::try_from(text.len()), u16::try_from(text.len())) {
        (Ok(short @ 0..=125), _) => vec![0x81, masked | short],
        (_, Ok(medium)) => {
            let [a, b] = medium.to_be_bytes();
            vec![0x81, masked | 126, a, b]
        }
        _ => panic!("{} bytes are too long for a text of a driver", text.len()),
    };
    frame.extend(key);
    frame.extend(text.bytes());
    frame
}

/// The next message of a server, whole.
pub(crate) fn hear(stream: &mut TcpStream) -> io::Result<String> {
    let mut head = [0; 2];
    stream.read_exact(&mut head)?;
    let length = match head {
        [0x88, _] => return Err(io::Error::other("the server closed a connection")),
        [_, short @ 0..=125] => usize::from(short),
        [_, 126] => {
            let mut length = [0; 2];
            stream.read_exact(&mut length)?;
            usize::from(u16::from_be_bytes(length))
        }
        [..] => return Err(io::Error::other("a message is too long for this driver")),
    };
    let mut text = vec![0; length];
    stream.read_exact(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}
