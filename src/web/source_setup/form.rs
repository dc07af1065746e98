//! A source's set-up as a form carries it.

use super::super::{Error, Result};
use crate::rollup::Format;
use crate::sources::kind::{Kind, LateBills, Layout, Restatement};
use crate::sources::place::{Credentials, Place};
use crate::sources::schedule::Schedule;
use crate::sources::setting::Setting;
use serde::Deserialize;

/// The fields as they were filled in. Secrets come in and are never given back.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct SourceForm {
    pub name: String,
    pub kind: String,
    pub layout: String,
    pub rule: String,
    pub format: String,
    pub bucket: String,
    pub prefix: String,
    pub region: String,
    pub endpoint: String,
    pub account: String,
    pub authority: String,
    pub schedule: String,
    pub expected_every_hours: String,
    pub late_bills: String,
    pub access_key_id: String,
    pub secret_access_key: String,
    pub session_token: String,
    pub sas: String,
    pub service_account_key: String,
    pub tenant_id: String,
    pub client_id: String,
    pub client_secret: String,
    pub forget_credentials: String,
}

impl SourceForm {
    /// A new source of a kind, with what is usual.
    pub fn new(kind: Kind, name: &str) -> Self {
        let layout = match kind {
            Kind::S3 => Layout::AwsDataExport,
            Kind::Azure => Layout::AzureExport,
            _ => Layout::Files,
        };
        Self {
            name: name.to_owned(),
            kind: kind.key().to_owned(),
            layout: layout.key().to_owned(),
            rule: layout.restatements()[0].key().to_owned(),
            schedule: if kind.is_read() { "every 1 hour".to_owned() } else { String::new() },
            expected_every_hours: "48".to_owned(),
            ..Self::default()
        }
    }

    /// The fields of a set-up.
    pub fn of(setting: &Setting) -> Self {
        let place = setting.place.clone();
        Self {
            name: setting.name.clone(),
            kind: setting.kind.key().to_owned(),
            layout: setting.layout.key().to_owned(),
            rule: setting.restatement.key().to_owned(),
            format: setting.format.clone().unwrap_or_default(),
            bucket: place.bucket,
            prefix: place.prefix,
            region: place.region,
            endpoint: place.endpoint,
            account: place.account,
            authority: place.authority,
            schedule: setting.schedule.map(|schedule| schedule.to_string()).unwrap_or_default(),
            expected_every_hours: setting.expected_every_hours.map(|hours| hours.to_string()).unwrap_or_default(),
            late_bills: setting.late_bills.key().to_owned(),
            ..Self::default()
        }
    }

    /// The kind.
    pub fn kind(&self) -> Result<Kind> {
        self.kind.parse().map_err(|error| Error::Invalid(format!("Kind: {error}")))
    }

    /// The set-up that these fields stand for.
    pub fn setting(&self) -> Result<Setting> {
        let kind = self.kind()?;
        let layout: Layout = match self.layout.as_str() {
            "" => Layout::Files,
            layout => layout.parse().map_err(|error| Error::Invalid(format!("Layout: {error}")))?,
        };
        // Where there is one rule only, the form need not ask.
        let restatement: Restatement = match (layout.restatements(), self.rule.as_str()) {
            ([only], _) => *only,
            (rules, "") => rules[0],
            (_, rule) => rule.parse().map_err(|error| Error::Invalid(format!("Rule: {error}")))?,
        };
        let format = Some(self.format.trim().to_owned()).filter(|format| !format.is_empty());
        if let Some(format) = &format {
            format
                .parse::<Format>()
                .map_err(|error| Error::Invalid(format!("Format {format} is not known: {error}.")))?;
        }
        let schedule = match self.schedule.trim() {
            "" => None,
            text => Some(text.parse::<Schedule>().map_err(|help| Error::Invalid(format!("Schedule: {help}")))?),
        };
        let expected_every_hours = match self.expected_every_hours.trim() {
            "" => None,
            text => Some(text.parse().map_err(|_| Error::Invalid("Expected every: a whole number of hours.".into()))?),
        };
        let late_bills = match self.late_bills.as_str() {
            "" => LateBills::default(),
            word => word.parse().map_err(|error| Error::Invalid(format!("Closed months: {error}")))?,
        };
        let place = Place {
            bucket: self.bucket.clone(),
            prefix: self.prefix.clone(),
            region: self.region.clone(),
            endpoint: self.endpoint.clone(),
            account: self.account.clone(),
            authority: self.authority.clone(),
        };
        let name = self.name.trim().to_owned();
        let place = place.trimmed(kind);
        Ok(Setting { name, kind, layout, restatement, format, place, schedule, expected_every_hours, late_bills })
    }

    /// The credentials that were entered; `None` where the present ones stay.
    pub fn credentials(&self) -> Option<Credentials> {
        let entered = Credentials {
            access_key_id: self.access_key_id.clone(),
            secret_access_key: self.secret_access_key.clone(),
            session_token: self.session_token.clone(),
            sas: self.sas.clone(),
            service_account_key: self.service_account_key.clone(),
            tenant_id: self.tenant_id.clone(),
            client_id: self.client_id.clone(),
            client_secret: self.client_secret.clone(),
        }
        .trimmed();
        (!entered.is_empty() || self.forget_credentials == "yes").then_some(entered)
    }

    /// What may be shown again.
    pub fn without_secrets(self) -> Self {
        Self {
            secret_access_key: String::new(),
            session_token: String::new(),
            sas: String::new(),
            service_account_key: String::new(),
            client_secret: String::new(),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_comes_back_as_it_was() {
        let form = SourceForm {
            bucket: "bills".into(),
            region: "eu-central-1".into(),
            prefix: "/exports/".into(),
            ..SourceForm::new(Kind::S3, "aws-main")
        };
        let setting = form.setting().unwrap();
        assert_eq!((setting.fault(), setting.place.prefix.as_str()), (None, "exports"));
        assert_eq!(SourceForm::of(&setting).setting().unwrap(), setting);
        assert!(form.credentials().is_none());
        let wrong = SourceForm { schedule: "sometimes".into(), ..form.clone() };
        assert!(wrong.setting().unwrap_err().to_string().contains("every 30 minutes"));
        let secret = SourceForm { secret_access_key: " hush\n".into(), ..form };
        assert_eq!(secret.credentials().unwrap().secret_access_key, "hush");
        assert!(secret.without_secrets().secret_access_key.is_empty());
    }
}
