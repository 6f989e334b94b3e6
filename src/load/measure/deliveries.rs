//! What became of numbered publications at their subscribers.

/// Counts of one run, of its measured time only. A publication that never came, and that no word
/// or later publication gave away, is in none of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deliveries {
    /// Publications that came as they were published.
    pub live: u64,
    /// Publications that were given to who came back.
    pub recovered: u64,
    /// Numbers that were passed over without a word.
    pub lost: u64,
    /// Publications that had come before.
    pub repeated: u64,
    /// Publications that came after a later one.
    pub reordered: u64,
    /// Publications that the server said it cannot give any more.
    pub told: u64,
}

/// What is known of one delivery, or of those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivered {
    /// It came as it was published.
    Live,
    /// It was given to who came back.
    Recovered,
    /// So many before it were passed over without a word.
    Lost(u64),
    /// It had come before.
    Repeated,
    /// It was passed over, and has come after all.
    Late,
    /// So many are lost, and the server says so.
    Told(u64),
}

impl Deliveries {
    /// Counts one.
    pub fn count(&mut self, what: Delivered) {
        match what {
            Delivered::Live => self.live += 1,
            Delivered::Recovered => self.recovered += 1,
            Delivered::Lost(count) => self.lost += count,
            Delivered::Repeated => self.repeated += 1,
            Delivered::Late => {
                self.lost = self.lost.saturating_sub(1);
                self.reordered += 1;
            }
            Delivered::Told(count) => self.told += count,
        }
    }

    /// Adds another core's.
    pub fn merge(&mut self, other: &Self) {
        let Self {
            live,
            recovered,
            lost,
            repeated,
            reordered,
            told,
        } = self;
        *live += other.live;
        *recovered += other.recovered;
        *lost += other.lost;
        *repeated += other.repeated;
        *reordered += other.reordered;
        *told += other.told;
    }
}
