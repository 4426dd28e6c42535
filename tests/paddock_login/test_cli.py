"""The commands as their user meets them: exit status, words, files, and no token where it does not belong."""

import base64
import json
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from paddock_login.cli import main
from paddock_login.hub_client import Hub, Unreachable
from paddock_login.store import Store, Token
from tests.bed.https_server import Reply
from tests.paddock_login.conftest import Run
from tests.paddock_login.scripted_hub import ScriptedHub

ROOT = Path(__file__).parents[2]


def tell_kubectls_part(monkeypatch: pytest.MonkeyPatch, interactive: bool, **cluster: str) -> None:
    spec: dict[str, Any] = {"interactive": interactive, **({"cluster": cluster} if cluster else {})}
    monkeypatch.setenv("KUBERNETES_EXEC_INFO", json.dumps({"spec": spec}))


def test_a_login_keeps_the_token_and_pins_the_ca(run: Run, hub: ScriptedHub, ca_file: Path, store: Store) -> None:
    status, out, err = run("login", hub.url, "--ca-file", ca_file, "--device")
    assert (status, out) == (0, "")
    assert f"Logged in to {hub.url} as anna" in err
    assert hub.issued[0] not in out + err
    ca_file.unlink()
    assert run("login", "--device")[0] == 0  # the same hub, by the CA that was pinned
    token = store.find_token(hub.url)
    assert token is not None
    assert token.token == hub.issued[1]


def test_without_the_ca_the_hub_is_not_trusted_and_nothing_is_kept(run: Run, hub: ScriptedHub, store: Store) -> None:
    status, _, err = run("login", hub.url, "--device")
    assert status == 1
    assert "--ca-file" in err
    assert (store.current_hub(), hub.begun) == (None, [])


def test_a_login_is_as_short_and_narrow_as_it_is_asked_for(run: Run, hub: ScriptedHub, ca_file: Path) -> None:
    run("login", hub.url, "--ca-file", ca_file, "--device", "--hours", "0.5", "--read-only")
    assert (hub.begun[0]["expires_in_seconds"], hub.begun[0]["scope"]) == (1800, {"read_only": True})


