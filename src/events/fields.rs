//! Reading a sender's JSON by pointer: everything that comes out is clean, and nothing is guessed.

use super::{Event, EventError, EventKind, clean};
use chrono::{DateTime, Utc};
use serde_json::Value;

/// So many digits at least tell a commit from all others.
pub(super) const COMMIT_DIGITS_MIN: usize = 8;

/// One JSON object of a delivery.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a> {
    pub(super) root: &'a Value,
    pub(super) received_at: DateTime<Utc>,
}

impl<'a> Fields<'a> {
    pub(super) fn new(root: &'a Value, received_at: DateTime<Utc>) -> Self {
        Self { root, received_at }
    }

    /// The part behind a pointer, as an object of its own; null where there is none.
    pub(super) fn at(&self, pointer: &str) -> Self {
        Self { root: self.root.pointer(pointer).unwrap_or(&Value::Null), received_at: self.received_at }
    }

    /// The members of a list, each as an object of its own.
    pub(super) fn list(&self, pointer: &str) -> impl Iterator<Item = Fields<'a>> + use<'a> {
        let members = self.root.pointer(pointer).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let received_at = self.received_at;
        members.iter().map(move |root| Fields { root, received_at })
    }

    /// Reads the members of a list, each on its own: one that cannot be read takes none of the others with it, and
    /// stands among the events with its reason, as do those beyond `count_max`. Where none can be read, nothing can.
    pub(super) fn read_each(
        &self,
        pointer: &str,
        count_max: usize,
        read: impl Fn(&Fields<'a>) -> Result<Event, EventError>,
    ) -> Result<Vec<Event>, EventError> {
        let mut events = Vec::new();
        let mut first_error = None;
        for (index, member) in self.list(pointer).take(count_max).enumerate() {
            match read(&member) {
                Ok(event) => events.push(event),
                Err(error) => {
                    events.push(unreadable(&format!("part {}: {error}", index + 1)));
                    first_error.get_or_insert(error);
                }
            }
        }
        if let Some(error) = first_error
            && events.iter().all(|event| event.kind == EventKind::Unreadable)
        {
            return Err(error);
        }
        events.extend(self.beyond(pointer, "parts", count_max));
        Ok(if events.is_empty() { vec![self.ignored("the list is empty")] } else { events })
    }

    /// What stands among the events for the members of a list beyond those that are read; `None` where all are.
    pub(super) fn beyond(&self, pointer: &str, what: &str, count_max: usize) -> Option<Event> {
        let count = self.list(pointer).count();
        let first = count_max + 1;
        (count >= first)
            .then(|| unreadable(&format!("{what} {first} to {count}: at most {count_max} are read of one delivery")))
    }

    /// What stands beside a push of which the sender itself names fewer commits than it has. It is no fault of the
    /// delivery, and reading it again tells no more; a scheduled read of the repository does.
    pub(super) fn commits_left_out(&self, is_shortened: bool) -> Option<Event> {
        let listed = self.list("/commits").count();
        is_shortened.then(|| {
            self.ignored(&format!(
                "the sender names {listed} of the commits: a scheduled read of the repository brings the rest"
            ))
        })
    }

    pub(super) fn has(&self, pointer: &str) -> bool {
        self.root.pointer(pointer).is_some_and(|value| !value.is_null())
    }

    /// A text as it stands, not cleaned; for words that are only compared.
    pub(super) fn word(&self, pointer: &str) -> &'a str {
        self.root.pointer(pointer).and_then(Value::as_str).unwrap_or_default().trim()
    }

    pub(super) fn text(&self, pointer: &str) -> Option<String> {
        match self.root.pointer(pointer)? {
            Value::String(text) => clean::text(text),
            Value::Number(number) => clean::text(&number.to_string()),
            _ => None,
        }
    }

    pub(super) fn first_line(&self, pointer: &str) -> Option<String> {
        self.root.pointer(pointer)?.as_str()?.lines().next().and_then(clean::text)
    }

