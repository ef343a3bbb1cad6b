//! Forms of names that other systems prescribe: Kubernetes' DNS names, S3's buckets, keys and
//! endpoints. Each check says what is wrong, or nothing.

/// Why `name` is no DNS label (RFC 1123, at most 63 characters).
pub(super) fn dns_label(name: &str) -> Option<String> {
    if name.is_empty() {
        return Some("must not be empty".to_owned());
    }
    if name.len() > 63 {
        return Some(format!(
            "has {} characters, {} over the limit of 63",
            name.len(),
            name.len() - 63
        ));
    }
    label_form(name)
}

/// Why `name` is no DNS subdomain (RFC 1123, at most 253 characters).
pub(super) fn dns_subdomain(name: &str) -> Option<String> {
    if name.is_empty() {
        return Some("must not be empty".to_owned());
    }
    if name.len() > 253 {
        return Some(format!(
            "has {} characters, {} over the limit of 253",
            name.len(),
            name.len() - 253
        ));
    }
    name.split('.').find_map(|part| {
        if part.is_empty() {
            Some("has an empty part between dots".to_owned())
        } else {
            label_form(part)
        }
    })
}

fn label_form(label: &str) -> Option<String> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if let Some(bad) = label.chars().find(|c| !allowed(*c)) {
        return Some(format!("has {bad:?}; only lower-case letters, digits and '-' are allowed"));
    }
    if label.starts_with('-') || label.ends_with('-') {
        return Some("must begin and end with a letter or digit".to_owned());
    }
    None
}

/// Why `name` is no bucket name.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html>
pub(super) fn bucket(name: &str) -> Option<String> {
    if !(3..=63).contains(&name.len()) {
        return Some(format!("has {} characters, must have 3 to 63", name.len()));
    }
    if let Some(problem) = dns_subdomain(name) {
        return Some(problem);
    }
    if name.split('.').count() == 4 && name.split('.').all(|part| part.parse::<u8>().is_ok()) {
        return Some("must not look like an IP address".to_owned());
    }
    for prefix in ["xn--", "sthree-", "amzn-s3-demo-"] {
        if name.starts_with(prefix) {
            return Some(format!("begins with {prefix:?}, which is reserved"));
        }
    }
    for suffix in ["-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"] {
        if name.ends_with(suffix) {
            return Some(format!("ends with {suffix:?}, which is reserved"));
        }
    }
    None
}

/// Why `prefix` cannot stand before `/{seq:010}.json`.
pub(super) fn key_prefix(prefix: &str) -> Option<String> {
    if prefix.is_empty() {
        return Some("must not be empty: the log shares its bucket with checkpoints".to_owned());
    }
    if prefix.len() > 512 {
        return Some(format!(
            "has {} bytes, {} over the limit of 512",
            prefix.len(),
            prefix.len() - 512
        ));
    }
    if prefix.starts_with('/') || prefix.ends_with('/') {
        return Some("must not begin or end with '/'".to_owned());
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || "/-_.".contains(c);
    if let Some(bad) = prefix.chars().find(|c| !allowed(*c)) {
        return Some(format!("has {bad:?}; only letters, digits, '/', '-', '_', '.' are allowed"));
    }
    prefix
        .split('/')
        .find(|part| matches!(*part, "" | "." | ".."))
        .map(|part| format!("has the part {part:?}, which clients and proxies rewrite"))
}

/// Why `endpoint` is not `http(s)://host[:port]`.
pub(super) fn endpoint(endpoint: &str) -> Option<String> {
    let Some(rest) = endpoint.strip_prefix("https://").or_else(|| endpoint.strip_prefix("http://"))
    else {
        return Some("must begin with http:// or https://".to_owned());
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    if let Some(bad) = rest.chars().find(|c| "/?#@".contains(*c)) {
        return Some(format!(
            "has {bad:?} after the scheme; only host and port are allowed, the bucket is a setting \
             of its own"
        ));
    }
    let (host, port) = match rest.strip_prefix('[').and_then(|v6| v6.split_once(']')) {
        Some((v6, port)) => {
            if v6.parse::<std::net::Ipv6Addr>().is_err() {
                return Some(format!("has {v6:?} in brackets, which is no IPv6 address"));
            }
            (None, port.strip_prefix(':').or((!port.is_empty()).then_some(port)))
        }
        None => match rest.split_once(':') {
            Some((host, port)) => (Some(host), Some(port)),
            None => (Some(rest), None),
        },
    };
    if let Some(problem) = host.and_then(|host| dns_subdomain(&host.to_ascii_lowercase())) {
        return Some(format!("its host {problem}"));
    }
    match port.map(str::parse::<u16>) {
        Some(Err(_) | Ok(0)) => Some("its port must be a number from 1 to 65535".to_owned()),
        _ => None,
    }
}

/// Why `region` is no region name.
pub(super) fn region(region: &str) -> Option<String> {
    dns_label(region)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_names_pass() {
        for name in ["a", "rynxs", "rynxs-0", "0a"] {
            assert_eq!(dns_label(name), None, "{name}");
        }
        for name in ["rynxs-events", "my.bucket.1", "123"] {
            assert_eq!(bucket(name), None, "{name}");
        }
        for prefix in ["events", "a/b_c/d.e"] {
            assert_eq!(key_prefix(prefix), None, "{prefix}");
        }
        for address in [
            "https://s3.us-east-1.amazonaws.com",
            "http://minio:9000",
            "http://127.0.0.1:9000/",
            "http://[::1]:9000",
            "http://[::1]",
        ] {
            assert_eq!(endpoint(address), None, "{address}");
        }
    }

    #[test]
    fn bad_names_are_refused() {
        let long = "a".repeat(64);
        for name in ["", "A", "a_b", "-a", "a-", long.as_str(), "a.b"] {
            assert!(dns_label(name).is_some(), "{name}");
        }
        for name in ["ab", "Upper", "a..b", "192.168.0.1", "xn--a", "a-s3alias", ".ab", "a_b"] {
            assert!(bucket(name).is_some(), "{name}");
        }
        for prefix in ["", "/a", "a/", "a//b", "a/../b", "a b", "ä"] {
            assert!(key_prefix(prefix).is_some(), "{prefix}");
        }
        for address in [
            "minio:9000",
            "ftp://minio",
            "http://",
            "http://minio:0",
            "http://minio:x",
            "http://minio:70000",
            "http://minio/bucket",
            "http://user@minio",
            "http://minio?x",
            "http://[::zz]:1",
            "http://[::1]x",
        ] {
            assert!(endpoint(address).is_some(), "{address}");
        }
    }
}
