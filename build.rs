//! Compresses the pages of the built-in applications while the program is built: what is in the
//! program is what is sent, and nothing is allocated for it when a server starts.

use flate2::Compression;
use flate2::write::GzEncoder;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::{env, fs};

/// Where the pages are.
const PAGES: &str = "src/cli/pages";

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed={PAGES}");
    println!("cargo::rerun-if-changed=build.rs");
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    let mut files = Vec::new();
    look_into(&root.join(PAGES), "", &mut files)?;
    files.sort();
    let mut list = String::from("&[\n");
    for (number, (path, place)) in files.iter().enumerate() {
        let made = out.join(format!("{number}.gz"));
        fs::write(&made, gzip(&fs::read(place)?)?)?;
        // Writing to a String does not fail.
        let _ = writeln!(
            list,
            "    BuiltInFile {{ path: {path:?}, plain: include_bytes!({place:?}), \
             gzip: include_bytes!({made:?}) }},"
        );
    }
    list.push_str("]\n");
    fs::write(out.join("pages.rs"), list)
}

/// Finds the files of a folder that browsers know by that path.
fn look_into(folder: &Path, path: &str, files: &mut Vec<(String, PathBuf)>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{path}/{name}");
        match entry.file_type()?.is_dir() {
            true => look_into(&entry.path(), &path, files)?,
            false => files.push((path, entry.path())),
        }
    }
    Ok(())
}

/// RFC 1952, without a name or a time: the same bytes give the same bytes.
fn gzip(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    encoder.finish()
}
