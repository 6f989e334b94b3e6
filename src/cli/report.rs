//! `report`: records of runs as a page, as Markdown, or as their summaries.

use super::{Exit, Failure, print, records};
use crate::report::html::{self, NamedRecord};
use crate::report::{self, Record};
use clap::Args;
use std::path::{Path, PathBuf};

/// Flags of `report`.
#[derive(Args, Debug)]
pub(super) struct ReportFlags {
    /// Records: files of `ringstorm load --record`.
    #[arg(required = true, value_name = "RECORD")]
    pub(super) records: Vec<PathBuf>,
    /// Writes one page with tables and plots, which needs nothing else, to this file.
    #[arg(long, value_name = "FILE.html")]
    pub(super) html: Option<PathBuf>,
    /// Prints a table of Markdown rather than the summaries.
    #[arg(long)]
    pub(super) markdown: bool,
}

/// Reads the records and writes what was asked for.
pub(super) fn run(flags: &ReportFlags) -> Result<Exit, Failure> {
    let read = flags.records.iter().map(|path| {
        let name = path.file_stem().unwrap_or_default();
        Ok((name.to_string_lossy().into_owned(), records::read(path)?))
    });
    let read: Vec<(String, Record)> = read.collect::<Result<_, Failure>>()?;
    let named: Vec<NamedRecord<'_>> = read
        .iter()
        .map(|(name, record)| NamedRecord { name, record })
        .collect();
    if let Some(path) = &flags.html {
        write_page(path, &named)?;
    }
    if flags.markdown {
        print::text(&html::markdown(&named))?;
    } else if flags.html.is_none() {
        for one in &named {
            print::text(&report::text::text(one.record))?;
        }
    }
    Ok(Exit::Pass)
}

/// Writes the page of these records.
pub(super) fn write_page(path: &Path, records: &[NamedRecord<'_>]) -> Result<(), Failure> {
    std::fs::write(path, html::page(records)).map_err(|error| {
        let path = path.display();
        Failure::Run(format!(
            "--html: cannot write {path}: {error}; try: another file"
        ))
    })?;
    print::note(format_args!("the page is {}", path.display()));
    Ok(())
}
