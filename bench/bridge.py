"""What the bridge costs: throughput and latency beside the same calls with no logic.

    python bench/bridge.py [--jobs 300] [--rounds 4]
    python bench/bridge.py --soak 20000

The ceiling makes the calls to AWS that the bridge makes for a job, and the same POST, in as
many threads as the bridge has jobs in hand. Rounds of both alternate, because the machine is
never the same twice; the emulated AWS alone takes most of two cores. The pipeline takes no
time. `--soak` runs that many jobs through one bridge and prints its memory as it goes. The
last line is one JSON object.
"""

import argparse
import json
import os
import statistics
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import httpx
import psutil

# Run as a script, Python looks beside it only.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from jobs.job import Job
from jobs.keys import attempt_suffix, document_key, output_key
from records.announce import notice_of
from records.clock import now_ms
from records.queue import Delivery
from records.record import Record, job_key
from records.table import Change
from tests.faults.lab import Lab
from tests.faults.site import Site

#: Jobs in hand at once: the stub's window.
_WINDOW = 8
_STUB = {"STUB_STEPS": "1", "STUB_STEP_S": "0", "STUB_WINDOW": str(_WINDOW)}
_PNG = b"\x89PNG" + bytes(200)


def ceiling_job(site: Site, http: httpx.Client, job: Job, delivery: Delivery) -> int:
    """The calls for one job and no more; when it was announced."""
    key, suffix = job_key(job.uid), attempt_suffix(job.uid, 1)
    leased = Change(set={"status": "starting", "lease_owner": "o", "lease_until": 1})
    item = site.table.update(key, leased)
    http.post(f"{site.lab.serve_url}/generate", content=job.encode())
    site.table.update(key, Change(set={"status": "processing"}, add={"attempt": 1}))
    image = output_key("default", job.id, suffix, 1, "png")
    site.store.put(image, _PNG, media_type="image/png")
    document = document_key("default", job.id, suffix)
    site.store.put(document, b"{}" * 300, media_type="application/json")
    site.table.update(key, Change(set={"status": "succeeded", "outcome": "{}" * 200}))
    notice = notice_of(Record.from_item(item), bucket=site.store.bucket)
    site.notices.publish(notice.encode(), notice.attributes())
    noted = now_ms()
    site.table.update(key, Change(set={"notified_at": noted}, remove=["unannounced"]))
    site.queue.delete(delivery)
    return noted


def ceiling(site: Site, jobs: list[Job], rate: float | None = None) -> tuple[float, list[float]]:
    """Jobs per second, and each job's milliseconds from its message to its notice."""
    by_uid = {job.uid: job for job in jobs}
    sent: dict[str, int] = {}
    ended: dict[str, Future[int]] = {}
    if rate is None:
        _send(site, jobs, sent, None)
    limits = httpx.Limits(max_connections=None)
    with (
        ThreadPoolExecutor(_WINDOW) as pool,
        ThreadPoolExecutor(1) as sender,
        httpx.Client(trust_env=False, limits=limits) as http,
    ):
        sending = sender.submit(_send, site, jobs, sent, rate) if rate is not None else None
        began = time.monotonic()
        while len(ended) < len(jobs):
            room = _WINDOW - sum(not each.done() for each in ended.values())
            if not room:
                time.sleep(0.002)
                continue
            for delivery in site.queue.receive(limit=room, wait_s=1):
                job = by_uid[json.loads(delivery.body)["uid"]]
                ended[job.uid] = pool.submit(ceiling_job, site, http, job, delivery)
        noted = {uid: each.result() for uid, each in ended.items()}
        per_s = len(jobs) / (time.monotonic() - began)
        if sending:
            sending.result()
    return per_s, [float(at - sent[uid]) for uid, at in noted.items()]


def bridged(
    site: Site, jobs: list[Job], rate: float | None = None
) -> tuple[float, list[float], list[Record], dict[str, int]]:
    """The same of a bridge, with the records and the count of its calls to AWS."""
    sent: dict[str, int] = {}
    log = site.lab.home / "calls.json"
    if rate is None:
        _send(site, jobs, sent, None)
    bridge = site.lab.start_bridge(CALLS_LOG=str(log), DARKROOM_LEASE_S="30")
    if rate is not None:
        while "consuming" not in site.lab.log_of("bridge-1"):
            time.sleep(0.05)
        _send(site, jobs, sent, rate)
    records = _ended(site, jobs)
    # Once: told twice it would not wait for its poll, which then takes the next round's message.
    bridge.stop(grace_s=30)
    (site.lab.home / "bridge-1.log").unlink()
    calls: dict[str, int] = json.loads(log.read_text())
    first = min(record.leased_at or 0 for record in records)
    last = max(record.notified_at or 0 for record in records)
    took = [float((record.notified_at or 0) - sent[record.uid]) for record in records]
    return len(jobs) / ((last - first) / 1000), took, records, calls


