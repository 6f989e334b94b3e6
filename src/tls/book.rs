//! The connections of one core, how far each is, and what is about to be sealed.

use super::gather::Gather;
use super::handshake::{Handshake, Progress};
use super::queue::{Counted, End, Queue};
use super::record::{Bad, Content};
use super::session::Session;
use super::spares::Spares;
use super::stage::Stage;
use super::{Role, reason, sealed_bytes};
use crate::limits;
use crate::live::Live;
use crate::shard::{
    Close, CloseCause, ConnectionId, Handshakes, Origin, PeerNames, TlsFault, Unsent, Wire,
};
use crate::time::Instant;
use rustls::{AlertDescription, ServerConfig};
use std::net::SocketAddr;
use std::sync::Arc;

/// What the layer knows.
pub(super) struct Book {
    pub(super) plain: Option<u16>,
    role: Role,
    /// What servers go by from then on.
    pub(super) renewal: Live<ServerConfig>,
    seen: u64,
    links: Vec<Link>,
    gather: Gather,
    pub(super) queue: Queue,
    /// Buffers for records in pieces.
    pub(super) spares: Spares,
    max_backlog: usize,
}

/// One slot.
struct Link {
    generation: u32,
    stage: Stage,
}

impl Book {
    pub(super) fn new(role: Role, max_backlog: usize) -> Self {
        Self {
            plain: None,
            role,
            renewal: Live::default(),
            seen: 0,
            links: Vec::new(),
            gather: Gather::default(),
            queue: Queue::new(),
            spares: Spares::default(),
            max_backlog,
        }
    }

    /// A connect was started: its handshake waits for it.
    pub(super) fn connect(&mut self, id: ConnectionId, to: SocketAddr) -> Result<(), TlsFault> {
        let stage = match &self.role {
            // A server that connects somewhere cannot know whom it talks to.
            Role::Server(_) => Err(TlsFault::NoName),
            Role::Client { config, names } => {
                let name = names.iter().find(|(address, _)| *address == to);
                let name = name.map(|(_, name)| name.clone()).ok_or(TlsFault::NoName);
                name.and_then(|name| {
                    let made = Handshake::client(Arc::clone(config), name);
                    made.map_err(|error| reason::of_error(&error))
                })
            }
        };
        let handshake = stage.inspect_err(|_| self.put(id, Stage::Closing(None)))?;
        self.put(id, Stage::Handshake(Box::new(handshake)));
        Ok(())
    }

    /// The connection is open: its handshake may begin.
    pub(super) fn begin(
        &mut self,
        id: ConnectionId,
        origin: Origin,
        now: Instant,
    ) -> Result<(), TlsFault> {
        if let Some(config) = self.renewal.news(&mut self.seen) {
            self.role = Role::Server(config);
        }
        match (origin, &self.role) {
            (Origin::Accepted { .. }, Role::Server(config)) => {
                let handshake = Handshake::server(Arc::clone(config), origin);
                self.queue.begin(id, now);
                self.put(id, Stage::Handshake(Box::new(handshake)));
                Ok(())
            }
            (Origin::Accepted { .. }, Role::Client { .. }) => {
                self.put(id, Stage::Closing(None));
                Err(TlsFault::NoName)
            }
            (Origin::Connected | Origin::Secured { .. }, _) => {
                if let Some(Stage::Handshake(handshake)) = self.stage(id) {
                    handshake.origin = Origin::Secured { connected: now };
                }
                Ok(())
            }
        }
    }

    /// Goes on with a handshake, and sends what it says.
    pub(super) fn shake<M>(
        &mut self,
        id: ConnectionId,
        bytes: &[u8],
        wire: &mut impl Wire<M>,
    ) -> Progress {
        self.proceed(id, wire, |handshake, out| handshake.go_on(bytes, out))
    }

    /// Answers a handshake that has waited for it.
    pub(super) fn answer<M>(&mut self, id: ConnectionId, wire: &mut impl Wire<M>) -> Progress {
        self.proceed(id, wire, Handshake::answer)
    }

    fn proceed<M>(
        &mut self,
        id: ConnectionId,
        wire: &mut impl Wire<M>,
        step: impl FnOnce(&mut Handshake, &mut Vec<u8>) -> Progress,
    ) -> Progress {
        let mut out = Vec::new();
        let mut held = (0, 0);
        let progress = match self.stage(id) {
            Some(Stage::Handshake(handshake)) => {
                let before = handshake.held();
                let progress = step(handshake, &mut out);
                if let Origin::Accepted { .. } = handshake.origin {
                    held = (before, handshake.held());
                }
                progress
            }
            Some(Stage::Free | Stage::Open(_) | Stage::Closing(_)) | None => Progress::Under,
        };
        self.queue.hold(held.0, held.1);
        // A peer that has gone is said to have by the engine; one that reads nothing of a few
        // kilobytes of handshake does not exist under any useful cap.
        if !out.is_empty() && wire.send(id, &out) == Err(Unsent::Full) {
            Progress::Failed(TlsFault::Backlog)
        } else {
            progress
        }
    }

