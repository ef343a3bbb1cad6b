"""The steps, in their order. Each says in a word what it saw, or raises Wrong."""

import json
import os
import time

from . import cluster
from .tools import Wrong, get, items, kubectl, run, until
from .watch import LEASE, NAMESPACE, Edits, Lease

LEASE_S, RETRY_S = 15, 2
# A candidate sees the last renewal at most one retry late, waits a whole lease and asks once more.
FAILOVER_S = LEASE_S + 2 * RETRY_S
PORT = 7070


def images():
    """The images of kind/env as values of the chart."""
    def parts(image):
        repository, _, tag = image.rpartition(":")
        return repository, tag
    operator, minio = parts(os.environ["RYNXS_IMAGE"]), parts(os.environ["MINIO_IMAGE"])
    pairs = {
        "image.repository": operator[0], "image.tag": operator[1],
        "minio.image.repository": minio[0], "minio.image.tag": minio[1],
        "agents.defaultImage": os.environ["RYNXS_AGENT_IMAGE"],
    }
    return [word for name, value in pairs.items() for word in ("--set-string", f"{name}={value}")]


def helm(verb, *more, release="rynxs", namespace=NAMESPACE):
    return run("helm", verb, release, "helm/rynxs", "-n", namespace, *images(), *more,
               "--wait", "--timeout", "240s", timeout=260)


def restrict(namespace):
    kubectl("label", "namespace", namespace, "--overwrite", "pod-security.kubernetes.io/enforce=restricted")


def install(_):
    if not get("namespace", NAMESPACE):
        kubectl("create", "namespace", NAMESPACE)
    for namespace in (NAMESPACE, "default"):
        restrict(namespace)
    helm("upgrade", "--install", "--values", "kind/values.yaml")
    return f"{len(cluster.pods())} replicas Ready under the restricted standard"


def agents_are_ready(least):
    found = items("agents", "-n", "default")
    def ready(agent):
        conditions = agent.get("status", {}).get("conditions", [])
        current = agent.get("status", {}).get("observedGeneration") == agent["metadata"]["generation"]
        suspended = agent["spec"].get("operatingMode") == "Suspended"
        wanted = ("False", "RuntimeStopped") if suspended else ("True", "RuntimeAvailable")
        return current and any(
            c["type"] == "Ready" and (c["status"], c["reason"]) == wanted for c in conditions)
    return len(found) >= least and all(ready(agent) for agent in found) and len(found)


def examples(_):
    kubectl("apply", "--server-side", "-f", "examples/", "-f", "kind/clerk.yaml")
    count = until("all Agents Ready", lambda: agents_are_ready(7), 180)
    return f"{count} Agents Ready, or stopped as they ask for"


def log_is_sound(_):
    said = cluster.log("verify")
    return (f"{said['records']} records, {said['events']} events, {said['epochs']} epochs, "
            f"{said['decisions']} decisions made again")


def one_leader(_):
    found = until("exactly one leader", lambda: (lambda all: all if len(all) == 1 else None)(cluster.leaders()), 30)
    holder = get("lease", LEASE, "-n", NAMESPACE)["spec"]["holderIdentity"]
    if cluster.pod_of(holder) != found[0]:
        raise Wrong(f"the Lease names {holder}, and {found[0]} leads")
    return found[0]


def session(_):
    def over():
        status = get("session", "summarize", "-n", "default").get("status", {})
        return status.get("phase") in ("Succeeded", "Failed") and status
    status = until("the end of session summarize", over, 120)
    jobs = items("jobs", "-n", "default", "-l", "rynxs.universe.ai/session=summarize")
    if status["phase"] != "Succeeded" or len(jobs) != 1:
        raise Wrong(f"phase {status['phase']}, {len(jobs)} Jobs")
    text = kubectl("exec", "-n", "default", "deploy/researcher-runtime", "--", "/agent", "results")
    results = [json.loads(line) for line in text.splitlines()]
    mine = [result for result in results if result["session"] == "summarize"]
    if len(mine) != 1 or mine[0]["runs"] != 1:
        raise Wrong(f"results in the workspace: {text!r}")
    return f"ran once, in epoch {mine[0]['epoch']}; its result is in the workspace"


