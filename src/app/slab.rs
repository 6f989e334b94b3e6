//! A list of very many in pieces of a few: it grows without being copied, and takes hardly more
//! than what is in it.

/// Things by the places that they were given; a place is used again once it is free.
#[derive(Debug)]
pub(in crate::app) struct Slab<T> {
    /// Each but the last is full.
    pieces: Vec<Vec<Option<T>>>,
    free: Vec<u32>,
}

/// So many are in a piece.
const PIECE: usize = 64;

impl<T> Default for Slab<T> {
    fn default() -> Self {
        let (pieces, free) = (Vec::new(), Vec::new());
        Self { pieces, free }
    }
}

impl<T> Slab<T> {
    /// Adds something: its place.
    pub(in crate::app) fn insert(&mut self, what: T) -> u32 {
        if let Some(index) = self.free.pop() {
            if let Some(place) = self.place(index) {
                *place = Some(what);
            }
            return index;
        }
        let index = u32::try_from(self.places()).unwrap_or(u32::MAX);
        match self.pieces.last_mut().filter(|last| last.len() < PIECE) {
            Some(last) => last.push(Some(what)),
            None => {
                let mut piece = Vec::with_capacity(PIECE);
                piece.push(Some(what));
                self.pieces.push(piece);
            }
        }
        index
    }

    /// Takes what is at that place, if anything is.
    pub(in crate::app) fn remove(&mut self, index: u32) -> Option<T> {
        let taken = self.place(index)?.take();
        if taken.is_some() {
            self.free.push(index);
        }
        taken
    }

    pub(in crate::app) fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        self.place(index)?.as_mut()
    }

    pub(in crate::app) fn get(&self, index: u32) -> Option<&T> {
        let at = index as usize;
        self.pieces.get(at / PIECE)?.get(at % PIECE)?.as_ref()
    }

    /// Everything, with its place.
    pub(in crate::app) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        let all = (0..).zip(self.pieces.iter().flatten());
        all.filter_map(|(index, place)| Some((index, place.as_ref()?)))
    }

    /// How many there are.
    pub(in crate::app) fn len(&self) -> usize {
        self.places() - self.free.len()
    }

    /// Places, free ones included.
    pub(in crate::app) fn places(&self) -> usize {
        let last = self.pieces.last().map_or(0, Vec::len);
        self.pieces.len().saturating_sub(1) * PIECE + last
    }

    fn place(&mut self, index: u32) -> Option<&mut Option<T>> {
        let at = index as usize;
        self.pieces.get_mut(at / PIECE)?.get_mut(at % PIECE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_used_again_once_it_is_free_and_nothing_else_moves() {
        let mut slab = Slab::default();
        let places: Vec<u32> = (0..200_u32).map(|number| slab.insert(number)).collect();
        assert!(places.is_sorted() && slab.places() == 200 && slab.len() == 200);
        assert_eq!((slab.remove(70), slab.remove(70)), (Some(70), None));
        assert_eq!(
            (slab.len(), slab.get(70), slab.get(71)),
            (199, None, Some(&71))
        );
        assert_eq!(slab.insert(7), 70);
        assert_eq!((slab.get(70), slab.get(200)), (Some(&7), None));
        if let Some(it) = slab.get_mut(199) {
            *it = 0;
        }
        assert_eq!(
            slab.iter().map(|(_, it)| *it).sum::<u32>(),
            199 * 200 / 2 - 70 + 7 - 199
        );
    }
}
