/// Why a delivery cannot be counted, taken back or accepted. Each is a sentence for whoever asked for it.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// No such delivery.
    #[error("There is no delivery {0}.")]
    UnknownDelivery(i64),
    /// Not in the state it should be in.
    #[error("Delivery {delivery_id} is {state}: {why}.")]
    WrongState {
        /// The delivery.
        delivery_id: i64,
        /// Its state.
        state: String,
        /// What it should be.
        why: &'static str,
    },
    /// What it lacks cannot be done without, or something newer is counted.
    #[error("It cannot be accepted. {0}")]
    CannotAccept(String),
    /// Nothing to go back to.
    #[error("{0}")]
    NothingBefore(String),
    /// What it was joined with is not what counts now.
    #[error("Another export of the same bill came or was taken back while this one was read: hand it in again.")]
    Overtaken,
    /// Sums differ; nothing was changed.
    #[error("It does not add up, so nothing was changed. {0}")]
    Difference(String),
    /// Another worker has the job.
    #[error("Another worker has taken this job over.")]
    LostJob,
    /// A test let it die.
    #[error("died")]
    Died,
    /// The database.
    #[error("The database could not do it: {0}")]
    Database(#[from] sqlx::Error),
    /// Anything else.
    #[error(transparent)]
    Other(#[from] anyhow::Error),
}

impl LedgerError {
    pub(super) fn wrong_state(delivery_id: i64, state: &str, why: &'static str) -> Self {
        Self::WrongState { delivery_id, state: state.to_owned(), why }
    }
}
