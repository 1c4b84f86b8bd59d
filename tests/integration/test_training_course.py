"""The whole training in order, a step or two of each stage; what a folder's run may go on with."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionPipeline
from torch import Tensor

from training import __main__ as command
from training import attempts, autoencoder, course, denoiser, text_encoder
from training.autoencoder import WIDE, build_autoencoder
from training.course import Course
from training.denoiser import build_unet
from training.errors import FolderTakenError, NoModelError
from training.export import export
from training.stage import Stage
from training.text_encoder import build_text_encoder
from training.trial import generate, load

MODEL = Path(__file__).resolve().parents[2] / "models/demo"


class Killed(BaseException):
    """The process has ended here."""


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two steps a stage instead of thousands, and as few pictures."""
    for module in (autoencoder, text_encoder, denoiser):
        monkeypatch.setattr(module, "PLAN", replace(module.PLAN, steps=2))
    plan = replace(autoencoder.POLISH_PLAN, steps=2)
    monkeypatch.setattr(autoencoder, "POLISH_PLAN", plan)
    monkeypatch.setattr(denoiser, "BATCH", 8)
    monkeypatch.setattr(course, "COUNT", 200)
    monkeypatch.setattr(course, "STANDARD_SCENES", 50)
    monkeypatch.setattr(attempts, "COUNT", 4)
    monkeypatch.setattr(attempts, "CHUNK", 2)


def a_course(folder: Path, *, start_from: Path | None = None, **changes: object) -> Course:
    """On the CPU, without a deadline."""
    settings = {"seed": 1, "decoder_only": False, "deadline": float("inf")} | changes
    return Course(
        folder=folder / "work",
        output=folder / "out",
        device="cpu",
        start_from=start_from,
        **settings,  # type: ignore[arg-type]
    )


def weights(folder: Path) -> dict[str, bytes]:
    """What is in a model's files, by part."""
    return {path.parent.name: path.read_bytes() for path in folder.rglob("*.safetensors")}


def test_it_trains_from_nothing_to_a_model_that_loads_however_often_it_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same model; what is half trained never lies where the finished one belongs."""
    # Two steps teach nothing, so no picture would come near to any drawing.
    monkeypatch.setattr(attempts, "fitted", lambda scene, picture: scene)
    at_export: list[bool] = []
    written = course.export

    def watched(*parts: object, folder: Path) -> None:
        at_export.append((tmp_path / "unbroken/out").exists())
        written(*parts, folder=folder)

    monkeypatch.setattr(course, "export", watched)
    assert a_course(tmp_path / "unbroken").run()
    assert at_export == [False, False]  # the one on the way, and the last
    ended = killed_once_a_stage(monkeypatch)
    brought_to_an_end(a_course(tmp_path / "broken"))

    assert ended == {"autoencoder", "text_encoder", "denoiser", "decoder"}
    assert weights(tmp_path / "broken/out") == weights(tmp_path / "unbroken/out")
    pipe = load(StableDiffusionPipeline, tmp_path / "unbroken/out")
    assert tuple(pipe.vae.config.block_out_channels) == WIDE
    assert generate(pipe, ["a star"], num_inference_steps=2)[0].shape == (64, 64, 3)


def killed_once_a_stage(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Each stage is saved after its first step and then ended, once."""
    ended: set[str] = set()
    step = Stage._advance

    def first_only(self: Stage, loss: Callable[[int], Tensor]) -> float:
        value = step(self, loss)
        if self.plan.name not in ended:
            ended.add(self.plan.name)
            self.save()
            raise Killed
        return value

    monkeypatch.setattr(Stage, "_advance", first_only)
    return ended


def brought_to_an_end(begun: Course) -> None:
    """Run again and again, each time as another process with another past."""
    while True:
        torch.randn(3)
        try:
            assert begun.run()
        except Killed:
            continue
        return


