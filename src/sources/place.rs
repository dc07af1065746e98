//! The place of a source and what opens it. Credentials print as nothing.

use super::kind::Kind;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

const TEXT_CHARS_MAX: usize = 1024;
/// A service account's key file is about 2,400.
const SECRET_CHARS_MAX: usize = 16 * 1024;
/// Of a name that nothing knows.
const NAME_CHARS_SHOWN: usize = 40;

/// Where files lie. Which fields are used depends on the kind; the others are empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Place {
    /// Bucket, or the container of Azure.
    pub bucket: String,
    /// What the names of all objects begin with, or the folder of the server.
    pub prefix: String,
    /// Region of Amazon S3.
    pub region: String,
    /// Address of the service, where it is not the provider's own.
    pub endpoint: String,
    /// Storage account of Azure.
    pub account: String,
    /// Address of Entra ID, where it is not that of the public cloud: where a client secret is exchanged for a token.
    pub authority: String,
}

/// What opens an object store. All empty: the rights of the machine that Costwake runs on.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Credentials {
    /// Access key id of Amazon S3.
    pub access_key_id: String,
    /// Its secret, or the access key of an Azure storage account.
    pub secret_access_key: String,
    /// Session token of temporary keys of Amazon S3.
    pub session_token: String,
    /// Shared access signature of Azure, as its address carries it.
    pub sas: String,
    /// Key file of a service account of Google Cloud, JSON.
    pub service_account_key: String,
    /// Directory (tenant) of an application of Entra ID.
    pub tenant_id: String,
    /// The application (client).
    pub client_id: String,
    /// Its secret.
    pub client_secret: String,
}

// Secrets are never printed.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_empty() { "Credentials(none)" } else { "Credentials(****)" })
    }
}

impl Credentials {
    /// Those of a file: a JSON object of the fields above. A name that a kind of source does not take is refused: what is
    /// behind it would be kept nowhere, and missed only when the place is read.
    pub fn from_json(text: &str, kind: Kind) -> Result<Self, String> {
        let taken = match kind {
            Kind::S3 => &["access_key_id", "secret_access_key", "session_token"][..],
            Kind::Azure => &["secret_access_key", "sas", "tenant_id", "client_id", "client_secret"],
            Kind::Gcs | Kind::Upload | Kind::Push | Kind::Directory => &[],
        };
        // What is wrong in it is not told: it may be a secret.
        let unread = |_| "the credentials are not a JSON object of names and texts".to_owned();
        let fields: BTreeMap<String, String> = serde_json::from_str(text).map_err(unread)?;
        match fields.keys().find(|name| !taken.contains(&name.as_str())) {
            Some(_) if taken.is_empty() => Err("this kind of source takes no credentials of that form".into()),
            Some(name) => {
                let name: String = name.chars().take(NAME_CHARS_SHOWN).collect();
                Err(format!("the credentials have “{name}”, and {} takes {}", kind.label(), taken.join(", ")))
            }
            None => serde_json::from_str(text).map_err(unread).map(Self::trimmed),
        }
    }

    /// Whether nothing was entered.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Without spaces and line ends around what was pasted.
    pub fn trimmed(self) -> Self {
        let trim = |text: String| text.trim().to_owned();
        Self {
            access_key_id: trim(self.access_key_id),
            secret_access_key: trim(self.secret_access_key),
            session_token: trim(self.session_token),
            sas: trim(self.sas),
            service_account_key: trim(self.service_account_key),
            tenant_id: trim(self.tenant_id),
            client_id: trim(self.client_id),
            client_secret: trim(self.client_secret),
        }
    }

