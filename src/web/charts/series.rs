/// One colour of a stacked chart.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// A class of the style sheet without its prefix: `production`.
    pub class: &'static str,
    /// What people call it.
    pub label: String,
}

/// The class of a kind of environment.
pub fn environment_class(kind: Option<&str>) -> &'static str {
    match kind {
        Some("production") => "production",
        Some("staging") => "staging",
        Some("preview") => "preview",
        Some("development") => "development",
        Some("test") => "test",
        _ => "other",
    }
}

/// The class of the n-th series where colours have no meaning of their own; beyond the palette all are "other".
pub fn ranked_class(rank: usize) -> &'static str {
    ["production", "staging", "preview", "development", "test"].get(rank).copied().unwrap_or("other")
}
