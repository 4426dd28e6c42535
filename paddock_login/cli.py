"""The commands. What they print for programs goes to standard output, what is for people beside it to standard error."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import kubeconfig
from .credential import read_exec_info, render_credential
from .flows import log_in
from .hub_client import Hub, LoginError, Unreachable, parse_hub_url
from .store import Store, Token

CHECK_SECONDS = 10.0
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status: 0, 1 when it did not work, 2 for wrong arguments, 130 after Ctrl-C."""
    options = _parser().parse_args(arguments)
    try:
        options.run(options, Store())
    except LoginError as error:
        _say(f"paddock-login: {error}")
        return 1
    except OSError as error:
        _say(f"paddock-login: {error.filename or ''} {error.strerror or error}")
        return 1
    except KeyboardInterrupt:
        _say("\npaddock-login: given up.")
        return INTERRUPTED
    return 0


def login(options: argparse.Namespace, store: Store) -> None:
    """Logs in anew, also when there is a good token."""
    url = parse_hub_url(options.hub) if options.hub else _current_hub(store)
    ca_pem = _read_ca(options.ca_file) if options.ca_file else store.ca_of(url)
    hub = Hub(url, ca_pem)
    seconds = None if options.hours is None else round(options.hours * 3600)
    with store.locked(url):
        token = log_in(hub, _say, flow=options.flow, seconds=seconds, read_only=options.read_only)
        store.remember_hub(url, ca_pem)
        store.keep_token(token)
    _say(f"Logged in to {url} as {token.username} until {token.expires_at[:16].replace('T', ' ')} UTC.")


def logout(options: argparse.Namespace, store: Store) -> None:
    """Ends the token at the hub and forgets it here, also when the hub cannot be reached."""
    url = _hub_of(options, store)
    with store.locked(url):
        token = store.find_token(url)
        store.drop_token(url)
        if token is None:
            _say(f"Not logged in to {url}.")
            return
        try:
            Hub(url, store.ca_of(url)).post("cli-logins/logout", {}, token.token)
        except Unreachable as error:
            raise LoginError(f"The token is forgotten here, but the hub was not told: {error}") from None
        except LoginError as error:
            if error.status != 401:  # it had ended already
                raise
    _say(f"Logged out of {url}.")


def print_token(options: argparse.Namespace, store: Store) -> None:
    """For kubectl: an ``ExecCredential`` with a token that the hub still takes, after a login when there is none."""
    info = read_exec_info()
    url = parse_hub_url(options.hub) if options.hub else info.hub or _current_hub(store)
    ca_pem = store.ca_of(url) or (info.ca_pem if info.hub in (None, url) else None)
    hub = Hub(url, ca_pem)
    with store.locked(url):
        token = store.find_token(url)
        if token is None or not token.is_fresh or not _is_taken(url, ca_pem, token):
            if not info.interactive:
                raise LoginError(f"Not logged in to {url}. Run: paddock-login login {url}")
            token = log_in(hub, _say)
            store.remember_hub(url, ca_pem)
            store.keep_token(token)
    _print(render_credential(token))


def write_kubeconfig(options: argparse.Namespace, store: Store) -> None:
    """Writes the named clusters, or all that the user sees, into his kubeconfig."""
    url = _hub_of(options, store)
    ca_pem = store.ca_of(url)
    clusters = _chosen(_clusters(Hub(url, ca_pem), _token_of(store, url)), options.clusters)
    if options.print:
        document: dict[str, Any] = {}
        kubeconfig.merge(document, url, ca_pem, clusters)
        _print(kubeconfig.to_yaml(document).rstrip("\n"))
        return
    path = options.file or kubeconfig.default_file()
    with kubeconfig.edited(path) as document:
        contexts = kubeconfig.merge(document, url, ca_pem, clusters)
    _say(f"Wrote {path}. Use: kubectl --context {contexts[0]} get pods")