    /// Why they cannot be those of a kind, in a sentence.
    pub fn fault(&self, kind: Kind) -> Option<String> {
        let application = [&self.tenant_id, &self.client_id, &self.client_secret];
        let texts = [
            &self.access_key_id,
            &self.secret_access_key,
            &self.session_token,
            &self.sas,
            &self.tenant_id,
            &self.client_id,
            &self.client_secret,
            &self.service_account_key,
        ];
        if texts.iter().any(|text| text.len() > SECRET_CHARS_MAX) {
            return Some("A key is longer than any that there is.".into());
        }
        if texts[..7].iter().any(|text| text.chars().any(|c| c.is_control() || c.is_whitespace())) {
            return Some("A key has no spaces and line ends in it.".into());
        }
        match kind {
            _ if self.is_empty() => None,
            Kind::S3 if texts[3..].iter().any(|text| !text.is_empty()) => {
                Some("Amazon S3 takes an access key id, a secret access key and a session token, nothing else.".into())
            }
            Kind::S3 if self.access_key_id.is_empty() => {
                Some("Amazon S3 needs both the access key id and the secret access key, or neither.".into())
            }
            Kind::S3 if self.access_key_id.is_empty() != self.secret_access_key.is_empty() => {
                Some("Amazon S3 needs both the access key id and the secret access key, or neither.".into())
            }
            Kind::Azure if [&self.access_key_id, &self.session_token].iter().any(|text| !text.is_empty()) => {
                Some("Azure takes the access key of a storage account, and no access key id or session token.".into())
            }
            Kind::Azure if application.iter().any(|text| !text.is_empty()) => {
                if application.iter().any(|text| text.is_empty()) {
                    return Some("An application of Entra ID needs all three: directory, client and secret.".into());
                }
                if !self.tenant_id.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.')) {
                    return Some("The directory (tenant) is an id like 72f988bf-86f1-41af-91ab-2d7cd011db47.".into());
                }
                let has_more = !self.sas.is_empty() || !self.secret_access_key.is_empty();
                has_more.then(|| "Enter one of access key, shared access signature and application.".into())
            }
            Kind::Azure if !self.sas.is_empty() && !self.secret_access_key.is_empty() => {
                Some("Enter the access key or the shared access signature, not both.".into())
            }
            Kind::Gcs => service_account_fault(&self.service_account_key),
            Kind::Upload | Kind::Push | Kind::Directory => Some("This kind of source takes no credentials.".into()),
            _ => None,
        }
    }
}

// The key file may name the address that tokens are fetched from; it must not choose any other setting.
fn service_account_fault(text: &str) -> Option<String> {
    let wrong = "Paste the whole JSON key file of the service account: it has client_email and private_key.";
    let key: serde_json::Value = match serde_json::from_str(text) {
        Ok(key) => key,
        Err(_) => return Some(wrong.into()),
    };
    let has = |name: &str| key.get(name).is_some_and(|value| value.as_str().is_some_and(|text| !text.is_empty()));
    if !has("client_email") || !has("private_key") {
        return Some(wrong.into());
    }
    key.get("gcs_base_url").map(|_| "Take gcs_base_url out of the key file and enter it as the endpoint.".into())
}

impl Place {
    /// Without spaces around, and with a prefix as object stores write it.
    pub fn trimmed(self, kind: Kind) -> Self {
        let trim = |text: String| text.trim().to_owned();
        let prefix = trim(self.prefix);
        let prefix = if kind == Kind::Directory { prefix } else { prefix.trim_matches('/').to_owned() };
        Self {
            bucket: trim(self.bucket),
            prefix,
            region: trim(self.region),
            endpoint: trim(self.endpoint).trim_end_matches('/').to_owned(),
            account: trim(self.account),
            authority: trim(self.authority).trim_end_matches('/').to_owned(),
        }
    }

    /// Why it cannot be a place of this kind, in a sentence.
    pub fn fault(&self, kind: Kind) -> Option<String> {
        let texts = [&self.bucket, &self.prefix, &self.region, &self.endpoint, &self.account, &self.authority];
        if texts.iter().any(|text| text.len() > TEXT_CHARS_MAX || text.chars().any(char::is_control)) {
            return Some(format!("Bucket, prefix and the rest are plain text of at most {TEXT_CHARS_MAX} characters."));
        }
        let needs = |text: &str, what: &str| text.is_empty().then(|| format!("Enter the {what}."));
        match kind {
            Kind::Upload | Kind::Push => None,
            Kind::Directory if !self.prefix.starts_with('/') => {
                Some("Enter the folder with its whole path, like /srv/bills.".into())
            }
            Kind::Directory => None,
            Kind::S3 => needs(&self.bucket, "bucket")
                .or_else(|| needs(&self.region, "region, like eu-central-1 (us-east-1 where the store has none)"))
                .or_else(|| name_fault(&self.bucket, "bucket"))
                .or_else(|| name_fault(&self.region, "region"))
                .or_else(|| self.endpoint_fault()),
            Kind::Gcs => needs(&self.bucket, "bucket")
                .or_else(|| name_fault(&self.bucket, "bucket"))
                .or_else(|| self.endpoint_fault()),
            Kind::Azure => needs(&self.account, "storage account")
                .or_else(|| needs(&self.bucket, "container"))
                .or_else(|| name_fault(&self.account, "storage account"))
                .or_else(|| name_fault(&self.bucket, "container"))
                .or_else(|| self.endpoint_fault())
                .or_else(|| {
                    let is_good = self.authority.is_empty() || is_plain_address(&self.authority);
                    (!is_good).then(|| "The address of Entra ID is like https://login.microsoftonline.us.".into())
                }),
        }
    }

    fn endpoint_fault(&self) -> Option<String> {
        if self.endpoint.is_empty() {
            return None;
        }
        let wrong = "The endpoint is an address like https://minio.example.com:9000, without user, query and fragment.";
        (!is_plain_address(&self.endpoint)).then(|| wrong.into())
    }

