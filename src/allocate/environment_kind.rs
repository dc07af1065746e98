use serde::{Deserialize, Serialize};

/// What an environment is for. Comparisons and policies go by kind; names are an organisation's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "each is the word itself")]
pub enum EnvironmentKind {
    Production,
    Staging,
    Test,
    Development,
    Preview,
    Other,
}

impl EnvironmentKind {
    /// Every kind, in the order of a menu.
    pub const ALL: [Self; 6] =
        [Self::Production, Self::Staging, Self::Test, Self::Development, Self::Preview, Self::Other];

    /// The word that the database and the URL carry.
    pub fn key(self) -> &'static str {
        match self {
            Self::Production => "production",
            Self::Staging => "staging",
            Self::Test => "test",
            Self::Development => "development",
            Self::Preview => "preview",
            Self::Other => "other",
        }
    }

    /// The kind of that word.
    pub fn from_key(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.key() == key)
    }

    /// The kind that a sender means by its word, as far as it is one of these: GitLab's tiers, Bitbucket's and DevLake's
    /// types.
    pub fn told(word: &str) -> Option<Self> {
        match word.trim().to_lowercase().as_str() {
            "testing" => Some(Self::Test),
            word => Self::from_key(word).filter(|kind| *kind != Self::Other),
        }
    }

    /// The kind of an environment that nobody knows yet: what its name suggests, and where that says nothing what its
    /// sender told. GitLab makes its tiers up from parts of names, so that the name, read as words, comes first.
    pub fn of_new(name: &str, told: Option<Self>) -> Self {
        match Self::guess(name) {
            Self::Other => told.unwrap_or(Self::Other),
            guessed => guessed,
        }
    }

    /// What a name suggests: `prod-eu` is production, `pr-123` a preview. A person can change it.
    pub fn guess(name: &str) -> Self {
        let lower = name.to_lowercase();
        let words: Vec<&str> = lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
        // "pre-prod" and "non-prod" are one word written as two, and neither is production.
        let joined = words.concat();
        if joined.contains("preprod") {
            return Self::Staging;
        }
        if joined.contains("nonprod") {
            return Self::Other;
        }
        let kind_of = |(index, word): (usize, &&str)| Self::of_word(word, words.get(index + 1).copied());
        words.iter().enumerate().find_map(kind_of).unwrap_or(Self::Other)
    }

    fn of_word(word: &str, next: Option<&str>) -> Option<Self> {
        let stem = word.trim_end_matches(|c: char| c.is_ascii_digit());
        let is_numbered = stem.len() < word.len() || next.is_some_and(|next| next.bytes().all(|b| b.is_ascii_digit()));
        match stem {
            "prod" | "production" | "prd" | "live" => Some(Self::Production),
            "uat" | "preproduction" => Some(Self::Staging),
            "test" | "tests" | "testing" | "qa" => Some(Self::Test),
            "preview" | "previews" | "review" | "ephemeral" => Some(Self::Preview),
            "pr" | "mr" if is_numbered => Some(Self::Preview),
            _ if stem.starts_with("stag") || stem == "stg" => Some(Self::Staging),
            _ if stem.starts_with("dev") => Some(Self::Development),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::EnvironmentKind::{self, *};

    #[test]
    fn what_a_sender_tells_counts_where_the_name_says_nothing() {
        let of = |name: &str, word: &str| EnvironmentKind::of_new(name, EnvironmentKind::told(word));
        assert_eq!(of("customer-a", "production"), Production);
        assert_eq!(of("customer-a", " Production "), Production);
        assert_eq!(of("blue", "testing"), Test);
        assert_eq!(of("trunk", "PREVIEW"), Preview);
        // GitLab finds "int" in it.
        assert_eq!(of("point-of-sale-prod", "testing"), Production);
        assert_eq!(of("review/a", "development"), Preview);
        for word in ["other", "", "life", "production; DROP TABLE"] {
            assert_eq!(of("customer-a", word), Other, "{word}");
        }
    }

    #[test]
    fn a_name_suggests_a_kind() {
        let cases = [
            ("prod", Production),
            ("Production", Production),
            ("eu-prod-1", Production),
            ("prod2", Production),
            ("live", Production),
            ("stage", Staging),
            ("STAGING", Staging),
            ("uat", Staging),
            ("preprod", Staging),
            ("pre-prod", Staging),
            ("test", Test),
            ("qa-3", Test),
            ("dev", Development),
            ("development", Development),
            ("devel_2", Development),
            ("preview", Preview),
            ("pr-123", Preview),
            ("pr123", Preview),
            ("review/feature-x", Preview),
            ("ephemeral-9f", Preview),
            ("pr", Other),
            ("non-prod", Other),
            ("product", Other),
            ("délivrer", Other),
            ("", Other),
            ("生产", Other),
        ];
        for (name, kind) in cases {
            assert_eq!(EnvironmentKind::guess(name), kind, "{name}");
        }
    }
}
