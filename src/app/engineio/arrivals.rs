//! Who comes for Socket.IO: with a WebSocket, or with requests, to a session or to begin one.

use super::{
    Admittance, ApiCall, Arrival, ArrivalPurpose, Effects, EngineApp, EngineBatch, EngineFault,
    EngineLetter, EngineQuery, Refusal, SessionKey, User, query,
};
use crate::app::App as _;

impl EngineApp {
    /// Whether somebody may come for Socket.IO.
    pub(super) fn admit(&mut self, arrival: &Arrival<'_>) -> Result<Admittance, Refusal> {
        let asked = EngineQuery::read(arrival.query);
        match (arrival.purpose, &asked.sid) {
            (ArrivalPurpose::Stay, sid) => {
                if let Some(fault) = asked.socket_fault() {
                    return Err(fault.refusal());
                }
                let Some(sid) = sid else {
                    return self.inner.arriving(arrival);
                };
                let key = self.sids.read(sid);
                let is_here = |key: &SessionKey| key.core == self.here;
                let is_known = |key: &SessionKey| !is_here(key) || self.sessions.has(key.number);
                let key = key.filter(is_known);
                self.entering = Some(key.ok_or(EngineFault::UnknownSession.refusal())?);
                Ok(Admittance::default())
            }
            // What is wrong with a request is answered when it is whole.
            (ArrivalPurpose::Call, Some(_)) => {
                let media = (arrival.header)("Content-Type");
                let is_strange = media == Some("application/octet-stream");
                Ok(Admittance {
                    permit: if is_strange { query::STRANGE } else { 0 },
                    cookie: None,
                })
            }
            (ArrivalPurpose::Call, None) => {
                if let Some(share) = arrival.share
                    && self.sessions.pollers(share.address) >= share.most
                {
                    return Err(EngineFault::Share.refusal());
                }
                self.address = arrival.share.map(|it| it.address);
                let mut admittance = self.inner.arriving(arrival)?;
                self.cookie = admittance.cookie.take();
                Ok(admittance)
            }
        }
    }

    /// A request of a session's, or one that begins one.
    pub(super) fn exchange(
        &mut self,
        asker: User,
        call: ApiCall<'_>,
        effects: &mut impl Effects<EngineBatch>,
    ) {
        let asked = EngineQuery::read(call.query);
        let Some(sid) = &asked.sid else {
            return match asked.handshake_fault(call.method) {
                Some(fault) => effects.respond(asker, fault.response()),
                None => self.begin(asker, effects),
            };
        };
        let known = self.sids.read(sid);
        let is_here = known.is_some_and(|key| key.core == self.here);
        let known = known.filter(|key| !is_here || self.sessions.contains(key.number));
        let fault = match known {
            _ if asked.transport_fault().is_some() => asked.transport_fault(),
            None => Some(EngineFault::UnknownSession),
            Some(_) => asked.request_fault(),
        };
        let (Some(session), None) = (known, fault) else {
            let fault = fault.unwrap_or(EngineFault::UnknownSession);
            return effects.respond(asker, fault.response());
        };
        self.links.ask(asker, session);
        let (from, request) = (self.carrier(asker), query::request(call));
        let (sessions, mut out) = self.sessions(effects);
        if session.core == out.here {
            sessions.asked(session.number, from, request, &mut out);
            self.go_on(effects);
        } else {
            let letter = EngineLetter::Asked(session.number, from, request);
            out.letter(session.core, letter);
        }
    }

    /// Somebody begins a session with a request.
    fn begin(&mut self, asker: User, effects: &mut impl Effects<EngineBatch>) {
        let poll = self.carrier(asker);
        let cookie = self.cookie.take();
        let whose = (cookie, self.address.take());
        let Some(number) = self.sessions.begin(poll, whose) else {
            return effects.respond(asker, EngineFault::Full.response());
        };
        let (core, user) = (self.here, User::own(number));
        self.links.ask(asker, SessionKey { core, number });
        let (inner, mut carrying) = self.parts(effects);
        let seat = inner.came(user, &mut carrying);
        self.sessions.seat(number, seat);
        self.settle(effects);
    }
}
