//! The members of a file's objects: which of them have a cell, and how to know that of most without a look-up.

use rustc_hash::{FxHashMap, FxHashSet};

/// Members without a cell that are remembered, and the longest name of such a one, in bytes with its quotes.
const REMEMBERED_MAX: usize = 128;
const NAME_BYTES_MAX: usize = 256;

/// No member is remembered here.
const NONE: usize = usize::MAX;

/// The object itself, as what its members are within.
pub(super) const ROOT: usize = 0;

/// Which members have a cell, which objects are looked into for more, and which members were met: most objects of a
/// file have the same ones in the same order.
pub(super) struct Members {
    places: FxHashMap<&'static str, usize>,
    objects: FxHashSet<&'static str>,
    pub count: usize,
    met: Vec<Member>,
}

/// A member that was met.
struct Member {
    /// Its name as it stands, in its quotes.
    name: String,
    /// Its dotted name.
    path: String,
    place: Option<usize>,
    is_object: bool,
    /// The members that were met within it, and the one with which it began last.
    members: Vec<usize>,
    first: usize,
    /// The member that stood behind it last.
    next: usize,
}

impl Members {
    /// A cell for each of these dotted names.
    pub fn of(names: &[&'static str]) -> Self {
        let root = Member {
            name: String::new(),
            path: String::new(),
            place: None,
            is_object: true,
            members: Vec::new(),
            first: NONE,
            next: NONE,
        };
        Self {
            places: names.iter().enumerate().map(|(place, name)| (*name, place)).collect(),
            objects: names.iter().filter_map(|name| Some(name.rsplit_once('.')?.0)).collect(),
            count: names.len(),
            met: vec![root],
        }
    }

    /// The member that is expected within an object, behind another or as its first one, where the text begins with its
    /// name; and how long that is.
    #[inline]
    pub fn expected(&self, within: usize, behind: Option<usize>, text: &[u8]) -> Option<(usize, usize)> {
        let expected = self.met.get(behind.unwrap_or(within)).map(|member| match behind {
            Some(_) => member.next,
            None => member.first,
        })?;
        let name = self.met.get(expected)?.name.as_bytes();
        begins_with(text, name).then_some((expected, name.len()))
    }

    /// The member of a name, which stands in its quotes; it is expected at this place from now on. `None` where it is
    /// not remembered: it has no cell and is not looked into.
    pub fn named(&mut self, within: usize, behind: Option<usize>, name: &str) -> Option<usize> {
        let mut met = self.met.get(within)?.members.iter().copied();
        let found = met.find(|member| self.met.get(*member).is_some_and(|known| known.name == name));
        let found = match found {
            Some(found) => found,
            None => self.remember(within, name)?,
        };
        match behind {
            Some(behind) => self.met.get_mut(behind)?.next = found,
            None => self.met.get_mut(within)?.first = found,
        }
        Some(found)
    }

    /// The cell of a member, where it has one, and whether it is looked into.
    #[inline]
    pub fn place(&self, member: Option<usize>) -> (Option<usize>, bool) {
        member.and_then(|member| self.met.get(member)).map_or((None, false), |known| (known.place, known.is_object))
    }

    /// The dotted name of a member of an object, which has this name in quotes.
    pub fn path(&self, within: usize, name: &str) -> String {
        let own = name.get(1..name.len() - 1).unwrap_or_default();
        match self.met.get(within) {
            Some(object) if !object.path.is_empty() => format!("{}.{own}", object.path),
            _ => own.to_owned(),
        }
    }

    fn remember(&mut self, within: usize, name: &str) -> Option<usize> {
        let path = self.path(within, name);
        let place = self.places.get(path.as_str()).copied();
        let is_object = self.objects.contains(path.as_str());
        let is_any = place.is_none() && !is_object;
        if is_any && (self.met.len() >= REMEMBERED_MAX || name.len() > NAME_BYTES_MAX) {
            return None;
        }
        let member = self.met.len();
        self.met.get_mut(within)?.members.push(member);
        let (name, members) = (name.to_owned(), Vec::new());
        self.met.push(Member { name, path, place, is_object, members, first: NONE, next: NONE });
        Some(member)
    }
}

/// Whether a text begins with a name. Names are a few words of eight bytes, which are compared as numbers: to call for
/// that costs more. The last two of them may overlap.
#[inline]
fn begins_with(text: &[u8], name: &[u8]) -> bool {
    let Some(own) = text.get(..name.len()) else { return false };
    let (Some(last), Some(own_last)) = (name.last_chunk::<8>(), own.last_chunk::<8>()) else { return own == name };
    let (words, own_words) = (name.as_chunks::<8>().0, own.as_chunks::<8>().0);
    words.iter().zip(own_words).all(|(word, own)| word == own) && last == own_last
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_to_their_ends() {
        let name = b"\"usage.amount_in_pricing_units\"";
        for length in 0..name.len() {
            let mut text = name.to_vec();
            assert!(begins_with(&text, &name[..length]) && begins_with(&text[..length], &name[..length]));
            assert!(!begins_with(&text[..length], &name[..=length]));
            text[length] ^= 1;
            assert!(begins_with(&text, &name[..length]) && !begins_with(&text, &name[..=length]), "{length}");
        }
    }

    #[test]
    fn what_stood_behind_a_member_is_expected_there() {
        let mut members = Members::of(&["id", "service.id"]);
        assert_eq!(members.expected(ROOT, None, b"\"id\":1"), None);
        let id = members.named(ROOT, None, "\"id\"");
        let service = members.named(ROOT, id, "\"service\"");
        let own = members.named(service.unwrap(), None, "\"id\"");
        assert_eq!(
            [id, service, own].map(|member| members.place(member)),
            [(Some(0), false), (None, true), (Some(1), false)]
        );
        assert_eq!(members.expected(ROOT, None, b"\"id\":1"), Some((id.unwrap(), 4)));
        assert_eq!(members.expected(ROOT, id, b"\"service\":{}"), Some((service.unwrap(), 9)));
        assert_eq!(members.expected(service.unwrap(), None, b"\"id\":2"), Some((own.unwrap(), 4)));
        for other in [&b"\"ids\":1"[..], b"\"i\"", b"", b"id"] {
            assert_eq!(members.expected(ROOT, None, other), None);
        }
        // Another order is expected once it was met.
        assert_eq!(members.named(ROOT, None, "\"service\""), service);
        assert_eq!(members.expected(ROOT, None, b"\"service\":{}"), Some((service.unwrap(), 9)));
    }

    #[test]
    fn dotted_names_are_found_whatever_they_stand_within() {
        let mut members = Members::of(&["service.id"]);
        let dotted = members.named(ROOT, None, "\"service.id\"");
        assert_eq!(members.place(dotted), (Some(0), false));
        assert_eq!(members.path(ROOT, "\"\""), "");
        let service = members.named(ROOT, dotted, "\"service\"").unwrap();
        assert_eq!(members.path(service, "\"kind\""), "service.kind");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut members = Members::of(&["id", "service.id"]);
        for number in 0..2 * REMEMBERED_MAX {
            members.named(ROOT, None, &format!("\"x{number}\""));
        }
        assert_eq!(members.met.len(), REMEMBERED_MAX);
        assert_eq!(members.named(ROOT, None, &format!("\"{}\"", "x".repeat(NAME_BYTES_MAX))), None);
        let service = members.named(ROOT, None, "\"service\"");
        assert_eq!(members.place(service), (None, true), "what has a cell, or is looked into, is found all the same");
    }
}
