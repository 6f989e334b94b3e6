//! What a server answers to a request that a client's scenario makes on its own connection: before
//! the upgrade, or again and again instead of it.

use crate::load::measure::failure::Kind;
use crate::protocol::http::body::BodyReader;
use crate::protocol::http::{HeadReader, Response};

/// An answer that comes in pieces, and then the head of what is answered next.
#[derive(Debug)]
pub(super) struct HttpAnswer {
    reader: HeadReader,
    body: Option<BodyReader>,
    said: Vec<u8>,
    /// Bytes that it may have.
    most: usize,
    is_whole: bool,
}

impl HttpAnswer {
    /// Nothing of it has come; it may have so many bytes.
    pub(super) const fn new(most: usize) -> Self {
        Self {
            reader: HeadReader::of_responses(),
            body: None,
            said: Vec::new(),
            most,
            is_whole: false,
        }
    }

    /// Whether it has come, and what comes next is another response.
    pub(super) const fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// Reads the head of the next response.
    pub(super) const fn reader(&mut self) -> &mut HeadReader {
        &mut self.reader
    }

    /// What was answered.
    pub(super) fn said(&self) -> &[u8] {
        &self.said
    }

    /// It has been heard: another is awaited.
    pub(super) fn forget(&mut self) {
        self.said.clear();
        self.body = None;
        self.is_whole = false;
    }

    /// Reads bytes that came, all of which belong to it. Whether that was the last of it.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Result<bool, Kind> {
        let mut at = 0;
        while self.body.is_none() {
            let Some(head) = self
                .reader
                .next(bytes, &mut at)
                .map_err(Kind::of_response)?
            else {
                return Ok(false);
            };
            let response = Response::parse(head).map_err(Kind::of_response)?;
            match response.status {
                // RFC 9110, 15.2: any number of interim responses may come before.
                100..200 => {}
                200 => self.body = Some(BodyReader::new(response.body)),
                status => return Err(Kind::HttpStatus(status)),
            }
        }
        let Some(body) = &mut self.body else {
            return Ok(false);
        };
        while let Some(piece) = body.next(bytes, &mut at).map_err(Kind::of_response)? {
            if self.said.len() + piece.len() > self.most {
                return Err(Kind::BadResponse("an answer that is too long"));
            }
            self.said.extend_from_slice(piece);
        }
        if body.is_done() {
            if at < bytes.len() {
                return Err(Kind::BadResponse("bytes behind an answer"));
            }
            self.reader = HeadReader::of_responses();
            self.is_whole = true;
        }
        Ok(self.is_whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits;

    #[test]
    fn an_answer_is_read_however_it_is_cut_and_framed() {
        for text in [
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
            "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        ] {
            for step in [1, 3, 7, text.len()] {
                let mut answer = HttpAnswer::new(limits::FIRST_ANSWER_BYTES);
                let pieces = text.as_bytes().chunks(step);
                let mut whole: Vec<bool> = pieces.map(|it| answer.read(it).unwrap()).collect();
                assert_eq!((whole.pop(), answer.said()), (Some(true), &b"hello"[..]));
                assert!(!whole.contains(&true) && answer.is_whole());
                answer.forget();
                assert_eq!(answer.read(text.as_bytes()), Ok(true), "another");
            }
        }
    }

    #[test]
    fn what_is_no_answer_is_a_failure_by_name() {
        for (text, why) in [
            (
                "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
                Kind::HttpStatus(400),
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab",
                Kind::BadResponse("bytes behind an answer"),
            ),
        ] {
            assert_eq!(
                HttpAnswer::new(limits::FIRST_ANSWER_BYTES).read(text.as_bytes()),
                Err(why)
            );
        }
        let long = "x".repeat(limits::FIRST_ANSWER_BYTES + 1);
        let length = long.len();
        let text = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{long}");
        assert_eq!(
            HttpAnswer::new(limits::FIRST_ANSWER_BYTES).read(text.as_bytes()),
            Err(Kind::BadResponse("an answer that is too long"))
        );
    }
}