def address(agent):
    selector = f"rynxs.universe.ai/agent={agent},app.kubernetes.io/component=runtime"
    pods = items("pods", "-n", "default", "-l", selector)
    if len(pods) != 1:
        raise Wrong(f"{len(pods)} pods of {agent}'s runtime")
    return f"{pods[0]['status']['podIP']}:{PORT}"


def traffic(_):
    names = {agent: address(agent) for agent in ("researcher", "coder", "build-lead", "director")}
    dns, store = "kube-dns.kube-system.svc:53", f"rynxs-minio.{NAMESPACE}.svc:9000"
    rules = [
        ("build-lead", names["coder"], True), ("director", names["researcher"], True),
        ("coder", dns, True),
        ("coder", names["build-lead"], False), ("coder", names["researcher"], False),
        ("researcher", names["director"], False), ("researcher", store, False),
        ("researcher", "kubernetes.default.svc:443", False),
    ]
    for agent, to, may in rules:
        target = f"deploy/{agent}-runtime"
        said = kubectl("exec", "-n", "default", target, "--", "/agent", "reach", to, check=False, timeout=30)
        if ("reached" in said) != may:
            raise Wrong(f"{agent} {'cannot' if may else 'can'} reach {to}")
    return f"{len(rules)} connections, {sum(may for _, _, may in rules)} of them allowed"


def others_hold(holder):
    """A look for a holder who is not this one."""
    def look():
        now = get("lease", LEASE, "-n", NAMESPACE)["spec"].get("holderIdentity") or ""
        return now if now and now != holder else None
    return look


def deleted(report):
    with Lease() as lease, Edits() as edits:
        settled(edits, 3)
        before, begin = known(), time.time()
        holder, since = lease.holder(), len(lease.states) - 1
        kubectl("delete", "pod", cluster.pod_of(holder), "-n", NAMESPACE, "--force", "--grace-period=0",
                timeout=60)
        until("another leader", others_hold(holder), FAILOVER_S + 10, every=0.1)
        settled(edits, len(edits.accepted) + 4)
        gaps = lease.gaps(since)
    return told(report, "leader deleted, no grace", begin, before, gaps, FAILOVER_S)


def settled(edits, many):
    """Waits until so many edits were accepted, and the last one is in the log."""
    until(f"{many} edits", lambda: len(edits.accepted) >= many, 60)
    def recorded():
        agent = get("agent", "clerk", "-n", "default")
        wanted = edits.accepted[-1][1]
        value = int(agent["spec"].get("env", [{"value": "0"}])[0]["value"])
        status = agent.get("status", {})
        return value >= wanted and status.get("observedGeneration", 0) + 3 >= agent["metadata"]["generation"]
    until("the edits' records", recorded, 60)


def told(report, name, begin, before, gaps, limit):
    """Checks what must hold after a fault, and reports what it cost."""
    end = time.time()
    after = cluster.log("verify")
    kept(before, after)
    longest = max((gap for _, gap in gaps), default=None)
    appends = cluster.append_gap(begin - 2, end)
    report.fault(name, longest, appends, limit)
    if longest is None:
        raise Wrong("no other leader came")
    if longest > limit:
        raise Wrong(f"{longest:.1f} s without a leader, more than {limit} s")
    return (f"{longest:.1f} s without a leader, {appends:.1f} s without an append; "
            f"{after['records'] - before['records']} records more, all before are there")


def known():
    """What `rynxs log verify` says of the log, and the events of its last record."""
    said = cluster.log("verify")
    seq = str(said["head_seq"])
    return {**said, "head": cluster.log("show", "--from", seq, "--to", seq)}


