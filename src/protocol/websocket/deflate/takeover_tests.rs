//! Messages that refer to those before them: other implementations of both sides beside ours.

use super::*;
use crate::protocol::websocket::frame::{Extension, Role};
use proptest::prelude::*;

const KEY: u32 = 7;

fn takeover(bits: u8) -> Agreement {
    let told = format!("permessage-deflate; server_max_window_bits={bits}");
    let within = ContextTakeover::Within(WindowBits::MOST);
    agreed([told.as_bytes()].into_iter(), within)
        .unwrap()
        .unwrap()
}

/// A server's side of one connection with that window.
fn deflation(bits: u8) -> Deflation {
    let mut deflation = Deflation::default();
    deflation.open(KEY, &takeover(bits), Role::Server);
    deflation
}

fn deflated(deflation: &mut Deflation, message: &[u8]) -> Option<Vec<u8>> {
    let way = (KEY, Extension::DeflateTakeover);
    deflation.deflate(way, message).map(<[u8]>::to_vec)
}

/// One stream for all messages, as a peer keeps it: zlib with that window, and nothing beyond it,
/// because it gives out one byte at a time.
struct Peer {
    stream: Decompress,
}

impl Peer {
    fn new(bits: u8) -> Self {
        let stream = Decompress::new_with_window_bits(false, bits);
        Self { stream }
    }

    fn inflate(&mut self, packed: &[u8]) -> Vec<u8> {
        let (mut out, bytes) = (Vec::new(), [packed, &TAIL].concat());
        let mut at = 0;
        loop {
            let mut byte = [0];
            let before = (self.stream.total_in(), self.stream.total_out());
            let rest = bytes.get(at..).unwrap();
            let status = self
                .stream
                .decompress(rest, &mut byte, FlushDecompress::Sync);
            status.expect("deflated data");
            at += usize::try_from(self.stream.total_in() - before.0).unwrap();
            match self.stream.total_out() - before.1 {
                0 if at == bytes.len() => return out,
                0 => {}
                _ => out.extend(byte),
            }
        }
    }
}

/// Texts that resemble each other, as those of a conversation do.
fn texts() -> impl Strategy<Value = Vec<String>> {
    let part = prop_oneof![
        Just("{\"channel\":\"orders\",\"data\":{\"id\":".to_owned()),
        Just("},\"offset\":12345}".to_owned()),
        "[a-d]{0,40}",
        "\\PC{0,12}",
    ];
    let text = prop::collection::vec(part, 0..30).prop_map(|parts| parts.concat());
    prop::collection::vec(text, 1..40)
}

proptest! {
    #[test]
    fn a_peer_with_the_window_that_was_agreed_on_inflates_every_message(
        texts in texts(),
        bits in 9..=15_u8,
    ) {
        let (mut ours, mut peer) = (deflation(bits), Peer::new(bits));
        for text in &texts {
            if let Some(packed) = deflated(&mut ours, text.as_bytes()) {
                prop_assert_eq!(&peer.inflate(&packed), text.as_bytes());
            }
        }
    }

    #[test]
    fn what_another_streams_compressor_made_is_inflated(
        texts in texts(),
        bits in 9..=15_u8,
        level in 1..=9_u32,
    ) {
        let mut stream = Compress::new_with_window_bits(Compression::new(level), false, bits);
        let (mut inflater, mut windows) = (Inflater::default(), Windows::default());
        windows.open(KEY, (WindowBits::new(bits).unwrap(), Kept::Last));
        let mut into = Vec::new();
        // A flush of nothing new says nothing.
        for text in texts.iter().filter(|text| !text.is_empty()) {
            let before = stream.total_out();
            let mut out = vec![0; text.len() + 1_000];
            stream.compress(text.as_bytes(), &mut out, FlushCompress::Sync).unwrap();
            out.truncate(usize::try_from(stream.total_out() - before).unwrap());
            let packed = out.strip_suffix(&TAIL).unwrap();
            let before = windows.context(KEY);
            let inflated = inflater.inflate_after(before, packed, limits::MESSAGE_BYTES, &mut into);
            prop_assert_eq!(inflated, Ok(()));
            prop_assert_eq!(&into, text.as_bytes());
            windows.remember(KEY, text.as_bytes());
        }
    }

    #[test]
    fn whatever_is_referred_to_nothing_panics_and_nothing_outgrows_its_bound(
        before in prop::collection::vec(any::<u8>(), 0..70_000),
        packed in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let mut into = Vec::new();
        let _ = Inflater::default().inflate_after(&before, &packed, 1_000, &mut into);
        prop_assert!(into.len() <= 1_001);
    }
}

