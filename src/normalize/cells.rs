/// Where one cell lies in the text of its row.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Span {
    pub start: u32,
    pub end: u32,
}

/// The cells of one row: one text and the places in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cells<'a> {
    pub text: &'a str,
    pub spans: &'a [Span],
}

impl<'a> Cells<'a> {
    /// The cell of a column; empty where there is none.
    #[inline]
    pub fn get(self, column: usize) -> &'a str {
        let text = self.spans.get(column).and_then(|span| self.text.get(span.start as usize..span.end as usize));
        text.unwrap_or_default()
    }

    /// The bytes of the cell of a column; none where there is none.
    #[inline]
    pub fn length(self, column: usize) -> u32 {
        self.spans.get(column).map_or(0, |span| span.end - span.start)
    }

    /// The text from the start of one column to the end of a later one.
    #[inline]
    pub fn between(self, first: usize, last: usize) -> &'a str {
        let ends = self.spans.get(first).zip(self.spans.get(last));
        let text = ends.and_then(|(first, last)| self.text.get(first.start as usize..last.end as usize));
        text.unwrap_or_default()
    }
}

/// The value of a cell, or `None` where it is null: empty, blank, or the word NULL in any letter case.
#[inline]
pub(super) fn present(cell: &str) -> Option<&str> {
    match cell.as_bytes() {
        [] => None,
        [b'n' | b'N', ..] if cell.trim_end().eq_ignore_ascii_case("null") => None,
        [first, ..] if *first <= b' ' => {
            let trimmed = cell.trim();
            (!trimmed.is_empty() && !trimmed.eq_ignore_ascii_case("null")).then_some(cell)
        }
        _ => Some(cell),
    }
}

#[cfg(test)]
mod tests {
    use super::present;

    #[test]
    fn null_in_any_case_empty_and_blank_are_null() {
        for cell in ["", "  ", "NULL", "null", "Null ", " null"] {
            assert_eq!(present(cell), None, "{cell:?}");
        }
        assert_eq!(present("nullable"), Some("nullable"));
        assert_eq!(present(" a "), Some(" a "));
    }
}
