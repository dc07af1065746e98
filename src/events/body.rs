//! From the bytes of a request to its JSON.

use super::EventError;
use std::borrow::Cow;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The JSON of a body: without a byte order mark, and out of `payload=` where it was sent as a form.
pub fn plain_body(body: &[u8]) -> Result<Cow<'_, [u8]>, EventError> {
    let body = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
    if !body.starts_with(b"payload=") {
        return Ok(Cow::Borrowed(body));
    }
    let fields: Vec<(String, String)> =
        serde_urlencoded::from_bytes(body).map_err(|error| EventError::NotJson(error.to_string()))?;
    let payload = fields.into_iter().find(|(name, _)| name == "payload");
    let text = payload.map(|(_, value)| value).ok_or_else(|| EventError::NotJson("the form is empty".into()))?;
    Ok(Cow::Owned(text.trim_start_matches('\u{feff}').as_bytes().to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn form_and_byte_order_mark() {
        assert_eq!(plain_body(b"\xef\xbb\xbf{}").unwrap().as_ref(), b"{}");
        assert_eq!(plain_body(b"payload=%7B%22a%22%3A+1%7D").unwrap().as_ref(), br#"{"a": 1}"#);
    }
}