/// RFC 7692, 7.1.2: a window of 256 bytes is served by a compressor of 512, which refers no
/// further back than the difference of that and what it looks ahead, 262.
#[test]
fn a_window_of_256_bytes_is_enough_for_the_least_compressor() {
    let mut ours = deflation(8);
    let mut random = fastrand::Rng::with_seed(7);
    let (mut said, mut into, mut shrunk) = (Vec::new(), Vec::new(), 0);
    let mut inflater = Inflater::default();
    for _ in 0..5_000 {
        // So short that what is too far back is before the window, wherever it is referred to.
        let len = random.usize(16..24);
        let text: Vec<u8> = (0..len).map(|_| random.u8(b'a'..=b'c')).collect();
        if let Some(packed) = deflated(&mut ours, &text) {
            let window = last(&said, 250);
            inflater
                .inflate_after(window, &packed, 100, &mut into)
                .unwrap();
            assert_eq!(into, text);
            said.extend_from_slice(&text);
            shrunk += 1;
        }
    }
    assert!(shrunk > 4_000, "{shrunk}");
}

#[test]
fn a_message_that_resembles_the_last_one_shrinks_to_a_fraction() {
    let mut ours = deflation(12);
    let text =
        |n: u32| format!("{{\"room\":\"lobby\",\"from\":\"ada\",\"seq\":{n},\"text\":\"hi\"}}");
    // The first has nothing to refer to, and is said for those that follow.
    let first = deflated(&mut ours, text(1).as_bytes()).unwrap();
    assert!(
        first.len() < text(1).len() + INVESTED_MORE,
        "{}",
        first.len()
    );
    for n in 2..9 {
        let next = deflated(&mut ours, text(n).as_bytes()).unwrap();
        assert!(next.len() < 16, "{} of {}", next.len(), text(n).len());
    }
    // Long ones that do not shrink are nobody's context.
    let noise: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..))
        .take(2_000)
        .collect();
    assert_eq!(deflated(&mut ours, &noise), None);
    assert!(deflated(&mut ours, text(9).as_bytes()).unwrap().len() < 16);
}

#[test]
fn what_did_not_leave_is_not_referred_to() {
    let (mut ours, mut peer) = (deflation(12), Peer::new(12));
    let lost = b"it is lost, it is lost, it is lost: in nobody's window, as it did not leave";
    deflated(&mut ours, lost).expect("a message");
    ours.restart(KEY);
    let packed = deflated(&mut ours, &[lost.as_slice(), lost].concat()).unwrap();
    assert_eq!(peer.inflate(&packed), [lost.as_slice(), lost].concat());
}

#[test]
fn a_message_deflated_by_itself_for_many_is_in_the_window_too() {
    let (mut ours, mut peer) = (deflation(12), Peer::new(12));
    let text = b"{\"said\":\"to all who are here, each of whom has a window\",\"said\":\"to all\"}";
    let shared = ours
        .shared()
        .and_then(|it| it.deflate(text))
        .unwrap()
        .to_vec();
    ours.remember(KEY, text);
    assert_eq!(peer.inflate(&shared), text);
    let packed = deflated(&mut ours, text).unwrap();
    assert!(packed.len() < 12, "{}", packed.len());
    assert_eq!(peer.inflate(&packed), text);
}

/// RFC 7692, 7.2.3.4: blocks may end within a message, and what follows may refer to them.
#[test]
fn a_stream_that_ends_within_a_message_goes_on_with_what_was_said() {
    let hello = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    let mut into = Vec::new();
    let mut inflater = Inflater::default();
    inflater
        .inflate_after(b"Hello", &[&hello[..], &[0]].concat(), 100, &mut into)
        .unwrap();
    assert_eq!(into, b"Hello");
    // RFC 7692, 7.2.3.2: the second "Hello" refers to the first.
    let again = [0xf2, 0x00, 0x11, 0x00, 0x00];
    inflater
        .inflate_after(b"Hello", &again, 100, &mut into)
        .unwrap();
    assert_eq!(into, b"Hello");
    let refused = inflater.inflate_after(b"", &again, 100, &mut into);
    assert_eq!(refused, Err(NOT_DEFLATED));
}
