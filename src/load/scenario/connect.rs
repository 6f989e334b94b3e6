//! Connect: all connect, and that was it. How long that takes is measured beside it, run by run.

use super::{Context, Dialogue, Incoming, Part, Program, Turns};

/// The scenario `connect`.
#[derive(Clone, Copy, Debug)]
pub struct Connect;

/// One client: nothing is expected of it.
#[derive(Debug)]
struct Connected;

impl Program for Connect {
    fn name(&self) -> &'static str {
        "connect"
    }

    fn turns(&self) -> Turns {
        Turns::Never
    }

    fn begin(&self, _number: u32) -> Box<dyn Dialogue> {
        Box::new(Connected)
    }
}

impl Dialogue for Connected {
    fn on_open(&mut self, context: &mut Context<'_>) {
        context.ready(Part::Listens);
    }

    fn on_message(&mut self, _heard: Incoming<'_>, _context: &mut Context<'_>) {}
}
