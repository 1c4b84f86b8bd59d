"""The stack for people: it stays until they are done with it."""

import json
import signal
import subprocess
import sys
import threading
from contextlib import ExitStack
from dataclasses import dataclass

from darkroom.addresses import description, operation
from darkroom.errors import StackError
from darkroom.ports import Ports
from darkroom.screen import pairs_table, people, waiting
from darkroom.signals import STOP_SIGNALS
from darkroom.stack import Stack, StackOptions
from darkroom.state import remove_state, write_state

#: Seconds between two looks at whether all processes are still there.
_WATCH_S = 2.0


@dataclass(frozen=True, kw_only=True)
class Fixed:
    """Ports that somebody asked for."""

    api: int | None = None
    ui: int | None = None


def run_up(fixed: Fixed, *, as_json: bool) -> None:
    """Start the stack, print where everything is, stop at Ctrl-C or SIGTERM."""
    stop = threading.Event()
    ports = Ports.usual().having(api=fixed.api, ui=fixed.ui)
    for number in STOP_SIGNALS:
        signal.signal(number, _interrupt)
    with ExitStack() as closing:
        with waiting("starting AWS (emulated), Ray Serve, API, bridge and UI ..."):
            stack = closing.enter_context(Stack.running(StackOptions(ports=ports)))
        for number in STOP_SIGNALS:
            signal.signal(number, lambda *_: stop.set())
        closing.callback(people.print, "draining ...")
        closing.callback(remove_state)
        write_state(description(stack) | operation(stack))
        _print_addresses(stack, as_json=as_json)
        _watch(stack, stop)


def run_command(command: list[str]) -> int:
    """Run `command` with the stack's variables, then stop the stack; its exit status."""
    with Stack.running(StackOptions(ui=False, subscribers=("demo", "loadtest"))) as stack:
        environ = stack.environ() | {
            "DARKROOM_API_URL": stack.api_url,
            "DARKROOM_API_KEY": stack.api_key,
            "DARKROOM_NOTICE_QUEUE_URL": stack.cloud.notice_queues["loadtest"],
        }
        return subprocess.run(command, env=environ, check=False).returncode  # noqa: S603


def _print_addresses(stack: Stack, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(description(stack)) + "\n")
        sys.stdout.flush()
        return
    people.print(pairs_table(description(stack).items()))
    people.print("Ctrl-C stops it all.")


def _watch(stack: Stack, stop: threading.Event) -> None:
    """Wait for the end; a part that dies ends the whole, with its last lines."""
    while not stop.wait(_WATCH_S):
        for process in stack.processes.values():
            if not process.running:
                raise StackError(f"{process.name} has died:\n{process.last_lines()}")


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
