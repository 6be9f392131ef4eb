//! Partial JSON updates: differences applied to the value before; see `streams.binlog.jsondiff`.

use std::borrow::Cow;

use crate::bytes::{take, take_length};
use crate::failure::{broken, Result};
use crate::jsonb::{Container, Document, Node, DEEPEST};

const REPLACE: u8 = 0;
const INSERT: u8 = 1;
const REMOVE: u8 = 2;
/// Digits of a place in an array: no value has as many.
const MOST_DIGITS: usize = 10;

/// One step of a path.
#[derive(Debug, PartialEq)]
enum Leg {
    Member(String),
    Cell(usize),
    /// Counted from the last, which is 0.
    Back(usize),
}

/// `before`, a stored value, behind all `differences`.
pub fn patched<'a>(before: &'a [u8], differences: &'a [u8]) -> Result<Document<'a>> {
    let mut root = stored(before)?;
    let mut at = 0;
    while at < differences.len() {
        let operation = take(differences, &mut at, 1)?[0];
        let legs = legs(sized(differences, &mut at)?)?;
        let value = match operation {
            REMOVE => None,
            _ => Some(stored(sized(differences, &mut at)?)?),
        };
        apply(&mut root, operation, legs, value)?;
    }
    Ok(Document { root, size: before.len() + differences.len() })
}

fn stored(data: &[u8]) -> Result<Node<'_>> {
    match data.split_first() {
        Some((&type_, body)) => Ok(Node::Stored(type_, body)),
        None => broken("a JSON difference has an empty value"),
    }
}

fn sized<'a>(data: &'a [u8], at: &mut usize) -> Result<&'a [u8]> {
    let size = take_length(data, at)?;
    take(data, at, size)
}

fn apply<'a>(root: &mut Node<'a>, operation: u8, mut legs: Vec<Leg>, value: Option<Node<'a>>) -> Result<()> {
    let Some(last) = legs.pop() else { return broken("a JSON difference has no path") };
    let mut container = opened(root)?;
    for leg in legs {
        let place = existing(container, &leg)?;
        container = opened(match container {
            Node::Object(members) => &mut members[place].1,
            Node::Array(items) => &mut items[place],
            Node::Stored(..) => return broken("a JSON difference leads into what is no container"),
        })?;
    }
    match (operation, value, container) {
        (REPLACE, Some(value), container) => {
            let place = existing(container, &last)?;
            match container {
                Node::Object(members) => members[place].1 = value,
                Node::Array(items) => items[place] = value,
                Node::Stored(..) => {}
            }
        }
        (REMOVE, None, container) => {
            let place = existing(container, &last)?;
            match container {
                Node::Object(members) => _ = members.remove(place),
                Node::Array(items) => _ = items.remove(place),
                Node::Stored(..) => {}
            }
        }
        (INSERT, Some(value), Node::Array(items)) => match within(&last, items.len()) {
            Some(place) => items.insert(place, value),
            None => return broken("a JSON difference inserts a member into an array"),
        },
        (INSERT, Some(value), Node::Object(members)) => {
            let Leg::Member(name) = last else { return broken("a JSON difference inserts a cell into an object") };
            if members.iter().any(|(key, _)| **key == *name.as_bytes()) {
                return broken("a JSON difference inserts what is there");
            }
            // MySQL's order: shorter names first, then by their bytes
            let place = members.partition_point(|(key, _)| (key.len(), &**key) < (name.len(), name.as_bytes()));
            members.insert(place, (Cow::Owned(name.into_bytes()), value));
        }
        _ => return broken("there is no such JSON difference"),
    }
    Ok(())
}

/// The container that `node` is, taken apart.
fn opened<'n, 'a>(node: &'n mut Node<'a>) -> Result<&'n mut Node<'a>> {
    if let Node::Stored(type_, data) = *node {
        let container = Container::new(type_, data)?;
        let inner = |index: usize| container.value(index).map(|(type_, data)| Node::Stored(type_, data));
        *node = if container.is_object {
            let member = |index: usize| Ok((Cow::Borrowed(container.key(index)?), inner(index)?));
            Node::Object((0..container.count).map(member).collect::<Result<_>>()?)
        } else {
            Node::Array((0..container.count).map(inner).collect::<Result<_>>()?)
        };
    }
    Ok(node)
}

/// From 0 to `count`, which is the place behind the last; of a member, none.
fn within(leg: &Leg, count: usize) -> Option<usize> {
    match leg {
        Leg::Member(_) => None,
        Leg::Cell(index) => Some((*index).min(count)),
        Leg::Back(index) => Some(count.saturating_sub(index + 1)),
    }
}

fn existing(container: &Node, leg: &Leg) -> Result<usize> {
    let place = match (container, leg) {
        (Node::Object(members), Leg::Member(name)) => members.iter().position(|(key, _)| **key == *name.as_bytes()),
        (Node::Array(items), Leg::Cell(index) | Leg::Back(index)) if *index < items.len() => within(leg, items.len()),
        _ => None,
    };
    place.map_or_else(|| broken("a JSON difference is told of a place that is not there"), Ok)
}

