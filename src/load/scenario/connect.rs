//! Connect: all connect, and that was it. How long that takes is measured beside it, run by run.

use super::{Dialogue, Heard, Line, Part, Program, Turns};

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
    fn up(&mut self, line: &mut Line<'_>) {
        line.ready(Part::Listens);
    }

    fn heard(&mut self, _heard: Heard<'_>, _line: &mut Line<'_>) {}
}
