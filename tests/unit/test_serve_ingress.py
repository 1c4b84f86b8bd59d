"""What the ingress does with a job before it has a replica."""

import asyncio

from serve_app import ingress as ingress_module
from serve_app.capacity import Replicas
from serve_app.ingress import Ingress


class Loop(asyncio.SelectorEventLoop):
    """Time that others let pass."""

    passed = 0.0

    def time(self):
        return super().time() + self.passed


class Controller:
    """A look at the replicas takes five seconds, and there is none."""

    looks = 0

    async def replicas(self):
        self.looks += 1
        asyncio.get_running_loop().passed += 5
        return Replicas(ready=0, wanted=1)


class Generator:
    """Takes a job, and nothing comes of it."""

    def remote(self, job, *, alone):
        return self

    async def __anext__(self):
        await asyncio.Event().wait()

    def cancel(self):
        pass


class Request:
    """A POST of a job."""

    def __init__(self, job):
        self._body, self.headers = job.encode(), {}

    async def body(self):
        return self._body


def test_both_waits_for_a_replica_share_one_patience(new_job, catalogue, monkeypatch):
    """Else a job waits twice as long as the smoke test, and nobody hears why."""

    async def slow(controller, **_):
        asyncio.get_running_loop().passed += 890

    monkeypatch.setattr(ingress_module, "first_replica", slow)
    monkeypatch.setattr(ingress_module, "LOOK_INTERVAL_S", 0.001)
    # Without what Serve wraps round it: that wants a running cluster.
    taking = object.__new__(Ingress.__mro__[1])
    taking._name, taking._catalogue, taking._generate = "demo", catalogue, Generator()
    taking._start_timeout_s, taking._policy_s, taking._in_flight = 900, 1, 0
    taking._controller = Controller()
    with asyncio.Runner(loop_factory=Loop) as runner:
        answer = runner.run(taking.generate(Request(new_job())))
    assert answer.status_code == 503
    assert b"no replica within 900 s" in answer.body
    assert taking._controller.looks <= 4
