//! Which addresses the operator never sends requests to, whatever name led there.
//!
//! What answers on them trusts everybody who reaches it: the machine's own services, and the clouds' metadata services,
//! which hand out credentials.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Metadata services whose addresses are not link-local ones.
const METADATA_V4: Ipv4Addr = Ipv4Addr::new(100, 100, 100, 200);
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254);

/// Why nothing is sent to this address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Refusal {
    /// It is the operator's own machine, and that was not allowed.
    Loopback,
    /// It is never asked.
    Never(&'static str),
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Loopback => f.write_str(
                "a loopback address, which is the operator's own machine; name the server's Service",
            ),
            Self::Never(what) => write!(f, "{what} address, which is never asked"),
        }
    }
}

/// Why nothing is sent to `ip`; None where it may be asked. An IPv4 address inside an IPv6 one is seen as what it is.
pub fn refusal(ip: IpAddr, allow_loopback: bool) -> Option<Refusal> {
    match ip {
        IpAddr::V4(ip) => refusal_v4(ip, allow_loopback),
        IpAddr::V6(ip) => match embedded(ip) {
            Some(v4) => refusal_v4(v4, allow_loopback),
            None => refusal_v6(ip, allow_loopback),
        },
    }
}

fn refusal_v4(ip: Ipv4Addr, allow_loopback: bool) -> Option<Refusal> {
    if ip.is_loopback() {
        (!allow_loopback).then_some(Refusal::Loopback)
    } else if ip.is_link_local() || ip == METADATA_V4 {
        Some(Refusal::Never("a link-local or cloud metadata"))
    } else if ip.is_multicast() || ip.is_broadcast() {
        Some(Refusal::Never("a multicast or broadcast"))
    } else if ip.octets()[0] == 0 {
        // Linux takes 0.0.0.0 for the machine itself.
        Some(Refusal::Never("an unspecified"))
    } else {
        None
    }
}

fn refusal_v6(ip: Ipv6Addr, allow_loopback: bool) -> Option<Refusal> {
    if ip.is_loopback() {
        (!allow_loopback).then_some(Refusal::Loopback)
    } else if ip.is_unicast_link_local() || ip == METADATA_V6 {
        Some(Refusal::Never("a link-local or cloud metadata"))
    } else if ip.is_multicast() {
        Some(Refusal::Never("a multicast or broadcast"))
    } else if ip.is_unspecified() {
        Some(Refusal::Never("an unspecified"))
    } else {
        None
    }
}

/// The IPv4 address inside a mapped one (`::ffff:a.b.c.d`), an old compatible one (`::a.b.c.d`), or one of NAT64's
/// (`64:ff9b::a.b.c.d`).
fn embedded(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let octets = ip.octets();
    let (head, tail) = octets.split_at(12);
    let v4 = <[u8; 4]>::try_from(tail).ok().map(Ipv4Addr::from)?;
    match head {
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff] | [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0] => {
            Some(v4)
        }
        // `::` and `::1` are IPv6's own.
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0] if u32::from(v4) > 0xffff => Some(v4),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("10.96.0.7")]
    #[case("192.168.1.1")]
    #[case("100.64.0.1")]
    #[case("8.8.8.8")]
    #[case("fd00::7")]
    #[case("2001:db8::1")]
    #[case("::ffff:10.0.0.1")]
    fn servers_may_be_asked(#[case] ip: IpAddr) {
        assert_eq!(refusal(ip, false), None);
    }

    #[rstest]
    #[case("127.0.0.1")]
    #[case("127.9.9.9")]
    #[case("::1")]
    #[case("::ffff:127.0.0.1")]
    #[case("::127.0.0.1")]
    #[case("64:ff9b::127.0.0.1")]
    fn the_own_machine_only_where_it_was_allowed(#[case] ip: IpAddr) {
        assert_eq!(refusal(ip, false), Some(Refusal::Loopback));
        assert_eq!(refusal(ip, true), None);
    }

    #[rstest]
    #[case("169.254.169.254")]
    #[case("::ffff:169.254.169.254")]
    #[case("::ffff:a9fe:1")]
    #[case("64:ff9b::169.254.169.254")]
    #[case("fe80::1")]
    #[case("febf::1")]
    #[case("100.100.100.200")]
    #[case("fd00:ec2::254")]
    #[case("224.0.0.1")]
    #[case("255.255.255.255")]
    #[case("ff02::1")]
    #[case("0.0.0.0")]
    #[case("0.0.0.1")]
    #[case("::")]
    #[case("::ffff:0.0.0.0")]
    fn some_are_never_asked(#[case] ip: IpAddr, #[values(false, true)] allow_loopback: bool) {
        assert!(matches!(refusal(ip, allow_loopback), Some(Refusal::Never(_))));
    }
}
