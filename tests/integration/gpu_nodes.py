"""GPU nodes that are only numbers: real raylets on this machine, ordered by Ray's autoscaler.

As on EC2 a node is there as soon as it is ordered, and joins later. Ray's own fake provider starts
them one after the other, and holds up the autoscaler meanwhile.
"""

import json
import threading
from contextlib import suppress

import psutil
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


class GpuNodes(FakeMultiNodeProvider):
    """Runs within the autoscaler's process; named in the cluster's configuration."""

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
        more = {key: value for key, value in resources.items() if key not in _OF_THEIR_OWN}
        params = RayParams(
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
        # After 30 s Ray gives up waiting; on a busy machine the node joins all the same.
        with suppress(Exception):
            Node(params, head=False, shutdown_at_exit=False, spawn_reaper=False)

    def terminate_node(self, node_id):
        with self.lock:
            self._nodes.pop(node_id)
        for process in psutil.process_iter(["name"]):
            with suppress(psutil.Error):
                if process.name() == "raylet" and process.environ().get(INSTANCE) == node_id:
                    process.terminate()


_OF_THEIR_OWN = ("CPU", "GPU", "object_store_memory")
