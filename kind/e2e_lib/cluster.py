"""The release on the cluster: its pods, its log, its metrics."""

import base64
import contextlib
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import time

from .tools import ROOT, Wrong, get, items, kubectl, run, until
from .watch import NAMESPACE

BUCKET = "s3://rynxs-events/events"
BINARY = ROOT / "target/image/rynxs"


def pods():
    """The operator's pods that are not on their way out."""
    selector = "app.kubernetes.io/name=rynxs,app.kubernetes.io/component=operator"
    found = items("pods", "-n", NAMESPACE, "-l", selector)
    return [pod for pod in found if not pod["metadata"].get("deletionTimestamp")]


def node_of(pod):
    return get("pod", pod, "-n", NAMESPACE)["spec"]["nodeName"]


def minio_node():
    found = items("pods", "-n", NAMESPACE, "-l", "app.kubernetes.io/component=minio")
    return found[0]["spec"]["nodeName"]


def pod_of(holder):
    """The pod in a Lease's holderIdentity, POD_UUID."""
    return holder.rsplit("_", 1)[0]


def metric(pod, name):
    """The sum of a metric's samples in a pod."""
    path = f"/api/v1/namespaces/{NAMESPACE}/pods/{pod}:8080/proxy/metrics"
    text = kubectl("get", "--raw", path)
    found = [line for line in text.splitlines() if re.match(rf"{name}(\{{|\s)", line)]
    if not found:
        raise Wrong(f"{pod} does not export {name}")
    return sum(float(line.rsplit(" ", 1)[1]) for line in found)


def leaders():
    """The pods that say that they lead."""
    names = [pod["metadata"]["name"] for pod in pods()]
    return [name for name in names if metric(name, "rynxs_leader_election_status") == 1]


@contextlib.contextmanager
def forwarded(target, port):
    """A port of this machine that leads to a port in the cluster."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        here = probe.getsockname()[1]
    command = ["kubectl", "port-forward", "-n", NAMESPACE, target, f"{here}:{port}"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        def connects():
            with socket.socket() as one:
                one.settimeout(1)
                return one.connect_ex(("127.0.0.1", here)) == 0
        until(f"a way to {target}", connects, 20)
        yield here
    finally:
        process.terminate()
        process.wait()


def log(*arguments):
    """What `rynxs log` says of the log in the bucket."""
    keys = get("secret", "rynxs-s3", "-n", NAMESPACE)["data"]
    plain = {name: base64.b64decode(value).decode() for name, value in keys.items()}
    with forwarded("service/rynxs-minio", 9000) as port:
        plain["S3_ENDPOINT"] = f"http://127.0.0.1:{port}"
        verb, *rest = arguments
        return json.loads(run(str(BINARY), "log", verb, BUCKET, "-o", "json", *rest, env=plain, timeout=120))


def events():
    """All events of the log, oldest first."""
    return log("show")


def append_gap(begin, end):
    """The longest time between two records that follow each other, from `begin` to `end`, by the
    records' own clocks."""
    times = sorted({event["ts_ms"] / 1000 for event in events()})
    inside = [moment for moment in times if begin <= moment <= end]
    if len(inside) < 2:
        raise Wrong(f"only {len(inside)} records between {begin:.1f} and {end:.1f}")
    return max(later - earlier for earlier, later in zip(inside, inside[1:]))


def gather(report, logs):
    """What a failure leaves behind."""
    folder = pathlib.Path(os.environ["RYNXS_KIND_DIR"]) / f"failure-{int(time.time())}"
    folder.mkdir(parents=True, exist_ok=True)
    def keep(name, *command):
        with contextlib.suppress(Wrong):
            (folder / name).write_text(run(*command, check=False, timeout=60))
    for node in run("kind", "get", "nodes", "--name", os.environ["RYNXS_KIND_CLUSTER"], check=False).split():
        run("docker", "unpause", node, check=False)
    (folder / "steps.json").write_text(json.dumps(report.steps, indent=1))
    if logs.exists():
        shutil.copytree(logs, folder / "logs")
    keep("events.txt", "kubectl", "get", "events", "-A", "--sort-by=.lastTimestamp")
    keep("objects.yaml", "kubectl", "get", "agents,sessions,deployments,jobs,pods,leases,pvc", "-A", "-o", "yaml")
    keep("describe.txt", "kubectl", "describe", "pods", "-A")
    names = kubectl("get", "pods", "-n", NAMESPACE, "-o", "name", check=False).split()
    for name in names:
        short = name.split("/")[1]
        keep(f"{short}.log", "kubectl", "logs", "-n", NAMESPACE, name, "--all-containers")
        keep(f"{short}.previous.log", "kubectl", "logs", "-n", NAMESPACE, name, "--previous")
        path = f"/api/v1/namespaces/{NAMESPACE}/pods/{short}:8080/proxy/metrics"
        keep(f"{short}.metrics", "kubectl", "get", "--raw", path)
    with contextlib.suppress(Exception):
        (folder / "event-store.json").write_text(json.dumps(events(), indent=1))
    return folder
