//! From a manifest to pods that run and Jobs that end, by ticks alone.

use http::Method;
use serde_json::json;

use super::*;
use crate::server::{ApiServer, Options, User};

struct World {
    cluster: Cluster,
    now_ms: u64,
}

impl World {
    fn new() -> Self {
        let options = Options::default();
        let now_ms = options.start_ms;
        Self { cluster: Cluster::new(options), now_ms }
    }

    fn send(&mut self, method: Method, path: &str, body: &Value) -> Value {
        let (code, answer) = self.cluster.call(&User::admin(), method, path, Some(body));
        assert!(code < 300, "{path}: {code} {answer:?}");
        serde_json::from_slice(&answer).expect("answers are JSON")
    }

    fn get(&mut self, path: &str) -> Value {
        let (code, answer) = self.cluster.call(&User::admin(), Method::GET, path, None);
        assert!(code < 300, "{path}: {code} {answer:?}");
        serde_json::from_slice(&answer).expect("answers are JSON")
    }

    /// Lets time pass in steps, as whoever hosts the server does.
    fn pass(&mut self, ms: u64) {
        let end = self.now_ms + ms;
        while self.now_ms < end {
            self.now_ms += 50;
            self.cluster.now_ms = self.now_ms;
            tick(&mut self.cluster, self.now_ms);
        }
    }

    fn pods(&mut self) -> Vec<Value> {
        self.get("/api/v1/namespaces/default/pods")["items"].as_array().expect("a list").clone()
    }
}

const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";
const JOBS: &str = "/apis/batch/v1/namespaces/default/jobs";
const CLAIMS: &str = "/api/v1/namespaces/default/persistentvolumeclaims";

fn deployment(replicas: u32, image: &str) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "d", "annotations": {"note": "x"}},
        "spec": {
            "replicas": replicas,
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": {"app": "d"}},
            "template": {
                "metadata": {"labels": {"app": "d"}},
                "spec": {
                    "containers": [{"name": "main", "image": image}],
                    "volumes": [{"name": "w", "persistentVolumeClaim": {"claimName": "w"}}],
                },
            },
        },
    })
}

fn claim() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "w"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    })
}

fn job(suspend: bool, env: &[(&str, &str)]) -> Value {
    let env: Vec<Value> = env.iter().map(|(n, v)| json!({"name": n, "value": v})).collect();
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "j"},
        "spec": {
            "suspend": suspend,
            "backoffLimit": 0,
            "template": {"spec": {
                "restartPolicy": "Never",
                "containers": [{"name": "main", "image": "i", "env": env}],
            }},
        },
    })
}

fn condition<'v>(object: &'v Value, kind: &str) -> &'v Value {
    let list = object["status"]["conditions"].as_array().expect("it has conditions");
    list.iter().find(|c| c["type"] == kind).unwrap_or(&Value::Null)
}

#[test]
fn a_deployment_without_replicas_is_inert_and_its_claim_waits() {
    let mut world = World::new();
    world.send(Method::POST, CLAIMS, &claim());
    world.send(Method::POST, DEPLOYMENTS, &deployment(0, "i:1"));
    world.pass(5_000);
    assert_eq!(world.pods(), [Value::Null; 0]);
    let deployment = world.get(&format!("{DEPLOYMENTS}/d"));
    assert_eq!(deployment["status"]["observedGeneration"], 1);
    assert_eq!(deployment["status"].get("replicas"), None);
    assert_eq!(condition(&deployment, "Available")["status"], "True");
    assert_eq!(world.get(&format!("{CLAIMS}/w"))["status"]["phase"], "Pending");
}

#[test]
fn an_activated_deployment_binds_its_claim_and_becomes_available() {
    let mut world = World::new();
    world.send(Method::POST, CLAIMS, &claim());
    world.send(Method::POST, DEPLOYMENTS, &deployment(0, "i:1"));
    world.pass(500);
    let activate = json!({"spec": {"replicas": 1}});
    world.send(Method::PATCH, &format!("{DEPLOYMENTS}/d"), &activate);
    world.pass(100);
    let deployment = world.get(&format!("{DEPLOYMENTS}/d"));
    assert_eq!(condition(&deployment, "Available")["status"], "False");
    assert_eq!(deployment["status"]["unavailableReplicas"], 1);
    world.pass(2_000);
    let deployment = world.get(&format!("{DEPLOYMENTS}/d"));
    assert_eq!(condition(&deployment, "Available")["status"], "True");
    assert_eq!(condition(&deployment, "Progressing")["reason"], "NewReplicaSetAvailable");
    assert_eq!(deployment["status"]["readyReplicas"], 1);
    assert_eq!(deployment["status"]["observedGeneration"], 2);
    let claim = world.get(&format!("{CLAIMS}/w"));
    assert_eq!(claim["status"]["phase"], "Bound");
    let uid = claim["metadata"]["uid"].as_str().expect("a uid");
    assert_eq!(claim["spec"]["volumeName"], format!("pvc-{uid}"));
    let pods = world.pods();
    assert_eq!(pods.len(), 1);
    assert_eq!(pods[0]["status"]["phase"], "Running");
    let sets = world.get("/apis/apps/v1/namespaces/default/replicasets");
    assert_eq!(sets["items"][0]["metadata"]["annotations"]["note"], "x");
}

