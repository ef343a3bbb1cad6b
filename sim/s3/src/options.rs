//! How one modelled store is set up: who may sign, which buckets exist, which personality it has.

/// A store's settings; the default is one bucket-less AWS-like store without identities.
#[derive(Clone, Debug)]
pub struct Options {
    /// Drives version ids and request ids, nothing else.
    pub seed: u64,
    /// Name of the region, as `HeadBucket` and `GetBucketLocation` tell it.
    pub region: String,
    /// Whose words and quirks are spoken where stores differ.
    pub dialect: Dialect,
    /// What becomes of `If-None-Match: *` on a PUT.
    pub conditional_puts: ConditionalPuts,
    /// Who may sign requests; unsigned requests are always refused.
    pub identities: Vec<Identity>,
    /// Buckets that exist from the start.
    pub buckets: Vec<BucketOptions>,
    /// Write attempts kept in the history; older ones are dropped, and counted.
    pub history_limit: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            seed: 0,
            region: "us-east-1".to_owned(),
            dialect: Dialect::Aws,
            conditional_puts: ConditionalPuts::Atomic,
            identities: Vec::new(),
            buckets: Vec::new(),
            // A simulated hour at 25 appends per second; a run that needs more says so.
            history_limit: 100_000,
        }
    }
}

impl Options {
    /// One bucket and one all-powerful key pair: what most tests need.
    #[must_use]
    pub fn simple(bucket: &str, access_key: &str, secret_key: &str) -> Self {
        Self {
            identities: vec![Identity::root(access_key, secret_key)],
            buckets: vec![BucketOptions::new(bucket)],
            ..Self::default()
        }
    }
}

/// Stores that differ in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Amazon S3.
    Aws,
    /// MinIO: does not know the condition key `s3:if-none-match`, and names a wrong checksum
    /// `XAmzContentChecksumMismatch`.
    Minio,
}

/// What a store makes of the condition of a put-if-absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConditionalPuts {
    /// Decides and applies in one step.
    Atomic,
    /// Overwrites silently.
    Ignored,
    /// Looks, lets others go first, then writes: several winners.
    Racy,
    /// Answers 501 `NotImplemented`.
    Unsupported,
}

/// Somebody who may sign requests.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Name, as in `arn:aws:iam::000000000000:user/NAME`.
    pub name: String,
    /// Access key id.
    pub access_key: String,
    /// Secret access key.
    pub secret_key: String,
    /// Temporary credentials must present this.
    pub session: Option<Session>,
    /// May do everything that no bucket policy denies.
    pub root: bool,
    /// Identity policy documents (JSON, without `Principal`).
    pub policies: Vec<String>,
}

/// The temporary part of temporary credentials.
#[derive(Clone, Debug)]
pub struct Session {
    /// Value of `x-amz-security-token`.
    pub token: String,
    /// Refused with `ExpiredToken` from then on, Unix milliseconds.
    pub expires_ms: u64,
}

impl Identity {
    /// The account itself.
    #[must_use]
    pub fn root(access_key: &str, secret_key: &str) -> Self {
        Self {
            name: "root".to_owned(),
            access_key: access_key.to_owned(),
            secret_key: secret_key.to_owned(),
            session: None,
            root: true,
            policies: Vec::new(),
        }
    }

    /// A user with one identity policy.
    #[must_use]
    pub fn user(name: &str, access_key: &str, secret_key: &str, policy: &str) -> Self {
        Self {
            name: name.to_owned(),
            root: false,
            policies: vec![policy.to_owned()],
            ..Self::root(access_key, secret_key)
        }
    }

    pub(crate) fn arn(&self) -> String {
        if self.root {
            "arn:aws:iam::000000000000:root".to_owned()
        } else {
            format!("arn:aws:iam::000000000000:user/{}", self.name)
        }
    }
}

/// A bucket that exists from the start.
#[derive(Clone, Debug)]
pub struct BucketOptions {
    /// Its name.
    pub name: String,
    /// Keep every version.
    pub versioned: bool,
    /// Object lock, for good; implies versions.
    pub object_lock: bool,
    /// Its policy (JSON).
    pub policy: Option<String>,
}

impl BucketOptions {
    /// A plain bucket.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), versioned: false, object_lock: false, policy: None }
    }
}
