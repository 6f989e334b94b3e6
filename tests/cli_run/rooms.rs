//! Rooms: the scenario against the server's own, and rooms of another size than was asked for.

use super::program::{Serving, ringstorm};

#[test]
fn rooms_of_another_size_than_asked_for_fail_with_the_remedy() {
    let server = Serving::start(&["--cores", "0", "--room-size", "4"]);
    for scheme in ["ws", "http"] {
        let url = format!("{scheme}://{}/rooms", server.address);
        let rooms = |size: &str| {
            let flags = ["--scenario", "rooms", "-c", "8", "--iterations", "5"];
            let flags = [&["load", &url], &flags[..], &["--room-size", size]];
            ringstorm(&flags.concat())
        };
        let load = rooms("4");
        assert_eq!(load.code, 0, "{}", load.err);
        assert!(
            load.out.contains("10 broadcasts, 10 complete, 40 of 40"),
            "{}",
            load.out
        );
        let load = rooms("6");
        assert_eq!(load.code, 99, "{}", load.err);
        assert!(
            load.out.contains("8 ready: other room size"),
            "{}",
            load.out
        );
        assert!(
            load.out.contains("start it with the same --room-size"),
            "{}",
            load.out
        );
    }
    let url = format!("ws://{}/echo", server.address);
    let load = ringstorm(&["load", &url, "--room-size", "4"]);
    assert_eq!(load.code, 2);
    assert!(load.err.contains("add --scenario rooms"), "{}", load.err);
}
