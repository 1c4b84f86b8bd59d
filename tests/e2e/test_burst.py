"""Many jobs at once: each gets the picture of its own prompt."""

import io
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

import numpy as np
import pytest
from PIL import Image

from client.client import Client
from darkroom.stack import Stack
from jobs.status import Status
from training.captions import full_caption
from training.scene import Scene
from training.split import held_out_scenes
from training.trial import judge_scene

JOBS = 64
#: Seconds: generous, the tests share two cores with everything else.
PATIENCE_S = 600
DEMO_MODEL = Path(__file__).resolve().parents[2] / "models/demo"
SETTINGS = {"num_inference_steps": 20, "guidance_scale": 5.0}


@pytest.mark.timeout(900)  # beyond its own patience
def test_64_jobs_at_once_each_show_what_their_own_prompt_says(client: Client):
    """Equal to the plain pipeline call within 1/255, and right wherever that one is right."""
    scenes = [*_held_out(1, JOBS // 2), *_held_out(2, JOBS // 2)]
    prompts = [full_caption(scene) for scene in scenes]
    assert len(set(prompts)) == JOBS
    requests = [
        {
            "runtime": "first",
            "model": "demo",
            "input": {"prompt": prompt, "seed": 100 + number, **SETTINGS},
        }
        for number, prompt in enumerate(prompts)
    ]
    with ThreadPoolExecutor(16) as pool:
        uids = [view.uid for view in pool.map(client.submit, requests)]
    plain = _plain_pictures(prompts)  # meanwhile: there are two cores
    views = [client.wait(uid, timeout_s=PATIENCE_S) for uid in uids]

    assert {view.status for view in views} == {Status.SUCCEEDED}
    for view, scene, expected in zip(views, scenes, plain, strict=True):
        data = client.download(view.outputs[0].url or "")
        found = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
        assert np.abs(found.astype(int) - expected).max() <= 1
        if judge_scene(expected, scene).is_right:
            assert judge_scene(found, scene).is_right
    assert len({view.outputs[0].sha256 for view in views}) == JOBS
    # Otherwise the comparison above would say nothing.
    assert sum(judge_scene(p, s).is_right for p, s in zip(plain, scenes, strict=True)) > JOBS / 2


def _held_out(item_count: int, count: int) -> list[Scene]:
    """As many as have different prompts."""
    scenes: dict[str, Scene] = {}
    endless = held_out_scenes(Random("burst"), item_count=item_count)
    while len(scenes) < count:
        scene = next(endless)
        scenes.setdefault(full_caption(scene), scene)
    return list(scenes.values())


def _plain_pictures(prompts: list[str]) -> list[np.ndarray]:
    import torch
    from diffusers import StableDiffusionPipeline

    torch.set_num_threads(1)
    pipe = StableDiffusionPipeline.from_pretrained(DEMO_MODEL, local_files_only=True)
    pipe.set_progress_bar_config(disable=True)
    pictures = []
    for number, prompt in enumerate(prompts):
        seed = torch.Generator("cpu").manual_seed(100 + number)
        image = pipe(prompt, generator=[seed], width=64, height=64, **SETTINGS).images[0]
        pictures.append(np.asarray(image))
    return pictures


def test_the_burst_accounts_for_every_notice(stack: Stack):
    """What `make burst` runs, smaller."""
    burst = subprocess.run(
        [sys.executable, "-m", "loadtest", "--jobs", "20"],
        env={
            **stack.environ(),
            "DARKROOM_API_URL": stack.api_url,
            "DARKROOM_API_KEY": stack.api_key,
            "DARKROOM_NOTICE_QUEUE_URL": stack.cloud.notice_queues["loadtest"],
            "PATH": os.environ["PATH"],
        },
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert burst.returncode == 0, burst.stderr
    figures = json.loads(burst.stdout.splitlines()[-1])
    assert figures["accepted"] == figures["completed"] == 20
    assert figures["lost"] == 0