    /// A handshake waits for its answer.
    pub(super) fn wait(&mut self, id: ConnectionId, now: Instant) {
        if let Some(Stage::Handshake(handshake)) = self.stage(id)
            && !std::mem::replace(&mut handshake.is_queued, true)
        {
            while let Some(oldest) = self.queue.oldest()
                && !self.is_queued(oldest)
            {
                self.queue.forget_oldest();
            }
            self.queue.wait(id, now);
        }
    }

    fn is_queued(&mut self, id: ConnectionId) -> bool {
        matches!(self.stage(id), Some(Stage::Handshake(handshake)) if handshake.is_queued)
    }

    /// The next handshake to be answered.
    pub(super) fn next_waiting(&mut self) -> Option<ConnectionId> {
        while let Some(id) = self.queue.newest() {
            if let Some(Stage::Handshake(handshake)) = self.stage(id) {
                debug_assert!(handshake.is_queued, "it is in the queue once");
                handshake.is_queued = false;
                self.queue.waits_no_more();
                return Some(id);
            }
        }
        None
    }

    /// The handshake is over: how the connection came to be, and what was received after it.
    pub(super) fn secure(&mut self, id: ConnectionId) -> Result<(Origin, Vec<u8>), TlsFault> {
        let Some(stage) = self.stage(id) else {
            return Err(TlsFault::Other);
        };
        let Stage::Handshake(handshake) = std::mem::replace(stage, Stage::Closing(None)) else {
            return Err(TlsFault::Other);
        };
        let origin = handshake.origin;
        let counted = Counted::of(&handshake);
        let made = handshake.into_session();
        let how = match &made {
            Ok(_) => End::Done,
            Err(why) => End::Because(CloseCause::Insecure(*why)),
        };
        self.queue.end(counted, how);
        let (session, rest) = made?;
        self.put(id, Stage::Open(Box::new(session)));
        Ok((origin, rest))
    }

    /// Puts parts into the record that gathers for that connection.
    pub(super) fn gather<M>(
        &mut self,
        id: ConnectionId,
        parts: &[&[u8]],
        wire: &mut impl Wire<M>,
    ) -> Result<(), Unsent> {
        if self.gather.id != Some(id) {
            self.seal(wire);
        }
        let Some(Stage::Open(session)) = self.stage(id) else {
            return Err(Unsent::Gone);
        };
        let room = session.sealer.room();
        let len = parts.iter().map(|part| part.len()).sum();
        let sealed = sealed_bytes(self.gathered(id).saturating_add(len));
        if wire.backlog(id).saturating_add(sealed) > self.max_backlog {
            return Err(Unsent::Full);
        }
        for part in parts {
            let mut rest = *part;
            while !rest.is_empty() {
                if self.gather.id.is_none() {
                    self.gather.id = Some(id);
                    self.gather.begin(room);
                }
                let fits = limits::TLS_RECORD_BYTES - self.gather.len();
                let (now, later) = rest.split_at(rest.len().min(fits));
                self.gather.bytes.extend_from_slice(now);
                rest = later;
                if !rest.is_empty() {
                    self.seal(wire);
                }
            }
        }
        Ok(())
    }

    /// Seals what has gathered, and sends it.
    #[inline]
    pub(super) fn seal<M>(&mut self, wire: &mut impl Wire<M>) {
        if let Some(id) = self.gather.id.take() {
            self.seal_as(id, Content::Data, wire);
            if let Some(Stage::Open(session)) = self.stage(id)
                && session.sealer.is_worn()
            {
                self.renew(id, wire);
            }
        }
    }

    /// Tells the peer that what follows has a new key, and takes one.
    pub(super) fn renew<M>(&mut self, id: ConnectionId, wire: &mut impl Wire<M>) {
        // What has gathered wears the key too, and may have replaced it.
        self.seal(wire);
        let Some(session) = self.session(id) else {
            return;
        };
        match session.next_sealer() {
            Err(bad) => self.fail_record(id, bad, wire),
            Ok(next) => {
                self.say(id, Content::Handshake, &Session::KEY_UPDATE_MESSAGE, wire);
                if let Some(session) = self.session(id) {
                    session.sealer = next;
                }
            }
        }
    }

