//! Decimals and doubles in the spellings that the envelope, the canonical form and JSON columns use.

use crate::bytes::big;
use crate::failure::{broken, Result};
use crate::text::{integer, padded};

const BYTES_OF_DIGITS: [usize; 10] = [0, 1, 1, 2, 2, 3, 3, 4, 4, 4];
/// More digits than this no DECIMAL has.
const MOST_DIGITS: usize = 65;

/// How many bytes `DECIMAL(precision, scale)` takes.
pub fn decimal_size(precision: usize, scale: usize) -> Result<usize> {
    if precision > MOST_DIGITS || scale > precision {
        return broken("a decimal has more digits than there are");
    }
    let whole = precision - scale;
    Ok(whole / 9 * 4 + BYTES_OF_DIGITS[whole % 9] + scale / 9 * 4 + BYTES_OF_DIGITS[scale % 9])
}

/// MySQL's packed DECIMAL in plain digits, with exactly `scale` of them after the point.
pub fn decimal(out: &mut Vec<u8>, data: &[u8], precision: usize, scale: usize) -> Result<()> {
    if data.is_empty() || data.len() < decimal_size(precision, scale)? {
        return broken("a decimal is cut off");
    }
    let negative = data[0] & 0x80 == 0;
    let flip = if negative { 0xFF } else { 0 };
    let mut raw = [0u8; 40];
    for (plain, &byte) in raw.iter_mut().zip(data) {
        *plain = byte ^ flip;
    }
    raw[0] ^= 0x80;
    if negative {
        out.push(b'-');
    }
    let whole = precision - scale;
    let (mut at, begun) = (0, out.len());
    let mut group = |out: &mut Vec<u8>, digits: usize| {
        let size = BYTES_OF_DIGITS[digits];
        if size > 0 {
            padded(out, big(&raw[at..at + size]) as i64, digits);
            at += size;
        }
    };
    group(out, whole % 9);
    for _ in 0..whole / 9 {
        group(out, 9);
    }
    let zeros = out[begun..].iter().take_while(|&&digit| digit == b'0').count();
    out.drain(begun..begun + zeros);
    if out.len() == begun {
        out.push(b'0');
    }
    if scale > 0 {
        out.push(b'.');
        for _ in 0..scale / 9 {
            group(out, 9);
        }
        group(out, scale % 9);
    }
    Ok(())
}

/// The canonical spelling of a decimal in plain digits: no zeros that say nothing, never `-0`.
pub fn canonical_decimal(out: &mut Vec<u8>, text: &[u8]) {
    let kept = if text.contains(&b'.') {
        let zeros = text.iter().rev().take_while(|&&digit| digit == b'0').count();
        let kept = &text[..text.len() - zeros];
        kept.strip_suffix(b".").unwrap_or(kept)
    } else {
        text
    };
    out.extend_from_slice(if kept == b"-0" { b"0" } else { kept });
}

/// A number as sign, significant digits (no zero at either end, empty for 0) and the power of ten of the last digit.
pub struct Digits {
    pub negative: bool,
    pub digits: Vec<u8>,
    pub exponent: i64,
}

impl Digits {
    /// Of plain digits, with a point and an exponent (`e`, its sign `-` or none) where there is one.
    pub fn of(text: &[u8]) -> Digits {
        let (negative, text) = match text.strip_prefix(b"-") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let mut parts = text.splitn(2, |&byte| byte == b'e');
        let mantissa = parts.next().unwrap_or_default();
        let mut exponent = parts.next().map_or(0, |digits| {
            let (sign, digits) = digits.strip_prefix(b"-").map_or((1, digits), |rest| (-1, rest));
            sign * digits.iter().fold(0, |number, &digit| number * 10 + i64::from(digit - b'0'))
        });
        if let Some(point) = mantissa.iter().position(|&byte| byte == b'.') {
            exponent -= (mantissa.len() - point - 1) as i64;
        }
        let mut digits: Vec<u8> = mantissa.iter().copied().filter(|&byte| byte != b'.').collect();
        while digits.last() == Some(&b'0') {
            digits.pop();
            exponent += 1;
        }
        let zeros = digits.iter().take_while(|&&digit| digit == b'0').count();
        digits.drain(..zeros);
        Digits { negative, digits, exponent }
    }

