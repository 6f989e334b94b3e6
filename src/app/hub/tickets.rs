//! Commands that a broker has not answered, and what each was for.

use super::broker::Ticket;

/// What is waited for, by ticket.
#[derive(Debug)]
pub(super) struct Tickets<T> {
    waiting: Vec<Option<T>>,
    free: Vec<Ticket>,
}

impl<T> Default for Tickets<T> {
    fn default() -> Self {
        let (waiting, free) = (Vec::new(), Vec::new());
        Self { waiting, free }
    }
}

impl<T> Tickets<T> {
    /// A ticket for it.
    pub(super) fn take(&mut self, what: T) -> Ticket {
        if let Some(ticket) = self.free.pop() {
            if let Some(place) = self.waiting.get_mut(ticket.0 as usize) {
                *place = Some(what);
            }
            return ticket;
        }
        self.waiting.push(Some(what));
        Ticket(u32::try_from(self.waiting.len() - 1).unwrap_or(u32::MAX))
    }

    /// What that ticket was for; `None` if it was answered before.
    pub(super) fn redeem(&mut self, ticket: Ticket) -> Option<T> {
        let what = self.waiting.get_mut(ticket.0 as usize)?.take()?;
        self.free.push(ticket);
        Some(what)
    }

    /// How many are not answered.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.waiting.len() - self.free.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_redeemed_once_and_used_again() {
        let mut tickets = Tickets::default();
        let (a, b) = (tickets.take('a'), tickets.take('b'));
        assert_ne!(a, b);
        assert_eq!((tickets.redeem(a), tickets.redeem(a)), (Some('a'), None));
        assert_eq!(tickets.take('c'), a);
        assert_eq!(
            (tickets.redeem(b), tickets.redeem(a), tickets.len()),
            (Some('b'), Some('c'), 0)
        );
        assert_eq!(tickets.redeem(Ticket(9)), None);
    }
}
