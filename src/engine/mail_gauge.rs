//! How much waits in the mailboxes of all cores of a run, so that it has a bound.

use crate::limits;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Bytes of letters that were sent and not fetched; one for all mailboxes of a run.
#[derive(Clone, Debug, Default)]
pub(super) struct MailGauge(Arc<AtomicUsize>);

impl MailGauge {
    /// What a letter counts that owns so many bytes of memory.
    pub(super) const fn size(bytes: usize) -> usize {
        limits::MAIL_BYTES_OF_A_LETTER + bytes
    }

    /// So much was sent.
    pub(super) fn sent(&self, bytes: usize) {
        self.0.fetch_add(bytes, Relaxed);
    }

    /// So much was fetched, or thrown away.
    pub(super) fn fetched(&self, bytes: usize) {
        self.0.fetch_sub(bytes, Relaxed);
    }

    /// Whether nothing should be sent but what has to be.
    pub(super) fn is_full(&self) -> bool {
        self.0.load(Relaxed) > limits::MAIL_BYTES
    }
}
