//! A fake of Google Cloud Storage, as far as reading goes: the listing and the objects of one bucket, by the XML
//! interface that the client library speaks. And the one request that makes a container in Azurite.

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode, header};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

type Act = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct Content {
    objects: BTreeMap<String, Vec<u8>>,
    /// What happens once an object was given out.
    after: Option<(String, Act)>,
    redirect: Option<String>,
    cut: Option<String>,
    /// The next requests for this object, or for the listing where it is empty, are answered with this status.
    refusals: Vec<(String, StatusCode)>,
    /// How long the store thinks before each answer.
    delay: Duration,
    /// Objects that are given out with another mark than the listing has.
    mismarked: Option<String>,
    /// Objects that the listing does not have yet.
    unlisted: Option<String>,
    /// When the listing says that objects were written, where it is not [`WRITTEN`].
    written: Option<String>,
    authorizations: Vec<String>,
    requests: usize,
}

/// The store; it serves until the test ends.
#[derive(Clone)]
pub struct FakeStore {
    pub endpoint: String,
    bucket: String,
    content: Arc<Mutex<Content>>,
}

impl FakeStore {
    pub async fn start(bucket: &str) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let store = Self { endpoint, bucket: bucket.into(), content: Arc::default() };
        let router = Router::new().fallback(answer).with_state(store.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        store
    }

    pub fn put(&self, key: &str, bytes: Vec<u8>) {
        self.content.lock().unwrap().objects.insert(key.into(), bytes);
    }

    /// Does something once, after this object was given out.
    pub fn once_after(&self, key: &str, act: impl FnOnce() + Send + 'static) {
        self.content.lock().unwrap().after = Some((key.into(), Box::new(act)));
    }

    pub fn redirect_to(&self, endpoint: &str) {
        self.content.lock().unwrap().redirect = Some(endpoint.into());
    }

    /// Gives out half of an object, and says that it is the whole one.
    pub fn cut(&self, key: &str) {
        self.content.lock().unwrap().cut = Some(key.into());
    }

    /// Refuses the next requests for an object (the listing where the key is empty), each with one of these.
    pub fn refuse(&self, key: &str, statuses: &[StatusCode]) {
        let mut content = self.content.lock().unwrap();
        content.refusals.extend(statuses.iter().map(|status| (key.to_owned(), *status)));
    }

    pub fn refusals_left(&self) -> usize {
        self.content.lock().unwrap().refusals.len()
    }

    /// Takes its time before each answer.
    pub fn slow_down(&self, delay: Duration) {
        self.content.lock().unwrap().delay = delay;
    }

    /// Takes no notice of the condition and gives this object out under another mark.
    pub fn mismark(&self, key: Option<&str>) {
        self.content.lock().unwrap().mismarked = key.map(str::to_owned);
    }

    /// Leaves an object out of the listing, as one does that lags behind.
    pub fn unlist(&self, key: Option<&str>) {
        self.content.lock().unwrap().unlisted = key.map(str::to_owned);
    }

    /// Says of all objects that they were written then.
    pub fn written_at(&self, time: &str) {
        self.content.lock().unwrap().written = Some(time.into());
    }

    /// Gives objects out whole again.
    pub fn mend(&self) {
        self.content.lock().unwrap().cut = None;
    }

    /// What requests carried to prove themselves.
    pub fn authorizations(&self) -> Vec<String> {
        self.content.lock().unwrap().authorizations.clone()
    }

    pub fn request_count(&self) -> usize {
        self.content.lock().unwrap().requests
    }
}

fn etag(bytes: &[u8]) -> String {
    format!("\"{}\"", &hex::encode(Sha256::digest(bytes))[..32])
}

const WRITTEN: &str = "2026-11-20T10:00:00.000Z";

