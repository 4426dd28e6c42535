"""Allowances: what of a cluster a tenant may use (grants), and how much (quotas)."""
