//! An object store: Amazon S3, Google Cloud Storage, Azure Blob Storage.

use super::directory::{of_spool, too_many};
use super::error::{PlaceError, of_store, of_store_without_credentials};
use super::guard::{Guard, GuardedConnector};
use crate::sources::kind::Kind;
use crate::sources::layout::Object;
use crate::sources::place::{Credentials, Place};
use futures_util::StreamExt;
use object_store::aws::AmazonS3Builder;
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::path::Path as Key;
use object_store::{GetOptions, ObjectMeta, ObjectStore, ObjectStoreExt, RetryConfig};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::fs::File;
use tokio::io::{AsyncWrite, AsyncWriteExt};

const RETRIES_MAX: usize = 4;
const RETRY_TIMEOUT: Duration = Duration::from_secs(60);
/// What a test of the connection asks for.
const PROBED_MAX: usize = 1000;

/// A bucket or container, and the prefix that is read of it.
#[derive(Debug)]
pub struct Store {
    store: Arc<dyn ObjectStore>,
    prefix: Key,
    is_keyless: bool,
}

impl Store {
    pub(super) async fn open(
        kind: Kind,
        place: &Place,
        credentials: &Credentials,
        guard: &Guard,
    ) -> Result<Self, PlaceError> {
        // Said early and in its own words; the client looks again at each request.
        for address in [&place.endpoint, &place.authority] {
            let Ok(address) = reqwest::Url::parse(address) else { continue };
            let remedy = "Change the endpoint, or the setting that it names.";
            guard.check(&address).await.map_err(|refused| PlaceError::lasting(format!("{refused}."), remedy))?;
        }
        let retry = RetryConfig { max_retries: RETRIES_MAX, retry_timeout: RETRY_TIMEOUT, ..RetryConfig::default() };
        let connector = GuardedConnector(guard.clone());
        let built: object_store::Result<Arc<dyn ObjectStore>> = match kind {
            Kind::Gcs => gcs(place, credentials).with_retry(retry).with_http_connector(connector).build().map(shared),
            Kind::Azure => {
                azure(place, credentials).with_retry(retry).with_http_connector(connector).build().map(shared)
            }
            _ => s3(place, credentials).with_retry(retry).with_http_connector(connector).build().map(shared),
        };
        let store = built.map_err(|_| {
            PlaceError::lasting(
                "The place and its credentials do not fit together.",
                "Check the bucket, the account and the keys, and enter the credentials again.",
            )
        })?;
        let prefix = Key::parse(&place.prefix).map_err(|_| {
            PlaceError::lasting("The prefix has an empty part or a character that no name has.", "Change the prefix.")
        })?;
        Ok(Self { store, prefix, is_keyless: credentials.is_empty() })
    }

    // The first question to the store is what it holds: there it turns out whether it may be asked at all.
    fn not_listed(&self, error: &object_store::Error) -> PlaceError {
        let told = if self.is_keyless { of_store_without_credentials } else { of_store };
        told(error, "listing it")
    }

    pub(super) async fn list(&self, max: usize) -> Result<Vec<Object>, PlaceError> {
        let mut listing = self.store.list(Some(&self.prefix));
        let mut objects = Vec::new();
        while let Some(found) = listing.next().await {
            let found = found.map_err(|error| self.not_listed(&error))?;
            if objects.len() == max {
                return Err(too_many());
            }
            let modified = found.last_modified;
            let etag = mark(&found);
            objects.push(Object { key: found.location.to_string(), bytes: found.size, etag, modified });
        }
        Ok(objects)
    }

    pub(super) async fn probe(&self) -> Result<usize, PlaceError> {
        let mut listing = self.store.list(Some(&self.prefix));
        let mut count = 0;
        while let Some(found) = listing.next().await {
            let found = found.map_err(|error| self.not_listed(&error))?;
            if count == 0 {
                let read = self.store.get_opts(&found.location, GetOptions { head: true, ..GetOptions::default() });
                read.await.map_err(|error| of_store(&error, "reading an object"))?;
            }
            count += 1;
            if count == PROBED_MAX {
                break;
            }
        }
        Ok(count)
    }

    pub(super) async fn head(&self, object: &Object) -> Result<String, PlaceError> {
        match self.store.head(&key(object)?).await {
            Ok(found) => Ok(mark(&found)),
            Err(object_store::Error::NotFound { .. }) => Err(PlaceError::changed(&object.key)),
            Err(error) => Err(of_store(&error, "looking at an object")),
        }
    }

    pub(super) async fn read(&self, object: &Object) -> Result<Vec<u8>, PlaceError> {
        let mut bytes = Vec::new();
        self.copy(object, &mut bytes).await?;
        Ok(bytes)
    }

