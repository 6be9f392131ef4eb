//! Text on its way into JSON: escapes, base64, padded numbers. The bytes are those of msgspec and of Python's `json`.

const HEX: &[u8; 16] = b"0123456789abcdef";

/// What stands behind the backslash, by byte; 0 where the byte stands for itself, `u` where it is written in hex.
const ESCAPES: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 0x20 {
        table[byte] = b'u';
        byte += 1;
    }
    table[0x08] = b'b';
    table[0x09] = b't';
    table[0x0A] = b'n';
    table[0x0C] = b'f';
    table[0x0D] = b'r';
    table[b'"' as usize] = b'"';
    table[b'\\' as usize] = b'\\';
    table
};

/// `text` (UTF-8) as the inside of a JSON string.
pub fn escape(out: &mut Vec<u8>, text: &[u8]) {
    let mut from = 0;
    for (at, &byte) in text.iter().enumerate() {
        let escaped = ESCAPES[byte as usize];
        if escaped == 0 {
            continue;
        }
        out.extend_from_slice(&text[from..at]);
        out.extend_from_slice(&[b'\\', escaped]);
        if escaped == b'u' {
            out.extend_from_slice(&[b'0', b'0', HEX[(byte >> 4) as usize], HEX[(byte & 15) as usize]]);
        }
        from = at + 1;
    }
    out.extend_from_slice(&text[from..]);
}

/// `text` (UTF-8) as a JSON string.
pub fn quote(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    escape(out, text);
    out.push(b'"');
}

/// How many characters the JSON value `json` has as a Python string; 0 for what is no string.
pub fn characters(json: &[u8]) -> usize {
    if json.first() != Some(&b'"') {
        return 0;
    }
    let (mut count, mut at) = (0, 1);
    while at + 1 < json.len() {
        at += match (json[at], json[at + 1]) {
            (b'\\', b'u') => 6,
            (b'\\', _) => 2,
            _ => 1,
        };
        while at < json.len() && json[at] & 0xC0 == 0x80 {
            at += 1;
        }
        count += 1;
    }
    count
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The standard alphabet, padded.
pub fn base64(out: &mut Vec<u8>, data: &[u8]) {
    let digit = |number: u32, shift: u32| BASE64[(number >> shift & 63) as usize];
    out.reserve(data.len().div_ceil(3) * 4);
    let groups = data.chunks_exact(3);
    let rest = groups.remainder();
    for group in groups {
        let number = u32::from(group[0]) << 16 | u32::from(group[1]) << 8 | u32::from(group[2]);
        out.extend_from_slice(&[digit(number, 18), digit(number, 12), digit(number, 6), digit(number, 0)]);
    }
    match *rest {
        [one] => {
            let number = u32::from(one) << 16;
            out.extend_from_slice(&[digit(number, 18), digit(number, 12), b'=', b'=']);
        }
        [one, two] => {
            let number = u32::from(one) << 16 | u32::from(two) << 8;
            out.extend_from_slice(&[digit(number, 18), digit(number, 12), digit(number, 6), b'=']);
        }
        _ => {}
    }
}

/// An integer in plain digits.
pub fn integer(out: &mut Vec<u8>, number: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Python's `f"{number:0{width}d}"`.
pub fn padded(out: &mut Vec<u8>, number: i64, width: usize) {
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(number.unsigned_abs());
    let sign = usize::from(number < 0);
    if number < 0 {
        out.push(b'-');
    }
    out.extend(std::iter::repeat_n(b'0', width.saturating_sub(digits.len() + sign)));
    out.extend_from_slice(digits.as_bytes());
}

/// 16 hex digits.
pub fn hex16(number: u64) -> [u8; 16] {
    std::array::from_fn(|at| HEX[(number >> (60 - 4 * at) & 15) as usize])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn control_characters_quotes_and_backslashes_are_escaped_and_nothing_else() {
        let text = "a\"\\\u{8}\t\n\u{c}\r\u{1}\u{1f}\u{7f}/é😀";
        assert_eq!(made(|out| quote(out, text.as_bytes())), "\"a\\\"\\\\\\b\\t\\n\\f\\r\\u0001\\u001f\u{7f}/é😀\"");
    }

    #[test]
    fn characters_are_those_of_the_string_and_not_of_its_spelling() {
        assert_eq!(characters("\"a\\\"\\u0001é😀\"".as_bytes()), 5);
        assert_eq!(characters(b"\"\""), 0);
        assert_eq!(characters(b"123456"), 0);
    }

    #[test]
    fn base64_is_padded() {
        for (data, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(made(|out| base64(out, data.as_bytes())), text);
        }
    }

    #[test]
    fn padding_counts_the_sign() {
        assert_eq!(made(|out| padded(out, 7, 4)), "0007");
        assert_eq!(made(|out| padded(out, -7, 4)), "-007");
        assert_eq!(made(|out| padded(out, 12345, 4)), "12345");
        assert_eq!(&hex16(0x0123_4567_89ab_cdef), b"0123456789abcdef");
    }
}
