"""Kubeconfigs in exec form: what is put into one, and how it joins what the user's file holds already.

Entries of others are kept. The standard library reads no YAML, so an existing YAML file is read by way of kubectl; it is
written back as YAML, and a new file as JSON, which kubectl takes as well.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .credential import API_VERSION, CLUSTERS_PATH
from .hub_client import LoginError
from .store import write_private

KUBECTL_SECONDS = 30
LOCK_SECONDS = 5.0
HINT = "kubectl logs in to Paddock by paddock-login: pip install paddock"

Document = dict[str, Any]
_PLAIN_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_-]*", re.ASCII)
_YAML_WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "y", "n", "null"})


def default_file() -> Path:
    """Where kubectl looks: the first of ``$KUBECONFIG``, else ``~/.kube/config``."""
    named = [part for part in os.environ.get("KUBECONFIG", "").split(os.pathsep) if part]
    return Path(named[0]) if named else Path.home() / ".kube" / "config"


def merge(document: Document, hub: str, ca_pem: str | None, clusters: Sequence[tuple[str, str]]) -> list[str]:
    """Puts the clusters, (id, name) each, into the document; the names of their contexts, in the same order.

    A name that the file uses for something else gets the hub's host added; an entry of this hub's is written anew.
    """
    host = str(urlsplit(hub).hostname)
    user = f"paddock-{host}"
    document.setdefault("apiVersion", "v1")
    document.setdefault("kind", "Config")
    _put(document, "users", user, {"user": {"exec": _plugin(hub)}})
    contexts = []
    for id, name in clusters:
        entry: Document = {"server": f"{hub}{CLUSTERS_PATH}{id}"}
        if ca_pem is not None:
            entry["certificate-authority-data"] = base64.b64encode(ca_pem.encode()).decode()
        shown = name if _is_ours(document, name, hub) else f"{name}@{host}"
        _put(document, "clusters", shown, {"cluster": entry})
        namespace = _namespace_of(document, shown)
        _put(document, "contexts", shown, {"context": {"cluster": shown, "user": user, **namespace}})
        contexts.append(shown)
    if not document.get("current-context") and contexts:
        document["current-context"] = contexts[0]
    return contexts


@contextlib.contextmanager
def edited(path: Path) -> Iterator[Document]:
    """The file's document, written back when the block ends well; kubectl's own lock is held meanwhile. Raises LoginError."""
    path = Path(os.path.realpath(path))  # a link stays a link
    path.parent.mkdir(parents=True, exist_ok=True)
    with _locked(path):
        document, is_yaml = _read(path)
        yield document
        write_private(path, to_yaml(document) if is_yaml else json.dumps(document, indent=2) + "\n")


def to_yaml(document: Document) -> str:
    """The document in YAML's block style, every text in quotes."""
    return "".join(f"{line}\n" for line in _lines(document))


def _plugin(hub: str) -> Document:
    command = ["paddock-login"] if shutil.which("paddock-login") else [sys.executable, "-m", "paddock_login"]
    return {
        "apiVersion": API_VERSION,
        "command": command[0],
        "args": [*command[1:], "token", "--hub", hub],
        "interactiveMode": "IfAvailable",
        "provideClusterInfo": True,
        "installHint": HINT,
    }


def _entries(document: Document, plural: str) -> list[Document]:
    entries = document.get(plural)
    if not isinstance(entries, list):
        entries = document[plural] = []
    return entries


def _find(document: Document, plural: str, name: str) -> Document | None:
    return next((entry for entry in _entries(document, plural) if entry.get("name") == name), None)


def _put(document: Document, plural: str, name: str, content: Document) -> None:
    entries = _entries(document, plural)
    new = {"name": name, **content}
    for index, entry in enumerate(entries):
        if entry.get("name") == name:
            entries[index] = new
            return
    entries.append(new)


def _is_ours(document: Document, name: str, hub: str) -> bool:
    """Whether the name is free, or this hub's already."""
    cluster, context = _find(document, "clusters", name), _find(document, "contexts", name)
    if cluster is None:
        return context is None
    server = (cluster.get("cluster") or {}).get("server")
    return isinstance(server, str) and server.startswith(f"{hub}{CLUSTERS_PATH}")


def _namespace_of(document: Document, name: str) -> Document:
    """What the user has set as the context's namespace."""
    namespace = ((_find(document, "contexts", name) or {}).get("context") or {}).get("namespace")
    return {"namespace": namespace} if namespace else {}


def _read(path: Path) -> tuple[Document, bool]:
    """The document, and whether it was YAML."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}, False
    except (OSError, UnicodeDecodeError) as error:
        raise LoginError(f"{path} cannot be read ({error})") from None
    if not text.strip():
        return {}, False
    try:
        document, is_yaml = json.loads(text), False
    except ValueError:
        document, is_yaml = _read_by_kubectl(path), True
    if not isinstance(document, dict):
        raise LoginError(f"{path} is not a kubeconfig")
    return document, is_yaml


def _read_by_kubectl(path: Path) -> Any:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        raise LoginError(
            f"{path} is YAML, which needs kubectl to be read, and there is no kubectl. Write a file of its own with "
            "--file FILE and name both in KUBECONFIG"
        )
    command = [kubectl, "config", "view", "--raw", "--kubeconfig", str(path), "-o", "json"]
    try:
        shown = subprocess.run(command, capture_output=True, timeout=KUBECTL_SECONDS, check=True)
        return json.loads(shown.stdout)
    except subprocess.CalledProcessError as error:
        raise LoginError(f"kubectl cannot read {path}: {error.stderr.decode(errors='replace').strip()[:300]}") from None
    except (OSError, subprocess.TimeoutExpired, ValueError) as error:
        raise LoginError(f"kubectl cannot read {path} ({type(error).__name__})") from None


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """As kubectl does it: whoever can make ``<file>.lock`` may write."""
    lock = path.with_name(f"{path.name}.lock")
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            os.close(os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0))
            break
        except FileExistsError:
            if time.monotonic() >= deadline:
                raise LoginError(f"Somebody else is writing {path}; if nobody is, delete {lock}") from None
            time.sleep(0.1)
        except OSError as error:
            raise LoginError(f"{path} cannot be written ({error.strerror})") from None
    try:
        yield
    finally:
        lock.unlink()


def _lines(value: Any) -> Iterable[str]:
    if isinstance(value, dict) and value:
        for key, member in value.items():
            yield from _member(f"{_key(str(key))}:", member, "  ")
    elif isinstance(value, list) and value:
        for item in value:
            inner = list(_lines(item))
            yield f"- {inner[0]}"
            yield from (f"  {line}" for line in inner[1:])
    else:
        yield json.dumps(value, ensure_ascii=False)


def _member(head: str, value: Any, indent: str) -> Iterable[str]:
    if isinstance(value, (dict, list)) and value:
        yield head
        yield from (f"{indent}{line}" for line in _lines(value))
    else:
        yield f"{head} {json.dumps(value, ensure_ascii=False)}"


def _key(key: str) -> str:
    return key if _PLAIN_KEY.fullmatch(key) and key.lower() not in _YAML_WORDS else json.dumps(key, ensure_ascii=False)
