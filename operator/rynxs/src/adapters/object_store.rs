//! The object store through the AWS SDK's own HTTPS client.
//!
//! Requests arrive here signed. The client neither retries nor follows redirects: repeating a
//! conditional PUT is the append protocol's business (I2).

use std::path::PathBuf;
use std::time::Duration;

use aws_smithy_http_client::Connector;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorSettings};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use futures::StreamExt;
use http_body_util::BodyExt;
use rynxs_operator::ports::{Body, BodyError, NetError};

use super::network::{classify, describe};

/// A TCP connect and TLS handshake that take longer than this are given up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A last resort behind the operator's own timeouts: head of the answer not there by then.
const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// How to trust the store.
#[derive(Clone, Debug, Default)]
pub struct ObjectStoreOptions {
    /// PEM file of certificate authorities trusted besides the system's.
    pub ca_bundle: Option<PathBuf>,
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ObjectStoreError {
    /// The CA bundle cannot be read.
    #[error("CA bundle {path}: {why}")]
    CaBundle {
        /// The file.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// TLS cannot be set up.
    #[error("TLS for the object store: {0}")]
    Tls(String),
}

/// A client of one object store.
pub struct ObjectStore {
    connector: Connector,
}

impl ObjectStore {
    /// Builds the client; sends nothing.
    pub fn connect(options: &ObjectStoreOptions) -> Result<Self, ObjectStoreError> {
        let mut trusted = TrustStore::default();
        if let Some(path) = &options.ca_bundle {
            trusted.add_pem_certificate(read_bundle(path)?);
        }
        let tls = TlsContext::builder()
            .with_trust_store(trusted)
            .build()
            .map_err(|error| ObjectStoreError::Tls(error.to_string()))?;
        let settings = HttpConnectorSettings::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .build();
        let connector = Connector::builder()
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .tls_context(tls)
            .connector_settings(settings)
            .sleep_impl(aws_smithy_async::rt::sleep::TokioSleep::new())
            .build();
        Ok(Self { connector })
    }

    /// Sends one request and returns the head of its answer.
    pub async fn send(
        &self,
        request: http::Request<Bytes>,
    ) -> Result<http::Response<Body>, NetError> {
        let request = HttpRequest::try_from(request.map(SdkBody::from))
            .map_err(|error| NetError::NotSent(describe(&error)))?;
        let answer = self.connector.call(request).await.map_err(|error| classify(&error))?;
        let answer = answer
            .try_into_http1x()
            .map_err(|error| NetError::Unknown(format!("unreadable answer: {error}")))?;
        let (head, body) = answer.into_parts();
        let chunks = body
            .into_data_stream()
            .map(|chunk| chunk.map_err(|error| BodyError::Broken(describe(error.as_ref()))));
        Ok(http::Response::from_parts(head, Body::Stream(chunks.boxed())))
    }
}

/// Reads a PEM file and makes sure that it holds a certificate: TLS would panic on it later.
fn read_bundle(path: &std::path::Path) -> Result<Vec<u8>, ObjectStoreError> {
    let broken = |why: String| ObjectStoreError::CaBundle { path: path.display().to_string(), why };
    let pem = std::fs::read(path).map_err(|error| broken(error.to_string()))?;
    let begins = b"-----BEGIN CERTIFICATE-----";
    if !pem.windows(begins.len()).any(|window| window == begins) {
        return Err(broken("holds no PEM certificate".to_owned()));
    }
    Ok(pem)
}