    /// A record was not what it should be: says so, and ends the connection.
    pub(super) fn fail_record<M>(&mut self, id: ConnectionId, bad: Bad, wire: &mut impl Wire<M>) {
        const FATAL: u8 = 2;
        let alert = u8::from(reason::alert_for(bad));
        self.say(id, Content::Alert, &[FATAL, alert], wire);
        self.fail(id, reason::of_record(bad), wire);
    }

    /// The connection cannot be secured, or is no longer: what was queued leaves, an alert too.
    pub(super) fn fail<M>(&mut self, id: ConnectionId, why: TlsFault, wire: &mut impl Wire<M>) {
        self.end(id, CloseCause::Insecure(why), wire);
    }

    /// Ends a connection from here; the inner shard will be told this cause.
    pub(super) fn end<M>(&mut self, id: ConnectionId, cause: CloseCause, wire: &mut impl Wire<M>) {
        if let Some(stage) = self.swap(id, Stage::Closing(Some(cause))) {
            self.queue.end(stage.counted(), End::Because(cause));
        }
        wire.close(id, Close::Flush);
    }

    /// The peer has ended its stream within the handshake: there will be no answer.
    pub(super) fn left(&mut self, id: ConnectionId) {
        if let Some(stage @ Stage::Handshake(_)) = self.stage(id) {
            let why = Some(CloseCause::Insecure(TlsFault::Ended));
            let stage = std::mem::replace(stage, Stage::Closing(why));
            self.queue.end(stage.counted(), End::Left);
        }
    }

    /// RFC 8446, 6.1: nothing follows.
    pub(super) fn say_goodbye<M>(&mut self, id: ConnectionId, wire: &mut impl Wire<M>) {
        self.warn(id, AlertDescription::CloseNotify, wire);
    }

    /// RFC 5246, 7.2.2: there will be no other handshake; the connection goes on.
    pub(super) fn refuse_renegotiation<M>(&mut self, id: ConnectionId, wire: &mut impl Wire<M>) {
        self.warn(id, AlertDescription::NoRenegotiation, wire);
    }

    /// The inner shard closes a connection.
    pub(super) fn close<M>(&mut self, id: ConnectionId, how: Close, wire: &mut impl Wire<M>) {
        match (how, self.stage(id)) {
            (_, None | Some(Stage::Free)) | (Close::Flush, Some(Stage::Closing(_))) => return,
            (Close::Flush, Some(Stage::Open(_))) => self.say_goodbye(id, wire),
            (Close::Flush | Close::Abort, Some(Stage::Handshake(_)))
            | (Close::Abort, Some(Stage::Open(_) | Stage::Closing(_))) => {}
        }
        if !matches!(self.stage(id), Some(Stage::Closing(_)))
            && let Some(stage) = self.swap(id, Stage::Closing(None))
        {
            self.queue.end(stage.counted(), End::Left);
        }
        wire.close(id, how);
    }

    /// The engine says that it is over: what the inner shard is told.
    pub(super) fn forget(&mut self, id: ConnectionId, cause: CloseCause) -> CloseCause {
        let Some(stage) = self.swap(id, Stage::Free) else {
            return cause;
        };
        self.queue.end(stage.counted(), End::Left);
        match stage {
            Stage::Closing(Some(CloseCause::PeerEnded)) if cause == CloseCause::CutOff => cause,
            Stage::Closing(Some(cause)) => cause,
            Stage::Handshake(handshake) => match (handshake.origin, cause) {
                // The connect itself failed.
                (Origin::Connected, _) => cause,
                (_, CloseCause::PeerEnded) => CloseCause::Insecure(TlsFault::Ended),
                (_, CloseCause::Reset) => CloseCause::Insecure(TlsFault::Reset),
                (Origin::Accepted { .. }, _) => CloseCause::Insecure(TlsFault::Other),
                (Origin::Secured { .. }, _) => cause,
            },
            Stage::Free | Stage::Open(_) | Stage::Closing(None) => cause,
        }
    }

    /// The next connection whose time for a handshake is over.
    pub(super) fn overdue(&mut self, now: Instant) -> Option<ConnectionId> {
        while let Some(id) = self.queue.overdue(now) {
            if let Some(Stage::Handshake(_)) = self.stage(id) {
                return Some(id);
            }
        }
        None
    }

