//! What clients of channels asked for and did not get, counted by kind over all cores: for who
//! watches a server.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// The counts of all cores.
#[derive(Clone, Debug, Default)]
pub struct Complaints(Arc<[AtomicU64; KINDS.len()]>);

/// Each kind: the codes that its clients are told, and what it is called.
const KINDS: [(&[u16], &str); 16] = [
    (&[3500], "bad_token"),
    (&[109, 3005], "expired_token"),
    (&[401, 3507, 4008], "not_let_in"),
    (&[403, 103], "not_allowed"),
    (&[429, 111, 3013], "too_often"),
    (&[3501, 4009], "no_command"),
    (&[3502, 4005], "never_connected"),
    (&[102], "unknown_channel"),
    (&[104], "unknown_method"),
    (&[105], "subscribed_twice"),
    (&[106], "too_many"),
    (&[107, 400], "bad_request"),
    (&[108], "not_available"),
    (&[112], "unrecoverable_position"),
    (&[FOREIGN_SESSION], "foreign_session"),
    (&[LOST_POSITION], "lost_position"),
];

/// A session's cookie that this server did not make: its browser is given another.
pub const FOREIGN_SESSION: u16 = 1;
/// A place in a history that is not there any more, or was never: its client is told so.
pub const LOST_POSITION: u16 = 2;

impl Complaints {
    /// Somebody is told that code.
    pub fn count(&self, code: u16) {
        let at = KINDS.iter().position(|(codes, _)| codes.contains(&code));
        if let Some(count) = at.and_then(|at| self.0.get(at)) {
            count.fetch_add(1, Relaxed);
        }
    }

    /// How many there were of each kind.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = self.0.iter().map(|count| count.load(Relaxed));
        KINDS.iter().map(|(_, kind)| *kind).zip(counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_is_of_one_kind_and_counted_there() {
        let complaints = Complaints::default();
        let mut codes: Vec<u16> = KINDS
            .iter()
            .flat_map(|(codes, _)| *codes)
            .copied()
            .collect();
        codes.iter().for_each(|code| complaints.count(*code));
        complaints.clone().count(3500);
        complaints.count(999);
        let all: Vec<_> = complaints.all().collect();
        assert_eq!(all[0], ("bad_token", 2), "clones count together");
        let counted: u64 = all.iter().map(|(_, count)| count).sum();
        assert_eq!(counted, codes.len() as u64 + 1);
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len() as u64 + 1, counted, "of one kind each");
    }
}
