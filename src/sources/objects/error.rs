//! What can go wrong at a place, in a sentence, with what to do about it.

use super::guard::Refused;
use std::error::Error;

/// Why a place could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{sentence}")]
pub struct PlaceError {
    /// What happened.
    pub sentence: String,
    /// What to do.
    pub remedy: String,
    /// Whether the same try can succeed later without anybody doing something.
    pub may_pass: bool,
    /// Whether an object was replaced while it was read.
    pub is_change: bool,
}

impl PlaceError {
    /// What somebody has to mend.
    pub fn lasting(sentence: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { sentence: sentence.into(), remedy: remedy.into(), may_pass: false, is_change: false }
    }

    /// What a later try may find mended.
    pub fn passing(sentence: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { may_pass: true, ..Self::lasting(sentence, remedy) }
    }

    /// An object is another one than it was when the place was listed.
    pub fn changed(key: &str) -> Self {
        let sentence = format!("{key} was replaced while it was read, so nothing of that try is counted.");
        let remedy = "Nothing: the next read takes the new one.";
        Self { is_change: true, ..Self::passing(sentence, remedy) }
    }
}

/// The same for a place that nobody entered credentials for: then the machine's own are asked for, at an address that
/// nobody entered either.
pub(super) fn of_store_without_credentials(error: &object_store::Error, doing: &str) -> PlaceError {
    let Some(refused) = cause::<Refused>(error) else { return of_store(error, doing) };
    PlaceError::lasting(
        format!("No credentials are kept for this source, so those of the machine were asked for: {refused}."),
        "Enter the credentials of the source. Only where the machine has a role of its own that may read the place, \
         allow that address.",
    )
}

/// The sentence for what an object store said. Its own text stays out of it: it may be any length, and an address may
/// carry a signature; of it only the code that names the error is kept.
pub(super) fn of_store(error: &object_store::Error, doing: &str) -> PlaceError {
    if let Some(refused) = cause::<Refused>(error) {
        return PlaceError::lasting(format!("{refused}."), "Change the endpoint, or the setting that it names.");
    }
    let meaning = Meaning::of(error);
    let code = code(error).map(|code| format!(" ({code})")).unwrap_or_default();
    match meaning {
        Meaning::Unknown => PlaceError::lasting(
            format!("The store knows no such place while {doing}{code}."),
            "Check the bucket or container, the region and the prefix.",
        ),
        Meaning::Unauthenticated => PlaceError::lasting(
            format!("The store does not accept the credentials while {doing}{code}."),
            "Enter the credentials again; check that they are not expired and that the server's clock is right.",
        ),
        Meaning::Denied => PlaceError::lasting(
            format!("The store refuses access while {doing}{code}."),
            "Give the credentials the right to list the bucket and to read objects in it (s3:ListBucket and \
             s3:GetObject; Storage Object Viewer; Storage Blob Data Reader).",
        ),
        Meaning::OddName => PlaceError::lasting(
            "An object there has a name that cannot be read (an empty part or a control character).",
            "Use a prefix that leaves it out, or rename the object.",
        ),
        Meaning::Changed(key) => PlaceError::changed(&key),
        Meaning::Other => PlaceError::passing(
            format!("The store could not be reached or did not answer well while {doing}{code}."),
            "It is tried again. Where it stays: check the endpoint and the region, and that the server may connect there.",
        ),
    }
}

/// What an error means to whoever set the source up.
enum Meaning {
    Unknown,
    Unauthenticated,
    Denied,
    OddName,
    Changed(String),
    Other,
}

impl Meaning {
    // An answer to a listing comes as a general error: its code says what it means.
    fn of(error: &object_store::Error) -> Self {
        match (error, code(error).as_deref()) {
            (object_store::Error::InvalidPath { .. }, _) => Self::OddName,
            (object_store::Error::Precondition { path, .. }, _) => Self::Changed(path.clone()),
            (_, Some("NoSuchBucket" | "NoSuchKey" | "ContainerNotFound" | "ResourceNotFound" | "BlobNotFound")) => {
                Self::Unknown
            }
            (
                _,
                Some(
                    "InvalidAccessKeyId"
                    | "SignatureDoesNotMatch"
                    | "InvalidToken"
                    | "ExpiredToken"
                    | "TokenRefreshRequired"
                    | "RequestTimeTooSkewed"
                    | "AuthenticationFailed"
                    | "AuthorizationFailure"
                    | "InvalidAuthenticationInfo"
                    | "AuthenticationRequired"
                    | "NoAuthenticationInformation",
                ),
            ) => Self::Unauthenticated,
            (
                _,
                Some(
                    "AccessDenied"
                    | "AllAccessDisabled"
                    | "AuthorizationPermissionMismatch"
                    | "InsufficientAccountPermissions"
                    | "PublicAccessNotPermitted"
                    | "UserProjectAccountProblem",
                ),
            ) => Self::Denied,
            (object_store::Error::NotFound { .. }, _) => Self::Unknown,
            (object_store::Error::Unauthenticated { .. }, _) => Self::Unauthenticated,
            (object_store::Error::PermissionDenied { .. }, _) => Self::Denied,
            _ => Self::Other,
        }
    }
}

fn cause<T: Error + Clone + 'static>(error: &(dyn Error + 'static)) -> Option<T> {
    let mut at = Some(error);
    while let Some(error) = at {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found.clone());
        }
        at = error.source();
    }
    None
}

// `<Code>InvalidAccessKeyId</Code>`: a word of the protocol. Anything else in its place is left out.
fn code(error: &object_store::Error) -> Option<String> {
    let text = error.to_string();
    let (_, rest) = text.split_once("<Code>")?;
    let (code, _) = rest.split_once("</Code>")?;
    let is_word = !code.is_empty() && code.len() <= 60 && code.chars().all(|c| c.is_ascii_alphanumeric());
    is_word.then(|| code.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_code_of_an_answer_is_kept() {
        let source = "https://host/?sig=hush <Code>InvalidAccessKeyId</Code><Message>hush</Message>";
        let error = object_store::Error::Unauthenticated { path: "x".into(), source: source.into() };
        let told = of_store(&error, "listing");
        assert_eq!(told.sentence, "The store does not accept the credentials while listing (InvalidAccessKeyId).");
        assert!(!told.may_pass && !told.remedy.contains("hush"));
        let error = object_store::Error::Generic { store: "S3", source: "404 <Code>NoSuchBucket</Code>".into() };
        let told = of_store(&error, "listing");
        assert!(told.sentence.contains("(NoSuchBucket)") && told.remedy.contains("bucket") && !told.may_pass);
        let error = object_store::Error::Generic { store: "S3", source: "<Code>a b</Code> hush".into() };
        assert!(!of_store(&error, "listing").sentence.contains("a b"));
    }

    #[test]
    fn without_credentials_the_address_of_the_machine_is_explained() {
        let refused = Refused::Private { host: "169.254.169.254".into() };
        let error = object_store::Error::Generic { store: "S3", source: Box::new(refused) };
        let told = of_store_without_credentials(&error, "listing");
        assert!(told.sentence.starts_with("No credentials are kept for this source"), "{told:?}");
        assert!(told.remedy.starts_with("Enter the credentials"), "{told:?}");
        assert!(!of_store(&error, "listing").sentence.contains("credentials"));
    }
}
