//! Bounds of what is asked of the application behind the server, passed on to it, and wanted by it.

use std::time::Duration;

/// Questions of one core that the application behind the server has not answered; what is asked
/// beyond them fails at once.
pub const HOOKS_OPEN: usize = 16_384;
/// Questions that one message of a client may lead to; what it asks beyond them fails.
pub const HOOKS_OF_ONE: usize = 64;
/// Time between two looks of a core for answers, while it waits for some.
pub const HOOK_LOOK_TIME: Duration = Duration::from_millis(1);
/// How much longer than the thread that asks a core waits for it.
pub const HOOK_GRACE_TIME: Duration = Duration::from_secs(1);
/// Bytes of one answer of that application.
pub const HOOK_ANSWER_BYTES: usize = 256 * 1024;
/// Different reasons that it may give for what it denies.
pub const REASONS: usize = 1024;
/// What that application is told at once, at most, and how much of it may wait.
pub const HOOK_TELLS: usize = 256;
/// What it is told and has not taken; more is lost, and counted.
pub const HOOK_TELLS_OPEN: usize = 16_384;
/// Time between two requests that tell something, unless there is much to tell.
pub const HOOK_TELL_TIME: Duration = Duration::from_millis(20);
/// Bytes of a request's body, and of its response's, that wait between a core and the thread that
/// passes them on, about.
pub const PASSED_BYTES: usize = 64 * 1024;
/// Bytes of a piece of a response that is passed on: it has room in any backlog.
pub const PASSED_PIECE_BYTES: usize = 16 * 1024;
/// Bytes of the fields of a response that is passed on.
pub const PASSED_HEAD_BYTES: usize = 64 * 1024;
/// Requests of one core that are passed on at once; more get 503.
pub const PASSED_OPEN: usize = 1024;
/// Tokens that the application has taken back and that would still be good.
pub const TOKENS_REVOKED: usize = 100_000;