#[test]
fn a_recreated_deployment_never_has_two_pods() {
    let mut world = World::new();
    world.send(Method::POST, CLAIMS, &claim());
    world.send(Method::POST, DEPLOYMENTS, &deployment(1, "i:1"));
    world.pass(2_000);
    let template = deployment(1, "i:2")["spec"]["template"].clone();
    let change = json!({"spec": {"template": template}});
    world.send(Method::PATCH, &format!("{DEPLOYMENTS}/d"), &change);
    for _ in 0..40 {
        world.pass(50);
        assert!(world.pods().len() <= 1);
    }
    let pods = world.pods();
    assert_eq!(pods[0]["spec"]["containers"][0]["image"], "i:2");
    assert_eq!(pods[0]["status"]["phase"], "Running");
    let gone = pods[0]["metadata"]["name"].as_str().expect("a name").to_owned();
    world.send(Method::DELETE, &format!("/api/v1/namespaces/default/pods/{gone}"), &json!({}));
    world.pass(2_000);
    assert_eq!(world.pods().len(), 1, "a pod that is deleted is replaced");
}

#[test]
fn a_deleted_claim_stays_until_no_pod_uses_it() {
    let mut world = World::new();
    world.send(Method::POST, CLAIMS, &claim());
    world.send(Method::POST, DEPLOYMENTS, &deployment(1, "i:1"));
    world.pass(2_000);
    let path = format!("{CLAIMS}/w");
    world.send(Method::DELETE, &path, &json!({}));
    world.pass(1_000);
    let claim = world.get(&path);
    assert!(claim["metadata"]["deletionTimestamp"].is_string());
    let idle = json!({"spec": {"replicas": 0}});
    world.send(Method::PATCH, &format!("{DEPLOYMENTS}/d"), &idle);
    world.pass(1_000);
    assert_eq!(world.cluster.call(&User::admin(), Method::GET, &path, None).0, 404);
}

#[test]
fn a_suspended_job_runs_nothing_until_it_is_activated() {
    let mut world = World::new();
    world.send(Method::POST, JOBS, &job(true, &[]));
    world.pass(5_000);
    let job = world.get(&format!("{JOBS}/j"));
    assert_eq!(condition(&job, "Suspended")["status"], "True");
    assert_eq!(job["status"].get("startTime"), None);
    assert!(world.pods().is_empty());
    world.send(Method::PATCH, &format!("{JOBS}/j"), &json!({"spec": {"suspend": false}}));
    world.pass(600);
    let job = world.get(&format!("{JOBS}/j"));
    assert_eq!(job["status"]["active"], 1);
    assert_eq!(condition(&job, "Suspended")["reason"], "JobResumed");
    world.pass(2_000);
    let job = world.get(&format!("{JOBS}/j"));
    assert_eq!(condition(&job, "Complete")["status"], "True");
    assert_eq!(job["status"]["succeeded"], 1);
    assert_eq!(job["status"].get("active"), None);
    assert!(job["status"]["completionTime"].is_string());
}

#[test]
fn a_job_fails_if_its_environment_says_so_and_by_its_deadline() {
    let mut world = World::new();
    world.send(
        Method::POST,
        JOBS,
        &job(false, &[("MODEL_RUN_MS", "100"), ("MODEL_EXIT_CODE", "3")]),
    );
    world.pass(1_000);
    let failed = world.get(&format!("{JOBS}/j"));
    assert_eq!(condition(&failed, "Failed")["reason"], "BackoffLimitExceeded");
    assert_eq!(failed["status"]["failed"], 1);

    let mut world = World::new();
    let mut long = job(false, &[("MODEL_RUN_MS", "60000")]);
    long["spec"]["activeDeadlineSeconds"] = json!(2);
    long["spec"]["ttlSecondsAfterFinished"] = json!(10);
    world.send(Method::POST, JOBS, &long);
    world.pass(4_000);
    let failed = world.get(&format!("{JOBS}/j"));
    assert_eq!(condition(&failed, "Failed")["reason"], "DeadlineExceeded");
    assert!(world.pods().is_empty());
    world.pass(10_000);
    let (code, _) = world.cluster.call(&User::admin(), Method::GET, &format!("{JOBS}/j"), None);
    assert_eq!(code, 404, "its time after the end is over");
}

#[test]
fn a_settled_cluster_is_left_alone() {
    let mut world = World::new();
    world.send(Method::POST, CLAIMS, &claim());
    world.send(Method::POST, DEPLOYMENTS, &deployment(1, "i:1"));
    world.send(Method::POST, JOBS, &job(false, &[]));
    world.pass(5_000);
    let settled = world.cluster.store.rv();
    world.pass(20_000);
    assert_eq!(world.cluster.store.rv(), settled);
}

#[test]
fn old_events_go_away() {
    let mut world = World::new();
    let event = json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": "e"},
        "involvedObject": {"kind": "Pod", "name": "p", "namespace": "default"},
    });
    world.send(Method::POST, "/api/v1/namespaces/default/events", &event);
    world.pass(100);
    world.now_ms += EVENT_TTL_MS;
    world.pass(100);
    let events = world.get("/api/v1/namespaces/default/events");
    assert_eq!(events["items"], json!([]));
}

#[test]
fn the_same_requests_give_the_same_history() {
    let run = || {
        let server = ApiServer::new(Options::default());
        server.load(&deployment(2, "i").to_string()).expect("it is valid");
        server.load(&claim().to_string()).expect("it is valid");
        let start = Options::default().start_ms;
        (0..100).for_each(|step| {
            server.tick(start + step * 50);
        });
        format!("{:?}", server.history())
    };
    let first = run();
    assert!(first.contains("replicasets") && first.contains("pods"), "{first}");
    assert_eq!(first, run());
}
