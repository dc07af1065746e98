//! What a person says of a service beyond its own row, checked: for the form and the API.

use super::super::{Error, Result};
use crate::focus::repository_name;
use crate::store::service_details::{self, ServiceDetail};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::PgConnection;

const TEXT_CHARS_MAX: usize = 200;
const RUNBOOK_CHARS_MAX: usize = 1000;
const REPOSITORIES_MAX: usize = 50;

/// Product, cost center, repositories, runbook, as they were written; empty for none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DetailValues {
    /// Where finance books it, where that is not its team's.
    pub cost_center: String,
    /// What is sold.
    pub product: String,
    /// As `owner/name`, or the addresses of their pages.
    pub repositories: Vec<String>,
    /// Where to look when it is down.
    pub runbook: String,
}

impl DetailValues {
    /// What is kept of a service.
    pub fn of(detail: &ServiceDetail) -> Self {
        Self {
            cost_center: detail.cost_center.clone().unwrap_or_default(),
            product: detail.product.clone().unwrap_or_default(),
            repositories: detail.repositories.clone(),
            runbook: detail.runbook.clone().unwrap_or_default(),
        }
    }

    /// What the audit log keeps.
    pub fn details(&self) -> Value {
        json!({ "cost_center": self.cost_center, "product": self.product, "repositories": self.repositories,
            "runbook": self.runbook })
    }

    /// The same without blanks, repositories by their names; or what is wrong.
    pub fn checked(&self) -> Result<Self> {
        let mut repositories: Vec<String> = Vec::new();
        for written in self.repositories.iter().map(|text| text.trim()).filter(|text| !text.is_empty()) {
            let shown: String = written.chars().take(60).collect();
            let name = repository_name(written)
                .ok_or_else(|| Error::Invalid(format!("“{shown}” is no repository: write owner/name.")))?;
            if !repositories.contains(&name) {
                repositories.push(name);
            }
        }
        if repositories.len() > REPOSITORIES_MAX {
            return Err(Error::Invalid(format!("A service has at most {REPOSITORIES_MAX} repositories.")));
        }
        Ok(Self {
            cost_center: text(&self.cost_center, "A cost center")?,
            product: text(&self.product, "A product")?,
            repositories,
            runbook: address(&self.runbook)?,
        })
    }

    /// Keeps them of a service; `is_other` where its row was added or changed too. What a person wrote is theirs from then
    /// on, also where no details are among it: no description changes it, and what one says differently is listed.
    pub async fn keep(
        &self,
        conn: &mut PgConnection,
        service_id: i64,
        is_other: bool,
        by: &str,
        now: DateTime<Utc>,
    ) -> Result<()> {
        let before = service_details::get(&mut *conn, service_id).await?;
        if Self::of(&before) == *self && !is_other {
            return Ok(());
        }
        let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let detail = ServiceDetail {
            service_id,
            cost_center: some(&self.cost_center),
            product: some(&self.product),
            repositories: self.repositories.clone(),
            runbook: some(&self.runbook),
            described_by: None,
        };
        Ok(service_details::put(conn, &detail, by, now).await?)
    }
}

fn text(written: &str, what: &str) -> Result<String> {
    let written = written.trim();
    if written.chars().count() > TEXT_CHARS_MAX || written.chars().any(char::is_control) {
        return Err(Error::Invalid(format!("{what} has at most {TEXT_CHARS_MAX} visible characters.")));
    }
    Ok(written.to_owned())
}

// It becomes a link: nothing but a page may stand there.
fn address(written: &str) -> Result<String> {
    let written = written.trim();
    if written.is_empty() {
        return Ok(String::new());
    }
    let url = reqwest::Url::parse(written).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let fits = written.len() <= RUNBOOK_CHARS_MAX
        && (written.starts_with("https://") || written.starts_with("http://"))
        && url.is_some_and(|url| url.username().is_empty() && url.password().is_none());
    if fits {
        Ok(written.to_owned())
    } else {
        Err(Error::Invalid("A runbook is the address of a page: write it as https://wiki.example.com/checkout.".into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runbook_is_a_page_and_a_repository_a_name() {
        let with = |runbook: &str| DetailValues { runbook: runbook.into(), ..DetailValues::default() }.checked();
        for wrong in [
            "javascript:alert(1)",
            "data:text/html,x",
            "wiki/checkout",
            "https://me:secret@wiki.example.com",
            "ftp://a",
        ] {
            assert!(with(wrong).is_err(), "{wrong}");
        }
        assert_eq!(with(" https://wiki.example.com/x ").unwrap().runbook, "https://wiki.example.com/x");
        let written = ["https://github.com/acme/shop.git", "acme/shop", ""].map(str::to_owned).to_vec();
        let checked = DetailValues { repositories: written, ..DetailValues::default() }.checked().unwrap();
        assert_eq!(checked.repositories, ["acme/shop"]);
        let wrong = DetailValues { repositories: vec!["shop".into()], ..DetailValues::default() };
        assert!(wrong.checked().is_err());
    }
}
