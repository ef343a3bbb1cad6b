//! The Kubernetes API through kube's client: addresses, TLS and authentication.
//!
//! Its retry layer is off: whether a request may be sent again is for the operator to decide,
//! which knows what the request means. Its timeouts are only a last resort behind the operator's
//! own, so that no connection hangs for ever.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use http_body_util::BodyExt;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use rynxs_operator::ports::{Body, BodyError, NetError};

use super::network::{classify, describe};

/// A TCP connect and TLS handshake that take longer than this are given up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The server ends watches after at most 290 s and sends bookmarks every minute; a connection
/// silent for longer than that is dead.
const READ_TIMEOUT: Duration = Duration::from_secs(295);
/// A request body is at most a few hundred KiB.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// Where the API server is and who asks.
#[derive(Clone, Debug, Default)]
pub struct KubernetesOptions {
    /// A kubeconfig file; in the cluster, or `$KUBECONFIG` and `~/.kube/config`, if unset.
    pub kubeconfig: Option<PathBuf>,
    /// A context of the kubeconfig; its current one if unset.
    pub context: Option<String>,
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum KubernetesError {
    /// The kubeconfig cannot be used.
    #[error("kubeconfig {path}: {why}")]
    Kubeconfig {
        /// The file.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// Neither a kubeconfig nor a service account is there.
    #[error("no way to the Kubernetes API: {0}; run in a pod, set KUBECONFIG or --kubeconfig")]
    Nowhere(String),
    /// The settings do not make a client.
    #[error("Kubernetes client: {0}")]
    Client(String),
}

/// A client of one API server.
pub struct Kubernetes {
    client: Client,
    namespace: String,
}

impl Kubernetes {
    /// Reads the settings and builds the client; sends nothing.
    pub async fn connect(options: &KubernetesOptions) -> Result<Self, KubernetesError> {
        let mut config = Self::config(options).await?;
        config.default_retry = false;
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        config.read_timeout = Some(READ_TIMEOUT);
        config.write_timeout = Some(WRITE_TIMEOUT);
        let namespace = config.default_namespace.clone();
        let client =
            Client::try_from(config).map_err(|error| KubernetesError::Client(describe(&error)))?;
        Ok(Self { client, namespace })
    }

    async fn config(options: &KubernetesOptions) -> Result<Config, KubernetesError> {
        let context =
            KubeConfigOptions { context: options.context.clone(), ..KubeConfigOptions::default() };
        if let Some(path) = &options.kubeconfig {
            let broken =
                |why: String| KubernetesError::Kubeconfig { path: path.display().to_string(), why };
            let kubeconfig =
                Kubeconfig::read_from(path).map_err(|error| broken(describe(&error)))?;
            return Config::from_custom_kubeconfig(kubeconfig, &context)
                .await
                .map_err(|error| broken(describe(&error)));
        }
        if options.context.is_some() {
            return Config::from_kubeconfig(&context)
                .await
                .map_err(|error| KubernetesError::Nowhere(describe(&error)));
        }
        Config::infer().await.map_err(|error| KubernetesError::Nowhere(describe(&error)))
    }

    /// Namespace of the context or of the service account.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Sends one request and returns the head of its answer.
    pub async fn send(
        &self,
        request: http::Request<Bytes>,
    ) -> Result<http::Response<Body>, NetError> {
        let answer = self.client.send(request.map(kube::client::Body::from)).await;
        let answer = answer.map_err(|error| match &error {
            // The token is fetched before the request is handed to the connection.
            kube::Error::Auth(_) => NetError::NotSent(describe(&error)),
            _ => classify(&error),
        })?;
        let (head, body) = answer.into_parts();
        let chunks = body
            .into_data_stream()
            .map(|chunk| chunk.map_err(|error| BodyError::Broken(describe(&error))));
        Ok(http::Response::from_parts(head, Body::Stream(chunks.boxed())))
    }
}