    /// `<digits>e<exponent>`, the canonical spelling of every JSON number.
    pub fn canonical(&self, out: &mut Vec<u8>) {
        if self.digits.is_empty() {
            out.push(b'0');
            return;
        }
        if self.negative {
            out.push(b'-');
        }
        out.extend_from_slice(&self.digits);
        out.push(b'e');
        integer(out, self.exponent);
    }

    /// The power of ten of the first digit.
    fn magnitude(&self) -> i64 {
        self.exponent + self.digits.len() as i64 - 1
    }

    /// Whether Python writes it without an exponent.
    fn is_plain(&self) -> bool {
        self.digits.is_empty() || (-4..16).contains(&self.magnitude())
    }

    /// `d.ddde<exponent>` as Python spells it, without the plus sign.
    fn scientific(&self, out: &mut Vec<u8>) {
        if self.negative {
            out.push(b'-');
        }
        out.push(self.digits[0]);
        if self.digits.len() > 1 {
            out.push(b'.');
            out.extend_from_slice(&self.digits[1..]);
        }
        out.push(b'e');
        let magnitude = self.magnitude();
        if magnitude < 0 {
            out.push(b'-');
        }
        padded(out, magnitude.abs(), 2);
    }
}

/// A double in a JSON column: Python's `repr`, without the plus sign in the exponent.
pub fn json_double(out: &mut Vec<u8>, value: f64) -> Result<()> {
    if !value.is_finite() {
        return broken("a JSON double is not a number");
    }
    let mut buffer = ryu::Buffer::new();
    let text = buffer.format_finite(value).as_bytes();
    let digits = Digits::of(text);
    // shortest digits are the same everywhere; only where the exponent begins differs
    if digits.is_plain() {
        out.extend_from_slice(text);
    } else {
        digits.scientific(out);
    }
    Ok(())
}

/// A decimal in a JSON column; see `fraction_text` of `streams.binlog.jsonb`.
pub fn json_decimal(out: &mut Vec<u8>, text: &[u8]) {
    if text.contains(&b'.') {
        let digits = Digits::of(text);
        if !digits.is_plain() {
            digits.scientific(out);
            return;
        }
    }
    out.extend_from_slice(text);
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
    fn packed_decimals_are_read() {
        for (data, precision, scale, text) in [
            (&b"\x81\x0d\xfb\x38\xd2\x04\xd2"[..], 14, 4, "1234567890.1234"),
            (b"\x7e\xf2\x04\xc7\x2d\xfb\x2d", 14, 4, "-1234567890.1234"),
            (b"\x80\x00", 3, 0, "0"),
            (b"\x80\x00\x05", 5, 2, "0.05"),
        ] {
            assert_eq!(made(|out| decimal(out, data, precision, scale).unwrap()), text);
        }
        assert!(decimal(&mut Vec::new(), b"\x80", 14, 4).is_err());
        assert!(decimal(&mut Vec::new(), &[0x80; 80], 66, 4).is_err());
    }

    #[test]
    fn canonical_decimals_have_no_zeros_that_say_nothing() {
        for (text, canonical) in [("1.50", "1.5"), ("1.00", "1"), ("100", "100"), ("-0.00", "0"), ("-0.10", "-0.1")] {
            assert_eq!(made(|out| canonical_decimal(out, text.as_bytes())), canonical);
        }
    }

    #[test]
    fn doubles_are_spelled_as_python_spells_them() {
        for (value, text) in [
            (1.0, "1.0"),
            (-0.0, "-0.0"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (1.5e-7, "1.5e-07"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e16"),
            (123_456_789_012_345_680.0, "1.2345678901234568e17"),
            (5e-324, "5e-324"),
            (f64::MAX, "1.7976931348623157e308"),
        ] {
            assert_eq!(made(|out| json_double(out, value).unwrap()), text);
        }
        assert!(json_double(&mut Vec::new(), f64::NAN).is_err());
    }

    #[test]
    fn every_spelling_of_a_number_has_one_canonical_one() {
        for (text, canonical) in [
            ("0", "0"),
            ("-0.00", "0"),
            ("100", "1e2"),
            ("-7", "-7e0"),
            ("0.0012", "12e-4"),
            ("1.20e-05", "12e-6"),
            ("1e16", "1e16"),
        ] {
            assert_eq!(made(|out| Digits::of(text.as_bytes()).canonical(out)), canonical);
        }
    }
}
