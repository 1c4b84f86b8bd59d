"""The local stack in figures: start, first job from zero, further jobs, idle memory.

    python bench/local_stack.py [--jobs 20]

Memory is PSS, each shared page counted once. The last line is one JSON object.
"""

import argparse
import json
import os
import statistics
import time

import psutil

from client.client import Client
from darkroom.stack import Stack, StackOptions
from jobs.samples import sample_request


def pss_mib(stack: Stack) -> float:
    """The memory of all processes of the stack."""
    roots = [psutil.Process(part.pid) for part in stack.processes.values()]
    tree = [p for root in roots for p in (root, *root.children(recursive=True))]
    return sum(process.memory_full_info().pss for process in tree) / 2**20


def job_s(client: Client, seed: int) -> float:
    """Seconds from accepted to notified of one 20-step job, by the record's own times."""
    uid = client.submit(sample_request(num_inference_steps=20, seed=seed)).uid
    client.wait(uid, timeout_s=300)
    while (view := client.job(uid)).times.notified is None:
        time.sleep(0.05)
    return (view.times.notified - view.times.accepted).total_seconds()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=20)
    jobs = parser.parse_args().jobs
    began = time.monotonic()
    with Stack.running(StackOptions()) as stack:
        figures: dict[str, float] = {"start_s": time.monotonic() - began}
        figures["idle_pss_mib"] = pss_mib(stack)
        with Client(stack.api_url, api_key=stack.api_key) as client:
            figures["first_job_from_zero_s"] = job_s(client, 0)
            warm = [job_s(client, seed) for seed in range(1, jobs + 1)]
        figures["warm_job_median_s"] = statistics.median(warm)
        figures["warm_job_max_s"] = max(warm)
        figures["busy_pss_mib"] = pss_mib(stack)
        stopping = time.monotonic()
    figures["stop_s"] = time.monotonic() - stopping
    figures["jobs"] = jobs
    figures["load_average_1min"] = os.getloadavg()[0]
    for name, value in figures.items():
        print(f"{name:<24} {value:10.2f}")
    print(json.dumps({name: round(value, 3) for name, value in figures.items()}))


if __name__ == "__main__":
    main()