def whoami(options: argparse.Namespace, store: Store) -> None:
    """Who the hub takes the user for."""
    url = _hub_of(options, store)
    found = Hub(url, store.ca_of(url)).get("whoami", _token_of(store, url).token)
    _print(f"{found['name']} at {url}")
    for role in found.get("roles", ()):
        place = " ".join(str(role[key]) for key in ("scope_kind", "scope_id") if role.get(key))
        _print(f"  {role.get('role', '?')} on {place}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="paddock-login", description="Logs kubectl in to a Paddock hub.")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    command = commands.add_parser("login", help="log in by the browser")
    command.add_argument("hub", nargs="?", help="the hub's address, https://HOST[:PORT]; without it the last one")
    command.add_argument("--ca-file", type=Path, help="the CA of the hub's certificate (PEM); remembered for later")
    flow = command.add_mutually_exclusive_group()
    flow.add_argument("--device", dest="flow", action="store_const", const="device", default="auto",
                      help="show a code to type in a browser anywhere")  # fmt: skip
    flow.add_argument("--browser", dest="flow", action="store_const", const="browser",
                      help="open the browser of this machine")  # fmt: skip
    command.add_argument("--read-only", action="store_true", help="for a login that changes nothing")
    command.add_argument("--hours", type=_hours, help="how long the login is to last at most")
    command.set_defaults(run=login)

    for name, run, text in (
        ("logout", logout, "end the login at the hub and here"),
        ("whoami", whoami, "show who the hub takes you for"),
        ("token", print_token, "print the credential that kubectl's exec plugin wants"),
    ):
        command = commands.add_parser(name, help=text)
        command.add_argument("--hub", help="the hub's address; without it the last one")
        command.set_defaults(run=run)

    command = commands.add_parser("kubeconfig", help="write clusters of the hub into your kubeconfig")
    command.add_argument("clusters", nargs="*", metavar="CLUSTER", help="names; without any, all that you see")
    command.add_argument("--hub", help="the hub's address; without it the last one")
    target = command.add_mutually_exclusive_group()
    target.add_argument("--file", type=Path, help="the file to write into; without it kubectl's own")
    target.add_argument("--print", action="store_true", help="print it and write nothing")
    command.set_defaults(run=write_kubeconfig)
    return parser


def _hours(text: str) -> float:
    value = float(text)
    if not 0 < value <= 1000:
        raise argparse.ArgumentTypeError("must be more than 0")
    return value


def _hub_of(options: argparse.Namespace, store: Store) -> str:
    return parse_hub_url(options.hub) if options.hub else _current_hub(store)


def _current_hub(store: Store) -> str:
    url = store.current_hub()
    if url is None:
        raise LoginError("Which hub? Run: paddock-login login https://HOST")
    return url


def _read_ca(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except UnicodeDecodeError:
        raise LoginError(f"{path} is no PEM file") from None
    except OSError as error:
        raise LoginError(f"{path} cannot be read ({error.strerror})") from None


def _token_of(store: Store, url: str) -> Token:
    token = store.find_token(url)
    if token is None or not token.is_fresh:
        raise LoginError(f"Not logged in to {url}. Run: paddock-login login {url}")
    return token


def _is_taken(url: str, ca_pem: str | None, token: Token) -> bool:
    """Whether the hub still takes the token: it may have ended with its login. A hub that is away is kubectl's to report."""
    try:
        Hub(url, ca_pem, CHECK_SECONDS).get("whoami", token.token)
    except Unreachable:
        return True
    except LoginError as error:
        if error.status != 401:
            raise
        return False
    return True


def _clusters(hub: Hub, token: Token) -> list[tuple[str, str]]:
    """(id, name) of each cluster that the user may work in, by name."""
    found: list[tuple[str, str]] = []
    place: str | None = None
    while True:
        page = hub.get("clusters?sort=name&limit=500" + (f"&continue={place}" if place else ""), token.token)
        found += [(str(c["id"]), str(c["name"])) for c in page["items"] if "proxy" in c.get("can", ("proxy",))]
        place = page.get("continue")
        if not place:
            return found


def _chosen(clusters: list[tuple[str, str]], names: Sequence[str]) -> list[tuple[str, str]]:
    known = {name for _, name in clusters}
    missing = [name for name in names if name not in known]
    if missing:
        raise LoginError(
            f"You see no cluster called {', '.join(missing)}. There are: {', '.join(sorted(known)) or 'none'}"
        )
    if not clusters:
        raise LoginError("You see no cluster on this hub.")
    return [(id, name) for id, name in clusters if not names or name in names]


def _say(words: str) -> None:
    sys.stderr.write(f"{words}\n")
    sys.stderr.flush()


def _print(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
