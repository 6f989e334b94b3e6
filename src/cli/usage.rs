//! Says what is wrong with the flags, and shows a line that would do.

use super::flags::Flags;
use super::{Exit, print};
use clap::CommandFactory;
use clap::error::{ContextKind, ContextValue, ErrorKind};

/// Prints help or the fault; gives the exit code.
pub(super) fn explain(error: &clap::Error) -> Exit {
    let words: Vec<String> = std::env::args_os()
        .skip(1)
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let command = words.first().map(String::as_str);
    let hint = hint(error, command, &words);
    let unknown = error
        .get(ContextKind::InvalidArg)
        .filter(|_| error.kind() == ErrorKind::UnknownArgument);
    match (&hint, unknown) {
        // What clap adds, a flag that is merely spelt alike, would contradict the hint.
        (Some(_), Some(typed)) => print::note(format_args!("error: there is no {typed} here")),
        _ => {
            let _ = error.print();
        }
    }
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Exit::Pass,
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => Exit::Usage,
        _ => {
            if let Some(hint) = hint {
                print::note(format_args!("\n{hint}"));
            }
            print::note(format_args!("\nexample: {}", example(command)));
            Exit::Usage
        }
    }
}

/// A line that works, for that command.
pub(super) fn example(command: Option<&str>) -> &'static str {
    match command {
        Some("serve") => "ringstorm serve --listen 127.0.0.1:9000 --cores 0",
        Some("load") => "ringstorm load ws://127.0.0.1:9000/echo -c 1000 -r 20k -d 10s",
        Some("probe") => "ringstorm probe ws://127.0.0.1:9000/echo --send hello --count 1",
        Some("doctor") => "ringstorm doctor --connections 100k --server",
        Some("config") => "ringstorm config check ringstorm.toml",
        Some("agent") => "ringstorm agent http://127.0.0.1:9000 --once",
        _ => "ringstorm demo",
    }
}

/// Flags of other tools, and what stands for each here: the command, the words, the advice.
const ELSEWHERE: &[(&str, &[&str], &str)] = &[
    // k6, oha, hey, wrk, wrk2, bombardier, artillery.
    ("load", &["-z", "--time"], "-d TIME, such as -d 10s"),
    (
        "load",
        &["-q", "-R", "--rps", "--qps", "--arrival-rate"],
        "-r RATE, such as -r 20k",
    ),
    (
        "load",
        &["-u", "--vus", "--users", "--clients", "--concurrency"],
        "-c N, such as -c 1000",
    ),
    (
        "load",
        &["-n", "-i", "--requests", "--number"],
        "-d TIME; of --scenario rooms, connect and custom --iterations N",
    ),
    ("load", &["-s", "--stage"], "--stages 10k,30s;100k,2m"),
    (
        "load",
        &["-t", "-w", "-j", "--threads", "--workers"],
        "--cores 0-3: one thread on each",
    ),
    ("load", &["-T", "--timeout"], "--connect-timeout TIME"),
    ("load", &["-k", "--insecure-skip-tls-verify"], "--insecure"),
    (
        "load",
        &["-o", "--out", "--output", "--summary-export"],
        "--json > FILE, or --csv FILE",
    ),
    ("load", &["--no-tui", "--no-progress"], "--plain or --quiet"),
    (
        "load",
        &["--latency", "-L", "--latency-correction"],
        "always so: percentiles are printed, and with -r from the intended times on",
    ),
    ("load", &["-p", "--size", "--body"], "--payload BYTES"),
    ("load", &["--ramp-up", "--rampup"], "--connect-rate N"),
    // What servers have.
    (
        "serve",
        &["-p", "-P", "--port"],
        "--listen 127.0.0.1:PORT, or 0.0.0.0:PORT for other hosts",
    ),
    (
        "serve",
        &["-l", "-a", "--host", "--bind", "--addr", "--address"],
        "--listen IP:PORT",
    ),
    (
        "serve",
        &["-t", "-w", "-j", "--threads", "--workers"],
        "--cores 0-3: one thread on each",
    ),
    (
        "serve",
        &["--cert", "--key", "--ssl", "--tls"],
        "--tls-cert FILE --tls-key FILE",
    ),
    ("serve", &["-c", "--connections"], "--max-connections N"),
    // curl, websocat, wscat.
    ("probe", &["-c", "--connect"], "the URL alone"),
    ("probe", &["-k", "-n", "--no-check"], "--insecure"),
    ("probe", &["-s", "--protocol"], "--subprotocol NAME"),
    ("probe", &["-o"], "--origin ORIGIN"),
    ("probe", &["-v", "--verbose"], "--debug"),
    ("probe", &["-x", "--execute", "-m"], "--send TEXT"),
    ("agent", &["-i", "-n", "--interval"], "--refresh TIME"),
    ("agent", &["-k"], "--insecure"),
    ("doctor", &["-n", "--users", "--clients"], "--connections N"),
];

