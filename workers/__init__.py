"""The doing side of the hub: reconcilers as Celery tasks, and the asyncio process that watches and polls."""
