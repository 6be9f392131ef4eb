//! JSON text in canonical form, see `changes.canonical.canonical_json`.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::number::Digits;
use crate::text::quote;

/// Levels of a document beyond which it is somebody else's: each is read once more than the one around it.
const DEEPEST: usize = 32;
/// Bytes of a number beyond which it is somebody else's, so that no exponent overflows.
const LONGEST_NUMBER: usize = 400;
const LONGEST_EXPONENT: usize = 9;

/// `None` where it is somebody else's to tell; what was written by then says nothing.
pub fn canonical(out: &mut Vec<u8>, text: &str) -> Option<()> {
    let whole: &RawValue = serde_json::from_str(text).ok()?;
    value(out, whole.get(), DEEPEST)
}

fn value(out: &mut Vec<u8>, text: &str, deep: usize) -> Option<()> {
    match text.as_bytes().first()? {
        b'{' => {
            let members: BTreeMap<String, &RawValue> = inside(text, deep)?;
            out.push(b'{');
            for (index, (name, member)) in members.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                quote(out, name.as_bytes());
                out.push(b':');
                value(out, member.get(), deep - 1)?;
            }
            out.push(b'}');
        }
        b'[' => {
            let items: Vec<&RawValue> = inside(text, deep)?;
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                value(out, item.get(), deep - 1)?;
            }
            out.push(b']');
        }
        b'"' => quote(out, serde_json::from_str::<String>(text).ok()?.as_bytes()),
        b'-' | b'0'..=b'9' => number(out, text)?,
        _ => out.extend_from_slice(text.as_bytes()),
    }
    Some(())
}

fn inside<'a, T: serde::Deserialize<'a>>(text: &'a str, deep: usize) -> Option<T> {
    if deep == 0 {
        return None;
    }
    serde_json::from_str(text).ok()
}

fn number(out: &mut Vec<u8>, text: &str) -> Option<()> {
    let plain: Vec<u8> = text.bytes().filter(|&byte| byte != b'+').map(|byte| byte.to_ascii_lowercase()).collect();
    let exponent = plain.split(|&byte| byte == b'e').nth(1).map_or(0, <[u8]>::len);
    if plain.len() > LONGEST_NUMBER || exponent > LONGEST_EXPONENT {
        return None;
    }
    Digits::of(&plain).canonical(out);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> Option<String> {
        let mut out = Vec::new();
        canonical(&mut out, text).map(|()| String::from_utf8(out).unwrap())
    }

    #[test]
    fn one_document_has_one_spelling() {
        for (text, spelled) in [
            (r#" {"b": [1, 2.50, -0.0, 1E+2], "a": {"\u00e9": null}} "#, r#"{"a":{"é":null},"b":[1e0,25e-1,0,1e2]}"#),
            (r#"{"a": 1, "a": "\/\n"}"#, r#"{"a":"/\n"}"#),
            ("[ ]", "[]"),
            ("true", "true"),
            (r#"{"$serde_json::private::Number": "5"}"#, r#"{"$serde_json::private::Number":"5"}"#),
        ] {
            assert_eq!(written(text).as_deref(), Some(spelled), "{text}");
        }
    }

    #[test]
    fn what_is_odd_is_somebody_else_s() {
        let deep = format!("{}{}", "[".repeat(40), "]".repeat(40));
        for text in ["", "[1,", "NaN", r#""\ud800""#, "1e9999999999", deep.as_str()] {
            assert_eq!(written(text), None, "{text}");
        }
    }
}
