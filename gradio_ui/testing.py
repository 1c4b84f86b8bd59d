"""A stand-in for the API over real HTTP: for tests, and to work on the page without a stack.

A job advances one state each time it is looked at, so that nobody waits for a clock;
`hold` keeps jobs where they are until `release`.
"""

import base64
import hashlib
import threading
from collections.abc import Callable
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from pydantic import BaseModel, ValidationError

from jobs.catalogue import Catalogue
from jobs.errors import InvalidJob
from jobs.job import Family, Job, JobRequest
from jobs.outcome import Failure, Output
from jobs.samples import sample_png
from jobs.schema import parameters
from jobs.status import ErrorCode, Status
from jobs.uid import new_uid
from jobs.view import (
    FaultView,
    JobView,
    LinkView,
    ModelPage,
    ModelView,
    Problem,
    ProgressView,
    TimeView,
)

#: A job with this in its prompt fails.
POISON = "fail please"
#: Two models that differ in what the page shows: tasks, bounds, defaults, schedulers.
CATALOGUE = Catalogue.from_yaml("""
runtimes:
  fake:
    default_model: small
    models:
      large:
        path: models/large
        tasks: [text-to-image]
        defaults: {width: 512, height: 768, num_inference_steps: 30, guidance_scale: 7.5}
        limits: {max_side: 1024, max_pixels: 786432, max_num_images_per_prompt: 4}
      small:
        path: models/small
        defaults: {width: 64, height: 64, num_inference_steps: 20, guidance_scale: 5.0}
        limits: {max_side: 256, max_pixels: 65536}
        schedulers: [DDIMScheduler, EulerDiscreteScheduler]
""")


