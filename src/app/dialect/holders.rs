//! Clients that have shown tokens: who they are, and until when they may be here and be told.

use crate::app::Seat;
use crate::app::tokens::{
    RevokedRecord, TokenBook, TokenClaims, TokenFault, TokenId, TokenKeys, TooManyRevoked,
};
use crate::time::Instant;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The clients of one core that have shown tokens, by seat.
#[derive(Debug)]
pub struct TokenHolders {
    book: TokenBook,
    all: BTreeMap<u32, TokenHolder>,
}

/// One of them.
#[derive(Debug, Default)]
struct TokenHolder {
    claims: Option<Arc<TokenClaims>>,
    /// Which token it was.
    token: Option<TokenId>,
    /// When it has to be gone, in seconds of Unix time.
    until_s: Option<u64>,
    /// Subscriptions that have an end.
    subscriptions: Vec<(Box<str>, u64)>,
}

/// Whose time is over.
#[derive(Debug, PartialEq, Eq)]
pub enum OverdueToken {
    /// The client's.
    Client,
    /// That of its subscriptions to these channels.
    Channels(Vec<Box<str>>),
}

impl TokenHolders {
    /// None yet.
    #[must_use]
    pub const fn new(book: TokenBook) -> Self {
        let all = BTreeMap::new();
        Self { book, all }
    }

    /// Tokens are verified with those keys from now on; who is here stays.
    pub fn verify_with(&mut self, keys: Arc<TokenKeys>) {
        self.book.verify_with(keys);
    }

    /// Takes a token back: who has shown it is here until its time is looked at next. What the
    /// store is to know.
    ///
    /// # Errors
    /// [`TooManyRevoked`].
    pub fn revoke(
        &mut self,
        token: &str,
        now: Instant,
    ) -> Result<Vec<RevokedRecord>, TooManyRevoked> {
        self.book.revoke(token, now)
    }

    /// A client shows who it is.
    ///
    /// # Errors
    /// [`TokenFault`].
    pub fn admit(
        &mut self,
        seat: Seat,
        token: &str,
        now: Instant,
    ) -> Result<Arc<TokenClaims>, TokenFault> {
        let claims = self.book.read(token, now)?;
        if claims.channel.is_some() {
            // A token for a subscription is no passport.
            return Err(TokenFault::Invalid);
        }
        self.hold(seat, token, &claims);
        Ok(claims)
    }

    /// A client shows a new token of the same user.
    ///
    /// # Errors
    /// [`TokenFault`].
    pub fn refresh(
        &mut self,
        seat: Seat,
        token: &str,
        now: Instant,
    ) -> Result<Option<u64>, TokenFault> {
        let claims = self.book.read(token, now)?;
        if claims.channel.is_some() || *claims.user != *self.user(seat) {
            return Err(TokenFault::Invalid);
        }
        self.hold(seat, token, &claims);
        Ok(self.ttl_s(claims.until_s, now))
    }

    /// A client shows that it may be told of a channel; until when.
    ///
    /// # Errors
    /// [`TokenFault`].
    pub fn subscribe(
        &mut self,
        seat: Seat,
        (channel, token): (&str, &str),
        now: Instant,
    ) -> Result<Option<u64>, TokenFault> {
        let claims = self.book.read(token, now)?;
        if claims.channel.as_deref() != Some(channel) || *claims.user != *self.user(seat) {
            return Err(TokenFault::Invalid);
        }
        Ok(claims.until_s)
    }

    /// A subscription with a token stands, until that second.
    pub fn subscribed(&mut self, seat: Seat, channel: &str, until_s: Option<u64>) {
        self.unsubscribed(seat, channel);
        if let Some(until_s) = until_s {
            let holder = self.all.entry(seat.0).or_default();
            holder.subscriptions.push((channel.into(), until_s));
        }
    }

