//! The bytes on the wire: the seam between this code and the world.

use std::fmt;

use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::BoxStream;

/// To whom a request goes. The adapter knows the address, TLS and, for Kubernetes, authentication.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    /// The Kubernetes API; request targets are paths such as `/api/v1/configmaps`.
    Kubernetes,
    /// The object store; requests are signed and their targets are absolute.
    ObjectStore,
}

/// Why no whole answer came.
///
/// `Unknown` is not a failure: the request may have been applied, or may be applied later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NetError {
    /// No byte of the request left this machine.
    NotSent(String),
    /// The request may have been, or may yet be, applied.
    Unknown(String),
}

impl fmt::Display for NetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSent(why) => write!(f, "request not sent: {why}"),
            Self::Unknown(why) => write!(f, "no answer, the request may have been applied: {why}"),
        }
    }
}

impl std::error::Error for NetError {}

/// A body broke off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// The connection broke before the end.
    Broken(String),
    /// More bytes than the caller allows.
    TooLarge {
        /// The limit, bytes.
        limit_bytes: usize,
    },
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken(why) => write!(f, "answer broke off: {why}"),
            Self::TooLarge { limit_bytes } => {
                write!(f, "answer is larger than {limit_bytes} bytes")
            }
        }
    }
}

impl std::error::Error for BodyError {}

/// An answer's body: whole, or a stream that may never end (a watch).
pub enum Body {
    /// All bytes are here.
    Full(Bytes),
    /// Chunks as they arrive.
    Stream(BoxStream<'static, Result<Bytes, BodyError>>),
}

impl Body {
    /// Reads to the end, refusing more than `limit_bytes`.
    pub async fn collect(self, limit_bytes: usize) -> Result<Bytes, BodyError> {
        match self {
            Self::Full(bytes) if bytes.len() > limit_bytes => {
                Err(BodyError::TooLarge { limit_bytes })
            }
            Self::Full(bytes) => Ok(bytes),
            Self::Stream(mut chunks) => {
                let mut whole = BytesMut::new();
                while let Some(chunk) = chunks.next().await {
                    let chunk = chunk?;
                    if whole.len() + chunk.len() > limit_bytes {
                        return Err(BodyError::TooLarge { limit_bytes });
                    }
                    whole.extend_from_slice(&chunk);
                }
                Ok(whole.freeze())
            }
        }
    }

    /// The body as a stream, whole or not.
    #[must_use]
    pub fn into_stream(self) -> BoxStream<'static, Result<Bytes, BodyError>> {
        match self {
            Self::Full(bytes) => futures::stream::once(async move { Ok(bytes) }).boxed(),
            Self::Stream(chunks) => chunks,
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(bytes) => write!(f, "Body::Full({} bytes)", bytes.len()),
            Self::Stream(_) => f.write_str("Body::Stream"),
        }
    }
}

/// Sends requests. No retries, no timeouts: both are the caller's, on the caller's clock.
///
/// Dropping the future abandons the answer, not necessarily the request.
pub trait Network: Send + Sync {
    /// Sends one request and returns the head of its answer.
    fn send(
        &self,
        service: Service,
        request: http::Request<Bytes>,
    ) -> BoxFuture<'static, Result<http::Response<Body>, NetError>>;
}