fn legs(path: &[u8]) -> Result<Vec<Leg>> {
    let told = std::str::from_utf8(path).ok().and_then(|text| text.strip_prefix('$')).and_then(parsed);
    match told {
        Some(legs) if (1..=DEEPEST).contains(&legs.len()) => Ok(legs),
        _ => broken("a JSON difference has no path that there can be"),
    }
}

/// What stands behind `$`.
fn parsed(mut rest: &str) -> Option<Vec<Leg>> {
    let mut legs = Vec::new();
    while !rest.is_empty() {
        let leg;
        (leg, rest) = if let Some(quoted) = rest.strip_prefix(".\"") {
            unquoted(quoted)?
        } else if let Some(name) = rest.strip_prefix('.') {
            let ends = |sign: char| matches!(sign, '.' | '[' | '*') || is_space(sign);
            let (name, behind) = name.split_at(name.find(ends).unwrap_or(name.len()));
            (Leg::Member(Some(name).filter(|name| !name.is_empty())?.to_owned()), behind)
        } else {
            let (cell, behind) = rest.strip_prefix('[')?.split_once(']')?;
            let leg = match cell.strip_prefix("last") {
                None => Leg::Cell(number(cell)?),
                Some("") => Leg::Back(0),
                Some(back) => Leg::Back(number(back.strip_prefix('-')?)?),
            };
            (leg, behind)
        };
        legs.push(leg);
    }
    Some(legs)
}

/// What Python's `\s` takes for a space beside Rust's.
fn is_space(sign: char) -> bool {
    sign.is_whitespace() || matches!(sign, '\u{1c}'..='\u{1f}')
}

fn number(text: &str) -> Option<usize> {
    let fits = text.len() <= MOST_DIGITS && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| fits)
}

/// The inside of a JSON string, up to its closing quote, and what stands behind that.
fn unquoted(text: &str) -> Option<(Leg, &str)> {
    let mut name = String::new();
    let mut signs = text.char_indices();
    while let Some((at, sign)) = signs.next() {
        match sign {
            '"' => return Some((Leg::Member(name), &text[at + 1..])),
            '\\' => match signs.next()?.1 {
                plain @ ('"' | '\\' | '/') => name.push(plain),
                'b' => name.push('\u{8}'),
                'f' => name.push('\u{c}'),
                'n' => name.push('\n'),
                'r' => name.push('\r'),
                't' => name.push('\t'),
                'u' => name.push(unicode(&mut signs)?),
                _ => return None,
            },
            '\0'..='\u{1f}' => return None,
            _ => name.push(sign),
        }
    }
    None
}

/// Four hex digits, or twice four with `\u` between them.
fn unicode(signs: &mut std::str::CharIndices) -> Option<char> {
    let mut four = || (0..4).try_fold(0, |sum, _| Some(sum * 16 + signs.next()?.1.to_digit(16)?));
    let first: u32 = four()?;
    if !(0xD800..0xDC00).contains(&first) {
        return char::from_u32(first);
    }
    if signs.next()?.1 != '\\' || signs.next()?.1 != 'u' {
        return None;
    }
    let second = (0..4).try_fold(0, |sum, _| Some(sum * 16 + signs.next()?.1.to_digit(16)?))?;
    let low = Some(second).filter(|second| (0xDC00..0xE000).contains(second))?;
    char::from_u32(0x10000 + ((first - 0xD800) << 10 | (low - 0xDC00)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_as_the_server_writes_them() {
        let member = |name: &str| Leg::Member(name.to_owned());
        assert_eq!(
            legs("$.a[0].\"b c\\\"\\u0001\"[last-2].é".as_bytes()).unwrap(),
            [member("a"), Leg::Cell(0), member("b c\"\u{1}"), Leg::Back(2), member("é")]
        );
        for path in
            ["", "$", "a", "$a", "$.", "$.*", "$[*]", "$[-1]", "$[1 to 2]", "$[last+1]", "$.\"a", "$**.a", "$. a"]
        {
            assert!(legs(path.as_bytes()).is_err(), "{path}");
        }
    }

    #[test]
    fn differences_are_applied_in_their_order() {
        // [1,"x"]: 7 for 1, "x" out, true in front, null at the end
        let before = b"\x02\x02\0\x0c\0\x05\x01\0\x0c\x0a\0\x01x";
        let differences = b"\0\x04$[0]\x03\x05\x07\0\x02\x04$[1]\x01\x04$[0]\x02\x04\x01\x01\x04$[9]\x02\x04\0";
        let mut text = Vec::new();
        patched(before, differences).unwrap().text(&mut text).unwrap();
        assert_eq!(text, b"[true,7,null]");
        assert!(patched(before, b"\x02\x04$[2]").is_err());
        assert!(patched(before, b"\x02\x03$.a").is_err());
        assert!(patched(before, b"\x03\x04$[0]\x02\x04\0").is_err());
    }
}
