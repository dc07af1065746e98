//! A fake of the APIs of GitHub, GitLab and Bitbucket, as far as reading goes: answers by path, pages by Link headers,
//! marks, a token that must be right, and a rate limit.

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Response, StatusCode, header};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// The token that is let in.
pub const TOKEN: &str = "very-secret-token";

#[derive(Default)]
struct Content {
    answers: BTreeMap<String, (StatusCode, Value)>,
    /// Rows of a page of each list.
    page_rows: usize,
    /// What every answer says of the limit, and how many requests are still answered.
    limit: Option<(u32, i64)>,
    /// How many requests the limit is of, where answers say that.
    limit_of: Option<u32>,
    /// Each request: path with query, the mark that came with it, and the status.
    requests: Vec<(String, Option<String>, u16)>,
    retry_after: Option<u32>,
}

/// The server; it serves until the test ends.
#[derive(Clone)]
pub struct FakeApi {
    pub address: String,
    content: Arc<Mutex<Content>>,
}

impl FakeApi {
    pub async fn start() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}/api", listener.local_addr().unwrap());
        let content = Content { page_rows: 100, ..Content::default() };
        let api = Self { address, content: Arc::new(Mutex::new(content)) };
        let router = Router::new().fallback(answer).with_state(api.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        api
    }

    /// What a path, without its query, answers.
    pub fn put(&self, path: &str, answer: Value) {
        self.content.lock().unwrap().answers.insert(path.into(), (StatusCode::OK, answer));
    }

    /// A path that is refused.
    pub fn refuse(&self, path: &str, status: StatusCode) {
        let body = serde_json::json!({ "message": "no" });
        self.content.lock().unwrap().answers.insert(path.into(), (status, body));
    }

    pub fn set_page_rows(&self, rows: usize) {
        self.content.lock().unwrap().page_rows = rows;
    }

    /// So many requests are answered; then the limit is used up until a moment, in seconds since 1970.
    pub fn limit(&self, remaining: u32, resets_at: i64) {
        self.content.lock().unwrap().limit = Some((remaining, resets_at));
    }

    /// The same, and answers say of how many.
    pub fn limit_of(&self, all: u32, remaining: u32, resets_at: i64) {
        let mut content = self.content.lock().unwrap();
        (content.limit_of, content.limit) = (Some(all), Some((remaining, resets_at)));
    }

    pub fn lift_limit(&self) {
        let mut content = self.content.lock().unwrap();
        (content.limit, content.limit_of, content.retry_after) = (None, None, None);
    }

    /// Everything is answered with 429 and a time to wait.
    pub fn retry_after(&self, seconds: u32) {
        self.content.lock().unwrap().retry_after = Some(seconds);
    }

    /// The requests since the last look: path with query, mark, status.
    pub fn taken(&self) -> Vec<(String, Option<String>, u16)> {
        std::mem::take(&mut self.content.lock().unwrap().requests)
    }
}

async fn answer(State(api): State<FakeApi>, request: Request) -> Response<Body> {
    let path = request.uri().path().to_owned();
    let target = request.uri().path_and_query().unwrap().to_string();
    let headers = request.headers().clone();
    let mark = headers.get(header::IF_NONE_MATCH).map(|value| value.to_str().unwrap().to_owned());
    let mut content = api.content.lock().unwrap();
    let response = respond(&mut content, &api.address, &path, request.uri().query().unwrap_or_default(), &headers);
    let target = target.trim_start_matches("/api").to_owned();
    content.requests.push((target, mark, response.status().as_u16()));
    response
}

fn respond(content: &mut Content, base: &str, path: &str, query: &str, headers: &HeaderMap) -> Response<Body> {
    let plain = |status: StatusCode| Response::builder().status(status);
    if headers.get(header::AUTHORIZATION).is_none_or(|value| value != format!("Bearer {TOKEN}").as_str()) {
        return plain(StatusCode::UNAUTHORIZED).body("{\"message\":\"Bad credentials\"}".into()).unwrap();
    }
    if let Some(seconds) = content.retry_after {
        let response = plain(StatusCode::TOO_MANY_REQUESTS).header("retry-after", seconds.to_string());
        return response.body(Body::empty()).unwrap();
    }
    let mut told: Vec<(&str, String)> =
        content.limit_of.map(|all| ("x-ratelimit-limit", all.to_string())).into_iter().collect();
    if let Some((remaining, resets_at)) = &mut content.limit {
        let is_used_up = *remaining == 0;
        *remaining = remaining.saturating_sub(1);
        told.push(("x-ratelimit-remaining", remaining.to_string()));
        told.push(("x-ratelimit-reset", resets_at.to_string()));
        if is_used_up {
            let mut response = plain(StatusCode::FORBIDDEN);
            for (name, value) in told {
                response = response.header(name, value);
            }
            return response.body("{\"message\":\"API rate limit exceeded\"}".into()).unwrap();
        }
    }
    let known = path.trim_start_matches("/api");
    let (status, body) = content.answers.get(known).cloned().unwrap_or((StatusCode::NOT_FOUND, Value::Null));
    let (body, next) = page(&since(body, query), query, content.page_rows);
    let text = body.to_string();
    let mark = format!("W/\"{}\"", &hex::encode(Sha256::digest(text.as_bytes()))[..16]);
    let mut response = Response::builder();
    for (name, value) in told {
        response = response.header(name, value);
    }
    if let Some(number) = next {
        let rest: Vec<&str> = query.split('&').filter(|pair| !pair.starts_with("page=")).collect();
        let link =
            format!("<{base}{known}?{}&page={number}>; rel=\"next\", <{base}{known}>; rel=\"first\"", rest.join("&"));
        response = response.header(header::LINK, link);
    }
    if status == StatusCode::OK && headers.get(header::IF_NONE_MATCH).is_some_and(|value| value == mark.as_str()) {
        return response.status(StatusCode::NOT_MODIFIED).header(header::ETAG, mark).body(Body::empty()).unwrap();
    }
    response.status(status).header(header::ETAG, mark).body(text.into()).unwrap()
}

// What is older than a list is asked for is left out.
fn since(body: Value, query: &str) -> Value {
    let asked =
        |pair: &str| pair.strip_prefix("since=").or_else(|| pair.strip_prefix("updated_after=")).map(str::to_owned);
    let Some(since) = query.split('&').find_map(asked) else { return body };
    let Value::Array(rows) = &body else { return body };
    // The API of these lists says it in this form, as do the tests.
    let is_later = |row: &&Value| {
        let times = ["/updated_at", "/committed_date", "/commit/committer/date"];
        let time = times.iter().find_map(|time| row.pointer(time)).and_then(Value::as_str);
        time.is_none_or(|time| time >= since.as_str())
    };
    Value::Array(rows.iter().filter(is_later).cloned().collect())
}

// A list is given out page by page, anything else whole.
fn page(body: &Value, query: &str, rows: usize) -> (Value, Option<usize>) {
    let Some(list) = body.as_array() else { return (body.clone(), None) };
    let number = query.split('&').find_map(|pair| pair.strip_prefix("page=")).map_or(1, |text| text.parse().unwrap());
    let begin = (number - 1) * rows;
    let end = (begin + rows).min(list.len());
    let next = (end < list.len()).then_some(number + 1);
    (Value::Array(list[begin.min(end)..end].to_vec()), next)
}
