//! What a request asks of a core: to be let in, to be answered, to become a user of an application,
//! to be told what all cores count.

use super::Shared;
use crate::app::{
    AddressShare, Admittance, ApiResponse, Arrival, ArrivalPurpose, Holdings, Reach, Refusal,
};
use crate::door::forwarded;
use crate::protocol::Fault;
use crate::protocol::http::Request;
use crate::protocol::websocket::deflate::{Agreement, Kept};
use crate::protocol::websocket::handshake;
use crate::server::admission::{self, FULL, Place};
use crate::server::answer::{self, Answer, Reply};
use crate::server::apps::{AppIndex, Apps};
use crate::server::draining::DRAINING;
use crate::server::fields;
use crate::server::figures::Figures;
use crate::server::file_answer::{FileAnswer, FileContent, FileFound};
use crate::server::passing::{PassedClient, Passing};
use crate::server::route::By;
use crate::server::say::Saying;
use crate::server::stats::{Form, Message};
use crate::server::stream::{self, Resumed};
use crate::server::tally::{CloseReason, Tally};
use crate::shard::{ConnectionId, Core, PeerNames, Unsent, Wire};
use crate::time::Instant;
use std::sync::Arc;

/// Requests and their answers.
impl<A: Apps> Shared<A> {
    /// Whether what is asked for is not begun any more.
    pub(in crate::server) const fn is_refusing(&self) -> bool {
        self.draining.is_refusing()
    }

    /// Whether a connection in that place may have what it asks for; it may get another place.
    ///
    /// # Errors
    /// What it gets instead.
    pub(in crate::server) fn admit(&mut self, place: &mut Place, path: &str) -> Result<(), Reply> {
        self.tally.requested();
        let is_post = matches!(self.find(path), Some((_, By::Post | By::Call)));
        let admitted = self.admission.admit(place, path, is_post, &self.config);
        admitted.map_err(|fault| {
            let refusal = Reply::refuse(fault);
            if let Place::Barred(_) = place {
                return refusal.ending(CloseReason::Barred);
            }
            if fault != FULL {
                return refusal;
            }
            self.tally.refused();
            refusal.ending(CloseReason::Full)
        })
    }

    /// Whether a connection in that place may look into the server, if it wants to.
    ///
    /// # Errors
    /// What it gets instead.
    pub(in crate::server) fn guard(
        &self,
        place: Place,
        request: &Request<'_>,
    ) -> Result<(), Fault> {
        self.config.guard(place.entrance(), request)
    }

    /// Which of the listed origins the page is of that asks, if any.
    pub(in crate::server) fn listed(&self, request: &Request<'_>) -> Option<u16> {
        fields::listed(&request.headers, self.config.origins())
    }

    /// Who answers at that path.
    pub(in crate::server) fn find(&self, path: &str) -> Option<(AppIndex, By)> {
        self.apps.find(path)
    }

    /// Whether somebody may post to that query.
    pub(in crate::server) fn is_address(&self, app: AppIndex, query: &str) -> bool {
        self.apps.is_address(app, query)
    }

    /// Counts a trusted proxy's connection for whom it asks, if it asks to stay.
    ///
    /// # Errors
    /// The refusal that it passes on.
    pub(in crate::server) fn looks_through(
        &mut self,
        id: ConnectionId,
        request: &Request<'_>,
    ) -> Result<(), Fault> {
        let stays = |by| match by {
            By::WebSocket | By::EventStream | By::Either => true,
            By::Exchange => handshake::is_upgrade(request),
            By::Post | By::Call => false,
        };
        let is_asked =
            self.door.is_proxy(id) && self.find(request.path()).is_some_and(|(_, by)| stays(by));
        if !is_asked {
            return Ok(());
        }
        let standard = request.headers.all("Forwarded");
        let common = request.headers.all("X-Forwarded-For");
        let Some(client) = forwarded::client(standard, common, self.door.trusted()) else {
            return Ok(());
        };
        self.log.speaks_for(id, client);
        self.door.speaks_for(id, client).map_err(|refusal| {
            self.tally.barred(refusal);
            self.config.barred();
            admission::barred(refusal)
        })
    }

