"""A job's pictures: where they may come from, and what is left of them."""

import asyncio
import base64
import io
import struct
import zlib

import pytest
from bridge_bench import message
from PIL import Image

from bridge.egress import MAX_BYTES, Egress
from bridge.errors import JobRefused
from bridge.picture import cleaned
from bridge.scripted_web import ScriptedWeb, answer
from bridge.sources import Sources
from bridge.verdict import Done, Reject, Release
from jobs.inputs import Task
from jobs.samples import sample_png, sample_request
from jobs.status import ErrorCode, Status
from records.errors import Unavailable
from records.memory import MemoryReader, MemoryStore

PUBLIC = "93.184.215.14"


def picture(kind="PNG", size=(64, 64), mode="RGB", **options) -> bytes:
    file = io.BytesIO()
    Image.new(mode, size, "orange" if mode != "L" else 128).save(file, format=kind, **options)
    return file.getvalue()


def opened(source: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(source)))


def header_only(width: int, height: int) -> bytes:
    """A PNG that says how large it is and has no pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"")


@pytest.fixture
def job_with(make_job):
    """A function that makes an image-to-image job of this source."""

    def made(source: str, **changed):
        body = sample_request(Task.IMAGE_TO_IMAGE, image=source)
        return make_job(**body).model_copy(update=changed)

    return made


@pytest.fixture
def inlined(job_with):
    """A function that gives the image of a job once its sources were inlined."""

    def run(source: str, *, web=None, stores=(), buckets=(), **changed) -> str:
        web = web or ScriptedWeb({})
        sources = Sources(
            Egress(resolver=web.resolver, connector=web.connector),
            MemoryReader(*stores),
            bucket="outputs",
            buckets=buckets,
        )
        return asyncio.run(sources.inlined(job_with(source, **changed))).input.image

    return run


@pytest.fixture
def refusal(inlined):
    """A function that gives the refusal of a source."""

    def run(source: str, **more) -> JobRefused:
        with pytest.raises(JobRefused) as raised:
            inlined(source, **more)
        assert raised.value.code is ErrorCode.INVALID_INPUT
        assert str(raised.value).startswith("/input/image: ")
        return raised.value

    return run


@pytest.fixture
def no_pause(monkeypatch):
    """Tries that follow at once."""
    monkeypatch.setattr("bridge.sources._PAUSE_S", 0)


class TestPlaces:
    @pytest.mark.parametrize("before", ["", "data:image/png;base64,", "DATA:;base64,"])
    def test_base64_is_taken_bare_and_as_a_data_uri(self, inlined, before):
        """What browsers and scripts send."""
        assert opened(inlined(before + sample_png(64, (1, 2, 3)))).getpixel((0, 0)) == (1, 2, 3)

    def test_a_url_is_fetched(self, inlined):
        """And Serve gets the picture itself."""
        web = ScriptedWeb({"example.org": [PUBLIC]}, {PUBLIC: [answer(200, picture())]})
        assert opened(inlined("https://example.org/a.png", web=web)).size == (64, 64)

    def test_a_url_is_fetched_anew_for_each_job(self, inlined):
        """What lies there may have changed; nothing is kept."""
        answers = [answer(200, picture(size=(64, 64))), answer(200, picture(size=(32, 32)))]
        web = ScriptedWeb({"example.org": [PUBLIC]}, {PUBLIC: answers})
        sizes = [opened(inlined("https://example.org/a.png", web=web)).size for _ in range(2)]
        assert sizes == [(64, 64), (32, 32)]

    def test_a_url_inside_is_refused_without_saying_what_is_there(self, refusal):
        """The guidance fetches it."""
        web = ScriptedWeb({"inner.org": ["169.254.169.254"]})
        error = refusal("https://inner.org/latest/meta-data", web=web)
        assert "169" not in str(error)
        assert web.connected == []

    def test_a_server_that_stumbles_is_asked_again(self, inlined, no_pause):
        """Two failures are forgiven."""
        answers = [answer(503), answer(500), answer(200, picture())]
        web = ScriptedWeb({"example.org": [PUBLIC]}, {PUBLIC: answers})
        assert opened(inlined("https://example.org/a.png", web=web)).size == (64, 64)

    def test_a_server_that_stays_down_fails_the_job_and_the_cause_is_told(self, refusal, no_pause):
        """Nobody waits for a stranger's server for hours."""
        web = ScriptedWeb({"example.org": [PUBLIC]}, {PUBLIC: [answer(503)]})
        assert "503" in str(refusal("https://example.org/a.png", web=web))
        assert len(web.connected) == 3

    def test_an_object_in_an_allowed_bucket_is_read(self, inlined):
        """The guidance promises it, and fails each time."""
        store = MemoryStore("theirs")
        store.put("in/a.png", picture(), media_type="image/png")
        assert inlined("s3://theirs/in/a.png", stores=[store], buckets=["theirs"])

    def test_a_tenant_may_use_its_own_outputs(self, inlined, refusal):
        """And nobody else's, nor anything else in our bucket."""
        store = MemoryStore("outputs")
        for key in ("acme/a/a.png", "other/a/a.png", "requests/a.png", "acmes/a.png"):
            store.put(key, picture(), media_type="image/png")
        assert inlined("s3://outputs/acme/a/a.png", stores=[store], tenant="acme")
        for key in ("other/a/a.png", "requests/a.png", "acmes/a.png", "", "/acme/a/a.png"):
            refusal(f"s3://outputs/{key}", stores=[store], tenant="acme")

    @pytest.mark.parametrize("place", ["s3://theirs/a", "s3:///a", "s3://theirs", "s3:theirs/a"])
    def test_an_object_elsewhere_is_refused(self, refusal, place):
        """Our role may read more than a client may."""
        store = MemoryStore("theirs")
        store.put("a", picture(), media_type="image/png")
        assert "bucket" in str(refusal(place, stores=[store], buckets=["others"]))

    def test_an_object_that_is_not_there_or_too_large_is_refused(self, refusal):
        """The job is at fault, not the moment."""
        store = MemoryStore("theirs")
        store.put("large", b"\0" * (MAX_BYTES + 1), media_type="image/png")
        assert "no such object" in str(refusal("s3://theirs/a", stores=[store], buckets=["theirs"]))
        assert "20 MB" in str(refusal("s3://theirs/large", stores=[store], buckets=["theirs"]))

    @pytest.mark.parametrize(
        "source", ["ftp://a/b", "file:///etc/passwd", "nonsense!", "data:,x", "javascript:1"]
    )
    def test_anything_else_is_refused(self, refusal, source):
        """By its form."""
        refusal(source)

    def test_a_job_from_words_alone_is_left_as_it_is(self, make_job):
        """Nothing to fetch."""
        sources = Sources(Egress(), MemoryReader(), bucket="outputs")
        job = make_job()
        assert asyncio.run(sources.inlined(job)) is job

    def test_image_and_mask_are_both_inlined(self, make_job):
        """Each in the mode that the model makes of it."""
        sources = Sources(Egress(), MemoryReader(), bucket="outputs")
        done = asyncio.run(sources.inlined(make_job(**sample_request(Task.INPAINT))))
        assert opened(done.input.image).mode == "RGB"
        assert opened(done.input.mask_image).mode == "L"


