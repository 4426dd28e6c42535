"""What somebody may do, and where: the permission table, role bindings, the policy that lower apps ask, and its snapshot.

Who somebody is belongs to ``hub.identity``; what a member cluster grants to a group belongs to ``hub.federation.rights``.
"""
