"""What gunicorn serves. Refuses to start with settings that a serving process needs and does not have."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hub.config.settings")

application = get_wsgi_application()

from hub.core.startup import check_start  # noqa: E402  (needs loaded apps)

check_start()
