//! How pickles write texts.

/// A byte string as text: UTF-8 where it is that, otherwise one character a byte.
pub(super) fn of_bytes(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().copied().map(char::from).collect(),
    }
}

/// A byte string as Python 2's `repr` writes it, in quotes and with escapes.
pub(super) fn of_quoted(line: &[u8]) -> Option<String> {
    let (&quote, rest) = line.split_first()?;
    let (&last, mut rest) = rest.split_last()?;
    if quote != last || !matches!(quote, b'\'' | b'"') {
        return None;
    }
    let mut bytes = Vec::new();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        let (&escape, after) = rest.split_first()?;
        let from = rest;
        rest = after;
        bytes.push(match escape {
            b'\\' | b'\'' | b'"' => escape,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'a' => 0x07,
            b'b' => 0x08,
            b'f' => 0x0c,
            b'v' => 0x0b,
            b'x' => {
                let (code, after) = number(rest, 2, 16)?;
                rest = after;
                u8::try_from(code).ok()?
            }
            b'0'..=b'7' => {
                let octal = from.iter().take(3);
                let digits = octal.take_while(|byte| (b'0'..=b'7').contains(*byte));
                let (code, after) = number(from, digits.count(), 8)?;
                rest = after;
                u8::try_from(code).ok()?
            }
            _ => return None,
        });
    }
    Some(of_bytes(&bytes))
}

/// A text in Python's `raw-unicode-escape`: one character a byte, and `\u` or `\U` before others.
pub(super) fn of_escaped(mut rest: &[u8]) -> Option<String> {
    let mut units: Vec<u16> = Vec::new();
    while let Some((&byte, after)) = rest.split_first() {
        let digits = match (byte, after.first()) {
            (b'\\', Some(b'u')) => 4,
            (b'\\', Some(b'U')) => 8,
            _ => {
                units.push(u16::from(byte));
                rest = after;
                continue;
            }
        };
        let (code, after) = number(&after[1..], digits, 16)?;
        rest = after;
        match u16::try_from(code) {
            // Python of 16-bit characters wrote one of the others as two halves.
            Ok(unit) => units.push(unit),
            Err(_) => units.extend_from_slice(char::from_u32(code)?.encode_utf16(&mut [0; 2])),
        }
    }
    String::from_utf16(&units).ok()
}

/// A number of so many digits, and what follows it.
fn number(bytes: &[u8], digits: usize, radix: u32) -> Option<(u32, &[u8])> {
    let (number, rest) = bytes.split_at_checked(digits)?;
    let number = std::str::from_utf8(number).ok()?;
    if !number.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    Some((u32::from_str_radix(number, radix).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_utf8_are_latin() {
        assert_eq!(of_bytes(b"caf\xc3\xa9"), "caf\u{e9}");
        assert_eq!(of_bytes(b"caf\xe9"), "caf\u{e9}");
    }

    #[test]
    fn quoted_texts_lose_quotes_and_escapes() {
        assert_eq!(of_quoted(b"'left \"one\"'").unwrap(), "left \"one\"");
        assert_eq!(of_quoted(b"\"it's\"").unwrap(), "it's");
        assert_eq!(
            of_quoted(br"'\\ \' \n\t\x41\xc3\xa9 \1018'").unwrap(),
            "\\ ' \n\tA\u{e9} A8"
        );
        assert_eq!(of_quoted(b"''").unwrap(), "");
        for broken in [
            &b"'"[..],
            b"",
            b"abc",
            b"'a\"",
            br"'\x4'",
            br"'\q'",
            br"'\'",
        ] {
            assert_eq!(of_quoted(broken), None, "{broken:?}");
        }
    }

    #[test]
    fn escaped_texts_hold_every_character() {
        assert_eq!(of_escaped(b"a\\n\xe9").unwrap(), "a\\n\u{e9}");
        assert_eq!(of_escaped(br"\u005c\u20ac").unwrap(), "\\\u{20ac}");
        assert_eq!(of_escaped(br"\U0001f600").unwrap(), "\u{1f600}");
        assert_eq!(of_escaped(br"\ud83d\ude00").unwrap(), "\u{1f600}");
        for broken in [&br"\ud83d"[..], br"\u12", br"\u+123", br"\U00110000"] {
            assert_eq!(of_escaped(broken), None, "{broken:?}");
        }
    }
}