    /// Where the files lie, for people.
    pub fn words(&self, kind: Kind) -> String {
        let at = if self.endpoint.is_empty() { String::new() } else { format!(" at {}", self.endpoint) };
        let slash = if self.prefix.is_empty() { "" } else { "/" };
        match kind {
            Kind::Upload => "files that people hand in".into(),
            Kind::Push => "files that a program hands in".into(),
            Kind::Directory => self.prefix.clone(),
            Kind::S3 => format!("s3://{}{slash}{}{at}", self.bucket, self.prefix),
            Kind::Gcs => format!("gs://{}{slash}{}{at}", self.bucket, self.prefix),
            Kind::Azure => format!("azure://{}/{}{slash}{}{at}", self.account, self.bucket, self.prefix),
        }
    }

    /// Whether the same credentials may be used at the other place: they must not travel to another host.
    pub fn has_same_host(&self, other: &Self) -> bool {
        self.endpoint == other.endpoint && self.account == other.account && self.authority == other.authority
    }
}

fn is_plain_address(text: &str) -> bool {
    reqwest::Url::parse(text).is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
    })
}

// These become parts of a host's name or of a path.
fn name_fault(name: &str, what: &str) -> Option<String> {
    let is_fit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '$');
    let is_good = name.len() <= 255 && name.chars().all(is_fit) && !name.starts_with('.') && !name.contains("..");
    (!is_good).then(|| format!("The {what} has letters, digits, dots, dashes and underscores only."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_checked_by_its_kind() {
        let place = Place { bucket: "bills".into(), region: "eu-central-1".into(), ..Place::default() };
        assert_eq!(place.fault(Kind::S3), None);
        assert_eq!(Place::default().fault(Kind::S3).unwrap(), "Enter the bucket.");
        for endpoint in ["file:///etc", "http://user@host", "ftp://host", "https://host/?x=1", "minio:9000", "http://"]
        {
            let place = Place { endpoint: endpoint.into(), ..place.clone() };
            assert!(place.fault(Kind::S3).is_some(), "{endpoint}");
        }
        for bucket in ["a/b", "a..b", ".a", "a b", "a@b", "a?b"] {
            assert!(Place { bucket: bucket.into(), ..place.clone() }.fault(Kind::S3).is_some(), "{bucket}");
        }
        assert!(Place { prefix: "bills".into(), ..Place::default() }.fault(Kind::Directory).is_some());
        assert!(Place { bucket: "b".into(), ..Place::default() }.fault(Kind::Azure).unwrap().contains("account"));
    }

    #[test]
    fn credentials_are_those_of_the_kind_by_names_that_are_known() {
        let pair = r#"{"access_key_id": " AKIA\n", "secret_access_key": "hush"}"#;
        assert_eq!(Credentials::from_json(pair, Kind::S3).unwrap().access_key_id, "AKIA");
        for (text, kind, told) in [
            (r#"{"access_key": "a", "secret_access_key": "hush"}"#, Kind::S3, "have “access_key”, and"),
            (r#"{"AccessKeyId": "a", "SecretAccessKey": "hush"}"#, Kind::S3, "takes access_key_id, secret_access_key"),
            (pair, Kind::Azure, "have “access_key_id”, and"),
            (pair, Kind::Directory, "takes no credentials"),
            (r#"{"access_key_id": 7}"#, Kind::S3, "not a JSON object of names and texts"),
            ("hush", Kind::S3, "not a JSON object of names and texts"),
        ] {
            let fault = Credentials::from_json(text, kind).unwrap_err();
            assert!(fault.contains(told) && !fault.contains("hush"), "{text}: {fault}");
        }
        let aws = Credentials { access_key_id: "a".into(), secret_access_key: "b".into(), ..Credentials::default() };
        assert_eq!(aws.fault(Kind::S3), None);
        assert!(aws.fault(Kind::Azure).unwrap().contains("no access key id"));
        let token = Credentials { session_token: "t".into(), ..Credentials::default() };
        assert!(token.fault(Kind::S3).unwrap().contains("both"));
        let sas = Credentials { sas: "sv=1".into(), ..aws };
        assert!(sas.fault(Kind::S3).unwrap().contains("nothing else"));
    }

    #[test]
    fn secrets_are_not_printed() {
        let credentials = Credentials { secret_access_key: "hush".into(), ..Credentials::default() };
        assert_eq!(format!("{credentials:?}"), "Credentials(****)");
        assert!(credentials.fault(Kind::S3).unwrap().contains("both"));
        assert!(credentials.fault(Kind::Directory).is_some());
        let key = Credentials { service_account_key: "{}".into(), ..Credentials::default() };
        assert!(key.fault(Kind::Gcs).unwrap().contains("client_email"));
    }
}