def test_a_finished_model_learns_on_and_a_killed_run_ends_as_an_unbroken_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Denoiser and decoder change; the words stay. Each stage of the other run was killed once."""
    assert a_course(tmp_path / "unbroken", start_from=MODEL).run()
    ended = killed_once_a_stage(monkeypatch)
    brought_to_an_end(a_course(tmp_path / "broken", start_from=MODEL))

    assert ended == {"denoiser", "decoder"}
    before, after = weights(MODEL), weights(tmp_path / "unbroken/out")
    assert weights(tmp_path / "broken/out") == after
    assert before["text_encoder"] == after["text_encoder"]
    assert before["unet"] != after["unet"]
    assert before["vae"] != after["vae"]


def test_the_decoder_learns_alone(tmp_path: Path) -> None:
    """A denoiser that is said to stay stays bit for bit."""
    assert a_course(tmp_path, start_from=MODEL, decoder_only=True).run()

    before, after = weights(MODEL), weights(tmp_path / "out")
    assert before["unet"] == after["unet"]
    assert before["vae"] != after["vae"]


def test_first_weights_follow_from_the_seed_alone(tmp_path: Path) -> None:
    """Whatever was drawn before in the same process."""
    torch.manual_seed(1)
    first = a_course(tmp_path)._unet().state_dict()
    torch.manual_seed(2)
    second = a_course(tmp_path)._unet().state_dict()
    other = a_course(tmp_path, seed=2)._unet().state_dict()

    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_a_folder_of_another_run_is_refused(tmp_path: Path) -> None:
    """Another seed, another start or another aim would go on with foreign checkpoints."""
    small = tmp_path / "model"
    export(build_autoencoder(), build_text_encoder(), build_unet(), folder=small)
    stopped = {"deadline": 0.0}
    assert not a_course(tmp_path, start_from=MODEL, **stopped).run()
    assert not a_course(tmp_path, start_from=MODEL, **stopped).run()

    for other in (
        a_course(tmp_path, start_from=MODEL, seed=2),
        a_course(tmp_path, start_from=MODEL, decoder_only=True),
        a_course(tmp_path, start_from=small),
        a_course(tmp_path),
    ):
        with pytest.raises(FolderTakenError, match="--folder"):
            other.run()
    (tmp_path / "work/run.json").unlink()
    (tmp_path / "work/decoder.pt").touch()
    with pytest.raises(FolderTakenError, match="nobody knows which"):
        a_course(tmp_path, start_from=MODEL).run()
    with pytest.raises(NoModelError, match="no weights"):
        a_course(tmp_path / "new", start_from=tmp_path / "nowhere").run()
    assert not (tmp_path / "new").exists()


def test_a_model_is_known_by_its_weights_wherever_it_lies(tmp_path: Path) -> None:
    """A checkout may have moved since."""
    stopped = {"deadline": 0.0}
    assert not a_course(tmp_path, start_from=MODEL, **stopped).run()
    shutil.copytree(MODEL, tmp_path / "elsewhere")
    assert not a_course(tmp_path, start_from=tmp_path / "elsewhere", **stopped).run()


def test_a_run_may_not_overwrite_what_it_began_with(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run that goes on needs its start as it was."""
    monkeypatch.setattr("sys.argv", ["training", "--from", str(MODEL), "--output", str(MODEL)])
    with pytest.raises(SystemExit):
        command.main()

    assert "another folder than --from" in capsys.readouterr().err


def test_a_course_goes_on_in_full_precision(tmp_path: Path) -> None:
    """Where no checkpoint is left the committed weights are the start."""
    torch.manual_seed(3)
    parts = build_autoencoder(), build_text_encoder(), build_unet()
    export(*parts, folder=tmp_path / "model")
    begun = a_course(tmp_path, start_from=tmp_path / "model")
    again = begun._autoencoder(), begun._text_encoder(), begun._unet()

    # What is exported next must not say from which folder of this machine it came.
    assert str(tmp_path) not in repr(again[0].config)
    for part, found in zip(parts, again, strict=True):
        state = found.state_dict()
        for name, weight in part.state_dict().items():
            assert state[name].dtype == torch.float32
            assert torch.equal(state[name].half(), weight.half())