async fn answer(State(store): State<FakeStore>, request: Request) -> Response<Body> {
    let path = percent_decoded(request.uri().path());
    let key = path.trim_start_matches('/').strip_prefix(&store.bucket).unwrap_or("").trim_start_matches('/').to_owned();
    let if_match = request.headers().get(header::IF_MATCH).map(|value| value.to_str().unwrap().to_owned());
    let mut act = None;
    let delay = store.content.lock().unwrap().delay;
    tokio::time::sleep(delay).await;
    let response = {
        let mut content = store.content.lock().unwrap();
        content.requests += 1;
        let authorization = request.headers().get(header::AUTHORIZATION);
        content.authorizations.extend(authorization.map(|value| value.to_str().unwrap().to_owned()));
        if let Some(endpoint) = &content.redirect {
            let location = format!("{endpoint}{}", request.uri());
            return Response::builder().status(307).header(header::LOCATION, location).body(Body::empty()).unwrap();
        }
        if let Some(place) = content.refusals.iter().position(|(refused, _)| *refused == key) {
            let (_, refusal) = content.refusals.remove(place);
            return status(refusal, "<Error><Code>SlowDown</Code></Error>");
        }
        if key.is_empty() {
            return listing(&content, request.uri().query().unwrap_or_default());
        }
        let Some(bytes) = content.objects.get(&key).cloned() else {
            return status(StatusCode::NOT_FOUND, "<Error><Code>NoSuchKey</Code></Error>");
        };
        let is_mismarked = content.mismarked.as_ref() == Some(&key);
        if !is_mismarked && if_match.is_some_and(|wanted| wanted != etag(&bytes)) {
            return status(StatusCode::PRECONDITION_FAILED, "<Error><Code>PreconditionFailed</Code></Error>");
        }
        let is_get = request.method() == "GET";
        if is_get && content.after.as_ref().is_some_and(|(after, _)| *after == key) {
            act = content.after.take();
        }
        let is_cut = content.cut.as_ref() == Some(&key);
        let response = Response::builder()
            .header(header::ETAG, if is_mismarked { etag(b"other") } else { etag(&bytes) })
            .header(header::CONTENT_LENGTH, bytes.len())
            .header(header::LAST_MODIFIED, "Fri, 20 Nov 2026 10:00:00 GMT");
        let body = match (is_get, is_cut) {
            (false, _) => Body::empty(),
            (true, false) => Body::from(bytes),
            // The connection breaks in the middle.
            (true, true) => {
                let half = bytes[..bytes.len() / 2].to_vec();
                let broken = std::io::Error::other("cut");
                Body::from_stream(futures_util::stream::iter([Ok(half), Err(broken)]))
            }
        };
        response.body(body).unwrap()
    };
    if let Some((_, act)) = act {
        act();
    }
    response
}

fn status(status: StatusCode, body: &'static str) -> Response<Body> {
    Response::builder().status(status).body(Body::from(body)).unwrap()
}

fn listing(content: &Content, query: &str) -> Response<Body> {
    let pairs: Vec<(String, String)> = serde_urlencoded::from_str(query).unwrap();
    let prefix = pairs.iter().find(|(name, _)| name == "prefix").map_or("", |(_, value)| value.as_str());
    let written = content.written.as_deref().unwrap_or(WRITTEN);
    let mut text = String::from("<?xml version=\"1.0\"?><ListBucketResult>");
    for (key, bytes) in content.objects.range(prefix.to_owned()..).take_while(|(key, _)| key.starts_with(prefix)) {
        if content.unlisted.as_ref() == Some(key) {
            continue;
        }
        write!(
            text,
            "<Contents><Key>{key}</Key><Size>{}</Size><LastModified>{written}</LastModified><ETag>{}</ETag></Contents>",
            bytes.len(),
            etag(bytes).replace('"', "&quot;")
        )
        .unwrap();
    }
    text.push_str("</ListBucketResult>");
    Response::builder().header(header::CONTENT_TYPE, "application/xml").body(Body::from(text)).unwrap()
}

fn percent_decoded(path: &str) -> String {
    let pairs: Vec<(String, String)> = serde_urlencoded::from_str(&format!("p={}", path.replace('+', "%2B"))).unwrap();
    pairs[0].1.clone()
}

/// Makes a container, with a request signed as Azure wants it.
pub async fn create_azure_container(endpoint: &str, account: &str, key: &str, container: &str) {
    let date = chrono::Utc::now().format("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let version = "2021-08-06";
    let signed = format!(
        "PUT\n\n\n\n\n\n\n\n\n\n\n\nx-ms-date:{date}\nx-ms-version:{version}\n/{account}/{account}/{container}\nrestype:container"
    );
    let mut mac = Hmac::<Sha256>::new_from_slice(&decoded(key)).unwrap();
    mac.update(signed.as_bytes());
    let signature = encoded(&mac.finalize().into_bytes());
    let request = reqwest::Client::new()
        .put(format!("{endpoint}/{account}/{container}?restype=container"))
        .header("x-ms-date", date)
        .header("x-ms-version", version)
        .header("content-length", "0")
        .header("authorization", format!("SharedKey {account}:{signature}"));
    let response = request.send().await.unwrap();
    let status = response.status();
    assert!(status.is_success(), "{status}: {}", response.text().await.unwrap());
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn decoded(text: &str) -> Vec<u8> {
    let (mut bits, mut count, mut bytes) = (0_u32, 0, Vec::new());
    for character in text.bytes().filter(|byte| *byte != b'=') {
        bits = bits << 6 | ALPHABET.iter().position(|letter| *letter == character).unwrap() as u32;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    bytes
}

fn encoded(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let value = chunk.iter().fold(0_u32, |value, byte| value << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let letter = ALPHABET[(value >> (18 - 6 * place) & 63) as usize] as char;
            text.push(if place <= chunk.len() { letter } else { '=' });
        }
    }
    text
}
