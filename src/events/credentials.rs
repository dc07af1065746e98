//! Credentials in addresses: some senders put those of their repository access into the clone address.
//!
//! What is looked at are bytes, for a body is stored whether it can be read or not. User information ends where RFC 3986
//! and the URL standard say: at a slash, a backslash, `?`, `#`, or with the address. All else may be part of a password,
//! quotes, brackets and signs, also where JSON writes it as an escape, as Go does with `&`, `<` and `>`.

use std::borrow::Cow;

/// Schemes of which the URL standard takes any number of slashes, and none.
const WEB_SCHEMES: [&[u8]; 5] = [b"https", b"http", b"wss", b"ws", b"ftp"];
const SCHEME_LENGTH_MAX: usize = 40;
/// Backslashes in a row that are read at once: JSON in texts of JSON, four deep.
const BACKSLASHES_MAX: usize = 16;

/// The text without `user:password@` in any address. Nearly all have none, and are not copied.
pub fn without_credentials(text: &[u8]) -> Cow<'_, [u8]> {
    let mut out = Vec::new();
    let (mut kept, mut at) = (0, 0);
    // Up to here no credentials begin: a piece is looked at once, however many addresses seem to begin in it.
    let mut clean_until = 0;
    while let Some(found) = memchr::memchr2(b':', b'\\', &text[at..]) {
        let colon = at + found;
        if begins_nothing(text, colon) {
            at = colon + 1;
            continue;
        }
        let Some(sign) = Sign::at(text, colon) else { break };
        at = colon + sign.length;
        if sign.character != ':' {
            continue;
        }
        let Some((start, place)) = authority_start(text, colon, at).filter(|(start, _)| *start >= clean_until) else {
            continue;
        };
        let authority = Authority::read(text, start, place);
        if let Some(host) = authority.host {
            out.extend_from_slice(&text[kept..start]);
            (kept, at) = (host, host);
        }
        clean_until = authority.end;
    }
    if kept == 0 {
        return Cow::Borrowed(text);
    }
    out.extend_from_slice(&text[kept..]);
    Cow::Owned(out)
}

/// A character as it is written.
#[derive(Clone, Copy)]
struct Sign {
    character: char,
    /// Backslashes before it: one where a text of JSON escapes it, more where that stands in a text of JSON again.
    backslashes: usize,
    /// In bytes.
    length: usize,
}

impl Sign {
    /// The one that begins at this byte; nothing at the end. A byte beyond ASCII is a character of no meaning here.
    fn at(text: &[u8], at: usize) -> Option<Self> {
        let rest = text.get(at..)?;
        let backslashes = rest.iter().take(BACKSLASHES_MAX).take_while(|byte| **byte == b'\\').count();
        let (first, after) = (rest.get(backslashes).copied(), rest.get(backslashes + 1..).unwrap_or_default());
        let is_odd = backslashes % 2 == 1;
        let (character, length) = match first {
            None if backslashes == 0 => return None,
            Some(byte) if backslashes == 0 => (char::from(byte), 1),
            Some(b'u') if code(after).is_some() => (code(after).unwrap_or_default(), backslashes + 5),
            Some(b'/') => ('/', backslashes + 1),
            Some(b'"') if is_odd => ('"', backslashes + 1),
            Some(b'b' | b'f' | b'n' | b'r' | b't') if is_odd => (' ', backslashes + 1),
            // They escape nothing but each other.
            _ => return Some(Self { character: '\\', backslashes: 0, length: backslashes }),
        };
        Some(Self { character, backslashes, length })
    }

    fn is_blank(self) -> bool {
        self.character.is_ascii_whitespace() || self.character.is_ascii_control()
    }
}

// Four hexadecimal digits. Half of a surrogate pair is some character that ends nothing.
fn code(digits: &[u8]) -> Option<char> {
    let digits = digits.get(..4).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
    let code = u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    Some(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER))
}

/// What an address stands in.
#[derive(Clone, Copy)]
enum Place {
    /// It is a text of JSON from its beginning on, whose quotes are written with so many backslashes.
    Quoted(usize),
    /// Among words.
    Words,
}

impl Place {
    // By what stands before the address.
    fn after(before: &[u8]) -> Self {
        match before.split_last() {
            Some((b'"', before)) => Self::Quoted(before.iter().rev().take_while(|byte| **byte == b'\\').count()),
            _ => Self::Words,
        }
    }
}

