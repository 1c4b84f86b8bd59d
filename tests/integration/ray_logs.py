"""What Ray's autoscaler and Serve's controller have done, by their own logs."""

import json
import re


class RayLogs:
    """Those of the session in a Ray's temporary directory."""

    def __init__(self, temp):
        self._logs = temp / "session_latest" / "logs"

    def nodes_ordered(self, *, before):
        """How many nodes Ray's autoscaler had ordered before that moment."""
        return sum(number for number, at in self._of_nodes("Adding") if at < before)

    def nodes_removed(self):
        """How many nodes it has taken away because they were idle, or for another reason."""
        return sum(number for number, _ in self._of_nodes("Removing"))

    def _of_nodes(self, what):
        for file in (self._logs / "events").glob("*AUTOSCALER*"):
            for line in file.read_text().splitlines():
                event = json.loads(line)
                if found := re.match(rf"{what} (\d+) node", event["message"]):
                    yield int(found[1]), float(event["timestamp"])

    def replicas_added(self):
        """By how many replicas of the generator Serve's controller went up, each time."""
        line = r"Adding (\d+) replicas? to Deployment\(name='generator'"
        logs = (self._logs / "serve").glob("controller_*.log")
        return [int(n) for log in logs for n in re.findall(line, log.read_text())]
