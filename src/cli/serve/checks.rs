//! What of the flags of `serve` does not go together, and what would.

use crate::cli::Failure;
use crate::cli::flags::{ServeEngine, ServeFlags};
use crate::cli::listen::Listen;
use crate::cli::values::Switch;
use crate::limits;
use crate::protocol::websocket::frame::HEADER_BYTES;
use crate::tls::sealed_bytes;

/// Whether the flags go together.
pub(super) fn check(flags: &ServeFlags) -> Result<(), Failure> {
    check_bounds(flags)?;
    match flags.engine {
        ServeEngine::Baseline => check_baseline(flags),
        ServeEngine::Ring | ServeEngine::Tokio => Ok(()),
    }
}

/// How many receive buffers a ring has, and how long each is.
pub(super) fn receiving(flags: &ServeFlags) -> Result<(u16, u32), Failure> {
    let usage = |text: &str| Err(Failure::Usage(text.to_owned()));
    let asked = [
        ("--receive-buffers", flags.receive_buffers.is_some()),
        ("--receive-bytes", flags.receive_bytes.is_some()),
    ];
    if flags.engine != ServeEngine::Ring
        && let Some((flag, _)) = asked.into_iter().find(|(_, asked)| *asked)
    {
        let name = flags.engine.name();
        return Err(Failure::Usage(format!(
            "{flag}: only the ring has receive buffers, --engine {name} reads when it is told \
             that something came; try: --engine ring, or leave it out"
        )));
    }
    let buffers = flags.receive_buffers;
    let buffers = buffers.map_or(limits::RECEIVE_BUFFERS, |it| u16::try_from(it).unwrap_or(0));
    if !buffers.is_power_of_two() {
        return usage("--receive-buffers: write a power of two up to 32768, such as 1024");
    }
    let bytes = flags.receive_bytes;
    let bytes = bytes.map_or(limits::RECEIVE_BYTES, |it| u32::try_from(it).unwrap_or(0));
    if !(64..=1 << 24).contains(&bytes) {
        return usage("--receive-bytes: write a size from 64 to 16M, such as 4k");
    }
    Ok((buffers, bytes))
}

/// Refuses what is asked of the baseline beyond what it has, rather than to ignore it.
fn check_baseline(flags: &ServeFlags) -> Result<(), Failure> {
    if !cfg!(feature = "baseline") {
        return Err(without_baseline("--engine baseline"));
    }
    let time = Switch::After;
    let asked = [
        (
            "--listen unix: or systemd",
            flags.listen.iter().any(is_no_address),
        ),
        ("--admin-listen", flags.admin_listen.is_some()),
        ("--admin-token", flags.admin_token.is_some()),
        ("--room-size", flags.room_size != limits::ROOM_SIZE),
        ("--max-fragments", flags.max_fragments != 1024),
        ("--max-backlog", flags.max_backlog != 4 << 20),
        ("--idle-timeout", flags.idle_timeout.is_some()),
        (
            "--message-timeout",
            flags.message_timeout != time(limits::STALL_TIME),
        ),
        (
            "--backlog-timeout",
            flags.backlog_timeout != time(limits::STALL_TIME),
        ),
        ("--max-memory", flags.max_memory != limits::MEMORY_BYTES),
        ("--drain-delay", !flags.drain_delay.is_zero()),
        ("--drain-spread", !flags.drain_spread.is_zero()),
        ("--drain-code", flags.drain_code != 1001),
        ("--max-connections", flags.max_connections.is_some()),
        ("--deflate", flags.deflate.is_on()),
        ("--subprotocol", !flags.subprotocol.is_empty()),
        ("--origin", !flags.origin.is_empty()),
        ("--tls-cert", flags.tls.is_on()),
        ("--public", flags.public.is_some()),
    ];
    let asked = asked.into_iter().find(|(_, asked)| *asked);
    let asked = asked.map(|(flag, _)| flag).or(flags.limits.asked());
    let asked = asked.or(flags.log.asked()).or(flags.backend.asked());
    let asked = asked.or(flags.passing.asked());
    let asked = asked.or(flags.journal.asked());
    match asked.or(flags.channels.asked()) {
        Some(flag) => {
            let text = format!("{flag}: the baseline has no such thing; try: --engine tokio");
            Err(Failure::Usage(text))
        }
        None => Ok(()),
    }
}

const fn is_no_address(listen: &Listen) -> bool {
    !matches!(listen, Listen::Address(_))
}

/// Whether the bounds on bytes go together.
fn check_bounds(flags: &ServeFlags) -> Result<(), Failure> {
    if sealed_bytes(flags.max_message.saturating_add(HEADER_BYTES)) > flags.max_backlog {
        return Err(Failure::Usage(format!(
            "--max-backlog: {} bytes have no room for the echo of a message of \
             --max-message {} bytes; try: --max-backlog {}",
            flags.max_backlog,
            flags.max_message,
            sealed_bytes(flags.max_message.saturating_add(HEADER_BYTES)).next_power_of_two()
        )));
    }
    if flags.max_memory < flags.max_message {
        return Err(Failure::Usage(format!(
            "--max-memory: {} bytes do not hold a message of --max-message {} bytes",
            flags.max_memory, flags.max_message
        )));
    }
    Ok(())
}

/// What wants the baseline in a build without it.
pub(in crate::cli) fn without_baseline(what: &str) -> Failure {
    let remedy = "a build with the feature `baseline`, as it is by default";
    Failure::Usage(format!("{what}: not in this build; try: {remedy}"))
}
