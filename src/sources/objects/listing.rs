//! Asks an API of somebody's own page by page, by the guarded client: addresses are checked, answers are bounded, and
//! what the server says of its rate limit comes with each answer.
//!
//! A token goes to the server that it was made for only: a next page elsewhere is refused.

use super::answer::{AnswerError, deepest};
use super::guard::{Guard, client};
use chrono::{DateTime, TimeDelta, Utc};
use reqwest::Url;
use reqwest::header::{AUTHORIZATION, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH, LINK, RETRY_AFTER};
use std::time::Duration;

const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// 100 deployments or pull requests with their texts.
const ANSWER_BYTES_MAX: usize = 8 << 20;
/// Numbers below are seconds from now, above seconds since 1970.
const EPOCH_SECONDS_MIN: i64 = 1_000_000_000;
/// Of an answer that refuses, so much is looked at.
const REASON_BYTES_MAX: usize = 2_000;

/// What a server lets its client still do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Budget {
    /// Requests that are left.
    pub remaining: Option<i64>,
    /// Of so many.
    pub limit: Option<i64>,
    /// When there are all of them again.
    pub resets_at: Option<DateTime<Utc>>,
    /// Before then nothing may be asked.
    pub wait_until: Option<DateTime<Utc>>,
}

/// An answer to one request.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body; empty where nothing changed.
    pub body: Vec<u8>,
    /// Tells this answer from later ones.
    pub etag: Option<String>,
    /// The next page, where a header names it.
    pub next: Option<String>,
    /// The rate limit.
    pub budget: Budget,
}

impl Answer {
    /// The same as the one whose mark was sent.
    pub fn is_unchanged(&self) -> bool {
        self.status == 304
    }

    /// The request was refused because there were too many. GitHub says so of its second limit, on requests at once, in
    /// words alone: of the first limit some are left.
    pub fn is_limited(&self) -> bool {
        let is_used_up = self.budget.remaining == Some(0) || self.budget.wait_until.is_some();
        self.status == 429 || (self.status == 403 && (is_used_up || self.says_so()))
    }

    fn says_so(&self) -> bool {
        let said = self.body.get(..REASON_BYTES_MAX).unwrap_or(&self.body);
        String::from_utf8_lossy(said).to_ascii_lowercase().contains("rate limit")
    }
}

/// A server, and how it is asked.
#[derive(Debug)]
pub struct Listing {
    client: reqwest::Client,
    guard: Guard,
    base: Url,
    headers: HeaderMap,
}

impl Listing {
    /// A server by the address in front of all paths. A token with a colon is a name and a password.
    pub fn new(
        guard: &Guard,
        base: &str,
        headers: &[(&'static str, &'static str)],
        token: Option<&str>,
    ) -> Result<Self, AnswerError> {
        let no_address = || AnswerError::NoAddress(base.chars().take(200).collect());
        let parsed = Url::parse(base).map_err(|_| no_address())?;
        if !matches!(parsed.scheme(), "http" | "https") || parsed.host_str().is_none() {
            return Err(no_address());
        }
        let mut kept = HeaderMap::new();
        for (name, value) in headers {
            kept.insert(*name, HeaderValue::from_static(value));
        }
        if let Some(token) = token {
            kept.insert(AUTHORIZATION, authorization(token).ok_or_else(no_address)?);
        }
        let silent = |error: reqwest::Error| AnswerError::Silent { host: host(&parsed), why: deepest(&error) };
        let client = client(guard).map_err(silent)?;
        Ok(Self { client, guard: guard.clone(), base: parsed, headers: kept })
    }

    /// The host, for sentences.
    pub fn host(&self) -> String {
        host(&self.base)
    }

    /// Asks for a path behind the base, or for an address of the same server. With a mark, an answer that is still the
    /// same has no body.
    pub async fn get(&self, path: &str, mark: Option<&str>, now: DateTime<Utc>) -> Result<Answer, AnswerError> {
        let url = self.address(path)?;
        let silent = |error: reqwest::Error| AnswerError::Silent { host: self.host(), why: deepest(&error) };
        self.guard.check(&url).await?;
        let mut request = self.client.get(url).headers(self.headers.clone()).timeout(ANSWER_TIMEOUT);
        if let Some(mark) = mark.and_then(|mark| HeaderValue::from_str(mark).ok()) {
            request = request.header(IF_NONE_MATCH, mark);
        }
        let mut response = request.send().await.map_err(silent)?;
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(silent)? {
            if body.len() + piece.len() > ANSWER_BYTES_MAX {
                return Err(AnswerError::TooLarge { host: self.host(), mebibytes: ANSWER_BYTES_MAX >> 20 });
            }
            body.extend_from_slice(&piece);
        }
        let headers = response.headers();
        Ok(Answer {
            status: response.status().as_u16(),
            body,
            etag: text(headers, ETAG.as_str()).map(str::to_owned),
            next: text(headers, LINK.as_str()).and_then(next_link),
            budget: budget(headers, now),
        })
    }

    fn address(&self, path: &str) -> Result<Url, AnswerError> {
        let no_address = || AnswerError::NoAddress(path.chars().take(200).collect());
        if path.starts_with('/') {
            let base = self.base.as_str().trim_end_matches('/');
            return Url::parse(&format!("{base}{path}")).map_err(|_| no_address());
        }
        let url = Url::parse(path).map_err(|_| no_address())?;
        if url.origin() != self.base.origin() {
            return Err(AnswerError::Elsewhere { host: self.host(), other: host(&url) });
        }
        Ok(url)
    }
}

