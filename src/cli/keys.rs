//! What a terminal has to say while a live view waits: a key, or that it is gone.

use ratatui::crossterm::event::{self, Event};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{self, IsTerminal as _, stderr, stdin};
use std::os::fd::AsFd as _;
use std::time::Duration;

/// What came in the time that was waited.
pub(super) enum TerminalEvent {
    Nothing,
    Input(Event),
    /// The terminal hung up: nobody will ever type again.
    Gone,
}

/// Waits so long for an event of the terminal.
///
/// A terminal that hung up reads as empty for ever (tty(4), termios(3)), and the library that reads
/// keys asks again each time; so that is looked for first.
///
/// # Errors
/// The terminal cannot be read.
pub(super) fn wait(longest: Duration) -> io::Result<TerminalEvent> {
    let (input, output) = (stdin(), stderr());
    let terminal = if input.is_terminal() {
        input.as_fd()
    } else {
        output.as_fd()
    };
    let longest = Timespec::try_from(longest).map_err(io::Error::other)?;
    let mut asked = [PollFd::from_borrowed_fd(terminal, PollFlags::IN)];
    match poll(&mut asked, Some(&longest)) {
        // A new size comes as a signal, and the event of it below.
        Ok(_) | Err(rustix::io::Errno::INTR) => {}
        Err(errno) => return Err(errno.into()),
    }
    let gone = PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL;
    if asked.iter().any(|asked| asked.revents().intersects(gone)) {
        return Ok(TerminalEvent::Gone);
    }
    if event::poll(Duration::ZERO)? {
        return event::read().map(TerminalEvent::Input);
    }
    Ok(TerminalEvent::Nothing)
}
