//! Listings in key order: bytes of UTF-8, as S3 orders them.
//!
//! Own file because takeover stands on it: "the first key after the tail" must be exact, and never
//! hide a key that no record can have.

use std::ops::Bound;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::state::{Bucket, Object, Version};

/// Where a listing goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cursor {
    /// After this key.
    AfterKey(String),
    /// After every key that begins with this common prefix.
    PastPrefix(String),
}

impl Cursor {
    /// The opaque token that a client sends back.
    pub(crate) fn token(&self) -> String {
        BASE64_STANDARD.encode(match self {
            Self::AfterKey(key) => format!("k{key}"),
            Self::PastPrefix(prefix) => format!("p{prefix}"),
        })
    }

    pub(crate) fn parse(token: &str) -> Option<Self> {
        let text = String::from_utf8(BASE64_STANDARD.decode(token).ok()?).ok()?;
        if let Some(key) = text.strip_prefix('k') {
            return Some(Self::AfterKey(key.to_owned()));
        }
        Some(Self::PastPrefix(text.strip_prefix('p')?.to_owned()))
    }
}

/// What is asked of a listing of current objects.
pub(crate) struct Query<'a> {
    pub(crate) prefix: &'a str,
    pub(crate) delimiter: Option<&'a str>,
    pub(crate) from: Option<Cursor>,
    pub(crate) limit: usize,
}

/// One page of a listing.
#[derive(Default)]
pub(crate) struct Page<'a> {
    pub(crate) keys: Vec<(&'a str, &'a Version, &'a Object)>,
    pub(crate) prefixes: Vec<String>,
    /// Where the next page begins, if there is one.
    pub(crate) next: Option<Cursor>,
}

impl Page<'_> {
    pub(crate) fn len(&self) -> usize {
        self.keys.len() + self.prefixes.len()
    }
}

pub(crate) fn page<'a>(bucket: &'a Bucket, query: &Query<'_>) -> Page<'a> {
    let mut page = Page::default();
    if query.limit == 0 {
        return page;
    }
    let mut rolled: Option<String> = None;
    let mut start = Bound::Included(query.prefix);
    match &query.from {
        Some(Cursor::AfterKey(key)) if key.as_str() >= query.prefix => {
            start = Bound::Excluded(key);
        }
        Some(Cursor::PastPrefix(prefix)) => {
            start = Bound::Included(prefix);
            rolled = Some(prefix.clone());
        }
        Some(Cursor::AfterKey(_)) | None => {}
    }
    let mut last = None;
    for (key, versions) in bucket.keys.range::<str, _>((start, Bound::Unbounded)) {
        if !key.starts_with(query.prefix) {
            break;
        }
        if rolled.as_deref().is_some_and(|prefix| key.starts_with(prefix)) {
            continue;
        }
        let Some(version) = versions.last() else { continue };
        let Some(object) = &version.object else { continue };
        if page.len() == query.limit {
            page.next = last;
            break;
        }
        match common_prefix(key, query) {
            Some(prefix) => {
                last = Some(Cursor::PastPrefix(prefix.clone()));
                rolled = Some(prefix.clone());
                page.prefixes.push(prefix);
            }
            None => {
                last = Some(Cursor::AfterKey(key.clone()));
                page.keys.push((key, version, object));
            }
        }
    }
    page
}

fn common_prefix(key: &str, query: &Query<'_>) -> Option<String> {
    let delimiter = query.delimiter.filter(|delimiter| !delimiter.is_empty())?;
    let rest = &key[query.prefix.len()..];
    let end = query.prefix.len() + rest.find(delimiter)? + delimiter.len();
    Some(key[..end].to_owned())
}

/// One page of all versions: keys in order, versions of a key newest first.
#[derive(Default)]
pub(crate) struct VersionPage<'a> {
    /// Key, version, whether it is the newest of its key.
    pub(crate) entries: Vec<(&'a str, &'a Version, bool)>,
    /// Key and version id of the last entry, if there are more.
    pub(crate) next: Option<(String, String)>,
}