def _send(site: Site, jobs: list[Job], sent: dict[str, int], rate: float | None) -> None:
    began = time.monotonic()
    for number, job in enumerate(jobs):
        if rate is not None:
            time.sleep(max(0.0, began + number / rate - time.monotonic()))
        sent[job.uid] = now_ms()
        site.send(job)


def _ended(site: Site, jobs: list[Job]) -> list[Record]:
    """The records once all are announced."""
    open_ = {job.uid for job in jobs}
    done: list[Record] = []
    while open_:
        # Few reads at a time: whoever looks is not to be what is measured.
        for uid in sorted(open_)[:5]:
            record = site.record(uid)
            if record.notified_at is not None:
                open_.discard(uid)
                done.append(record)
        time.sleep(0.02)
    return done


def steps(records: list[Record]) -> dict[str, float]:
    """The median milliseconds from one moment of a job to the next."""
    names = ("leased_at", "started_at", "uploaded_at", "terminal_at", "notified_at")
    found = {}
    for before, after in pairwise(names):
        gaps = [getattr(record, after) - getattr(record, before) for record in records]
        found[f"{before[:-3]}_to_{after[:-3]}_ms"] = statistics.median(gaps)
    return found


def measure(jobs: int, rounds: int) -> dict[str, object]:
    """Throughput, then latency at half of it."""
    calls: dict[str, int] = {}
    with Lab.running(visibility_s=60, **_STUB) as lab:
        site = Site.of(lab)
        rates: dict[str, list[float]] = {"ceiling": [], "bridge": []}
        for _ in range(rounds):
            rates["ceiling"].append(ceiling(site, _accepted(site, jobs))[0])
            per_s, _, _, calls = bridged(site, _accepted(site, jobs))
            rates["bridge"].append(per_s)
            print(f"ceiling {rates['ceiling'][-1]:6.1f}/s   bridge {per_s:6.1f}/s")
        bridge, top = statistics.median(rates["bridge"]), statistics.median(rates["ceiling"])
        half = bridge / 2
        plain_ms = ceiling(site, _accepted(site, jobs), half)[1]
        _, took_ms, records, _ = bridged(site, _accepted(site, jobs), half)
    return {
        "ceiling_jobs_per_s": round(top, 2),
        "bridge_jobs_per_s": round(bridge, 2),
        "ratio": round(bridge / top, 3),
        "median_at_half_load_ms": {
            "ceiling": statistics.median(plain_ms),
            "bridge": statistics.median(took_ms),
        },
        "added_median_ms": statistics.median(took_ms) - statistics.median(plain_ms),
        "steps": steps(records),
        "aws_calls_per_job": {name: round(n / jobs, 2) for name, n in sorted(calls.items())},
        "aws_calls_per_job_in_all": round(sum(calls.values()) / jobs, 2),
    }


def soak(jobs: int) -> dict[str, object]:
    """Many jobs through one bridge: its memory after every twentieth of them."""
    memory: list[float] = []
    with Lab.running(visibility_s=60, **_STUB) as lab:
        site = Site.of(lab)
        bridge = psutil.Process(lab.start_bridge(DARKROOM_LEASE_S="30").pid)
        part = max(1, jobs // 20)
        for number in range(0, jobs, part):
            batch = _accepted(site, min(part, jobs - number))
            _send(site, batch, {}, None)
            _ended(site, batch)
            memory.append(bridge.memory_info().rss / 2**20)
            print(f"{number + len(batch):7} jobs  {memory[-1]:7.1f} MiB")
    return {"jobs": jobs, "rss_mib": [round(each, 1) for each in memory]}


def _accepted(site: Site, count: int) -> list[Job]:
    with ThreadPoolExecutor(_WINDOW) as pool:
        return list(pool.map(lambda _: site.accepted(), range(count)))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--soak", type=int, default=0)
    given = parser.parse_args()
    figures = soak(given.soak) if given.soak else measure(given.jobs, given.rounds)
    figures["load_average_1min"] = os.getloadavg()[0]
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
