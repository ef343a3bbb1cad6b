//! Bodies in protobuf, for the few commands of `kubectl` that send nothing else (`create`,
//! `auth can-i`, `auth whoami`): decoded into the JSON that everything here understands.
//!
//! Only what those commands send is known. A field that is not known and not empty makes the whole
//! body undecodable: the server answers 415 rather than store half of an object.

use base64::Engine;
use serde_json::{Map, Value, json};

/// The media type.
pub(crate) const MEDIA: &str = "application/vnd.kubernetes.protobuf";

const MAGIC: &[u8] = b"k8s\0";
/// Messages are nested less deeply than this.
const MAX_DEPTH: usize = 16;

/// How a field is read.
#[derive(Clone, Copy)]
enum As {
    Text,
    Bytes,
    /// A number that is always sent; zero means unset.
    Number,
    /// A number that is sent when set.
    Optional,
    Flag,
    Message(&'static [Field]),
    Texts,
    Messages(&'static [Field]),
    /// Text to text.
    Map,
    /// Text to bytes, which JSON shows in base64.
    ByteMap,
    /// Text to quantity, a message with one text.
    Quantities,
}

type Field = (u64, &'static str, As);

const OBJECT_META: &[Field] = &[
    (1, "name", As::Text),
    (2, "generateName", As::Text),
    (3, "namespace", As::Text),
    (11, "labels", As::Map),
    (12, "annotations", As::Map),
];
const METADATA: Field = (1, "metadata", As::Message(OBJECT_META));
const SELECTOR: &[Field] = &[(1, "matchLabels", As::Map)];
const PORT: &[Field] = &[
    (1, "name", As::Text),
    (2, "hostPort", As::Number),
    (3, "containerPort", As::Number),
    (4, "protocol", As::Text),
];
const ENV: &[Field] = &[(1, "name", As::Text), (2, "value", As::Text)];
const RESOURCES: &[Field] = &[(1, "limits", As::Quantities), (2, "requests", As::Quantities)];
const CONTAINER: &[Field] = &[
    (1, "name", As::Text),
    (2, "image", As::Text),
    (3, "command", As::Texts),
    (4, "args", As::Texts),
    (5, "workingDir", As::Text),
    (6, "ports", As::Messages(PORT)),
    (7, "env", As::Messages(ENV)),
    (8, "resources", As::Message(RESOURCES)),
    (14, "imagePullPolicy", As::Text),
];
const POD: &[Field] = &[
    (2, "containers", As::Messages(CONTAINER)),
    (3, "restartPolicy", As::Text),
    (6, "dnsPolicy", As::Text),
];
const TEMPLATE: &[Field] = &[METADATA, (2, "spec", As::Message(POD))];
const DEPLOYMENT: &[Field] = &[
    (1, "replicas", As::Optional),
    (2, "selector", As::Message(SELECTOR)),
    (3, "template", As::Message(TEMPLATE)),
];
const JOB: &[Field] = &[
    (1, "parallelism", As::Optional),
    (2, "completions", As::Optional),
    (6, "template", As::Message(TEMPLATE)),
    (7, "backoffLimit", As::Optional),
];
const RESOURCE_ATTRIBUTES: &[Field] = &[
    (1, "namespace", As::Text),
    (2, "verb", As::Text),
    (3, "group", As::Text),
    (4, "version", As::Text),
    (5, "resource", As::Text),
    (6, "subresource", As::Text),
    (7, "name", As::Text),
];
const PATH_ATTRIBUTES: &[Field] = &[(1, "path", As::Text), (2, "verb", As::Text)];
const ACCESS: &[Field] = &[
    (1, "resourceAttributes", As::Message(RESOURCE_ATTRIBUTES)),
    (2, "nonResourceAttributes", As::Message(PATH_ATTRIBUTES)),
];

/// The fields of a kind's message.
fn message_of(kind: &str) -> Option<&'static [Field]> {
    Some(match kind {
        "ConfigMap" => &[
            METADATA,
            (2, "data", As::Map),
            (3, "binaryData", As::ByteMap),
            (4, "immutable", As::Flag),
        ],
        "Deployment" => &[METADATA, (2, "spec", As::Message(DEPLOYMENT))],
        "Job" => &[METADATA, (2, "spec", As::Message(JOB))],
        "Namespace" | "ServiceAccount" | "SelfSubjectReview" => &[METADATA],
        "Secret" => &[
            METADATA,
            (2, "data", As::ByteMap),
            (3, "type", As::Text),
            (4, "stringData", As::Map),
            (5, "immutable", As::Flag),
        ],
        "SelfSubjectAccessReview" => &[METADATA, (2, "spec", As::Message(ACCESS))],
        _ => return None,
    })
}

/// The body as JSON; nothing if it holds anything that is not known here.
pub(crate) fn to_json(body: &[u8]) -> Option<Value> {
    const ENVELOPE: &[Field] =
        &[(1, "type", As::Message(TYPE)), (2, "raw", As::Bytes), (4, "contentType", As::Text)];
    const TYPE: &[Field] = &[(1, "apiVersion", As::Text), (2, "kind", As::Text)];
    let envelope = message(body.strip_prefix(MAGIC)?, ENVELOPE, 0)?;
    let kind = envelope["type"]["kind"].as_str()?;
    let raw = envelope.get("raw").and_then(Value::as_str).unwrap_or_default();
    let raw = base64::prelude::BASE64_STANDARD.decode(raw).ok()?;
    let mut object = message(&raw, message_of(kind)?, 0)?;
    object["apiVersion"] = envelope["type"]["apiVersion"].clone();
    object["kind"] = json!(kind);
    Some(object)
}

/// What one field carries.
enum Content<'b> {
    Number(u64),
    Bytes(&'b [u8]),
}

impl Content<'_> {
    fn is_empty(&self) -> bool {
        match self {
            Self::Number(number) => *number == 0,
            // A message of nothing but unset fields counts as empty.
            Self::Bytes(bytes) => {
                let mut rest = *bytes;
                while !rest.is_empty() {
                    match next(&mut rest) {
                        Some((_, content)) if content.is_empty() => {}
                        _ => return false,
                    }
                }
                true
            }
        }
    }
}

/// Takes one field off the front.
fn next<'b>(bytes: &mut &'b [u8]) -> Option<(u64, Content<'b>)> {
    let tag = varint(bytes)?;
    let content = match tag & 7 {
        0 => Content::Number(varint(bytes)?),
        2 => {
            let length = usize::try_from(varint(bytes)?).ok()?;
            let (content, rest) = bytes.split_at_checked(length)?;
            *bytes = rest;
            Content::Bytes(content)
        }
        _ => return None,
    };
    Some((tag >> 3, content))
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn message(mut bytes: &[u8], fields: &[Field], depth: usize) -> Option<Value> {
    if depth > MAX_DEPTH {
        return None;
    }
    let mut object = Map::new();
    while !bytes.is_empty() {
        let (number, content) = next(&mut bytes)?;
        match fields.iter().find(|field| field.0 == number) {
            Some((_, name, kind)) => add(&mut object, name, *kind, &content, depth)?,
            None if content.is_empty() => {}
            None => return None,
        }
    }
    Some(Value::Object(object))
}

fn add(
    object: &mut Map<String, Value>,
    name: &str,
    kind: As,
    content: &Content<'_>,
    depth: usize,
) -> Option<()> {
    let mut set = |value: Value| {
        object.insert(name.to_owned(), value);
    };
    match (kind, content) {
        (As::Text, Content::Bytes(bytes)) => {
            if !bytes.is_empty() {
                set(json!(text(bytes)?));
            }
        }
        (As::Bytes, Content::Bytes(bytes)) => set(json!(base64_of(bytes))),
        (As::Flag, Content::Number(number)) => set(json!(*number != 0)),
        (As::Number, Content::Number(0)) => {}
        (As::Number | As::Optional, Content::Number(number)) => set(json!(number.cast_signed())),
        (As::Message(fields), Content::Bytes(bytes)) => set(message(bytes, fields, depth + 1)?),
        (As::Texts, Content::Bytes(bytes)) => push(object, name, json!(text(bytes)?)),
        (As::Messages(fields), Content::Bytes(bytes)) => {
            let item = message(bytes, fields, depth + 1)?;
            push(object, name, item);
        }
        (As::Map | As::ByteMap | As::Quantities, Content::Bytes(bytes)) => {
            let (key, value) = entry(bytes, kind)?;
            let map = object.entry(name.to_owned()).or_insert_with(|| json!({}));
            map[key] = value;
        }
        _ => return None,
    }
    Some(())
}

fn push(object: &mut Map<String, Value>, name: &str, item: Value) {
    let list = object.entry(name.to_owned()).or_insert_with(|| json!([]));
    list.as_array_mut().expect("made a list when first pushed").push(item);
}

fn entry(mut bytes: &[u8], kind: As) -> Option<(String, Value)> {
    let (mut key, mut value) = (String::new(), json!(""));
    while !bytes.is_empty() {
        match (next(&mut bytes)?, kind) {
            ((1, Content::Bytes(content)), _) => key = text(content)?,
            ((2, Content::Bytes(content)), As::Map) => value = json!(text(content)?),
            ((2, Content::Bytes(content)), As::ByteMap) => value = json!(base64_of(content)),
            ((2, Content::Bytes(content)), _) => {
                let quantity = message(content, &[(1, "text", As::Text)], 0)?;
                value = quantity.get("text").cloned().unwrap_or_else(|| json!("0"));
            }
            _ => return None,
        }
    }
    Some((key, value))
}

fn text(bytes: &[u8]) -> Option<String> {
    String::from_utf8(bytes.to_vec()).ok()
}

fn base64_of(bytes: &[u8]) -> String {
    base64::prelude::BASE64_STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(number: u8, content: &[u8]) -> Vec<u8> {
        let length = u8::try_from(content.len()).expect("a short field");
        [&[number << 3 | 2, length], content].concat()
    }

    fn body(kind: &str, raw: &[u8]) -> Vec<u8> {
        let kind = [field(1, b"v1"), field(2, kind.as_bytes())].concat();
        [MAGIC.to_vec(), field(1, &kind), field(2, raw), field(3, b""), field(4, b"")].concat()
    }

    #[test]
    fn a_config_map_is_what_it_is_in_json() {
        let metadata = [field(1, b"a"), field(2, b""), field(3, b"ns"), field(8, b"")].concat();
        let entry = [field(1, b"k"), field(2, b"v")].concat();
        let bytes = body("ConfigMap", &[field(1, &metadata), field(2, &entry)].concat());
        assert_eq!(
            to_json(&bytes),
            Some(json!({
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": "a", "namespace": "ns"},
                "data": {"k": "v"},
            }))
        );
    }

    #[test]
    fn what_is_not_known_is_not_dropped() {
        assert!(to_json(&body("ConfigMap", &field(9, b"\x0a\x01x"))).is_none());
        assert!(to_json(&body("ConfigMap", &field(9, b"\x0a\x00\x10\x00"))).is_some());
        assert!(to_json(&body("Pod", &field(1, b""))).is_none());
        assert!(to_json(b"{}").is_none());
        assert!(to_json(&body("ConfigMap", b"\x0a\xff\x01")).is_none(), "cut off");
    }
}
