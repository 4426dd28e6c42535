"""Machines on infrastructure: one contract, one folder per driver.

The contract is the rule table in README.md and the modules base, types, errors, capabilities, settings and registry.
They import nothing of this project. A driver imports the contract and `kube`, never Django, never another driver.
When to create, retry, replace or delete a machine is decided above (in the reconcilers), never in here.
"""
