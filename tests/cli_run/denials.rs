//! Hosts that deny what the program needs: it names the call and the remedy, and ends.

use super::ENGINES;
use super::program::{Ran, Running, Serving};

/// Runs a command under a filter of system calls, which python sets.
const FORBID: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/forbid.py");

const PROGRAM: &str = env!("CARGO_BIN_EXE_ringstorm");

/// What the program says that does not start: one line with all of these words.
fn is_refused(ran: &Ran, words: &[&str]) {
    assert_eq!((ran.code, &*ran.out), (1, ""), "{}", ran.err);
    assert_eq!(ran.err.lines().count(), 1, "{}", ran.err);
    for word in words {
        assert!(ran.err.contains(word), "{word}: {}", ran.err);
    }
}

fn served(command: &[&str], flags: &[&str]) -> Ran {
    let serve = ["serve", "--listen", "127.0.0.1:0", "--cores", "0"];
    Running::start_with(&[command, &[PROGRAM], &serve, flags].concat()).end()
}

#[test]
fn a_call_that_is_denied_is_named_with_the_way_out() {
    for (call, way_out) in [
        ("io_uring_setup", "--engine tokio"),
        ("io_uring_enter", "--engine tokio"),
        ("io_uring_register", "--engine tokio"),
        ("sched_setaffinity", "a container profile"),
    ] {
        // EPERM as in Docker's profile, ENOSYS as in Podman's.
        for errno in [libc::EPERM, libc::ENOSYS] {
            let errno = errno.to_string();
            let ran = served(&["python3", "-B", FORBID, call, &errno], &[]);
            is_refused(&ran, &[call, "try: ", way_out]);
        }
    }
    let ran = served(
        &["python3", "-B", FORBID, "sched_setaffinity", "1"],
        &["--engine", "tokio"],
    );
    is_refused(
        &ran,
        &["cannot pin core 0 to CPU 0 (sched_setaffinity)", "try: "],
    );
}

#[test]
fn too_few_tasks_are_named_however_few_they_are() {
    if !rustix::process::geteuid().is_root() {
        return; // Tasks count by user: others of this one would be among them.
    }
    // A user that nobody is, and to whom the program is readable.
    let copy = std::env::temp_dir().join(format!("ringstorm-few-tasks-{}", std::process::id()));
    std::fs::copy(PROGRAM, &copy).expect("a copy of the program");
    let program = copy.to_str().expect("a name in UTF-8");
    let user = format!("{}", 0x4000_0000 + std::process::id());
    for engine in ["ring", "tokio"] {
        let mut refused = 0;
        for tasks in 1..10 {
            let limit = format!("--nproc={tasks}");
            let command = [
                "setpriv",
                "--reuid",
                &user,
                "--clear-groups",
                "prlimit",
                &limit,
            ];
            let serve = [
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--cores",
                "0",
                "--engine",
            ];
            let all = [&command[..], &[program], &serve, &[engine]].concat();
            let running = Running::start_with(&all);
            let mut ran = running.end_within(std::time::Duration::from_millis(1500));
            if ran.err.contains("room for") {
                break;
            }
            // It serves without that thread too, and says so.
            let (own, rest): (Vec<_>, Vec<_>) = ran
                .err
                .lines()
                .partition(|line| line.starts_with("upgrade: not possible"));
            assert!(own.iter().all(|line| line.contains("(clone)")), "{own:?}");
            ran.err = rest.join("\n");
            is_refused(
                &ran,
                &["cannot start", "(clone)", "try: a higher limit of tasks"],
            );
            refused += 1;
        }
        // The program's own, for signals, for refusals, the sampler's, and those of the core.
        assert!((4..9).contains(&refused), "{engine}: {refused}");
    }
    std::fs::remove_file(copy).expect("the copy is there");
}

#[test]
fn a_server_runs_without_a_description_of_the_machine() {
    if !rustix::process::geteuid().is_root() {
        return; // Who may mount.
    }
    for engine in ENGINES {
        for place in ["/sys", "/proc"] {
            let script = format!("mount -t tmpfs none {place} && exec \"$0\" \"$@\"");
            let flags = ["--engine", engine, "--cores", "0"];
            let server = Serving::start_by(&["unshare", "-m", "sh", "-c", &script], &flags);
            let stats = if *engine == "baseline" {
                serde_json::Value::Null
            } else {
                server.stats()["total"]["open"]["http"].clone()
            };
            assert!(stats == 1 || stats.is_null(), "{engine}: {stats}");
            let (code, said) = server.stop();
            assert_eq!(code, 0, "{engine} without {place}: {said}");
        }
    }
}
