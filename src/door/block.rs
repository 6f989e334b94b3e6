//! Networks by their address and prefix: whom a server trusts.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

/// The addresses with a common prefix (RFC 4632, 3.1; RFC 4291, 2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressBlock {
    /// IPv4 as IPv6 has it mapped (RFC 4291, 2.5.5.2).
    address: u128,
    prefix: u32,
}

/// It is neither an address nor a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write an address or a network, such as 10.0.0.1, 10.0.0.0/8 or fd00::/8")]
pub struct NoAddressBlock;

impl AddressBlock {
    /// Whether an address is in it.
    #[must_use]
    pub const fn contains(self, address: IpAddr) -> bool {
        let differs = self.address ^ mapped(address);
        // A shift by all bits is none.
        match differs.checked_shr(128 - self.prefix) {
            Some(bits) => bits == 0,
            None => true,
        }
    }
}

impl FromStr for AddressBlock {
    type Err = NoAddressBlock;

    fn from_str(text: &str) -> Result<Self, NoAddressBlock> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| NoAddressBlock)?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => bits,
            Some(prefix) => {
                let prefix: u32 = prefix.parse().map_err(|_| NoAddressBlock)?;
                Some(prefix)
                    .filter(|it| *it <= bits)
                    .ok_or(NoAddressBlock)?
            }
        };
        Ok(Self {
            address: mapped(address),
            prefix: prefix + 128 - bits,
        })
    }
}

impl fmt::Display for AddressBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = IpAddr::from(self.address.to_be_bytes()).to_canonical();
        let beyond = if address.is_ipv4() { 96 } else { 0 };
        write!(f, "{address}/{}", self.prefix - beyond)
    }
}

const fn mapped(address: IpAddr) -> u128 {
    match address.to_canonical() {
        IpAddr::V4(four) => Ipv4Addr::to_ipv6_mapped(&four).to_bits(),
        IpAddr::V6(six) => six.to_bits(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_has_the_addresses_of_its_prefix() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.1"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.6"),
            ("0.0.0.0/0", "203.0.113.1", "2001:db8::1"),
            ("::/0", "203.0.113.1", ""),
            ("fd00::/8", "fdff::1", "fe00::1"),
            ("10.1.2.3/31", "::ffff:10.1.2.2", "10.1.2.4"),
        ] {
            let network: AddressBlock = network.parse().unwrap();
            assert!(
                network.contains(inside.parse().unwrap()),
                "{network}, {inside}"
            );
            let is_out = outside.parse().is_ok_and(|it| !network.contains(it));
            assert!(is_out || outside.is_empty(), "{network}, {outside}");
        }
        for wrong in [
            "",
            "10.0.0.0/33",
            "::/129",
            "a",
            "10.0.0/8",
            "10.0.0.0/",
            "/8",
            "::1/-1",
        ] {
            assert_eq!(
                wrong.parse::<AddressBlock>(),
                Err(NoAddressBlock),
                "{wrong}"
            );
        }
    }
}
