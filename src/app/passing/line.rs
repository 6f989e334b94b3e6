//! Between a core and the thread that passes its requests on.

use super::PassedFields;
use super::exchange::PassedExchange;
use super::ready::ReadyExchanges;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// A request that is passed on.
#[derive(Debug)]
pub struct PassedRequest {
    /// The method, as it came.
    pub method: Box<str>,
    /// Path and query.
    pub target: Box<str>,
    /// Its fields, without those about the connection.
    pub fields: PassedFields,
    /// Bytes of its body; `None` where that is not known before.
    pub length: Option<u64>,
    /// The session that its cookie names.
    pub session: Option<Box<str>>,
    /// The rest of it, and what comes back.
    pub exchange: PassedExchange,
}

/// What wakes the thread.
pub type PassedWaker = dyn Fn() + Send + Sync;

/// The line of one core. Clones are the same.
#[derive(Clone)]
pub struct PassLine(Arc<PassLineEnds>);

struct PassLineEnds {
    requests: Mutex<Vec<PassedRequest>>,
    ready: ReadyExchanges,
    wake: Arc<PassedWaker>,
}

impl PassLine {
    /// A line whose far end is woken by that.
    #[must_use]
    pub fn new(wake: Arc<PassedWaker>) -> Self {
        Self(Arc::new(PassLineEnds {
            requests: Mutex::default(),
            ready: ReadyExchanges::default(),
            wake,
        }))
    }

    /// The core passes a request on.
    pub fn pass(&self, request: PassedRequest) {
        let mut requests = self
            .0
            .requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let is_first = requests.is_empty();
        requests.push(request);
        drop(requests);
        // Whoever takes takes all.
        if is_first {
            (self.0.wake)();
        }
    }

    /// What has been passed on since the last time.
    #[must_use]
    pub fn take_requests(&self) -> Vec<PassedRequest> {
        let mut requests = self
            .0
            .requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *requests)
    }

    /// The exchanges to look at.
    #[must_use]
    pub fn ready(&self) -> &ReadyExchanges {
        &self.0.ready
    }
}

impl fmt::Debug for PassLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PassLine")
    }
}
