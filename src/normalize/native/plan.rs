//! Which columns a made row has, and where each cell comes from. Worked out once a file.

use super::columns::{ABSENT, Columns, Repeated};
use super::row::Place;
use crate::focus::columns as focus;
use crate::normalize::error::BillError;
use crate::normalize::header::{Header, Places};

/// A column of the made rows.
struct Column {
    name: String,
    place: Place,
    /// What the file calls it, or what it is computed from; empty where no column is at fault for it.
    native_name: String,
    is_measure: bool,
}

/// The columns of the made rows in the making.
pub(in crate::normalize) struct Plan {
    pub native: Columns,
    columns: Vec<Column>,
    computed_count: usize,
    in_order: bool,
    /// Columns of the file that need no column of their own any more.
    is_used: Vec<bool>,
    /// Those of them that computed texts are made of.
    sources: Vec<Place>,
}

/// The finished columns.
pub(in crate::normalize) struct Layout {
    pub header: Header,
    pub computed_count: usize,
    /// The columns of the file.
    pub column_names: Vec<String>,
}

impl Plan {
    pub fn new(names: &[String], in_order: bool) -> Self {
        let native = Columns::new(names);
        Self {
            columns: Vec::new(),
            computed_count: 0,
            in_order,
            is_used: vec![false; native.names.len()],
            sources: Vec::new(),
            native,
        }
    }

    /// A FOCUS column that says exactly what a column of the file says, the first of these keys that it has.
    pub fn rename(&mut self, name: &str, keys: &[&str]) -> usize {
        let column = self.native.find(keys);
        if column != ABSENT {
            self.is_used[column] = true;
            self.add(name, column, column);
        }
        column
    }

    /// A FOCUS column that says what a column of the file says, which is kept under its own name too.
    pub fn copy(&mut self, name: &str, column: usize) {
        if column != ABSENT {
            self.add(name, column, column);
        }
    }

    /// A FOCUS column that the adapter computes for each row, mainly from this column of the file. It is left out,
    /// and nothing can be put there, where the file lacks that column.
    pub fn compute_from(&mut self, name: &str, column: usize) -> Place {
        if column == ABSENT { ABSENT } else { self.compute(name, column) }
    }

    /// A column that the adapter computes, whatever the file has: a text of nothing but columns that make up a charge
    /// group, or an amount or period.
    pub fn compute(&mut self, name: &str, column: usize) -> Place {
        let place = self.native.names.len() + self.computed_count;
        self.computed_count += 1;
        self.add(name, place, column);
        place
    }

    /// A FOCUS column whose value the adapter knows of each row, mainly from this column of the file, without text.
    pub fn known(&mut self, name: &str, column: usize) {
        self.compute_from(name, column);
    }

    /// A FOCUS column that says what the adapter computes for another one.
    pub fn again(&mut self, name: &str, place: Place, column: usize) {
        if place != ABSENT {
            self.add(name, place, column);
        }
    }

    /// The columns that hold a tag each, by what their names begin with, and the tags' keys. They are used.
    pub fn tag_columns(&mut self, prefix: &str, key: impl Fn(&str) -> String) -> Vec<(usize, String)> {
        let names = self.native.names.iter().enumerate();
        let own = names.filter_map(|(column, name)| Some((column, name.strip_prefix(prefix)?)));
        let tags: Vec<_> = own.filter(|(_, own)| !own.is_empty()).map(|(column, own)| (column, key(own))).collect();
        for (column, _) in &tags {
            self.is_used[*column] = true;
            self.sources.push(*column);
        }
        tags
    }

    /// What this column says is said by computed texts.
    pub fn used(&mut self, keys: &[&str]) -> usize {
        let column = self.used_for_line(keys);
        if column != ABSENT {
            self.sources.push(column);
        }
        column
    }

    /// What this column says is said by a computed amount or period, which differs from line to line.
    pub fn used_for_line(&mut self, keys: &[&str]) -> usize {
        let column = self.native.find(keys);
        if let Some(used) = self.is_used.get_mut(column) {
            *used = true;
        }
        column
    }

    /// Keeps the other columns of the file under their own names, and makes the header. Those that differ from line
    /// to line are measures, by their keys. Of two columns of one name that a FOCUS column is made of nobody can tell
    /// which is right.
    pub fn finish(mut self, is_measure: impl Fn(&str) -> bool) -> Result<Layout, BillError> {
        let is_read = |column: usize| self.is_used[column] || self.native.is_found(column);
        let in_doubt = |one: &&Repeated| is_read(one.first) && !is_read(one.column);
        if let Some(one) = self.native.repeated().iter().find(in_doubt) {
            return Err(BillError::Malformed(format!("column {} stands in it twice", one.name)));
        }
        let focus_count = self.columns.len();
        for column in 0..self.native.names.len() {
            if self.is_used[column] {
                continue;
            }
            let own = &self.native.names[column];
            // The file's own meaning of a name that FOCUS has too is another one.
            let name = if focus::canonical(own).is_some() { format!("x_{own}") } else { own.clone() };
            self.add(&name, column, column);
            let is_measure = is_measure(self.native.key(column));
            if let Some(last) = self.columns.last_mut() {
                last.is_measure = is_measure;
            }
        }
        let measures: Vec<bool> = self.columns.iter().map(|column| column.is_measure).collect();
        let places: Vec<Place> = self.columns.iter().map(|column| column.place).collect();
        let names = self.columns.iter().map(|column| column.name.clone()).collect();
        let native_count = self.native.names.len();
        let places = Places {
            columns: &places,
            count: native_count + self.computed_count,
            // The cells of objects lie anywhere in the text.
            in_order: if self.in_order { native_count } else { 0 },
            computed_from: native_count,
            sources: &self.sources,
        };
        let mut header = Header::of_native(names, focus_count, &measures, &places);
        header.zeros_say_nothing = true;
        header.warnings.extend(self.native.repeated().iter().map(|Repeated { name, column, .. }| {
            let own = &self.native.names[*column];
            format!("Column {name} stands in the file more than once: this one is kept as {own}.")
        }));
        header.native_names = self.columns.into_iter().map(|column| column.native_name).collect();
        Ok(Layout { header, computed_count: self.computed_count, column_names: self.native.names })
    }

    fn add(&mut self, name: &str, place: Place, column: usize) {
        let native_name = self.native.names.get(column).cloned().unwrap_or_default();
        self.columns.push(Column { name: name.to_owned(), place, native_name, is_measure: focus::is_measure(name) });
    }
}
