//! Somebody at the API server: applies manifests, edits, reads; over HTTP, by the kubeconfig that
//! the demo wrote for people.

use std::path::Path;

use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use http::{Method, Request, StatusCode, header};
use rynxs_core::ids::{Kind, ObjectRef};
use rynxs_operator::ports::Body;
use serde_json::{Value, json};

use crate::adapters::{Kubernetes, KubernetesOptions};
use crate::cli::{Exit, Failure};

/// Objects are small and lists here have at most a few thousand.
const MAX_ANSWER_BYTES: usize = 256 << 20;
/// The names that kubectl uses, so that kubectl can go on with what the demo has applied.
const APPLIES_AS: &str = "kubectl";
const EDITS_AS: &str = "kubectl-edit";

/// A person with a kubeconfig.
pub struct User {
    client: Kubernetes,
}

impl User {
    /// Reads the kubeconfig.
    pub async fn connect(kubeconfig: &Path) -> Result<Self, Failure> {
        let options = KubernetesOptions { kubeconfig: Some(kubeconfig.to_owned()), context: None };
        let client = Kubernetes::connect(&options)
            .await
            .map_err(|error| Failure::new(Exit::Bug, error.to_string()))?;
        Ok(Self { client })
    }

    async fn begin(
        &self,
        method: Method,
        target: &str,
        content_type: &str,
        body: Option<&Value>,
    ) -> Result<(StatusCode, Body), Failure> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = Request::builder()
            .method(method.clone())
            .uri(target)
            .header(header::CONTENT_TYPE, content_type)
            .header(header::ACCEPT, "application/json")
            .body(Bytes::from(body))
            .map_err(|error| Failure::new(Exit::Bug, format!("request {target}: {error}")))?;
        let answer =
            self.client.send(request).await.map_err(|error| lost(&method, target, &error))?;
        let (head, body) = answer.into_parts();
        Ok((head.status, body))
    }

    async fn send(
        &self,
        method: Method,
        target: &str,
        content_type: &str,
        body: Option<&Value>,
    ) -> Result<(StatusCode, Value), Failure> {
        let (status, answer) = self.begin(method.clone(), target, content_type, body).await?;
        let answer = answer.collect(MAX_ANSWER_BYTES).await;
        let answer = answer.map_err(|error| lost(&method, target, &error))?;
        let value =
            serde_json::from_slice(&answer).map_err(|error| lost(&method, target, &error))?;
        Ok((status, value))
    }

    /// What becomes of all objects of a kind after a state: watch events, until the server ends it.
    pub async fn watch(
        &self,
        kind: Kind,
        version: &str,
    ) -> Result<BoxStream<'static, Value>, Failure> {
        let (prefix, plural) = rest(kind);
        let target = format!("{prefix}/{plural}?watch=true&resourceVersion={version}");
        let (status, body) = self.begin(Method::GET, &target, "application/json", None).await?;
        if status != StatusCode::OK {
            return Err(Failure::new(Exit::Unreachable, format!("watch {plural}: {status}")));
        }
        Ok(json_lines(body))
    }

    /// Server-side apply; a refusal is the manifest's fault and names its source.
    pub async fn apply(&self, source: &str, manifest: &Value) -> Result<Value, Failure> {
        let named = |what: String| Failure::new(Exit::Config, format!("{source}: {what}"));
        let (kind, name) = (text(manifest, "/kind"), text(manifest, "/metadata/name"));
        let collection = collection_of(manifest)
            .ok_or_else(|| named(format!("kind {kind:?} is not one that this demo applies")))?;
        let target = format!(
            "{collection}/{name}?fieldManager={APPLIES_AS}&force=true&fieldValidation=Strict"
        );
        let (status, answer) = self
            .send(Method::PATCH, &target, "application/apply-patch+yaml", Some(manifest))
            .await?;
        if status.is_success() {
            return Ok(answer);
        }
        let said = answer["message"].as_str().unwrap_or_default();
        Err(named(format!("{kind} {name} is refused: {said}"))
            .fix("mend the manifest; `rynxs crd` prints the schema"))
    }

    /// Changes some fields of an object.
    pub async fn edit(&self, object: &ObjectRef, patch: &Value) -> Result<Value, Failure> {
        let target = format!("{}?fieldManager={EDITS_AS}", path(object));
        let (status, answer) =
            self.send(Method::PATCH, &target, "application/merge-patch+json", Some(patch)).await?;
        if status.is_success() { Ok(answer) } else { Err(unexpected("edit", object, &answer)) }
    }

    /// Deletes an object.
    pub async fn delete(&self, object: &ObjectRef) -> Result<(), Failure> {
        let body = json!({"propagationPolicy": "Background"});
        let (status, answer) =
            self.send(Method::DELETE, &path(object), "application/json", Some(&body)).await?;
        if status.is_success() { Ok(()) } else { Err(unexpected("delete", object, &answer)) }
    }

    /// An object, if it exists.
    pub async fn get(&self, object: &ObjectRef) -> Result<Option<Value>, Failure> {
        let (status, answer) =
            self.send(Method::GET, &path(object), "application/json", None).await?;
        match status {
            StatusCode::OK => Ok(Some(answer)),
            StatusCode::NOT_FOUND => Ok(None),
            _ => Err(unexpected("get", object, &answer)),
        }
    }

    /// Whatever is at this path, if it exists.
    pub async fn read(&self, path: &str) -> Result<Option<Value>, Failure> {
        let (status, answer) = self.send(Method::GET, path, "application/json", None).await?;
        match status {
            StatusCode::OK => Ok(Some(answer)),
            StatusCode::NOT_FOUND => Ok(None),
            _ => {
                let said = answer["message"].as_str().unwrap_or_default();
                Err(Failure::new(Exit::Refuted, format!("get {path}: {said}")))
            }
        }
    }

    /// All objects of a kind, in all namespaces.
    pub async fn list(&self, kind: Kind, selector: &str) -> Result<Vec<Value>, Failure> {
        self.list_at(kind, selector).await.map(|(items, _)| items)
    }

    /// All objects of a kind, in all namespaces, and the resourceVersion of that state.
    pub async fn list_at(
        &self,
        kind: Kind,
        selector: &str,
    ) -> Result<(Vec<Value>, String), Failure> {
        let (prefix, plural) = rest(kind);
        let target = format!("{prefix}/{plural}?labelSelector={}", selector.replace('=', "%3D"));
        let (status, mut answer) =
            self.send(Method::GET, &target, "application/json", None).await?;
        let version = text(&answer, "/metadata/resourceVersion").to_owned();
        match (status, answer["items"].take()) {
            (StatusCode::OK, Value::Array(items)) => Ok((items, version)),
            _ => {
                let said = answer["message"].as_str().unwrap_or_default();
                Err(Failure::new(Exit::Unreachable, format!("list {plural}: {said}")))
            }
        }
    }
}

