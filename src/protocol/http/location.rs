//! Where a `Location` leads: a reference of RFC 3986, taken for what it means beside the URL that
//! was asked.

/// The URL that was asked: `http` or another scheme, `host:port`, and path with query.
#[derive(Clone, Copy, Debug)]
pub struct AskedUrl<'u> {
    /// The scheme, in lower case.
    pub scheme: &'u str,
    /// Host and port, as a `Host` field has them.
    pub authority: &'u str,
    /// Path and query, from `/`.
    pub target: &'u str,
}

impl AskedUrl<'_> {
    /// The URL that a reference means there, without a fragment (RFC 3986, 5.2).
    #[must_use]
    pub fn join(&self, reference: &str) -> String {
        let Self {
            scheme,
            authority,
            target,
        } = *self;
        // RFC 9110, 10.2.2: a fragment is for people.
        let reference = reference.split('#').next().unwrap_or_default();
        let path = target.split('?').next().unwrap_or_default();
        if has_scheme(reference) {
            reference.to_owned()
        } else if reference.starts_with("//") {
            format!("{scheme}:{reference}")
        } else if reference.is_empty() {
            format!("{scheme}://{authority}{target}")
        } else if reference.starts_with('?') {
            format!("{scheme}://{authority}{path}{reference}")
        } else {
            let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
            let whole = if reference.starts_with('/') {
                reference.to_owned()
            } else {
                format!("{folder}/{reference}")
            };
            let (path, query) = whole.split_at(whole.find('?').unwrap_or(whole.len()));
            format!("{scheme}://{authority}{}{query}", without_dots(path))
        }
    }
}

/// RFC 3986, 3.1: a letter first, then letters, digits, `+`, `-` and `.` up to the colon.
fn has_scheme(reference: &str) -> bool {
    let Some((scheme, _)) = reference.split_once(':') else {
        return false;
    };
    let is_part = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.chars().all(is_part)
}

/// RFC 3986, 5.2.4: `.` is here and `..` one up, never above the root.
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/').skip(1) {
        match segment {
            "." => {}
            ".." => {
                kept.pop();
            }
            other => kept.push(other),
        }
    }
    let is_folder = [".", ".."]
        .iter()
        .any(|last| path.rsplit('/').next() == Some(last));
    let end = if is_folder && !kept.is_empty() {
        "/"
    } else {
        ""
    };
    format!("/{}{end}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 3986, 5.4.1 and 5.4.2, but for references with other schemes.
    #[test]
    fn references_mean_what_the_examples_of_the_rfc_say() {
        let base = AskedUrl {
            scheme: "http",
            authority: "a",
            target: "/b/c/d;p?q",
        };
        for (reference, expected) in [
            ("g:h", "g:h"),
            ("g", "http://a/b/c/g"),
            ("./g", "http://a/b/c/g"),
            ("g/", "http://a/b/c/g/"),
            ("/g", "http://a/g"),
            ("//g", "http://g"),
            ("?y", "http://a/b/c/d;p?y"),
            ("g?y", "http://a/b/c/g?y"),
            ("#s", "http://a/b/c/d;p?q"),
            ("g#s", "http://a/b/c/g"),
            (";x", "http://a/b/c/;x"),
            ("", "http://a/b/c/d;p?q"),
            (".", "http://a/b/c/"),
            ("./", "http://a/b/c/"),
            ("..", "http://a/b/"),
            ("../", "http://a/b/"),
            ("../g", "http://a/b/g"),
            ("../..", "http://a/"),
            ("../../g", "http://a/g"),
            ("../../../g", "http://a/g"),
            ("/./g", "http://a/g"),
            ("/../g", "http://a/g"),
            ("g.", "http://a/b/c/g."),
            ("..g", "http://a/b/c/..g"),
            ("./../g", "http://a/b/g"),
            ("./g/.", "http://a/b/c/g/"),
            ("g/../h", "http://a/b/c/h"),
            ("g?y/../x", "http://a/b/c/g?y/../x"),
        ] {
            assert_eq!(base.join(reference), expected, "{reference:?}");
        }
    }
}
