//! Names and labels (RFC 1123, k8s.io/apimachinery `validation`).

/// What a label value must look like.
pub(super) const LABEL_VALUE: &str = "a valid label must be an empty string or consist of \
    alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric \
    character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is \
    '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric \
    characters, '-' or '.', and must start and end with an alphanumeric character (e.g. \
    'example.com', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters \
    or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', \
    regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";

fn is_label(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// What is wrong with the name of an object of this kind.
pub(super) fn problem(group: &str, kind: &str, name: &str) -> Option<String> {
    if group == "rbac.authorization.k8s.io" {
        // Role names are path segments: anything but `.`, `..`, `/` and `%`.
        let bad = matches!(name, "." | "..") || name.contains(['/', '%']);
        return bad.then(|| "may not contain '/' or '%', or be '.' or '..'".to_owned());
    }
    let is_one_label = matches!(kind, "Namespace" | "Service");
    let limit = if is_one_label { 63 } else { 253 };
    if name.len() > limit {
        return Some(format!("must be no more than {limit} characters"));
    }
    if is_one_label {
        return (!is_label(name)).then(|| LABEL.to_owned());
    }
    (!name.split('.').all(is_label)).then(|| SUBDOMAIN.to_owned())
}

/// Whether a text may be the value of a label.
pub(super) fn is_label_value(text: &str) -> bool {
    text.is_empty() || is_qualified_name(text)
}

fn is_qualified_name(text: &str) -> bool {
    let alphanumeric_end = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    text.len() <= 63
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        && alphanumeric_end(text.as_bytes().first())
        && alphanumeric_end(text.as_bytes().last())
}

/// What is wrong with the key of a label.
pub(super) fn label_key_problem(key: &str) -> Option<String> {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    let prefix_ok =
        prefix.is_none_or(|p| !p.is_empty() && p.len() <= 253 && p.split('.').all(is_label));
    (!prefix_ok || !is_qualified_name(name)).then(|| {
        "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and \
         end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex \
         used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_their_kind() {
        for (kind, name, good) in [
            ("ConfigMap", "a-b.c", true),
            ("ConfigMap", "A", false),
            ("ConfigMap", "-a", false),
            ("ConfigMap", "a..b", false),
            ("Namespace", "a.b", false),
            ("Namespace", "team-1", true),
        ] {
            assert_eq!(problem("", kind, name).is_none(), good, "{kind} {name}");
        }
        assert!(problem("rbac.authorization.k8s.io", "ClusterRole", "system:x").is_none());
        assert!(label_key_problem("rynxs.universe.ai/agent").is_none());
        assert!(label_key_problem("a b").is_some());
        assert!(!is_label_value("-x"));
    }
}
