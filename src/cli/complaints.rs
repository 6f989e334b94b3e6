//! Says on stderr what clients of channels asked for and did not get: each kind once a second at
//! most, with how many there were.

use super::print;
use crate::app::complaints::Complaints;
use crate::engine::EngineError;
use std::collections::BTreeMap;
use std::time::Duration;

/// Time between two lines of one kind.
const LOOK: Duration = Duration::from_secs(1);

/// Begins to.
pub(super) fn tell(complaints: Complaints) -> Result<(), EngineError> {
    let tell = move || {
        let mut before = BTreeMap::new();
        loop {
            std::thread::sleep(LOOK);
            for line in news(&mut before, complaints.all()) {
                print::note(line);
            }
        }
    };
    let thread = std::thread::Builder::new().name("complaints".to_owned());
    let told = thread.spawn(tell).map(drop);
    told.map_err(|source| EngineError::no_threads("the thread that tells of complaints", source))
}

/// A line for each kind of which there are more than before.
fn news(
    before: &mut BTreeMap<&'static str, u64>,
    all: impl Iterator<Item = (&'static str, u64)>,
) -> Vec<String> {
    let mut lines = Vec::new();
    for (kind, count) in all {
        let known = before.insert(kind, count).unwrap_or_default();
        if let Some(new @ 1..) = count.checked_sub(known) {
            let shown = print::whole(new);
            lines.push(format!("refused to clients of channels: {shown} x {kind}"));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_told_once_a_look_and_only_if_there_is_news() {
        let mut before = BTreeMap::new();
        let complaints = Complaints::default();
        assert!(news(&mut before, complaints.all()).is_empty());
        (0..1200).for_each(|_| complaints.count(3500));
        complaints.count(105);
        let lines = news(&mut before, complaints.all());
        assert_eq!(
            lines,
            [
                "refused to clients of channels: 1,200 x bad_token",
                "refused to clients of channels: 1 x subscribed_twice"
            ]
        );
        assert!(news(&mut before, complaints.all()).is_empty());
        complaints.count(3500);
        assert_eq!(news(&mut before, complaints.all()).len(), 1);
    }
}
