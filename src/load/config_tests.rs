//! Which runs can be, and where their connections go.

use super::*;

fn config() -> Config {
    Config::new(
        "127.0.0.1:9000".parse().unwrap(),
        "localhost".into(),
        "/echo".into(),
    )
}

#[test]
fn the_default_can_be_run() {
    assert_eq!(config().check(), Ok(()));
}

#[test]
fn what_cannot_be_run_is_refused_with_its_reason() {
    let sse = Config {
        transport: Transport::Sse,
        ..config()
    };
    assert_eq!(sse.check(), Err(ConfigError::EchoOverSse));
    let small = Config {
        payload_bytes: 7,
        ..config()
    };
    assert_eq!(small.check(), Err(ConfigError::SmallPayload(7)));
    let large = Config {
        payload_bytes: 2_000_000,
        message_bytes_max: 1_000_000,
        ..config()
    };
    assert!(matches!(large.check(), Err(ConfigError::LargePayload(..))));
    let none = Config {
        connections: 0,
        ..config()
    };
    assert_eq!(none.check(), Err(ConfigError::Zero("connections")));
    let six: IpAddr = "::1".parse().unwrap();
    let stray = Config {
        sources: vec![six],
        ..config()
    };
    assert_eq!(stray.check(), Err(ConfigError::StraySource(six)));
    assert_eq!(
        Config {
            targets: vec![],
            ..config()
        }
        .check(),
        Err(ConfigError::NoTarget)
    );
}

#[test]
fn every_source_is_used_towards_every_target_of_its_family() {
    let four = ["127.0.0.2", "127.0.0.3", "::1"].map(|ip| ip.parse::<IpAddr>().unwrap());
    let targets = ["127.0.0.1:1", "127.0.0.1:2"].map(|at| at.parse().unwrap());
    let config = Config {
        targets: targets.map(Target::At).to_vec(),
        sources: four.to_vec(),
        ..config()
    };
    let pairs: std::collections::BTreeSet<_> = (0..4).map(|n| endpoints(&config, n)).collect();
    assert_eq!(pairs.len(), 4, "{pairs:?}");
    assert!(pairs.iter().all(|(_, from)| from.unwrap().is_ipv4()));
    let one_name = Config {
        targets: vec![Target::Any(targets.into())],
        ..config
    };
    let pairs: std::collections::BTreeSet<_> = (0..4).map(|n| endpoints(&one_name, n)).collect();
    assert_eq!(pairs.len(), 4, "{pairs:?}");
}

fn endpoints(config: &Config, number: u64) -> (SocketAddr, Option<IpAddr>) {
    let (target, turn) = config.target_of(number).unwrap();
    let to = *pick(target.addresses().iter(), turn).unwrap();
    (to, config.source_of(to, number, turn))
}
