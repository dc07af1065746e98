//! Long lists, some rows a page: which rows a page shows, what is said of those on other pages, and where they are.

use super::display::{Columns, Compared, Line, figures};
use super::error::{Error, Result};
use super::query::{Span, View};
use std::ops::Range;

/// How many rows a page shows.
const ROW_COUNT: usize = 100;

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListPages {
    rows: Range<usize>,
    row_count: usize,
    /// The page before; empty on the first.
    pub previous_href: String,
    /// The page after; empty on the last.
    pub next_href: String,
}

impl ListPages {
    /// The page that an address asks for by its number. `link` is given the number of another page, the first without.
    pub fn new(asked: Option<&str>, row_count: usize, link: impl Fn(&str) -> String) -> Result<Self> {
        let page_count = row_count.div_ceil(ROW_COUNT).max(1);
        let number = match asked {
            None => 1,
            Some(text) => text.parse().ok().filter(|number| (1..=page_count).contains(number)).ok_or_else(|| {
                Error::Invalid(format!("page={text} is not one of this list. It has {page_count}: begin at the first."))
            })?,
        };
        let first = (number - 1) * ROW_COUNT;
        let to = |number: usize| link(&if number == 1 { String::new() } else { number.to_string() });
        Ok(Self {
            rows: first..row_count.min(first + ROW_COUNT),
            row_count,
            previous_href: if number > 1 { to(number - 1) } else { String::new() },
            next_href: if number < page_count { to(number + 1) } else { String::new() },
        })
    }

    /// The rows of this page.
    pub fn part<'a, T>(&self, all: &'a [T]) -> &'a [T] {
        all.get(self.rows.clone()).unwrap_or_default()
    }

    // The rows of this page alone.
    fn only<T>(&self, mut all: Vec<T>) -> Vec<T> {
        all.truncate(self.rows.end);
        all.drain(..self.rows.start.min(all.len()));
        all
    }

    /// How many rows are on other pages.
    pub fn other_count(&self) -> usize {
        self.row_count - self.rows.len()
    }

    /// `Rows 101 to 200 of 250`.
    pub fn range(&self) -> String {
        format!("Rows {} to {} of {}", self.rows.start + 1, self.rows.end, self.row_count)
    }

    // The figures of this page's rows and, where there are other pages, of what these have together as one row more: so
    // that they add up to the total of the whole list.
    fn figures(&self, currencies: &[String], all: &[Compared]) -> Columns {
        if self.other_count() == 0 {
            return figures(currencies, all, None);
        }
        let mut rows = self.part(all).to_vec();
        let mut others = Compared::default();
        for (index, row) in all.iter().enumerate() {
            if !self.rows.contains(&index) {
                others.add_row(row);
            }
        }
        rows.push(others);
        figures(currencies, &rows, Some(rows.len() - 1))
    }
}

/// A page of a list whose rows are compared: what it shows adds up to the total of the whole list.
#[derive(Debug)]
pub struct ComparedPage<R> {
    /// Where other rows are.
    pub list_pages: ListPages,
    /// The rows of this page, each with its figures.
    pub rows: Vec<(R, Vec<Line>)>,
    /// What rows on other pages have together; `None` where there are none.
    pub others: Option<Vec<Line>>,
    /// What rounding leaves between rows and total.
    pub rounding: Vec<Line>,
    /// The last row.
    pub total: Vec<Line>,
}

impl<R> ComparedPage<R> {
    /// Cuts out the page that the address of the list at `path` asks for.
    pub fn new(
        (view, path): (&View, &str),
        span: Option<&Span>,
        currencies: &[String],
        rows: Vec<R>,
        compared: fn(&R) -> &Compared,
    ) -> Result<Self> {
        let list_pages = ListPages::new(view.text("page"), rows.len(), |page| view.link(path, &[("page", page)]))?;
        let all: Vec<Compared> = rows.iter().map(|row| compared(row).clone()).collect();
        let columns = list_pages.figures(currencies, &all).compared(span.is_none_or(Span::is_compared));
        let Columns { rows: mut lines, rounding, total } = columns;
        let rows = list_pages.only(rows);
        let others = lines.drain(rows.len()..).next();
        Ok(Self { list_pages, rows: rows.into_iter().zip(lines).collect(), others, rounding, total })
    }
}

