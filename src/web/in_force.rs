//! The filters that a page's figures are narrowed by, in words beside its answer, each with a link that takes it away: a
//! figure of a part must never be read as that of the whole.

use super::parts::Select;
use super::query::{NONE, View};
use askama::Template;

/// Keys that narrow figures or a list, and what people call them. Other keys order a page or lay it out.
const WORDS: [(&str, &str); 13] = [
    ("service", "service"),
    ("env", "environment"),
    ("team", "team"),
    ("provider", "provider"),
    ("charge", "category"),
    ("metric", "metric"),
    ("status", "status"),
    ("finding", "finding"),
    ("kind", "kind"),
    ("source", "source"),
    ("state", "state"),
    ("q", "name"),
    ("cur", "currency"),
];

/// The filters in force. Written into a template as it is; nothing where nothing narrows the page.
#[derive(Debug, Clone, Template)]
#[template(path = "partials/in_force.html")]
pub struct InForce(Vec<Narrowing>);

impl askama::filters::HtmlSafe for InForce {}

/// One filter.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Narrowing {
    /// "provider AWS".
    text: String,
    /// The same page without it.
    href: String,
}

impl InForce {
    /// What narrows this view of a page, named as the page's own selects name it.
    pub fn new(path: &str, view: &View, selects: &[Select]) -> Self {
        let narrowing = |(key, word): (&'static str, &str)| {
            let value = view.text(key)?;
            Some(Narrowing {
                text: format!("{word} {}", label(key, value, selects)),
                href: view.link(path, &[(key, "")]),
            })
        };
        Self(WORDS.into_iter().filter_map(narrowing).collect())
    }
}

fn label<'a>(key: &str, value: &'a str, selects: &'a [Select]) -> &'a str {
    let mut choices = selects.iter().filter(|select| select.name == key).flat_map(|select| &select.choices);
    let named = choices.find(|choice| choice.value == value);
    match (named, value) {
        (Some(choice), _) => &choice.label,
        (None, NONE) => "none",
        (None, value) => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::query::Accepts;

    const ACCEPTS: Accepts =
        Accepts { texts: &["env", "provider", "charge", "page"], by: &["env"], sort: &["-cost", "name"] };

    #[test]
    fn each_filter_is_named_and_can_be_taken_away() {
        let view = View::parse(Some("period=60d&env=live&provider=AWS&sort=name&cur=USD&page=x"), ACCEPTS).unwrap();
        let environments = vec![(String::new(), "All".to_owned()), ("live".to_owned(), "Live".to_owned())];
        let InForce(all) = InForce::new("/teams", &view, &[Select::new("env", "Environment", "live", environments)]);
        let said: Vec<(&str, &str)> = all.iter().map(|one| (one.text.as_str(), one.href.as_str())).collect();
        assert_eq!(
            said,
            [
                ("environment Live", "/teams?period=60d&provider=AWS&cur=USD&sort=name"),
                ("provider AWS", "/teams?period=60d&env=live&cur=USD&sort=name"),
                ("currency USD", "/teams?period=60d&env=live&provider=AWS&sort=name"),
            ]
        );
    }

    #[test]
    fn a_page_of_everything_says_nothing() {
        let view = View::parse(Some("period=60d&basis=billed&sort=name"), ACCEPTS).unwrap();
        assert_eq!(InForce::new("/teams", &view, &[]).to_string(), "");
    }
}
