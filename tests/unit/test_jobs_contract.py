"""The smaller parts of the contract: lifecycle, ids, keys, schema, notice, stream, settings."""

import json
import re
import string
from uuid import UUID

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from jobs.environment import BadSetting, number, read_catalogue, required
from jobs.errors import IllegalTransition
from jobs.inputs import Task
from jobs.keys import attempt_suffix, document_key, output_key, request_key
from jobs.notice import Notice
from jobs.outcome import Outcome
from jobs.samples import sample_request
from jobs.schema import parameters
from jobs.status import ACTIVE, EDGES, LEASED, TERMINAL, ErrorCode, Status, check_edge, sources
from jobs.stream import EVENT, LAST_EVENTS, Capacity
from jobs.uid import derived_seed, derived_uid, is_uid, new_uid

TEXT = st.text(alphabet=st.characters(exclude_categories=("Cs",)))
#: From the epoch to the year 10889: what 48 bits hold.
MILLISECONDS = st.integers(min_value=0, max_value=2**48 - 1)
LABELS = st.text(alphabet=string.ascii_letters + string.digits + "_-", min_size=1, max_size=128)

#: The lifecycle as design section 2 has it, with the takeover of a lease that ran out.
LEGAL = {
    "queued": "starting failed canceled expired",
    "starting": "starting processing queued succeeded failed canceled expired",
    "processing": "starting queued succeeded failed canceled expired",
    "succeeded": "",
    "failed": "",
    "canceled": "",
    "expired": "",
}


@pytest.mark.parametrize("source", Status)
@pytest.mark.parametrize("target", Status)
def test_only_the_edges_of_the_lifecycle_are_legal(source, target):
    """One table says all; a terminal state is never left."""
    legal = target in LEGAL[source].split()
    assert (target in EDGES[source]) is legal
    assert (source in sources(target)) is legal
    if legal:
        check_edge(source, target)
    else:
        with pytest.raises(IllegalTransition, match=f"a {source} job cannot become {target}"):
            check_edge(source, target)


def test_every_state_is_active_or_terminal():
    """And a leased one is active."""
    every = set(Status)
    assert every == ACTIVE | TERMINAL
    assert not ACTIVE & TERMINAL
    assert LEASED.issubset(ACTIVE)
    assert {status.value for status in TERMINAL} == {"succeeded", "failed", "canceled", "expired"}


def test_error_codes_are_no_states():
    """Why a job failed is another question than where it is."""
    assert not {code.value for code in ErrorCode} & {status.value for status in Status}
    assert {code.value for code in ErrorCode} == {
        "content_filtered",
        "out_of_memory",
        "dead_lettered",
        "invalid_input",
        "deadline_exceeded",
        "unsupported",
        "internal",
    }


def test_new_uids_are_uuid7_differ_and_sort_by_time():
    """A listing by uid is a listing by acceptance."""
    uids = [new_uid() for _ in range(200)]
    assert all(is_uid(uid) for uid in uids)
    assert len(set(uids)) == 200
    assert uids == sorted(uids)


@given(message_id=TEXT, sent_ms=MILLISECONDS)
def test_a_derived_uid_is_a_uuid7_of_the_time_of_sending(message_id, sent_ms):
    """Version, variant and time are where RFC 9562 has them."""
    uid = derived_uid(message_id, sent_ms)
    assert is_uid(uid)
    assert UUID(uid).variant == "specified in RFC 4122"
    assert UUID(uid).int >> 80 == sent_ms


@given(one=TEXT, two=TEXT, sent_ms=MILLISECONDS)
def test_a_derived_uid_is_the_same_for_every_delivery_and_no_other_message(one, two, sent_ms):
    """A duplicate meets its own record."""
    assert derived_uid(one, sent_ms) == derived_uid(one, sent_ms)
    assert (derived_uid(one, sent_ms) == derived_uid(two, sent_ms)) is (one == two)


@given(st.one_of(TEXT, st.uuids(version=4).map(str), st.uuids(version=1).map(str)))
def test_what_is_no_uuid7_is_no_uid(text):
    """Nor is one in another spelling."""
    assert not is_uid(text)


def test_a_uid_has_one_spelling():
    """The table's key is text."""
    uid = new_uid()
    assert not is_uid(uid.replace("-", ""))
    assert not is_uid(f"{{{uid}}}")
    assert not is_uid(f"urn:uuid:{uid}")


@given(st.uuids(version=4).map(str))
def test_a_derived_seed_has_32_bits_and_is_always_the_same(uid):
    """As A1111 shows them; every attempt and every reader has the same one."""
    assert 0 <= derived_seed(uid) < 2**32
    assert derived_seed(uid) == derived_seed(uid)


@given(job_id=LABELS, attempt=st.integers(1, 5), number=st.integers(1, 64))
def test_every_output_lies_under_the_guidances_pattern(job_id, attempt, number):
    """`<prefix>/<id>/<id>-<4 hex>-<n>.<ext>`, the document beside it."""
    suffix = attempt_suffix(new_uid(), attempt)
    key = output_key("acme", job_id, suffix, number, "png")
    name = re.escape(job_id)
    assert re.fullmatch(rf"acme/{name}/{name}-[0-9a-f]{{4}}-{number}\.png", key)
    document = document_key("acme", job_id, suffix)
    assert re.fullmatch(rf"acme/{name}/{name}-[0-9a-f]{{4}}\.out", document)


@pytest.mark.parametrize(
    ("prefix", "key"),
    [("", "a/a-ab12-1.png"), ("/", "a/a-ab12-1.png"), ("/x/y/", "x/y/a/a-ab12-1.png")],
)
def test_a_prefix_never_doubles_a_slash(prefix, key):
    """The guidance's clients send it in each of these ways."""
    assert output_key(prefix, "a", "ab12", 1, "png") == key


