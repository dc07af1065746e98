//! Where a request comes from. X-Forwarded-For counts only when the peer is a proxy that the settings name.

use super::{AppState, transport};
use anyhow::Context;
use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use ipnet::IpNet;
use std::convert::Infallible;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Once;

static TELL_ONCE: Once = Once::new();

/// The address of the client, or of the last proxy that is not trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

impl ClientAddress {
    /// The address that one client cannot change at will: for IPv6 its /64.
    pub fn throttle_key(self) -> String {
        match self.0 {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
            }
        }
    }

    /// The same as an address: the first of its /64.
    pub fn throttle_address(self) -> IpAddr {
        match self.0 {
            IpAddr::V4(_) => self.0,
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
            }
        }
    }
}

impl fmt::Display for ClientAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromRequestParts<AppState> for ClientAddress {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self, Infallible> {
        // Without a connection (a router called directly) the peer is nobody, and nobody is not trusted.
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        let peer = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |info| info.0.ip());
        if app.trusted_proxies.is_empty() && is_forwarded(&parts.headers) && transport::is_https(&app.config) {
            TELL_ONCE.call_once(|| {
                tracing::warn!(
                    "Requests come through a proxy at {peer}, and COSTWAKE_TRUSTED_PROXIES names none: everyone has its \
                     address in the audit log, and failed sign-ins of one slow down those of all. Name the proxy there"
                );
            });
        }
        Ok(Self(resolve(peer, &parts.headers, &app.trusted_proxies)))
    }
}

fn is_forwarded(headers: &HeaderMap) -> bool {
    headers.contains_key("x-forwarded-for") || headers.contains_key("forwarded")
}

/// Reads the setting: addresses and networks, separated by commas.
pub fn networks(setting: &str) -> anyhow::Result<Vec<IpNet>> {
    let parse = |text: &str| {
        let network = text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
        network.with_context(|| {
            format!("COSTWAKE_TRUSTED_PROXIES: \"{text}\" is neither an address nor a network such as 10.0.0.0/8")
        })
    };
    setting.split(',').map(str::trim).filter(|text| !text.is_empty()).map(parse).collect()
}

/// From the right, the first hop that is not a trusted proxy. What stands left of it, its sender made up.
pub fn resolve(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let mut address = peer.to_canonical();
    let lines: Vec<&str> = headers.get_all("x-forwarded-for").iter().filter_map(|line| line.to_str().ok()).collect();
    for hop in lines.iter().rev().flat_map(|line| line.rsplit(',')) {
        if !trusted.iter().any(|network| network.contains(&address)) {
            break;
        }
        match hop.trim().parse::<IpAddr>() {
            Ok(hop) => address = hop.to_canonical(),
            Err(_) => break,
        }
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(peer: &str, forwarded: &[&str], trusted: &str) -> String {
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append("x-forwarded-for", line.parse().unwrap());
        }
        resolve(peer.parse().unwrap(), &headers, &networks(trusted).unwrap()).to_string()
    }

    #[test]
    fn forwarded_addresses_count_only_from_trusted_proxies() {
        assert_eq!(seen("203.0.113.9", &["198.51.100.1"], ""), "203.0.113.9");
        assert_eq!(seen("203.0.113.9", &["198.51.100.1"], "10.0.0.0/8"), "203.0.113.9");
        assert_eq!(seen("10.0.0.2", &["198.51.100.1"], "10.0.0.0/8"), "198.51.100.1");
        assert_eq!(seen("10.0.0.2", &["1.2.3.4, 198.51.100.1, 10.0.0.7"], "10.0.0.0/8"), "198.51.100.1");
        assert_eq!(seen("10.0.0.2", &["1.2.3.4", "198.51.100.1"], "10.0.0.0/8"), "198.51.100.1");
        assert_eq!(seen("10.0.0.2", &["evil, 198.51.100.1"], "10.0.0.0/8"), "198.51.100.1");
        assert_eq!(seen("10.0.0.2", &["198.51.100.1, garbage"], "10.0.0.0/8"), "10.0.0.2");
        assert_eq!(seen("::ffff:10.0.0.2", &["198.51.100.1"], "10.0.0.0/8"), "198.51.100.1");
    }

    #[test]
    fn a_proxy_shows_by_its_headers() {
        let headers =
            |name: &'static str| HeaderMap::from_iter([(name.parse().unwrap(), "198.51.100.1".parse().unwrap())]);
        assert!(is_forwarded(&headers("x-forwarded-for")) && is_forwarded(&headers("forwarded")));
        assert!(!is_forwarded(&headers("host")));
    }

    #[test]
    fn an_ipv6_address_without_a_mask_is_one_host() {
        assert_eq!(seen("2001:db8::1", &["198.51.100.1"], "2001:db8::1"), "198.51.100.1");
        assert_eq!(seen("2001:db8::2", &["198.51.100.1"], "2001:db8::1"), "2001:db8::2");
        assert_eq!(seen("2001:db8:0:1::2", &["198.51.100.1"], "2001:db8::/32"), "198.51.100.1");
    }

    #[test]
    fn a_wrong_network_is_named() {
        assert!(networks("10.0.0.0/8, lan").unwrap_err().to_string().contains("\"lan\""));
    }

    #[test]
    fn one_ipv6_customer_is_one_throttle_key() {
        let key = |text: &str| ClientAddress(text.parse().unwrap()).throttle_key();
        assert_eq!(key("2001:db8:1:2:aaaa::1"), key("2001:db8:1:2::9"));
        assert_ne!(key("2001:db8:1:2::9"), key("2001:db8:1:3::9"));
        let address = |text: &str| ClientAddress(text.parse().unwrap()).throttle_address().to_string();
        assert_eq!(address("2001:db8:1:2:aaaa::1"), "2001:db8:1:2::");
        assert_eq!(address("203.0.113.9"), "203.0.113.9");
    }
}