class FakeApi:
    """The API with its jobs in memory, on a port of its own of the loopback address."""

    def __init__(
        self,
        catalogue: Catalogue = CATALOGUE,
        *,
        on_accept: Callable[[Job], None] = lambda job: None,
    ) -> None:
        self.catalogue = catalogue
        self.on_accept = on_accept
        self.jobs: dict[str, Job] = {}
        self.requests: list[tuple[str, str]] = []
        self._looks: dict[str, int] = {}
        self._canceled: set[str] = set()
        self._held_at: int | None = None
        self.vanished = False
        api = self

        class Handler(_Handler):
            fake = api

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def hold(self, looks: int) -> None:
        """Let no job advance further than after so many looks at it."""
        self._held_at = looks

    def release(self) -> None:
        """Let jobs advance again."""
        self._held_at = None

    def vanish(self) -> None:
        """Answer nothing any more: close each connection on which something is asked."""
        self.vanished = True

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, BaseModel | bytes]:
        """The status and the document (or a picture) for one request."""
        self.requests.append((method, path))
        match method, path.strip("/").split("/"):
            case "GET", ["v1", "models"]:
                return 200, self._models()
            case "POST", ["v1", "jobs"]:
                return self._accept(body)
            case "POST", ["v1", "jobs", uid, "cancel"]:
                self._canceled.add(uid)
                return 200, self._view(self.jobs[uid])
            case "GET", ["v1", "jobs", uid]:
                return 200, self._look(self.jobs[uid])
            case "GET", ["pictures", uid, number]:
                return 200, _picture(self.jobs[uid], int(number))
        return 404, Problem(title="Not Found", status=404, detail="no such thing", code="not_found")

    def _models(self) -> ModelPage:
        return ModelPage(
            data=tuple(
                ModelView(
                    id=name,
                    runtime=runtime_name,
                    default=name == runtime.model_name(None),
                    tasks=tuple(task.value for task in model.tasks),
                    parameters=parameters(model),
                )
                for runtime_name, runtime in self.catalogue.runtimes.items()
                for name, model in runtime.models.items()
            )
        )

    def _accept(self, body: bytes) -> tuple[int, BaseModel]:
        try:
            job = Job.of_request(
                JobRequest.model_validate_json(body),
                uid=new_uid(),
                tenant="default",
                family=Family.V1,
                catalogue=self.catalogue,
            )
        except ValidationError as error:
            return 422, _refusal(InvalidJob.from_validation(error))
        except InvalidJob as error:
            return 422, _refusal(error)
        self.jobs[job.uid] = job
        self.on_accept(job)
        return 202, self._view(job)

    def _look(self, job: Job) -> JobView:
        looks = self._looks.get(job.uid, 0)
        if self._held_at is None or looks < self._held_at:
            self._looks[job.uid] = looks + 1
        return self._view(job)

    def _view(self, job: Job) -> JobView:
        """The job after that many looks: queued, starting, half way, ended."""
        looks = self._looks.get(job.uid, 0)
        steps = job.input.num_inference_steps or 0
        states = [Status.QUEUED, Status.QUEUED, Status.STARTING, Status.PROCESSING]
        status = states[looks] if looks < len(states) else Status.SUCCEEDED
        failure = None
        if job.uid in self._canceled:
            status = Status.CANCELED
        elif status is Status.SUCCEEDED and POISON in job.input.prompt:
            status = Status.FAILED
            failure = Failure(code=ErrorCode.OUT_OF_MEMORY, message="the replica ran out of memory")
        done = status is Status.SUCCEEDED
        half = ProgressView(stage="denoise", step=steps // 2, total=steps)
        return JobView(
            uid=job.uid,
            id=job.id,
            status=status,
            runtime=job.runtime,
            model=job.model,
            priority=job.priority,
            input=None,
            attempts=1 if looks > 1 else 0,
            progress=half if status is Status.PROCESSING else ProgressView(),
            outputs=self._outputs(job) if done else (),
            error=failure,
            timings={"encode": 0.11, "denoise": 2.46, "decode": 0.32} if done else {},
            times=_times(job) if done else TimeView(accepted=job.created_at),
            urls=LinkView(get=f"/v1/jobs/{job.uid}", cancel=f"/v1/jobs/{job.uid}/cancel"),
        )

    def _outputs(self, job: Job) -> tuple[Output, ...]:
        pictures = [_picture(job, n) for n in range(job.input.num_images_per_prompt)]
        return tuple(
            Output(
                key=f"default/{job.id}/{job.id}-beef-{number + 1}.png",
                media_type="image/png",
                sha256=hashlib.sha256(data).hexdigest(),
                bytes=len(data),
                width=64,
                height=64,
                seed=job.seed + number,
                url=f"{self.url}/pictures/{job.uid}/{number}",
            )
            for number, data in enumerate(pictures)
        )


class _Handler(BaseHTTPRequestHandler):
    fake: FakeApi
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer("GET")

    def do_POST(self) -> None:
        self._answer("POST")

    def log_message(self, *_: Any) -> None:
        """Say nothing: the tests look at `FakeApi.requests`."""

    def _answer(self, method: str) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        if self.fake.vanished:
            self.close_connection = True
            return
        status, document = self.fake.answer(method, self.path, body)
        is_picture = isinstance(document, bytes)
        data = document if isinstance(document, bytes) else document.model_dump_json().encode()
        self.send_response(status)
        self.send_header("content-type", "image/png" if is_picture else "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def _refusal(error: InvalidJob) -> Problem:
    faults = tuple(FaultView(pointer=f.pointer, detail=f.detail) for f in error.faults)
    return Problem(
        title="Invalid job",
        status=422,
        detail="The job was refused; correct these fields",
        code=error.code,
        errors=faults,
    )


def _picture(job: Job, number: int) -> bytes:
    """A picture of one colour, which belongs to the prompt and the number."""
    red, green, blue = hashlib.sha256(f"{job.input.prompt}{number}".encode()).digest()[:3]
    return base64.b64decode(sample_png(64, (red, green, blue)))


def _times(job: Job) -> TimeView:
    names = ("published", "leased", "started", "uploaded", "recorded")
    return TimeView.model_validate(
        {
            "accepted": job.created_at,
            **{n: job.created_at + timedelta(seconds=0.4 * k) for k, n in enumerate(names, 1)},
        }
    )
