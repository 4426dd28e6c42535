"""What every role may do at every route: written from what the roles are for, not from the code that decides.

A line says which roles may, on an object of their own place. The rest follows from four sentences that ``expected`` reads:
who may not, but sees the object, is told so (403); who does not see it hears that there is none (404, or 400 when a body
names it); another tenant's objects are seen by the two roles of the whole hub only; without a login all is 401.
"""

from collections.abc import Mapping
from dataclasses import dataclass

NOBODY = "nobody"  # has an account and no role
STRANGER = "stranger"  # has not logged in
OWN, FOREIGN, MISSING = OWNERSHIPS = ("own", "foreign", "missing")

ADMIN = "hub-admin"
AUDITOR = "hub-auditor"
PROVISIONER = "cluster-provisioner"
NETWORKS = "network-admin"
CLUSTER_ADMIN = "cluster-admin"
CLUSTER_NETWORKS = "cluster-network-admin"
CLUSTER_MEMBER = "cluster-member"
CLUSTER_VIEWER = "cluster-viewer"
TENANT_OWNER = "tenant-owner"
OWNER = "project-owner"
OPERATOR = "project-operator"
MEMBER = "project-member"
VIEWER = "project-viewer"
MACHINE_OPERATOR = "vm-operator"
CONSOLE_USER = "vm-console-user"

# Where the matrix binds each role.
OF_HUB = frozenset({ADMIN, AUDITOR})
OF_CLUSTER = frozenset({CLUSTER_ADMIN, CLUSTER_NETWORKS, CLUSTER_MEMBER, CLUSTER_VIEWER})
OF_TENANT = frozenset({TENANT_OWNER, NETWORKS})
OF_PROJECT = frozenset({PROVISIONER, OWNER, OPERATOR, MEMBER, VIEWER, MACHINE_OPERATOR, CONSOLE_USER})
ROLES = tuple(sorted(OF_HUB | OF_CLUSTER | OF_TENANT | OF_PROJECT))
CALLERS = (*ROLES, NOBODY, STRANGER)
READING = frozenset({AUDITOR, CLUSTER_VIEWER, CLUSTER_MEMBER, VIEWER, MEMBER, CONSOLE_USER, MACHINE_OPERATOR})
"""Roles that change no row of the hub; what the last ones change is inside member clusters."""

ALL = frozenset(ROLES)
EVERYBODY = ALL | {NOBODY}
ADMINS = frozenset({ADMIN})
TENANT_OWNERS = ADMINS | {TENANT_OWNER}
OWNERS = TENANT_OWNERS | {OWNER}
ORDERING = OWNERS | {OPERATOR, PROVISIONER}
WORKING = ORDERING | {MEMBER, VIEWER}
IN_TENANT = OF_TENANT | OF_PROJECT

# Who sees an object of his own place.
SEES: Mapping[str, frozenset[str]] = {
    "tenants": OF_HUB | IN_TENANT,
    "projects": OF_HUB | IN_TENANT,
    "clusters": ALL,
    "project-namespaces": ALL,
    "guest-clusters": WORKING | OF_HUB,
    "node-pools": WORKING | OF_HUB,
    "machines": WORKING | OF_HUB,
    "operations": WORKING | OF_HUB | {MACHINE_OPERATOR},
    "audit-events": OWNERS | OF_HUB,
    "audit-forwarders": OF_HUB,
    "identity-providers": OF_HUB,
    "provider-tests": OF_HUB,
    "groups": OF_HUB,
    "role-bindings": OWNERS | OF_HUB,
    "invitations": OWNERS | OF_HUB,
    "service-accounts": OWNERS | OF_HUB | {OPERATOR},
    "credentials": ORDERING | OF_HUB | {MEMBER},
    "roles": OF_HUB | {TENANT_OWNER},
    "grants": WORKING | OF_HUB | OF_CLUSTER | {NETWORKS},
    "quotas": WORKING | OF_HUB,
    "clusters to reach": ALL - {PROVISIONER},
    "quotas of tenants": OF_HUB | {TENANT_OWNER},
}
# Of these everybody has some of his own, and sees no other's.
EVERYBODYS = frozenset({"tokens", "kubeconfigs", "users", "sessions"})
# Of no tenant: there is no foreign one.
OF_NO_TENANT = frozenset({"audit-forwarders", "identity-providers", "provider-tests", "groups"})


@dataclass(frozen=True, slots=True)
class Line:
    """One route: the status of success, who gets it on an object of his own place, and of which kind that object is.

    ``sees`` "" is the hub itself, on which a right is had or not. ``in_body``: the object is one that the body names.
    ``of_others`` may where everybody may on his own. ``without_login`` is what a stranger gets.
    """

    ok: int
    may: frozenset[str]
    sees: str = ""
    in_body: bool = False
    of_others: frozenset[str] = frozenset()
    ok_own: int = 0  # another status for what is one's own
    without_login: int = 401

    @property
    def ownerships(self) -> tuple[str, ...]:
        return OWNERSHIPS if self.sees else (OWN,)


