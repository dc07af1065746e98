//! The catalogue: teams, services, environments, and the names that they answer to.

pub mod environment;
pub mod service;
pub mod team;
pub mod team_share;

mod names;

use super::limits::{self, LimitError};
use std::collections::HashSet;

pub use names::{
    NamedEntry, NewEnvironment, NewService, add_environments, add_services, environment_names, service_names,
};

/// More entries than this are a mistake of a script: no more of a kind can be added by hand.
pub const ENTRY_COUNT_MAX: i64 = 20_000;
/// Entries that are read at once: rules may add more than people, an environment for each preview.
pub const ENTRY_READ_MAX: i64 = 200_000;
const NAME_CHARS_MAX: usize = 200;
const SLUG_CHARS_MAX: usize = 100;
const ALIAS_COUNT_MAX: usize = 50;

/// Why a catalogue entry cannot be kept. Each message says what to do.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum CatalogueError {
    #[error("A name is needed.")]
    NoName,
    #[error("A name has at most {NAME_CHARS_MAX} characters, all of them visible.")]
    BadName,
    #[error("“{name}” already stands for {holder}. Choose another name, or take it away there first.")]
    NameTaken { name: String, holder: String },
    #[error("“{0}” is not a short name: use a-z, 0-9, dot, dash and underscore, at most 100, a letter or digit first.")]
    BadSlug(String),
    #[error("There is no team “{0}”. Add it first, or leave the team out.")]
    NoTeam(String),
    #[error("A tier is a number from 1 to 9.")]
    BadTier,
    #[error("A lifecycle is experimental, production or deprecated.")]
    BadLifecycle,
    #[error("A kind is production, staging, test, development, preview or other.")]
    BadKind,
    #[error("An environment may be idle for 1 to {} days.", environment::IDLE_DAYS_MAX)]
    BadIdleDays,
    #[error("An entry has at most {ALIAS_COUNT_MAX} other names.")]
    TooManyAliases,
    #[error(transparent)]
    Full(LimitError),
    #[error(transparent)]
    Database(sqlx::Error),
}

// That there is no room is for whoever adds something, and no fault of the database.
impl From<sqlx::Error> for CatalogueError {
    fn from(error: sqlx::Error) -> Self {
        match limits::of(&error) {
            Some(limit @ LimitError::Full { .. }) => Self::Full(limit),
            _ => Self::Database(error),
        }
    }
}

/// A name without blanks around it.
fn checked_name(name: &str) -> Result<&str, CatalogueError> {
    let name = name.trim();
    match name.chars().count() {
        0 => Err(CatalogueError::NoName),
        1..=NAME_CHARS_MAX if !name.chars().any(char::is_control) => Ok(name),
        _ => Err(CatalogueError::BadName),
    }
}

fn check_slug(slug: &str) -> Result<(), CatalogueError> {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let fits = slug.len() <= SLUG_CHARS_MAX
        && slug.starts_with(is_plain)
        && slug.chars().all(|c| is_plain(c) || matches!(c, '.' | '_' | '-'));
    if fits { Ok(()) } else { Err(CatalogueError::BadSlug(slug.chars().take(60).collect())) }
}

/// Other names in lower case, without blanks, repeats and what the entry is called anyway.
fn checked_aliases(aliases: &[String], name: &str, slug: &str) -> Result<Vec<String>, CatalogueError> {
    let mut checked = Vec::new();
    for alias in aliases.iter().map(|alias| alias.trim()).filter(|alias| !alias.is_empty()) {
        let alias = checked_name(alias)?.to_lowercase();
        if alias != name.to_lowercase() && alias != slug && !checked.contains(&alias) {
            checked.push(alias);
        }
    }
    if checked.len() > ALIAS_COUNT_MAX {
        return Err(CatalogueError::TooManyAliases);
    }
    Ok(checked)
}

/// Refuses another entry where there are too many, by the names that all of them have.
fn check_room(taken: &[NamedEntry], what: &'static str) -> Result<(), CatalogueError> {
    let ids: HashSet<i64> = taken.iter().map(|entry| entry.id).collect();
    Ok(limits::room(ids.len() as i64, ENTRY_COUNT_MAX, what)?)
}

/// Refuses a name that another entry answers to. The caller holds the mapping lock, so that none comes between.
fn check_free<'a>(
    taken: &[NamedEntry],
    own_id: Option<i64>,
    wanted: impl Iterator<Item = &'a str>,
) -> Result<(), CatalogueError> {
    for name in wanted {
        let lower = name.to_lowercase();
        let is_other = |entry: &&NamedEntry| Some(entry.id) != own_id && entry.name.to_lowercase() == lower;
        if let Some(other) = taken.iter().find(is_other) {
            // Slugs come first in the list: the first entry of that id is its slug.
            let holder = taken.iter().find(|entry| entry.id == other.id).map_or("", |entry| entry.name.as_str());
            return Err(CatalogueError::NameTaken { name: name.to_owned(), holder: holder.to_owned() });
        }
    }
    Ok(())
}
