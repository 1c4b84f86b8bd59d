"""An application is refused before it starts when it could not keep what runtimes.yaml says."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from jobs.catalogue import Catalogue, Replicas
from serve_app import promise, scaling
from serve_app.app import of_environment
from serve_app.errors import CannotServe
from serve_app.settings import ServeSettings

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def environ(tmp_path):
    """An installation that can be served, as far as files show."""
    model = tmp_path / "tiny"
    model.mkdir()
    write_index(model, "StableDiffusionPipeline")
    write_runtimes(tmp_path)
    return {
        "DARKROOM_RUNTIMES": str(tmp_path / "runtimes.yaml"),
        "DARKROOM_MODELS_ROOT": str(tmp_path),
    }


def write_index(model, class_name):
    """model_index.json of a pipeline class."""
    (model / "model_index.json").write_text(json.dumps({"_class_name": class_name}))


def write_runtimes(folder, **changed):
    """runtimes.yaml with one model; `changed` replaces fields of it."""
    model = {
        "path": "tiny",
        "defaults": {"width": 64, "height": 64, "num_inference_steps": 4, "guidance_scale": 5.0},
        "limits": {"max_side": 64, "max_pixels": 4096},
        "schedulers": ["EulerDiscreteScheduler"],
        **changed,
    }
    text = yaml.safe_dump({"runtimes": {"demo": {"models": {"tiny": model}}}})
    (folder / "runtimes.yaml").write_text(text)


def test_a_promise_that_can_be_kept_builds(environ):
    """The application's ingress is bound to the generator."""
    assert of_environment("demo", environ) is not None


def test_a_missing_directory_is_named(environ, tmp_path):
    """Which model of which runtime, and where it was looked for."""
    write_runtimes(tmp_path, path="gone")
    with pytest.raises(CannotServe, match=rf"demo/tiny: there is no directory {tmp_path}/gone"):
        of_environment("demo", environ)


def test_a_directory_without_a_model_is_named(environ, tmp_path):
    """A directory alone is not a model."""
    (tmp_path / "tiny" / "model_index.json").unlink()
    with pytest.raises(CannotServe, match=r"has no model_index.json"):
        of_environment("demo", environ)


@pytest.mark.parametrize("text", ["", "[]", "{}", "nonsense"])
def test_a_broken_index_is_named(environ, tmp_path, text):
    """What Diffusers could not read either."""
    (tmp_path / "tiny" / "model_index.json").write_text(text)
    with pytest.raises(CannotServe, match=r"names no _class_name"):
        of_environment("demo", environ)


def test_a_pipeline_class_that_we_do_not_serve_is_named(environ, tmp_path):
    """Its tasks are not known to us."""
    write_index(tmp_path / "tiny", "AudioLDMPipeline")
    with pytest.raises(CannotServe, match=r"is a AudioLDMPipeline, served are Flux"):
        of_environment("demo", environ)


def test_a_task_that_the_class_does_not_do_is_named(environ, monkeypatch):
    """A promise of a task is checked against the pipeline's class."""
    monkeypatch.setitem(
        promise.FAMILIES, "StableDiffusionPipeline", {"text-to-image": "StableDiffusionPipeline"}
    )
    with pytest.raises(CannotServe, match=r"does not do inpaint"):
        of_environment("demo", environ)


def test_a_scheduler_that_diffusers_does_not_have_is_named(environ, tmp_path):
    """Together with whatever else is missing."""
    write_runtimes(tmp_path, path="gone", schedulers=["MagicScheduler"])
    with pytest.raises(CannotServe, match=r"no directory.*no scheduler MagicScheduler"):
        of_environment("demo", environ)


def test_an_unknown_runtime_is_named(environ):
    """The names that exist are listed."""
    with pytest.raises(CannotServe, match=r"'other'.*must be one of demo"):
        of_environment("other", environ)


def test_a_missing_catalogue_is_named(environ):
    """Its path, and what the system says."""
    environ["DARKROOM_RUNTIMES"] = "/nowhere/runtimes.yaml"
    with pytest.raises(CannotServe, match=r"/nowhere/runtimes.yaml: No such file"):
        of_environment("demo", environ)


def test_the_committed_catalogue_names_schedulers_that_exist():
    """Of the diffusers that is pinned."""
    catalogue = yaml.safe_load((ROOT / "runtimes.yaml").read_text())
    promised = {
        scheduler
        for runtime in catalogue["runtimes"].values()
        for model in runtime["models"].values()
        for scheduler in model.get("schedulers", ())
    }
    assert promised <= promise.known_schedulers()


def test_building_imports_neither_torch_nor_diffusers():
    """The ingress runs on a small head that has neither."""
    code = (
        "import sys, serve_app.app; "
        "print([m for m in ('torch', 'diffusers', 'transformers') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def runtime(replicas):
    """The runtime of the repository, scaled otherwise."""
    catalogue = Catalogue.from_yaml((ROOT / "runtimes.yaml").read_text())
    return catalogue.runtime("demo").model_copy(update={"replicas": replicas})


@pytest.mark.parametrize("replicas", [Replicas(), Replicas(max=8, admit_window=16)])
def test_the_ingress_holds_more_than_all_replicas_together(replicas):
    """Or it would cap the whole app, as Serve's default of 5 does."""
    ingress = scaling.ingress_options(replicas)
    generator = scaling.generator_options(runtime(replicas), ServeSettings())
    admitted = replicas.max * generator["max_ongoing_requests"]
    assert ingress["max_ongoing_requests"] > admitted + generator["max_queued_requests"]


def test_the_ingress_takes_no_cpu_and_sits_on_the_head():
    """One CPU of it would keep a GPU node up for ever."""
    options = scaling.ingress_options(Replicas())["ray_actor_options"]
    assert options == {"num_cpus": 0, "resources": {"node:__internal_head__": 0.001}}


def test_the_generator_starts_at_zero_and_goes_back_there():
    """Idle costs nothing; the look-back is longer than the interval it averages."""
    options = scaling.generator_options(runtime(Replicas(max=3)), ServeSettings(idle_s=7))
    scaled = options["autoscaling_config"]
    assert (scaled["min_replicas"], scaled["initial_replicas"], scaled["max_replicas"]) == (0, 0, 3)
    assert scaled["upscaling_factor"] == 3
    assert scaled["downscale_to_zero_delay_s"] == 7
    assert scaled["look_back_period_s"] > scaled["metrics_interval_s"]
