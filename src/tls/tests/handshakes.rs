//! Handshakes that end well, late, badly or not at all.

use super::*;
use crate::shard::Flaw;

#[test]
fn a_peer_that_leaves_within_the_handshake_is_said_to_have() {
    for (cause, flaw) in [
        (CloseCause::PeerEnded, Flaw::Ended),
        (CloseCause::Reset, Flaw::Reset),
    ] {
        for side in [Side::Server, Side::Client] {
            let mut layer = Layer::new(side, MODERN);
            layer.open(side, ID);
            layer.closed(ID, cause);
            assert_eq!(layer.told(), [Told::Closed(CloseCause::Insecure(flaw))]);
        }
    }
}