// As nearly all colons of JSON: of no scheme, and before no slash, however it is written.
fn begins_nothing(text: &[u8], colon: usize) -> bool {
    let (before, after) = (text[..colon].last(), text.get(colon + 1));
    text[colon] == b':' && !before.is_some_and(is_of_scheme) && !matches!(after, Some(b'/' | b'\\'))
}

fn is_of_scheme(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+-.".contains(byte)
}

// Where user information or a host begins, behind the slashes; nothing where this colon begins no address.
fn authority_start(text: &[u8], colon: usize, after: usize) -> Option<(usize, Place)> {
    let before = text[..colon].iter().rev().take(SCHEME_LENGTH_MAX);
    let scheme_length = before.take_while(|byte| is_of_scheme(byte)).count();
    let (before, scheme) = text[..colon].split_at(colon - scheme_length);
    let is_web = WEB_SCHEMES.iter().any(|known| known.eq_ignore_ascii_case(scheme));
    let (mut at, mut slashes) = (after, 0);
    while slashes < 2 || is_web {
        let sign = Sign::at(text, at).filter(|sign| sign.character == '/' || is_web && sign.character == '\\');
        let Some(sign) = sign else { break };
        at += sign.length;
        slashes += 1;
    }
    match slashes {
        // "http: reject what is not signed" is a title.
        0 | 1 => is_web.then_some((at, Place::Words)),
        _ => Some((at, Place::after(before))),
    }
}

struct Authority {
    /// Where the host begins, behind the credentials, where there are any.
    host: Option<usize>,
    end: usize,
}

