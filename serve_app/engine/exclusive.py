"""Calls that cannot share a forward: the plain pipeline call, alone on the device, as one step.

Whatever the engine has no parity test for (another pipeline class, IP-adapters, LoRA scales)
comes here rather than being refused: slower for the others, but right.
"""

import copy
import inspect
from typing import Any

from serve_app.engine.call import Call
from serve_app.engine.cast import DENOISERS, silent
from serve_app.engine.standin import SameDtype


def make(call: Call) -> Any:
    """The pipeline's output. Stoppable between steps if the pipeline has a callback for them."""
    pipeline = copy.copy(call.order.pipeline)
    parts = vars(pipeline)
    parts["progress_bar"] = silent
    if parts.get("scheduler") is not None:
        parts["scheduler"] = type(pipeline.scheduler).from_config(pipeline.scheduler.config)
    if parts.get("vae") is not None:
        parts["vae"] = SameDtype(parts["vae"])
    has_callback = "callback_on_step_end" in inspect.signature(pipeline.__call__).parameters
    arguments = call.arguments() if has_callback else dict(call.order.arguments)
    denoisers = [parts[name] for name in DENOISERS if parts.get(name) is not None]
    before = [dict(getattr(part, "attn_processors", {})) for part in denoisers]
    call.begin("denoise")
    try:
        return pipeline(**arguments)
    finally:
        # PAG swaps attention processors, and leaves its own behind if it is stopped half-way.
        for part, processors in zip(denoisers, before, strict=True):
            if processors:
                part.set_attn_processor(processors)
