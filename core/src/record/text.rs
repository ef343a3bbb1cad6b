//! Pieces of the canonical form that records are written in; `crate::canonical` writes whole
//! values.

use sha2::{Digest, Sha256};

use crate::ids::Hash;

/// SHA-256 of bytes.
#[must_use]
pub fn sha256(bytes: &[u8]) -> Hash {
    Hash(Sha256::digest(bytes).into())
}

/// Writes a string with the shortest escapes: `\" \\ \b \f \n \r \t`, `\u00xx` for other controls.
pub(super) fn write_string(text: &str, out: &mut String) {
    out.push('"');
    let mut plain_from = 0;
    for (i, byte) in text.bytes().enumerate() {
        let short = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            0x08 => "\\b",
            0x0c => "\\f",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0x00..=0x1f => "",
            _ => continue,
        };
        out.push_str(&text[plain_from..i]);
        if short.is_empty() {
            out.push_str("\\u00");
            out.push_str(&hex::encode([byte]));
        } else {
            out.push_str(short);
        }
        plain_from = i + 1;
    }
    out.push_str(&text[plain_from..]);
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn strings_are_written_as_serde_json_writes_them(text in any::<String>()) {
            let mut own = String::new();
            write_string(&text, &mut own);
            prop_assert_eq!(own, serde_json::to_string(&text).unwrap());
        }

        #[test]
        fn control_characters_are_written_as_serde_json_writes_them(
            bytes in prop::collection::vec(0u8..0x30, 0..40)
        ) {
            let text = String::from_utf8(bytes).unwrap();
            let mut own = String::new();
            write_string(&text, &mut own);
            prop_assert_eq!(own, serde_json::to_string(&text).unwrap());
        }
    }
}
