"""`python -m loadtest --jobs 100`: one burst without locust's web page."""

import argparse
import os
import sys
from pathlib import Path

from jobs.environment import BadSetting
from loadtest.settings import Settings


def main() -> None:
    """Become locust with our file; it answers with its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m loadtest",
        description="Post jobs and account for every notice. What is not known here goes to "
        "locust, --html report.html for example.",
    )
    parser.add_argument("--jobs", type=int, default=100, help="jobs to post, exactly")
    parser.add_argument("--users", type=int, default=20, help="how many post at once")
    parser.add_argument(
        "--timeout", type=float, default=600, help="seconds after which a missing notice is lost"
    )
    options, others = parser.parse_known_args()
    try:
        Settings.from_env(os.environ)
    except BadSetting as error:
        print(error, file=sys.stderr)  # noqa: T201  # the command's answer
        sys.exit(2)
    locustfile = Path(__file__).with_name("locustfile.py")
    # A process of its own would have to be told of each signal; this one becomes locust, which
    # must be the first to be imported (see `locustfile`).
    arguments = [
        *("-m", "locust", "-f", str(locustfile), "--headless", "--only-summary"),
        *("--loglevel", "WARNING", "--users", str(options.users)),
        *("--jobs", str(options.jobs), "--timeout", str(options.timeout), *others),
    ]
    os.execv(sys.executable, [sys.executable, *arguments])  # noqa: S606  # no shell is wanted


if __name__ == "__main__":
    main()
