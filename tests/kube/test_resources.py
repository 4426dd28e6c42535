"""Resources: the paths of objects, and what is not put into a path."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kube import resources
from kube.resources import CLUSTER_ROLES, NODES, PODS, SUBRESOURCE_VIRTUAL_MACHINES, VIRTUAL_MACHINES, Resource


def test_paths_of_the_core_group_and_of_named_groups() -> None:
    assert PODS.path("prod", "web") == "/api/v1/namespaces/prod/pods/web"
    assert PODS.path("prod") == "/api/v1/namespaces/prod/pods"
    assert PODS.path() == "/api/v1/pods"
    assert NODES.path(name="n1", subresource="status") == "/api/v1/nodes/n1/status"
    assert VIRTUAL_MACHINES.path("a", "b") == "/apis/kubevirt.io/v1/namespaces/a/virtualmachines/b"
    assert SUBRESOURCE_VIRTUAL_MACHINES.path("a", "b", "start") == (
        "/apis/subresources.kubevirt.io/v1/namespaces/a/virtualmachines/b/start"
    )


def test_api_versions() -> None:
    assert PODS.api_version == "v1"
    assert VIRTUAL_MACHINES.api_version == "kubevirt.io/v1"


def test_names_with_signs_are_quoted() -> None:
    assert CLUSTER_ROLES.path(name="system:node") == "/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Anode"


@pytest.mark.parametrize("part", ["", ".", "..", "a/b", "../secrets", "a%2fb", "a\nb", "a\x00", "/", "a?b/../c"])
def test_what_could_lead_elsewhere_is_refused(part: str) -> None:
    for arguments in ((part, "x"), ("x", part), ("x", "y", part)):
        with pytest.raises(ValueError, match="cannot be part of a path"):
            PODS.path(*arguments)


def test_a_question_mark_stays_inside_its_segment() -> None:
    assert PODS.path("a", "b?c#d") == "/api/v1/namespaces/a/pods/b%3Fc%23d"


@given(st.text(min_size=1, max_size=30), st.text(min_size=1, max_size=30))
def test_a_path_has_as_many_segments_as_it_should(namespace: str, name: str) -> None:
    try:
        path = PODS.path(namespace, name)
    except ValueError:
        return
    assert path.count("/") == 6
    assert "?" not in path
    assert path.isascii()


def test_an_object_of_a_namespaced_kind_needs_its_namespace() -> None:
    with pytest.raises(ValueError, match="needs a namespace"):
        PODS.path(name="web")


def test_a_cluster_wide_kind_takes_no_namespace() -> None:
    with pytest.raises(ValueError, match="not namespaced"):
        NODES.path("prod", "n1")


def test_a_subresource_needs_an_object() -> None:
    with pytest.raises(ValueError, match="name it"):
        PODS.path("prod", subresource="status")


def test_no_two_constants_mean_the_same() -> None:
    constants = [value for value in vars(resources).values() if isinstance(value, Resource)]
    assert len(constants) > 30
    assert len({(resource.group, resource.plural) for resource in constants}) == len(constants)