def expected(line: Line, caller: str, ownership: str) -> int:
    """The status that the caller gets on an object of this ownership."""
    if caller == STRANGER:
        return line.without_login
    may = line.of_others if line.sees in EVERYBODYS and ownership != OWN else line.may
    if line.sees and not _sees(line, caller, ownership):
        return 400 if line.in_body else 404
    ok = line.ok_own if ownership == OWN and line.ok_own else line.ok
    return ok if caller in may else 403


def _sees(line: Line, caller: str, ownership: str) -> bool:
    if ownership == OWN or (ownership == FOREIGN and line.sees in OF_NO_TENANT):
        return line.sees in EVERYBODYS or caller in SEES[line.sees]
    return ownership == FOREIGN and caller in OF_HUB


def public(ok: int = 200) -> Line:
    return Line(ok, EVERYBODY, without_login=ok)


def anybody(ok: int = 200) -> Line:
    """Whoever is logged in; lists are for everybody too, and hold what one sees."""
    return Line(ok, EVERYBODY)


def on_hub(ok: int, may: frozenset[str]) -> Line:
    return Line(ok, may)


def see(kind: str) -> Line:
    return Line(200, SEES[kind], kind)


def change(ok: int, kind: str, may: frozenset[str]) -> Line:
    return Line(ok, may, kind)


def see_own(kind: str) -> Line:
    return Line(200, EVERYBODY, kind, of_others=OF_HUB)


def change_own(
    ok: int, kind: str, may: frozenset[str] = EVERYBODY, *, of_others: frozenset[str] = ADMINS, ok_own: int = 0
) -> Line:
    return Line(ok, may, kind, of_others=of_others, ok_own=ok_own)


def inside(ok: int, kind: str, may: frozenset[str]) -> Line:
    """Makes something in an object that the body names."""
    return Line(ok, may, kind, in_body=True)


def page(ok: int = 200) -> Line:
    """A page of somebody who is logged in; a stranger is led to the login."""
    return Line(ok, EVERYBODY, without_login=303)


def login_page() -> Line:
    """Whoever is logged in is led on."""
    return Line(303, EVERYBODY, without_login=200)


def form() -> Line:
    """A form of a page, sent without the proof that it comes from that page: nobody's is taken (SEC-71)."""
    return Line(403, EVERYBODY, without_login=403)


