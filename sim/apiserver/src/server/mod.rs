//! The server as a whole: what it is made of, who may talk to it, and its clock.

mod cluster;
mod view;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Waker;

use bytes::Bytes;
use futures::stream::BoxStream;
use http::{Request, Response};
use serde_json::Value;

use crate::history::Write;
use crate::rbac::RightUse;
use crate::rest;
use crate::watch;

pub(crate) use cluster::Cluster;
pub(crate) use view::Views;

/// Who sends a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// For example `system:serviceaccount:rynxs:rynxs`.
    pub name: String,
    /// For example `system:masters`.
    pub groups: Vec<String>,
}

impl User {
    /// Somebody in the groups that every authenticated user is in.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let mut groups = vec!["system:authenticated".to_owned()];
        let parts: Vec<&str> = name.split(':').collect();
        if let ["system", "serviceaccount", namespace, _] = parts.as_slice() {
            groups.insert(0, format!("system:serviceaccounts:{namespace}"));
            groups.insert(0, "system:serviceaccounts".to_owned());
        }
        Self { name: name.to_owned(), groups }
    }

    /// Whoever sends no token: the cluster's administrator, whom roles do not restrict.
    #[must_use]
    pub fn admin() -> Self {
        Self {
            name: "kubernetes-admin".to_owned(),
            groups: vec!["system:masters".to_owned(), "system:authenticated".to_owned()],
        }
    }
}

/// How a server is set up.
#[derive(Clone, Debug)]
pub struct Options {
    /// Uids and generated names are made from it.
    pub seed: u64,
    /// Whether roles are enforced; if not, everybody may do everything.
    pub rbac: bool,
    /// Whether ValidatingAdmissionPolicies are evaluated.
    pub policies: bool,
    /// How long a change of policies takes to be in force, milliseconds; on a real server 3 s.
    pub policy_lag_ms: u64,
    /// Whether Deployments, Jobs and claims are driven to their desired state.
    pub controllers: bool,
    /// Wall clock at start, milliseconds since 1970.
    pub start_ms: u64,
    /// Bearer tokens and whom they authenticate.
    pub tokens: BTreeMap<String, User>,
    /// Namespaces that exist from the start.
    pub namespaces: Vec<String>,
    /// How many events each resource's history keeps; older resourceVersions are answered 410.
    pub history_window: usize,
    /// How many write attempts [`ApiServer::history`] keeps.
    pub writes_kept: usize,
    /// Time between bookmarks of a watch that wants them, milliseconds.
    pub bookmark_every_ms: u64,
    /// The longest that a watch lives, milliseconds, if its request does not say.
    pub watch_timeout_ms: u64,
    /// Larger request bodies are answered 413.
    pub max_body_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            seed: 0,
            rbac: true,
            policies: true,
            policy_lag_ms: 0,
            controllers: true,
            // 2026-01-01T00:00:00Z
            start_ms: 1_767_225_600_000,
            tokens: BTreeMap::new(),
            namespaces: ["default", "kube-system", "rynxs"].map(str::to_owned).to_vec(),
            history_window: 20_000,
            writes_kept: 1_000_000,
            bookmark_every_ms: 60_000,
            watch_timeout_ms: 1_800_000,
            // etcd refuses requests above 1.5 MiB, the API server bodies above 3 MiB.
            max_body_bytes: 3 * 1024 * 1024,
        }
    }
}

/// An answer's body.
pub enum Body {
    /// All of it.
    Full(Bytes),
    /// A watch: each item is one event, a JSON object and a newline.
    Watch(BoxStream<'static, Bytes>),
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Full(bytes) => write!(f, "Body::Full({} bytes)", bytes.len()),
            Self::Watch(_) => f.write_str("Body::Watch"),
        }
    }
}

/// The documents of a YAML text; an empty one is null.
pub fn documents(yaml: &str) -> Result<Vec<Value>, LoadError> {
    let read = |(index, document)| {
        serde::Deserialize::deserialize(document).map_err(|e: serde_yaml_ng::Error| {
            LoadError::Syntax { document: index + 1, message: e.to_string() }
        })
    };
    serde_yaml_ng::Deserializer::from_str(yaml).enumerate().map(read).collect()
}

