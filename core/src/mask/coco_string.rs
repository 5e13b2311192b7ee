//! The printable form of run lengths: five bits and a continuation bit a character, from ASCII 48
//! on, sign-extended; from the fourth run on the difference to the run two before.

use super::MaskError;

const FIRST_CHARACTER: u8 = 48;
const CONTINUES: u8 = 0x20;
const NEGATIVE: u8 = 0x10;
/// More digits than any difference of two 32-bit counts needs, and few enough for an `i64`.
const MAX_DIGITS: u32 = 10;

pub(super) fn encode(runs: &[u32]) -> String {
    let mut text = String::with_capacity(runs.len() * 2);
    for (index, &run) in runs.iter().enumerate() {
        let mut value = i64::from(run);
        if index > 2 {
            value -= i64::from(runs[index - 2]);
        }
        loop {
            let mut digit = (value & 0x1f) as u8;
            value >>= 5;
            let done = if digit & NEGATIVE == 0 {
                value == 0
            } else {
                value == -1
            };
            if !done {
                digit |= CONTINUES;
            }
            text.push(char::from(digit + FIRST_CHARACTER));
            if done {
                break;
            }
        }
    }
    text
}

/// Reads the runs of a mask of `width * height` pixels and stops at the first one that makes the
/// sum too large, so that a hostile string costs no more than its own length.
pub(super) fn decode(text: &str, width: u32, height: u32) -> Result<Vec<u32>, MaskError> {
    let pixels = u64::from(width) * u64::from(height);
    let mut runs: Vec<u32> = Vec::new();
    let mut covered = 0u64;
    let mut value = 0i64;
    let mut digits = 0u32;
    for (position, byte) in text.bytes().enumerate() {
        let digit = byte.wrapping_sub(FIRST_CHARACTER);
        if digit >= 64 {
            return Err(MaskError::BadCharacter { byte, position });
        }
        let index = runs.len();
        if digits == MAX_DIGITS {
            return Err(MaskError::RunOutOfRange { index });
        }
        value |= i64::from(digit & 0x1f) << (5 * digits);
        digits += 1;
        if digit & CONTINUES != 0 {
            continue;
        }
        if digit & NEGATIVE != 0 {
            value |= -1i64 << (5 * digits);
        }
        if index > 2 {
            value += i64::from(runs[index - 2]);
        }
        let run = u32::try_from(value).map_err(|_| MaskError::RunOutOfRange { index })?;
        covered += u64::from(run);
        if covered > pixels {
            return Err(MaskError::WrongSum {
                covered,
                width,
                height,
                pixels,
            });
        }
        runs.push(run);
        value = 0;
        digits = 0;
    }
    if digits > 0 {
        return Err(MaskError::Truncated);
    }
    Ok(runs)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_strings() {
        assert_eq!(encode(&[6, 1, 40, 4, 5, 4, 5, 4, 21]), "61X13mN000`0");
        assert_eq!(
            decode("61X13mN000`0", 9, 10).unwrap(),
            [6, 1, 40, 4, 5, 4, 5, 4, 21]
        );
    }

    #[test]
    fn malformed_strings_are_named() {
        assert_eq!(
            decode("6 1", 9, 10),
            Err(MaskError::BadCharacter {
                byte: b' ',
                position: 1
            })
        );
        assert_eq!(decode("P", 9, 10), Err(MaskError::Truncated));
        assert_eq!(
            decode("@", 9, 10),
            Err(MaskError::RunOutOfRange { index: 0 })
        );
        assert_eq!(
            decode(&"P".repeat(1_000), 9, 10),
            Err(MaskError::RunOutOfRange { index: 0 })
        );
        assert!(matches!(
            decode("6666666666666666", 9, 10),
            Err(MaskError::WrongSum { .. })
        ));
    }

    proptest! {
        #[test]
        fn strings_round_trip(runs in prop::collection::vec(0u32..1 << 20, 0..60)) {
            let text = encode(&runs);
            prop_assert_eq!(decode(&text, 60, 1 << 20).unwrap(), runs);
        }

        #[test]
        fn extreme_runs_round_trip(runs in prop::collection::vec(any::<u32>(), 0..8)) {
            prop_assert_eq!(decode(&encode(&runs), u32::MAX, u32::MAX).unwrap(), runs);
        }

        #[test]
        fn any_text_is_read_or_refused(text in "\\PC*", width in any::<u32>(), height in any::<u32>()) {
            let _ = decode(&text, width, height);
        }

        #[test]
        fn any_rle_characters_are_read_or_refused(
            bytes in prop::collection::vec(48u8..112, 0..200),
            side in 1u32..1_000,
        ) {
            let text = String::from_utf8(bytes).unwrap();
            if let Ok(runs) = decode(&text, side, side) {
                let sum: u64 = runs.iter().map(|&run| u64::from(run)).sum();
                prop_assert!(sum <= u64::from(side) * u64::from(side));
            }
        }
    }
}
