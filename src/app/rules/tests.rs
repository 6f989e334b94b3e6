//! Rules as files have them: what they take, what they say, and what is wrong with a file.

use super::*;
use crate::app::tokens::TokenClaims;
use crate::shard::PeerNameKind;

fn rules(text: &str) -> RuleSet {
    RuleSet::parse(text).unwrap_or_else(|fault| panic!("{fault}"))
}

fn fault(text: &str) -> String {
    let fault = RuleSet::parse(text).map(|rules| rules.len());
    fault.expect_err("no rules").to_string()
}

fn visitor<'v>(user: &'v str, claims: &'v ClientFacts, session: &'v ClientFacts) -> Visitor<'v> {
    Visitor {
        connection: User(1),
        path: "/connection/websocket",
        user,
        claims,
        session,
        certificate: PeerNames::NONE,
        now: Instant::default(),
    }
}

const NOBODY: Visitor<'_> = Visitor {
    connection: User(1),
    path: "/channels",
    user: "",
    claims: ClientFacts::NONE,
    session: ClientFacts::NONE,
    certificate: PeerNames::NONE,
    now: Instant::from_nanos(0),
};

#[test]
fn the_first_rule_that_decides_does() {
    let mut rules = rules(
        r#"
        [[rule]]
        on = "subscribe"
        action = "deny"
        channel = "news:secret"
        reason = "not yet"
        [[rule]]
        on = "subscribe"
        action = "allow"
        channel = "news:*"
        "#,
    );
    assert_eq!(rules.subscribe(&NOBODY, "news:sport"), Ruling::Allow);
    assert_eq!(
        rules.subscribe(&NOBODY, "news:secret"),
        Ruling::deny("not yet")
    );
    assert_eq!(rules.subscribe(&NOBODY, "chat"), Ruling::Pass);
    assert_eq!(
        rules.publish_in(&NOBODY, "news:sport", "1"),
        Ruling::Pass,
        "another line"
    );
    assert!(!rules.watches_out());
}

#[test]
fn a_limit_leaves_what_is_within_it_to_the_next_rule() {
    let mut rules = rules(
        r#"
        [[rule]]
        on = "publish-in"
        action = "limit"
        rate = "2/s"
        reason = "slowly"
        [[rule]]
        on = "publish-in"
        action = "allow"
        channel = "a"
        "#,
    );
    let said = ["a", "b", "a"].map(|channel| rules.publish_in(&NOBODY, channel, "1"));
    let refused = Ruling::Refuse(RuleRefusal {
        is_too_often: true,
        code: None,
        reason: "slowly",
    });
    assert_eq!(said, [Ruling::Allow, Ruling::Pass, refused]);
    rules.left(User(1));
    assert_eq!(
        rules.publish_in(&NOBODY, "a", "1"),
        Ruling::Allow,
        "another client"
    );
}

