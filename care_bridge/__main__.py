"""`python -m care_bridge` is `care-bridge`."""

import sys

from care_bridge.cli.main import main

sys.exit(main())
