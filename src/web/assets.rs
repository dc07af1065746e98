//! Styles, script, icon and font: built in, addressed by content, cacheable for ever.

use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

struct Asset {
    path: &'static str,
    content_type: &'static str,
    bytes: &'static [u8],
}

const ASSETS: [Asset; 4] = [
    Asset { path: "app.css", content_type: "text/css; charset=utf-8", bytes: include_bytes!("../../static/app.css") },
    Asset {
        path: "app.js",
        content_type: "text/javascript; charset=utf-8",
        bytes: include_bytes!("../../static/app.js"),
    },
    Asset { path: "icon.svg", content_type: "image/svg+xml", bytes: include_bytes!("../../static/icon.svg") },
    Asset {
        path: "vendor/inter/inter-latin-wght-normal.woff2",
        content_type: "font/woff2",
        bytes: include_bytes!("../../static/vendor/inter/inter-latin-wght-normal.woff2"),
    },
];

// One hash over all files: the stylesheet names the font by a relative path, so they move together.
static HASH: LazyLock<String> = LazyLock::new(|| {
    let mut hasher = Sha256::new();
    for asset in &ASSETS {
        hasher.update(asset.bytes);
    }
    hex::encode(&hasher.finalize()[..8])
});

/// The address of an asset: `/static/<hash>/app.css`.
pub fn url(path: &str) -> String {
    format!("/static/{}/{path}", *HASH)
}

/// Serves an asset; an old hash is not found rather than answered with other bytes.
pub async fn serve(Path((hash, path)): Path<(String, String)>) -> Response {
    let found = ASSETS.iter().find(|asset| asset.path == path).filter(|_| hash == *HASH);
    let Some(asset) = found else { return StatusCode::NOT_FOUND.into_response() };
    let headers =
        [(header::CONTENT_TYPE, asset.content_type), (header::CACHE_CONTROL, "public, max-age=31536000, immutable")];
    (headers, asset.bytes).into_response()
}
