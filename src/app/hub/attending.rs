//! As whom clients are in channels: most as the clients that they are; some only once they say so,
//! and under names that they have chosen.

use super::Hub;
use super::answer::ShownAs;
use super::broker::Broker;
use super::letter::{AttendOrder, HubLetter};
use super::outlet::Outlet;
use super::publication::ClientInfo;
use crate::app::Seat;

impl<B: Broker> Hub<B> {
    /// A client is in a channel that it has subscribed to as that one from now on, whoever it was
    /// there before. Whether it has subscribed.
    pub fn attend(
        &mut self,
        seat: Seat,
        channel: &str,
        shown: ShownAs<'_>,
        out: &mut impl Outlet,
    ) -> bool {
        let Some(index) = self.subscribers.find(channel) else {
            return false;
        };
        let Some(client) = self.clients.id(seat) else {
            return false;
        };
        if self.clients.to(seat, index).is_none() {
            return false;
        }
        let channel = self.name(index);
        let home = self.home_of(&channel);
        let order = Box::new(AttendOrder {
            client,
            info: self.shown(seat, shown),
            channel,
        });
        self.send(home, HubLetter::Attend(order), out);
        true
    }

    /// A client of a core that has subscribed here is there as somebody else.
    pub(super) fn attended(&mut self, order: AttendOrder, out: &mut impl Outlet) {
        self.home.tick(out.now());
        self.home.attend(&order.channel, order.client, order.info);
        self.deliver(out);
    }

    /// What others are told of a client that is there as that one; `None` if it is not there.
    pub(super) fn shown(&self, seat: Seat, shown: ShownAs<'_>) -> Option<ClientInfo> {
        let info = self.clients.info(seat);
        match shown {
            ShownAs::Itself => info,
            ShownAs::Nobody => None,
            ShownAs::Called(chosen) => info.map(|info| info.called(chosen)),
        }
    }
}
