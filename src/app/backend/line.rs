//! Between a core and the thread that asks: questions there, answers back. Neither waits for the
//! other.

use super::answer::HookOutcome;
use super::call::HookCall;
use super::counts::HookCounts;
use super::kind::{HookFailure, HookSet};
use std::fmt;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Release};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What the application behind a server is asked, and over which lines.
#[derive(Clone, Debug)]
pub struct HookPlan {
    /// What it is asked and told.
    pub asks: HookSet,
    /// What holds while it does not answer.
    pub failure: HookFailure,
    /// Time for an answer, retries and waiting included.
    pub time: Duration,
    /// How that goes.
    pub counts: HookCounts,
    /// A line for each core.
    pub lines: Vec<HookLine>,
}

/// An answer on its way back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookReply {
    /// What the core knows the question by.
    pub number: u64,
    /// What became of it.
    pub outcome: HookOutcome,
}

/// The line of one core. Clones are the same.
#[derive(Clone)]
pub struct HookLine(Arc<HookLineEnds>);

struct HookLineEnds {
    calls: Mutex<Vec<HookCall>>,
    replies: Mutex<Vec<HookReply>>,
    has_replies: AtomicBool,
    wake: Arc<HookWaker>,
}

type HookWaker = dyn Fn() + Send + Sync;

impl HookLine {
    /// A line whose far end is woken by that.
    #[must_use]
    pub fn new(wake: Arc<HookWaker>) -> Self {
        Self(Arc::new(HookLineEnds {
            calls: Mutex::default(),
            replies: Mutex::default(),
            has_replies: AtomicBool::new(false),
            wake,
        }))
    }

    /// The core asks.
    pub fn ask(&self, call: HookCall) {
        let mut calls = self.0.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let is_first = calls.is_empty();
        calls.push(call);
        drop(calls);
        // Whoever takes takes all.
        if is_first {
            (self.0.wake)();
        }
    }

    /// What has been asked since the last time.
    pub fn take_calls(&self) -> Vec<HookCall> {
        std::mem::take(&mut *self.0.calls.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The far end answers.
    pub fn reply(&self, reply: HookReply) {
        let mut replies = self
            .0
            .replies
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        replies.push(reply);
        self.0.has_replies.store(true, Release);
    }

    /// What has been answered since the last time.
    #[must_use]
    pub fn take_replies(&self) -> Vec<HookReply> {
        if !self.0.has_replies.load(Acquire) {
            return Vec::new();
        }
        let mut replies = self
            .0
            .replies
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        self.0.has_replies.swap(false, AcqRel);
        std::mem::take(&mut *replies)
    }
}

impl fmt::Debug for HookLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HookLine")
    }
}
