//! `--deflate[=MODE]`: whether messages are deflated, with or without those before them, and what
//! that costs a connection.

use super::print;
use crate::protocol::websocket::deflate::{ContextTakeover, WindowBits};

/// What `--deflate` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DeflateMode(pub(super) Option<ContextTakeover>);

/// Reads `true`, `false`, `takeover` or `takeover:15`.
pub(super) fn mode(text: &str) -> Result<DeflateMode, String> {
    let example = "write true, false, takeover or takeover:BITS with windows of 9 to 15 bits, such \
                   as takeover:15";
    let mode = match text.split_once(':') {
        None => match text {
            "false" | "off" | "no" | "0" => None,
            "true" | "on" | "yes" | "1" => Some(ContextTakeover::Never),
            "takeover" => Some(ContextTakeover::Within(WindowBits::USUAL)),
            _ => return Err(example.to_owned()),
        },
        Some(("takeover", bits)) => {
            let bits = bits.parse().ok().and_then(WindowBits::new);
            // 8 is what nobody can deflate with by itself.
            let bits = bits.filter(|bits| *bits >= WindowBits::NARROW);
            Some(ContextTakeover::Within(bits.ok_or(example)?))
        }
        Some(_) => return Err(example.to_owned()),
    };
    Ok(DeflateMode(mode))
}

impl DeflateMode {
    /// Whether messages are deflated.
    pub(super) const fn is_on(self) -> bool {
        self.0.is_some()
    }

    /// The flag as it would be typed, if anything is.
    pub(super) fn typed(mode: Option<ContextTakeover>) -> Option<String> {
        Some(match mode? {
            ContextTakeover::Never => "--deflate".to_owned(),
            ContextTakeover::Within(bits) => format!("--deflate=takeover:{}", bits.get()),
        })
    }

    /// What so many connections of a client may take for their windows, if they keep any.
    pub(super) fn client_line(mode: Option<ContextTakeover>, connections: u32) -> Option<String> {
        let (sent, heard) = windows(mode?)?;
        let all = (sent + heard) * u64::from(connections);
        let count = print::whole(u64::from(connections));
        Some(format!(
            "--deflate=takeover: {} to send and up to {} to receive for a connection: {} for \
             {count}",
            size(sent),
            size(heard),
            size(all),
        ))
    }

    /// What the connections of a server may take for their windows, if they keep any: up to half of
    /// the budget of a core.
    pub(super) fn server_line(mode: Option<ContextTakeover>, budget: usize) -> Option<String> {
        let (own, all) = windows(mode?)?;
        let half = budget as u64 / 2;
        Some(format!(
            "--deflate=takeover: {} for a connection that limits its window, as browsers do, up to \
             {} for another: {} to {} on a core within {} (half of --max-memory), more of them \
             without context",
            size(2 * own),
            size(own + all),
            print::whole(half / (own + all)),
            print::whole(half / (2 * own)),
            size(half),
        ))
    }
}

/// Bytes of the windows of a connection, of what it sends and of what it receives at most.
fn windows(mode: ContextTakeover) -> Option<(u64, u64)> {
    match mode.bytes_max() {
        (0, 0) => None,
        (sent, heard) => Some((sent as u64, heard as u64)),
    }
}

/// Bytes, KiB or MiB.
fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} bytes"),
        1024..0x10_0000 => format!("{} KiB", bytes.div_ceil(1024)),
        _ => format!("{} MiB", print::whole(bytes.div_ceil(0x10_0000))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_is_what_was_typed_and_typed_again_is_the_same() {
        for text in ["takeover:9", "takeover:12", "takeover:15", "true"] {
            let read = mode(text).unwrap();
            let typed = DeflateMode::typed(read.0).unwrap();
            let value = typed.strip_prefix("--deflate").unwrap();
            let value = value.strip_prefix('=').unwrap_or("true");
            assert_eq!(mode(value), Ok(read), "{text}");
        }
        assert_eq!(mode("takeover"), mode("takeover:12"));
        assert_eq!(mode("false"), Ok(DeflateMode(None)));
        for text in [
            "takeover:8",
            "takeover:16",
            "takeover:",
            "window:9",
            "maybe",
            "",
        ] {
            let fault = mode(text).unwrap_err();
            assert!(fault.contains("takeover:15"), "{text}: {fault}");
        }
    }

    #[test]
    fn what_a_connection_costs_is_told() {
        let usual = mode("takeover").unwrap().0;
        let line = DeflateMode::client_line(usual, 1_000).unwrap();
        assert!(
            line.ends_with(
                "4 KiB to send and up to 32 KiB to receive for a connection: 36 MiB for 1,000"
            ),
            "{line}"
        );
        let line = DeflateMode::server_line(usual, 64 << 20).unwrap();
        assert!(line.contains("8 KiB for a connection"), "{line}");
        assert!(
            line.contains("910 to 4,096 on a core within 32 MiB"),
            "{line}"
        );
        assert_eq!(
            DeflateMode::server_line(mode("true").unwrap().0, 1 << 20),
            None
        );
        assert_eq!(DeflateMode::client_line(None, 1), None);
    }
}
