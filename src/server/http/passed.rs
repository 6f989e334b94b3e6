//! A request that is passed on: what becomes of the connection when something of its response has
//! come.

use super::{Http, Phase};
use crate::server::admission::Place;
use crate::server::answer::Reply;
use crate::server::apps::Apps;
use crate::server::passing::PassedStep;
use crate::server::shared::Shared;
use crate::server::stats::Message;
use crate::server::step::{DeferWait, Step};
use crate::server::tally::CloseReason;
use crate::shard::{Close, ConnectionId, Wire};

impl Http {
    /// Something has come of a request that is passed on, or the client has read.
    pub(in crate::server) fn passed<A: Apps>(
        &mut self,
        (id, place): (ConnectionId, Place),
        shared: &mut Shared<A>,
        wire: &mut impl Wire<Message<A::Letters>>,
    ) -> Step {
        let Phase::Passing(passing) = &mut self.phase else {
            return Step::Stay;
        };
        let went = passing.go_on(id, wire);
        if let Ok(PassedStep::Waits) = went {
            if passing.hears_again() {
                shared.inbound().defer(id, DeferWait::Share, wire.now());
            }
            return Step::Stay;
        }
        let is_asked = passing.is_asked();
        let mut reply = *passing.reply();
        if shared.is_draining() {
            reply.end_with(CloseReason::Drain);
        }
        let step = match went {
            Ok(PassedStep::Done) => reply.once_sent(Ok(())),
            Ok(PassedStep::Waits | PassedStep::Broken) => Some(Step::End {
                how: Close::Abort,
                why: CloseReason::Done,
            }),
            Ok(PassedStep::Failed(fault)) => {
                if !is_asked {
                    reply.end_with(CloseReason::Done);
                }
                let refusal = Reply::refuse(fault).answer();
                return self
                    .send((id, place), reply.with(refusal), shared, wire)
                    .unwrap_or(Step::Stay);
            }
            Err(unsent) => reply.once_sent(Err(unsent)),
        };
        if step.is_none() {
            self.phase = Phase::Idle;
            shared.await_request(id, wire.now());
        }
        step.unwrap_or(Step::Stay)
    }
}
