//! What an operator asks a running server: what its logs have, which a thread beside the cores
//! reads, and once a second what all cores count.

mod dash;
mod line;

pub use dash::Dash;
pub use line::{ConsoleLine, ConsoleQuestion, ConsoleReply};

use super::{
    Admittance, ApiCall, ApiResponse, App, Arrival, ArrivalPurpose, CallMethod, Effects, Message,
    Reach, Refusal, Seat, User,
};
use crate::limits;
use crate::live::Live;
use crate::shard::Core;
use crate::time::Instant;
use std::collections::BTreeMap;
use std::time::Duration;

/// Where the figures of a time are asked for.
pub const REPORT: &str = "/report/data";
/// Where lines of the logs are.
pub const LOGS: &str = "/logs/data";
/// Where the figures of each second are told.
pub const DASH: &str = "/dash/events";
/// The same where everything is open to all.
pub const STREAM: &str = "/dashboard/stream";
/// All of them: for whoever may look into the server.
pub const PRIVATE: [&str; 3] = [REPORT, LOGS, DASH];

/// Time between two readings of what all cores count.
const SECOND: Duration = Duration::from_secs(1);

/// What an operator may ask.
#[derive(Clone, Debug, Default)]
pub struct ConsolePlan {
    /// A line for each core to the thread that reads the logs; none where there are no logs.
    pub lines: Vec<ConsoleLine>,
    /// Where the text of `/stats` is told each second, for the logs.
    pub seconds: Option<Live<String>>,
}

/// What one core has been asked.
#[derive(Debug)]
pub struct Console {
    plan: ConsolePlan,
    here: Core,
    /// Who waits for an answer, by its number.
    waiting: BTreeMap<u64, User>,
    asked: u64,
    /// When it is looked for answers, while somebody waits.
    look_at: Option<Instant>,
    /// When all cores are asked what they count, on the core that does so.
    measure_at: Option<Instant>,
}

impl Console {
    /// Nothing has been asked yet.
    #[must_use]
    pub fn new(plan: ConsolePlan) -> Self {
        Self {
            plan,
            here: Core(0),
            waiting: BTreeMap::new(),
            asked: 0,
            look_at: None,
            measure_at: None,
        }
    }

    fn look(&mut self, effects: &mut impl Effects<()>) {
        let Some(line) = self.plan.lines.get(self.here.index()) else {
            return;
        };
        for ConsoleReply { number, response } in line.take_replies() {
            if let Some(asker) = self.waiting.remove(&number) {
                effects.respond(asker, response);
            }
        }
    }
}

/// An answer that says what is wrong, as JSON.
fn fault(status: u16, text: &str) -> ApiResponse {
    ApiResponse::json(status, format!("{{\"error\":\"{text}\"}}\n"))
}

impl App for Console {
    type Batch = ();
    const REACH: Reach = Reach::Replies;
    const HEARS: bool = false;

    fn started(&mut self, here: Core, _cores: u16) {
        self.here = here;
        // The first turn comes at once: the time of day is not known here.
        let is_first = here == Core(0) && self.plan.seconds.is_some();
        self.measure_at = is_first.then(Instant::default);
    }

    fn arriving(&mut self, arrival: &Arrival<'_>) -> Result<Admittance, Refusal> {
        match arrival.purpose {
            ArrivalPurpose::Call => Ok(Admittance::default()),
            ArrivalPurpose::Stay => Err(Refusal {
                status: 400,
                reason: "an answer, not a WebSocket",
            }),
        }
    }

    fn said(&mut self, _: User, _: Seat, _: Message<'_>, _: &mut impl Effects<()>) {}

    fn called(&mut self, asker: User, call: ApiCall<'_>, effects: &mut impl Effects<()>) {
        if call.method == CallMethod::Post {
            return effects.respond(asker, fault(405, "only GET here"));
        }
        let Some(line) = self.plan.lines.get(self.here.index()) else {
            let text = "this server keeps no logs; start it with --logs DIR";
            return effects.respond(asker, fault(404, text));
        };
        if self.waiting.len() >= limits::CONSOLE_QUESTIONS {
            let text = "too much is asked already; ask again in a moment";
            return effects.respond(asker, fault(503, text));
        }
        self.asked += 1;
        self.waiting.insert(self.asked, asker);
        line.ask(ConsoleQuestion {
            number: self.asked,
            path: call.path.into(),
            query: call.query.into(),
        });
        let look_at = effects.now() + limits::HOOK_LOOK_TIME;
        self.look_at.get_or_insert(look_at);
    }

    fn hung_up(&mut self, asker: User, _effects: &mut impl Effects<()>) {
        self.waiting.retain(|_, waits| *waits != asker);
    }

    fn deadline(&self) -> Option<Instant> {
        [self.look_at, self.measure_at].into_iter().flatten().min()
    }

    fn expired(&mut self, now: Instant, effects: &mut impl Effects<()>) -> u64 {
        if self.look_at.is_some_and(|at| at <= now) {
            self.look(effects);
            let next = now + limits::HOOK_LOOK_TIME;
            self.look_at = (!self.waiting.is_empty()).then_some(next);
        }
        if self.measure_at.is_some_and(|at| at <= now) {
            effects.measure();
            self.measure_at = Some(now + SECOND);
        }
        0
    }

    fn measured(&mut self, figures: &str, _effects: &mut impl Effects<()>) {
        if let (Some(_), Some(seconds)) = (self.measure_at, &self.plan.seconds) {
            seconds.say(figures.to_owned());
        }
    }
}

#[cfg(test)]
mod tests;
