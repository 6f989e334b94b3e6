//! Tokens: who shows one is that user, and may what it says, until it expires.
//!
//! A token is a JWT (RFC 7519) signed with a key that the server was given, or a fixed one from a
//! list. Verified ones are kept by their SHA-256, so that clients who come back cost no signature.

mod revoked;

use super::facts::ClientFacts;
use super::hub::is_name;
use crate::limits;
use crate::protocol::json;
use crate::time::{Instant, WallClock};
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{AlgorithmFamily, DecodingKey, Validation, decode, decode_header};
pub use revoked::{RevokedTokens, TooManyRevoked};
use ring::digest;
use serde::Deserialize;
use serde_json::Number;
use serde_json::value::RawValue;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// What a token says, as far as it matters here (claims of Centrifugo's tokens).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenClaims {
    /// `sub`: the user; empty for nobody in particular.
    pub user: Box<str>,
    /// `info`: what others are told of the user: JSON in one line, or empty.
    pub info: Box<str>,
    /// `meta`: what only the server knows of the user: JSON in one line, or empty.
    pub meta: Box<str>,
    /// `channels`, and the names in `subs`: what the server subscribes the client to.
    pub channels: Vec<Box<str>>,
    /// `channel`: the only channel that it is for.
    pub channel: Option<Box<str>>,
    /// `exp`: it is over in that second of Unix time.
    pub until_s: Option<u64>,
    /// `nbf`: it is not good before that second.
    pub from_s: Option<u64>,
    /// All claims that are texts, numbers, truths or lists of them, where somebody asks for them.
    pub facts: ClientFacts,
}

/// Why a token is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenFault {
    /// It is none, of another signer, or not for that.
    Invalid,
    /// It was good.
    Expired,
}

/// Why something is no key of tokens, or no list of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenKeyError {
    /// An HMAC secret that can be guessed.
    #[error("a secret has at least 16 bytes; try: openssl rand -hex 32")]
    Short,
    /// No public key in PEM.
    #[error("no public key of RSA, ECDSA (P-256, P-384) or Ed25519 in PEM (-----BEGIN PUBLIC KEY)")]
    Pem,
    /// No set of keys.
    #[error("no JWK set with a key of RSA, EC, Ed25519 or a secret: {{\"keys\":[..]}}")]
    Jwks,
    /// So many that each token would cost too much.
    #[error("more than 32 keys")]
    Many,
    /// No list of fixed tokens.
    #[error("no list of tokens: {{\"TOKEN of 16 bytes or more\":{{\"sub\":\"user\"}},..}}")]
    List,
}

/// What tokens are verified with: the same on every core.
#[derive(Default)]
pub struct TokenKeys {
    keys: Vec<TokenKey>,
    /// Fixed tokens, by their SHA-256.
    fixed: BTreeMap<TokenHash, Arc<TokenClaims>>,
    /// Whether somebody asks for other claims than those that the server knows.
    keeps_facts: bool,
}

struct TokenKey {
    id: Option<Box<str>>,
    key: DecodingKey,
    validation: Validation,
}

type TokenHash = [u8; 32];

/// Which token it is, whatever it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenId(TokenHash);

impl TokenId {
    /// That of a token.
    #[must_use]
    pub fn of(token: &str) -> Self {
        Self(hash(token))
    }
}

/// The keys, and the tokens that one core has verified.
#[derive(Debug)]
pub struct TokenBook {
    keys: Arc<TokenKeys>,
    wall: WallClock,
    known: BTreeMap<TokenHash, Arc<TokenClaims>>,
    /// The oldest first.
    order: VecDeque<TokenHash>,
    /// Bytes of all that is known.
    bytes: usize,
    /// Signatures that were verified.
    verified: u64,
    revoked: RevokedTokens,
}

/// A token that was taken back, for the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevokedRecord {
    /// The name of the channel that stands for it.
    pub channel: String,
    /// Until when it would be good, in seconds of Unix time; `None` if it is over.
    pub until_s: Option<u64>,
}