@pytest.mark.parametrize("arguments", [[], ["fly"], ["login", "--device", "--browser"], ["login", "--hours", "0"]])
def test_wrong_arguments_are_told_with_status_2(run: Run, arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as left:
        run(*arguments)
    assert left.value.code == 2


@pytest.mark.parametrize("command", ["whoami", "logout", "token", "kubeconfig", "login"])
def test_without_any_hub_it_says_what_to_do(run: Run, command: str) -> None:
    status, out, err = run(command)
    assert (status, out) == (1, "")
    assert "paddock-login login https://HOST" in err


@pytest.mark.parametrize("command", ["whoami", "kubeconfig"])
def test_without_a_login_it_says_what_to_do(run: Run, logged_in: ScriptedHub, command: str) -> None:
    run("logout")
    status, _, err = run(command)
    assert status == 1
    assert f"paddock-login login {logged_in.url}" in err


def test_whoami_tells_name_and_roles(run: Run, logged_in: ScriptedHub) -> None:
    status, out, _ = run("whoami")
    assert (status, out) == (0, f"anna at {logged_in.url}\n  tenant-owner on tenant T\n")


def test_logout_ends_the_token_at_the_hub_and_here(run: Run, logged_in: ScriptedHub, store: Store) -> None:
    assert run("logout")[0] == 0
    assert logged_in.ended == set(logged_in.issued)
    assert store.find_token(logged_in.url) is None
    assert run("logout")[0] == 0  # again is fine


def test_logout_of_an_ended_token_is_fine(run: Run, logged_in: ScriptedHub) -> None:
    logged_in.ended.update(logged_in.issued)
    assert run("logout")[0] == 0


def away(*_: object) -> None:
    raise Unreachable("away")


def test_logout_without_the_hub_forgets_the_token_and_says_that_it_lives_on(
    run: Run, logged_in: ScriptedHub, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Hub, "post", away)
    status, _, err = run("logout")
    assert status == 1
    assert "the hub was not told" in err
    assert store.find_token(logged_in.url) is None


def test_token_prints_the_kept_one_for_kubectl(
    run: Run, logged_in: ScriptedHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell_kubectls_part(monkeypatch, interactive=False)
    status, out, err = run("token", "--hub", logged_in.url)
    assert (status, err) == (0, "")
    assert json.loads(out)["status"]["token"] == logged_in.issued[0]
    assert len(logged_in.issued) == 1


@pytest.mark.parametrize("end", ["ended at the hub", "by the clock", "forgotten", "damaged"])
def test_token_logs_in_anew_when_somebody_is_there(
    run: Run, logged_in: ScriptedHub, store: Store, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    _spoil(end, logged_in, store)
    tell_kubectls_part(monkeypatch, interactive=True)
    status, out, err = run("token", "--hub", logged_in.url)
    assert status == 0
    assert json.loads(out)["status"]["token"] == logged_in.issued[-1]
    assert len(logged_in.issued) == 2
    assert "BCDF-GHJK" in err
    assert "BCDF-GHJK" not in out  # kubectl reads that


@pytest.mark.parametrize("end", ["ended at the hub", "by the clock", "forgotten", "damaged"])
def test_token_says_what_to_do_when_nobody_is_there(
    run: Run, logged_in: ScriptedHub, store: Store, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    _spoil(end, logged_in, store)
    tell_kubectls_part(monkeypatch, interactive=False)
    status, out, err = run("token", "--hub", logged_in.url)
    assert (status, out) == (1, "")
    assert f"paddock-login login {logged_in.url}" in err
    assert len(logged_in.issued) == 1


def _spoil(end: str, hub: ScriptedHub, store: Store) -> None:
    if end == "ended at the hub":
        hub.ended.update(hub.issued)
    elif end == "by the clock":
        store.keep_token(Token(hub.url, hub.issued[0], "anna", "2020-01-01T00:00:00Z"))
    elif end == "forgotten":
        store.drop_token(hub.url)
    else:
        (path,) = (store.folder / "tokens").glob("*.json")
        path.write_text("{")


def test_token_of_a_hub_that_is_away_is_handed_out_for_kubectl_to_report(
    run: Run, logged_in: ScriptedHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Hub, "get", away)
    assert json.loads(run("token")[1])["status"]["token"] == logged_in.issued[0]


def test_token_believes_the_ca_of_the_kubeconfig_that_kubectl_uses(
    run: Run, hub: ScriptedHub, monkeypatch: pytest.MonkeyPatch, store: Store
) -> None:
    ca = base64.b64encode(hub.server.ca_pem.encode()).decode()
    server = f"{hub.url}/k8s/clusters/1"
    tell_kubectls_part(monkeypatch, True, server=server, **{"certificate-authority-data": ca})
    assert run("token")[0] == 0
    assert store.ca_of(hub.url) == hub.server.ca_pem
    tell_kubectls_part(monkeypatch, True, server="https://other.example/k8s/clusters/1", **{
        "certificate-authority-data": base64.b64encode(b"of another hub").decode()
    })  # fmt: skip
    assert run("token", "--hub", hub.url)[0] == 0  # not that one's CA


def test_many_kubectls_at_once_log_in_once(logged_in: ScriptedHub, store: Store, ca_file: Path) -> None:
    store.drop_token(logged_in.url)
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "KUBERNETES_EXEC_INFO": json.dumps({"spec": {"interactive": True}}),
    }
    command = [sys.executable, "-m", "paddock_login", "token", "--hub", logged_in.url]
    running = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    shown = [process.communicate(timeout=60)[0] for process in running]
    assert {json.loads(out)["status"]["token"] for out in shown} == {logged_in.issued[1]}
    assert len(logged_in.issued) == 2


def test_ctrl_c_while_waiting_ends_it_cleanly(logged_in: ScriptedHub) -> None:
    logged_in.polls = ["cli_login.authorization_pending"] * 100_000
    command = [sys.executable, "-m", "paddock_login", "login", "--device"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert "BCDF-GHJK" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "given up" in err
    assert "Traceback" not in err
    assert len(logged_in.issued) == 1


def test_sec04_no_token_is_in_arguments_output_or_kept_readable(run: Run, logged_in: ScriptedHub, store: Store) -> None:
    shown = "".join(run(*arguments)[1] + run(*arguments)[2] for arguments in (["whoami"], ["kubeconfig", "--print"]))
    assert logged_in.issued[0] not in shown
    for path in store.folder.rglob("*"):
        assert not stat.S_IMODE(path.stat().st_mode) & 0o077, path
    assert not any(logged_in.issued[0] in asked.path + str(asked.query) for asked in logged_in.server.asked)


def test_kubeconfig_writes_all_clusters_that_one_may_work_in(run: Run, logged_in: ScriptedHub, tmp_path: Path) -> None:
    logged_in.clusters.append({"id": "id-of-rome", "name": "rome", "can": ["get", "list"]})
    logged_in.page_size = 1
    path = tmp_path / "kubeconfig"
    status, _, err = run("kubeconfig", "--file", path)
    assert (status, str(path) in err) == (0, True)
    document = json.loads(path.read_text())
    assert [entry["name"] for entry in document["contexts"]] == ["berlin", "paris"]
    (user,) = document["users"]
    assert user["user"].keys() == {"exec"}
    assert document["clusters"][0]["cluster"]["server"] == f"{logged_in.url}/k8s/clusters/id-of-berlin"
    assert logged_in.issued[0] not in path.read_text()


def test_kubeconfig_writes_the_named_ones(run: Run, logged_in: ScriptedHub, tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    assert run("kubeconfig", "paris", "--file", path)[0] == 0
    assert [entry["name"] for entry in json.loads(path.read_text())["contexts"]] == ["paris"]
    status, _, err = run("kubeconfig", "rome", "--file", path)
    assert status == 1
    assert "rome" in err
    assert "berlin, paris" in err


def test_kubeconfig_of_nothing_writes_nothing(run: Run, logged_in: ScriptedHub, tmp_path: Path) -> None:
    logged_in.clusters.clear()
    assert run("kubeconfig", "--file", tmp_path / "kubeconfig")[0] == 1
    assert not (tmp_path / "kubeconfig").exists()


def test_an_answer_that_is_odd_is_told_and_is_no_traceback(run: Run, logged_in: ScriptedHub) -> None:
    logged_in.before_answer = lambda asked: Reply(b"<html>")
    status, _, err = run("whoami")
    assert status == 1
    assert "Paddock hub" in err


def test_a_folder_that_cannot_be_written_is_told(
    run: Run, hub: ScriptedHub, ca_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("PADDOCK_CONFIG", str(tmp_path / "file" / "config"))
    status, _, err = run("login", hub.url, "--ca-file", ca_file, "--device")
    assert status == 1
    assert "file" in err


def test_another_login_under_way_is_waited_for(run: Run, logged_in: ScriptedHub, store: Store) -> None:
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with store.locked(logged_in.url):
            held.set()
            done.wait(20)

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(10)
    ended: list[float] = []

    def wait() -> None:
        main(["token"])
        ended.append(time.monotonic())

    waiting = threading.Thread(target=wait)
    waiting.start()
    released = time.monotonic()
    done.set()
    waiting.join(20)
    holder.join(20)
    assert ended
    assert ended[0] >= released
