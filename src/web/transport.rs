//! Passwords and cookies travel over HTTPS, or never leave the machine. Anything else is refused at start.

use super::{Error, Result};
use crate::config::Config;
use axum::http::{HeaderMap, Uri, header};
use std::net::IpAddr;

/// Whether readers use HTTPS (a proxy in front ends it).
pub fn is_https(config: &Config) -> bool {
    scheme_and_host(config).is_some_and(|(scheme, _)| scheme == "https")
}

/// Why the service must not start with these settings, and what to change.
pub fn problem(config: &Config) -> Option<String> {
    match (&config.public_url, scheme_and_host(config)) {
        (None, _) if config.listen.ip().is_loopback() => None,
        (None, _) => Some(format!(
            "COSTWAKE_LISTEN is {}, which others can reach over plain HTTP: passwords would be readable on the way. \
             Put a proxy with HTTPS in front and set COSTWAKE_PUBLIC_URL=https://…, or listen on 127.0.0.1. \
             If a container publishes the port on this machine only, set COSTWAKE_PUBLIC_URL=http://localhost:PORT.",
            config.listen
        )),
        (Some(_), Some((scheme, _))) if scheme == "https" => None,
        (Some(_), Some((scheme, host))) if scheme == "http" && is_loopback(&host) => None,
        (Some(url), _) => {
            Some(format!("COSTWAKE_PUBLIC_URL is {url}: it must start with https://, or be http:// on localhost."))
        }
    }
}

/// Over plain HTTP only a browser on this machine may sign in, whatever address the listener has.
pub fn may_sign_in(config: &Config, uri: &Uri, headers: &HeaderMap) -> Result<()> {
    let named = uri.authority().map(|authority| authority.as_str());
    let named = named.or_else(|| headers.get(header::HOST).and_then(|value| value.to_str().ok()));
    if is_https(config) || named.is_some_and(|authority| is_loopback(host_of(authority))) {
        return Ok(());
    }
    Err(Error::Invalid(
        "Signing in over plain HTTP works on this machine only. Open http://localhost, or set COSTWAKE_PUBLIC_URL to \
         the https:// address of a proxy in front."
            .into(),
    ))
}

fn scheme_and_host(config: &Config) -> Option<(String, String)> {
    let origin = super::cross_site::origin_of(config.public_url.as_deref()?)?;
    let (scheme, authority) = origin.split_once("://")?;
    Some((scheme.to_owned(), host_of(authority).to_owned()))
}

// Without the port; an IPv6 address keeps its brackets.
fn host_of(authority: &str) -> &str {
    match authority.strip_prefix('[').and_then(|rest| rest.find(']')) {
        Some(end) => &authority[..end + 2],
        None => authority.split(':').next().unwrap_or(authority),
    }
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_signs_in_over_plain_http_from_afar() {
        assert_eq!(problem(&Config::of(&["--listen", "127.0.0.1:8080"])), None);
        assert_eq!(problem(&Config::of(&["--listen", "[::1]:8080"])), None);
        assert!(problem(&Config::of(&["--listen", "0.0.0.0:8080"])).is_some());
        assert!(
            problem(&Config::of(&["--listen", "0.0.0.0:8080", "--public-url", "http://costs.example.com"])).is_some()
        );
        assert!(problem(&Config::of(&["--public-url", "costs.example.com"])).is_some());
        assert_eq!(
            problem(&Config::of(&["--listen", "0.0.0.0:8080", "--public-url", "https://costs.example.com"])),
            None
        );
        assert_eq!(problem(&Config::of(&["--listen", "0.0.0.0:8080", "--public-url", "http://localhost:9000"])), None);
    }

    #[test]
    fn over_plain_http_the_browser_must_name_this_machine() {
        let plain = Config::of(&[]);
        let may = |host: &str| {
            let headers = HeaderMap::from_iter([(header::HOST, host.parse().unwrap())]);
            may_sign_in(&plain, &Uri::from_static("/sign-in"), &headers).is_ok()
        };
        assert!(may("localhost:8080") && may("127.0.0.1:8080") && may("[::1]:8080"));
        assert!(!may("costs.example.com") && !may("192.168.1.4:8080") && !may("localhost.example.com"));
    }
}
