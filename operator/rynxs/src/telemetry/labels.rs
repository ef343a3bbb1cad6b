//! Closed lists of label values: one line per variant gives both its text and its place in the
//! list that metrics are initialised from, so neither can miss one.

use rynxs_operator::observe::{ElectionFailure, PutError, Queue, RefusedBy, Resource};

/// A label whose values are known.
pub(super) trait Label: Sized + 'static {
    /// Every value.
    const ALL: &'static [Self];
    /// The value as it is exported.
    fn text(&self) -> &'static str;
    /// Every value as it is exported.
    fn texts() -> Vec<&'static str> {
        Self::ALL.iter().map(Self::text).collect()
    }
}

macro_rules! labels {
    ($type:ident { $($variant:ident => $text:literal),+ $(,)? }) => {
        impl Label for $type {
            const ALL: &'static [Self] = &[$($type::$variant),+];
            fn text(&self) -> &'static str {
                match self {
                    $($type::$variant => $text),+
                }
            }
        }
    };
}

labels!(Resource { Agent => "agent", Session => "session", Unwanted => "unwanted" });

labels!(ElectionFailure {
    Conflict => "conflict",
    NotFound => "not_found",
    Forbidden => "forbidden",
    Throttled => "throttled",
    ServerError => "server_error",
    Timeout => "timeout",
    Connection => "connection",
    Undecodable => "undecodable",
    DeadlineExceeded => "deadline_exceeded",
    ClockJump => "clock_jump",
});

labels!(PutError {
    PreconditionFailed => "precondition_failed",
    Conflict => "conflict",
    Throttled => "throttled",
    ServerError => "server_error",
    Timeout => "timeout",
    Connection => "connection",
    AccessDenied => "access_denied",
    NoSuchBucket => "no_such_bucket",
    Rejected => "rejected",
});

labels!(RefusedBy {
    Log => "log",
    ResourceVersion => "resource_version",
    Policy => "policy",
    Guard => "guard",
});

labels!(Queue {
    Journal => "journal",
    Reconcile => "reconcile",
    Watch => "watch",
    KubernetesEvents => "kubernetes_events",
});

/// Status codes that are counted one by one; `0` is no answer, all others are `other`.
const CODES: [(u16, &str); 21] = [
    (0, "0"),
    (200, "200"),
    (201, "201"),
    (202, "202"),
    (400, "400"),
    (401, "401"),
    (403, "403"),
    (404, "404"),
    (405, "405"),
    (406, "406"),
    (409, "409"),
    (410, "410"),
    (412, "412"),
    (413, "413"),
    (415, "415"),
    (422, "422"),
    (429, "429"),
    (500, "500"),
    (502, "502"),
    (503, "503"),
    (504, "504"),
];

/// What is exported for a value that stands in no list.
const OTHER: &str = "other";

/// A status code as a label of a closed list.
pub(super) fn code(code: u16) -> &'static str {
    CODES.iter().find(|(number, _)| *number == code).map_or(OTHER, |(_, text)| text)
}

/// Every status code as it is exported.
pub(super) fn codes() -> Vec<&'static str> {
    with_other(CODES.iter().map(|(_, text)| *text))
}

/// A value of a list, or the one that stands for all others.
pub(super) fn one_of(list: &[&'static str], value: &str) -> &'static str {
    list.iter().find(|known| **known == value).copied().unwrap_or(OTHER)
}

/// A list and the value that stands for all others.
pub(super) fn with_other(list: impl IntoIterator<Item = &'static str>) -> Vec<&'static str> {
    list.into_iter().chain([OTHER]).collect()
}