pub(crate) fn version_page<'a>(
    bucket: &'a Bucket,
    prefix: &str,
    after: Option<(&str, Option<&str>)>,
    limit: usize,
) -> VersionPage<'a> {
    let mut page = VersionPage::default();
    if limit == 0 {
        return page;
    }
    let start = match after {
        Some((key, Some(_))) if key >= prefix => Bound::Included(key),
        Some((key, None)) if key >= prefix => Bound::Excluded(key),
        _ => Bound::Included(prefix),
    };
    for (key, versions) in bucket.keys.range::<str, _>((start, Bound::Unbounded)) {
        if !key.starts_with(prefix) {
            break;
        }
        // Within the marker's key, go on after the marker's version.
        let marker = after.filter(|(marked, _)| marked == key).and_then(|(_, id)| id);
        let seen = marker.and_then(|id| versions.iter().position(|version| version.id == id));
        let end = seen.unwrap_or(versions.len());
        for (at, version) in versions[..end].iter().enumerate().rev() {
            if page.entries.len() == limit {
                let last = page
                    .entries
                    .last()
                    .map(|(key, version, _)| ((*key).to_owned(), version.id.clone()));
                page.next = last;
                return page;
            }
            page.entries.push((key, version, at + 1 == versions.len()));
        }
    }
    page
}

/// Percent-encodes all but unreserved characters and `/`, for `encoding-type=url`.
pub(crate) fn url_encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn bucket(keys: &[&str]) -> Bucket {
        let mut bucket = Bucket::new(0, false, false);
        for key in keys {
            let object = Object {
                bytes: bytes::Bytes::new(),
                etag: String::new(),
                checksums: Default::default(),
                content_type: None,
                metadata: BTreeMap::new(),
                retention: None,
                legal_hold: false,
            };
            let version = Version { id: "null".to_owned(), modified_ms: 0, object: Some(object) };
            bucket.push(key, version);
        }
        bucket
    }

    /// All pages of a listing, keys and prefixes in the order in which they came.
    fn walk(bucket: &Bucket, prefix: &str, delimiter: Option<&str>, limit: usize) -> Vec<String> {
        let mut all = Vec::new();
        let mut from = None;
        loop {
            let page = page(bucket, &Query { prefix, delimiter, from, limit });
            assert!(page.len() <= limit);
            let mut names: Vec<String> =
                page.keys.iter().map(|(key, ..)| (*key).to_owned()).collect();
            names.extend(page.prefixes.clone());
            names.sort();
            all.extend(names);
            match page.next {
                None => return all,
                Some(next) => from = Cursor::parse(&next.token()),
            }
            assert!(from.is_some(), "a token that was given out is understood");
        }
    }

    #[test]
    fn pages_of_any_size_show_every_key_once() {
        let bucket = bucket(&["a", "a/", "a/1", "a/2", "a/b/3", "b", "b/1", "c", "ä/1"]);
        for limit in 1..=10 {
            assert_eq!(
                walk(&bucket, "", None, limit),
                ["a", "a/", "a/1", "a/2", "a/b/3", "b", "b/1", "c", "ä/1"]
            );
            assert_eq!(walk(&bucket, "", Some("/"), limit), ["a", "a/", "b", "b/", "c", "ä/"]);
            assert_eq!(walk(&bucket, "a/", Some("/"), limit), ["a/", "a/1", "a/2", "a/b/"]);
            assert!(walk(&bucket, "x", None, limit).is_empty());
        }
    }

    #[test]
    fn start_before_the_prefix_begins_at_the_prefix() {
        let bucket = bucket(&["events/0", "events/1", "other"]);
        let from = Some(Cursor::AfterKey("a".to_owned()));
        let page = page(&bucket, &Query { prefix: "events/", delimiter: None, from, limit: 1 });
        assert_eq!(page.keys[0].0, "events/0");
        assert!(page.next.is_some());
    }
}