#[derive(Deserialize)]
struct Spoken {
    #[serde(default)]
    sub: String,
    info: Option<Box<RawValue>>,
    meta: Option<Box<RawValue>>,
    #[serde(default)]
    channels: Vec<String>,
    #[serde(default)]
    subs: BTreeMap<String, serde::de::IgnoredAny>,
    channel: Option<String>,
    exp: Option<Number>,
    nbf: Option<Number>,
}

impl TokenKeys {
    /// Takes HS256, HS384 and HS512 with that secret.
    ///
    /// # Errors
    /// [`TokenKeyError::Short`] below 16 bytes, [`TokenKeyError::Many`].
    pub fn add_secret(&mut self, secret: &[u8]) -> Result<(), TokenKeyError> {
        if secret.len() < limits::TOKEN_SECRET_BYTES {
            return Err(TokenKeyError::Short);
        }
        let key = DecodingKey::from_secret(secret).map_err(|_| TokenKeyError::Short)?;
        self.add(None, key)
    }

    /// Takes what that public key verifies (RS256 to PS512, ES256 and ES384, or `EdDSA`).
    ///
    /// # Errors
    /// [`TokenKeyError::Pem`], [`TokenKeyError::Many`].
    pub fn add_pem(&mut self, pem: &[u8]) -> Result<(), TokenKeyError> {
        let key = DecodingKey::from_ed_pem(pem)
            .or_else(|_| DecodingKey::from_ec_pem(pem))
            .or_else(|_| DecodingKey::from_rsa_pem(pem));
        self.add(None, key.map_err(|_| TokenKeyError::Pem)?)
    }

    /// Takes what the keys of a JWK set verify (RFC 7517, 5); unknown kinds are passed over.
    ///
    /// # Errors
    /// [`TokenKeyError::Jwks`] if none is left, [`TokenKeyError::Many`].
    pub fn add_jwks(&mut self, json: &[u8]) -> Result<(), TokenKeyError> {
        let set: JwkSet = serde_json::from_slice(json).map_err(|_| TokenKeyError::Jwks)?;
        let before = self.keys.len();
        for jwk in &set.keys {
            if let Ok(key) = DecodingKey::from_jwk(jwk) {
                let id = jwk.common.key_id.as_deref().map(Into::into);
                self.add(id, key)?;
            }
        }
        let is_any = self.keys.len() > before;
        is_any.then_some(()).ok_or(TokenKeyError::Jwks)
    }

    /// Takes these texts as tokens: an object of claims for each.
    ///
    /// # Errors
    /// [`TokenKeyError::List`].
    pub fn add_fixed(&mut self, json: &[u8]) -> Result<(), TokenKeyError> {
        let list = serde_json::from_slice::<BTreeMap<String, Box<RawValue>>>(json);
        for (token, spoken) in list.map_err(|_| TokenKeyError::List)? {
            let claims = self.claims(&spoken).map_err(|_| TokenKeyError::List)?;
            if token.len() < limits::TOKEN_SECRET_BYTES {
                return Err(TokenKeyError::List);
            }
            self.fixed.insert(hash(&token), Arc::new(claims));
        }
        Ok(())
    }

    /// Claims that the server knows nothing of are kept too, of what is added from now on: for who
    /// asks for [`TokenClaims::facts`].
    pub const fn keep_facts(&mut self) {
        self.keeps_facts = true;
    }

    /// Signed tokens have to name one of these audiences, and one of these issuers (RFC 7519, 4.1);
    /// of no names any will do. It is about the keys that were added before.
    pub fn expect(&mut self, audiences: &[String], issuers: &[String]) {
        for TokenKey { validation, .. } in &mut self.keys {
            if !audiences.is_empty() {
                validation.validate_aud = true;
                validation.set_audience(audiences);
                validation.required_spec_claims.insert("aud".to_owned());
            }
            if !issuers.is_empty() {
                validation.set_issuer(issuers);
                validation.required_spec_claims.insert("iss".to_owned());
            }
        }
    }

