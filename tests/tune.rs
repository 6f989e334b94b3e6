//! The host audit finds each planted fault and nothing else; its files, its changes and
//! `scripts/tune` agree.

#[path = "tune/host.rs"]
mod host;
#[path = "tune/planted.rs"]
mod planted;

use host::{Folder, Host};
use planted::{PLANTED, workload};
use ringstorm::tune::{self, Audit, EngineTrial, Holder, RULES, Severity, Side, Workload, files};
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn audit(workload: &Workload, host: &Host) -> Audit {
    Audit::new(workload, &tune::read(host))
}

#[test]
fn a_perfect_host_is_ready_and_has_no_findings() {
    for thousands in [1, 10, 100, 300, 1000] {
        for side in [Side::Server, Side::Client, Side::Both] {
            let workload = workload(thousands, side);
            let found = audit(&workload, &Host::perfect());
            assert_eq!(found.findings, [], "{workload:?}");
            assert!(
                found.is_ready(&workload),
                "{workload:?}: {:?}",
                found.bounds
            );
        }
    }
}

#[test]
fn each_planted_fault_is_found_and_nothing_else_is() {
    for planted in PLANTED {
        let workload = workload(planted.workload.0, planted.workload.1);
        let (path, text) = planted.file;
        let found = audit(&workload, &Host::perfect().with(path, text));
        let [finding] = found.findings.as_slice() else {
            panic!("{path} = {text:?}: {:#?}", found.findings);
        };
        let (name, severity) = planted.finding;
        assert_eq!((finding.name.as_str(), finding.severity), (name, severity));
        let shown = format!("{} {}", finding.is, finding.evidence);
        assert!(shown.contains(planted.part), "{finding:?}");
        assert!(!finding.why.is_empty() && !finding.command.is_empty());
        assert_ne!(finding.is, finding.should_be);
        let is_fault = severity == Severity::Fault;
        assert_eq!(found.is_ready(&workload), !is_fault, "{finding:?}");
    }
}

#[test]
fn every_rule_of_the_table_has_a_planted_fault() {
    for rule in RULES {
        let mut names = PLANTED.iter().map(|planted| planted.finding.0);
        assert!(names.any(|name| name == rule.name), "{}", rule.name);
    }
}

#[test]
fn a_change_that_is_made_is_found_no_more() {
    for planted in PLANTED {
        let workload = workload(planted.workload.0, planted.workload.1);
        let (path, text) = planted.file;
        let host = Host::perfect().with(path, text);
        let found = audit(&workload, &host);
        let Some(change) = found.findings.iter().find_map(|it| it.change.as_ref()) else {
            continue;
        };
        let changed = host.with(&change.path(), &change.to);
        assert_eq!(audit(&workload, &changed).findings, [], "{change:?}");
    }
}

#[test]
fn a_host_of_which_nothing_can_be_read_is_unknown_and_never_ready() {
    for side in [Side::Server, Side::Client, Side::Both] {
        for holder in [Holder::Ring, Holder::Tokio] {
            let workload = Workload {
                holder,
                ..workload(1, side)
            };
            let found = audit(&workload, &Host(std::collections::BTreeMap::new()));
            assert_eq!(found.findings, []);
            assert!(!found.is_ready(&workload), "{workload:?}");
            let named = |name| found.unknown.iter().any(|it| it.name == name);
            assert!(named("memory") && named("RLIMIT_NOFILE"), "{found:?}");
            assert_eq!(named("net.core.somaxconn"), side != Side::Client);
            assert_eq!(named("net.ipv4.ip_local_port_range"), side != Side::Server);
            assert_eq!(named("kernel.io_uring_disabled"), holder == Holder::Ring);
        }
    }
}

#[test]
fn each_file_that_a_plan_depends_on_is_missed() {
    for path in [
        "proc/meminfo",
        "proc/self/limits",
        "proc/sys/fs/file-max",
        "proc/sys/net/core/somaxconn",
        "proc/sys/net/ipv4/ip_local_port_range",
        "proc/sys/kernel/io_uring_disabled",
    ] {
        let mut host = Host::perfect();
        host.0.remove(path).expect("it was there");
        let workload = workload(100, Side::Both);
        let found = audit(&workload, &host);
        assert!(!found.is_ready(&workload), "{path}");
        let why = format!("cannot read /{path}");
        assert!(found.unknown.iter().all(|it| it.why == why), "{found:?}");
        assert!(!found.unknown.is_empty(), "{path}");
    }
}

