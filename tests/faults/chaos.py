"""Many jobs, bad weather, and parts that die: then what is left is judged.

Bridges die at named crash points, by `kill -9` and by SIGTERM; Serve is killed once.
"""

import json
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx

from jobs.samples import sample_request
from jobs.status import TERMINAL
from records.aws import S3Store
from records.dynamo import DynamoTable
from records.errors import ObjectMissing
from records.record import job_key
from tests.faults.crash_points import POINTS
from tests.faults.history import History, Judgement, generations, judge, sha256
from tests.faults.lab import Lab

_BRIDGES = 4
#: Jobs for each passing of its crash point until a bridge dies there: early in a short run.
_JOBS_A_PASSING = 250
#: Jobs that are open at once, so that there is work left for every bridge that starts.
_AT_ONCE = 40
#: Records that are read each time somebody asks how many jobs are open.
_LOOKS = 10
#: Seconds between two kills from outside.
_KILL_EVERY_S = 3.0
#: A message that was lost with its receiver is visible again after this, and once more.
_VISIBILITY_S = 5
#: Seconds that a fault may explain a generation that is made again.
_EXPLAINS_S = 60


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is to happen."""

    jobs: int
    seed: int
    errors: float = 0.05
    lost: float = 0.05
    #: Kills at least, besides one of Serve; every crash point is among them.
    kills: int = 30
    #: Seconds until everything has to have ended.
    patience_s: float = 600


@dataclass
class Chaos:
    """One run."""

    plan: Plan
    lab: Lab
    accepted: list[str] = field(default_factory=list)
    faults_at: list[float] = field(default_factory=list)
    kills: Counter[str] = field(default_factory=Counter)
    began_at: float = field(default_factory=time.time)

    def __post_init__(self) -> None:
        self._dice = random.Random(self.plan.seed)
        self._points = list(POINTS)
        self._dice.shuffle(self._points)
        self._number = 0
        self._told: set[str] = set()
        #: In the order in which they are looked at.
        self._waiting: dict[str, None] = {}
        self._seen = 0
        self._ended = 0
        self._lock = threading.Lock()
        self._table = DynamoTable(self.lab.client("dynamodb"), self.lab.cloud.table)

    def run(self) -> float:
        """Post all jobs while things die, until all have ended; jobs per second."""
        for _ in range(_BRIDGES):
            self._start_bridge()
        began = time.monotonic()
        poster = threading.Thread(target=self._post, daemon=True)
        poster.start()
        killed_serve, next_kill = False, began + _KILL_EVERY_S
        while poster.is_alive() or self._open():
            assert time.monotonic() - began < self.plan.patience_s, self._stuck()
            self._bury()
            if time.monotonic() >= next_kill and not self._enough():
                self._kill_one()
                next_kill += _KILL_EVERY_S
            half = len(self.accepted) > self.plan.jobs // 2
            if not killed_serve and half and self.lab.began():
                killed_serve = True
                self._kill_serve()
            time.sleep(0.05)
        return len(self.accepted) / (time.monotonic() - began)

    def judge(self) -> Judgement:
        """The judgement on what is left, once the last notices are there."""
        notices = self._notices()
        store = S3Store(self.lab.client("s3"), self.lab.cloud.bucket)

        def digest(key: str) -> str | None:
            try:
                return sha256(store.get(key))
            except ObjectMissing:
                return None

        return judge(
            History(
                accepted=frozenset(self.accepted),
                records={uid: self._record(uid) for uid in self.accepted},
                notices=notices,
                object_sha256=digest,
                generations=generations(self.lab.began()),
                faults_at=[*self.faults_at, *self._released_at()],
                explains_s=_EXPLAINS_S,
            )
        )

    def points(self) -> Counter[str]:
        """How often each crash point was hit."""
        path: Path = self.lab.crashes
        return Counter(path.read_text().split() if path.exists() else [])

    def _enough(self) -> bool:
        """Whether everything has died in every way, and often enough."""
        often = sum(self.kills.values()) >= self.plan.kills
        from_outside = min(self.kills["kill -9"], self.kills["SIGTERM"])
        all_points = not set(POINTS) - set(self.points())
        return often and all_points and from_outside >= max(1, self.plan.kills // 10)

    def _start_bridge(self) -> None:
        """Every other one will die at a point, those first at which none has died yet.

        The others are there to be killed from outside.
        """
        left = [point for point in self._points if not self.points()[point]]
        if not left and not self._enough():
            left = self._points
        self._number += 1
        name = f"bridge-{self._number}"
        passings = 1 + self.plan.jobs // _JOBS_A_PASSING
        crash = {"CRASH_NUMBER": str(self._dice.randint(1, passings))}
        if left and self._number % 2:
            crash["CRASH_AT"] = self._dice.choice(left)
        self.lab.start_bridge(
            name,
            FAULT_SEED=str(self.plan.seed * 1000 + self._number),
            DARKROOM_GRACE_S="1",
            DARKROOM_LOG="json",
            **crash,
        )

    def _bury(self) -> None:
        """Replace the bridges that have died; the timers too, should one."""
        for name, process in list(self.lab.processes.items()):
            if process.running:
                continue
            assert name.startswith("bridge-"), f"{name} has died:\n{process.last_lines()}"
            status = process.stop(grace_s=0)
            del self.lab.processes[name]
            if status == -signal.SIGKILL:
                self._killed("crash point" if name not in self._told else "kill -9")
            self._start_bridge()

    def _kill_one(self) -> None:
        names = [name for name in self.lab.processes if name.startswith("bridge-")]
        name = self._dice.choice(names)
        # Only one that works: a process that still starts up would be killed for nothing.
        if "consuming" not in self.lab.log_of(name) or name in self._told:
            return
        self._told.add(name)
        if self._dice.random() < 0.5:
            os.kill(self.lab.processes[name].pid, signal.SIGKILL)
        else:
            self._killed("SIGTERM")
            os.kill(self.lab.processes[name].pid, signal.SIGTERM)

    def _kill_serve(self) -> None:
        self.faults_at.append(time.time())
        self.kills["serve"] += 1
        self.lab.kill_replica()

    def _killed(self, how: str) -> None:
        self.kills[how] += 1
        self.faults_at.append(time.time())

    def _post(self) -> None:
        """Every job with an id of its own: to post it again is the same job."""
        with httpx.Client(base_url=self.lab.api_url, trust_env=False, timeout=30) as client:
            # More than asked for, if by then not every point was hit.
            number = 0
            while number < self.plan.jobs or not self._enough():
                number += 1
                while len(self.accepted) - self._ended >= _AT_ONCE:
                    self._open()
                    time.sleep(0.1)
                body = sample_request(seed=number) | {"id": f"chaos-{number}"}
                while (answer := _posted(client, body)) is None or answer.status_code >= 500:
                    time.sleep(0.1)
                assert answer.status_code == 202, answer.text
                self.accepted.append(str(answer.json()["uid"]))

    def _open(self) -> list[str]:
        """Accepted jobs that have not ended, as far as looked: a few each time.

        To look at all of them each time would keep the emulated AWS busier than the bridges do.
        """
        with self._lock:
            fresh = self.accepted[self._seen :]
            self._seen += len(fresh)
            self._waiting |= dict.fromkeys(fresh)
            for uid in list(self._waiting)[:_LOOKS]:
                del self._waiting[uid]
                record = self._record(uid)
                if record is None or record["status"] not in TERMINAL:
                    self._waiting[uid] = None
                else:
                    self._ended += 1
            return list(self._waiting)

    def _stuck(self) -> str:
        records = (self._record(uid) for uid in self._open()[:5])
        return f"{len(self._open())} jobs did not end: {list(records)}; {self.kills}"

    def _record(self, uid: str) -> dict[str, Any] | None:
        item = self._table.get(job_key(uid))
        return item and item | {"outcome": json.loads(item.get("outcome", '{"outputs": []}'))}

    def _notices(self) -> list[dict[str, Any]]:
        """What the subscriber got; waits for those that redelivery or the sweeper still owe."""
        sqs, url = self.lab.client("sqs"), self.lab.cloud.notice_queues["checker"]
        found: list[dict[str, Any]] = []
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1)
            for message in answer.get("Messages", []):
                found.append(json.loads(message["Body"]))
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            told = {notice["job"]["uid"] for notice in found}
            if "Messages" not in answer and not set(self.accepted) - told:
                break
        return found

    def _released_at(self) -> list[float]:
        """When bridges gave jobs back because AWS or Serve was away."""
        found = []
        for log in self.lab.home.glob("bridge-*.log"):
            for line in log.read_text("utf-8", "replace").splitlines():
                if '"message released"' in line or '"verdict not carried out"' in line:
                    moment = json.loads(line)["timestamp"]
                    found.append(datetime.fromisoformat(moment).timestamp())
        return found


def _posted(client: httpx.Client, body: dict[str, object]) -> httpx.Response | None:
    try:
        return client.post("/v1/jobs", json=body)
    except httpx.TransportError:
        return None


def run(plan: Plan, say: Callable[[str], None]) -> dict[str, Any]:
    """One run from start to judgement; its figures."""
    faults = {
        "FAULT_ERRORS": str(plan.errors),
        "FAULT_LOST": str(plan.lost),
        "FAULT_SEED": str(plan.seed),
    }
    with Lab.running(visibility_s=_VISIBILITY_S, faults=faults, on_ray=True) as lab:
        lab.start_api()
        lab.start_timers()
        chaos = Chaos(plan, lab)
        jobs_per_s = chaos.run()
        found, points = chaos.judge(), chaos.points()
    for point, count in sorted(points.items()):
        say(f"crash point {point:<20} {count}")
    for kind, uids in found.faults.items():
        say(f"{kind}: {uids[:10]}")
    return {
        "accepted": len(chaos.accepted),
        "terminal": found.terminal,
        "lost": len(found.lost),
        "double_commits": len(found.double_commits),
        "duplicate_generations": found.duplicate_generations,
        "reannounced": found.reannounced,
        "jobs_per_s": round(jobs_per_s, 2),
        "kills": sum(chaos.kills.values()),
        "kills_by": dict(chaos.kills),
        "points_hit": len(points),
        "faults": {kind: len(uids) for kind, uids in found.faults.items()},
        "plan": asdict(plan),
    }