def kept(before, after):
    """Every record that was there before still is: the chain is sound, and its old head is what it was."""
    if after["log_id"] != before["log_id"]:
        raise Wrong(f"another log: {after['log_id']} instead of {before['log_id']}")
    seq = before["head_seq"]
    following = cluster.log("show", "--from", str(seq), "--to", str(seq))
    if following != before["head"]:
        raise Wrong(f"record {seq} was {before['head']} and is {following}")


def stamps():
    """The stamp of each managed object."""
    kinds = "deployments,jobs,configmaps,networkpolicies,persistentvolumeclaims"
    found = items(kinds, "-n", "default", "-l", "app.kubernetes.io/managed-by=rynxs")
    return {f"{item['kind']}/{item['metadata']['name']}":
            int(item["metadata"].get("annotations", {}).get("rynxs.universe.ai/stamp", 0)) for item in found}


def lead_elsewhere(node):
    """Makes a replica lead that is not on this node."""
    for _ in range(6):
        holder = get("lease", LEASE, "-n", NAMESPACE)["spec"].get("holderIdentity") or ""
        if holder and cluster.node_of(cluster.pod_of(holder)) != node:
            return holder
        kubectl("delete", "pod", cluster.pod_of(holder), "-n", NAMESPACE, timeout=60)
        until("another leader", others_hold(holder), FAILOVER_S + 10)
        until("three replicas", lambda: len(cluster.pods()) == 3, 60)
    raise Wrong(f"the lead does not leave {node}")


def paused(report):
    holder = lead_elsewhere(cluster.minio_node())
    pod = cluster.pod_of(holder)
    node = cluster.node_of(pod)
    with Lease() as lease, Edits() as edits:
        settled(edits, 3)
        before, begin, since = known(), time.time(), len(lease.states) - 1
        run("docker", "pause", node)
        try:
            until("another leader", others_hold(holder), FAILOVER_S + 15, every=0.1)
            settled(edits, len(edits.accepted) + 4)
            fenced = stamps()
        finally:
            run("docker", "unpause", node)
        # The old leader wakes in the middle of what it was about, and has to find out.
        until("the old leader follows", lambda: cluster.leaders() and pod not in cluster.leaders(), 60)
        time.sleep(3)
        now = stamps()
        gaps = lease.gaps(since)
    lower = [name for name, stamp in fenced.items() if now.get(name, stamp) < stamp]
    if lower:
        raise Wrong(f"an older decision was written over a later one: {', '.join(lower)}")
    said = told(report, "leader's node paused and resumed", begin, before, gaps, FAILOVER_S)
    until("all Agents Ready", lambda: agents_are_ready(7), 120)
    return f"{said}; the old leader follows, {len(now)} objects have no lower stamp"


def upgraded(report):
    with Lease() as lease, Edits() as edits:
        settled(edits, 3)
        before, begin, since = known(), time.time(), len(lease.states) - 1
        helm("upgrade", "--values", "kind/values.yaml", "--set-string", f"podAnnotations.restarted=at-{int(begin)}")
        settled(edits, len(edits.accepted) + 4)
        gaps = lease.gaps(since)
    return told(report, "rolling upgrade", begin, before, gaps, 2)


def uninstalled(_):
    run("helm", "uninstall", "rynxs", "-n", NAMESPACE, "--wait", "--timeout", "120s", timeout=150)
    kinds = ("deployments,replicasets,services,configmaps,secrets,serviceaccounts,roles,rolebindings,pvc,"
             "pdb,networkpolicies")
    def left():
        found = items(kinds, "-n", NAMESPACE)
        # Every namespace has these by itself.
        own = {("ServiceAccount", "default"), ("ConfigMap", "kube-root-ca.crt")}
        names = {(item["kind"], item["metadata"]["name"]) for item in found} - own
        return {f"{kind}/{name}" for kind, name in names if not name.startswith("sh.helm.release")}
    until("nothing left of the release", lambda: not left(), 60)
    agents = len(items("agents", "-n", "default"))
    if not agents or not get("deployment", "researcher-runtime", "-n", "default"):
        raise Wrong("the Agents, or what they run, went with the release")
    began = time.monotonic()
    kubectl("delete", "crd", "agents.universe.ai", "sessions.universe.ai", "--timeout=60s", timeout=90)
    took = time.monotonic() - began
    until("the Agents' objects collected",
          lambda: not items("deployments", "-n", "default") and len(items("pvc", "-n", "default")) == 1, 90)
    # The workspace of an Agent that asked for that outlives it; it would tie the next log to this one.
    kept = {claim["metadata"]["name"] for claim in items("pvc", "-n", "default")}
    if kept != {"coder-workspace"}:
        raise Wrong(f"workspaces that are left: {kept}")
    kubectl("delete", "pvc", "coder-workspace", "-n", "default", "--timeout=60s", timeout=90)
    return (f"left: {agents} Agents and what they run; then `kubectl delete crd` took {took:.1f} s, and the one "
            "workspace that is to be retained was")


