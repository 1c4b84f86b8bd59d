"""GPU nodes that are only numbers: real raylets on this machine, ordered by Ray's autoscaler.

As on EC2 a node is there as soon as it is ordered, and joins later. Ray's own fake provider starts
them one after the other, and holds up the autoscaler meanwhile.
"""

import json
import os
import threading
from contextlib import suppress

import psutil
from ray._private import utils
from ray._private.node import Node
from ray._private.parameter import RayParams
from ray._private.ray_constants import (
    LABELS_ENVIRONMENT_VARIABLE,
    RESOURCES_ENVIRONMENT_VARIABLE,
)
from ray.autoscaler._private.fake_multi_node.node_provider import FakeMultiNodeProvider
from ray.autoscaler.tags import (
    NODE_KIND_WORKER,
    STATUS_UP_TO_DATE,
    TAG_RAY_NODE_KIND,
    TAG_RAY_NODE_NAME,
    TAG_RAY_NODE_STATUS,
    TAG_RAY_USER_NODE_TYPE,
)

INSTANCE = "RAY_CLOUD_INSTANCE_ID"
#: In the environment of every process of one cluster: what tells ours from other people's.
MARK = "DARKROOM_TEST_CLUSTER"
_OF_THEIR_OWN = ("CPU", "GPU", "object_store_memory")
_BOOTING = threading.Lock()


class GpuNodes(FakeMultiNodeProvider):
    """Runs within the autoscaler's process; named in the cluster's configuration."""

    def __init__(self, provider_config, cluster_name):
        super().__init__(provider_config, cluster_name)
        # Nobody looks at a node's dashboard. Half of a node's start is the agent for it; without
        # these modules, as in a smaller installation of Ray, it is quick.
        utils.get_dashboard_dependency_error = lambda: "nobody looks"

    def _create_node_with_resources_and_labels(self, node_config, tags, count, resources, labels):
        with self.lock:
            name = self._next_hex_node_id()
            self._nodes[name] = {
                "tags": {
                    TAG_RAY_NODE_KIND: NODE_KIND_WORKER,
                    TAG_RAY_NODE_NAME: name,
                    TAG_RAY_NODE_STATUS: STATUS_UP_TO_DATE,
                    **tags,
                }
            }
        kind = tags[TAG_RAY_USER_NODE_TYPE]
        booting = threading.Thread(target=self._boot, args=(name, kind, resources), daemon=True)
        booting.start()

    def _boot(self, name, kind, resources):
        while name in self._nodes:
            # One at a time: two would take the same sockets, and half of the time for each.
            with _BOOTING, suppress(Exception):
                Node(
                    self._params(name, kind, resources),
                    head=False,
                    shutdown_at_exit=False,
                    spawn_reaper=False,
                )
            # Ray gives up waiting after 30 s, a raylet itself if its agents take 15 s. On a busy
            # machine the first is no failure, and after the second it is started again.
            if list(_raylets(name)):
                return

    def _params(self, name, kind, resources):
        more = {key: value for key, value in resources.items() if key not in _OF_THEIR_OWN}
        return RayParams(
            min_worker_port=0,
            max_worker_port=0,
            dashboard_agent_listen_port=0,
            num_cpus=resources["CPU"],
            num_gpus=resources["GPU"],
            object_store_memory=resources["object_store_memory"],
            resources=more,
            labels={},
            gcs_address=self._gcs_address,
            redis_address=self._gcs_address,
            include_log_monitor=False,
            env_vars={
                "RAY_OVERRIDE_NODE_ID_FOR_TESTING": name,
                INSTANCE: name,
                "RAY_NODE_TYPE_NAME": kind,
                RESOURCES_ENVIRONMENT_VARIABLE: json.dumps(more),
                LABELS_ENVIRONMENT_VARIABLE: "{}",
            },
        )

    def terminate_node(self, node_id):
        with self.lock:
            self._nodes.pop(node_id)
        for raylet in _raylets(node_id):
            raylet.terminate()


def _raylets(name):
    """The processes of that node of this cluster."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            environ = process.environ()
            ours = environ.get(MARK) == os.environ[MARK] and environ.get(INSTANCE) == name
            if ours and process.name() == "raylet" and process.status() != psutil.STATUS_ZOMBIE:
                yield process
