//! What differs by client in its URL, headers and subprotocols: its number, and a row of a table.

use super::decimal::Decimal;
use super::pace::Stripe;
use super::seed::seeded;
use std::borrow::Cow;
use std::sync::Arc;

/// What the purpose of a connection's generator begins at: apart from all others.
const PURPOSE: u64 = 1 << 34;

/// What stands in a message for its number on its connection, and how many digits that has.
const SEQUENCE: &str = "seq";
pub(super) const SEQUENCE_DIGITS: usize = 8;
/// Digits of `{rand}`.
const RANDOM_DIGITS: usize = 16;

/// A table: client `i` has row `i % rows`. Of a part of a run, clients have their numbers in the
/// whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Values {
    table: Arc<Table>,
    part: Stripe,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Table {
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
}

/// A table that is none: why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ValuesError(String);

impl Values {
    /// Reads comma-separated values (RFC 4180); the first line names the columns.
    ///
    /// # Errors
    /// [`ValuesError`] for what is no such table, has no row, or a value that no header may have.
    pub fn parse(text: &[u8]) -> Result<Self, ValuesError> {
        let refused = |error: csv::Error| ValuesError(error.to_string());
        // Spreadsheets put a byte order mark before the first name.
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        let mut reader = csv::ReaderBuilder::new()
            .trim(csv::Trim::All)
            .from_reader(text);
        let columns = reader.headers().map_err(refused)?;
        let columns = columns.iter().map(str::to_owned).collect();
        let rows = reader.records().map(|row| {
            let row: Vec<String> = row.map_err(refused)?.iter().map(str::to_owned).collect();
            let is_field = |value: &String| !value.contains(['\r', '\n', '\0']);
            match row.iter().find(|value| !is_field(value)) {
                Some(value) => Err(ValuesError(format!("{value:?} has more than one line"))),
                None => Ok(row),
            }
        });
        let rows: Vec<Vec<String>> = rows.collect::<Result<_, _>>()?;
        if rows.is_empty() {
            let text = "the first line names the columns, and there is no row below it";
            return Err(ValuesError(text.to_owned()));
        }
        Ok(Self {
            table: Arc::new(Table { columns, rows }),
            part: Stripe::WHOLE,
        })
    }

    /// The same for the clients of one part of a run.
    #[must_use]
    pub fn of_part(self, part: Stripe) -> Self {
        Self { part, ..self }
    }

