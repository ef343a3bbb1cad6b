//! The bytes on the wire: one client for the Kubernetes API, one for the object store.

use std::error::Error;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt};
use hyper_util::client::legacy::Error as ClientError;
use rynxs_operator::ports::{Body, NetError, Network, Service};

use super::{Kubernetes, ObjectStore};

/// Sends to whichever service is set up; a request to one that is not is `NotSent`.
#[derive(Clone, Default)]
pub struct RealNetwork {
    kubernetes: Option<Arc<Kubernetes>>,
    object_store: Option<Arc<ObjectStore>>,
}

impl RealNetwork {
    /// A network of the given services.
    #[must_use]
    pub fn new(kubernetes: Option<Kubernetes>, object_store: Option<ObjectStore>) -> Self {
        Self { kubernetes: kubernetes.map(Arc::new), object_store: object_store.map(Arc::new) }
    }
}

impl Network for RealNetwork {
    fn send(
        &self,
        service: Service,
        request: http::Request<Bytes>,
    ) -> BoxFuture<'static, Result<http::Response<Body>, NetError>> {
        let (kubernetes, object_store) = (self.kubernetes.clone(), self.object_store.clone());
        async move {
            match service {
                Service::Kubernetes => match kubernetes {
                    Some(client) => client.send(request).await,
                    None => Err(NetError::NotSent("no Kubernetes API is set up".to_owned())),
                },
                Service::ObjectStore => match object_store {
                    Some(client) => client.send(request).await,
                    None => Err(NetError::NotSent("no object store is set up".to_owned())),
                },
            }
        }
        .boxed()
    }
}

/// Classifies a client's error.
///
/// Only a connection that was never established proves that no byte of the request left: name
/// resolution, TCP connect, TLS handshake. Everything else is `Unknown`, also errors that look
/// harmless, because a request written to a dying connection may have arrived (I2, I4).
pub(super) fn classify(error: &(dyn Error + 'static)) -> NetError {
    let why = describe(error);
    match find::<ClientError>(error) {
        Some(client) if client.is_connect() => NetError::NotSent(why),
        _ => NetError::Unknown(why),
    }
}

/// The error and its sources on one line, without saying the same twice.
pub(super) fn describe(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let said = source.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        next = source.source();
    }
    text
}

/// The first error of type `E` along the chain of sources.
fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        next = error.source();
    }
    None
}
