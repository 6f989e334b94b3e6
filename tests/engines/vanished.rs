//! Peers that vanish without a word: the kernel finds out, because listeners hand that down.

use super::Engine;
use super::peer::{connect, echo};
use super::script::{Event, plan, start};
use ringstorm::shard::CloseCause;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Set in the copy of this program that has a network of its own.
const INSIDE: &str = "RINGSTORM_TEST_NETWORK";

/// tcp(7), `SO_KEEPALIVE` and `TCP_USER_TIMEOUT`, both inherited: one peer is owed nothing, the
/// other is sent something that it will not acknowledge.
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
pub(crate) fn a_peer_that_vanishes_is_noticed<E: Engine>() {
    if std::env::var_os(INSIDE).is_some() {
        return vanish::<E>();
    }
    let quiet = |mut command: Command| {
        let output = command.stdout(Stdio::null()).stderr(Stdio::null());
        output.status().is_ok_and(|status| status.success())
    };
    let mut try_it = isolated();
    try_it.args(["ip", "link", "set", "lo", "up"]);
    if !quiet(try_it) {
        eprintln!("skipped: no network namespace may be made here (unshare, ip)");
        return;
    }
    let thread = std::thread::current();
    let Some(name) = thread.name().filter(|name| name.contains("vanishes")) else {
        eprintln!("skipped: the name of this test is not known");
        return;
    };
    let program = std::env::current_exe().expect("this program has a path");
    let mut inside = isolated();
    inside.arg(program).args([name, "--exact", "--nocapture"]);
    let output = inside.env(INSIDE, "1").output().expect("unshare runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{errors}");
    assert!(text.contains("1 passed"), "{text}");
}

fn isolated() -> Command {
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--net"]);
    command
}

fn set_loopback(state: &str) {
    let status = Command::new("ip")
        .args(["link", "set", "lo", state])
        .status();
    assert!(status.is_ok_and(|status| status.success()), "lo {state}");
}

fn vanish<E: Engine>() {
    set_loopback("up");
    let plan = plan(1, 1);
    plan.listeners
        .give_up_after(Duration::from_secs(2))
        .unwrap();
    let running = start::<E, _>(
        plan,
        |_| (Vec::new(), None),
        |scene, event| match event {
            Event::Received(id, bytes) => {
                let wants_more = bytes.starts_with(b"more");
                scene.wire.send(id, bytes).unwrap();
                if wants_more {
                    scene.state.1 = Some(id);
                    *scene.deadline = Some(scene.wire.now() + Duration::from_secs(1));
                }
            }
            Event::Expired => {
                let id = scene.state.1.unwrap();
                scene.wire.send(id, &[7; 10_000]).unwrap();
            }
            Event::Closed(_, cause) => {
                scene.state.0.push(cause);
                *scene.finished = scene.state.0.len() == 2;
            }
            _ => {}
        },
    );
    let (mut silent, mut owed) = (connect(running.address()), connect(running.address()));
    echo(&mut silent, b"hello");
    echo(&mut owed, b"more, please");
    set_loopback("down");
    let gone = Instant::now();
    let causes = &running.finish()[0].0;
    let of_silence = |cause| matches!(cause, CloseCause::TimedOut | CloseCause::Unreachable);
    assert!(causes.iter().copied().all(of_silence), "{causes:?}");
    assert!(
        gone.elapsed() < Duration::from_secs(20),
        "{:?}",
        gone.elapsed()
    );
}
