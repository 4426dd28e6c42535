"""Finds due rows that no message speaks of and sends one: what was planned for now, what the broker lost, what a dead
worker held.
"""

from hub.core.work import hint, reconciled_models, take_unhinted

BATCH = 200


def poll_once() -> int:
    """Sends a hint for each due row without one; how many were sent.

    Ends at a kind for which the broker refused a message: those rows are offered again at the next poll.
    """
    sent = 0
    for model in reconciled_models():
        ids = take_unhinted(model, BATCH)
        taken = sum([hint(model, id) for id in ids])
        sent += taken
        if taken < len(ids):
            break
    return sent
