//! The pages of the built-in applications, in the program itself: they need nothing from elsewhere.
//!
//! Each file is there as it is and as `build.rs` has compressed it, so that a server allocates
//! nothing for them. To compress them at the start takes 380 KB for a moment, and once so much has
//! been given back glibc keeps what the tables of connections have outgrown: 40 bytes more a
//! connection (mallopt(3), `M_MMAP_THRESHOLD`: the threshold is dynamic).

/// A file and its path.
pub(super) struct BuiltInFile {
    pub(super) path: &'static str,
    pub(super) plain: &'static [u8],
    /// The same gzipped (RFC 1952).
    pub(super) gzip: &'static [u8],
}

/// All of them.
pub(super) const FILES: &[BuiltInFile] = include!(concat!(env!("OUT_DIR"), "/pages.rs"));

/// What a page may load, and who may show it in a frame (Content Security Policy 3): what comes
/// from the same server alone, and nobody.
pub(super) const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
                      img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    /// Where a name leads from a file: `../a/b.css`, `./b.js`, `b.js`, `../report/`.
    fn target(from: &str, name: &str) -> String {
        let mut parts: Vec<&str> = from.split('/').collect();
        parts.pop();
        for part in name.split('/') {
            match part {
                ".." => drop(parts.pop()),
                "." => {}
                part => parts.push(part),
            }
        }
        parts.join("/")
    }

    #[test]
    fn what_a_page_loads_is_among_the_files_and_nothing_is_from_elsewhere() {
        let mut loaded = 0;
        for file in FILES {
            let path = file.path;
            let text = std::str::from_utf8(file.plain).unwrap();
            // The page that stands for `/` is read from there.
            let base = match path {
                "/console/home.html" => "/home.html",
                path => path,
            };
            for quote in ["src=\"", "href=\"", "from \"", "url("] {
                for (at, _) in text.match_indices(quote) {
                    let rest = &text[at + quote.len()..];
                    let name = &rest[..rest.find(['"', ')']).unwrap()];
                    let mut wanted = target(base, name);
                    if wanted.ends_with('/') {
                        wanted += "index.html";
                    }
                    let is_route = ["/stats", "/metrics", "/index.html"].contains(&&*wanted);
                    let is_there = FILES.iter().any(|file| file.path == wanted);
                    assert!(is_there || is_route, "{path}: {name}");
                    loaded += 1;
                }
            }
            // A policy without 'unsafe-inline' runs none of these.
            for inline in ["<style", " style=", " onclick=", "javascript:", "innerHTML"] {
                assert!(!text.contains(inline), "{path}: {inline}");
            }
        }
        assert!(loaded >= 20, "{loaded}");
    }

    #[test]
    fn each_file_is_there_as_it_is_and_compressed_and_light() {
        for file in FILES {
            let mut inflated = Vec::new();
            let mut reader = flate2::read::GzDecoder::new(file.gzip);
            reader.read_to_end(&mut inflated).unwrap();
            assert_eq!(inflated, file.plain, "{}", file.path);
        }
        let bytes: usize = FILES.iter().map(|file| file.gzip.len()).sum();
        // All pages together: none has more than 100 KiB.
        assert!(bytes < 64 * 1024, "{bytes}");
    }
}