impl Authority {
    fn read(text: &[u8], start: usize, place: Place) -> Self {
        let (mut host, mut end, mut has_colon) = (None, start, false);
        while let Some(sign) = Sign::at(text, end) {
            let is_ended = match (place, sign.character) {
                (_, '/' | '\\' | '?' | '#') => true,
                (Place::Quoted(backslashes), '"') => sign.backslashes <= backslashes,
                (Place::Words, '"') => true,
                // A password may have blanks in it. What follows an address in a sentence has them too.
                _ => sign.is_blank() && !(has_colon && matches!(place, Place::Quoted(_))),
            };
            if is_ended {
                break;
            }
            end += sign.length;
            match sign.character {
                '@' => host = Some(end),
                ':' => has_colon = true,
                _ => {}
            }
        }
        Self { host, end }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stripped(text: &str) -> String {
        String::from_utf8(without_credentials(text.as_bytes()).into_owned()).unwrap()
    }

    #[test]
    fn credentials_are_cut_out_of_addresses() {
        let body = r#"{"a":"https://joe:pa%40ss@git.example.com/x","b":"https:\/\/t@h\/y","c":"see https://h/x?m=a@b","d":"a:b@c"}"#;
        assert_eq!(
            stripped(body),
            r#"{"a":"https://git.example.com/x","b":"https:\/\/h\/y","c":"see https://h/x?m=a@b","d":"a:b@c"}"#
        );
    }

    // Every sign that RFC 3986 takes in user information, those that the URL standard encodes, and those beyond ASCII.
    #[test]
    fn every_sign_of_a_password_goes() {
        for sign in "-._~!$&'()*+,;=:%40@<>[]^`{|} é☃\u{1f511}".split("").filter(|sign| !sign.is_empty()) {
            for scheme in ["https", "HTTP", "ssh", "git+https", "postgres"] {
                let address = format!("{scheme}://us'er:pa{sign}ss@host:8443/a?b=c@d");
                let written = serde_json::to_string(&serde_json::json!({ "url": address, "next": "x@y" })).unwrap();
                let expected = format!(r#"{{"url":"{scheme}://host:8443/a?b=c@d","next":"x@y"}}"#);
                assert_eq!(stripped(&written), expected);
            }
        }
    }

    #[test]
    fn escapes_of_json_hide_nothing() {
        for (written, expected) in [
            // As Go writes & < >, and others all that is no letter.
            (r#""https://u:p\u0026\u003c\u003ew@h/x""#, r#""https://h/x""#),
            (r#""https:\u002f\u002fu\u003ap\u0040h\u002fx""#, r#""https:\u002f\u002fh\u002fx""#),
            (r#""https\u003a//u:p@h/x""#, r#""https\u003a//h/x""#),
            (r#""https://u:p\ud83d\udd11w@h/x""#, r#""https://h/x""#),
            (r#""https://u:p\"w@h/x""#, r#""https://h/x""#),
            (r#""https://u:p\tw@h/x""#, r#""https://h/x""#),
            // JSON in a text of JSON.
            (
                r#"{"data":"{\"url\":\"https://u:p\\u0026w@h/x\",\"m\":\"a@b\"}"}"#,
                r#"{"data":"{\"url\":\"https://h/x\",\"m\":\"a@b\"}"}"#,
            ),
            (r#"{"data":"{\"url\":\"https:\\/\\/u:p@h\\/x\"}"}"#, r#"{"data":"{\"url\":\"https:\\/\\/h\\/x\"}"}"#),
            (
                r#"{"data":"{\"url\":\"https://h\",\"m\":\"a@b\"}"}"#,
                r#"{"data":"{\"url\":\"https://h\",\"m\":\"a@b\"}"}"#,
            ),
        ] {
            assert_eq!(stripped(written), expected);
            assert!(serde_json::from_str::<serde_json::Value>(&stripped(written)).is_ok(), "{written}");
        }
    }

    // The URL standard takes too many slashes of a web address and too few.
    #[test]
    fn slashes_hide_nothing() {
        for slashes in ["", "/", "//", "///", "////", r"\\", r"\\\\", r"/\\", r"\/\/\/"] {
            for user in ["u", "n"] {
                let written = format!(r#"{{"url":"https:{slashes}{user}:p@h/x"}}"#);
                assert_eq!(stripped(&written), format!(r#"{{"url":"https:{slashes}h/x"}}"#), "{written}");
            }
        }
        assert_eq!(stripped(r#"["file:///a@b","mailto:a@b","C:\\a@b"]"#), r#"["file:///a@b","mailto:a@b","C:\\a@b"]"#);
    }

    #[test]
    fn words_around_an_address_stay() {
        for text in [
            r#"{"title":"http: refuse what bob@example.com sends"}"#,
            r#"{"title":"https://example.com is down, ask bob@example.com"}"#,
            r#"{"title":"see https://example.com, or ask bob@example.com: \"https://h\" b@c"}"#,
            r#"{"a":"https://example.com","b":"bob@example.com"}"#,
            "url: https://example.com\nmail: bob@example.com",
            r"https://example.com\n\nCo-authored-by: Bob <bob@example.com>",
        ] {
            assert_eq!(stripped(text), text);
        }
        assert_eq!(stripped("clone https://u:p'a<s@h and ask bob@x"), "clone https://h and ask bob@x");
        assert_eq!(stripped("https://a@b https://c@d,https://e@f"), "https://b https://d,https://f");
    }

    // A colon that begins nothing is passed over at once; one that may begin an address is not, whatever is around it.
    #[test]
    fn a_colon_is_passed_over_only_where_no_address_begins() {
        for (text, expected) in [
            (r#"{"a":"https://u:p@h","b":1}"#, r#"{"a":"https://h","b":1}"#),
            ("://u:p@h", "://h"),
            (r#"" ://u:p@h""#, r#"" ://h""#),
            (r"(:\/\/u:p@h", r"(:\/\/h"),
            (r"(:\u002f/u:p@h", r"(:\u002f/h"),
            ("http:u:p@h", "http:h"),
            (r#"":":","::"#, r#"":":","::"#),
            (":", ":"),
        ] {
            assert_eq!(stripped(text), expected);
        }
    }

    // Each byte is looked at a few times at most, whatever seems to begin everywhere.
    #[test]
    fn a_hostile_text_takes_no_longer_than_another() {
        for piece in ["http:", "\\", "\"http:", "\\\"https:", "://", "http:@", "\\u003a"] {
            let text = piece.repeat(1_000_000 / piece.len());
            let began = std::time::Instant::now();
            without_credentials(text.as_bytes());
            assert!(began.elapsed().as_secs() < 5, "{piece}");
        }
    }

    proptest! {
        #[test]
        fn json_stays_json_without_the_password(password in "[^/?#\\\\]{1,20}", text in "\\PC{0,20}") {
            let secret = format!("S3{password}CRET");
            let body = serde_json::json!({ "url": format!("https://user:{secret}@host/x"), "text": text });
            let kept: serde_json::Value = serde_json::from_str(&stripped(&body.to_string())).unwrap();
            prop_assert_eq!(&kept["url"], "https://host/x");
        }
    }
}
