//! Between a core and the thread that reads the logs: questions there, answers back. Neither waits
//! for the other.

use super::super::ApiResponse;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, TryLockError};

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsoleQuestion {
    /// What the core knows it by.
    pub number: u64,
    /// Where it came.
    pub path: Box<str>,
    /// With what behind the `?`.
    pub query: Box<str>,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsoleReply {
    /// What the core knows the question by.
    pub number: u64,
    /// The answer.
    pub response: ApiResponse,
}

/// The line of one core. Clones are the same.
#[derive(Clone)]
pub struct ConsoleLine(Arc<ConsoleLineEnds>);

struct ConsoleLineEnds {
    questions: Mutex<Vec<ConsoleQuestion>>,
    replies: Mutex<Vec<ConsoleReply>>,
    wake: Arc<ConsoleWaker>,
}

type ConsoleWaker = dyn Fn() + Send + Sync;

impl ConsoleLine {
    /// A line whose far end is woken by that.
    #[must_use]
    pub fn new(wake: Arc<ConsoleWaker>) -> Self {
        Self(Arc::new(ConsoleLineEnds {
            questions: Mutex::default(),
            replies: Mutex::default(),
            wake,
        }))
    }

    /// The core asks.
    pub fn ask(&self, question: ConsoleQuestion) {
        let questions = &self.0.questions;
        let mut questions = questions.lock().unwrap_or_else(PoisonError::into_inner);
        questions.push(question);
        drop(questions);
        (self.0.wake)();
    }

    /// What has been asked since the last time.
    #[must_use]
    pub fn take_questions(&self) -> Vec<ConsoleQuestion> {
        let questions = &self.0.questions;
        std::mem::take(&mut *questions.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The far end answers.
    pub fn reply(&self, reply: ConsoleReply) {
        let replies = &self.0.replies;
        let mut replies = replies.lock().unwrap_or_else(PoisonError::into_inner);
        replies.push(reply);
    }

    /// What has been answered since the last time, unless the far end is just answering.
    #[must_use]
    pub fn take_replies(&self) -> Vec<ConsoleReply> {
        match self.0.replies.try_lock() {
            Ok(mut replies) => std::mem::take(&mut *replies),
            Err(TryLockError::Poisoned(replies)) => std::mem::take(&mut *replies.into_inner()),
            Err(TryLockError::WouldBlock) => Vec::new(),
        }
    }
}

impl fmt::Debug for ConsoleLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConsoleLine")
    }
}
