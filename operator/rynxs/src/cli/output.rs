//! Results on standard output: a table for people, JSON for machines.
//!
//! Progress and messages go to standard error, so a pipe only ever sees results. A reader that
//! closes the pipe early ends the command quietly.

use std::io::{self, Write};

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use super::exit::{Exit, Failure};

/// Form of the results.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Columns for people.
    #[default]
    Table,
    /// One JSON document.
    Json,
    /// One JSON object per line, as results arrive.
    Jsonl,
}

/// Writes results to standard output, or to whatever a test gives.
pub struct Output<'a> {
    format: Format,
    out: Box<dyn Write + 'a>,
}

impl<'a> Output<'a> {
    /// Results of this form on standard output.
    #[must_use]
    pub fn stdout(format: Format) -> Self {
        Self { format, out: Box::new(io::stdout().lock()) }
    }

    /// Results of this form into a writer.
    #[must_use]
    pub fn to(format: Format, out: impl Write + 'a) -> Self {
        Self { format, out: Box::new(out) }
    }

    /// The form.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    /// Text as it is.
    pub fn text(&mut self, text: &str) -> Result<(), Failure> {
        let done = self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush());
        done.or_else(closed_pipe)
    }

    /// One value as JSON: on several lines, or on one for `jsonl`.
    pub fn json<T: Serialize>(&mut self, value: &T) -> Result<(), Failure> {
        let text = match self.format {
            Format::Jsonl => serde_json::to_string(value),
            Format::Table | Format::Json => serde_json::to_string_pretty(value),
        };
        let mut text =
            text.map_err(|error| Failure::new(Exit::Bug, format!("result as JSON: {error}")))?;
        text.push('\n');
        self.text(&text)
    }

    /// Rows under a header.
    pub fn table(&mut self, header: &[&str], rows: &[Vec<String>]) -> Result<(), Failure> {
        self.text(&render(header, rows))
    }
}

/// A reader that has seen enough is no error.
fn closed_pipe(error: io::Error) -> Result<(), Failure> {
    if error.kind() == io::ErrorKind::BrokenPipe {
        std::process::exit(i32::from(Exit::Done.code()));
    }
    Err(Failure::io("write results", &error))
}

/// A table without borders, columns two spaces apart, no trailing spaces.
fn render(header: &[&str], rows: &[Vec<String>]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header.iter().map(|name| name.to_uppercase()));
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let mut text = String::new();
    for line in table.lines() {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_lines_have_no_trailing_space() {
        let rows =
            [vec!["1".to_owned(), "LogStarted".to_owned()], vec!["100".to_owned(), "x".to_owned()]];
        assert_eq!(render(&["seq", "event"], &rows), "SEQ  EVENT\n1    LogStarted\n100  x\n");
    }
}
