//! Lists that may be very long, as a file: read page by page in one snapshot and handed on like an export of lines, so
//! that memory stays small and no row is left out without a word.

use super::charges::{self, Chunk};
use super::csv::{self, Table};
use super::export::{self, Place};
use super::{AppState, Principal, Result};
use anyhow::ensure;
use axum::response::Response;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

/// Rows that are read at once. Fewer are the last ones.
pub(super) const PAGE_ROW_COUNT: usize = 2_000;

/// Where the rows come from.
pub(super) trait Pages: Send + 'static {
    /// Adds the next [`PAGE_ROW_COUNT`] rows to the table, or those that are left, and gives how many it added.
    fn next(&mut self, table: &mut Table) -> impl Future<Output = anyhow::Result<usize>> + Send;

    /// How to ask for less where a list is longer than a file may be, for the log: `ask for fewer days`.
    fn how_to_narrow(&self) -> &'static str;
}

/// Says beside the rows of a table that it has only the first of those that there are, and how to have the rest.
pub(super) fn note_cut(table: &mut Table, row_count: usize, in_all: i64, how_to_go_on: &str) {
    if usize::try_from(in_all).is_ok_and(|in_all| in_all > row_count) {
        table.cut(row_count, format!("Cut after {row_count} of {in_all} rows: {how_to_go_on}"));
    }
}

/// The same of a list that may end at its limit, where nobody counted what is beyond.
pub(super) fn note_limit(table: &mut Table, row_count: usize, limit: i64, how_to_go_on: &str) {
    if usize::try_from(limit).is_ok_and(|limit| row_count >= limit) {
        let note = format!("A file has at most {limit} rows of this list; if there are more, {how_to_go_on}");
        table.cut(row_count, note);
    }
}

/// A turn at making such a file. It is taken before the snapshot, which holds a connection that pages need.
pub(super) struct Turn {
    place: Place,
    reader: OwnedSemaphorePermit,
}

impl Turn {
    /// Waits a moment for a turn of this person.
    pub(super) async fn take(app: &AppState, principal: &Principal) -> Result<Self> {
        let (place, reader) = app.exports.enter(principal.user_id).await?;
        Ok(Self { place, reader })
    }

    /// The file: the columns of this table, then all rows of the pages.
    pub(super) async fn answer(
        self,
        app: &AppState,
        table: Table,
        pages: impl Pages,
        file_name: &str,
    ) -> Result<Response> {
        let Self { place, reader } = self;
        let (sender, chunks) = mpsc::channel(1);
        let own = sender.clone();
        charges::read_aside(reader, sender, async move { read(table, pages, export::BYTES_MAX, &own).await });
        Ok(csv::response(charges::body(app, place, chunks).await?, file_name))
    }
}

// Ends where nobody takes the chunks any more. Longer than a file may be, it breaks off: what ended early would be taken
// for the whole.
async fn read(
    mut table: Table,
    mut pages: impl Pages,
    bytes_max: usize,
    chunks: &mpsc::Sender<Chunk>,
) -> anyhow::Result<()> {
    let (mut row_count, mut byte_count) = (0, 0);
    loop {
        let added = pages.next(&mut table).await?;
        let is_last = added < PAGE_ROW_COUNT;
        row_count += added;
        let chunk = table.take();
        byte_count += chunk.len();
        ensure!(
            byte_count <= bytes_max,
            "it is longer than any export may be, after {row_count} of its rows: {}",
            pages.how_to_narrow()
        );
        // An empty chunk more would take a short file through the disk.
        let is_gone = !chunk.is_empty() && chunks.send(Ok(chunk)).await.is_err();
        if is_last || is_gone {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many rows are left.
    struct Numbers(usize);

    impl Pages for Numbers {
        async fn next(&mut self, table: &mut Table) -> anyhow::Result<usize> {
            let added = self.0.min(PAGE_ROW_COUNT);
            (0..added).for_each(|_| table.row(&["x".into()]));
            self.0 -= added;
            Ok(added)
        }

        fn how_to_narrow(&self) -> &'static str {
            "ask for less"
        }
    }

    async fn lines(row_count: usize, bytes_max: usize) -> Vec<String> {
        let (sender, mut chunks) = mpsc::channel(10);
        read(Table::new(&["Name"]), Numbers(row_count), bytes_max, &sender).await.unwrap();
        drop(sender);
        let mut bytes = Vec::new();
        while let Some(chunk) = chunks.recv().await {
            bytes.extend(chunk.unwrap());
        }
        String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect()
    }

    #[tokio::test]
    async fn every_row_is_in_the_file() {
        for row_count in [0, 1, PAGE_ROW_COUNT - 1, PAGE_ROW_COUNT, 2 * PAGE_ROW_COUNT + 1] {
            let lines = lines(row_count, usize::MAX).await;
            assert_eq!((lines[0].as_str(), lines.len()), ("Name", row_count + 1));
        }
    }

    #[tokio::test]
    async fn a_file_that_would_be_too_long_breaks_off_and_has_no_row_that_is_none() {
        let (sender, mut chunks) = mpsc::channel(10);
        let table = Table::new(&["Name"]);
        let broken = read(table, Numbers(3 * PAGE_ROW_COUNT), 3 * PAGE_ROW_COUNT + 100, &sender).await.unwrap_err();
        assert_eq!(broken.to_string(), "it is longer than any export may be, after 4000 of its rows: ask for less");
        drop(sender);
        let first = String::from_utf8(chunks.recv().await.unwrap().unwrap()).unwrap();
        assert!(first.lines().skip(1).all(|line| line == "x"));
        assert!(chunks.recv().await.is_none());
    }

    fn noted(note: impl Fn(&mut Table)) -> (String, Option<String>) {
        let mut table = Table::new(&["Name"]);
        note(&mut table);
        assert_eq!(table.take(), b"Name\r\n", "no row says it");
        let response = table.into_response("people.csv");
        let text = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        (text("content-disposition").unwrap(), text(csv::CUT))
    }

    #[test]
    fn a_table_that_is_cut_says_so_beside_its_rows_and_one_that_is_whole_does_not() {
        let (name, note) = noted(|table| note_cut(table, 2, 3, "ask for less"));
        assert_eq!(name, "attachment; filename=\"people-first-2.csv\"");
        assert_eq!(note.as_deref(), Some("Cut after 2 of 3 rows: ask for less"));
        let whole = ("attachment; filename=\"people.csv\"".to_owned(), None);
        assert_eq!(noted(|table| note_cut(table, 3, 3, "ask for less")), whole);
        assert_eq!(noted(|table| note_cut(table, 0, 0, "ask for less")), whole);
        assert_eq!(noted(|table| note_limit(table, 4, 5, "ask for less")), whole);
        let (name, note) = noted(|table| note_limit(table, 5, 5, "ask for less"));
        assert!(name.contains("people-first-5.csv") && note.unwrap().contains("at most 5 rows"));
    }

    #[tokio::test]
    async fn a_file_whose_reading_panics_ends_with_an_error() {
        let reader = std::sync::Arc::new(tokio::sync::Semaphore::new(1)).try_acquire_owned().unwrap();
        let (sender, mut chunks) = mpsc::channel(1);
        charges::read_aside(reader, sender, async { panic!("on purpose") });
        assert!(chunks.recv().await.unwrap().is_err());
        assert!(chunks.recv().await.is_none());
    }
}
