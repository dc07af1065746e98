//! Where somebody wants a deployment or an operational event pinned, as forms and programs say it.

use super::rules::form::{environment_id, service_id};
use super::{Error, Result};
use crate::store::pins::PinPlace;
use serde::Deserialize;
use sqlx::PgConnection;

/// More are no pin, but a way to write very much at once.
const SERVICE_COUNT_MAX: usize = 100;

/// Where it is to stay, by short names. What is not said is as it is now.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// Its services.
    pub services: Option<Vec<String>>,
    /// Its environment; an inner nothing is none.
    pub environment: Option<Option<String>>,
}

/// The form, or the button that pins the match as it is and sends nothing.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct PinForm {
    service: String,
    environment: Option<String>,
}

impl PinForm {
    /// What it asks for: a service that is not chosen is not said, an environment that is not chosen is none.
    pub fn asked(self) -> Asked {
        let some = |text: String| Some(text).filter(|text| !text.is_empty());
        Asked { services: some(self.service).map(|slug| vec![slug]), environment: self.environment.map(some) }
    }
}

/// The place that is asked for, of a `subject` (`event`) that belongs here now. It has one service at least.
pub async fn asked_place(conn: &mut PgConnection, subject: &str, now_at: PinPlace, asked: &Asked) -> Result<PinPlace> {
    let service_ids = match &asked.services {
        Some(slugs) if slugs.len() > SERVICE_COUNT_MAX => {
            return Err(Error::Invalid(format!("services: at most {SERVICE_COUNT_MAX} in one pin.")));
        }
        Some(slugs) => {
            let mut ids = Vec::with_capacity(slugs.len());
            for slug in slugs {
                ids.push(service_id(&mut *conn, slug).await?);
            }
            ids.sort_unstable();
            ids.dedup();
            ids
        }
        None => now_at.service_ids,
    };
    if service_ids.is_empty() {
        return Err(Error::Invalid(format!(
            "A pin names one service at least, and this {subject} has none to keep: say which service it is of."
        )));
    }
    let environment_id = match &asked.environment {
        Some(Some(slug)) => Some(environment_id(conn, slug).await?),
        Some(None) => None,
        None => now_at.environment_id,
    };
    Ok(PinPlace { service_ids, environment_id })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_form_leaves_out_stays_and_what_it_empties_goes() {
        let asked = |service: &str, environment: Option<&str>| {
            let form = PinForm { service: service.into(), environment: environment.map(str::to_owned) };
            let asked = form.asked();
            (asked.services, asked.environment)
        };
        assert_eq!(asked("", None), (None, None));
        assert_eq!(asked("checkout", Some("")), (Some(vec!["checkout".into()]), Some(None)));
        assert_eq!(asked("", Some("production")), (None, Some(Some("production".into()))));
    }
}