#[test]
fn claims_session_fields_users_paths_and_events_are_told_apart() {
    let mut rules = rules(
        r#"
        [[rule]]
        on = "handshake"
        action = "allow"
        path = "/connection/*"
        claim = { role = "admin", level = 3 }
        [[rule]]
        on = "event"
        action = "allow"
        event = "rpc:*"
        session = { authorized = true }
        [[rule]]
        on = "publish-out"
        action = "deny"
        user = "bob"
        channel = "*"
        "#,
    );
    let (admin, clerk) = (
        ClientFacts::read(r#"{"role":["clerk","admin"],"level":3}"#),
        ClientFacts::read(r#"{"role":"clerk","level":3}"#),
    );
    let open = ClientFacts::read(r#"{"authorized":true}"#);
    assert_eq!(
        rules.handshake(&visitor("", &admin, ClientFacts::NONE)),
        Ruling::Allow
    );
    assert_eq!(
        rules.handshake(&visitor("", &clerk, ClientFacts::NONE)),
        Ruling::Pass
    );
    let elsewhere = Visitor {
        path: "/channels",
        ..visitor("", &admin, ClientFacts::NONE)
    };
    assert_eq!(rules.handshake(&elsewhere), Ruling::Pass);
    let authorized = visitor("", ClientFacts::NONE, &open);
    assert_eq!(rules.event(&authorized, "rpc:pay", ""), Ruling::Allow);
    assert_eq!(rules.event(&authorized, "publish", "a"), Ruling::Pass);
    assert_eq!(rules.event(&NOBODY, "rpc:pay", ""), Ruling::Pass);
    let bob = visitor("bob", ClientFacts::NONE, ClientFacts::NONE);
    assert!(rules.watches_out());
    assert_eq!(
        rules.publish_out(&bob, "a", "1"),
        Ruling::deny("permission denied")
    );
    assert_eq!(rules.publish_out(&NOBODY, "a", "1"), Ruling::Pass);
}

#[test]
fn a_mistake_is_told_with_its_line_its_column_and_what_would_do() {
    for (text, expected) in [
        (
            "[[rule]]\non = \"subscribe\"\nchanel = \"a\"\n",
            ["3:1: ", "`channel` meant"],
        ),
        (
            "[[rule]]\non = \"subscribed\"\naction = \"allow\"",
            ["2:6: ", "`subscribe` meant"],
        ),
        ("[[rules]]\n", ["1:3: ", "`rule` meant"]),
        ("\n[[rule]\n", ["2:", ""]),
        ("[[rule]]\non = \"event\"", ["", "`action`"]),
        (
            "[[rule]]\non = \"request\"\naction = \"deny\"\nchannel = \"a\"",
            ["4:11: ", "a request"],
        ),
        (
            "[[rule]]\non = \"subscribe\"\naction = \"deny\"\n  channel = \"a*b\"",
            ["4:13: ", "at the end"],
        ),
        (
            "[[rule]]\non = \"event\"\naction = \"limit\"",
            ["3:10: ", "rate = \"10/s\""],
        ),
        (
            "[[rule]]\non = \"event\"\naction = \"limit\"\nrate = \"fast\"",
            ["4:8: ", "\"100/m\""],
        ),
        (
            "[[rule]]\non = \"event\"\naction = \"deny\"\nrate = \"1/s\"",
            ["4:8: ", "limit"],
        ),
        (
            "[[rule]]\non = \"request\"\naction = \"limit\"\nrate = \"1/s\"\nper = \"user\"",
            ["5:7: ", "core"],
        ),
        (
            "[[rule]]\non = \"event\"\naction = \"deny\"\nreason = \"a\\nb\"",
            ["4:10: ", "a line of"],
        ),
        (
            "[[rule]]\non = \"event\"\naction = \"deny\"\nclaim = { a = 1.5 }",
            ["4:9: ", "`a`"],
        ),
    ] {
        assert_fault(text, expected);
    }
    assert!(rules("").is_empty(), "no rule is none");
}

#[test]
fn a_mistake_in_a_table_of_channels_is_told_like_one_in_a_rule() {
    for (text, expected) in [
        (
            "[[channel]]\nname = \"a\"\nhistry = 1",
            ["3:1: ", "`history` meant"],
        ),
        ("[[channel]]\nname = \"a*b\"", ["2:8: ", "at the end"]),
        ("[[channel]]\nhistory = 1", ["", "`name`"]),
        ("[[channel]]\nname = \"a\"\nhistory = -1", ["3:11: ", ""]),
        (
            "[[channel]]\nname = \"a\"\nslow = \"dropp\"",
            ["3:8: ", "`drop` meant"],
        ),
        (
            "[[channel]]\nname = \"a\"\nhistory-bytes = \"1G\"",
            ["3:17: ", "\"8M\""],
        ),
        (
            "[[channel]]\nname = \"a\"\nhistory-bytes = \"257M\"",
            ["3:17: ", "256M at most"],
        ),
        (
            "[[channel]]\nname = \"a\"\nhistory-time = \"0s\"",
            ["3:16: ", "\"5m\""],
        ),
        (
            "[[channel]]\nname = \"a\"\nhistory-time = \"+5s\"",
            ["3:16: ", "\"5m\""],
        ),
    ] {
        assert_fault(text, expected);
    }
}

/// A file is refused with the place of its mistake, and something of what would do.
fn assert_fault(text: &str, [at, what]: [&str; 2]) {
    let fault = fault(text);
    assert!(
        fault.starts_with(at) && fault.contains(what),
        "{text}\n{fault}"
    );
}

#[test]
fn a_gatekeeper_tells_what_it_knows_and_keeps_nothing_without_middleware() {
    let text = "[[rule]]\non = \"subscribe\"\naction = \"allow\"\nclaim = { sub = \"*\" }";
    let claims = Arc::new(TokenClaims {
        user: "ann".into(),
        facts: ClientFacts::read(r#"{"sub":"ann"}"#),
        ..TokenClaims::default()
    });
    let source = MiddlewareSource::rules(rules(text));
    for (source, expected) in [
        (source, Ruling::Allow),
        (MiddlewareSource::default(), Ruling::Pass),
    ] {
        let mut gatekeeper = Gatekeeper::new(source.make(Core(0)));
        gatekeeper.came(User(7), "/channels");
        assert_eq!(gatekeeper.subscribe(User(7), "a"), Ruling::Pass, "no token");
        gatekeeper.identify(User(7), &claims);
        assert_eq!(gatekeeper.subscribe(User(7), "a"), expected);
        gatekeeper.left(User(7));
        assert_eq!(gatekeeper.subscribe(User(7), "a"), Ruling::Pass, "gone");
        assert!(!gatekeeper.watches_out() && gatekeeper.may_hear(User(7), "a", "1"));
    }
}

#[test]
fn the_rules_of_the_documentation_are_rules() {
    let page = include_str!("../../../docs/realtime.md");
    let blocks = page.split("```toml\n").skip(1);
    let blocks = blocks.filter_map(|rest| rest.split("```").next());
    let files = blocks.map(|text| RuleFile::parse(text).unwrap_or_else(|fault| panic!("{fault}")));
    let said: Vec<_> = files
        .map(|file| (file.rules.len(), file.channels.len()))
        .collect();
    assert_eq!(said, [(4, 0), (2, 0), (0, 3)]);
}

proptest::proptest! {
    #[test]
    fn no_file_of_rules_panics(text: String) {
        let _ = RuleSet::parse(&text);
        let _ = RuleSet::parse(&format!("[[rule]]\n{text}"));
        let _ = RuleSet::parse(&format!("[[channel]]\nname = \"a\"\n{text}"));
    }
}

#[test]
fn names_of_a_certificate_are_asked_for_by_their_kind() {
    let mut rules = rules(
        r#"
        [[rule]]
        on = "request"
        action = "allow"
        path = "/metrics"
        certificate = { cn = "prometheus" }
        [[rule]]
        on = "request"
        action = "deny"
        path = "/metrics"
        [[rule]]
        on = "publish-in"
        action = "allow"
        channel = "prices:*"
        certificate = { ou = "feeds", dns = "feed-*" }
        "#,
    );
    use crate::shard::PeerNameKind::{CommonName, Dns, Unit};
    let named = |all: &[(PeerNameKind, &str)]| {
        let all = all.iter().map(|(kind, name)| (*kind, Box::from(*name)));
        PeerNames::new(all.collect())
    };
    let metrics = |rules: &mut RuleSet, certificate: &PeerNames| {
        let path = "/metrics";
        rules.request(&Visitor {
            path,
            certificate,
            ..NOBODY
        })
    };
    let prometheus = named(&[(CommonName, "prometheus")]);
    assert_eq!(metrics(&mut rules, &prometheus), Ruling::Allow);
    for other in [named(&[(Dns, "prometheus")]), PeerNames::default()] {
        assert!(metrics(&mut rules, &other).refusal().is_some());
    }
    let publishes = |rules: &mut RuleSet, certificate: &PeerNames| {
        rules.publish_in(
            &Visitor {
                certificate,
                ..NOBODY
            },
            "prices:a",
            "1",
        )
    };
    let feed = named(&[(Unit, "feeds"), (Dns, "a.test"), (Dns, "feed-1.test")]);
    assert_eq!(publishes(&mut rules, &feed), Ruling::Allow);
    let other = named(&[(Unit, "feeds"), (Dns, "a.test")]);
    assert_eq!(
        publishes(&mut rules, &other),
        Ruling::Pass,
        "one is missing"
    );

    let text = "[[rule]]\non = \"request\"\naction = \"deny\"\ncertificate = { CN = \"a\" }";
    let fault = fault(text);
    assert!(
        fault.starts_with("4:") && fault.contains("is `cn` meant"),
        "{fault}"
    );
}

#[test]
fn a_client_has_the_names_that_were_proved_when_it_came() {
    let rules = RuleSet::parse(
        r#"
        [[rule]]
        on = "handshake"
        action = "allow"
        certificate = { cn = "a" }
        "#,
    );
    let mut gatekeeper = Gatekeeper::new(Some(Box::new(rules.unwrap())));
    let names = PeerNames::new(vec![(PeerNameKind::CommonName, "a".into())]);
    gatekeeper.certified(Some(&Arc::new(names)));
    assert_eq!(gatekeeper.arrival("/channels", None), Ruling::Allow);
    gatekeeper.came(User(1), "/channels");
    gatekeeper.certified(None);
    assert_eq!(gatekeeper.arrival("/channels", None), Ruling::Pass);
    gatekeeper.came(User(2), "/channels");
    assert_eq!(gatekeeper.handshake(User(1)), Ruling::Allow);
    assert_eq!(gatekeeper.handshake(User(2)), Ruling::Pass);
    // A namespace of Socket.IO is of the same client.
    gatekeeper.certified_as(User(1));
    gatekeeper.came(User(3), "/socket.io/");
    assert_eq!(gatekeeper.handshake(User(3)), Ruling::Allow);
    gatekeeper.certified_as(User(2));
    gatekeeper.came(User(4), "/socket.io/");
    assert_eq!(gatekeeper.handshake(User(4)), Ruling::Pass);
}
