//! Long lists, some rows a page: which rows a page shows, what is said of those on other pages, and where they are.

use super::display::{Columns, Compared, figures};
use super::error::{Error, Result};
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

    /// The rows of this page alone.
    pub fn only<T>(&self, mut all: Vec<T>) -> Vec<T> {
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

    /// The figures of this page's rows and, where there are other pages, of what these have together as one row more:
    /// so that they add up to the total of the whole list.
    pub fn figures(&self, currencies: &[String], all: &[Compared]) -> Columns {
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

#[cfg(test)]
mod tests {
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

    #[test]
    fn the_rows_of_a_page_and_those_of_others_add_up_to_the_total() {
        let row = |amount: usize| {
            let mut compared = Compared::default();
            compared.add(true, "USD", &format!("{amount}.333").parse().unwrap());
            compared
        };
        let all: Vec<Compared> = (0..150).map(row).collect();
        let currencies = ["USD".to_owned()];
        let whole = figures(&currencies, &all, None);
        let second = page(Some("2"), 150).unwrap().figures(&currencies, &all);
        assert_eq!((second.rows.len(), &second.total), (51, &whole.total));
        assert!(second.rounding.is_empty(), "{:?}", second.rounding);
    }
}
