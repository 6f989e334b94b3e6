//! What a server did in a second, whatever it was asked for: the difference of two texts of
//! `/stats`.

use crate::live::Live;
use crate::stats::Sample;
use serde::Serialize;

/// The figures of a second: but for the connections, what is new since the second before.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct ServerSecond {
    connections: u64,
    accepted: u64,
    closed: u64,
    messages_in: u64,
    messages_out: u64,
    bytes_in: u64,
    bytes_out: u64,
    core_cpu_s: Vec<f64>,
}

/// Follows a server.
#[derive(Debug, Default)]
pub(super) struct SecondWatch {
    texts: Live<String>,
    seen: u64,
    before: Option<Sample>,
}

impl SecondWatch {
    pub(super) fn new(texts: Live<String>) -> Self {
        Self {
            texts,
            ..Self::default()
        }
    }

    /// What is new since the last look, if something was told.
    pub(super) fn look(&mut self) -> Option<ServerSecond> {
        let text = self.texts.news(&mut self.seen)?;
        let now = Sample::parse(text.as_bytes()).ok()?;
        let second = ServerSecond::between(self.before.as_ref(), &now);
        self.before = Some(now);
        Some(second)
    }
}

impl ServerSecond {
    fn between(before: Option<&Sample>, now: &Sample) -> Self {
        let old = before.map(|it| &it.total);
        let new = &now.total;
        macro_rules! more {
            ($key:ident) => {{
                let of_old = old.and_then(|it| it.$key).unwrap_or(0);
                new.$key.unwrap_or(0).saturating_sub(of_old)
            }};
        }
        let closed = |sample: &Sample| sample.total.closed.values().sum::<u64>();
        let cpu_s = |sample: &Sample, core: u16| {
            let found = sample.cores.iter().find(|it| it.core == core);
            found.and_then(|it| it.figures.cpu_s).unwrap_or(0.0)
        };
        let cores = now.cores.iter().map(|it| it.core + 1).max().unwrap_or(0);
        let core_cpu_s = (0..cores).map(|core| {
            let more = cpu_s(now, core) - before.map_or(0.0, |it| cpu_s(it, core));
            // A core that did not tell this time has told less than before.
            (more.max(0.0) * 1e6).round() / 1e6
        });
        Self {
            connections: new.open.sum(),
            accepted: more!(accepted),
            closed: closed(now).saturating_sub(before.map_or(0, closed)),
            messages_in: more!(messages_in),
            messages_out: more!(messages_out),
            bytes_in: more!(bytes_in),
            bytes_out: more!(bytes_out),
            core_cpu_s: core_cpu_s.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(factor: u64) -> String {
        let core = |core: u64| serde_json::json!({ "core": core, "cpu_s": factor * (core + 1) });
        let told = serde_json::json!({
            "engine": "ring", "uptime_s": 1.0, "cores": [core(0), core(1)],
            "total": {
                "open": { "websocket": factor, "sse": 1, "http": 1 }, "accepted": 10 * factor,
                "closed": { "local": factor, "reset": factor }, "messages_in": 100 * factor,
                "bytes_out": 7 * factor,
            },
        });
        told.to_string()
    }

    #[test]
    fn a_second_is_what_is_new_since_the_one_before() {
        let texts = Live::default();
        let mut watch = SecondWatch::new(texts.clone());
        assert_eq!(watch.look(), None);
        texts.say(text(1));
        assert_eq!(watch.look().unwrap().accepted, 10);
        texts.say(text(3));
        let expected = ServerSecond {
            connections: 5,
            accepted: 20,
            closed: 4,
            messages_in: 200,
            bytes_out: 14,
            core_cpu_s: vec![2.0, 4.0],
            ..ServerSecond::default()
        };
        assert_eq!(watch.look(), Some(expected));
        assert_eq!(watch.look(), None);
    }
}
