"""Tenants and their projects. Where a project lives in member clusters is ``hub.federation``'s."""
