//! The live views of load and agent on terminals that are narrow, or that cannot move their cursor.

use super::agent_terminal::{open, read};
use super::program::Serving;
use std::process::Command;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// All that the program shows on a terminal of so many columns that says to be of that kind.
fn shown(arguments: &[&str], columns: u16, term: Option<&str>) -> String {
    let (master, slave) = open(columns);
    let end = || slave.try_clone().expect("a copy of a descriptor");
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringstorm"));
    command.args(arguments).env_remove("TERM");
    command.stdin(end()).stdout(end()).stderr(end());
    let mut child = command
        .envs(term.map(|term| ("TERM", term)))
        .spawn()
        .expect("the program starts");
    let (tell, told) = mpsc::channel();
    thread::spawn(move || read(master, &tell));
    let by = Instant::now() + Duration::from_secs(60);
    let mut shown = String::new();
    while child.try_wait().expect("a child").is_none() {
        shown.extend(told.try_iter());
        if Instant::now() > by {
            let _ = child.kill();
            panic!("it does not end: {shown:?}");
        }
        thread::sleep(Duration::from_millis(10));
    }
    drop((slave, command));
    shown.extend(told.iter());
    shown
}

/// What a terminal of so many columns and 24 lines has on it after that: ECMA-48, CUP and ED; other
/// sequences change no letter.
fn drawn(bytes: &str, columns: usize) -> Vec<String> {
    let mut lines = vec![vec![' '; columns]; 24];
    let (mut row, mut column) = (0, 0);
    let mut rest = bytes.chars();
    while let Some(letter) = rest.next() {
        match letter {
            '\u{1b}' => {
                let mut numbers = String::new();
                let last = rest.find(|it| {
                    numbers.push(*it);
                    it.is_ascii_alphabetic()
                });
                let numbers = numbers.trim_matches(|it: char| !it.is_ascii_digit());
                let mut numbers = numbers.split(';').map(|it| it.parse().unwrap_or(1));
                match last {
                    Some('H') => {
                        row = numbers.next().unwrap_or(1) - 1;
                        column = numbers.next().unwrap_or(1) - 1;
                    }
                    Some('J') => lines.iter_mut().for_each(|line| line.fill(' ')),
                    _ => {}
                }
            }
            _ => {
                lines[row][column] = letter;
                column += 1;
            }
        }
    }
    lines.iter().map(|line| line.iter().collect()).collect()
}

fn load_flags(url: &str) -> Vec<&str> {
    let flags = ["-c", "4", "-r", "200", "-d", "2s", "--cores", "0"];
    [&["load", url][..], &flags].concat()
}

/// The load's view as it was when the run ended.
fn view(url: &str, columns: u16) -> Vec<String> {
    let all = shown(&load_flags(url), columns, Some("xterm"));
    let (_, view) = all.split_once("\u{1b}[?1049h").expect("the view came");
    let (view, after) = view.split_once("\u{1b}[?1049l").expect("the view went");
    assert!(after.contains("verdict"), "the summary follows: {after:?}");
    drawn(view, usize::from(columns))
}

#[test]
fn a_narrow_view_of_a_load_cuts_no_value_without_a_sign() {
    let server = Serving::start(&["--cores", "0"]);
    let url = format!("ws://{}/echo", server.address);
    for columns in [80, 60] {
        let lines = view(&url, columns);
        let all = lines.join("\n");
        let line = |start: &str| {
            let found = lines
                .iter()
                .find(|it| it.trim_start_matches('│').starts_with(start));
            found.unwrap_or_else(|| panic!("{start}: {all}")).trim_end()
        };
        let head = line("ringstorm load ");
        assert!(head.contains(&url) || head.ends_with('…'), "{head}");
        // 74 columns and a frame.
        let (percentiles, response) = (line("~ few"), line("response"));
        if columns == 80 {
            assert!(percentiles.contains(" max"), "{percentiles}");
            assert!(!response.contains('…'), "{response}");
        } else {
            assert!(percentiles.ends_with("…│"), "{percentiles}");
            assert!(response.ends_with("…│"), "{response}");
        }
        assert!(line("up ").contains(" 4"), "{all}");
        // Panels have their frames, whatever is in them.
        let corners = |corner| lines.iter().filter(|it| it.contains(corner)).count();
        assert_eq!((corners('┌'), corners('└')), (3, 3), "{all}");
    }
}

#[test]
fn a_terminal_that_cannot_move_its_cursor_gets_lines() {
    let server = Serving::start(&["--cores", "0"]);
    let url = format!("ws://{}/echo", server.address);
    let agent_url = format!("http://{}", server.address);
    let agent = ["agent", &agent_url, "--count", "2", "--refresh", "200ms"];
    for term in [Some("dumb"), Some(""), None] {
        let text = shown(&load_flags(&url), 80, term);
        assert!(!text.contains('\u{1b}'), "{term:?}: {text:?}");
        for part in ["measuring", "verdict"] {
            assert!(text.contains(part), "{term:?}: {part}: {text}");
        }
        let text = shown(&agent, 80, term);
        assert!(!text.contains('\u{1b}'), "{term:?}: {text:?}");
        assert!(text.lines().count() >= 2, "{term:?}: {text}");
    }
}