TABLE: Mapping[str, Line] = {
    "GET /livez": public(),
    "GET /readyz": public(),
    "GET /metrics": on_hub(200, OF_HUB),
    "GET /api/v1/openapi.json": public(),
    "GET /api/v1/whoami": anybody(),
    "POST /api/v1/whoami/password": anybody(409),  # these callers have no password
    "GET /api/v1/session": anybody(404),  # he came with a token
    "GET /api/v1/built-in-roles": anybody(),
    "GET /api/v1/releases": anybody(),
    "GET /api/v1/node-drivers": anybody(),
    "GET /api/v1/access/explain": anybody(400),  # nothing was asked
    "GET /api/v1/access/review": anybody(400),
    "GET /api/v1/audit-events": anybody(),
    "GET /api/v1/audit-events/<pk>": see("audit-events"),
    "GET /api/v1/audit-events/export": anybody(),
    "GET /api/v1/audit-forwarders": anybody(),
    "POST /api/v1/audit-forwarders": on_hub(201, ADMINS),
    "GET /api/v1/audit-forwarders/<pk>": see("audit-forwarders"),
    "PATCH /api/v1/audit-forwarders/<pk>": change(200, "audit-forwarders", ADMINS),
    "DELETE /api/v1/audit-forwarders/<pk>": change(204, "audit-forwarders", ADMINS),
    "POST /api/v1/cli-logins": public(201),
    "POST /api/v1/cli-logins/token": public(400),
    "POST /api/v1/cli-logins/logout": anybody(201),
    "GET /api/v1/clusters": anybody(),
    "POST /api/v1/clusters": on_hub(202, ADMINS),
    "GET /api/v1/clusters/<pk>": see("clusters"),
    "PATCH /api/v1/clusters/<pk>": change(200, "clusters", ADMINS | {CLUSTER_ADMIN}),
    "DELETE /api/v1/clusters/<pk>": change(409, "clusters", ADMINS),
    "GET /api/v1/clusters/<pk>/offers": see("clusters"),
    # 400: the project that the body names is not there.
    "POST /api/v1/clusters/<pk>/adoption-plans": change(400, "clusters", ADMINS | {CLUSTER_ADMIN}),
    # 422: the kubeconfig is none.
    "POST /api/v1/clusters/<pk>/imports": change(422, "clusters", ADMINS | {CLUSTER_ADMIN}),
    "POST /api/v1/clusters/<pk>/kubeconfig": change(201, "clusters", ALL - {PROVISIONER}),
    "GET /api/v1/credentials": anybody(),
    "POST /api/v1/credentials": inside(201, "projects", OWNERS),
    "GET /api/v1/credentials/<pk>": see("credentials"),
    "PATCH /api/v1/credentials/<pk>": change(200, "credentials", OWNERS),
    "DELETE /api/v1/credentials/<pk>": change(204, "credentials", OWNERS),
    "GET /api/v1/grants": anybody(),
    "POST /api/v1/grants": inside(201, "clusters", ADMINS | {CLUSTER_ADMIN}),
    "GET /api/v1/grants/<pk>": see("grants"),
    "DELETE /api/v1/grants/<pk>": change(204, "grants", ADMINS | {CLUSTER_ADMIN}),
    "GET /api/v1/groups": anybody(),
    "GET /api/v1/groups/<pk>": see("groups"),
    "GET /api/v1/guest-clusters": anybody(),
    "POST /api/v1/guest-clusters": inside(202, "projects", ORDERING),
    "GET /api/v1/guest-clusters/<pk>": see("guest-clusters"),
    "DELETE /api/v1/guest-clusters/<pk>": change(202, "guest-clusters", ORDERING),
    "GET /api/v1/identity-providers": anybody(),
    "POST /api/v1/identity-providers": on_hub(201, ADMINS),
    "GET /api/v1/identity-providers/<pk>": see("identity-providers"),
    "PATCH /api/v1/identity-providers/<pk>": change(200, "identity-providers", ADMINS),
    "DELETE /api/v1/identity-providers/<pk>": change(204, "identity-providers", ADMINS),
    "POST /api/v1/identity-providers/<pk>/groups": change(201, "identity-providers", ADMINS),
    "POST /api/v1/identity-providers/<pk>/search": change(409, "identity-providers", ADMINS),  # only a Keycloak can
    "POST /api/v1/identity-providers/<pk>/test": change(201, "identity-providers", ADMINS),
    "GET /api/v1/invitations": anybody(),
    "POST /api/v1/invitations": inside(201, "projects", OWNERS),
    "GET /api/v1/invitations/<pk>": see("invitations"),
    "DELETE /api/v1/invitations/<pk>": change(204, "invitations", OWNERS),
    "GET /api/v1/kubeconfigs": anybody(),
    "POST /api/v1/kubeconfigs": inside(201, "clusters to reach", ALL - {PROVISIONER}),
    "GET /api/v1/kubeconfigs/<pk>": see_own("kubeconfigs"),
    "DELETE /api/v1/kubeconfigs/<pk>": change_own(204, "kubeconfigs"),
    "GET /api/v1/machines": anybody(),
    "GET /api/v1/machines/<pk>": see("machines"),
    "GET /api/v1/machines/<pk>/log": see("machines"),
    "GET /api/v1/node-pools": anybody(),
    "GET /api/v1/node-pools/<pk>": see("node-pools"),
    "PATCH /api/v1/node-pools/<pk>": change(202, "node-pools", ORDERING),
    "GET /api/v1/operations": anybody(),
    "GET /api/v1/operations/<pk>": see("operations"),
    "GET /api/v1/project-namespaces": anybody(),
    "POST /api/v1/project-namespaces": inside(201, "projects", ADMINS),
    "GET /api/v1/project-namespaces/<pk>": see("project-namespaces"),
    "DELETE /api/v1/project-namespaces/<pk>": change(409, "project-namespaces", ADMINS),
    # 400: the project to move it to is not there.
    "POST /api/v1/project-namespaces/<pk>/move": change(400, "project-namespaces", ADMINS),
    "GET /api/v1/projects": anybody(),
    "POST /api/v1/projects": inside(201, "tenants", TENANT_OWNERS),
    "GET /api/v1/projects/<pk>": see("projects"),
    "PATCH /api/v1/projects/<pk>": change(200, "projects", OWNERS),
    "DELETE /api/v1/projects/<pk>": change(409, "projects", TENANT_OWNERS),
    "GET /api/v1/projects/<pk>/usage": see("quotas"),
    "GET /api/v1/provider-tests": anybody(),
    "POST /api/v1/provider-tests": on_hub(201, ADMINS),
    "GET /api/v1/provider-tests/<pk>": see("provider-tests"),
    "POST /api/v1/provider-tests/<pk>/save": change(409, "provider-tests", ADMINS),  # it has not passed
    "GET /api/v1/quotas": anybody(),
    "POST /api/v1/quotas": inside(201, "projects", TENANT_OWNERS),
    "GET /api/v1/quotas/<pk>": see("quotas"),
    "PATCH /api/v1/quotas/<pk>": change(200, "quotas", TENANT_OWNERS),
    "DELETE /api/v1/quotas/<pk>": change(204, "quotas", TENANT_OWNERS),
    "GET /api/v1/role-bindings": anybody(),
    "POST /api/v1/role-bindings": inside(201, "projects", OWNERS),
    "GET /api/v1/role-bindings/<pk>": see("role-bindings"),
    "PATCH /api/v1/role-bindings/<pk>": change(200, "role-bindings", OWNERS),
    "DELETE /api/v1/role-bindings/<pk>": change(204, "role-bindings", OWNERS),
    "GET /api/v1/roles": anybody(),
    "POST /api/v1/roles": inside(201, "tenants", TENANT_OWNERS),
    "GET /api/v1/roles/<pk>": see("roles"),
    "PATCH /api/v1/roles/<pk>": change(200, "roles", TENANT_OWNERS),
    "DELETE /api/v1/roles/<pk>": change(204, "roles", TENANT_OWNERS),
    "GET /api/v1/service-accounts": anybody(),
    "POST /api/v1/service-accounts": inside(201, "projects", OWNERS),
    "GET /api/v1/service-accounts/<pk>": see("service-accounts"),
    "PATCH /api/v1/service-accounts/<pk>": change(200, "service-accounts", OWNERS),
    "DELETE /api/v1/service-accounts/<pk>": change(204, "service-accounts", OWNERS),
    "POST /api/v1/service-accounts/<pk>/tokens": change(201, "service-accounts", OWNERS),
    "GET /api/v1/sessions": anybody(),
    "GET /api/v1/sessions/<pk>": see_own("sessions"),
    "DELETE /api/v1/sessions/<pk>": change_own(204, "sessions"),
    "GET /api/v1/tenants": anybody(),
    "POST /api/v1/tenants": on_hub(201, ADMINS),
    "GET /api/v1/tenants/<pk>": see("tenants"),
    "PATCH /api/v1/tenants/<pk>": change(200, "tenants", TENANT_OWNERS),
    "DELETE /api/v1/tenants/<pk>": change(409, "tenants", ADMINS),
    "GET /api/v1/tenants/<pk>/usage": see("quotas of tenants"),
    "GET /api/v1/tokens": anybody(),
    "POST /api/v1/tokens": anybody(201),
    "GET /api/v1/tokens/<pk>": see_own("tokens"),
    "DELETE /api/v1/tokens/<pk>": change_own(204, "tokens"),
    "POST /api/v1/tokens/<pk>/rotate": change_own(201, "tokens", of_others=frozenset()),  # it shows the new one
    "GET /api/v1/users": anybody(),
    "POST /api/v1/users": on_hub(201, ADMINS),
    "GET /api/v1/users/<pk>": see_own("users"),
    "PATCH /api/v1/users/<pk>": change_own(200, "users", ADMINS),
    "DELETE /api/v1/users/<pk>": change_own(204, "users", ADMINS),
    "POST /api/v1/users/<pk>/end-sessions": change_own(204, "users", ADMINS),
    "POST /api/v1/users/<pk>/reset-second-factor": change_own(204, "users", ADMINS, ok_own=409),
    # These callers have no password, so neither a second factor.
    "GET /account": page(),
    "POST /account/name": form(),
    "GET /account/password": page(409),
    "POST /account/password": form(),
    "GET /account/recovery-codes": page(303),
    "POST /account/recovery-codes": form(),
    "GET /account/second-factor": page(409),
    "POST /account/second-factor": form(),
    "GET /account/second-factor/remove": page(303),
    "POST /account/second-factor/remove": form(),
    "POST /account/sessions/end": form(),
    "GET /cli-login": page(400),
    "POST /cli-login": form(),
    "GET /device": page(),
    "POST /device": form(),
    "GET /invitations/<text>": page(404),
    "POST /invitations/<text>": form(),
    "GET /login": login_page(),
    "POST /login": form(),
    "GET /login/link/<text>": public(404),
    "POST /login/link/<text>": form(),
    "GET /login/<name>": public(404),
    "GET /login/<name>/callback": public(400),
    "GET /login/second-factor": Line(303, EVERYBODY, without_login=303),
    "POST /login/second-factor": form(),
    "GET /logout": public(),
    "POST /logout": form(),
    "POST /logout/<name>/backchannel": public(404),
    "GET /pages/style.css": public(),
    "GET /providers/test": Line(200, ADMINS, without_login=303),
    "POST /providers/test": form(),
    "GET /providers/test/<id>": Line(404, ADMINS, without_login=303),
    "POST /providers/test/<id>": form(),
}
