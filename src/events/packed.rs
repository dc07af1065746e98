//! The body of a delivery as it is stored. CloudEvents may hold their data as base64, where credentials in addresses
//! are not seen: it is taken apart before anything is stored.

use super::{Sender, without_credentials};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Value;
use std::borrow::Cow;

/// The body without credentials in addresses, also in what a CloudEvent holds as base64. Where there are none, it is as
/// it came; what is no JSON or no base64 cannot be taken apart.
pub fn stored_body<'a>(sender: &Sender, plain: &'a [u8]) -> Cow<'a, [u8]> {
    let body = without_credentials(plain);
    if sender.key != "cdevents" {
        return body;
    }
    repacked(&body).map_or(body, Cow::Owned)
}

fn repacked(body: &[u8]) -> Option<Vec<u8>> {
    let mut root: Value = serde_json::from_slice(body).ok()?;
    let is_changed = match &mut root {
        // Each is looked at, whatever became of those before it.
        Value::Array(events) => events.iter_mut().map(repack).filter(|is_changed| *is_changed).count() > 0,
        event => repack(event),
    };
    is_changed.then(|| root.to_string().into_bytes())
}

fn repack(event: &mut Value) -> bool {
    let Some(Value::String(packed)) = event.get_mut("data_base64") else { return false };
    let Ok(data) = BASE64.decode(packed.trim()) else { return false };
    let kept = without_credentials(&data);
    let is_changed = *kept != *data;
    if is_changed {
        *packed = BASE64.encode(kept);
    }
    is_changed
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn stored(sender: &str, body: &str) -> String {
        String::from_utf8(stored_body(Sender::of(sender).unwrap(), body.as_bytes()).into_owned()).unwrap()
    }

    #[test]
    fn credentials_in_base64_are_not_stored() {
        let event = |clone: &str| json!({"specversion": "1.0", "n": 1.50, "data_base64": BASE64.encode(clone)});
        let (told, kept) = (event(r#"{"u":"https://bot:hush@h/x"}"#), event(r#"{"u":"https://h/x"}"#));
        assert_eq!(stored("cdevents", &told.to_string()), kept.to_string());
        assert_eq!(stored("cdevents", &json!([told, kept, told]).to_string()), json!([kept, kept, kept]).to_string());
        // The sender's own spaces stay where nothing was taken out.
        for same in [format!(" {kept} "), r#"{ "data_base64": "no base64!" }"#.into(), "no JSON".into(), "[1]".into()] {
            assert_eq!(stored("cdevents", &same), same);
        }
        assert_eq!(stored("grafana", &told.to_string()), told.to_string(), "no other sender sends CloudEvents");
    }
}
