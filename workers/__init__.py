"""The doing side of the hub: reconcilers run as Celery tasks, and the asyncio process that watches and polls.

A task is a doorway: ``tasks`` takes an id, ``runtime`` claims the row and calls the reconciler of its kind. The hub
never imports this package; it wakes rows.
"""
