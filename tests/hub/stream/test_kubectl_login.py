"""kubectl in exec form: paddock-login logs in by the browser, kubectl works through the hub, and logging out ends it.

Everything is real but the browser: gunicorn and the stream server on the test database, the program in processes of its own,
kubectl, and a kube-apiserver as the member.
"""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import pytest
import yaml
from django.conf import settings

from hub.core.access import SYSTEM
from hub.federation.models import Cluster
from hub.federation.rights import cluster_group, project_group
from hub.identity.actors import actor_of
from hub.identity.cli_logins import approve, find_browser_login
from hub.identity.models import ApiToken, Session
from hub.identity.sessions import end_session, start_session
from tests.bed.kubernetes import ApiServer
from tests.bed.waiting import wait_for
from tests.hub.api.callers import Caller, make_caller
from tests.hub.builders import make_actor, make_namespace, make_project, user_of
from tests.hub.stream.conftest import Served
from tests.hub.stream.test_on_real_apiserver import Member

ROOT = Path(settings.BASE_DIR)
SECONDS = 60


class Workstation:
    """A user's machine: a home of its own, paddock-login and kubectl on its PATH, and a browser that notes where it is sent."""

    def __init__(self, folder: Path, kubectl: Path, served: Served) -> None:
        self.hub = f"https://127.0.0.1:{served.port}"
        self.home = folder / "workstation"
        self._address = self.home / "address"
        programs = self.home / "bin"
        programs.mkdir(parents=True)
        (self.home / "ca.pem").write_text(served.authority.certificate_pem)
        _program(programs / "paddock-login", f'exec {sys.executable} -m paddock_login "$@"')
        _program(
            programs / "browser", f'printf %s "$1" > {self._address}.part && mv {self._address}.part {self._address}'
        )
        self._environment = {
            "HOME": str(self.home),
            "PATH": f"{programs}:{kubectl.parent}:/usr/bin:/bin",
            "PYTHONPATH": str(ROOT),
            "BROWSER": f"{programs / 'browser'} %s",
            "KUBECONFIG": str(self.home / "kubeconfig"),
        }

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, env=self._environment, capture_output=True, text=True, timeout=SECONDS, stdin=subprocess.DEVNULL
        )

    def __call__(self, *command: str) -> str:
        done = self.run(*command)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def log_in(self, session: Session) -> None:
        """The program opens the browser, in which the session's user says yes."""
        command = ["paddock-login", "login", self.hub, "--ca-file", str(self.home / "ca.pem"), "--browser"]
        with subprocess.Popen(command, env=self._environment, stderr=subprocess.PIPE, text=True) as process:
            wait_for("the browser to be opened", self._address.exists, seconds=SECONDS)
            (id,) = parse_qs(urlsplit(self._address.read_text()).query)["id"]
            login = find_browser_login(UUID(id))
            assert login is not None
            target = approve(actor_of(session.user, session=session), session, login)
            assert target is not None
            with urllib.request.urlopen(target, timeout=SECONDS) as answer:
                assert answer.status == 200
            _, err = process.communicate(timeout=SECONDS)
        assert process.returncode == 0, err


def _program(path: Path, line: str) -> None:
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)


@pytest.fixture
def member(kube_apiserver: ApiServer) -> Iterator[Member]:
    made = Member(kube_apiserver)
    yield made
    made.remove()


@pytest.fixture
def web(transactional_db: None, served: Served, database_url: str, tmp_path: Path) -> Iterator[None]:
    """gunicorn behind the stream server, which says the stream server's address for the hub's."""
    socket = tmp_path / "web.sock"
    options = ["--bind", f"unix:{socket}", "--worker-class", "gthread", "--threads", "4", "--no-control-socket"]
    command = [sys.executable, "-m", "gunicorn", "hub.config.wsgi", *options]
    environment = {**os.environ, "DATABASE_URL": database_url, "PADDOCK_URL": f"https://127.0.0.1:{served.port}"}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as it:
        try:
            wait_for("gunicorn to listen", socket.exists, seconds=SECONDS)
            yield
        finally:
            it.terminate()
            it.wait(20)


@pytest.mark.usefixtures("transactional_db", "web")
def test_kubectl_in_exec_form_works_through_the_hub_until_the_login_ends(
    served: Served, member: Member, kubectl: Path, tmp_path: Path
) -> None:
    actor, project = make_actor("hub-admin"), make_project()
    url, ca_pem = member.server.url, member.server.ca_pem
    cluster = served.cluster(url=url, ca_pem=ca_pem, token=member.token(), groups=["later"])
    admins, viewers = cluster_group(cluster.pk, "cluster-admin"), project_group(project.pk, "project-viewer")
    cluster.groups = [admins, viewers]
    cluster.save(update_fields=["groups"])
    make_namespace(project, cluster)
    member.grant(cluster.groups, admins, viewers)
    session, _ = start_session(user_of(actor), peer="127.0.0.1", user_agent="test")
    workstation = Workstation(tmp_path, kubectl, served)

    workstation.log_in(session)
    assert workstation("paddock-login", "whoami").startswith(f"{actor.name} at {workstation.hub}")
    workstation("paddock-login", "kubeconfig", cluster.name)
    written = (workstation.home / "kubeconfig").read_text()
    assert "pdk_" not in written

    me: Any = yaml.safe_load(workstation("kubectl", "auth", "whoami", "-o", "yaml"))["status"]["userInfo"]
    assert me["username"] == f"paddock:user:{actor.name}"
    workstation("kubectl", "create", "configmap", "colours", "-n", member.name, "--from-literal=sky=blue")
    assert (
        workstation("kubectl", "get", "configmap", "colours", "-n", member.name, "-o", "jsonpath={.data.sky}") == "blue"
    )
    (token,) = ApiToken.objects.filter(purpose="login")
    assert token.session == session

    end_session(SYSTEM, session, "logout")
    refused = workstation.run("kubectl", "get", "configmaps", "-n", member.name)
    assert refused.returncode != 0
    assert f"paddock-login login {workstation.hub}" in refused.stderr


@pytest.mark.usefixtures("transactional_db")
def test_sec17_a_downloaded_kubeconfig_opens_its_own_cluster_and_nothing_else(served: Served) -> None:
    caller = make_caller("hub-admin")
    mine, other = served.cluster(), served.cluster()
    answer = caller.post("kubeconfigs", {"clusters": [str(mine.pk)], "form": "token"})
    text = yaml.safe_load(answer.body["kubeconfig"])["users"][0]["user"]["token"]

    def opens(cluster: Cluster) -> int:
        return served.ask("GET", f"/k8s/clusters/{cluster.pk}/api/v1/namespaces/x/pods", text).status

    wait_for("the token to be known", lambda: opens(mine) == 200, seconds=SECONDS)
    assert opens(other) in (403, 404)
    assert Caller(token=text).get("clusters").status == 401
    assert caller.delete(answer.location).status == 204
    wait_for("the token to be forgotten", lambda: opens(mine) == 401, seconds=SECONDS)
