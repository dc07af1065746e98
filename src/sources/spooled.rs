//! What a file that was handed in is called on disk until it is read.

use std::path::Path;

/// Digits that make a name unique.
const UNIQUE_DIGITS: usize = 64;
/// More of a sender's name is cut off: with the digits it must fit into the 255 bytes of a file system.
const NAME_CHARS_MAX: usize = 120;

/// A name that no other file has, with what its sender calls it: receipts say in which of several files a line lies, and
/// an Azure export may tell by its name alone which cost it has. Nothing of that chooses a folder.
pub fn spooled_name(unique_digits: &str, senders_name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let plain = senders_name.chars().take(NAME_CHARS_MAX).map(|c| if is_plain(c) { c } else { '_' });
    format!("{unique_digits}-{}", plain.collect::<String>())
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
        let digits = "0af9".repeat(16);
        let name = |text: &str| spooled_name(&digits, text);
        let back = |text: &str| senders_name(&Path::new("/data/spool").join(name(text)));
        assert_eq!(back("october-amortized.csv.gz"), "october-amortized.csv.gz");
        assert_eq!(back("../../etc/passwd"), ".._.._etc_passwd");
        assert_eq!(back("Kosten (März).csv"), "Kosten__M_rz_.csv");
        assert_eq!(back(""), name(""), "it has no other name");
        assert!(name(&"é".repeat(500)).len() < 255);
        for own in ["bill.csv", "00001-part.csv", "", "0af9-x"] {
            assert_eq!(senders_name(Path::new(own)), own);
        }
    }
}
