//! One request on its way to the application, and its response on the way back: a bounded queue in
//! either direction.

use super::PassedFields;
use super::ready::ReadyExchanges;
use crate::limits;
use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// The head of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassedHead {
    /// The status.
    pub status: u16,
    /// What is said with it.
    pub reason: &'static str,
    /// Its fields, without those about the connection and `Content-Length`.
    pub fields: PassedFields,
    /// The value of `Content-Length`.
    pub length: Option<u64>,
}

/// How a response ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PassedEnd {
    /// All of it has come.
    Whole,
    /// The application cannot be reached, or ended before its response did: 502.
    Broken,
    /// Nothing moved for too long: 504.
    TooLate,
}

/// An exchange. Clones are the same.
#[derive(Clone)]
pub struct PassedExchange(Arc<ExchangeEnds>);

struct ExchangeEnds {
    /// What the core knows it by.
    number: u64,
    ready: ReadyExchanges,
    state: Mutex<ExchangeState>,
}

#[derive(Default)]
struct ExchangeState {
    /// The body of the request: what has come and is not taken.
    asked: PieceQueue,
    /// All of it has come.
    is_asked: bool,
    head: Option<PassedHead>,
    /// The body of the response.
    answered: PieceQueue,
    /// Fields behind it.
    trailers: PassedFields,
    end: Option<PassedEnd>,
    /// The client is gone, or wants no more.
    is_left: bool,
    /// The core has been told to look.
    is_noted: bool,
    /// Bytes that have moved, in both directions together.
    moved: u64,
    /// Whoever sends the request.
    sender: Option<Waker>,
    /// Whoever waits for the response, or for room for it.
    receiver: Option<Waker>,
}

/// Pieces of a body.
#[derive(Default)]
struct PieceQueue {
    pieces: VecDeque<Vec<u8>>,
    bytes: usize,
}

impl PieceQueue {
    fn push(&mut self, piece: Vec<u8>) {
        self.bytes += piece.len();
        self.pieces.push_back(piece);
    }

    fn pop(&mut self) -> Option<Vec<u8>> {
        let piece = self.pieces.pop_front()?;
        self.bytes -= piece.len();
        Some(piece)
    }

    const fn is_full(&self) -> bool {
        self.bytes >= limits::PASSED_BYTES
    }
}

/// What the core does.
impl PassedExchange {
    /// An exchange that the core knows by that number.
    #[must_use]
    pub fn new(number: u64, ready: ReadyExchanges) -> Self {
        Self(Arc::new(ExchangeEnds {
            number,
            ready,
            state: Mutex::default(),
        }))
    }

    /// More of the request's body has come. Whether there is room for more: where there is not, the
    /// core is told to look once there is.
    pub fn offer(&self, piece: &[u8]) -> bool {
        let mut state = self.state();
        if !piece.is_empty() {
            state.asked.push(piece.to_vec());
            state.moved += piece.len() as u64;
        }
        let (has_room, waker) = (!state.asked.is_full(), state.sender.take());
        drop(state);
        wake(waker);
        has_room
    }

    /// All of the request's body has come.
    pub fn offered_all(&self) {
        let mut state = self.state();
        state.is_asked = true;
        let waker = state.sender.take();
        drop(state);
        wake(waker);
    }

    /// The core looks: from now on it is told again.
    pub fn look(&self) {
        self.state().is_noted = false;
    }

    /// The head of the response, once.
    #[must_use]
    pub fn take_head(&self) -> Option<PassedHead> {
        self.state().head.take()
    }

    /// A piece of the response's body.
    #[must_use]
    pub fn take_piece(&self) -> Option<Vec<u8>> {
        let mut state = self.state();
        let piece = state.answered.pop()?;
        state.moved += piece.len() as u64;
        let waker = state.receiver.take();
        drop(state);
        wake(waker);
        Some(piece)
    }

    /// The fields behind the response's body, once.
    #[must_use]
    pub fn take_trailers(&self) -> PassedFields {
        std::mem::take(&mut self.state().trailers)
    }

    /// Whether there is room for more of the request's body.
    #[must_use]
    pub fn has_room(&self) -> bool {
        !self.state().asked.is_full()
    }

    /// How the response ended, once all of it that came has been taken.
    #[must_use]
    pub fn end(&self) -> Option<PassedEnd> {
        let state = self.state();
        let is_taken = state.head.is_none() && state.answered.pieces.is_empty();
        state.end.filter(|_| is_taken)
    }

    /// The client wants no more.
    pub fn leave(&self) {
        let mut state = self.state();
        state.is_left = true;
        let wakers = [state.sender.take(), state.receiver.take()];
        drop(state);
        wakers.into_iter().for_each(wake);
    }
}

/// What the far end does.
impl PassedExchange {
    /// The next piece of the request's body; `None` at its end, an empty error where there will be
    /// none.
    pub fn poll_asked(&self, context: &Context<'_>) -> Poll<Option<Result<Vec<u8>, ()>>> {
        let mut state = self.state();
        if state.is_left {
            return Poll::Ready(Some(Err(())));
        }
        let was_full = state.asked.is_full();
        if let Some(piece) = state.asked.pop() {
            let gives_room = was_full && !state.asked.is_full();
            self.note(state, gives_room);
            return Poll::Ready(Some(Ok(piece)));
        }
        if state.is_asked {
            return Poll::Ready(None);
        }
        state.sender = Some(context.waker().clone());
        Poll::Pending
    }

