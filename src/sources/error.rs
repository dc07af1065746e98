use std::io;

/// Why a file could not be opened or read to its end.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A limit that protects the server was reached.
    #[error("{0}")]
    OutOfBounds(String),
    /// The bytes are damaged or of another kind.
    #[error("{0}")]
    Malformed(String),
    /// The system could not read it.
    #[error(transparent)]
    Io(io::Error),
}

impl SourceError {
    /// Rides through a `Read` and comes out again by [`From<io::Error>`].
    pub(super) fn into_io(self) -> io::Error {
        io::Error::other(self)
    }
}

impl From<io::Error> for SourceError {
    fn from(error: io::Error) -> Self {
        if error.get_ref().is_some_and(|inner| inner.is::<SourceError>()) {
            let inner = error.into_inner().expect("there is an inner error, it was looked at");
            return *inner.downcast::<SourceError>().expect("its type was looked at");
        }
        if error.raw_os_error().is_some() {
            return Self::Io(error);
        }
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Malformed("it ends in the middle of its compressed data".into()),
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::Other => {
                Self::Malformed(format!("its compressed data is damaged ({error})"))
            }
            _ => Self::Io(error),
        }
    }
}