class TestPictures:
    @pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
    def test_three_formats_are_read_and_become_png(self, kind):
        """Serve opens one format only, written by us."""
        assert opened(cleaned(picture(kind), "RGB")).format == "PNG"

    @pytest.mark.parametrize("kind", ["GIF", "TIFF", "BMP", "ICO", "PPM", "PDF"])
    def test_no_other_decoder_is_tried(self, refusal, kind):
        """Pillow has forty of them."""
        refusal(base64.b64encode(picture(kind)).decode())

    @pytest.mark.parametrize(
        "data", [b"", b"<svg/>", picture()[:40], picture("JPEG")[:200], picture("WEBP")[:30]]
    )
    def test_what_is_broken_is_refused(self, refusal, data):
        """Not an error of ours."""
        refusal("data:;base64," + base64.b64encode(data).decode())

    @pytest.mark.parametrize("size", [(8000, 5001), (65535, 65535), (40_000_001, 1)])
    def test_more_than_forty_megapixels_are_refused_before_decoding(self, refusal, size):
        """A few kilobytes would become gigabytes; these have no pixels at all."""
        assert "40 megapixels" in str(refusal(base64.b64encode(header_only(*size)).decode()))

    def test_forty_megapixels_are_not_too_many(self, refusal):
        """Refused for having no pixels, not for their number."""
        assert "not a readable" in str(refusal(base64.b64encode(header_only(8000, 5000)).decode()))

    @pytest.mark.parametrize("kind", ["PNG", "WEBP"])
    def test_more_than_one_frame_is_refused(self, refusal, kind):
        """A thousand frames are a thousand pictures."""
        frames = [Image.new("RGB", (64, 64), colour) for colour in ("red", "blue")]
        file = io.BytesIO()
        frames[0].save(file, format=kind, save_all=True, append_images=frames[1:])
        assert "frame" in str(refusal(base64.b64encode(file.getvalue()).decode()))

    def test_metadata_is_gone_and_the_picture_upright(self):
        """Where it was taken is nobody's business; how it was held is applied."""
        exif = Image.Exif()
        exif[0x0112], exif[0x010E] = 6, "home"
        image = opened(cleaned(picture("JPEG", (64, 32), exif=exif, comment=b"home"), "RGB"))
        assert image.size == (32, 64)
        assert not image.getexif()
        assert image.info == {}


class TestInTheBridge:
    def test_serve_gets_the_fetched_picture(self, bench, job_with):
        """Only the bridge goes out; the replica sees base64."""
        at, job = bench(), job_with("https://example.org/a.png")
        at.web.hosts = {"example.org": [PUBLIC]}
        at.web.answers[PUBLIC] = [answer(200, picture())]
        at.accept(job)

        assert at.process(message(job)) == Done()
        assert opened(at.serve.posted[0]["input"]["image"]).size == (64, 64)
        assert at.record(job.uid).status is Status.SUCCEEDED

    def test_a_picture_that_cannot_be_had_fails_the_job_without_an_attempt(self, bench, job_with):
        """The GPU never hears of it, and the client learns why."""
        at, job = bench(), job_with("https://nobody.example.org/a.png")
        at.accept(job)

        assert isinstance(at.process(message(job)), Reject)
        record = at.record(job.uid)
        assert (record.status, record.attempt) == (Status.FAILED, 0)
        assert record.outcome.error.code is ErrorCode.INVALID_INPUT
        assert "host name is not known" in record.outcome.error.message
        assert at.serve.posted == []

    def test_an_outage_of_the_bucket_is_not_the_job_s_fault(self, bench, job_with, monkeypatch):
        """Later then."""
        at, job = bench(), job_with("s3://memory/default/a.png")
        at.accept(job)

        def down(*_, **__):
            raise Unavailable("injected")

        monkeypatch.setattr(MemoryReader, "read", down)
        assert isinstance(at.process(message(job)), Release)
        assert at.record(job.uid).status is Status.QUEUED

    def test_a_prompt_that_begins_with_http_is_a_prompt(self, bench, make_job):
        """Only pictures are fetched."""
        body = sample_request(prompt="https://example.org is what I dream of")
        at, job = bench(), make_job(**body)
        at.accept(job)

        assert at.process(message(job)) == Done()
        assert at.web.resolved == []
