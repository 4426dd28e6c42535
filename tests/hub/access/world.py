"""A small world of rows, and what each belongs to in the oracle's words."""

from collections.abc import Iterator

from django.db.models import Model

from hub.core.access import SYSTEM
from hub.identity.models import ApiToken
from hub.identity.tokens import issue_token
from tests.hub.access.oracle import Thing
from tests.hub.builders import make_cluster, make_namespace, make_project, make_tenant, make_user


class World:
    """Two tenants with two projects each, a shared cluster that only some are on, and a guest of one project."""

    def __init__(self) -> None:
        self.tenants = [make_tenant("a"), make_tenant("b")]
        self.projects = [make_project(tenant) for tenant in self.tenants for _ in range(2)]
        self.shared, self.lonely = make_cluster(), make_cluster()
        self.guest = make_cluster(project=self.projects[0])
        self.namespaces = [make_namespace(project, self.shared) for project in (self.projects[0], self.projects[2])]
        self.users = [make_user() for _ in range(3)]
        for user in self.users:
            issue_token(SYSTEM, user, name="t")
        self.things: list[tuple[Model, Thing]] = [*self._describe()]

    def _describe(self) -> Iterator[tuple[Model, Thing]]:
        for tenant in self.tenants:
            own = frozenset(p.pk for p in self.projects if p.tenant_id == tenant.pk)
            yield tenant, Thing("tenants", frozenset({tenant.pk}), own)
        for project in self.projects:
            yield project, Thing("projects", frozenset({project.tenant_id}), frozenset({project.pk}))
        on_shared = self.namespaces
        yield (
            self.shared,
            Thing(
                "clusters",
                frozenset(n.tenant_id for n in on_shared),
                frozenset(n.project_id for n in on_shared),
                frozenset({self.shared.pk}),
            ),
        )
        yield self.lonely, Thing("clusters", clusters=frozenset({self.lonely.pk}))
        home = self.projects[0]
        yield (
            self.guest,
            Thing("clusters", frozenset({home.tenant_id}), frozenset({home.pk}), frozenset({self.guest.pk})),
        )
        for namespace in self.namespaces:
            yield (
                namespace,
                Thing(
                    "project-namespaces",
                    frozenset({namespace.tenant_id}),
                    frozenset({namespace.project_id}),
                    frozenset({namespace.cluster_id}),
                ),
            )
        for user in self.users:
            yield user, Thing("users", owner=user.pk)
        for token in ApiToken.objects.filter(user__in=self.users):
            yield token, Thing("tokens", owner=token.user_id)
