//! Every outgoing address is checked where it is dialled: what a name resolves to, and addresses written as numbers.
//!
//! Private, link-local, loopback and metadata addresses are refused unless the settings allow their network. The
//! client asks the resolver below for names only, so that numbers are looked at before each request. Redirects are
//! not followed, and no proxy of the environment is used.

use async_trait::async_trait;
use ipnet::IpNet;
use object_store::ClientOptions;
use object_store::client::HttpService;
use object_store::client::{HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Between two pieces of an answer.
const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// An address that sources may not reach.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// A private, link-local, loopback or reserved address.
    #[error(
        "{host} is the address of a private network or of this machine. If it is meant, an administrator of the \
         server adds its network to COSTWAKE_OUTGOING_NETWORKS"
    )]
    Private {
        /// As it was asked for.
        host: String,
    },
    /// Without TLS everyone in between reads the bill.
    #[error(
        "{host} is asked for over http. Use https, or, where it is in a network of your own, add that to \
         COSTWAKE_OUTGOING_NETWORKS"
    )]
    Plain {
        /// As it was asked for.
        host: String,
    },
    /// No address at all.
    #[error("{host} is not known: check how the endpoint, account or bucket is written")]
    Unknown {
        /// As it was asked for.
        host: String,
    },
}

/// Which private networks may be reached.
#[derive(Debug, Clone, Default)]
pub struct Guard {
    allowed: Arc<[IpNet]>,
}

impl Guard {
    /// With the networks that the settings allow.
    pub fn new(allowed: &[IpNet]) -> Self {
        Self { allowed: allowed.into() }
    }

    fn allows(&self, address: IpAddr) -> bool {
        is_public(address) || self.is_allowed(address)
    }

    // Written either way, it is the same machine.
    fn is_allowed(&self, address: IpAddr) -> bool {
        self.allowed.iter().any(|network| network.contains(&address) || network.contains(&address.to_canonical()))
    }

    /// Whether a request to this address may be made; names are looked at again when they are resolved.
    pub async fn check(&self, address: &reqwest::Url) -> Result<(), Refused> {
        let host = address.host_str().unwrap_or_default().to_owned();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        if let Ok(number) = bare.parse::<IpAddr>() {
            if !self.allows(number) {
                return Err(Refused::Private { host });
            }
            return if address.scheme() == "https" || self.is_allowed(number) {
                Ok(())
            } else {
                Err(Refused::Plain { host })
            };
        }
        if address.scheme() == "https" {
            return Ok(());
        }
        let addresses =
            tokio::net::lookup_host((bare, 0)).await.map_err(|_| Refused::Unknown { host: host.clone() })?;
        let is_own = addresses.into_iter().all(|address| self.is_allowed(address.ip()));
        if is_own { Ok(()) } else { Err(Refused::Plain { host }) }
    }
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.clone();
        Box::pin(async move {
            let host = name.as_str().to_owned();
            let found = tokio::net::lookup_host((host.as_str(), 0)).await;
            let found: Vec<SocketAddr> = found.map_err(|_| Refused::Unknown { host: host.clone() })?.collect();
            // One private address among public ones is reason enough: only what was checked is dialled.
            if found.is_empty() {
                return Err(Refused::Unknown { host }.into());
            }
            if !found.iter().all(|address| guard.allows(address.ip())) {
                return Err(Refused::Private { host }.into());
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// Whether an address is one of the internet's: not of this machine, this network, a cloud's metadata, or a way
/// around that.
pub fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let is_special = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_broadcast()
        || address.is_documentation()
        || a == 0
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (b == 18 || b == 19))
        || a >= 240;
    !is_special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [first, second, ..] = address.segments();
    // Global unicast only; within it, what is tunnelled to an IPv4 address, benchmarks and documentation.
    (0x2000..0x4000).contains(&first)
        && first != 0x2002
        && !(first == 0x2001 && (second < 0x0200 || second == 0x0db8))
        && !(first == 0x3fff && second < 0x1000)
}

/// Makes object stores use the guarded client.
#[derive(Debug)]
pub(super) struct GuardedConnector(pub Guard);

impl HttpConnector for GuardedConnector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        let client =
            client(&self.0).map_err(|source| object_store::Error::Generic { store: "HTTP", source: source.into() })?;
        Ok(HttpClient::new(Guarded { client, guard: self.0.clone() }))
    }
}

pub(super) fn client(guard: &Guard) -> Result<reqwest::Client, reqwest::Error> {
    // It may be set already: any provider that does TLS will do.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .user_agent(concat!("costwake/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
        .dns_resolver(Arc::new(guard.clone()))
        .build()
}

#[derive(Debug)]
struct Guarded {
    client: reqwest::Client,
    guard: Guard,
}

#[async_trait]
impl HttpService for Guarded {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let address = request.uri().to_string().parse::<reqwest::Url>();
        let address = address.map_err(|error| HttpError::new(HttpErrorKind::Unknown, error))?;
        self.guard.check(&address).await.map_err(|refused| HttpError::new(HttpErrorKind::Unknown, refused))?;
        HttpService::call(&self.client, request).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// S34: classes of addresses, as numbers and in their disguises.
    #[tokio::test]
    async fn private_addresses_are_refused_in_every_spelling() {
        let guard = Guard::default();
        for host in [
            "127.0.0.1",
            "127.255.0.3",
            "0.0.0.0",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "100.127.255.255",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "240.0.0.1",
            "192.0.0.1",
            "192.88.99.1",
            "2130706433",
            "0x7f000001",
            "017700000001",
            "127.1",
            "0x7f.1",
            "[::1]",
            "[::]",
            "[fc00::1]",
            "[fd12::1]",
            "[fe80::1]",
            "[ff02::1]",
            "[::ffff:10.0.0.1]",
            "[::ffff:7f00:1]",
            "[64:ff9b::a9fe:a9fe]",
            "[2002:7f00:1::]",
            "[2001::1]",
            "[2001:db8::1]",
            "[fec0::1]",
        ] {
            let address = reqwest::Url::parse(&format!("https://{host}/x")).unwrap();
            let refused = guard.check(&address).await.unwrap_err();
            assert!(refused.to_string().contains("COSTWAKE_OUTGOING_NETWORKS"), "{host}: {refused}");
        }
        for host in ["8.8.8.8", "[2606:4700::1111]", "172.32.0.1", "100.128.0.1"] {
            let address = |scheme| reqwest::Url::parse(&format!("{scheme}://{host}/x")).unwrap();
            assert_eq!(guard.check(&address("https")).await, Ok(()), "{host}");
            assert!(matches!(guard.check(&address("http")).await, Err(Refused::Plain { .. })), "{host}");
        }
    }

    /// S35: a name is judged by what it resolves to, in the place that dials.
    #[tokio::test]
    async fn names_are_judged_by_what_they_resolve_to() {
        let found = Guard::default().resolve("localhost".parse().unwrap()).await;
        assert!(found.err().unwrap().to_string().contains("private network"));
        // Not every system resolves it; none may dial it.
        assert!(Guard::default().resolve("localhost.".parse().unwrap()).await.is_err());
        let own = Guard::new(&["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()]);
        assert!(own.resolve("localhost".parse().unwrap()).await.is_ok());
        let address = reqwest::Url::parse("http://localhost:9000/x").unwrap();
        assert_eq!(own.check(&address).await, Ok(()));
        let other = reqwest::Url::parse("http://10.0.0.1/x").unwrap();
        assert!(own.check(&other).await.is_err(), "only the network that was named");
    }
}