    fn add(&mut self, id: Option<Box<str>>, key: DecodingKey) -> Result<(), TokenKeyError> {
        if self.keys.len() >= limits::TOKEN_KEYS {
            return Err(TokenKeyError::Many);
        }
        let mut validation = Validation::new_for_family(key.family());
        if key.family() == AlgorithmFamily::Hmac {
            validation
                .algorithms
                .retain(|it| it.family() == AlgorithmFamily::Hmac);
        }
        // The core is told the time; `expect` says who has to be named.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        self.keys.push(TokenKey {
            id,
            key,
            validation,
        });
        Ok(())
    }

    /// What a token says whose signature is good, whatever the time.
    fn verify(&self, token: &str) -> Result<TokenClaims, TokenFault> {
        let header = decode_header(token).map_err(|_| TokenFault::Invalid)?;
        let kid = header.kid.as_deref();
        for key in &self.keys {
            let is_named = match (kid, key.id.as_deref()) {
                (Some(wanted), Some(id)) => wanted == id,
                _ => true,
            };
            if is_named
                && key.validation.algorithms.contains(&header.alg)
                && let Ok(read) = decode::<Box<RawValue>>(token, &key.key, &key.validation)
            {
                return self.claims(&read.claims);
            }
        }
        Err(TokenFault::Invalid)
    }

    /// What claims say.
    fn claims(&self, json: &RawValue) -> Result<TokenClaims, TokenFault> {
        let spoken: Spoken = serde_json::from_str(json.get()).map_err(|_| TokenFault::Invalid)?;
        let facts = match self.keeps_facts {
            true => ClientFacts::read(json.get()),
            false => ClientFacts::default(),
        };
        Ok(TokenClaims {
            facts,
            ..spoken.claims()?
        })
    }
}

impl fmt::Debug for TokenKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What they are is told to nobody.
        let (keys, fixed) = (self.keys.len(), self.fixed.len());
        write!(f, "TokenKeys({keys} keys, {fixed} fixed)")
    }
}

impl TokenBook {
    /// Nothing was verified yet.
    #[must_use]
    pub fn new(keys: Arc<TokenKeys>, wall: WallClock) -> Self {
        Self {
            revoked: RevokedTokens::default(),
            keys,
            wall,
            known: BTreeMap::new(),
            order: VecDeque::new(),
            bytes: 0,
            verified: 0,
        }
    }

    /// The same, without those that are taken back there.
    #[must_use]
    pub fn without(self, revoked: RevokedTokens) -> Self {
        Self { revoked, ..self }
    }

    /// Takes a token back: it is good nowhere any more. What the store is to know.
    ///
    /// # Errors
    /// [`TooManyRevoked`].
    pub fn revoke(
        &mut self,
        token: &str,
        now: Instant,
    ) -> Result<Vec<RevokedRecord>, TooManyRevoked> {
        let claims = self.signed(token);
        let until_s = claims.ok().and_then(|it| it.until_s).unwrap_or(u64::MAX);
        let now_s = self.wall.seconds(now);
        if until_s <= now_s {
            return Ok(Vec::new());
        }
        let hash = hash(token);
        let over = self.revoked.revoke(hash, until_s, now_s)?.into_iter();
        let over = over.map(|hash| (hash, None));
        let all = over.chain([(hash, Some(until_s))]);
        let record = |(hash, until_s)| RevokedRecord {
            channel: revoked::channel(&hash),
            until_s,
        };
        Ok(all.map(record).collect())
    }

    /// Whether a token was taken back that has that name.
    #[must_use]
    pub fn is_revoked(&self, id: &TokenId) -> bool {
        self.revoked.has(&id.0)
    }

    /// Verifies with those from now on, whatever it has verified before.
    pub fn verify_with(&mut self, keys: Arc<TokenKeys>) {
        (self.keys, self.bytes) = (keys, 0);
        self.known.clear();
        self.order.clear();
    }

    /// What a token says that is good now.
    ///
    /// # Errors
    /// [`TokenFault`].
    pub fn read(&mut self, token: &str, now: Instant) -> Result<Arc<TokenClaims>, TokenFault> {
        let claims = self.signed(token)?;
        let now_s = self.wall.seconds(now);
        if claims.from_s.is_some_and(|from| now_s < from) {
            return Err(TokenFault::Invalid);
        }
        if claims.until_s.is_some_and(|until| until <= now_s) {
            return Err(TokenFault::Expired);
        }
        Ok(claims)
    }