    pub(super) async fn fetch(&self, object: &Object, to: &Path) -> Result<(), PlaceError> {
        let mut file = File::create_new(to).await.map_err(|error| of_spool(&error))?;
        self.copy(object, &mut file).await?;
        file.flush().await.map_err(|error| of_spool(&error))
    }

    async fn copy(&self, object: &Object, to: &mut (impl AsyncWrite + Unpin)) -> Result<(), PlaceError> {
        // A mark that is none of the store's cannot be asked for.
        let if_match = object.etag.starts_with('"').then(|| object.etag.clone());
        let options = GetOptions { if_match, ..GetOptions::default() };
        let found = match self.store.get_opts(&key(object)?, options).await {
            Ok(found) => found,
            Err(object_store::Error::NotFound { .. }) => return Err(PlaceError::changed(&object.key)),
            Err(error) => return Err(of_store(&error, "reading an object")),
        };
        // A store that takes no notice of the condition still says what it gives.
        if found.meta.size != object.bytes || mark(&found.meta) != object.etag {
            return Err(PlaceError::changed(&object.key));
        }
        let mut stream = found.into_stream();
        let mut copied = 0_u64;
        while let Some(chunk) = stream.next().await {
            let chunk = chunk.map_err(|error| of_store(&error, "reading an object"))?;
            copied += chunk.len() as u64;
            if copied > object.bytes {
                return Err(PlaceError::changed(&object.key));
            }
            to.write_all(&chunk).await.map_err(|error| of_spool(&error))?;
        }
        if copied < object.bytes {
            return Err(PlaceError::passing(
                format!("{} broke off after {copied} of {} bytes.", object.key, object.bytes),
                "It is tried again.",
            ));
        }
        Ok(())
    }
}

// The store's mark of a content, in one spelling: Azure lists it without the quotes that its header has. Where there is
// none, time and size stand for it.
fn mark(found: &ObjectMeta) -> String {
    match &found.e_tag {
        Some(etag) => format!("\"{}\"", etag.trim_start_matches("W/").trim_matches('"')),
        None => format!("{}-{}", found.last_modified.timestamp_millis(), found.size),
    }
}

fn shared(store: impl ObjectStore) -> Arc<dyn ObjectStore> {
    Arc::new(store)
}

fn key(object: &Object) -> Result<Key, PlaceError> {
    Key::parse(&object.key).map_err(|_| {
        PlaceError::lasting(format!("{} is no name that a store can have.", object.key), "Rename the object.")
    })
}

// Without keys the machine's own role is asked for at 169.254.169.254, which the guard refuses unless allowed.
fn s3(place: &Place, credentials: &Credentials) -> AmazonS3Builder {
    let mut builder = AmazonS3Builder::new().with_bucket_name(&place.bucket).with_region(&place.region);
    if !place.endpoint.is_empty() {
        builder = builder.with_endpoint(&place.endpoint).with_allow_http(true);
    }
    if !credentials.access_key_id.is_empty() {
        builder = builder
            .with_access_key_id(&credentials.access_key_id)
            .with_secret_access_key(&credentials.secret_access_key);
    }
    if !credentials.session_token.is_empty() {
        builder = builder.with_token(&credentials.session_token);
    }
    builder
}

fn gcs(place: &Place, credentials: &Credentials) -> GoogleCloudStorageBuilder {
    let mut builder = GoogleCloudStorageBuilder::new().with_bucket_name(&place.bucket);
    if !place.endpoint.is_empty() {
        builder = builder.with_base_url(&place.endpoint);
    }
    if !credentials.service_account_key.is_empty() {
        builder = builder.with_service_account_key(&credentials.service_account_key);
    }
    builder
}

fn azure(place: &Place, credentials: &Credentials) -> MicrosoftAzureBuilder {
    let mut builder = MicrosoftAzureBuilder::new().with_account(&place.account).with_container_name(&place.bucket);
    if !place.endpoint.is_empty() {
        builder = builder.with_endpoint(place.endpoint.clone()).with_allow_http(true);
    }
    if !credentials.secret_access_key.is_empty() {
        builder = builder.with_access_key(&credentials.secret_access_key);
    }
    if !credentials.sas.is_empty() {
        let sas = credentials.sas.trim_start_matches('?');
        let pairs: Vec<(String, String)> = serde_urlencoded::from_str(sas).unwrap_or_default();
        builder = builder.with_sas_authorization(pairs);
    }
    if !credentials.client_secret.is_empty() {
        builder = builder.with_client_secret_authorization(
            &credentials.client_id,
            &credentials.client_secret,
            &credentials.tenant_id,
        );
    }
    if !place.authority.is_empty() {
        builder = builder.with_config(AzureConfigKey::AuthorityHost, &place.authority);
    }
    builder
}
