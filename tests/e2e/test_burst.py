"""Many jobs at once: each gets its own picture."""

import io
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from client.client import Client
from darkroom.stack import Stack
from jobs.samples import sample_request
from jobs.status import Status

JOBS = 64
PATIENCE_S = 240
COLOURS = ("red", "green", "blue", "yellow")
SHAPES = ("circle", "square", "triangle", "star")


def test_64_jobs_at_once_each_get_the_picture_of_their_own_prompt_and_seed(
    client: Client, tiny_model: Path
):
    """Equal to the plain pipeline call within 1/255, and all different from one another."""
    prompts = [
        f"a {COLOURS[number % 4]} {SHAPES[number // 4 % 4]} on a {COLOURS[number // 16]} ground"
        for number in range(JOBS)
    ]
    requests = [sample_request(prompt=p, seed=100 + n) for n, p in enumerate(prompts)]
    with ThreadPoolExecutor(16) as pool:
        uids = [view.uid for view in pool.map(client.submit, requests)]
    views = [client.wait(uid, timeout_s=PATIENCE_S) for uid in uids]

    assert {view.status for view in views} == {Status.SUCCEEDED}
    plain = _plain_pictures(tiny_model, prompts)
    for view, expected in zip(views, plain, strict=True):
        data = client.download(view.outputs[0].url or "")
        found = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), dtype=int)
        assert np.abs(found - expected).max() <= 1
    assert len({view.outputs[0].sha256 for view in views}) == JOBS


def _plain_pictures(model: Path, prompts: list[str]) -> list[np.ndarray]:
    import torch
    from diffusers import StableDiffusionPipeline

    torch.set_num_threads(1)
    pipe = StableDiffusionPipeline.from_pretrained(model, local_files_only=True)
    pipe.set_progress_bar_config(disable=True)
    return [
        np.asarray(
            pipe(
                prompt,
                width=64,
                height=64,
                num_inference_steps=4,
                guidance_scale=5.0,
                generator=[torch.Generator("cpu").manual_seed(100 + number)],
            ).images[0],
            dtype=int,
        )
        for number, prompt in enumerate(prompts)
    ]


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