    pub(super) fn url(&self, pointer: &str) -> Option<String> {
        self.root.pointer(pointer)?.as_str().and_then(clean::url)
    }

    /// A full commit hash.
    pub(super) fn sha(&self, pointer: &str) -> Option<String> {
        self.root.pointer(pointer)?.as_str().and_then(clean::sha)
    }

    /// A commit hash, or the first digits of one where the sender gives no more.
    pub(super) fn sha_prefix(&self, pointer: &str) -> Option<String> {
        let raw = self.root.pointer(pointer)?.as_str()?.trim();
        let is_hash = raw.len() >= COMMIT_DIGITS_MIN && raw.len() <= 64 && raw.bytes().all(|b| b.is_ascii_hexdigit());
        (is_hash && raw.bytes().any(|byte| byte != b'0')).then(|| raw.to_ascii_lowercase())
    }

    pub(super) fn is_true(&self, pointer: &str) -> bool {
        self.root.pointer(pointer).and_then(Value::as_bool).unwrap_or(false)
    }

    pub(super) fn number(&self, pointer: &str) -> Option<i64> {
        match self.root.pointer(pointer)? {
            Value::Number(number) => number.as_i64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    /// An id, without which the delivery cannot be read.
    pub(super) fn id(&self, pointer: &str) -> Result<String, EventError> {
        match self.root.pointer(pointer) {
            Some(Value::Number(id)) => Ok(id.to_string()),
            Some(Value::String(id)) if clean::text(id).is_some() => clean::id(id).ok_or_else(|| {
                EventError::Unfit(format!("{} is longer than {} characters", dotted(pointer), clean::ID_LENGTH_MAX))
            }),
            _ => Err(EventError::Unfit(format!("{} is missing", dotted(pointer)))),
        }
    }

    /// A repository's or flag's name: part of keys, like an id.
    pub(super) fn name(&self, pointer: &str) -> Option<String> {
        self.root.pointer(pointer)?.as_str().and_then(clean::id)
    }

    /// A time. One that is not plausible is replaced by that of receipt, and the event remembers so.
    pub(super) fn time(&self, pointer: &str, event: &mut Event) -> Option<DateTime<Utc>> {
        let (time, is_received) = clean::time(self.root.pointer(pointer)?, self.received_at)?;
        event.time_is_received |= is_received;
        Some(time)
    }

    /// A time that senders fill with the year 1 where there is none.
    pub(super) fn real_time(&self, pointer: &str) -> Option<DateTime<Utc>> {
        let (time, is_received) = clean::time(self.root.pointer(pointer)?, self.received_at)?;
        (!is_received).then_some(time)
    }

    /// A time without which an event has no place in history.
    pub(super) fn needed_time(&self, pointer: &str, event: &mut Event) -> DateTime<Utc> {
        self.time(pointer, event).unwrap_or_else(|| {
            event.time_is_received = true;
            self.received_at
        })
    }

    /// Keeps plain values of an object as attributes, each under its own name and whole: rules compare them.
    pub(super) fn keep_attributes(&self, pointer: &str, event: &mut Event) {
        let Some(Value::Object(fields)) = self.root.pointer(pointer) else { return };
        for (key, value) in fields {
            let text = match value {
                Value::String(text) => clean::whole(text),
                Value::Number(_) | Value::Bool(_) => clean::text(&value.to_string()),
                _ => None,
            };
            event.attributes.extend(clean::whole(key).zip(text));
        }
    }

    /// Keeps one value as an attribute.
    pub(super) fn keep(&self, name: &str, pointer: &str, event: &mut Event) {
        event.attributes.extend(self.text(pointer).map(|text| (name.to_owned(), text)));
    }

    pub(super) fn ignored(&self, reason: &str) -> Event {
        Event { kind: EventKind::Ignore, reason: clean::text(reason), ..Event::default() }
    }
}

/// What stands among the events for a part that could not be read.
pub(super) fn unreadable(reason: &str) -> Event {
    Event { kind: EventKind::Unreadable, reason: clean::text(reason), ..Event::default() }
}

/// `/deployment/id` as a person writes it.
pub(super) fn dotted(pointer: &str) -> String {
    pointer.trim_start_matches('/').replace('/', ".")
}

/// A key made of parts, short enough for an index; two that differ stay different.
pub(super) fn joined(parts: &[&str]) -> String {
    use sha2::{Digest, Sha256};
    let plain = parts.join("/");
    if plain.chars().count() <= clean::ID_LENGTH_MAX {
        return plain;
    }
    let kept: String = plain.chars().take(clean::ID_LENGTH_MAX - 65).collect();
    format!("{kept}~{}", hex::encode(Sha256::digest(plain.as_bytes())))
}

/// The status that most senders' words mean; `Unknown` for all others.
pub(super) fn status_of(word: &str) -> super::Status {
    use super::Status;
    match word.to_ascii_lowercase().replace(['-', ' '], "_").as_str() {
        "created"
        | "pending"
        | "queued"
        | "waiting"
        | "blocked"
        | "approved"
        | "scheduled"
        | "manual"
        | "not_started"
        | "notstarted"
        | "waiting_for_resource"
        | "preparing" => Status::Pending,
        "running" | "in_progress" | "inprogress" | "started" | "progressing" | "applying" | "starting" => {
            Status::InProgress
        }
        "success"
        | "succeeded"
        | "successful"
        | "passed"
        | "completed"
        | "succeededwithissues"
        | "partiallysucceeded" => Status::Succeeded,
        "failure" | "failed" | "error" | "errored" | "unauthorized" | "terminal" | "timed_out" => Status::Failed,
        "canceled" | "cancelled" | "stopped" | "skipped" | "rejected" | "aborted" | "abandoned" | "not_run" => {
            Status::Canceled
        }
        "inactive" | "destroyed" | "superseded" => Status::Superseded,
        _ => Status::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn long_keys_stay_different() {
        let (one, other) = (joined(&["a", &"x".repeat(300)]), joined(&["a", &"x".repeat(301)]));
        assert_ne!(one, other);
        assert!(one.chars().count() <= clean::ID_LENGTH_MAX);
        assert_eq!(joined(&["a", "b"]), "a/b");
    }

    #[test]
    fn one_that_cannot_be_read_takes_no_other_with_it() {
        let read = |body: serde_json::Value, count_max: usize| {
            let fields = Fields::new(&body, DateTime::UNIX_EPOCH);
            fields.read_each("/list", count_max, |one| {
                Ok(Event { external_id: Some(one.id("/id")?), ..Event::default() })
            })
        };
        let events = read(json!({"list": [{"id": 1}, {"no": 2}, {"id": 3}, {"id": 4}]}), 3).unwrap();
        let ids: Vec<_> = events.iter().map(|event| event.external_id.as_deref()).collect();
        assert_eq!(ids, [Some("1"), None, Some("3"), None]);
        assert_eq!(events[1].reason.as_deref(), Some("part 2: id is missing"));
        assert_eq!(events[3].reason.as_deref(), Some("parts 4 to 4: at most 3 are read of one delivery"));
        assert!(events[1].kind == EventKind::Unreadable && events[3].kind == EventKind::Unreadable);
        assert_eq!(read(json!({"list": [{}, {}]}), 3), Err(EventError::Unfit("id is missing".into())));
        let empty = read(json!({"list": []}), 3).unwrap();
        assert_eq!((empty[0].kind, empty[0].reason.as_deref()), (EventKind::Ignore, Some("the list is empty")));
    }

    #[test]
    fn a_word_that_is_not_known_is_unknown() {
        assert_eq!(status_of("defenestrated"), super::super::Status::Unknown);
        assert_eq!(status_of("In Progress"), super::super::Status::InProgress);
    }
}
