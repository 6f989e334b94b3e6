//! The application behind the server, as one core sees it: it is asked what clients may, told what
//! became of them, and answers later. How it is reached is not known here.
//!
//! Whatever a message of a client, or a stream that comes, asks for is asked at once, and the
//! client is not heard until all of it is answered; everybody else is. Then the message goes on as
//! if nothing had been asked, and the answers are there where its dialect looks for a ruling.

mod answer;
mod call;
mod counts;
mod hooks;
mod kind;
mod line;

pub use answer::{HookOutcome, HookWords};
pub use call::{HookCall, HookCaller, HookQuestion};
pub use counts::{HOOK_BOUNDS_MS, HookCounts, HookFigures};
pub use hooks::{AnsweredHook, Hooks};
pub use kind::{HookFailure, HookKind, HookSet};
pub use line::{HookLine, HookPlan, HookReply};
