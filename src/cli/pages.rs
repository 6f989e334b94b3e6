//! The pages of the built-in applications, in the program itself: they need nothing from elsewhere.
//!
//! They are given as they are, 12 KB in all. To compress them at the start takes 380 KB for a
//! moment, and once so much has been given back glibc keeps what the tables of connections have
//! outgrown: 40 bytes more a connection (mallopt(3), `M_MMAP_THRESHOLD`: the threshold is dynamic).

/// Each file with its path.
pub(super) const FILES: [(&str, &str); 5] = [
    ("/chat/index.html", include_str!("pages/chat/index.html")),
    ("/chat/chat.css", include_str!("pages/chat/chat.css")),
    ("/chat/chat.js", include_str!("pages/chat/chat.js")),
    ("/chat/session.js", include_str!("pages/chat/session.js")),
    ("/chat/icon.svg", include_str!("pages/chat/icon.svg")),
];

/// What a page may load, and who may show it in a frame (Content Security Policy 3): what comes
/// from the same server alone, and nobody.
pub(super) const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
                      img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_page_loads_is_among_the_files_and_nothing_is_from_elsewhere() {
        let mut loaded = 0;
        for (path, text) in FILES {
            for quote in ["src=\"", "href=\"", "from \"", "url("] {
                for (at, _) in text.match_indices(quote) {
                    let rest = &text[at + quote.len()..];
                    let name = &rest[..rest.find(['"', ')']).unwrap()];
                    let wanted = format!("/chat/{}", name.trim_start_matches("./"));
                    let mut paths = FILES.iter().map(|(path, _)| *path);
                    assert!(paths.any(|path| path == wanted), "{path}: {name}");
                    loaded += 1;
                }
            }
            // A policy without 'unsafe-inline' runs none of these.
            for inline in ["<style", " style=", " onclick=", "javascript:"] {
                assert!(!text.contains(inline), "{path}: {inline}");
            }
        }
        assert!(loaded >= 4, "{loaded}");
    }
}
