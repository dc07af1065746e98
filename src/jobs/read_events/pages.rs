//! A list of an API, page by page: from its first page, asked for with the mark of its last answer, to where the API or
//! the reader ends it.

use super::asking::{Asking, Stop};
use crate::store::event_reads;
use serde_json::Value;

/// The mark of an answer: its address and its ETag.
pub(super) type Mark = (String, String);

/// A list that is being read.
pub(super) struct Pages {
    first: String,
    // The address of the next page, and the mark of its last answer.
    next: Option<(String, Option<String>)>,
    is_unchanged: bool,
}

/// One page.
pub(super) struct PageOf {
    /// What it lists.
    pub rows: Vec<Value>,
    /// Of the first page: its mark, which is to be kept once all pages are stored. Else a read that broke off would
    /// hide the rest.
    pub mark: Option<Mark>,
}

impl Pages {
    /// The list that begins at this address.
    pub async fn from(asking: &Asking<'_>, first: String) -> Result<Self, Stop> {
        let mark = event_reads::mark(&asking.pools.jobs, asking.event_source_id, &first).await?;
        Ok(Self { next: Some((first.clone(), mark)), first, is_unchanged: false })
    }

    /// The next page; none after the last one, and none where nothing changed since the list was read.
    pub async fn turn(&mut self, asking: &mut Asking<'_>) -> Result<Option<PageOf>, Stop> {
        let Some((path, mark)) = self.next.take() else { return Ok(None) };
        let answer = asking.get(&path, mark.as_deref()).await?;
        if answer.is_unchanged() {
            self.is_unchanged = true;
            return Ok(None);
        }
        let mut body = asking.json(&answer)?;
        let rows = asking.api.take_rows(&mut body).ok_or_else(|| asking.not_the_api())?;
        let following = answer.next.as_deref().or_else(|| asking.api.next(&body));
        self.next = following.filter(|_| !rows.is_empty()).map(|path| (path.to_owned(), None));
        let mark = answer.etag.filter(|_| path == self.first).map(|etag| (path, etag));
        Ok(Some(PageOf { rows, mark }))
    }

    /// Whether the API said that nothing changed.
    pub fn is_unchanged(&self) -> bool {
        self.is_unchanged
    }

    /// What follows is not wanted.
    pub fn end(&mut self) {
        self.next = None;
    }
}