/// What to type instead of a flag that another tool has, or that lacks a dash.
fn hint(error: &clap::Error, command: Option<&str>, words: &[String]) -> Option<String> {
    let command = command?;
    if let Some(word) = words
        .iter()
        .find(|word| is_long_with_one_dash(command, word))
    {
        return Some(format!(
            "{word}: flags with a name have two dashes: -{word}"
        ));
    }
    let typed = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(typed)) => typed.as_str(),
        _ => return None,
    };
    if error.kind() != ErrorKind::UnknownArgument {
        return None;
    }
    if command == "serve" && typed.trim_start_matches(':').parse::<u16>().is_ok() {
        let port = typed.trim_start_matches(':');
        return Some(format!("a port is --listen 127.0.0.1:{port}"));
    }
    let flag = typed.split(['=', ' ']).next().unwrap_or(typed);
    let (.., advice) = ELSEWHERE
        .iter()
        .find(|(of, flags, _)| *of == command && flags.contains(&flag))?;
    Some(format!("{flag} of other tools is here: {advice}"))
}

/// Whether the word is `-rate` or `-rate=5`, as Go's tools have it, where the command has `--rate`.
fn is_long_with_one_dash(command: &str, word: &str) -> bool {
    let name = word.strip_prefix('-').unwrap_or("");
    let name = name.split('=').next().unwrap_or(name);
    let all = Flags::command();
    let command = all.find_subcommand(command);
    name.len() > 2
        && command.is_some_and(|it| it.get_arguments().any(|arg| arg.get_long() == Some(name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn hinted(line: &str) -> String {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let argv = std::iter::once("ringstorm".to_owned()).chain(words.iter().cloned());
        let error = Flags::try_parse_from(argv).expect_err(line);
        hint(&error, words.first().map(String::as_str), &words).unwrap_or_default()
    }

    #[test]
    fn a_flag_of_another_tool_is_answered_with_ours() {
        for (line, flag) in [
            ("load ws://h/ -z 10s", "-d TIME"),
            ("load ws://h/ -q 100", "-r RATE"),
            ("load ws://h/ -q100", "-r RATE"),
            ("load ws://h/ --vus 10", "-c N"),
            ("load ws://h/ --vus=10 --duration 30s", "-c N"),
            ("load -t2 ws://h/", "--cores"),
            ("load ws://h/ -rate 5", "--rate"),
            ("load ws://h/ -duration=5s", "--duration"),
            ("serve --port 9000", "--listen 127.0.0.1:PORT"),
            ("serve --port=9000", "--listen 127.0.0.1:PORT"),
            ("serve 9000", "--listen 127.0.0.1:9000"),
            ("probe ws://h/ -k", "--insecure"),
        ] {
            assert!(hinted(line).contains(flag), "{line}: {}", hinted(line));
        }
        assert_eq!(hinted("load ws://h/ --nonsense"), "");
        assert_eq!(hinted("load ws://h/ -c x"), "");
    }

    #[test]
    fn no_hint_is_for_a_flag_of_ours_or_names_one_that_there_is_not() {
        let all = Flags::command();
        for (name, flags, advice) in ELSEWHERE {
            let command = all.find_subcommand(name).expect("a command");
            let has = |word: &str| match word.strip_prefix("--") {
                Some(long) => command
                    .get_arguments()
                    .any(|it| it.get_long() == Some(long)),
                None => {
                    let short = word.trim_start_matches('-').chars().next();
                    command.get_arguments().any(|it| it.get_short() == short)
                }
            };
            for flag in *flags {
                assert!(!has(flag), "{name} {flag} is its own");
            }
            let words = advice.split([' ', ',', ';', ':']);
            for word in words.filter(|word| word.starts_with('-')) {
                assert!(has(word), "{name} has no {word}");
            }
        }
    }
}
