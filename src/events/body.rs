//! From the bytes of a request to JSON bytes that may be kept.

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

/// The body without `user:password@` in any address. Some senders put the credentials of their
/// repository access into the clone address.
pub fn without_credentials(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len());
    let mut rest = body;
    while let Some((before, after)) = split_after_scheme(rest) {
        out.extend_from_slice(before);
        let end = after.iter().position(|byte| ends_authority(*byte)).unwrap_or(after.len());
        let host_start = after[..end].iter().rposition(|byte| *byte == b'@').map_or(0, |at| at + 1);
        rest = &after[host_start..];
    }
    out.extend_from_slice(rest);
    out
}

// JSON may write a slash as `\/`.
fn split_after_scheme(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut from = 0;
    while let Some(colon) = bytes[from..].iter().position(|byte| *byte == b':') {
        let colon = from + colon;
        let after = &bytes[colon + 1..];
        for slashes in [b"//".as_slice(), b"\\/\\/".as_slice()] {
            if after.starts_with(slashes) {
                return Some(bytes.split_at(colon + 1 + slashes.len()));
            }
        }
        from = colon + 1;
    }
    None
}

fn ends_authority(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte.is_ascii_control() || b"/\\?#\"'<>".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn form_and_byte_order_mark() {
        assert_eq!(plain_body(b"\xef\xbb\xbf{}").unwrap().as_ref(), b"{}");
        assert_eq!(plain_body(b"payload=%7B%22a%22%3A+1%7D").unwrap().as_ref(), br#"{"a": 1}"#);
    }

    #[test]
    fn credentials_are_cut_out_of_addresses() {
        let body = br#"{"a":"https://joe:pa%40ss@git.example.com/x","b":"https:\/\/t@h\/y","c":"see https://h/x?m=a@b","d":"a:b@c"}"#;
        let kept = String::from_utf8(without_credentials(body)).unwrap();
        assert_eq!(
            kept,
            r#"{"a":"https://git.example.com/x","b":"https:\/\/h\/y","c":"see https://h/x?m=a@b","d":"a:b@c"}"#
        );
    }
}
