//! What a file that was handed in is called on disk until it is read.

use std::path::Path;

/// Digits of what makes a name unique.
const UNIQUE_DIGITS: usize = 32;
/// More of a sender's name is cut off: an archive has room for 100 bytes with the digits and the name of the folder.
const NAME_CHARS_MAX: usize = 60;
/// What tells one export of an Azure bill from the other, and is kept wherever it stands in a name.
const WORDS_KEPT: [&str; 3] = ["actual", "amortized", "amortised"];

/// A name that no other file has, with what its sender calls it: receipts say in which of several files a line lies, and
/// an Azure export may tell by its name alone which cost it has. Nothing of that chooses a folder.
pub fn spooled_name(unique: &[u8; UNIQUE_DIGITS / 2], senders_name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let plain: String = senders_name.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
    format!("{}-{}", hex::encode(unique), shortened(plain))
}

// Its end, where its kind stands, and before that what it must not lose.
fn shortened(plain: String) -> String {
    if plain.len() <= NAME_CHARS_MAX {
        return plain;
    }
    let lower = plain.to_lowercase();
    let mut short: String =
        WORDS_KEPT.into_iter().filter(|word| lower.contains(word)).map(|word| format!("{word}_")).collect();
    let end = plain.len() - (NAME_CHARS_MAX - short.len());
    short.push_str(plain.get(end..).unwrap_or_default());
    short
}

/// What its sender calls a file that was handed in; of any other file its name.
pub fn senders_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let is_unique = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let told = name.split_at_checked(UNIQUE_DIGITS).filter(|(digits, _)| is_unique(digits));
    let told = told.and_then(|(_, rest)| rest.strip_prefix('-')).filter(|told| !told.is_empty());
    told.unwrap_or(&name).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_senders_name_comes_back_and_never_chooses_a_path() {
        let name = |text: &str| spooled_name(&[0xaf; 16], text);
        let back = |text: &str| senders_name(&Path::new("/data/spool").join(name(text)));
        assert_eq!(back("october-amortized.csv.gz"), "october-amortized.csv.gz");
        assert_eq!(back("../../etc/passwd"), ".._.._etc_passwd");
        assert_eq!(back("Kosten (März).csv"), "Kosten__M_rz_.csv");
        assert_eq!(back(""), name(""), "it has no other name");
        for own in ["bill.csv", "00001-part.csv", "", "0af9-x"] {
            assert_eq!(senders_name(Path::new(own)), own);
        }
    }

    #[test]
    fn a_long_name_fits_into_an_archive_and_keeps_what_tells() {
        let long =
            |word: &str| senders_name(Path::new(&spooled_name(&[1; 16], &format!("{word}-{}.csv", "x".repeat(90)))));
        assert_eq!(long("Amortized-cost"), format!("amortized_{}.csv", "x".repeat(46)));
        assert_eq!(long("cost"), format!("{}.csv", "x".repeat(56)));
        assert!(long("actual-and-amortized").starts_with("actual_amortized_x"), "still nobody can tell");
        for name in ["é".repeat(500), "actual amortized amortised".repeat(20)] {
            assert!("spool/".len() + spooled_name(&[1; 16], &name).len() <= 100, "{name}");
        }
    }
}
