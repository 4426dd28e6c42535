"""``python -m paddock_login``"""

import sys

from .cli import main

sys.exit(main())