fn lost(method: &Method, target: &str, why: &dyn std::fmt::Display) -> Failure {
    Failure::new(Exit::Unreachable, format!("{method} {target}: {why}"))
}

/// One value per line; ends where the answer ends, breaks off or is no JSON.
fn json_lines(body: Body) -> BoxStream<'static, Value> {
    let parts = (body.into_stream(), BytesMut::new());
    futures::stream::unfold(parts, |(mut chunks, mut buffer)| async move {
        loop {
            if let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
                let line = buffer.split_to(end + 1);
                return serde_json::from_slice(&line).ok().map(|value| (value, (chunks, buffer)));
            }
            buffer.extend_from_slice(&chunks.next().await?.ok()?);
        }
    })
    .boxed()
}

fn unexpected(verb: &str, object: &ObjectRef, answer: &Value) -> Failure {
    let said = answer["message"].as_str().unwrap_or_default();
    Failure::new(Exit::Refuted, format!("{verb} {object}: {said}"))
}

/// Group path and plural of a kind that an Agent or Session is, or becomes.
fn rest(kind: Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::Agent => ("/apis/universe.ai/v1alpha1", "agents"),
        Kind::Session => ("/apis/universe.ai/v1alpha1", "sessions"),
        Kind::ConfigMap => ("/api/v1", "configmaps"),
        Kind::PersistentVolumeClaim => ("/api/v1", "persistentvolumeclaims"),
        Kind::Deployment => ("/apis/apps/v1", "deployments"),
        Kind::NetworkPolicy => ("/apis/networking.k8s.io/v1", "networkpolicies"),
        Kind::Job => ("/apis/batch/v1", "jobs"),
    }
}

/// The path of one object.
#[must_use]
pub fn path(object: &ObjectRef) -> String {
    let (prefix, plural) = rest(object.kind);
    format!("{prefix}/namespaces/{}/{plural}/{}", object.key.namespace, object.key.name)
}

fn collection_of(manifest: &Value) -> Option<String> {
    let kind = text(manifest, "/kind");
    if kind == "Namespace" {
        return Some("/api/v1/namespaces".to_owned());
    }
    let (prefix, plural) = rest(Kind::parse(kind)?);
    let namespace = match text(manifest, "/metadata/namespace") {
        "" => "default",
        given => given,
    };
    Some(format!("{prefix}/namespaces/{namespace}/{plural}"))
}

/// The text at a JSON pointer, or nothing.
pub(super) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}
