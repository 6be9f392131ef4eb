//! The canonical form of values as the drivers usually give them; what is told here to be somebody else's is
//! `changes.canonical`'s, whose bytes these are.

use crate::jsontext;
use crate::number::canonical_decimal;

/// A column's kind, as far as its values are written here.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    Integer,
    Boolean,
    Decimal,
    Double,
    Text,
    Date,
    Time,
    Datetime,
    Json,
    /// None of them.
    Other,
}

impl Kind {
    /// By its name in `changes.schema.Kind`.
    pub fn named(name: &str) -> Kind {
        match name {
            "integer" => Kind::Integer,
            "boolean" => Kind::Boolean,
            "decimal" => Kind::Decimal,
            "double" => Kind::Double,
            "text" => Kind::Text,
            "date" => Kind::Date,
            "time" => Kind::Time,
            "datetime" | "timestamp" => Kind::Datetime,
            "json" => Kind::Json,
            _ => Kind::Other,
        }
    }
}

/// One field: `head` is the name with its length, and the tag.
pub fn field(out: &mut Vec<u8>, head: &[u8], body: &[u8]) {
    out.extend_from_slice(head);
    out.extend_from_slice(itoa::Buffer::new().format(body.len()).as_bytes());
    out.push(b':');
    out.extend_from_slice(body);
}

/// A field whose value is text; `false` where it is somebody else's, and nothing is written.
pub fn text(out: &mut Vec<u8>, head: &[u8], kind: Kind, value: &str) -> bool {
    match kind {
        Kind::Text => field(out, head, value.as_bytes()),
        Kind::Date => {
            let day = value.strip_suffix('Z').unwrap_or(value);
            if day.len() > 10 {
                return false;
            }
            field(out, head, day.as_bytes());
        }
        Kind::Time => field(out, head, trimmed(value.strip_suffix('Z').unwrap_or(value)).as_bytes()),
        Kind::Datetime => {
            let moment = ["Z", "+00:00", "+00"].iter().fold(value, |text, end| text.strip_suffix(end).unwrap_or(text));
            let moment = trimmed(moment);
            field(out, head, moment.as_bytes());
            if let Some(space) = moment.find(' ') {
                let begun = out.len() - moment.len();
                out[begun + space] = b'T';
            }
        }
        Kind::Decimal => return decimal(out, head, value),
        Kind::Json => return json(out, head, value),
        _ => return false,
    }
    true
}

fn trimmed(text: &str) -> &str {
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        text
    }
}

/// Plain digits as stores write them; any other spelling is somebody else's.
fn decimal(out: &mut Vec<u8>, head: &[u8], text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let plain = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !plain(whole) || !plain(fraction) || (whole.len() > 1 && whole.starts_with('0')) {
        return false;
    }
    let mut body = Vec::with_capacity(text.len());
    canonical_decimal(&mut body, text.as_bytes());
    field(out, head, &body);
    true
}

fn json(out: &mut Vec<u8>, head: &[u8], text: &str) -> bool {
    let mut body = Vec::with_capacity(text.len() + 16);
    if jsontext::canonical(&mut body, text).is_none() {
        return false;
    }
    field(out, head, &body);
    true
}

pub fn integer(out: &mut Vec<u8>, head: &[u8], value: i64) {
    field(out, head, itoa::Buffer::new().format(value).as_bytes());
}

pub fn boolean(out: &mut Vec<u8>, head: &[u8], value: bool) {
    field(out, head, if value { b"1" } else { b"0" });
}

/// The sign of a zero is no part of its value.
pub fn double(out: &mut Vec<u8>, head: &[u8], value: f64) {
    field(out, head, format!("{:016x}", (value + 0.0).to_bits()).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(kind: Kind, value: &str) -> Option<String> {
        let mut out = Vec::new();
        text(&mut out, b"1:ax", kind, value).then(|| String::from_utf8(out).unwrap())
    }

    #[test]
    fn values_are_spelled_in_one_way() {
        for (kind, value, body) in [
            (Kind::Text, "\u{e9}", "2:\u{e9}"),
            (Kind::Date, "2026-01-02Z", "10:2026-01-02"),
            (Kind::Time, "-01:02:03.500", "11:-01:02:03.5"),
            (Kind::Datetime, "2026-01-02 03:04:05.000+00", "19:2026-01-02T03:04:05"),
            (Kind::Datetime, "2026-01-02 03:04:05.120Z", "22:2026-01-02T03:04:05.12"),
            (Kind::Decimal, "-0.50", "4:-0.5"),
            (Kind::Decimal, "-0.00", "1:0"),
            (Kind::Decimal, "1200", "4:1200"),
            (Kind::Json, "[1.0, {}]", "8:[1e0,{}]"),
        ] {
            assert_eq!(written(kind, value), Some(format!("1:ax{body}")), "{value}");
        }
    }

    #[test]
    fn what_is_not_spelled_so_is_somebody_else_s() {
        for (kind, value) in [
            (Kind::Date, "2026-01-02T00:00:00"),
            (Kind::Decimal, "1e3"),
            (Kind::Decimal, "."),
            (Kind::Decimal, "07"),
            (Kind::Json, "[1,"),
            (Kind::Decimal, "\u{ff11}"),
            (Kind::Integer, "1"),
            (Kind::Other, "{}"),
        ] {
            assert_eq!(written(kind, value), None, "{value}");
        }
    }

    #[test]
    fn a_zero_has_no_sign() {
        let (mut plus, mut minus) = (Vec::new(), Vec::new());
        double(&mut plus, b"", 0.0);
        double(&mut minus, b"", -0.0);
        assert_eq!(plus, minus);
        assert_eq!(plus, b"16:0000000000000000");
    }
}