def test_the_suffix_is_of_job_and_attempt():
    """The objects of a first attempt are never those of the second."""
    uid = new_uid()
    assert attempt_suffix(uid, 1) == attempt_suffix(uid, 1)
    suffixes = {attempt_suffix(uid, attempt) for attempt in range(1, 6)}
    assert len(suffixes) > 1
    assert request_key(uid) == f"requests/{uid}.json"


@pytest.mark.parametrize("task", Task)
def test_the_schema_of_a_task_takes_its_sample(catalogue, task):
    """What API, UI and docs show is what the API takes."""
    schema = parameters(catalogue.model("demo", "tiny"))[task]
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(sample_request(task)["input"], schema)


@pytest.mark.parametrize(
    "changed",
    [
        {"steps": 5},
        {"width": 65},
        {"width": 264},
        {"width": 32},
        {"num_inference_steps": 51},
        {"guidance_scale": 31},
        {"num_images_per_prompt": 9},
        {"prompt": "x" * 2001},
        {"scheduler": "DDIMScheduler"},
        {"seed": -1},
        {"output_format": "gif"},
    ],
)
def test_the_schema_refuses_what_the_model_refuses(catalogue, changed):
    """A form built from it cannot ask for the impossible."""
    schema = parameters(catalogue.model("demo", "tiny"))["text-to-image"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(sample_request(**changed)["input"], schema)


def test_the_schema_shows_the_models_defaults(catalogue):
    """Of a picture's size only where the picture does not set it."""
    schemas = parameters(catalogue.model("demo", "tiny"))
    from_text = schemas["text-to-image"]["properties"]
    from_image = schemas["image-to-image"]["properties"]
    assert from_text["width"]["default"] == from_text["height"]["default"] == 64
    assert from_text["num_inference_steps"]["default"] == 20
    assert from_image["width"].get("default") is None
    assert from_image["guidance_scale"]["default"] == 5.0


def test_only_the_tasks_of_a_model_have_a_schema(catalogue):
    """One that does less shows less; another model's limits are its own."""
    assert set(parameters(catalogue.model("demo", "tiny"))) == {task.value for task in Task}
    assert set(parameters(catalogue.model("demo", "large"))) == {"text-to-image"}


def test_a_notice_is_read_back_with_its_event_id():
    """JSON text, the seven keys at the top."""
    notice = Notice(
        runtime="demo",
        id="a",
        result=True,
        status="completed",
        image_url=["s3://b/k"],
        output_url=None,
        context={},
        job={"event_id": "u:succeeded", "status": "succeeded", "tenant": "acme"},
    )
    assert Notice.model_validate_json(notice.encode()) == notice
    assert notice.event_id == "u:succeeded"
    assert set(json.loads(notice.encode())) == {*Notice.model_fields}


def test_an_expired_job_says_why():
    """And a canceled one has no error: it was wanted."""
    assert Outcome.expired().error.code is ErrorCode.DEADLINE_EXCEEDED
    assert Outcome.canceled().error is None


@pytest.mark.parametrize(
    "line",
    [
        {"event": "accepted", "replica": "r1"},
        {"event": "progress", "stage": "denoise", "step": 3, "total": 20},
        {"event": "result", "images": 1, "timings": {"denoise": 1.5}},
        {"event": "error", "code": "out_of_memory", "message": "m", "retryable": True},
        {"event": "canceled"},
    ],
)
def test_a_line_of_the_stream_is_read_by_its_event(line):
    """Also one of a newer Serve, with more in it."""
    event = EVENT.validate_python({**line, "newer": 1})
    assert event.model_dump(mode="json").items() >= line.items()
    assert isinstance(event, LAST_EVENTS) is (line["event"] in {"result", "error", "canceled"})


@pytest.mark.parametrize("line", ["{}", '{"event": "finished"}', "[]", '{"event": "image"}'])
def test_a_line_that_is_no_event_is_refused(line):
    """A bridge must not take it for an end."""
    with pytest.raises(ValidationError):
        EVENT.validate_json(line)


@pytest.mark.parametrize(("in_flight", "free"), [(0, 8), (5, 3), (8, 0), (11, 0)])
def test_capacity_is_what_the_replicas_can_still_admit(in_flight, free):
    """Never less than nothing, also while jobs wait."""
    capacity = Capacity(replicas_ready=2, replicas_wanted=2, admit_window=4, in_flight=in_flight)
    assert capacity.free == free


@pytest.mark.parametrize("environ", [{}, {"X": ""}, {"X": "  "}])
def test_a_missing_setting_is_named(environ):
    """An empty one is a missing one."""
    with pytest.raises(BadSetting, match="X is not set"):
        required(environ, "X")


@pytest.mark.parametrize(("value", "read"), [("5", 5.0), (" 2.5 ", 2.5), ("", 7.0)])
def test_a_number_is_read_or_its_default_taken(value, read):
    """Spaces around it do no harm."""
    assert number({"X": value}, "X", 7) == read


@pytest.mark.parametrize("value", ["five", "0.5", "-3", "nan", "inf"])
def test_a_number_that_cannot_be_used_is_refused_with_its_name(value):
    """Neither no number, nor too small, nor none that can be counted with."""
    with pytest.raises(BadSetting, match="X must be"):
        number({"X": value}, "X", 7, least=1)


def test_a_catalogue_that_cannot_be_read_is_named(tmp_path):
    """The variable and the path."""
    with pytest.raises(BadSetting, match=f"DARKROOM_RUNTIMES: cannot read {tmp_path}/no.yaml"):
        read_catalogue({"DARKROOM_RUNTIMES": str(tmp_path / "no.yaml")})
