"""Commands on a Bottlerocket instance by SSM: no SSH, no key, no open port."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from darkroom.deploy.errors import SnapshotFailed
from records.errors import ObjectMissing, translated

_LOOK_S = 5
_ONLINE_S = 600
#: Of one command; a large image takes minutes.
_COMMAND_S = 3600
#: SSM knows a command a moment after it was sent.
_NOT_YET = frozenset({"InvocationDoesNotExist"})
_RUNNING = frozenset({"Pending", "InProgress", "Delayed"})


@dataclass(frozen=True, kw_only=True)
class InstanceShell:
    """The control container of one instance, from where the host is reached."""

    ssm: Any
    instance: str
    sleep: Callable[[float], None] = time.sleep
    now: Callable[[], float] = time.monotonic

    def wait_online(self, *, timeout_s: float = _ONLINE_S) -> None:
        """Wait until SSM's agent reports; `SnapshotFailed` if it never does."""
        deadline = self.now() + timeout_s
        wanted = [{"Key": "InstanceIds", "Values": [self.instance]}]
        while True:
            with translated("SSM DescribeInstanceInformation"):
                found = self.ssm.describe_instance_information(Filters=wanted)
            if any(each["PingStatus"] == "Online" for each in found["InstanceInformationList"]):
                return
            if self.now() > deadline:
                raise SnapshotFailed(
                    f"{self.instance} has not reached SSM after {timeout_s:g} s: has its subnet a "
                    "way to the internet, and its profile the role snapshot-builder?"
                )
            self.sleep(_LOOK_S)

    def run(self, command: str, *, timeout_s: float = _COMMAND_S) -> str:
        """What a command prints on the host."""
        with translated("SSM SendCommand"):
            sent = self.ssm.send_command(
                InstanceIds=[self.instance],
                DocumentName="AWS-RunShellScript",
                Parameters={
                    "commands": [f"apiclient exec admin sheltie {command}"],
                    "executionTimeout": [str(int(timeout_s))],
                },
            )
        program = command.partition(" ")[0]
        deadline = self.now() + timeout_s + _LOOK_S
        name = {"CommandId": sent["Command"]["CommandId"], "InstanceId": self.instance}
        while True:
            answer = self._answer(name)
            if answer["Status"] == "Success":
                return str(answer["StandardOutputContent"])
            if answer["Status"] not in _RUNNING:
                said = str(
                    answer.get("StandardErrorContent") or answer.get("StandardOutputContent")
                )
                raise SnapshotFailed(f"{program}: {answer['Status']}: {said[-1500:]}")
            if self.now() > deadline:
                raise SnapshotFailed(f"{program} took longer than {timeout_s:g} s")
            self.sleep(_LOOK_S)

    def _answer(self, name: dict[str, str]) -> dict[str, Any]:
        try:
            with translated("SSM GetCommandInvocation", missing=_NOT_YET):
                found: dict[str, Any] = self.ssm.get_command_invocation(**name)
                return found
        except ObjectMissing:
            return {"Status": "Pending"}