    /// Tells the applications that something is asked of the server.
    ///
    /// # Errors
    /// The refusal of one of them.
    pub(in crate::server) fn requested(&mut self, path: &str, now: Instant) -> Result<(), Fault> {
        self.renew();
        self.apps.requested(path, now).map_err(fault)
    }

    /// Tells the applications which names somebody has proved who asks for something now.
    pub(in crate::server) fn certified(&mut self, names: Option<&Arc<PeerNames>>) {
        self.apps.certified(names);
    }

    /// Tells an application who is about to come, or to call: its permit.
    ///
    /// # Errors
    /// The application's refusal.
    pub(in crate::server) fn arriving(
        &mut self,
        app: AppIndex,
        request: &Request<'_>,
        (purpose, share): (ArrivalPurpose, Option<AddressShare>),
    ) -> Result<u32, Fault> {
        let arrival = Arrival {
            share,
            purpose,
            path: request.path(),
            query: request.query().unwrap_or(""),
            header: &|name| request.headers.get(name),
        };
        let Admittance { permit, cookie } = self.apps.arriving(app, &arrival).map_err(fault)?;
        self.responses.set_cookie(cookie);
        Ok(permit)
    }

    /// Whom somebody counts for who has no connection that counts: it polls.
    pub(in crate::server) fn share(
        &mut self,
        id: ConnectionId,
        request: &Request<'_>,
    ) -> Option<AddressShare> {
        let standard = request.headers.all("Forwarded");
        let common = request.headers.all("X-Forwarded-For");
        let client = forwarded::client(standard, common, self.door.trusted());
        let (address, most) = self.door.share(id, client)?;
        let address = address.number();
        Some(AddressShare { address, most })
    }

