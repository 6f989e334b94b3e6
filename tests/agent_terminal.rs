//! The terminal of the live view: given back as it was, when the user quits and when it panics.
//!
//! Each test runs one of the ignored ones as a process of its own on a pseudo-terminal.

#![expect(unsafe_code, reason = "a pseudo-terminal is made and asked by libc")]

use ratatui::crossterm::terminal::is_raw_mode_enabled;
use ringstorm::cli::agent::Ended;
use ringstorm::cli::agent::view::{AgentScreen, draw, show};
use ringstorm::engine::Stop;
use std::fs::File;
use std::io::{Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd};
use std::process::{Command, ExitStatus};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// Both ends of a pseudo-terminal of so many columns and 24 lines.
pub(super) fn open(columns: u16) -> (File, File) {
    let size = libc::winsize {
        ws_row: 24,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    let (mut master, mut slave) = (-1, -1);
    // SAFETY: openpty(3) writes two descriptors and reads one size.
    let failed = unsafe {
        libc::openpty(
            &raw mut master,
            &raw mut slave,
            std::ptr::null_mut(),
            std::ptr::null(),
            &raw const size,
        )
    };
    assert_eq!(failed, 0, "{}", std::io::Error::last_os_error());
    // SAFETY: a new descriptor that nobody else has.
    let master = unsafe { File::from_raw_fd(master) };
    // SAFETY: as above.
    let slave = unsafe { File::from_raw_fd(slave) };
    // A child that inherits the other end keeps its own terminal alive.
    rustix::io::fcntl_setfd(&master, rustix::io::FdFlags::CLOEXEC).expect("a descriptor");
    (master, slave)
}

/// How the terminal treats what is typed and shown.
fn modes(terminal: &File) -> [libc::tcflag_t; 4] {
    let mut modes = MaybeUninit::uninit();
    // SAFETY: tcgetattr(3) fills one `termios`.
    let failed = unsafe { libc::tcgetattr(terminal.as_raw_fd(), modes.as_mut_ptr()) };
    assert_eq!(failed, 0, "{}", std::io::Error::last_os_error());
    // SAFETY: it did not fail.
    let modes: libc::termios = unsafe { modes.assume_init() };
    [modes.c_iflag, modes.c_oflag, modes.c_cflag, modes.c_lflag]
}

/// Runs one of the tests below on a terminal of its own, types something once the view is there;
/// gives how it ended and all that was shown. The terminal must be as before.
fn on_a_terminal(test: &str, typed: &[u8]) -> (ExitStatus, String) {
    let (_, module) = module_path!().split_once("::").expect("a module");
    let test = format!("{module}::{test}");
    let (master, slave) = open(80);
    let before = modes(&slave);
    let end = || slave.try_clone().expect("a copy of a descriptor");
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", &test, "--ignored", "--nocapture"])
        .env_remove("RUST_BACKTRACE")
        .env("TERM", "xterm")
        .stdin(end())
        .stdout(end())
        .stderr(end())
        .spawn()
        .expect("this program runs");
    let mut keyboard = master.try_clone().expect("a copy of a descriptor");
    let (tell, told) = mpsc::channel();
    thread::spawn(move || read(master, &tell));
    let deadline = Instant::now() + Duration::from_secs(30);
    let mut shown = String::new();
    let mut left = typed;
    let status = loop {
        shown.extend(told.try_iter());
        if shown.contains("\u{1b}[?1049h") && !left.is_empty() {
            keyboard.write_all(left).expect("typed");
            left = b"";
        }
        if let Some(status) = child.try_wait().expect("a child") {
            break status;
        }
        if Instant::now() > deadline {
            let _ = child.kill();
            panic!("it does not end: {shown:?}");
        }
        thread::sleep(Duration::from_millis(10));
    };
    assert_eq!(modes(&slave), before, "{shown:?}");
    drop(slave);
    shown.extend(told.iter());
    (status, shown)
}

/// Reads until the other end is closed, which is an error here (EIO).
pub(super) fn read(mut master: File, tell: &mpsc::Sender<String>) {
    let mut bytes = [0; 4096];
    while let Ok(length @ 1..) = master.read(&mut bytes) {
        let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
        if tell.send(text).is_err() {
            return;
        }
    }
}

/// What is shown after the view's screen was left; it must have been entered before.
fn after_the_view(shown: &str) -> &str {
    let (_, view) = shown.split_once("\u{1b}[?1049h").expect("the view came");
    let (_, after) = view.split_once("\u{1b}[?1049l").expect("the view went");
    after
}

#[test]
fn a_panic_while_drawing_gives_the_terminal_back_and_then_speaks() {
    let (status, shown) = on_a_terminal("draws_once_and_panics", b"");
    assert!(!status.success(), "{shown:?}");
    let after = after_the_view(&shown);
    assert!(after.contains("planted while drawing"), "{after:?}");
    assert!(!after.contains("\u{1b}[?1049h"), "{after:?}");
}

#[test]
fn quitting_gives_the_terminal_back() {
    let (status, shown) = on_a_terminal("draws_until_q", b"q");
    assert!(status.success(), "{shown:?}");
    assert!(shown.contains("ringstorm agent"), "{shown:?}");
    // The cursor is hidden while the view is there.
    let shows = shown.rfind("\u{1b}[?25h");
    assert!(shows > shown.rfind("\u{1b}[?25l"), "{shown:?}");
    after_the_view(&shown);
}

/// A terminal that hung up reads as empty for ever (tty(4)).
#[test]
fn a_view_ends_when_its_terminal_is_gone() {
    let (_, module) = module_path!().split_once("::").expect("a module");
    let (mut master, slave) = open(80);
    let end = || slave.try_clone().expect("a copy of a descriptor");
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", &format!("{module}::draws_until_q"), "--ignored"])
        .arg("--nocapture")
        .env("TERM", "xterm")
        .stdin(end())
        .stdout(end())
        .stderr(end())
        .spawn()
        .expect("this program runs");
    let (mut shown, mut bytes) = (Vec::new(), [0; 4096]);
    while !String::from_utf8_lossy(&shown).contains("ringstorm agent") {
        let length = master.read(&mut bytes).expect("the view is drawn");
        shown.extend_from_slice(&bytes[..length]);
    }
    drop((master, slave));
    let deadline = Instant::now() + Duration::from_secs(30);
    while child.try_wait().expect("a child").is_none() {
        if Instant::now() > deadline {
            let _ = child.kill();
            panic!("it goes on without a terminal");
        }
        thread::sleep(Duration::from_millis(10));
    }
}

fn screen() -> AgentScreen {
    AgentScreen::new("http://127.0.0.1:9000", Duration::from_secs(1))
}

#[test]
#[ignore = "wants a terminal: the others run it on one"]
fn draws_once_and_panics() {
    let (_tell, readings) = mpsc::channel();
    let _ = show(
        &mut screen(),
        &readings,
        &Stop::default(),
        |frame, screen| {
            draw(frame, screen);
            assert!(is_raw_mode_enabled().expect("a terminal"));
            panic!("planted while drawing");
        },
    );
}

#[test]
#[ignore = "wants a terminal: the others run it on one"]
fn draws_until_q() {
    let (_tell, readings) = mpsc::channel();
    let ended = show(&mut screen(), &readings, &Stop::default(), draw);
    assert_eq!(ended.expect("a terminal"), Ended::Done);
}
