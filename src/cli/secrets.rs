//! What a command line has of secrets: a record keeps the command, and is passed on.

/// Flags whose value is a secret; of `--basic` and `--cookie` the name before it is kept.
const SECRET: [&str; 3] = ["--bearer", "--basic", "--cookie"];
/// Header fields whose value is one.
const FIELDS: [&str; 4] = [
    "authorization",
    "cookie",
    "proxy-authorization",
    "x-api-key",
];
const HIDDEN: &str = "***";

/// The words of a command with what is secret in them replaced by `***`.
pub(super) fn hidden(words: impl Iterator<Item = String>) -> Vec<String> {
    let mut before = String::new();
    words
        .map(|word| {
            let shown = match word.split_once('=') {
                Some((flag, value)) if flag.starts_with("--") => {
                    format!("{flag}={}", value_of(flag, value))
                }
                _ => match word.strip_prefix("-H") {
                    Some(field) if !field.is_empty() => format!("-H{}", value_of("-H", field)),
                    _ => value_of(&before, &word),
                },
            };
            before = word;
            shown
        })
        .collect()
}

/// The value of that flag.
fn value_of(flag: &str, value: &str) -> String {
    match flag {
        "-H" | "--header" => field(value),
        _ if SECRET.contains(&flag) => match value.split_once([':', '=']) {
            Some((name, _)) if flag != "--bearer" => {
                let between = value.get(name.len()..=name.len()).unwrap_or_default();
                format!("{name}{between}{HIDDEN}")
            }
            _ => HIDDEN.to_owned(),
        },
        _ => url(value),
    }
}

fn field(typed: &str) -> String {
    let name = typed.split(':').next().unwrap_or_default();
    if FIELDS.contains(&name.trim().to_ascii_lowercase().as_str()) {
        format!("{name}: {HIDDEN}")
    } else {
        typed.to_owned()
    }
}

/// RFC 3986, 3.2.1: the password of an authority. Nothing else is a URL.
fn url(typed: &str) -> String {
    let masked = typed.split_once("://").and_then(|(scheme, rest)| {
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let (user, host) = authority.rsplit_once('@')?;
        let (name, _) = user.split_once(':')?;
        Some(format!("{scheme}://{name}:{HIDDEN}@{host}{path}"))
    });
    masked.unwrap_or_else(|| typed.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_secret_is_hidden_however_it_is_written() {
        for (typed, shown) in [
            ("load ws://u:p:q@h:1/a?b=c@d", "load ws://u:***@h:1/a?b=c@d"),
            ("--bearer abc.d=", "--bearer ***"),
            ("--bearer=abc.d=", "--bearer=***"),
            ("--basic u:p=q", "--basic u:***"),
            ("--cookie=sid=abc", "--cookie=sid=***"),
            ("-H authorization:Bearer", "-H authorization: ***"),
            ("-HX-Api-Key:dev -H", "-HX-Api-Key: *** -H"),
            ("--header=Cookie:a=b", "--header=Cookie: ***"),
            (
                "--proxy socks5h://u:p@h:1080",
                "--proxy socks5h://u:***@h:1080",
            ),
            ("--proxy=http://u:p@h", "--proxy=http://u:***@h"),
        ] {
            let words = typed.split(' ').map(str::to_owned);
            assert_eq!(hidden(words).join(" "), shown);
        }
    }

    #[test]
    fn all_else_stays_as_it_was_typed() {
        let typed = "load ws://h:1/@a:b -H Host:x --values=a=b -H X:u:p@h ws://u@h --slo a<1ms";
        let words = typed.split(' ').map(str::to_owned);
        assert_eq!(hidden(words).join(" "), typed);
    }
}
