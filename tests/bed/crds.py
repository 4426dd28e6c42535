"""CustomResourceDefinitions for the bed: the project's own, the real ones where at hand, and their installation.

Snapshots of installed ones, which make later sessions fast, are left to ``crd_snapshots``.
"""

from __future__ import annotations

import copy
import importlib
import importlib.util
import os
from collections.abc import Collection, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from tests.bed.api_client import ApiClient, Object
from tests.bed.waiting import wait_for

COLLECTION = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
INSTALL_DEADLINE = 120.0
"""Seconds until all CRDs of one call are served; all 148 real ones take about 20 on two busy cores."""


def project_crds() -> list[Object] | None:
    """The CRDs that the project generates from its kind table (``simulator.kinds.build_crds``); None without it."""
    if importlib.util.find_spec("simulator") is None or importlib.util.find_spec("simulator.kinds") is None:
        return None
    kinds = importlib.import_module("simulator.kinds")
    crds: list[Object] = kinds.build_crds()
    return crds


def real_crds(groups: Collection[str] | None = None) -> list[Object] | None:
    """The CRDs of the folder that ``PADDOCK_CRDS`` names; None when it names none.

    ``groups`` picks API groups (``kubevirt.io``); without it all are read. Raises FileNotFoundError when the folder
    holds none.
    """
    given = os.environ.get("PADDOCK_CRDS")
    return read_crds(Path(given), groups) if given else None


def read_crds(folder: Path, groups: Collection[str] | None = None) -> list[Object]:
    """The CRDs of all ``<group>_<plural>.yaml`` files below ``folder``, without webhooks that nobody serves here."""
    files = sorted(folder.rglob("*.yaml"))
    if not files:
        raise FileNotFoundError(f"no CRD below {folder}")
    wanted = [file for file in files if groups is None or file.name.rpartition("_")[0] in groups]
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times faster on files of this size
    # The loader is one of PyYAML's two safe ones, whichever this machine's wheel has.
    return [_without_conversion_webhook(yaml.load(file.read_bytes(), Loader=loader)) for file in wanted]


def _without_conversion_webhook(crd: Object) -> Object:
    """A CRD whose conversion webhook is not there would fail every read of its other versions."""
    if crd["spec"].get("conversion", {}).get("strategy") != "Webhook":
        return crd
    changed = copy.deepcopy(crd)
    changed["spec"]["conversion"] = {"strategy": "None"}
    return changed


def ensure_crds(client: ApiClient, crds: Sequence[Object]) -> None:
    """Create or replace the CRDs and wait until every served version answers in discovery.

    Raises ApiRefused for one that the server does not take, DeadlinePassed when one is never served.
    """
    for crd in crds:
        _put(client, crd)
    wait_until_served(client, crds)


def _put(client: ApiClient, crd: Object) -> None:
    path = f"{COLLECTION}/{crd['metadata']['name']}"
    present = client.find(path)
    if present is None:
        client.create(COLLECTION, crd)
        return
    metadata = {**crd["metadata"], "resourceVersion": present["metadata"]["resourceVersion"]}
    client.call("PUT", path, {**crd, "metadata": metadata})


def wait_until_served(client: ApiClient, crds: Iterable[Object]) -> None:
    """Wait until the CRDs are Established and each served version lists its plural in discovery."""
    names = {crd["metadata"]["name"] for crd in crds}
    wait_for(
        f"{len(names)} CRDs to be Established",
        lambda: names <= _established(client),
        seconds=INSTALL_DEADLINE,
        interval=0.2,
    )
    for group_version, plurals in _served(crds).items():
        what = f"/apis/{group_version} to serve {', '.join(sorted(plurals))}"
        wait_for(what, partial(_serves, client, f"/apis/{group_version}", plurals), seconds=INSTALL_DEADLINE)


def _established(client: ApiClient) -> set[str]:
    return {
        crd["metadata"]["name"]
        for crd in client.get(COLLECTION)["items"]
        for condition in crd.get("status", {}).get("conditions") or []  # null until the first one
        if condition["type"] == "Established" and condition["status"] == "True"
    }


def _served(crds: Iterable[Object]) -> dict[str, set[str]]:
    """``group/version`` to the plurals served in it."""
    served: dict[str, set[str]] = {}
    for crd in crds:
        spec: dict[str, Any] = crd["spec"]
        for version in spec["versions"]:
            if version["served"]:
                served.setdefault(f"{spec['group']}/{version['name']}", set()).add(spec["names"]["plural"])
    return served


def _serves(client: ApiClient, path: str, plurals: set[str]) -> bool:
    status, answer = client.request("GET", path)
    return status == 200 and plurals <= {resource["name"] for resource in answer["resources"]}