    /// Refuses a name in braces that is not known; gives that.
    ///
    /// # Errors
    /// The first unknown placeholder, with its braces.
    pub fn check<'t>(&self, text: &'t str) -> Result<(), &'t str> {
        let mut rest = text;
        while let Some((_, name, behind)) = next_place(rest) {
            if self.kind_of(name).is_none() {
                let end = name.len() + 2;
                let start = rest.len() - behind.len() - end;
                return Err(rest.get(start..start + end).unwrap_or(name));
            }
            rest = behind;
        }
        Ok(())
    }

    /// The first name in braces that stands for nothing, where other braces may stand too, such as
    /// those of JSON; `also` are names that are known besides.
    #[must_use]
    pub fn stray_name<'t>(&self, text: &'t str, also: &[&str]) -> Option<&'t str> {
        let places = text.match_indices('{');
        let names = places.filter_map(|(at, _)| {
            let name = text.get(at + 1..)?.split('}').next()?;
            let whole = text.get(at..at + name.len() + 2)?;
            Some((name, whole))
        });
        let is_name = |name: &str| {
            let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
            name.starts_with(char::is_alphabetic) && name.chars().all(is_part)
        };
        let is_known = |name: &str| self.kind_of(name).is_some() || also.contains(&name);
        let mut stray = names.filter(|(name, _)| is_name(name) && !is_known(name));
        stray.next().map(|(_, whole)| whole)
    }

    /// Names that stand for something, for people.
    #[must_use]
    pub fn known(&self) -> String {
        let columns = self.table.columns.iter().map(String::as_str);
        let names = ["number", "rand"].into_iter().chain(columns);
        names
            .map(|name| format!("{{{name}}}"))
            .collect::<Vec<_>>()
            .join(", ")
    }

    /// The text as connection `number` has it: `{number}` is that number, from 0; `{rand}` 16
    /// hexadecimal digits that follow from seed and number, the same wherever they stand; a
    /// column's name its value. What stands in braces and is none of these stays.
    #[must_use]
    pub fn expanded<'t>(&self, text: &'t str, seed: u64, number: u32) -> Cow<'t, str> {
        if !text.contains('{') {
            return Cow::Borrowed(text);
        }
        let number = self.number_in_whole(number);
        let mut into = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, name, behind)) = next_place(rest) {
            let Some(kind) = self.kind_of(name) else {
                // Braces of something else, such as JSON: the next ones may be within.
                into.push_str(before);
                into.push('{');
                rest = rest.get(before.len() + 1..).unwrap_or_default();
                continue;
            };
            into.push_str(before);
            match kind {
                Place::Number => into.push_str(&number.to_string()),
                Place::Random => {
                    let random = seeded(seed, PURPOSE + u64::from(number)).u64(..);
                    into.extend(random_digits(random).map(char::from));
                }
                Place::Column(column) => into.push_str(self.value(column, number)),
            }
            rest = behind;
        }
        into.push_str(rest);
        Cow::Owned(into)
    }

    /// The text in pieces, of which those in braces stand for something; `{seq}` too, in messages.
    pub(super) fn pieces(&self, text: &str) -> Vec<TextPart> {
        let mut pieces = Vec::new();
        let (mut plain, mut rest) = (String::new(), text);
        while let Some((before, name, behind)) = next_place(rest) {
            plain.push_str(before);
            let piece = match self.kind_of(name) {
                Some(Place::Number) => Some(TextPart::Number),
                Some(Place::Random) => Some(TextPart::Random),
                Some(Place::Column(column)) => Some(TextPart::Column(column)),
                None => (name == SEQUENCE).then_some(TextPart::Sequence),
            };
            let Some(piece) = piece else {
                // Braces of something else, such as JSON: the next ones may be within.
                plain.push('{');
                rest = rest.get(before.len() + 1..).unwrap_or_default();
                continue;
            };
            pieces.push(TextPart::Text(std::mem::take(&mut plain)));
            pieces.push(piece);
            rest = behind;
        }
        plain.push_str(rest);
        pieces.push(TextPart::Text(plain));
        pieces
    }

    /// Calls `take` with what a piece is for that connection. Allocates nothing.
    #[inline]
    pub(super) fn with<T>(
        &self,
        piece: &TextPart,
        (seed, number): (u64, u32),
        take: impl FnOnce(&[u8]) -> T,
    ) -> T {
        let number = self.number_in_whole(number);
        match piece {
            TextPart::Text(text) => take(text.as_bytes()),
            TextPart::Number => take(Decimal::new(u64::from(number)).as_bytes()),
            TextPart::Random => {
                let random = seeded(seed, PURPOSE + u64::from(number)).u64(..);
                take(&random_digits(random))
            }
            TextPart::Column(column) => take(self.value(*column, number).as_bytes()),
            TextPart::Sequence => take(b""),
        }
    }

    /// The most bytes that a text comes to for any of so many connections.
    #[must_use]
    pub fn bytes_max(&self, text: &str, connections: u32) -> usize {
        let columns = |column: usize| {
            let values = self.table.rows.iter().filter_map(|row| row.get(column));
            values.map(String::len).max().unwrap_or(0)
        };
        let each = self.pieces(text).into_iter().map(|piece| match piece {
            TextPart::Text(text) => text.len(),
            TextPart::Number => self
                .number_in_whole(connections.saturating_sub(1))
                .to_string()
                .len(),
            TextPart::Random => RANDOM_DIGITS,
            TextPart::Column(column) => columns(column),
            TextPart::Sequence => SEQUENCE_DIGITS,
        });
        each.sum()
    }

    /// The number in the whole run of the part's connection of that number.
    #[inline]
    fn number_in_whole(&self, number: u32) -> u32 {
        u32::try_from(self.part.global(u64::from(number))).unwrap_or(u32::MAX)
    }

    fn kind_of(&self, name: &str) -> Option<Place> {
        let column = self.table.columns.iter().position(|column| column == name);
        match (name, column) {
            (_, Some(column)) => Some(Place::Column(column)),
            ("number", None) => Some(Place::Number),
            ("rand", None) => Some(Place::Random),
            (_, None) => None,
        }
    }

    fn value(&self, column: usize, number: u32) -> &str {
        let rows = &self.table.rows;
        let place = usize::try_from(number).ok();
        let place = place.and_then(|number| number.checked_rem(rows.len()));
        let row = place.and_then(|place| rows.get(place));
        row.and_then(|row| row.get(column))
            .map_or("", String::as_str)
    }
}

/// A piece of a text whose places are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TextPart {
    Text(String),
    /// The connection's number.
    Number,
    /// Digits of its own.
    Random,
    /// The value of a column in its row.
    Column(usize),
    /// The message's number on its connection.
    Sequence,
}

/// The hexadecimal digits of a number.
fn random_digits(number: u64) -> [u8; RANDOM_DIGITS] {
    let mut digits = [b'0'; RANDOM_DIGITS];
    for (place, digit) in digits.iter_mut().rev().enumerate() {
        let nibble = number
            .checked_shr(4 * u32::try_from(place).unwrap_or(0))
            .unwrap_or(0)
            & 15;
        let nibble = u8::try_from(nibble).unwrap_or(0);
        *digit = if nibble < 10 {
            b'0' + nibble
        } else {
            b'a' + nibble - 10
        };
    }
    digits
}

