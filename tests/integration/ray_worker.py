"""`ray start`, as a worker's pod runs it, on a machine whose Ray listens on loopback only.

Ray takes "127.0.0.1" for the machine's address in the network, where nobody listens here.
"""

import sys

from ray._private import services
from ray.scripts.scripts import main

if __name__ == "__main__":
    services.get_node_ip_address = lambda *_, **__: "127.0.0.1"
    services.resolve_ip_for_localhost = lambda host: host
    sys.exit(main())
