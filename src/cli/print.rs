//! Prints. A reader that has gone away (`ringstorm ... | head`) is no reason to fail; a disk that
//! is full is one.

use super::Failure;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::fmt::Display;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::sync::mpsc::Sender;
use std::sync::{Mutex, PoisonError};

/// A line on stdout, at once: what the user asked for.
pub(super) fn line(text: impl Display) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    written(writeln!(out, "{text}").and_then(|()| out.flush()))
}

/// Text on stdout that brings its own line breaks.
pub(super) fn text(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    written(out.write_all(text.as_bytes()).and_then(|()| out.flush()))
}

/// Whether the reader of stdout has gone away: nothing more that is printed will be read.
pub(super) fn is_unread() -> bool {
    let out = io::stdout();
    let mut polled = [PollFd::new(&out, PollFlags::empty())];
    // poll(2): the write end of a pipe whose read end is closed has POLLERR.
    poll(&mut polled, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
        && polled[0].revents().contains(PollFlags::ERR)
}

fn written(result: io::Result<()>) -> Result<(), Failure> {
    match result {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            let text = format!("cannot write to stdout: {error}; try: another file or disk");
            Err(Failure::Run(text))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Whether a live view can be drawn there: a terminal that moves its cursor. An editor's shell and
/// the like say `TERM=dumb`, or nothing.
pub(super) fn draws(out: &impl IsTerminal) -> bool {
    let term = std::env::var_os("TERM").unwrap_or_default();
    out.is_terminal() && !term.is_empty() && term != "dumb"
}

/// What writes notes in place of [`note`].
static NOTES: Mutex<Option<Sender<String>>> = Mutex::new(None);

/// Notes are sent there from now on, as long as somebody receives them.
pub(super) fn notes_to(says: Sender<String>) {
    *NOTES.lock().unwrap_or_else(PoisonError::into_inner) = Some(says);
}

/// A line on stderr: what goes on meanwhile.
pub(super) fn note(text: impl Display) {
    let notes = NOTES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(says) = &*notes
        && says.send(text.to_string()).is_ok()
    {
        return;
    }
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Why the program ends without having done what was asked.
pub(super) fn complain(failure: &impl Display) {
    note(format_args!("ringstorm: {failure}"));
}

/// So many of what has that name: 1 channel, 1,000 channels.
pub(super) fn counted(count: u64, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", whole(count))
}

/// A number with its thousands apart: 1,234,567.
pub(super) fn whole(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_stand_apart() {
        let cases = [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (1_234_567, "1,234,567"),
        ];
        for (number, text) in cases {
            assert_eq!(whole(number), text);
        }
    }
}
