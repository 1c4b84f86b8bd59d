"""Commands on a Bottlerocket instance by SSM: no SSH, no key, no open port."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from darkroom.deploy.errors import SnapshotFailed
from darkroom.deploy.patience import insisted
from records.errors import ObjectMissing, Unavailable, translated

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
        silence = ""
        while True:
            try:
                if self._online():
                    return
            except Unavailable as error:
                silence = f" ({error})"
            if self.now() > deadline:
                raise SnapshotFailed(
                    f"{self.instance} has not reached SSM after {timeout_s:g} s{silence}: has its "
                    "subnet a way to the internet, and its profile the role snapshot-builder?"
                )
            self.sleep(_LOOK_S)

    def run(self, command: str, *, timeout_s: float = _COMMAND_S, again_s: float = 0) -> str:
        """What a command prints on the host; one that fails is run again for `again_s`.

        It has to be one that may run twice: SSM knows no token.
        """
        deadline = self.now() + again_s
        while True:
            try:
                return self._run(command, timeout_s)
            except SnapshotFailed:
                if self.now() >= deadline:
                    raise
            self.sleep(_LOOK_S)

    def _online(self) -> bool:
        wanted = [{"Key": "InstanceIds", "Values": [self.instance]}]
        with translated("SSM DescribeInstanceInformation"):
            found = self.ssm.describe_instance_information(Filters=wanted)
        return any(each["PingStatus"] == "Online" for each in found["InstanceInformationList"])

    def _run(self, command: str, timeout_s: float) -> str:
        program = command.partition(" ")[0]
        deadline = self.now() + timeout_s + _LOOK_S
        sent = insisted(lambda: self._sent(command, timeout_s), self.sleep)
        name = {"CommandId": sent, "InstanceId": self.instance}
        while True:
            answer = insisted(lambda: self._answer(name), self.sleep)
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

    def _sent(self, command: str, timeout_s: float) -> str:
        with translated("SSM SendCommand"):
            sent = self.ssm.send_command(
                InstanceIds=[self.instance],
                DocumentName="AWS-RunShellScript",
                Parameters={
                    "commands": [f"apiclient exec admin sheltie {command}"],
                    "executionTimeout": [str(int(timeout_s))],
                },
            )
        return str(sent["Command"]["CommandId"])

    def _answer(self, name: dict[str, str]) -> dict[str, Any]:
        try:
            with translated("SSM GetCommandInvocation", missing=_NOT_YET):
                found: dict[str, Any] = self.ssm.get_command_invocation(**name)
                return found
        except ObjectMissing:
            return {"Status": "Pending"}
