"""What a request to a member is called in a token's scope: the hub's verbs for Kubernetes' verbs, pure.

A scope that names verbs lets through what it names and nothing else; ``proxy`` among them opens members at all. So a token
for ``get``, ``list``, ``start`` and ``proxy`` shows and starts virtual machines, whatever more its owner may do there. What
is refused here does not reach the member; what is let through is still the member's to refuse.
"""

from hub.access.grants import permits_verb, reads_only
from hub.core.access import TokenScope
from kube.relay.attributes import RequestAttributes

_BY_VERB = {
    "get": "get",
    "list": "list",
    "watch": "list",  # it gives what list gives, again and again (SEC-23)
    "create": "create",
    "update": "update",
    "patch": "update",
    "delete": "delete",
    "deletecollection": "delete",
}
_VM_GROUP = "subresources.kubevirt.io"
_VM_RESOURCES = frozenset(["virtualmachines", "virtualmachineinstances"])
_BY_VM_SUBRESOURCE = {
    "start": "start",
    "stop": "stop",
    "restart": "restart",
    "softreboot": "restart",
    "reset": "restart",
    "pause": "pause",
    "unpause": "pause",
    "freeze": "pause",
    "unfreeze": "pause",
    "migrate": "migrate",
    "evacuate": "migrate",
    "console": "console",
    "vnc": "console",
}
# Whoever may open a channel of any other kind can do anything with it.
ANYTHING = "proxy"


def hub_verb(attributes: RequestAttributes, *, opens_session: bool) -> str:
    """The verb of the permission table that stands for the request; ``proxy`` for what is none of the others."""
    if attributes.group == _VM_GROUP and attributes.resource in _VM_RESOURCES:
        subresource = attributes.subresource.partition("/")[0]
        if subresource in _BY_VM_SUBRESOURCE and not attributes.reads:
            return _BY_VM_SUBRESOURCE[subresource]
    if opens_session or not (attributes.resource or attributes.reads):
        return ANYTHING
    return _BY_VERB.get(attributes.verb, ANYTHING)


def scope_leaves_out(scope: TokenScope, attributes: RequestAttributes, *, opens_session: bool) -> str | None:
    """The verb that the token lacks for this request; None when it has it.

    Discovery and the like hold no objects and every client needs them: a token that reaches the member may read them.
    """
    if not attributes.resource and attributes.reads and not opens_session:
        return None
    verb = hub_verb(attributes, opens_session=opens_session)
    lacks = (verb == ANYTHING and reads_only(scope)) or not permits_verb(scope, verb)
    return verb if lacks else None
