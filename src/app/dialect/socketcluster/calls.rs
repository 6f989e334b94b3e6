//! What is answered without an application behind the server, for first tries.

use super::{ClientPacket, ClusterClients, ClusterError, ErrorCode, Seat, codec};
use serde::Deserialize;
use serde_json::Number;
use serde_json::value::RawValue;

impl ClusterClients {
    /// A procedure is called, or an event is sent. An event that nobody expects is passed over.
    pub(super) fn call(
        &mut self,
        seat: Seat,
        (event, packet): (&str, &ClientPacket<'_>),
    ) -> Result<(), ErrorCode> {
        let data = packet.data.map(RawValue::get);
        match (packet.call, event) {
            (None, "echo") if self.rules.echo => {
                self.note(|into| codec::event(into, "echoed", data));
            }
            (None, "ping") if self.rules.echo => {
                let count = self.get(seat).map_or(0, |known| {
                    known.pings = known.pings.wrapping_add(1);
                    known.pings
                });
                let count = format!("{{\"count\":{count}}}");
                self.note(|into| codec::event(into, "pong", Some(&count)));
            }
            (None, _) => {}
            (Some(call), "echo") if self.rules.echo => {
                self.note(|into| codec::response(into, &call, data));
            }
            (Some(call), "sum") if self.rules.echo => {
                let sum = data.and_then(sum).ok_or(NO_NUMBERS)?.to_string();
                self.note(|into| codec::response(into, &call, Some(&sum)));
            }
            (Some(call), "fail") if self.rules.echo => {
                self.note(|into| codec::failure(into, &call, FAILED));
            }
            (Some(_), _) => return Err(ErrorCode::METHOD_NOT_FOUND),
        }
        Ok(())
    }
}

/// What the procedure `fail` fails with.
const FAILED: ClusterError<'_> = ClusterError {
    name: "CustomError",
    message: "it always fails",
    code: None,
};

const NO_NUMBERS: ErrorCode = ErrorCode {
    message: "sum takes {\"a\":1,\"b\":2}",
    ..ErrorCode::BAD_REQUEST
};

/// The sum of two numbers: a whole one if both are, and it is not too large.
fn sum(data: &str) -> Option<Number> {
    #[derive(Deserialize)]
    struct Numbers {
        a: Number,
        b: Number,
    }
    let Numbers { a, b } = serde_json::from_str(data).ok()?;
    let whole = a.as_i64().zip(b.as_i64());
    match whole.and_then(|(a, b)| a.checked_add(b)) {
        Some(sum) => Some(sum.into()),
        None => Number::from_f64(a.as_f64()? + b.as_f64()?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_whole_where_they_can_be() {
        let said = |text| sum(text).map(|sum| sum.to_string());
        assert_eq!(said(r#"{"a":1,"b":2}"#).as_deref(), Some("3"));
        assert_eq!(said(r#"{"a":1.5,"b":2}"#).as_deref(), Some("3.5"));
        let large = format!("{{\"a\":{},\"b\":1}}", i64::MAX);
        assert!(said(&large).is_some_and(|sum| sum.starts_with("9.2233")));
        for text in ["{}", "[1,2]x", r#"{"a":"1","b":2}"#, r#"{"a":1e999,"b":1}"#] {
            assert_eq!(said(text), None, "{text}");
        }
    }
}
