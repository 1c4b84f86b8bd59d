"""Each program of the bridge says at its start what it lacks, and runs once or again and again."""

import signal
import threading

import pytest

from bridge import __main__ as bridge_program
from bridge import dead_letters, sweeper, timer, webhooks

NEEDS = {
    "bridge": (bridge_program.main, "DARKROOM_RUNTIME"),
    "sweeper": (lambda: sweeper.main([]), "DARKROOM_JOB_TABLE"),
    "dead letters": (lambda: dead_letters.main([]), "DARKROOM_JOB_TABLE"),
    "webhooks": (webhooks.main, "DARKROOM_WEBHOOKS_QUEUE_URL"),
}


@pytest.mark.parametrize(("main", "variable"), NEEDS.values(), ids=NEEDS.keys())
def test_a_program_that_lacks_a_variable_names_it_and_ends(main, variable, monkeypatch, capsys):
    """Exit status 2, one line, nothing done."""
    for name in ("RUNTIME", "JOB_TABLE", "WEBHOOKS_QUEUE_URL"):
        monkeypatch.delenv(f"DARKROOM_{name}", raising=False)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    assert main() == 2
    assert variable in capsys.readouterr().err


@pytest.mark.parametrize(("through", "status"), [(True, 0), (False, 1)])
def test_once_tells_by_its_status_whether_it_got_through(through, status):
    """For a timer that alarms."""
    assert timer.run(lambda: through, []) == status


def test_again_and_again_until_it_is_told_to_stop():
    """One that fails is tried at the next time."""
    calls = []

    def once() -> bool:
        calls.append(None)
        if len(calls) == 3:
            signal.raise_signal(signal.SIGTERM)
        return False

    assert threading.current_thread() is threading.main_thread()
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        assert timer.run(once, ["--every", "0.001"]) == 0
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert len(calls) == 3