#[test]
fn a_ring_that_was_tried_says_more_than_a_file() {
    let workload = workload(100, Side::Server);
    let with = |trial| {
        let mut facts = tune::read(&Host::perfect());
        facts.trial = trial;
        Audit::new(&workload, &facts)
    };
    assert!(with(EngineTrial::Runs).is_ready(&workload));
    let refused = with(EngineTrial::Refused {
        why: "io_uring is forbidden here".to_owned(),
        remedy: "--engine tokio".to_owned(),
    });
    let [finding] = refused.findings.as_slice() else {
        panic!("{refused:?}");
    };
    assert_eq!(finding.severity, Severity::Fault);
    assert_eq!(finding.command, "--engine tokio");
    assert!(!refused.is_ready(&workload));
    let unknown = with(EngineTrial::Unknown("no child".to_owned()));
    assert!(unknown.findings.is_empty() && !unknown.is_ready(&workload));
}

#[test]
fn locked_memory_is_counted_by_core_and_table_unless_the_process_may_lock_freely() {
    let limits = |descriptors: u64, kib: u64| {
        let bytes = kib * 1024;
        format!(
            "Max open files 1024 {descriptors} files\nMax locked memory {bytes} {bytes} bytes\n"
        )
    };
    let workload = |cores, each| Workload {
        cores,
        core_connections: Some(each),
        ..workload(1, Side::Server)
    };
    let ready = |workload: &Workload, host: &Host| {
        let found = audit(workload, host);
        !found.findings.iter().any(|it| it.name == "RLIMIT_MEMLOCK")
    };
    // Measured on Linux 6.18 without CAP_IPC_LOCK: what a server starts with, and what it does not.
    for (cores, each, fails, starts) in [
        (1, 19_000, 820, 890),
        (2, 19_000, 1640, 1780),
        (1, 57_000, 2380, 2480),
        (1, 114_000, 4700, 4840),
    ] {
        let workload = workload(cores, each);
        for (kib, is_ready) in [(fails, false), (starts, true)] {
            let host = Host::perfect().with("proc/self/limits", &limits(20_000, kib));
            assert_eq!(ready(&workload, &host), is_ready, "{workload:?}, {kib} KiB");
            let host = host.with("proc/self/status", "Name: x\nCapEff:\t0000000000004000\n");
            assert!(
                ready(&workload, &host),
                "CAP_IPC_LOCK: {workload:?}, {kib} KiB"
            );
        }
    }
    // glommio looks at the limit alone.
    let host = Host::perfect()
        .with("proc/self/limits", &limits(20_000, 500))
        .with("proc/self/status", "CapEff:\t000001ffffffffff\n");
    assert!(!ready(&workload(1, 19_000), &host));
}

#[test]
fn a_server_holds_what_its_tables_do() {
    let limits = "Max open files 1024 20000 files\nMax locked memory 8388608 unlimited bytes\n";
    let host = Host::perfect().with("proc/self/limits", limits);
    let by_default = Workload {
        core_connections: None,
        ..workload(60, Side::Server)
    };
    let found = audit(&by_default, &host);
    assert_eq!(
        found.bounds[0].connections,
        2 * ringstorm::limits::ring_connections(20_000)
    );
    assert!(!found.is_ready(&by_default));
    let finding = found.findings.iter();
    let finding = finding.filter(|it| it.name == "serve --max-connections");
    let [finding] = finding.collect::<Vec<_>>()[..] else {
        panic!("{:?}", found.findings);
    };
    let advised = finding.command.split_whitespace().nth(3).expect("a number");
    let as_advised = Workload {
        core_connections: advised.parse().ok(),
        ..by_default
    };
    let found = audit(&as_advised, &host);
    assert!(found.is_ready(&as_advised), "{advised}: {found:?}");
    let client = Workload {
        side: Side::Client,
        ..by_default
    };
    assert!(audit(&client, &host).is_ready(&client));
}