    /// What a token says whose signature is good, though it may be over.
    ///
    /// # Errors
    /// [`TokenFault::Invalid`].
    pub fn signed(&mut self, token: &str) -> Result<Arc<TokenClaims>, TokenFault> {
        if token.is_empty() || token.len() > limits::TOKEN_BYTES {
            return Err(TokenFault::Invalid);
        }
        let hash = hash(token);
        if self.revoked.has(&hash) {
            return Err(TokenFault::Invalid);
        }
        if let Some(known) = self.keys.fixed.get(&hash).or_else(|| self.known.get(&hash)) {
            return Ok(known.clone());
        }
        let claims = Arc::new(self.keys.verify(token)?);
        self.verified += 1;
        self.keep(hash, claims.clone());
        Ok(claims)
    }

    /// Seconds of Unix time.
    #[must_use]
    pub fn seconds(&self, now: Instant) -> u64 {
        self.wall.seconds(now)
    }

    /// When that second of Unix time began; `None` if that is before it is known what time it was.
    #[must_use]
    pub fn instant(&self, seconds: u64) -> Option<Instant> {
        self.wall.instant(seconds)
    }

    /// Signatures that were verified: of each token once, while it is known.
    #[must_use]
    pub const fn verified(&self) -> u64 {
        self.verified
    }

    fn keep(&mut self, hash: TokenHash, claims: Arc<TokenClaims>) {
        self.bytes += claims.bytes();
        self.known.insert(hash, claims);
        self.order.push_back(hash);
        while self.order.len() > limits::TOKENS_KNOWN || self.bytes > limits::TOKENS_KNOWN_BYTES {
            let oldest = self.order.pop_front();
            let Some(forgotten) = oldest.and_then(|oldest| self.known.remove(&oldest)) else {
                break;
            };
            self.bytes = self.bytes.saturating_sub(forgotten.bytes());
        }
    }
}

impl TokenClaims {
    /// Whether a client that shows it is to be told of that channel.
    #[must_use]
    pub fn takes(&self, channel: &str) -> bool {
        self.channel.as_deref() == Some(channel) || self.channels.iter().any(|it| **it == *channel)
    }

    /// Bytes of memory, about.
    fn bytes(&self) -> usize {
        let texts = self
            .channels
            .iter()
            .map(|name| name.len() + 16)
            .sum::<usize>();
        let about = self.user.len() + self.info.len() + self.meta.len();
        256 + about + texts + self.facts.bytes()
    }
}

impl Spoken {
    fn claims(self) -> Result<TokenClaims, TokenFault> {
        let text = |json: Option<Box<RawValue>>| {
            let json = json.map(|json| json::one_line(json.get()).as_ref().into());
            json.unwrap_or_default()
        };
        let mut channels: Vec<Box<str>> = Vec::new();
        for name in self.channels.into_iter().chain(self.subs.into_keys()) {
            if !is_name(&name) || channels.len() >= limits::CHANNELS_PER_CLIENT {
                return Err(TokenFault::Invalid);
            }
            if !channels.iter().any(|known| **known == *name) {
                channels.push(name.into());
            }
        }
        Ok(TokenClaims {
            user: self.sub.into(),
            info: text(self.info),
            meta: text(self.meta),
            channels,
            channel: self.channel.filter(|it| !it.is_empty()).map(Into::into),
            until_s: self.exp.as_ref().and_then(whole_seconds),
            from_s: self.nbf.as_ref().and_then(whole_seconds),
            facts: ClientFacts::default(),
        })
    }
}

/// A `NumericDate` (RFC 7519, 2), which may have a fraction. What lies before 1970 is 0.
fn whole_seconds(date: &Number) -> Option<u64> {
    let seconds = date.as_f64()?;
    let exact = date.as_u64();
    exact.or_else(|| {
        Some(
            Duration::try_from_secs_f64(seconds.max(0.0))
                .ok()?
                .as_secs(),
        )
    })
}

fn hash(token: &str) -> TokenHash {
    let digest = digest::digest(&digest::SHA256, token.as_bytes());
    digest.as_ref().try_into().unwrap_or_default()
}

#[cfg(test)]
mod tests;
