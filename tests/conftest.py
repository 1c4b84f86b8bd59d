"""For all tests: the time that each group takes, and no silent skips where all can run."""

import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

pytest_plugins = ["tests.rendered"]

ROOT = Path(__file__).resolve().parent.parent
#: What may be missing even on a machine that has everything we can install. A skip's reason
#: begins with one of these words.
_MAY_BE_MISSING = ("gpu", "cluster", "kubectl", "shared", "terraform")


def pytest_configure() -> None:
    """Definitions that lie beside the checkout are as good as those of `make crds`."""
    beside = ROOT.parent / "shared/crds"
    if any(beside.rglob("*.yaml")):
        os.environ.setdefault("CRD_DIR", str(beside))


@pytest.hookimpl(tryfirst=True)  # before xdist looks for groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of what has a model, a lab or an API server of its own, a file stays in one process.

    All files that share a running Serve do.
    """
    for item in items:
        if item.path.relative_to(ROOT).parts[1] in ("faults", "integration"):
            serve = item.path.stem.startswith("test_serve_")
            item.add_marker(pytest.mark.xdist_group("serve" if serve else item.path.stem))


@pytest.fixture(autouse=True)
def logs_as_they_were() -> Iterator[None]:
    """A program that runs within a test sets up logs for a stderr that is gone afterwards."""
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the seconds per group: tests/<group>/..."""
    seconds: dict[str, float] = defaultdict(float)
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                seconds[report.nodeid.split("/")[1]] += report.duration
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    terminalreporter.section("time per group")
    for group, spent in sorted(seconds.items()):
        terminalreporter.line(f"{group:<12} {spent:7.1f} s")
    terminalreporter.line(f"load average {load}")


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Under `.ci/run` a skip of something that can run there is a failure."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if not os.environ.get("DARKROOM_STRICT") or reporter is None:
        return
    for report in reporter.stats.get("skipped", []):
        reason = str(report.longrepr[2]).removeprefix("Skipped: ").lower()
        if not reason.startswith(_MAY_BE_MISSING):
            reporter.line(f"not to be skipped here: {report.nodeid}: {reason}")
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
