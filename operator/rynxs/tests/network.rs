//! The network adapters on real sockets: what they call `NotSent` cannot have arrived.

#![allow(missing_docs, reason = "a test")]
#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use http::{Method, Request};
use rynxs::adapters::{
    Kubernetes, KubernetesOptions, ObjectStore, ObjectStoreOptions, RealNetwork,
};
use rynxs_operator::ports::{Body, NetError, Network, Service};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What the peer does with each connection.
#[derive(Clone, Copy)]
enum Peer {
    /// Reads the request, then closes without a word.
    ReadsAndCloses,
    /// Closes at once.
    Closes,
    /// Answers with two chunks, a while apart, and leaves the connection open.
    Streams,
    /// Answers with half of the body that it promised.
    BreaksOff,
}

async fn peer(behaviour: Peer) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(play(stream, behaviour));
        }
    });
    address
}

async fn play(mut stream: TcpStream, behaviour: Peer) {
    if matches!(behaviour, Peer::Closes) {
        return;
    }
    let mut request = [0; 4096];
    let _ = stream.read(&mut request).await;
    match behaviour {
        Peer::Closes | Peer::ReadsAndCloses => {}
        Peer::Streams => {
            let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\none\n\r\n";
            stream.write_all(head.as_bytes()).await.unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
            stream.write_all(b"4\r\ntwo\n\r\n").await.unwrap();
            std::future::pending::<()>().await;
        }
        Peer::BreaksOff => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nhalf").await.unwrap();
        }
    }
}

/// A network whose both services are at this address, and a request's target for each.
async fn network(address: SocketAddr) -> (RealNetwork, [(Service, String); 2]) {
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig: PathBuf = folder.path().join("kubeconfig");
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
         clusters: [{{name: c, cluster: {{server: \"http://{address}\"}}}}]\n\
         users: [{{name: c, user: {{}}}}]\n\
         contexts: [{{name: c, context: {{cluster: c, user: c}}}}]\n"
    );
    std::fs::write(&kubeconfig, text).unwrap();
    let options = KubernetesOptions { kubeconfig: Some(kubeconfig), context: None };
    let kubernetes = Kubernetes::connect(&options).await.unwrap();
    let store = ObjectStore::connect(&ObjectStoreOptions::default()).unwrap();
    let targets = [
        (Service::Kubernetes, "/api/v1/configmaps".to_owned()),
        (Service::ObjectStore, format!("http://{address}/bucket/key")),
    ];
    (RealNetwork::new(Some(kubernetes), Some(store)), targets)
}

fn put(target: &str) -> Request<Bytes> {
    let body = Bytes::from_static(b"{}");
    Request::builder().method(Method::PUT).uri(target).body(body).unwrap()
}

#[tokio::test]
async fn a_refused_connection_is_not_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let (network, targets) = network(address).await;
    for (service, target) in targets {
        let error = network.send(service, put(&target)).await.unwrap_err();
        assert!(matches!(error, NetError::NotSent(_)), "{service:?}: {error}");
    }
}

#[tokio::test]
async fn a_connection_that_was_there_leaves_it_open_whether_the_request_arrived() {
    for behaviour in [Peer::ReadsAndCloses, Peer::Closes] {
        let (network, targets) = network(peer(behaviour).await).await;
        for (service, target) in targets {
            let error = network.send(service, put(&target)).await.unwrap_err();
            assert!(matches!(error, NetError::Unknown(_)), "{service:?}: {error}");
        }
    }
}

#[tokio::test]
async fn a_watch_arrives_in_pieces_while_it_goes_on() {
    let (network, targets) = network(peer(Peer::Streams).await).await;
    for (service, target) in targets {
        let answer = network.send(service, put(&target)).await.unwrap();
        let Body::Stream(mut chunks) = answer.into_body() else { panic!("not a stream") };
        assert_eq!(chunks.next().await.unwrap().unwrap(), "one\n", "{service:?}");
        assert_eq!(chunks.next().await.unwrap().unwrap(), "two\n", "{service:?}");
    }
}

#[tokio::test]
async fn half_a_body_is_not_taken_for_the_whole() {
    let (network, targets) = network(peer(Peer::BreaksOff).await).await;
    for (service, target) in targets {
        let answer = network.send(service, put(&target)).await.unwrap();
        assert!(answer.into_body().collect(1_000).await.is_err(), "{service:?}");
    }
}

#[tokio::test]
async fn a_service_that_is_not_set_up_is_not_sent_to() {
    let network = RealNetwork::new(None, None);
    for service in [Service::Kubernetes, Service::ObjectStore] {
        let error = network.send(service, put("http://127.0.0.1:1/")).await.unwrap_err();
        assert!(matches!(error, NetError::NotSent(_)), "{service:?}: {error}");
    }
}

#[tokio::test]
async fn wrong_files_are_named_with_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bundle.pem");
    std::fs::write(&path, "not a certificate").unwrap();
    let options = ObjectStoreOptions { ca_bundle: Some(path.clone()) };
    let error = ObjectStore::connect(&options).err().unwrap().to_string();
    assert!(error.contains("bundle.pem") && error.contains("no PEM certificate"), "{error}");
    let options = KubernetesOptions { kubeconfig: Some(path), context: None };
    let error = Kubernetes::connect(&options).await.err().unwrap().to_string();
    assert!(error.contains("bundle.pem"), "{error}");
}
