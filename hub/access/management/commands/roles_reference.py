"""``manage.py roles_reference``: writes the page of what there is to act on and what each built-in role may do."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from django.conf import settings as django_settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from hub.access.built_in_roles import ROLES
from hub.access.permissions import RESOURCES, SCOPE_KINDS, Resource, Role, Rule
from hub.federation.rights import PolicyRule

HEAD = """\
# Roles

This page is generated from `hub/access/permissions.py` and `hub/access/built_in_roles.py` by `manage.py roles_reference`.

A role is bound to a user, a service account or a group of an identity provider, on the whole hub, a tenant, a project or a
cluster, for good or until a moment (`POST /api/v1/role-bindings`). It has two kinds of rules: for the hub's own objects
(resources and verbs of the table below), and for what its holder may do inside member clusters (rules as in Kubernetes'
RBAC). The second kind holds in the namespaces of the scope's projects, and in whole clusters that belong to the scope; the
verb `proxy` on `clusters` opens members at all.

Owners of tenants make roles of their tenant, administrators also of the whole hub (`POST /api/v1/roles`); they may inherit
from built-in and custom ones. These rules hold whoever writes:

- Nobody writes, gives or takes a role with a right that he does not have himself at that place, with everything inherited,
  inside members too, nor for longer than he has it. A wildcard is held by a wildcard only.
- A role that inherits from itself, from a role that there is not, or from another tenant's gives nothing and is not given.
- A tenant's role is bound in that tenant only; a service account has roles in its own tenant only.
- A locked role keeps its bindings and takes no new ones.
- Nobody changes the account of somebody who has a right that he lacks. The hub keeps one person as `hub-admin` for good.
- A group's bindings count while the identity provider has confirmed the membership lately (`PADDOCK_GROUP_MAX_AGE_HOURS`).
- A token narrows its owner's roles and never adds to them. One that only reads comes to members as a viewer, where its
  owner's role holds all that the viewer's does; otherwise with those of its roles that only read.

`GET /api/v1/access/explain` says why somebody may do something or why not, `GET /api/v1/access/review` who can reach an
object. Every object that the API shows has a member `can` with the verbs that its caller has on it.
"""


def render_reference() -> str:
    """The whole page."""
    return (
        "\n".join([HEAD, *_resources(), *_overview(), *(line for role in ROLES.values() for line in _role(role))])
        + "\n"
    )


def _resources() -> Iterable[str]:
    yield "## What there is to act on\n"
    yield "Whoever has an account may use the verbs in the last column: on what is his own, or on all where it says so.\n"
    yield "| resource | verbs | belongs to | everybody |"
    yield "|---|---|---|---|"
    for resource in RESOURCES.values():
        yield f"| {resource.name} | {_words(resource.verbs)} | {_belongs(resource)} | {_everybody(resource)} |"


def _belongs(resource: Resource) -> str:
    in_members = resource.model is None and not resource.public_verbs  # in whatever place is asked about
    kinds = [kind for kind in ("tenant", "project", "cluster") if in_members or resource.paths(kind)]
    return ", ".join(kinds) or ("the hub" if resource.model else "")


def _everybody(resource: Resource) -> str:
    if resource.public_verbs:
        return f"{_words(resource.public_verbs)}, on all"
    return _words(resource.owner_verbs)


def _overview() -> Iterable[str]:
    yield "\n## Built-in roles\n"
    yield "| role | | bound on |"
    yield "|---|---|---|"
    for role in ROLES.values():
        yield f"| [{role.name}](#{role.name}) | {role.title} | {_scopes(role)} |"


def _role(role: Role) -> Iterable[str]:
    yield f"\n### {role.name}\n"
    yield f"{role.title}. Bound on: {_scopes(role)}.\n"
    yield "| resources | verbs |"
    yield "|---|---|"
    yield from (f"| {_words(rule.resources)} | {_words(rule.verbs)} |" for rule in _merged(role.rules))
    yield ""
    for where, name in (("the namespaces of projects", role.in_projects), ("whole clusters", role.in_clusters)):
        if name:
            yield f"Inside members, in {where}: as [{name}](#{name}).\n"
    if role.in_projects and role.in_clusters:
        return
    if not role.kubernetes:
        yield "Inside members: nothing."
        return
    yield "Inside members:\n"
    yield "| API group | resources | verbs |"
    yield "|---|---|---|"
    yield from (_policy_rule(rule) for rule in role.kubernetes)


def _merged(rules: Iterable[Rule]) -> list[Rule]:
    """Rules with the same verbs as one, so that the page is short."""
    by_verbs: dict[frozenset[str], frozenset[str]] = {}
    for rule in rules:
        by_verbs[rule.verbs] = by_verbs.get(rule.verbs, frozenset()) | rule.resources
    return [Rule(resources, verbs) for verbs, resources in by_verbs.items()]


def _policy_rule(rule: PolicyRule) -> str:
    if rule.urls:
        return f"| | paths outside the API: {', '.join(rule.urls)} | {', '.join(rule.verbs)} |"
    return f"| {rule.group or 'core'} | {', '.join(rule.resources)} | {', '.join(rule.verbs)} |"


def _scopes(role: Role) -> str:
    return ", ".join(kind for kind in SCOPE_KINDS if kind in role.scopes)


def _words(words: Iterable[str]) -> str:
    return ", ".join(sorted(words))


class Command(BaseCommand):
    help = "Writes docs/roles.md from the permission table and the built-in roles."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--check", action="store_true", help="only say whether the page is up to date")

    def handle(self, *args: Any, check: bool, **options: Any) -> None:
        page = Path(django_settings.BASE_DIR) / "docs" / "roles.md"
        if not check:
            page.write_text(render_reference(), encoding="utf-8")
        elif not page.exists() or page.read_text(encoding="utf-8") != render_reference():
            raise CommandError("docs/roles.md is not up to date: run manage.py roles_reference")