#[cfg(test)]
mod tests {
    use super::super::query::Accepts;
    use super::*;

    fn page(asked: Option<&str>, row_count: usize) -> Result<ListPages> {
        ListPages::new(asked, row_count, |number| format!("/list?page={number}"))
    }

    #[test]
    fn every_row_is_on_one_page_and_each_page_leads_to_its_neighbours() {
        let all: Vec<usize> = (0..250).collect();
        let pages: Vec<ListPages> = ["1", "2", "3"].map(|number| page(Some(number), 250).unwrap()).to_vec();
        let rows: Vec<usize> = pages.iter().flat_map(|page| page.only(all.clone())).collect();
        assert_eq!(rows, all);
        assert_eq!(pages.iter().flat_map(|page| page.part(&all)).copied().collect::<Vec<_>>(), all);
        assert_eq!(pages[1].range(), "Rows 101 to 200 of 250");
        assert_eq!((pages[1].other_count(), pages[2].other_count()), (150, 200));
        assert_eq!((pages[1].previous_href.as_str(), pages[1].next_href.as_str()), ("/list?page=", "/list?page=3"));
        assert!(pages[0].previous_href.is_empty() && pages[2].next_href.is_empty());
    }

    #[test]
    fn a_short_list_is_one_page_and_a_wrong_page_is_refused() {
        for row_count in [0, 1, 100] {
            let page = page(None, row_count).unwrap();
            assert!(page.other_count() == 0 && page.next_href.is_empty() && page.previous_href.is_empty());
        }
        for wrong in ["0", "2", "x", "-1"] {
            let refused = page(Some(wrong), 100).unwrap_err().to_string();
            assert_eq!(refused, format!("page={wrong} is not one of this list. It has 1: begin at the first."));
        }
    }

    fn rows(count: usize) -> Vec<Compared> {
        let row = |amount: usize| {
            let mut compared = Compared::default();
            compared.add(true, "USD", &format!("{amount}.333").parse().unwrap());
            compared
        };
        (0..count).map(row).collect()
    }

    #[test]
    fn a_page_is_cut_out_with_what_the_others_have_together() {
        let currencies = ["USD".to_owned()];
        let cut = |query: &str, count: usize| {
            let view = View::parse(Some(query), Accepts { texts: &["page"], by: &[], sort: &[] }).unwrap();
            let numbered: Vec<(usize, Compared)> = rows(count).into_iter().enumerate().collect();
            ComparedPage::new((&view, "/list"), None, &currencies, numbered, |row| &row.1)
        };
        let second = cut("page=2", 150).unwrap();
        assert_eq!(second.list_pages.range(), "Rows 101 to 150 of 150");
        assert_eq!(second.list_pages.previous_href, "/list");
        let numbers: Vec<usize> = second.rows.iter().map(|((number, _), _)| *number).collect();
        assert_eq!(numbers, (100..150).collect::<Vec<_>>());
        let whole = figures(&currencies, &rows(150), None);
        assert_eq!(second.total, whole.total);
        assert!(second.others.is_some() && second.rounding.is_empty());
        let only = cut("", 3).unwrap();
        assert_eq!((only.rows.len(), only.others), (3, None));
        assert!(cut("page=2", 100).is_err());
    }

    #[test]
    fn the_rows_of_a_page_and_those_of_others_add_up_to_the_total() {
        let all = rows(150);
        let currencies = ["USD".to_owned()];
        let whole = figures(&currencies, &all, None);
        let second = page(Some("2"), 150).unwrap().figures(&currencies, &all);
        assert_eq!((second.rows.len(), &second.total), (51, &whole.total));
        assert!(second.rounding.is_empty(), "{:?}", second.rounding);
    }
}
