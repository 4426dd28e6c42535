"""``manage.py rights_reference``: writes the page of the rights that the hub takes in member clusters, from the list itself."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from django.conf import settings as django_settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from hub.federation import rights
from hub.federation.rights import PolicyRule

HEAD = """\
# What the hub may do in a member cluster

This page is generated from `hub/federation/rights.py` by `manage.py rights_reference`. Everything the hub writes at the
registration carries the label `paddock.io/hub-id` and goes when the namespace `paddock-system` is deleted.

Two of its rights are wide because Kubernetes' RBAC cannot make them narrower: `impersonate` on users has no limit by
prefix, and `escalate` is limited to the one ClusterRole that holds what follows the projects. So think of the token of
`paddock-system/paddock-hub` as an administrator's: it lives an hour, is sealed at rest and never leaves the hub.
In its own namespace the account also asks for its tokens and keeps the ConfigMap `paddock-hub-owner`, which says which hub
manages the cluster.

`paddock-system/paddock-renewal` may only ask for tokens of these two accounts; its token lives 30 days, or as long as the
cluster allows, and brings the hub back in after an outage. `kubectl delete namespace paddock-system` revokes both at once.

The hub creates, changes, binds and deletes ClusterRoles by name only: server-side apply is authorized with the name, for
`create` too. It lists them all, or it could not find one that somebody planted with its label. What people may do is not
here: one ClusterRole `paddock-role-<role>` for each role in use holds that role's rules, and the rules of the built-in
roles are on the page of roles. A cluster that was registered by an older hub lacks some of these rights; its check `rights`
then names them, and importing it again gives them.
"""

SECTIONS: tuple[tuple[str, str, Iterable[PolicyRule]], ...] = (
    (rights.HUB_ROLE, "The hub's account, in all namespaces of every member", rights.HUB_RULES),
    (rights.HUB_ROLE, "Added on Harvester", rights.HARVESTER_RULES),
    (
        rights.IMPERSONATION_ROLE,
        "The hub's account, what follows the projects: groups for the proxy, and the roles in use",
        rights.reconciled_rules(("paddock:cluster:<id>:<role>", "paddock:project:<id>:<role>"), ("<role>",)),
    ),
    (rights.NAMESPACE_ROLE, "The hub's account, in the namespaces of projects only", rights.NAMESPACE_RULES),
    (
        rights.MACHINE_ROLE,
        "The account `paddock-machines` of a project's namespace on Harvester, in that namespace only",
        rights.MACHINE_RULES,
    ),
    (
        rights.SHARED_ROLE,
        "People in `paddock:cluster:<id>:member`, who are all that may reach the cluster, in its shared namespace",
        rights.SHARED_RULES,
    ),
)


def render_reference() -> str:
    """The whole page."""
    return HEAD + "".join(_section(*section) for section in SECTIONS)


def _section(name: str, title: str, rules: Iterable[PolicyRule]) -> str:
    rows = "".join(_row(rule) for rule in rules)
    return f"\n## {title}\n\nClusterRole `{name}`\n\n| API group | resources | verbs | only these |\n|---|---|---|---|\n{rows}"


def _row(rule: PolicyRule) -> str:
    cells = (rule.group or "core", ", ".join(rule.resources), ", ".join(rule.verbs), ", ".join(rule.names))
    return f"| {' | '.join(cells)} |\n"


class Command(BaseCommand):
    help = "Writes docs/member-rights.md from the written list of rights."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--check", action="store_true", help="only say whether the page is up to date")

    def handle(self, *args: Any, check: bool, **options: Any) -> None:
        page = Path(django_settings.BASE_DIR) / "docs" / "member-rights.md"
        if not check:
            page.write_text(render_reference())
        elif not page.exists() or page.read_text() != render_reference():
            raise CommandError("docs/member-rights.md is not up to date: run manage.py rights_reference")