/// What stands in a place.
enum Place {
    Number,
    Random,
    Column(usize),
}

/// The next braces: what is before them, in them and behind.
fn next_place(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once('{')?;
    let (name, behind) = rest.split_once('}').unwrap_or((rest, ""));
    Some((before, name, behind))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[u8] = b"\xef\xbb\xbfuser, token\nann,t-1\n\"bo,b\",t-2\n";

    #[test]
    fn clients_of_a_part_have_their_numbers_in_the_whole() {
        let table = Values::parse(b"user\na\nb\nc").unwrap();
        let of = |part, number| {
            let values = table.clone().of_part(Stripe::new(part, 2));
            let text = values.expanded("{number}{user}", 1, number).into_owned();
            let mut said = String::new();
            for piece in values.pieces("{number}{user}") {
                values.with(&piece, (1, number), |bytes| {
                    said.push_str(std::str::from_utf8(bytes).unwrap());
                });
            }
            assert_eq!(text, said);
            text
        };
        let all = [(0, 0), (1, 0), (0, 1), (1, 1)].map(|(part, number)| of(part, number));
        assert_eq!(all, ["0a", "1b", "2c", "3a"]);
        // Its 50 clients have numbers up to 99.
        let part = table.of_part(Stripe::new(1, 2));
        assert_eq!(part.bytes_max("{number}", 50), 2);
        assert_eq!(part.bytes_max("{number}", 51), 3);
    }

    #[test]
    fn each_connection_has_its_number_and_digits_of_its_own() {
        let none = Values::default();
        let expanded = |text, seed, number| none.expanded(text, seed, number).into_owned();
        assert_eq!(expanded("/a?b", 1, 7), "/a?b");
        assert_eq!(expanded("/{number}?u={number}", 1, 7), "/7?u=7");
        assert_eq!(expanded("{rand}", 1, 7).len(), 16);
        assert_eq!(expanded("{rand}", 1, 7), expanded("{rand}", 1, 7));
        assert_ne!(expanded("{rand}", 1, 7), expanded("{rand}", 1, 8));
        assert_ne!(expanded("{rand}", 1, 7), expanded("{rand}", 2, 7));
        for number in [0, 1, 0xfedc_ba98_7654_3210, u64::MAX] {
            let digits = format!("{number:016x}");
            assert_eq!(random_digits(number).to_vec(), digits.into_bytes());
        }
    }

    #[test]
    fn a_message_is_as_long_as_its_longest_client_makes_it() {
        let values = Values::parse(TABLE).unwrap();
        let bytes = |text| values.bytes_max(text, 101);
        assert_eq!(bytes("{user}"), "bo,b".len());
        assert_eq!(bytes("{number}{rand}{seq}"), 3 + 16 + 8);
        assert_eq!(bytes(r#"{"n":{number}}"#), r#"{"n":100}"#.len());
    }

    #[test]
    fn each_client_has_the_next_row_and_other_braces_stay() {
        let values = Values::parse(TABLE).unwrap();
        let text = |number| values.expanded("Bearer {token} {user}{number}", 1, number);
        assert_eq!(text(0), "Bearer t-1 ann0");
        assert_eq!(text(1), "Bearer t-2 bo,b1");
        assert_eq!(text(2), "Bearer t-1 ann2");
        let json = r#"{"a":{"u":"{user}"},"b":{}"#;
        assert_eq!(values.expanded(json, 1, 0), r#"{"a":{"u":"ann"},"b":{}"#);
        assert_eq!(values.expanded("a{", 1, 0), "a{");
    }

    #[test]
    fn an_unknown_placeholder_is_told_and_a_wrong_table_too() {
        let values = Values::parse(TABLE).unwrap();
        assert_eq!(values.check("/a?{number}{rand}{user}"), Ok(()));
        assert_eq!(values.check("/a?{number}{name}"), Err("{name}"));
        assert_eq!(Values::default().check("{user}"), Err("{user}"));
        for (text, stray) in [
            (r#"{"a":"{user}","b":{"c":[]},"d":"{seq}"}"#, None),
            (r#"{"a":"{user}","b":"{name}"}"#, Some("{name}")),
            ("{seq} {user-name}", Some("{user-name}")),
            ("{} { } {1} {a b} {a", None),
        ] {
            assert_eq!(values.stray_name(text, &["seq"]), stray, "{text}");
        }
        assert!(values.known().contains("{token}"), "{}", values.known());
        for wrong in [&b""[..], b"a,b\n", b"a,b\n1\n", b"a\n\"1\n2\"\n"] {
            assert!(Values::parse(wrong).is_err());
        }
    }
}
