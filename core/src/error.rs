//! What a caller must do about an error, whatever went wrong underneath.

/// The caller's next step. Every public error of rynxs maps to exactly one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ErrorKind {
    /// Transient: the same request may succeed later; back off and send it again.
    Retry,
    /// Somebody else changed the object: read afresh, decide again.
    Conflict,
    /// A newer epoch exists: stop leading, never retry.
    Fenced,
    /// A person's input is wrong: say where, what and how to mend it; retrying is useless.
    Invalid,
    /// The log is not what it must be: halt loudly and keep every byte.
    Corrupt,
    /// The installation is wrong (bucket, rights, settings): say so and stay not ready.
    Config,
    /// An invariant of this program is broken.
    Bug,
}