fn host(url: &Url) -> String {
    url.host_str().unwrap_or_default().to_owned()
}

fn authorization(token: &str) -> Option<HeaderValue> {
    use base64::Engine;
    let text = match token.split_once(':') {
        Some(_) => format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(token)),
        None => format!("Bearer {token}"),
    };
    let mut value = HeaderValue::from_str(&text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

// GitHub: X-RateLimit-…; GitLab: RateLimit-…; both and Bitbucket: Retry-After, in seconds or as a date.
fn budget(headers: &HeaderMap, now: DateTime<Utc>) -> Budget {
    let number = |name: &str| {
        let value =
            text(headers, &format!("x-ratelimit-{name}")).or_else(|| text(headers, &format!("ratelimit-{name}")));
        value.and_then(|value| value.trim().parse::<i64>().ok())
    };
    let moment = |seconds: i64| {
        if seconds >= EPOCH_SECONDS_MIN {
            DateTime::from_timestamp(seconds, 0)
        } else {
            now.checked_add_signed(TimeDelta::try_seconds(seconds.max(0))?)
        }
    };
    let retry_after = text(headers, RETRY_AFTER.as_str());
    let wait_until = retry_after.and_then(|value| match value.trim().parse::<i64>() {
        Ok(seconds) => moment(seconds.min(EPOCH_SECONDS_MIN - 1)),
        Err(_) => DateTime::parse_from_rfc2822(value.trim()).ok().map(|time| time.to_utc()),
    });
    Budget {
        remaining: number("remaining"),
        limit: number("limit"),
        resets_at: number("reset").and_then(moment),
        wait_until,
    }
}

// `<https://…>; rel="next", <https://…>; rel="last"`
fn next_link(value: &str) -> Option<String> {
    value.split(',').find_map(|link| {
        let (address, parameters) = link.split_once(';')?;
        let is_next = parameters.split(';').any(|p| matches!(p.trim(), "rel=\"next\"" | "rel=next"));
        is_next.then(|| address.trim().trim_start_matches('<').trim_end_matches('>').to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_str(value).unwrap())).collect()
    }

    #[test]
    fn limits_are_read_in_each_spelling() {
        let now: DateTime<Utc> = "2026-11-20T12:00:00Z".parse().unwrap();
        let reset = (now.timestamp() + 60).to_string();
        let minute = now + TimeDelta::seconds(60);
        let github = budget(&headers(&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", &reset)]), now);
        assert_eq!((github.remaining, github.resets_at), (Some(0), Some(minute)));
        let gitlab = budget(&headers(&[("ratelimit-remaining", "7"), ("ratelimit-reset", "60")]), now);
        assert_eq!((gitlab.remaining, gitlab.resets_at), (Some(7), Some(minute)));
        assert_eq!(budget(&headers(&[("retry-after", "60")]), now).wait_until, Some(minute));
        let dated = budget(&headers(&[("retry-after", "Fri, 20 Nov 2026 12:01:00 GMT")]), now);
        assert_eq!(dated.wait_until, Some(minute));
        assert_eq!(budget(&HeaderMap::new(), now), Budget::default());
        assert_eq!(budget(&headers(&[("retry-after", "soon"), ("x-ratelimit-reset", "-1")]), now).wait_until, None);
    }

    #[test]
    fn a_limit_is_told_from_what_may_not_be_read() {
        let limited = |status: u16, body: &str, remaining: Option<i64>| {
            let budget = Budget { remaining, ..Budget::default() };
            Answer { status, body: body.into(), etag: None, next: None, budget }.is_limited()
        };
        let second = r#"{"message": "You have exceeded a secondary rate limit. Please wait a few minutes."}"#;
        assert!(limited(429, "", None) && limited(403, "", Some(0)) && limited(403, second, Some(4000)));
        let forbidden = r#"{"message": "Resource not accessible by personal access token"}"#;
        assert!(!limited(403, forbidden, Some(4000)) && !limited(404, second, None) && !limited(200, second, None));
    }

    #[test]
    fn the_next_page_is_of_the_same_server() {
        let value =
            "<https://api.example.com/x?page=1>; rel=\"prev\", <https://api.example.com/x?page=3>; rel=\"next\"";
        assert_eq!(next_link(value).as_deref(), Some("https://api.example.com/x?page=3"));
        assert_eq!(next_link("<https://api.example.com/x?page=1>; rel=\"last\""), None);
        let listing = Listing::new(&Guard::default(), "https://api.example.com/v4/", &[], Some("secret")).unwrap();
        assert_eq!(listing.address("/projects").unwrap().as_str(), "https://api.example.com/v4/projects");
        assert!(listing.address("https://api.example.com/v4/x?page=2").is_ok());
        for elsewhere in ["https://example.com/x", "http://api.example.com/x", "https://api.example.com:444/x"] {
            let refused = listing.address(elsewhere).unwrap_err().to_string();
            assert!(refused.contains("another server"), "{refused}");
        }
        assert!(!format!("{listing:?}").contains("secret"), "the token is never printed");
    }
}