    /// Passes on what no route takes.
    ///
    /// # Errors
    /// Too many requests are under way.
    pub(in crate::server) fn pass(
        &mut self,
        request: &Request<'_>,
        id: ConnectionId,
        wire: &mut impl Wire<Message<A::Letters>>,
    ) -> Result<Box<Passing>, Fault> {
        let peer = wire.peer(id);
        let trusted = self.door.trusted();
        let is_trusted = peer.is_some_and(|peer| trusted.iter().any(|it| it.contains(peer)));
        let session = self.apps.session(&Arrival {
            share: None,
            purpose: ArrivalPurpose::Call,
            path: request.path(),
            query: request.query().unwrap_or(""),
            header: &|name| request.headers.get(name),
        });
        let client = PassedClient {
            id,
            peer,
            is_trusted,
            session,
        };
        if request.headers.has_token("Expect", "100-continue") && request.minor_version > 0 {
            // RFC 9110, 10.1.1. One whose backlog is full does not read it either.
            let _ = wire.send(id, b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        self.passing.pass(request, client, wire.now())
    }

    /// Writes the response that makes a connection a WebSocket of that application.
    ///
    /// # Errors
    /// What is wrong with the request, or why it comes too late.
    pub(in crate::server) fn upgrade(
        &mut self,
        app: AppIndex,
        request: &Request<'_>,
        now: Instant,
    ) -> Result<Option<Agreement>, Fault> {
        // It has no body, but may say so: the WebSocket of the JDK does.
        let (reach, _) = A::manner(app);
        let sent = match reach {
            // To all the same is said: it is deflated once, and each message by itself.
            Reach::All => Kept::Nothing,
            Reach::Replies | Reach::Named => Kept::Last,
        };
        let room = self.memory.window_room();
        let accepted = self.config.accept(request, (sent, room))?;
        if self.is_refusing() {
            return Err(DRAINING);
        }
        let agreement = accepted.agreement();
        self.arriving(app, request, (ArrivalPurpose::Stay, None))?;
        self.responses.upgrade(&accepted);
        self.apps.awake(app, now);
        Ok(agreement)
    }

    /// Writes the beginning of an event stream of that application.
    ///
    /// # Errors
    /// The application's refusal.
    pub(in crate::server) fn begin_stream(
        &mut self,
        app: AppIndex,
        request: &Request<'_>,
        now: Instant,
    ) -> Result<Resumed, Fault> {
        self.arriving(app, request, (ArrivalPurpose::Stay, None))?;
        self.apps.awake(app, now);
        let app = (app, self.listed(request));
        let last = stream::last_event_id(request);
        let into = (&mut self.apps, &mut self.responses);
        Ok(stream::begin(app, last, into, &self.config, now))
    }

    /// Writes the beginning of an event stream whose client missed something that is lost.
    pub(in crate::server) fn begin_stale(&mut self, resumed: Resumed, now: Instant) {
        let (apps, responses) = (&self.apps, &mut self.responses);
        stream::begin_stale(resumed, apps, responses, &self.config, now);
    }

    /// Queues the response that was written.
    ///
    /// # Errors
    /// [`Unsent`]; then nothing was queued.
    pub(in crate::server) fn send_response(
        &self,
        id: ConnectionId,
        wire: &mut impl Wire<Message<A::Letters>>,
    ) -> Result<(), Unsent> {
        self.responses.send(id, wire)
    }

    /// What a request gets of the files for browsers; `None` if it is for none of them.
    pub(in crate::server) fn file(&mut self, request: &Request<'_>) -> Option<Answer> {
        self.file_at(request.path(), request)
    }

    /// The same of the file at that path.
    pub(in crate::server) fn file_at(
        &mut self,
        path: &str,
        request: &Request<'_>,
    ) -> Option<Answer> {
        match FileAnswer::find(path, request, self.config.public())? {
            FileFound::Answer(file) => Some(Answer::File(file)),
            FileFound::Folder => {
                let query = request.query().map(|query| format!("?{query}"));
                let location = format!("{}/{}", request.path(), query.unwrap_or_default());
                self.responses.set_location(location);
                Some(Answer::Moved)
            }
        }
    }

    /// Whether there is a file for browsers at that path.
    pub(in crate::server) fn has_file(&self, path: &str) -> bool {
        self.config.public().find(path).is_some()
    }

    /// What follows the head of that answer, if anything does.
    pub(in crate::server) fn content(&self, reply: &Reply) -> Option<FileContent> {
        let Answer::File(file) = reply.answer() else {
            return None;
        };
        let content = file.content(self.config.public());
        let follows = !reply.is_head_only() && !content.range.is_empty();
        follows.then_some(content)
    }

    /// The same request gets an application's answer, whose content is kept for it.
    pub(in crate::server) fn called(&mut self, reply: Reply, response: ApiResponse) -> Reply {
        let ApiResponse {
            status,
            media,
            text,
            cookie,
        } = response;
        self.responses.take_content(text);
        self.responses.set_cookie(cookie);
        reply.with(Answer::Called { status, media })
    }

    /// Queues an answer.
    ///
    /// # Errors
    /// [`Unsent`]; then nothing was queued.
    pub(in crate::server) fn answer(
        &mut self,
        id: ConnectionId,
        reply: &Reply,
        wire: &mut impl Wire<Message<A::Letters>>,
    ) -> Result<(), Unsent> {
        let answer = reply.answer();
        if let Answer::File(file) = answer {
            self.responses.file(reply, file, &self.config, wire.now());
            return self.responses.send(id, wire);
        }
        let figures = self.figures(wire);
        if !answer.is_written() {
            self.responses.begin_content();
        }
        let content = self.responses.content();
        match answer {
            Answer::Index => answer::list(&self.apps, content),
            Answer::Stats(form) => self.round.write(content, form, &self.config, figures, wire),
            Answer::Health
            | Answer::Events
            | Answer::Said { .. }
            | Answer::SaidLater
            | Answer::Exchanged(_)
            | Answer::Called { .. }
            | Answer::Only(_)
            | Answer::Options { .. }
            | Answer::File(_)
            | Answer::Moved => {}
            Answer::Refused { status, reason } => self.log.refused(id, Some(status), reason),
        }
        let kind = answer.write(self.draining.is_announced(), content);
        self.responses.answer(reply, kind, &self.config, wire.now());
        self.responses.send_answer(id, wire)
    }

    /// Says what was posted to its application. The answer, which waits if it is not known yet.
    pub(in crate::server) fn say(
        &mut self,
        saying: &Saying,
        id: ConnectionId,
        wire: &mut impl Wire<Message<A::Letters>>,
    ) -> Reply {
        let (apps, mut outgoing) = self.apps_and_outgoing(wire);
        if let Err(reply) = saying.say(id, apps, &mut outgoing) {
            return reply;
        }
        let reply = saying.reply();
        if let Some(answer) = self.outbox.take_answer(id) {
            return reply.said(answer);
        }
        match self.outbox.take_response(id) {
            Some(response) => self.called(reply, response),
            None => reply,
        }
    }

    /// An answer was work. Whether the connection's share of the turn is spent.
    pub(in crate::server) fn is_spent_by_answer(&mut self) -> bool {
        let bytes = self.responses.content_len();
        self.memory.inbound().is_spent_by_answer(bytes)
    }
}

/// Figures, of this core and of all.
impl<A: Apps> Shared<A> {
    /// Somebody wants the figures of all cores. Whether others have to tell theirs first.
    pub(in crate::server) fn ask_cores(
        &mut self,
        id: ConnectionId,
        wire: &mut impl Wire<Message<A::Letters>>,
    ) -> bool {
        !self.round.ask(id, wire)
    }

    /// Tells another core the figures of this one.
    pub(in crate::server) fn tell_figures(
        &mut self,
        to: Core,
        round: u64,
        wire: &mut impl Wire<Message<A::Letters>>,
    ) {
        let vitals = self.round.vitals(wire);
        let figures = Box::new(Figures::new(self.figures(wire), &vitals));
        wire.forward(to, Message::Tell { round, figures });
    }

    /// Another core told. Whether all have.
    pub(in crate::server) fn told_figures(
        &mut self,
        from: Core,
        round: u64,
        figures: Figures,
    ) -> bool {
        self.round.tell(from, round, figures)
    }

    /// Whether those who wait for figures have waited long enough.
    pub(in crate::server) fn is_round_over(&self, now: Instant) -> bool {
        self.round.deadline().is_some_and(|until| until <= now)
    }

    /// Hands over who waits for figures. Whether applications do.
    pub(in crate::server) fn take_askers(&mut self, into: &mut Vec<ConnectionId>) -> bool {
        self.round.end(into)
    }

    /// An application wants the figures of all cores: it is told at once if there is no other core.
    pub(in crate::server) fn measure(&mut self, wire: &mut impl Wire<Message<A::Letters>>) {
        if self.round.measure(wire) {
            self.tell_measured(wire);
        }
    }

    /// Tells the applications the figures of all cores.
    pub(in crate::server) fn tell_measured(&mut self, wire: &mut impl Wire<Message<A::Letters>>) {
        let (own, mut text) = (self.figures(wire), Vec::new());
        self.round
            .write(&mut text, Form::Json, &self.config, own, wire);
        let text = String::from_utf8(text).unwrap_or_default();
        let (apps, mut outgoing) = self.apps_and_outgoing(wire);
        apps.measured(text.trim_end(), &mut outgoing);
    }

    /// What is counted, with what is held now.
    fn figures(&self, wire: &impl Wire<Message<A::Letters>>) -> (Tally, Holdings) {
        let inbound = self.memory.inbound_bytes();
        let held = inbound + wire.held_bytes() + self.memory.windows();
        let tally = self.tally.holding(inbound as u64, held as u64);
        (
            tally.with_log_lost(self.log.log_lost()),
            self.apps.holdings(),
        )
    }
}

const fn fault(Refusal { status, reason }: Refusal) -> Fault {
    Fault::Http { status, reason }
}