    /// The next connection whose handshake has to make room.
    pub(super) fn excess(&mut self, is_crowded: bool) -> Option<ConnectionId> {
        while let Some(id) = self.queue.excess(is_crowded) {
            if let Some(Stage::Handshake(_)) = self.stage(id) {
                return Some(id);
            }
        }
        None
    }

    /// What a server counts of its handshakes.
    pub(super) const fn handshakes(&self) -> Option<Handshakes> {
        match self.role {
            Role::Server(_) => Some(self.queue.counts),
            Role::Client { .. } => None,
        }
    }

    /// Where that connection is; `None` if it is not known.
    #[inline]
    pub(super) fn stage(&mut self, id: ConnectionId) -> Option<&mut Stage> {
        let link = self.links.get_mut(id.slot())?;
        (link.generation == id.generation()).then_some(&mut link.stage)
    }

    /// That connection, if it is secured.
    #[inline]
    pub(super) fn session(&mut self, id: ConnectionId) -> Option<&mut Session> {
        match self.stage(id) {
            Some(Stage::Open(session)) => Some(session),
            Some(Stage::Free | Stage::Handshake(_) | Stage::Closing(_)) | None => None,
        }
    }

    /// Keeps a part of a record until the rest comes.
    pub(super) fn keep(&mut self, id: ConnectionId, part: &[u8]) {
        if let Some(link) = self.links.get_mut(id.slot())
            && link.generation == id.generation()
            && let Stage::Open(session) = &mut link.stage
        {
            self.spares.extend(&mut session.partial, part);
        }
    }

    /// Bytes of memory of that connection's record in pieces.
    pub(super) fn partial_bytes(&self, id: ConnectionId) -> usize {
        let link = self.links.get(id.slot());
        link.filter(|link| link.generation == id.generation())
            .map_or(0, |link| link.stage.partial_bytes())
    }

    /// The names of the certificate that a client has shown.
    pub(super) fn names(&self, id: ConnectionId) -> Option<Arc<PeerNames>> {
        let link = self.links.get(id.slot());
        let link = link.filter(|link| link.generation == id.generation())?;
        link.stage.names()
    }

    /// Plaintext that has gathered for that connection.
    #[inline]
    pub(super) fn gathered(&self, id: ConnectionId) -> usize {
        if self.gather.id == Some(id) {
            self.gather.len()
        } else {
            0
        }
    }

    fn warn<M>(&mut self, id: ConnectionId, alert: AlertDescription, wire: &mut impl Wire<M>) {
        const WARNING: u8 = 1;
        self.say(id, Content::Alert, &[WARNING, u8::from(alert)], wire);
    }

    /// Sends a record of the protocol's own, after what has gathered for that connection.
    fn say<M>(&mut self, id: ConnectionId, content: Content, text: &[u8], wire: &mut impl Wire<M>) {
        self.seal(wire);
        let Some(Stage::Open(session)) = self.stage(id) else {
            return;
        };
        let room = session.sealer.room();
        self.gather.begin(room);
        self.gather.bytes.extend_from_slice(text);
        self.seal_as(id, content, wire);
    }

    fn seal_as<M>(&mut self, id: ConnectionId, content: Content, wire: &mut impl Wire<M>) {
        let mut record = std::mem::take(&mut self.gather.bytes);
        let sealed = self.session(id).map(|session| {
            if content == Content::Data {
                session.data_left();
            }
            session.sealer.seal(content, &mut record)
        });
        let lost = match sealed {
            None => None,
            Some(Err(bad)) => Some(reason::of_record(bad)),
            // Room was checked before it gathered; what is not ours to check is an alert's or a
            // key update's, and a record that is left out breaks all that follow.
            Some(Ok(())) => {
                (wire.send(id, &record) == Err(Unsent::Full)).then_some(TlsFault::Backlog)
            }
        };
        self.gather.bytes = record;
        if let Some(why) = lost {
            self.fail(id, why, wire);
            wire.close(id, Close::Abort);
        }
    }

    /// Puts a connection into another stage: the one before, without what was kept of a record.
    fn swap(&mut self, id: ConnectionId, stage: Stage) -> Option<Stage> {
        let mut before = std::mem::replace(self.stage(id)?, stage);
        self.spares.put(before.take_partial());
        Some(before)
    }

    fn put(&mut self, id: ConnectionId, stage: Stage) {
        while self.links.len() <= id.slot() {
            self.links.push(Link {
                generation: 0,
                stage: Stage::Free,
            });
        }
        if let Some(link) = self.links.get_mut(id.slot()) {
            *link = Link {
                generation: id.generation(),
                stage,
            };
        }
    }
}
