"""Was anything lost, done twice or told wrongly? A judge of what a run has left behind.

It reads after the run: the records, the bucket, a subscriber's queue, and the notes of who
generated and who was killed. It knows nothing of how the system works.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from jobs.status import TERMINAL, Status

#: What is compared of a notice's output and a record's.
_OUTPUT = ("key", "sha256", "bytes")


@dataclass(frozen=True, kw_only=True)
class Generation:
    """One time that a GPU worked on a job; `completed_at` is None if it did not get that far."""

    uid: str
    began_at: float
    completed_at: float | None = None


@dataclass(frozen=True, kw_only=True)
class History:
    """What a run has left behind."""

    #: The uids that the API has answered 202 for.
    accepted: frozenset[str]
    #: The item of each uid, or None.
    records: Mapping[str, Mapping[str, Any] | None]
    notices: Sequence[Mapping[str, Any]]
    #: SHA-256 of the object under a key, or None.
    object_sha256: Callable[[str], str | None]
    generations: Sequence[Generation] = ()
    #: When something was killed or an answer was lost, and how long that may explain a
    #: generation that is made again.
    faults_at: Sequence[float] = ()
    explains_s: float = 60.0


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What is wrong with a history; nothing is wrong if all lists are empty."""

    lost: list[str] = field(default_factory=list)
    unannounced: list[str] = field(default_factory=list)
    double_commits: list[str] = field(default_factory=list)
    wrong_notices: list[str] = field(default_factory=list)
    missing_objects: list[str] = field(default_factory=list)
    unexplained: list[str] = field(default_factory=list)
    #: Not wrong: jobs that were announced more than once, generations that were made again.
    reannounced: int = 0
    duplicate_generations: int = 0
    terminal: int = 0

    @property
    def faults(self) -> dict[str, list[str]]:
        """What is wrong, by kind."""
        kinds = (
            "lost",
            "unannounced",
            "double_commits",
            "wrong_notices",
            "missing_objects",
            "unexplained",
        )
        return {kind: found for kind in kinds if (found := getattr(self, kind))}


def judge(history: History) -> Judgement:
    """The judgement on a history."""
    told: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for notice in history.notices:
        told[str(notice["job"]["uid"])].append(notice)
    ended = {uid: item for uid, item in history.records.items() if item and _ended(item)}
    return Judgement(
        lost=sorted(history.accepted - ended.keys()),
        unannounced=sorted((history.accepted & ended.keys()) - told.keys()),
        double_commits=sorted(uid for uid, notices in told.items() if len(_stories(notices)) > 1),
        wrong_notices=sorted(
            uid
            for uid, notices in told.items()
            if any(not _agrees(notice, history.records.get(uid)) for notice in notices)
        ),
        missing_objects=sorted(_missing(history, ended.values())),
        unexplained=sorted(_unexplained(history)),
        reannounced=sum(len(notices) > 1 for notices in told.values()),
        duplicate_generations=sum(n - 1 for n in _times(history.generations).values()),
        terminal=len(ended),
    )


def _ended(item: Mapping[str, Any]) -> bool:
    return item["status"] in {status.value for status in TERMINAL}


def _stories(notices: Iterable[Mapping[str, Any]]) -> set[str]:
    """The different endings that notices of one job tell of."""
    return {f"{notice['job']['event_id']} {sorted(notice['image_url'])}" for notice in notices}


def _agrees(notice: Mapping[str, Any], item: Mapping[str, Any] | None) -> bool:
    """Whether a notice says what the record says."""
    if item is None or notice["job"]["status"] != item["status"]:
        return False
    if notice["job"]["event_id"] != f"{item['uid']}:{item['status']}":
        return False
    return _outputs(notice["job"]["outputs"]) == _outputs(item["outcome"]["outputs"])


def _outputs(outputs: Iterable[Mapping[str, Any]]) -> list[tuple[Any, ...]]:
    return [tuple(output[name] for name in _OUTPUT) for output in outputs]


def _missing(history: History, items: Iterable[Mapping[str, Any]]) -> set[str]:
    """The keys that a record or a notice names and that hold something else, or nothing."""
    named = [
        output
        for item in items
        if item["status"] == Status.SUCCEEDED
        for output in item["outcome"]["outputs"]
    ]
    named += [output for notice in history.notices for output in notice["job"]["outputs"]]
    wanted = {(output["key"], output["sha256"]) for output in named}
    return {key for key, digest in wanted if history.object_sha256(key) != digest}


def _times(generations: Iterable[Generation]) -> Counter[str]:
    return Counter(each.uid for each in generations)


def _unexplained(history: History) -> set[str]:
    """Jobs that a GPU worked on again although nothing had happened to them."""
    by_uid: dict[str, list[Generation]] = defaultdict(list)
    for generation in history.generations:
        by_uid[generation.uid].append(generation)
    found = set()
    for uid, generations in by_uid.items():
        generations.sort(key=lambda each: each.began_at)
        for first, second in pairwise(generations):
            between = (first.began_at, second.began_at)
            if not any(_explains(at, between, history.explains_s) for at in history.faults_at):
                found.add(uid)
    return found


def _explains(at: float, between: tuple[float, float], seconds: float) -> bool:
    """Whether a fault at this moment can be why a generation was begun again."""
    began, again = between
    return began - seconds <= at <= again and again - at <= seconds


def generations(lines: Iterable[Mapping[str, Any]]) -> list[Generation]:
    """What the notes of `stub_pipeline` say; one whose end nobody noted was killed."""
    began: dict[tuple[str, int], float] = {}
    done = []
    for line in lines:
        key = (str(line["uid"]), int(line["pid"]))
        if line["what"] == "began":
            began[key] = line["at"]
        else:
            at = line["at"] if line["what"] == "completed" else None
            done.append(Generation(uid=key[0], began_at=began.pop(key), completed_at=at))
    return done + [Generation(uid=uid, began_at=at) for (uid, _), at in began.items()]


def sha256(data: bytes) -> str:
    """As records keep it."""
    return hashlib.sha256(data).hexdigest()
