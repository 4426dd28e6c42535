"""Who somebody is: local users, their passwords, and API tokens. What they may do is ``hub.access``'s."""
