"""Commands, and waiting for what they show."""

import json
import os
import pathlib
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


class Wrong(Exception):
    """Something is not as promised."""


class NotThere(Exception):
    """A tool, an image or a permission is missing."""


def env():
    """Takes over the names of kind/env."""
    script = f"cd {ROOT}; set -a; . kind/env; env -0"
    text = subprocess.run(["bash", "-c", script], capture_output=True, check=True).stdout
    for pair in text.split(b"\0"):
        name, equals, value = pair.decode().partition("=")
        if equals:
            os.environ[name] = value
    os.chdir(ROOT)


def run(*command, show=False, check=True, timeout=60, input=None, env=None):
    """Runs a command; its output, or Wrong with its words."""
    whole = {**os.environ, **(env or {})}
    try:
        done = subprocess.run(
            command, input=input, timeout=timeout, env=whole, text=True,
            stdout=None if show else subprocess.PIPE, stderr=None if show else subprocess.PIPE)
    except subprocess.TimeoutExpired:
        raise Wrong(f"no end of `{' '.join(command)}` within {timeout} s") from None
    if check and done.returncode != 0:
        said = "" if show else (done.stderr or done.stdout or "").strip()[-2000:]
        raise Wrong(f"`{' '.join(command)}` ended with {done.returncode}: {said}")
    return done.stdout or ""


def kubectl(*arguments, **more):
    return run("kubectl", "--request-timeout=10s", *arguments, **more)


def get(*arguments, **more):
    """What `kubectl get` says, as data; none if the object is not there."""
    text = kubectl("get", *arguments, "--ignore-not-found", "-o", "json", **more)
    return json.loads(text) if text.strip() else None


def items(*arguments, **more):
    """The objects of a `kubectl get` of several."""
    found = get(*arguments, **more)
    return found["items"] if found else []


def until(what, look, timeout, every=0.2):
    """Waits until `look` gives something that is true, and gives that."""
    late = time.monotonic() + timeout
    seen = None
    while time.monotonic() < late:
        try:
            seen = look()
        except Wrong as error:
            seen = None
            last = str(error)
        else:
            last = repr(seen)[:300]
        if seen:
            return seen
        time.sleep(every)
    raise Wrong(f"{what}: not within {timeout} s; last seen: {last}")
