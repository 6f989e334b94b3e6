//! Source addresses of a load run: what `--source-ip` says, and what it means for a target.

use if_addrs::get_if_addrs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

/// Addresses of one block at most: a typing error must not fill the memory.
const BLOCK_MAX: u32 = 65_536;
/// Connections per address that `auto` plans: far fewer than there are ports, because the kernel's
/// search for a free port slows down as they run out.
const CONNECTIONS_EACH: u32 = 8_000;

/// What source addresses are for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Need {
    /// So many connections to one destination.
    pub(super) connections: u32,
    /// Ports of one address (`net.ipv4.ip_local_port_range`).
    pub(super) ports: u64,
}

impl Need {
    /// How many addresses of its own a loopback has for them by default.
    pub(super) fn loopback_addresses(self) -> u32 {
        let count = u64::from(self.connections).div_ceil(self.connections_each());
        u32::try_from(count).map_or(BLOCK_MAX, |count| count.clamp(1, BLOCK_MAX))
    }

    /// Half of a short range: a connection that ended may keep its port for a while.
    fn connections_each(self) -> u64 {
        (self.ports / 2).clamp(1, CONNECTIONS_EACH.into())
    }
}

/// One item of `--source-ip`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// That address.
    One(IpAddr),
    /// So many addresses from that one on.
    Block(Ipv4Addr, u32),
    /// What fits the target.
    Auto,
}

/// Reads `127.0.0.2`, `10.0.0.0/28` or `auto`.
pub(super) fn source(text: &str) -> Result<Source, String> {
    let example = || "write an address, a block such as 127.0.0.0/28, or auto".to_owned();
    if text == "auto" {
        return Ok(Source::Auto);
    }
    let Some((address, bits)) = text.split_once('/') else {
        return text.parse().map(Source::One).map_err(|_| example());
    };
    let address: Ipv4Addr = address.parse().map_err(|_| example())?;
    let bits: u32 = bits.parse().map_err(|_| example())?;
    let size = 32u32
        .checked_sub(bits)
        .and_then(|host_bits| 1u32.checked_shl(host_bits));
    let size = size.filter(|&size| size <= BLOCK_MAX);
    let size = size.ok_or_else(|| format!("a block has at most {BLOCK_MAX} addresses (/16)"))?;
    let first = address.to_bits() & !(size - 1);
    // Neither the network's own address nor its broadcast address can be bound.
    Ok(match size {
        1 | 2 => Source::Block(Ipv4Addr::from_bits(first), size),
        _ => Source::Block(Ipv4Addr::from_bits(first + 1), size - 2),
    })
}

/// The addresses that these items mean, for so many connections to that target.
///
/// Without items the kernel chooses, except for many connections on loopback: there it would search
/// long for a free port of its one address, and others are to be had.
pub(super) fn expand(items: &[Source], target: SocketAddr, need: Need) -> Vec<IpAddr> {
    let is_many = u64::from(need.connections) > need.connections_each();
    if items.is_empty() && is_loopback(target.ip()) && is_many {
        return fitting(target.ip(), need);
    }
    let mut addresses = Vec::new();
    for item in items {
        match *item {
            Source::One(address) => addresses.push(address),
            Source::Block(first, size) => addresses.extend(block(first, size)),
            Source::Auto => addresses.extend(fitting(target.ip(), need)),
        }
    }
    addresses
}

fn block(first: Ipv4Addr, size: u32) -> impl Iterator<Item = IpAddr> {
    (0..size).map(move |index| Ipv4Addr::from_bits(first.to_bits() + index).into())
}

/// On loopback as many addresses of 127.0.0.0/8 as are good for the run; elsewhere all addresses
/// of the interface that reaches the target; none if that is not to be found out.
fn fitting(target: IpAddr, need: Need) -> Vec<IpAddr> {
    if is_loopback(target) {
        let count = need.loopback_addresses();
        return block(Ipv4Addr::new(127, 0, 0, 2), count).collect();
    }
    let Some(local) = reaching(target) else {
        return Vec::new();
    };
    let all = get_if_addrs().unwrap_or_default();
    let Some(through) = all.iter().find(|interface| interface.ip() == local) else {
        return vec![local];
    };
    all.iter()
        .filter(|interface| interface.name == through.name)
        .map(if_addrs::Interface::ip)
        .filter(|address| address.is_ipv4() == target.is_ipv4())
        .collect()
}

/// Whether all of 127.0.0.0/8 reaches the target.
const fn is_loopback(target: IpAddr) -> bool {
    matches!(target, IpAddr::V4(four) if four.is_loopback())
}

/// The local address from which the target is reached. Nothing is sent.
fn reaching(target: IpAddr) -> Option<IpAddr> {
    let any: IpAddr = if target.is_ipv4() {
        Ipv4Addr::UNSPECIFIED.into()
    } else {
        std::net::Ipv6Addr::UNSPECIFIED.into()
    };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect((target, 9)).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn need(connections: u32) -> Need {
        Need {
            connections,
            ports: 28_232,
        }
    }

    fn meant(text: &str, connections: u32) -> Vec<String> {
        let target = SocketAddr::from(([127, 0, 0, 1], 9000));
        let items = [source(text).unwrap()];
        let addresses = expand(&items, target, need(connections));
        addresses.iter().map(IpAddr::to_string).collect()
    }

    #[test]
    fn a_block_leaves_out_what_cannot_be_bound() {
        assert_eq!(meant("127.0.0.4/30", 1), ["127.0.0.5", "127.0.0.6"]);
        assert_eq!(meant("127.0.0.7/30", 1), ["127.0.0.5", "127.0.0.6"]);
        assert_eq!(meant("127.0.0.9/32", 1), ["127.0.0.9"]);
        assert_eq!(meant("127.0.0.0/16", 1).len(), 65_534);
    }

    #[test]
    fn auto_takes_enough_loopback_addresses() {
        assert_eq!(meant("auto", 10), ["127.0.0.2"]);
        assert_eq!(meant("auto", 100_000).len(), 13);
    }

    #[test]
    fn auto_takes_more_addresses_where_each_has_few_ports() {
        let target = SocketAddr::from(([127, 0, 0, 1], 9000));
        let few = Need {
            connections: 8_000,
            ports: 1_000,
        };
        assert_eq!(expand(&[Source::Auto], target, few).len(), 16);
        assert_eq!(expand(&[], target, few).len(), 16, "also without a flag");
        let one = Need { ports: 1, ..few };
        assert_eq!(expand(&[Source::Auto], target, one).len(), 8_000);
    }

    #[test]
    fn many_connections_on_loopback_need_no_flag() {
        let target = SocketAddr::from(([127, 0, 0, 1], 9000));
        assert_eq!(expand(&[], target, need(8_000)), Vec::<IpAddr>::new());
        assert_eq!(expand(&[], target, need(18_000)).len(), 3);
        let elsewhere = SocketAddr::from(([192, 0, 2, 1], 9000));
        assert_eq!(expand(&[], elsewhere, need(18_000)), Vec::<IpAddr>::new());
    }

    #[test]
    fn what_is_no_source_is_refused_with_an_example() {
        for text in [
            "",
            "x",
            "127.0.0.1/33",
            "127.0.0.1/8",
            "::1/64",
            "127.0.0/24",
        ] {
            let refusal = source(text).unwrap_err();
            assert!(refusal.contains("block"), "{text}: {refusal}");
        }
    }
}