#[test]
fn the_descriptor_limit_is_a_ceiling_for_an_engine_with_a_descriptor_each() {
    let limits = "Max open files 20000 20000 files\nMax locked memory 0 unlimited bytes\n";
    let host = Host::perfect().with("proc/self/limits", limits);
    let ring = workload(100, Side::Server);
    assert!(audit(&ring, &host).is_ready(&ring));
    let tokio = Workload {
        holder: Holder::Tokio,
        ..ring
    };
    let found = audit(&tokio, &host);
    assert!(!found.is_ready(&tokio));
    assert_eq!(found.bounds[0].connections, 20_000 - 64);
    assert_eq!(found.findings[0].severity, Severity::Fault);
}

#[test]
fn too_few_source_addresses_are_a_fault_of_the_client_only() {
    let workload = |side| Workload {
        sources: 15,
        ..workload(1000, side)
    };
    for side in [Side::Client, Side::Both] {
        let found = audit(&workload(side), &Host::perfect());
        let finding = found.findings.iter();
        let finding = finding.map(|it| (it.name.as_str(), it.should_be.as_str()));
        let named = finding.clone().any(|it| it == ("source addresses", "16"));
        assert!(named, "{:?}", found.findings);
        assert!(!found.is_ready(&workload(side)));
    }
    let server = workload(Side::Server);
    assert!(audit(&server, &Host::perfect()).is_ready(&server));
}

#[test]
fn the_tightest_bound_is_the_ceiling() {
    let client = Workload {
        sources: 2,
        ..workload(100, Side::Client)
    };
    let found = audit(&client, &Host::perfect());
    assert_eq!(found.bounds[0].connections, 2 * (65_535 - 1024 + 1));
    let memory = "MemTotal: 1000000 kB\nMemAvailable: 460000 kB\n";
    let both = workload(100, Side::Both);
    let found = audit(&both, &Host::perfect().with("proc/meminfo", memory));
    // What is free less a twentieth of all, at 8295 bytes a pair.
    assert_eq!(found.bounds[0].connections, 410_000 * 1024 / 8295);
    assert!(!found.is_ready(&both));
}

#[test]
fn tables_that_track_nothing_are_no_bound() {
    let host = Host::perfect()
        .with("proc/sys/net/netfilter/nf_conntrack_count", "0\n")
        .with("proc/sys/net/netfilter/nf_conntrack_max", "1000\n");
    let server = workload(100, Side::Server);
    assert!(audit(&server, &host).is_ready(&server));
    // A network namespace in which nothing is connected shows nothing either way.
    let empty = host.clone().with("proc/net/sockstat", "TCP: inuse 0\n");
    assert!(audit(&server, &empty).is_ready(&server));
    let tracked = host.with("proc/sys/net/netfilter/nf_conntrack_count", "1\n");
    let found = audit(&server, &tracked);
    assert_eq!(found.bounds[0].connections, 999);
}

#[test]
fn the_files_on_disk_are_what_the_rules_write() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for file in files::all() {
        let path = root.join(&file.path);
        if std::env::var_os("RINGSTORM_WRITE_FILES").is_some() {
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder is made");
            fs::write(&path, &file.text).expect("a file is written");
        }
        let remedy = "RINGSTORM_WRITE_FILES=1 cargo test --test cli_run tune writes them";
        let text = fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(text, file.text, "{}; {remedy}", file.path);
    }
    let unit = fs::read_to_string(root.join("sysctl/systemd/ringstorm.service")).expect("a unit");
    for line in files::drop_in(100_000).lines().skip(2) {
        assert!(unit.lines().any(|it| it == line), "{line} is not in it");
    }
}

fn doctor(folder: &Folder, line: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ringstorm"))
        .arg("doctor")
        .args(line.split_whitespace())
        .arg("--root")
        .arg(&folder.0)
        .output()
        .expect("the program runs")
}

fn tune(folder: &Folder, line: &str) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/tune");
    Command::new(script)
        .args(line.split_whitespace())
        .env("RINGSTORM_ROOT", &folder.0)
        .output()
        .expect("the script runs")
}

fn stdout(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout);
    format!("{text}{}", String::from_utf8_lossy(&output.stderr))
}

