//! The one document that clients read as protobuf only: an OpenAPI 2.0 description of nothing.

/// `openapi.v2.Document{swagger: "2.0", info: {title, version}, paths: {}}`.
pub(super) fn empty_document(title: &str, version: &str) -> Vec<u8> {
    const SWAGGER: u8 = 1;
    const INFO: u8 = 2;
    const PATHS: u8 = 8;
    let mut info = field(1, title.as_bytes());
    info.extend(field(2, version.as_bytes()));
    let mut document = field(SWAGGER, b"2.0");
    document.extend(field(INFO, &info));
    document.extend(field(PATHS, b""));
    document
}

/// A length-delimited field; all of them here are shorter than 128 bytes.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    const LENGTH_DELIMITED: u8 = 2;
    let length = u8::try_from(content.len()).expect("a short text");
    assert!(length < 128, "longer contents need a longer length");
    let mut bytes = vec![number << 3 | LENGTH_DELIMITED, length];
    bytes.extend_from_slice(content);
    bytes
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_document_is_encoded_as_protobuf_says() {
        let bytes = super::empty_document("K", "v1");
        assert_eq!(bytes, b"\x0a\x032.0\x12\x07\x0a\x01K\x12\x02v1\x42\x00");
    }
}
