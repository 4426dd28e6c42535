"""What still needs a row: counted over every foreign key that protects it, whichever app declares it.

So a lower app refuses to delete what a higher one uses without knowing that app.
"""

from django.db import models

from hub.core.errors import HubError


def contents_of(row: models.Model) -> dict[str, int]:
    """How many rows of each kind refer to ``row`` and keep it from being deleted, by plural name; empty kinds left out."""
    counts = {
        str(relation.related_model._meta.verbose_name_plural): relation.related_model._base_manager.filter(
            **{relation.field.name: row}
        ).count()
        for relation in row._meta.related_objects
        if relation.on_delete is models.PROTECT
    }
    return {name: count for name, count in counts.items() if count}


def check_empty(row: models.Model) -> None:
    """Raises HubError ``object.in_use`` with what is inside."""
    inside = contents_of(row)
    if inside:
        raise HubError("object.in_use", inside=inside)