#[test]
fn the_doctor_exits_0_when_ready_and_1_when_not() {
    let perfect = Host::perfect().folder("perfect");
    let output = doctor(
        &perfect,
        "--connections 1M --sources 16 --max-connections 1M --json",
    );
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
    let record: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(record["schema"], "ringstorm.doctor/1");
    assert_eq!(record["ready"], true);
    assert_eq!(record["ceiling"], 16 * (65_535 - 1024 + 1));
    let fresh = Host::fresh().folder("fresh");
    let output = doctor(&fresh, "--connections 100k --server");
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    for part in [
        "net.core.somaxconn",
        "sysctl -w net.core.somaxconn=16384",
        "predicted ceiling",
        "not ready",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn fix_prints_a_script_with_the_way_back_and_changes_nothing() {
    let host = Host::fresh();
    let folder = host.folder("fix");
    let before = folder.settings(&host);
    let text = stdout(&doctor(&folder, "--connections 100k --server --fix"));
    let line = "sysctl -w net.core.somaxconn=16384  # back: sysctl -w net.core.somaxconn=4096";
    assert!(text.lines().any(|it| it == line), "{text}");
    assert_eq!(folder.settings(&host), before);
}

#[test]
fn what_the_doctor_applied_twice_the_script_takes_back() {
    let host = Host::fresh();
    let folder = host.folder("apply");
    let before = folder.settings(&host);
    for line in [
        "-c 100k --sources 16 --max-connections 1M --fix --apply",
        "-c 1M --sources 16 --max-connections 1M --fix --apply",
        "-c 1M --sources 16 --max-connections 1M --fix --apply",
    ] {
        let output = doctor(&folder, line);
        assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
    }
    assert_eq!(folder.setting("net.core.somaxconn"), "65535");
    let output = tune(&folder, "revert");
    assert!(output.status.success(), "{}", stdout(&output));
    assert_eq!(folder.settings(&host), before);
    assert!(!folder.0.join("run/ringstorm/tune.saved").exists());
}

#[test]
fn what_the_script_applied_pleases_the_doctor_and_is_taken_back() {
    for size in ["100k", "1m"] {
        for side in ["server", "client", "both"] {
            let host = Host::fresh();
            let folder = host.folder(&format!("script-{size}-{side}"));
            let before = folder.settings(&host);
            let check = format!("check {size} {side}");
            assert_eq!(tune(&folder, &check).status.code(), Some(1));
            for _ in 0..2 {
                let output = tune(&folder, &format!("apply {size} {side}"));
                assert!(output.status.success(), "{}", stdout(&output));
            }
            assert_eq!(tune(&folder, &check).status.code(), Some(0));
            let output = doctor(
                &folder,
                &format!("-c {size} --{side} --sources 16 --max-connections 1M --json"),
            );
            let record: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
            assert_eq!(record["findings"], serde_json::json!([]), "{size} {side}");
            // Better than asked for: left alone.
            assert_eq!(folder.setting("fs.file-max"), "9223372036854775807");
            let output = tune(&folder, "revert");
            assert!(output.status.success(), "{}", stdout(&output));
            assert_eq!(folder.settings(&host), before, "{size} {side}");
            assert!(stdout(&tune(&folder, "revert")).contains("nothing to take back"));
        }
    }
}

#[test]
fn a_setting_that_cannot_be_written_is_said_and_skipped() {
    let host = Host::fresh();
    for by_script in [false, true] {
        let folder = host.folder(&format!("skip-{by_script}"));
        let path = folder.0.join("proc/sys/net/core/somaxconn");
        fs::remove_file(&path).expect("it was there");
        // A number that nobody may write, root neither.
        std::os::unix::fs::symlink("/proc/sys/kernel/pty/nr", &path).expect("a link is made");
        let output = if by_script {
            tune(&folder, "apply 100k server")
        } else {
            doctor(&folder, "-c 100k --server --fix --apply")
        };
        let text = stdout(&output);
        assert!(text.contains("skipped net.core.somaxconn"), "{text}");
        assert_eq!(folder.setting("net.ipv4.tcp_slow_start_after_idle"), "0");
        assert_eq!(output.status.code(), Some(i32::from(!by_script)), "{text}");
    }
}

#[test]
fn wrong_words_are_refused_with_the_right_ones() {
    let folder = Host::fresh().folder("words");
    for line in ["", "apply 2m", "apply 100k everything", "undo"] {
        let output = tune(&folder, line);
        assert_eq!(output.status.code(), Some(2), "{line}");
        assert!(stdout(&output).contains("scripts/tune apply"), "{line}");
    }
    for line in ["-c 0", "--sources 0", "--apply", "--print-sysctl nobody 1"] {
        let output = doctor(&folder, line);
        assert_eq!(output.status.code(), Some(2), "{line}: {}", stdout(&output));
    }
}
