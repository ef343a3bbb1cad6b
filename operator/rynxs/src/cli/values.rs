//! Values of flags and variables that clap does not know by itself.

use std::time::Duration;

use rynxs_core::config::span;

/// A span of time such as `15s` or `1m30s`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    span::parse(text).map_err(|error| error.to_string())
}

/// A path that begins with `/` and has nothing that a router would read as a pattern.
pub(super) fn url_path(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/-_.".contains(c);
    if text.len() > 1 && text.starts_with('/') && text.chars().all(plain) {
        if ["/livez", "/readyz"].contains(&text) {
            return Err(format!("{text} is a probe: choose another path"));
        }
        return Ok(text.to_owned());
    }
    Err("expected a path such as /metrics".to_owned())
}

/// Where a log is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// A directory: a local log, or a copy of a bucket's keys.
    Directory(std::path::PathBuf),
    /// A bucket and a prefix.
    Bucket {
        /// The bucket.
        bucket: String,
        /// Keys are `{prefix}/{seq:010}.json`.
        prefix: String,
    },
}

/// `DIR`, `file:///DIR` or `s3://BUCKET[/PREFIX]`.
pub(super) fn location(text: &str) -> Result<Location, String> {
    if let Some(rest) = text.strip_prefix("s3://") {
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let prefix = prefix.trim_end_matches('/');
        if bucket.is_empty() {
            return Err("expected s3://BUCKET/PREFIX".to_owned());
        }
        let prefix = if prefix.is_empty() { "events" } else { prefix };
        return Ok(Location::Bucket { bucket: bucket.to_owned(), prefix: prefix.to_owned() });
    }
    if text.starts_with("s3:") {
        return Err("expected s3://BUCKET/PREFIX".to_owned());
    }
    match text.split_once("://") {
        Some(("file", path)) => Ok(Location::Directory(path.into())),
        Some((scheme, _)) => {
            Err(format!("{scheme}:// is unknown: expected a directory or s3://BUCKET/PREFIX"))
        }
        None => Ok(Location::Directory(text.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_are_directories_or_buckets() {
        let bucket =
            |prefix: &str| Location::Bucket { bucket: "b".to_owned(), prefix: prefix.to_owned() };
        assert_eq!(location("s3://b"), Ok(bucket("events")));
        assert_eq!(location("s3://b/a/c/"), Ok(bucket("a/c")));
        assert_eq!(location("file:///x"), Ok(Location::Directory("/x".into())));
        assert_eq!(location("./x"), Ok(Location::Directory("./x".into())));
        assert!(location("s3://").is_err());
        assert!(location("s3:/b").is_err());
        assert!(location("gs://b").is_err());
    }

    #[test]
    fn the_metrics_path_cannot_hide_a_probe() {
        assert_eq!(url_path("/metrics"), Ok("/metrics".to_owned()));
        for bad in ["metrics", "/", "/{x}", "/livez", "/readyz"] {
            assert!(url_path(bad).is_err(), "{bad}");
        }
    }
}
