"""Operations: long work to watch, with its steps and how it ended."""

from hub.api.actions import Gets, Lists
from hub.api.documents import OperationShown
from hub.api.listing import ChoiceFilter, IdFilter, Listing, TextFilter
from hub.operations.models import Operation, State


class OperationViewSet(Lists[Operation], Gets[Operation]):
    resource = "operations"
    rows = Operation.objects.all()
    shown = OperationShown
    listing = Listing(
        (
            IdFilter("target", "target_id"),
            TextFilter("kind"),
            ChoiceFilter("state", choices=tuple(State.values)),
            IdFilter("tenant"),
            IdFilter("project"),
        )
    )
