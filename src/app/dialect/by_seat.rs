//! Something of some of a core's clients, by their seats: of the others it takes next to nothing,
//! however many they are.

use crate::app::Seat;

/// Something of some clients.
#[derive(Debug)]
pub(super) struct BySeat<T> {
    pages: Vec<Option<Box<[Option<T>; PAGE]>>>,
    /// Of how many.
    count: usize,
}

/// So many seats beside each other are kept together.
const PAGE: usize = 64;

impl<T> BySeat<T> {
    /// Of none.
    pub(super) const fn new() -> Self {
        Self {
            pages: Vec::new(),
            count: 0,
        }
    }

    /// Of one more, or something else of one.
    pub(super) fn insert(&mut self, seat: Seat, what: T) {
        let (page, at) = place(seat);
        if self.pages.len() <= page {
            self.pages.resize_with(page + 1, || None);
        }
        let Some(page) = self.pages.get_mut(page) else {
            return;
        };
        let page = page.get_or_insert_with(|| Box::new([const { None }; PAGE]));
        if let Some(place) = page.get_mut(at) {
            self.count += usize::from(place.is_none());
            *place = Some(what);
        }
    }

    /// Of one less: what was known of it.
    pub(super) fn remove(&mut self, seat: Seat) -> Option<T> {
        let (page, at) = place(seat);
        let removed = self.pages.get_mut(page)?.as_mut()?.get_mut(at)?.take()?;
        self.count -= 1;
        if self.count == 0 {
            self.pages = Vec::new();
        }
        Some(removed)
    }

    pub(super) fn get(&self, seat: Seat) -> Option<&T> {
        let (page, at) = place(seat);
        self.pages.get(page)?.as_ref()?.get(at)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, seat: Seat) -> Option<&mut T> {
        let (page, at) = place(seat);
        self.pages.get_mut(page)?.as_mut()?.get_mut(at)?.as_mut()
    }

    /// Each one whose seat is that one of so many: each is in one part.
    pub(super) fn part(&mut self, part: usize, parts: usize) -> impl Iterator<Item = &mut T> {
        let pages = self.pages.iter_mut().flatten();
        pages.flat_map(move |page| page.iter_mut().skip(part).step_by(parts).flatten())
    }

    /// Whether it is of none.
    pub(super) const fn is_empty(&self) -> bool {
        self.count == 0
    }
}

const fn place(seat: Seat) -> (usize, usize) {
    (seat.0 as usize / PAGE, seat.0 as usize % PAGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_very_many_takes_little_and_each_is_in_one_part() {
        let mut some = BySeat::new();
        for seat in [7, 64, 1_000_000] {
            some.insert(Seat(seat), seat);
        }
        some.insert(Seat(7), 8);
        assert_eq!(some.pages.iter().flatten().count(), 3);
        assert_eq!((some.get(Seat(7)), some.get(Seat(8))), (Some(&8), None));
        let mut all: Vec<u32> = (0..10)
            .flat_map(|part| some.part(part, 10).map(|it| *it).collect::<Vec<_>>())
            .collect();
        all.sort_unstable();
        assert_eq!(all, [8, 64, 1_000_000]);
        if let Some(it) = some.get_mut(Seat(64)) {
            *it = 65;
        }
        assert_eq!(
            (some.remove(Seat(64)), some.remove(Seat(64))),
            (Some(65), None)
        );
        assert!(some.remove(Seat(7)).is_some() && !some.is_empty());
        assert!(some.remove(Seat(1_000_000)).is_some() && some.is_empty());
        assert!(some.pages.is_empty());
    }
}
