"""What goes on meanwhile: the Lease as it changes, and a stream of edits."""

import datetime
import json
import subprocess
import threading
import time

from .tools import Wrong, kubectl

NAMESPACE = "rynxs"
LEASE = "rynxs-leader"


def seconds(text):
    """A Kubernetes MicroTime as seconds since 1970."""
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


class Lease(threading.Thread):
    """Every state of the Lease, in order, until it is stopped."""

    def __init__(self):
        super().__init__(daemon=True)
        self.states = []
        self.stopped = False
        self.process = None

    def run(self):
        command = ["kubectl", "get", "lease", LEASE, "-n", NAMESPACE, "--watch", "-o", "json"]
        decoder = json.JSONDecoder()
        while not self.stopped:
            self.process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            buffer = ""
            for line in self.process.stdout:
                buffer += line
                try:
                    lease, end = decoder.raw_decode(buffer.lstrip())
                except json.JSONDecodeError:
                    continue
                buffer = buffer.lstrip()[end:]
                self.states.append(lease["spec"])
            self.process.wait()
            time.sleep(0.1)

    def __enter__(self):
        self.start()
        late = time.monotonic() + 20
        while not self.states:
            if time.monotonic() > late:
                raise Wrong("the Lease did not show within 20 s")
            time.sleep(0.05)
        return self

    def __exit__(self, *_):
        self.stopped = True
        if self.process:
            self.process.terminate()

    def holder(self):
        return self.states[-1].get("holderIdentity") or ""

    def gaps(self, since=0):
        """For each change of holders: who came, and the seconds from the last sign of the one before."""
        found = []
        last = None
        for state in self.states[since:]:
            holder = state.get("holderIdentity") or ""
            if holder and last and holder != last["holderIdentity"]:
                began = seconds(state["acquireTime"])
                found.append((holder, max(0.0, began - seconds(last["renewTime"]))))
            if holder:
                last = state
            elif last:
                # It was given up: that is the last sign of its holder.
                last = {**last, "renewTime": state.get("renewTime") or last["renewTime"]}
        return found


class Logs(threading.Thread):
    """What every pod of the operator says, also those that are gone by the time of a failure."""

    def __init__(self, folder):
        super().__init__(daemon=True)
        self.folder = folder
        self.stopped = False
        self.followers = {}

    def run(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        selector = "app.kubernetes.io/name=rynxs,app.kubernetes.io/component=operator"
        while not self.stopped:
            try:
                names = kubectl("get", "pods", "-n", NAMESPACE, "-l", selector, "-o", "name").split()
            except Wrong:
                names = []
            for name in names:
                follower = self.followers.get(name)
                if follower is None or follower.poll() is not None:
                    path = self.folder / f"{name.split('/')[1]}.log"
                    with path.open("a") as file:
                        self.followers[name] = subprocess.Popen(
                            ["kubectl", "logs", "-f", "-n", NAMESPACE, name],
                            stdout=file, stderr=subprocess.DEVNULL)
            time.sleep(1)

    def __exit__(self, *_):
        self.stopped = True
        for follower in self.followers.values():
            follower.terminate()

    def __enter__(self):
        self.start()
        return self


class Edits(threading.Thread):
    """Edits an Agent that runs nothing, a few times a second; remembers what was accepted."""

    def __init__(self, agent="clerk", every=0.4):
        super().__init__(daemon=True)
        self.agent, self.every = agent, every
        self.stopped = False
        self.accepted = []

    def run(self):
        value = 0
        while not self.stopped:
            value += 1
            change = {"spec": {"env": [{"name": "EDIT", "value": str(value)}]}}
            try:
                kubectl("patch", "agent", self.agent, "-n", "default", "--type=merge",
                        "-p", json.dumps(change), timeout=20)
                self.accepted.append((time.time(), value))
            except Wrong:
                # An API server that is busy is no business of this thread: it goes on.
                pass
            time.sleep(self.every)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stopped = True
        self.join(timeout=30)