    /// Whether all of the request's body has been taken.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        let state = self.state();
        state.is_asked && state.asked.pieces.is_empty()
    }

    /// Ready once the client wants no more.
    pub fn poll_left(&self, context: &Context<'_>) -> Poll<()> {
        let mut state = self.state();
        if state.is_left {
            return Poll::Ready(());
        }
        state.receiver = Some(context.waker().clone());
        Poll::Pending
    }

    /// Ready once there is room for more of the response's body.
    pub fn poll_room(&self, context: &Context<'_>) -> Poll<()> {
        let mut state = self.state();
        if !state.answered.is_full() {
            return Poll::Ready(());
        }
        state.receiver = Some(context.waker().clone());
        Poll::Pending
    }

    /// Bytes that have moved, in both directions together.
    #[must_use]
    pub fn moved(&self) -> u64 {
        self.state().moved
    }

    /// The head of the response has come.
    pub fn set_head(&self, head: PassedHead) {
        let mut state = self.state();
        state.head = Some(head);
        self.note(state, true);
    }

    /// More of the response's body has come.
    pub fn give(&self, piece: Vec<u8>) {
        let mut state = self.state();
        if !piece.is_empty() {
            state.answered.push(piece);
        }
        self.note(state, true);
    }

    /// Fields have come behind the response's body.
    pub fn set_trailers(&self, trailers: PassedFields) {
        self.state().trailers = trailers;
    }

    /// The response has ended.
    pub fn finish(&self, end: PassedEnd) {
        let mut state = self.state();
        state.end = Some(end);
        self.note(state, true);
    }

    /// Tells the core to look, unless it has been told.
    fn note(&self, mut state: MutexGuard<'_, ExchangeState>, is_news: bool) {
        if is_news && !std::mem::replace(&mut state.is_noted, true) {
            drop(state);
            self.0.ready.note(self.0.number);
        }
    }

    fn state(&self) -> MutexGuard<'_, ExchangeState> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wake(waker: Option<Waker>) {
    waker.into_iter().for_each(Waker::wake);
}

impl fmt::Debug for PassedExchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PassedExchange({})", self.0.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begun() -> (ReadyExchanges, PassedExchange) {
        let ready = ReadyExchanges::default();
        let exchange = PassedExchange::new(7, ready.clone());
        (ready, exchange)
    }

    fn context() -> Context<'static> {
        Context::from_waker(Waker::noop())
    }

    #[test]
    fn a_response_is_taken_in_its_order_and_its_end_is_seen_last() {
        let (ready, exchange) = begun();
        let head = PassedHead {
            status: 200,
            reason: "OK",
            fields: Vec::new(),
            length: Some(3),
        };
        exchange.set_head(head.clone());
        exchange.give(b"abc".to_vec());
        exchange.finish(PassedEnd::Whole);
        // However much has come, the core is told once.
        assert_eq!(ready.take(), [7]);
        assert_eq!(ready.take(), [0; 0]);
        exchange.look();
        assert_eq!(exchange.end(), None);
        assert_eq!(exchange.take_head(), Some(head));
        assert_eq!(exchange.take_head(), None);
        assert_eq!(exchange.end(), None);
        assert_eq!(exchange.take_piece().as_deref(), Some(&b"abc"[..]));
        assert_eq!(exchange.take_piece(), None);
        assert_eq!(exchange.end(), Some(PassedEnd::Whole));
    }

    #[test]
    fn a_full_queue_takes_no_more_until_something_was_taken() {
        let (ready, exchange) = begun();
        let piece = vec![1; limits::PASSED_BYTES / 2];
        assert!(exchange.offer(&piece));
        assert!(!exchange.offer(&piece));
        assert!(ready.take().is_empty());
        assert_eq!(
            exchange.poll_asked(&context()),
            Poll::Ready(Some(Ok(piece.clone())))
        );
        assert_eq!(ready.take(), [7], "there is room again");
        assert!(exchange.has_room());
        assert!(exchange.poll_room(&context()).is_ready());
        exchange.give(piece.clone());
        exchange.give(piece);
        assert!(exchange.poll_room(&context()).is_pending());
        assert!(exchange.take_piece().is_some());
        assert!(exchange.poll_room(&context()).is_ready());
    }

    #[test]
    fn a_body_ends_and_a_client_that_leaves_ends_it_otherwise() {
        let (_, exchange) = begun();
        assert!(exchange.poll_asked(&context()).is_pending());
        exchange.offer(b"x");
        exchange.offered_all();
        assert!(!exchange.is_asked());
        assert_eq!(
            exchange.poll_asked(&context()),
            Poll::Ready(Some(Ok(b"x".to_vec())))
        );
        assert_eq!(exchange.poll_asked(&context()), Poll::Ready(None));
        assert!(exchange.is_asked());

        let (_, exchange) = begun();
        assert!(exchange.poll_left(&context()).is_pending());
        exchange.leave();
        assert!(exchange.poll_left(&context()).is_ready());
        assert_eq!(exchange.poll_asked(&context()), Poll::Ready(Some(Err(()))));
    }
}