FIRST = [
    ("helm install, three replicas, MinIO", install),
    ("the examples", examples),
    ("the log in the bucket", log_is_sound),
    ("who leads", one_leader),
    ("a session", session),
    ("network policies, by traffic", traffic),
    ("the leader's pod deleted", deleted),
    ("the leader's node paused", paused),
    ("a rolling upgrade under edits", upgraded),
    ("helm uninstall", uninstalled),
]


def single(name, *more):
    """A release with one replica and its log in a file."""
    if not get("namespace", name):
        kubectl("create", "namespace", name)
    restrict(name)
    helm("upgrade", "--install", "--set", "metrics.enabled=true", *more, release=name, namespace=name)
    kubectl("apply", "--server-side", "-f", "examples/agent-basic.yaml")
    until("the Agent Ready", lambda: agents_are_ready(1), 120)


def verified(name):
    text = kubectl("exec", "-n", name, f"deploy/{name}-rynxs", "--", "/rynxs", "log", "verify", "/var/lib/rynxs/log",
                   "-o", "json", timeout=60)
    return json.loads(text)


def killed(name):
    """Kills the only pod, and waits until the next one has observed an edit."""
    before, began = verified(name), time.monotonic()
    old = items("pods", "-n", name)[0]["metadata"]["name"]
    kubectl("delete", "pod", old, "-n", name, "--force", "--grace-period=0", timeout=60)
    change = {"spec": {"env": [{"name": "EDIT", "value": str(int(time.time()))}]}}
    kubectl("patch", "agent", "researcher", "-n", "default", "--type=merge", "-p", json.dumps(change))
    until("the Agent Ready again", lambda: agents_are_ready(1), 180)
    return before, verified(name), time.monotonic() - began


def gone(name):
    run("helm", "uninstall", name, "-n", name, "--wait", "--timeout", "120s", timeout=150)
    kubectl("delete", "namespace", name, "--timeout=90s", timeout=120)
    kubectl("delete", "agents", "--all", "-n", "default", "--timeout=60s", timeout=90)


def file_store(_):
    single("file")
    before, after, took = killed("file")
    if after["log_id"] != before["log_id"] or after["records"] <= before["records"]:
        raise Wrong(f"the log does not go on: {before['log_id']} of {before['records']} records, then "
                    f"{after['log_id']} of {after['records']}")
    gone("file")
    return (f"pod killed: {before['records']} records, then {after['records']} of the same log, "
            f"Ready after {took:.1f} s")


def empty_dir(_):
    single("ephemeral", "--set", "persistence.enabled=false")
    uid = get("deployment", "researcher-runtime", "-n", "default")["metadata"]["uid"]
    before, after, took = killed("ephemeral")
    if after["log_id"] == before["log_id"]:
        raise Wrong("the same log after its volume was lost")
    runs = get("deployment", "researcher-runtime", "-n", "default")
    if not runs or runs["metadata"]["uid"] != uid:
        raise Wrong("the Agent's Deployment was not adopted")
    gone("ephemeral")
    return f"pod killed: another log, which adopted what it found, Ready after {took:.1f} s"


SECOND = [
    ("one replica, its log on a volume", file_store),
    ("one replica, its log in an emptyDir", empty_dir),
]
