"""Table, queue, bucket and topic in memory, for tests: they keep the same promises."""

import json
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field

from records.dynamo import decode_cursor, encode_cursor
from records.errors import ConditionFailed, ObjectMissing, ObjectTooLarge
from records.queue import Delivery
from records.table import Change, Item, Page, index_keys
from records.topic import MAX_ATTRIBUTES


class MemoryTable:
    """A table in memory; every call is atomic."""

    def __init__(self) -> None:
        self._items: dict[str, Item] = {}
        self._lock = threading.Lock()

    def get(self, key: str) -> Item | None:
        with self._lock:
            return deepcopy(self._items.get(key))

    def put_new(self, *items: Item) -> None:
        with self._lock:
            for item in items:
                if item["pk"] in self._items:
                    raise ConditionFailed(deepcopy(self._items[item["pk"]]))
            for item in items:
                self._items[item["pk"]] = deepcopy(item)

    def update(self, key: str, change: Change) -> Item:
        with self._lock:
            item = self._items.get(key)
            if not all(each.holds(item or {}) for each in change.require):
                raise ConditionFailed(deepcopy(item))
            updated = deepcopy(item or {"pk": key}) | deepcopy(dict(change.set))
            for name in change.remove:
                updated.pop(name, None)
            for name, amount in change.add.items():
                updated[name] = updated.get(name, 0) + amount
            self._items[key] = updated
            return deepcopy(updated)

    def query(
        self,
        index: str,
        partition: str,
        *,
        below: int | None = None,
        newest_first: bool = False,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page:
        hash_key, range_key = index_keys("jobs", index)
        with self._lock:
            found = [
                deepcopy(item)
                for item in self._items.values()
                if item.get(hash_key) == partition
                and range_key in item
                and (below is None or item[range_key] < below)
            ]

        def place(item: Item) -> tuple[int, str]:
            return item[range_key], item["pk"]

        found.sort(key=place, reverse=newest_first)
        if cursor is not None:
            start = place(decode_cursor(cursor, index, partition))
            found = [
                item
                for item in found
                if (place(item) < start if newest_first else place(item) > start)
            ]
        more = len(found) > limit
        keys = ("pk", hash_key, range_key)
        last = {name: found[limit - 1][name] for name in keys} if more else None
        return Page(items=found[:limit], cursor=encode_cursor(last) if last else None)


@dataclass
class _Waiting:
    message_id: str
    body: str
    sent_ms: int
    notes: Mapping[str, str]
    visible_at: float
    receive_count: int = 0
    receipt: str | None = None


class MemoryQueue:
    """A queue in memory with SQS's visibility timeout, by the clock that it is given."""

    def __init__(
        self, *, visibility_s: float = 30, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._visibility_s = visibility_s
        self._clock = clock
        self._messages: list[_Waiting] = []
        self._arrival = threading.Condition()

    def send(self, body: str, notes: Mapping[str, str] | None = None) -> None:
        with self._arrival:
            now, now_ms = self._clock(), int(time.time() * 1000)
            message = _Waiting(str(uuid.uuid4()), body, now_ms, dict(notes or {}), visible_at=now)
            self._messages.append(message)
            self._arrival.notify_all()

    def receive(self, *, limit: int, wait_s: int) -> Sequence[Delivery]:
        deadline = time.monotonic() + wait_s
        with self._arrival:
            while not (ready := self._visible(min(limit, 10))):
                left = deadline - time.monotonic()
                if left <= 0:
                    return []
                self._arrival.wait(min(left, 0.05))
            return [self._deliver(message) for message in ready]

    def extend(self, deliveries: Sequence[Delivery], *, visibility_s: int) -> Sequence[Delivery]:
        with self._arrival:
            return [each for each in deliveries if not self._show_in(each, visibility_s)]

    def release(self, delivery: Delivery, *, delay_s: int = 0) -> None:
        with self._arrival:
            self._show_in(delivery, delay_s)
            self._arrival.notify_all()

    def delete(self, delivery: Delivery) -> None:
        with self._arrival:
            self._messages = [m for m in self._messages if m.message_id != delivery.message_id]

    def depth(self) -> tuple[int, int]:
        with self._arrival:
            visible = len(self._visible(len(self._messages)))
            return visible, len(self._messages) - visible

    def _visible(self, limit: int) -> list[_Waiting]:
        now = self._clock()
        return [message for message in self._messages if message.visible_at <= now][:limit]

    def _deliver(self, message: _Waiting) -> Delivery:
        message.receive_count += 1
        message.receipt = str(uuid.uuid4())
        message.visible_at = self._clock() + self._visibility_s
        return Delivery(
            message_id=message.message_id,
            receipt=message.receipt,
            body=message.body,
            receive_count=message.receive_count,
            sent_ms=message.sent_ms,
            notes=message.notes,
        )

    def _show_in(self, delivery: Delivery, seconds: float) -> bool:
        for message in self._messages:
            if message.receipt == delivery.receipt:
                message.visible_at = self._clock() + seconds
                return True
        return False


class MemoryStore:
    """A bucket in memory."""

    def __init__(self, bucket: str = "memory") -> None:
        self._bucket = bucket
        self._objects: dict[str, bytes] = {}

    @property
    def bucket(self) -> str:
        return self._bucket

    def put(self, key: str, data: bytes, *, media_type: str) -> None:
        self._objects[key] = data

    def get(self, key: str) -> bytes:
        try:
            return self._objects[key]
        except KeyError:
            raise ObjectMissing(f"{key}: no such object") from None

    def delete(self, key: str) -> None:
        self._objects.pop(key, None)

    def presign(self, key: str, *, expires_s: int) -> str:
        return f"memory://{self._bucket}/{key}?expires={expires_s}"


class MemoryReader:
    """Buckets in memory."""

    def __init__(self, *stores: MemoryStore) -> None:
        self._stores = {store.bucket: store for store in stores}

    def read(self, bucket: str, key: str, *, most_bytes: int) -> bytes:
        if bucket not in self._stores:
            raise ObjectMissing(f"{bucket}: no such bucket")
        data = self._stores[bucket].get(key)
        if len(data) > most_bytes:
            raise ObjectTooLarge(f"{key} has more than {most_bytes} bytes")
        return data


@dataclass
class MemoryTopic:
    """A topic in memory: it keeps what was published and passes it on to its queues.

    A subscription is a queue and the attribute values that it takes.
    """

    subscriptions: list[tuple[MemoryQueue, Mapping[str, Sequence[str]]]] = field(
        default_factory=list
    )
    published: list[tuple[str, Mapping[str, str]]] = field(default_factory=list)

    def publish(self, body: str, attributes: Mapping[str, str]) -> None:
        if len(attributes) > MAX_ATTRIBUTES:
            raise ValueError(f"{len(attributes)} attributes, SNS keeps {MAX_ATTRIBUTES}")
        self.published.append((body, dict(attributes)))
        for queue, policy in self.subscriptions:
            if all(attributes.get(name) in values for name, values in policy.items()):
                queue.send(body, attributes)

    def bodies(self) -> list[dict[str, object]]:
        """What was published, decoded."""
        return [json.loads(body) for body, _ in self.published]
