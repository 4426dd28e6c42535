"""Django's configuration: settings, URL root and the WSGI entry. The top of the hub; nothing imports it."""