    /// A subscription is over.
    pub fn unsubscribed(&mut self, seat: Seat, channel: &str) {
        if let Some(holder) = self.all.get_mut(&seat.0) {
            holder.subscriptions.retain(|(name, _)| **name != *channel);
        }
    }

    /// An event stream shows a token, of either kind.
    ///
    /// # Errors
    /// [`TokenFault`].
    pub fn stream(
        &mut self,
        seat: Seat,
        token: &str,
        now: Instant,
    ) -> Result<Arc<TokenClaims>, TokenFault> {
        let claims = self.book.read(token, now)?;
        self.hold(seat, token, &claims);
        Ok(claims)
    }

    /// What a token says whose signature is good, whatever the time.
    ///
    /// # Errors
    /// [`TokenFault::Invalid`].
    pub fn signed(&mut self, token: &str) -> Result<Arc<TokenClaims>, TokenFault> {
        self.book.signed(token)
    }

    /// Whose time is over of a client.
    pub fn overdue(&mut self, seat: Seat, now: Instant) -> Option<OverdueToken> {
        let holder = self.all.get_mut(&seat.0)?;
        let now_s = self.book.seconds(now);
        let is_revoked = holder
            .token
            .is_some_and(|token| self.book.is_revoked(&token));
        if is_revoked || holder.until_s.is_some_and(|until| until <= now_s) {
            return Some(OverdueToken::Client);
        }
        let mut ended = Vec::new();
        holder.subscriptions.retain_mut(|(name, until)| {
            let is_over = *until <= now_s;
            if is_over {
                ended.push(std::mem::take(name));
            }
            !is_over
        });
        (!ended.is_empty()).then_some(OverdueToken::Channels(ended))
    }

    /// Whether the time of a client is over.
    #[must_use]
    pub fn is_over(&self, seat: Seat, now: Instant) -> bool {
        let holder = self.all.get(&seat.0);
        holder.is_some_and(|holder| {
            let is_revoked = holder
                .token
                .is_some_and(|token| self.book.is_revoked(&token));
            is_revoked
                || holder
                    .until_s
                    .is_some_and(|until| until <= self.seconds(now))
        })
    }

    /// Seconds of Unix time.
    #[must_use]
    pub fn seconds(&self, now: Instant) -> u64 {
        self.book.seconds(now)
    }

    /// When that second of Unix time began; `None` if that is before the server did.
    #[must_use]
    pub fn instant(&self, seconds: u64) -> Option<Instant> {
        self.book.instant(seconds)
    }

    /// A client may be here until that second, or as long as it likes.
    pub fn stays(&mut self, seat: Seat, until_s: Option<u64>) {
        self.all.entry(seat.0).or_default().until_s = until_s;
    }

    /// Whether anything is known of a client: a token, or an end of its time or of a subscription.
    #[must_use]
    pub fn knows(&self, seat: Seat) -> bool {
        self.all.contains_key(&seat.0)
    }

    /// What the token says that a client has shown.
    #[must_use]
    pub fn claims(&self, seat: Seat) -> Option<&TokenClaims> {
        self.all.get(&seat.0)?.claims.as_deref()
    }

    /// A client is gone.
    pub fn left(&mut self, seat: Seat) {
        self.all.remove(&seat.0);
    }

    /// Seconds until then.
    #[must_use]
    pub fn ttl_s(&self, until_s: Option<u64>, now: Instant) -> Option<u64> {
        let now_s = self.book.seconds(now);
        until_s.map(|until| until.saturating_sub(now_s))
    }

    fn hold(&mut self, seat: Seat, token: &str, claims: &Arc<TokenClaims>) {
        let holder = self.all.entry(seat.0).or_default();
        holder.token = Some(TokenId::of(token));
        holder.claims = Some(claims.clone());
        holder.until_s = claims.until_s;
    }

    fn user(&self, seat: Seat) -> &str {
        self.claims(seat).map_or("", |claims| &claims.user)
    }
}
