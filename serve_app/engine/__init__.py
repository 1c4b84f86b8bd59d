"""Step-level continuous batching over Diffusers: jobs share each forward pass and stay exact.

Every job runs the plain pipeline call as a fiber (`fiber.py`). Where the pipeline calls its
denoiser, the fiber is parked; `tick` runs one forward for the parked calls of several jobs
(`forward.py`) and gives each its rows back. Which ones, `policy.py` decides at every step.

No Ray in here: `Engine` (`engine.py`) is driven by a plain script as well as by a replica.
"""
