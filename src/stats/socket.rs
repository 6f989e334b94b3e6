//! What the kernel tells of one TCP socket.

/// One socket, of its whole life (include/uapi/linux/tcp.h, `tcp_info`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SocketFigures {
    /// The smoothed round trip, in microseconds.
    pub rtt_us: u32,
    /// Segments sent with data, each time.
    pub data_segments: u32,
    /// Segments sent again.
    pub retransmits: u32,
    /// Segments that came out of order.
    pub out_of_order: u32,
    /// Its time-out for an acknowledgement has passed, and none came since.
    pub is_stalled: bool,
    /// It waited for the peer's receive window more than half of the time it had to send.
    pub is_window_limited: bool,
}

impl SocketFigures {
    /// Reads a `tcp_info`: what an older kernel does not tell is 0, too short a one is `None`.
    #[must_use]
    pub fn parse(info: &[u8]) -> Option<Self> {
        let number = |at: usize| {
            let bytes = info.get(at..at + 4)?;
            Some(u32::from_ne_bytes(bytes.try_into().ok()?))
        };
        let time = |at: usize| {
            let bytes = info.get(at..at + 8)?;
            Some(u64::from_ne_bytes(bytes.try_into().ok()?))
        };
        // tcpi_busy_time, tcpi_rwnd_limited
        let (busy, limited) = (time(168).unwrap_or(0), time(176).unwrap_or(0));
        Some(Self {
            rtt_us: number(68)?,
            retransmits: number(100)?,
            data_segments: number(156).unwrap_or(0),
            out_of_order: number(224).unwrap_or(0),
            // tcpi_retransmits (since the last acknowledgement), tcpi_unacked
            is_stalled: *info.get(2)? > 0 && number(24)? > 0,
            is_window_limited: limited > busy / 2,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A `tcp_info` of this kernel's length with some fields set.
    fn info(fields: &[(usize, u32)]) -> Vec<u8> {
        let mut bytes = vec![0; 248];
        for &(at, value) in fields {
            bytes[at..at + 4].copy_from_slice(&value.to_ne_bytes());
        }
        bytes
    }

    #[test]
    fn a_tcp_info_is_read_by_the_kernels_layout_and_an_older_ones_is_shorter() {
        let bytes = info(&[(24, 3), (68, 700), (100, 9), (156, 80), (224, 5), (168, 10)]);
        let figures = SocketFigures::parse(&bytes).expect("long enough");
        let expected = SocketFigures {
            rtt_us: 700,
            data_segments: 80,
            retransmits: 9,
            out_of_order: 5,
            is_stalled: false,
            is_window_limited: false,
        };
        assert_eq!(figures, expected);
        // Linux 3.x: up to tcpi_total_retrans.
        let old = SocketFigures::parse(&bytes[..104]).expect("long enough");
        assert_eq!((old.retransmits, old.data_segments), (9, 0));
        assert_eq!(SocketFigures::parse(&bytes[..60]), None);
    }

    #[test]
    fn a_socket_is_stalled_while_what_it_sent_again_is_not_acknowledged() {
        let mut bytes = info(&[(24, 1)]);
        bytes[2] = 4;
        assert!(
            SocketFigures::parse(&bytes)
                .expect("long enough")
                .is_stalled
        );
        bytes[24] = 0;
        assert!(
            !SocketFigures::parse(&bytes)
                .expect("long enough")
                .is_stalled
        );
    }
}
