//! The opening handshake against tungstenite's, as server and as client.

use ringstorm::protocol::http::{HeadReader, Request, Response};
use ringstorm::protocol::websocket::{ClientHandshake, Offer, OriginPolicy, handshake};
use std::io::{self, Read, Write};
use std::sync::mpsc::{Receiver, Sender, channel};

/// One end of a connection between two threads.
struct End {
    sender: Sender<Vec<u8>>,
    receiver: Receiver<Vec<u8>>,
    received: Vec<u8>,
}

fn pair() -> (End, End) {
    let ((a, b), (c, d)) = (channel(), channel());
    (
        End {
            sender: a,
            receiver: d,
            received: Vec::new(),
        },
        End {
            sender: c,
            receiver: b,
            received: Vec::new(),
        },
    )
}

impl Read for End {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.received.is_empty() {
            self.received = self.receiver.recv().unwrap_or_default();
        }
        let len = self.received.as_slice().read(into)?;
        self.received.drain(..len);
        Ok(len)
    }
}

impl Write for End {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.sender
            .send(bytes.to_vec())
            .map_err(|_| io::ErrorKind::BrokenPipe)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads one head and gives it to `read`.
fn head<T>(end: &mut End, read: impl FnOnce(&[u8]) -> T) -> T {
    let mut reader = HeadReader::default();
    loop {
        let piece = end.receiver.recv().expect("the peer is there");
        // In two calls, as a receive may split it.
        let (a, b) = piece.split_at(piece.len() / 2);
        assert_eq!(reader.next(a, &mut 0), Ok(None));
        if let Some(head) = reader.next(b, &mut 0).expect("no fault") {
            return read(head);
        }
    }
}

#[test]
fn a_tungstenite_client_opens_a_websocket_with_us() {
    let (ours, theirs) = pair();
    let client = std::thread::spawn(move || {
        tungstenite::client("ws://localhost/echo?x", theirs)
            .map(|(_, response)| response.status())
            .map_err(|error| error.to_string())
    });
    let mut ours = ours;
    let answer = head(&mut ours, |head| {
        let request = Request::parse(head).expect("a sound request");
        assert_eq!((request.path(), request.query()), ("/echo", Some("x")));
        let mut answer = Vec::new();
        handshake::accept(&request, &[], &OriginPolicy::Any)
            .expect("a sound handshake")
            .encode(&mut answer);
        answer
    });
    ours.write_all(&answer).expect("the client is there");
    let status = client
        .join()
        .expect("no panic")
        .expect("the client is content");
    assert_eq!(status, 101);
}

#[test]
fn we_open_a_websocket_with_a_tungstenite_server() {
    let (mut ours, theirs) = pair();
    let server = std::thread::spawn(move || tungstenite::accept(theirs).map(drop).is_ok());
    let handshake = ClientHandshake::new([0xa5; 16]);
    let mut request = Vec::new();
    let offer = Offer {
        host: "localhost",
        target: "/echo",
        headers: &[("Origin", "http://localhost")],
        subprotocols: &[],
        deflate: None,
    };
    handshake.encode(&mut request, &offer);
    ours.write_all(&request).expect("the server is there");
    head(&mut ours, |head| {
        let response = Response::parse(head).expect("a sound response");
        assert_eq!(handshake.verify(&response, &offer), Ok(None));
    });
    assert!(server.join().expect("no panic"));
}
