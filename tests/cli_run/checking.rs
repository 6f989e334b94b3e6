//! What `scripts/check` says at its end.

use std::fs;
use std::path::Path;
use std::process::Command;

/// The summary of these steps and of what each printed.
fn summary(steps: &[(&str, &str)]) -> Vec<String> {
    let name = format!("ringstorm-summary-{}-{}", std::process::id(), steps.len());
    let folder = std::env::temp_dir().join(name);
    fs::create_dir_all(&folder).expect("a folder");
    let lines = steps.iter().map(|(step, _)| format!("{step}\n"));
    fs::write(folder.join("steps"), lines.collect::<String>()).expect("written");
    for (number, (_, output)) in steps.iter().enumerate() {
        let path = folder.join(format!("{}.output", number + 1));
        fs::write(path, output).expect("written");
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/checking/summary");
    let ran = Command::new(script).arg(&folder).arg("125").output();
    let ran = ran.expect("it runs");
    fs::remove_dir_all(&folder).expect("removed");
    assert!(ran.status.success(), "{ran:?}");
    let said = String::from_utf8(ran.stdout).expect("text");
    said.lines().map(str::to_owned).collect()
}

const CARGO: &str = "
     Running unittests src/lib.rs (target/debug/deps/ringstorm-1)

running 516 tests
test result: ok. 516 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 8.86s

     Running unittests src/main.rs (target/debug/deps/ringstorm-2)
test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
     Running tests/engines/main.rs (target/debug/deps/engines-3)
test result: FAILED. 127 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.5s
";

#[test]
fn the_summary_counts_the_tests_of_each_program_and_ends_with_their_sums() {
    let said = summary(&[
        ("format\t0\t1", ""),
        ("spelling\tleft out\ttypos is not installed", ""),
        ("tests\t101\t60", CARGO),
    ]);
    let all = said.join("\n");
    for part in [
        "src/lib.rs",
        "516 passed",
        "8.86s",
        "not installed",
        "2 min 5 s",
    ] {
        assert!(all.contains(part), "{part}: {all}");
    }
    assert!(!all.contains("src/main.rs"), "it has no test: {all}");
    let last = said.last().expect("a line");
    assert_eq!(last, "644 passed, 2 failed");
}

#[test]
fn a_suite_of_another_language_counts_by_its_last_line() {
    let said = summary(&[(
        "servers of other makes\t1\t9",
        "ok a\n7 passed, 1 failed, 2 skipped\n",
    )]);
    assert_eq!(said.last().expect("a line"), "7 passed, 1 failed");
}

#[test]
fn a_step_that_ends_without_naming_a_failed_test_has_failed() {
    let said = summary(&[("lints\t101\t3", "error: unused variable")]);
    assert_eq!(said.last().expect("a line"), "0 passed, 1 failed");
    let crashed = CARGO.replace("FAILED. 127 passed; 2 failed", "ok. 129 passed; 0 failed");
    let said = summary(&[("tests\t101\t3", &crashed), ("x\t0\t1", "")]);
    assert_eq!(said.last().expect("a line"), "646 passed, 1 failed");
}

#[test]
fn a_check_that_could_not_begin_says_so_with_zeros() {
    let nothing = summary(&[]);
    assert_eq!(nothing.last().expect("a line"), "0 passed, 0 failed");
}