/// A bootstrap document was refused.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Not YAML.
    #[error("document {document} is not YAML: {message}")]
    Syntax {
        /// Number of the document, from 1.
        document: usize,
        /// What the parser says.
        message: String,
    },
    /// The server refused the object.
    #[error("document {document} ({object}) was refused: {message}")]
    Refused {
        /// Number of the document, from 1.
        document: usize,
        /// Kind and name.
        object: String,
        /// The server's words.
        message: String,
    },
}

/// The model of an API server; clones are handles to the same one.
#[derive(Clone, Debug)]
pub struct ApiServer {
    cluster: Arc<Mutex<Cluster>>,
    view: u32,
}

impl ApiServer {
    /// A cluster with nothing in it but its namespaces.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self { cluster: Arc::new(Mutex::new(Cluster::new(options))), view: 0 }
    }

    fn lock(&self) -> MutexGuard<'_, Cluster> {
        // A panic under the lock is a bug of the model; going on would hide it.
        self.cluster.lock().expect("no request ever panics while it holds the cluster")
    }

    /// Answers one request that arrives at `now_ms`. Never blocks.
    ///
    /// `Authorization: Bearer` tokens are looked up in the options (401 if unknown); without the
    /// header the request is the administrator's.
    #[must_use]
    pub fn handle(&self, now_ms: u64, request: Request<Bytes>) -> Response<Body> {
        let (response, wakers) = {
            let mut cluster = self.lock();
            cluster.advance(now_ms);
            let source = watch::Source { shared: &self.cluster, view: self.view };
            let response = rest::handle(&mut cluster, source, request);
            (response, cluster.take_wakers())
        };
        wakers.into_iter().for_each(Waker::wake);
        response
    }

    /// Lets time pass: ends and bookmarks watches, runs controllers and garbage collection, drops
    /// old Events. Returns when to call again at the latest.
    pub fn tick(&self, now_ms: u64) -> u64 {
        let (next, wakers) = {
            let mut cluster = self.lock();
            let next = cluster.tick(now_ms);
            (next, cluster.take_wakers())
        };
        wakers.into_iter().for_each(Waker::wake);
        next
    }

    /// When [`ApiServer::tick`] has something to do, as far as is known now.
    #[must_use]
    pub fn due(&self) -> u64 {
        self.lock().due()
    }

    /// Creates or updates the objects of a multi-document YAML text as the administrator.
    pub fn load(&self, yaml: &str) -> Result<(), LoadError> {
        self.load_objects(&documents(yaml)?)
    }

    /// The same with what [`documents`] read.
    pub fn load_objects(&self, objects: &[Value]) -> Result<(), LoadError> {
        let (result, wakers) = {
            let mut cluster = self.lock();
            let result = cluster.load(objects);
            (result, cluster.take_wakers())
        };
        wakers.into_iter().for_each(Waker::wake);
        result
    }

    /// Every attempt to write that is still kept, oldest first.
    #[must_use]
    pub fn history(&self) -> Vec<Write> {
        self.lock().history.since(0)
    }

    /// The attempts with a number of at least `from`.
    #[must_use]
    pub fn history_since(&self, from: u64) -> Vec<Write> {
        self.lock().history.since(from)
    }

    /// Every right of every bound role, and how often it was needed.
    #[must_use]
    pub fn rights(&self) -> Vec<RightUse> {
        self.lock().rbac.rights()
    }

    /// What roles refused, in words, and how often.
    #[must_use]
    pub fn refusals(&self) -> BTreeMap<String, u64> {
        self.lock().rbac.refusals().clone()
    }

    /// How many watches are open.
    #[must_use]
    pub fn open_watches(&self) -> usize {
        self.lock().watches.open()
    }

    /// The newest resourceVersion.
    #[must_use]
    pub fn resource_version(&self) -> u64 {
        self.lock().store.rv()
    }

    /// Forgets all events up to the newest: older watches and lists are answered 410.
    pub fn compact(&self) {
        let mut cluster = self.lock();
        let rv = cluster.store.rv();
        cluster.store.compact(rv);
    }
}
