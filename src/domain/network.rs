//! What counts as one client on the network.

use std::net::{IpAddr, Ipv6Addr};

/// What limits and figures count by: the address, of IPv6 its /64, since a customer has at least one of those.
pub fn counted_address(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        v4 => v4,
    }
}

/// The same for people: `203.0.113.9`, `2001:db8:1:2::/64`.
pub fn counted_name(address: IpAddr) -> String {
    match counted_address(address) {
        IpAddr::V6(v6) => format!("{v6}/64"),
        v4 => v4.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ipv6_counts_by_64_bits_and_each_ipv4_for_itself() {
        let name = |text: &str| counted_name(text.parse().unwrap());
        assert_eq!(name("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
        assert_ne!(name("2001:db8:1:3::1"), name("2001:db8:1:2::1"));
        assert_eq!(name("::ffff:127.0.0.77"), "127.0.0.77");
        assert_ne!(name("127.0.0.77"), name("127.0.0.1"));
    }
}
