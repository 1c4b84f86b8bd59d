"""What a pipeline in a fiber has in place of its heavy parts: the same to look at, but parking."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from serve_app.engine.aside import Aside
from serve_app.engine.fiber import park
from serve_app.engine.forward import Forward
from serve_app.engine.text_cache import TextCache


class _StandIn:
    """Passes for the real part: attributes, and `isinstance` in Diffusers' checks."""

    def __init__(self, real: Any) -> None:
        self._real = real
        if hasattr(real, "config"):
            # Loops ask for it several times a step, and a module looks long until it is found.
            self.config = real.config

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    # At every call pipelines search all modules for an offloading hook, for this one question and
    # for milliseconds of the tick's thread. What we load has none.
    @property
    def device(self) -> torch.device:
        """Where the part's weights are."""
        first = next(self._real.parameters(), None)
        return self._real.device if first is None else first.device

    def modules(self) -> Iterator[Any]:
        """The part, and none within it."""
        return iter((self._real,))

    @property
    def real(self) -> Any:
        """The part itself, for whoever is off the tick already."""
        return self._real

    @property  # type: ignore[misc]  # the only way to pass an `isinstance` that others wrote
    def __class__(self) -> type:
        return type(self._real)


class Denoiser(_StandIn):
    """Parks each call until a forward takes it along."""

    def __init__(self, real: Any) -> None:
        super().__init__(real)
        self._last: Forward | None = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self._last = Forward.of_call(self._real, args, kwargs, last=self._last)
        return park(self._last)


class Encoder(_StandIn):
    """A text or image encoder: asked off the tick, and only for what the cache does not have."""

    def __init__(self, real: Any, *, lock: threading.Lock, cache: TextCache) -> None:
        super().__init__(real)
        self._lock = lock
        self._cache = cache

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        key = self._cache.key(self._real, args, kwargs)
        found = self._cache.get(key)
        if found is None:
            found = park(
                Aside(stage="encode", call=lambda: self._real(*args, **kwargs), lock=self._lock)
            )
            self._cache.put(key, found)
        return found


class Elsewhere(_StandIn):
    """A part of which some methods run off the tick: an autoencoder, an image processor."""

    def __init__(self, real: Any, *, lock: threading.Lock, stages: dict[str, str]) -> None:
        super().__init__(real)
        self._lock = lock
        self._stages = stages

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._real, name)
        return self._parking(real, self._stages[name]) if name in self._stages else real

    def _parking(self, method: Callable[..., Any], stage: str) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            return park(Aside(stage=stage, call=lambda: method(*args, **kwargs), lock=self._lock))

        return call


class Autoencoder(Elsewhere):
    """An autoencoder that keeps its dtype, whatever a pipeline asks of it."""

    def __init__(self, real: Any, *, lock: threading.Lock) -> None:
        super().__init__(real, lock=lock, stages={"encode": "encode", "decode": "decode"})

    def to(self, *_: Any, **__: Any) -> "Autoencoder":
        """Nothing: others are using it."""
        return self

    def _parking(self, method: Callable[..., Any], stage: str) -> Callable[..., Any]:
        parking = super()._parking(method, stage)

        def call(tensor: Tensor, *args: Any, **kwargs: Any) -> Any:
            return parking(tensor.to(self._real.dtype), *args, **kwargs)

        return call


class SameDtype(_StandIn):
    """An autoencoder of another dtype than the rest, for a call that does not park."""

    def encode(self, pixels: Tensor, *args: Any, **kwargs: Any) -> Any:
        """As the autoencoder's own."""
        return self._real.encode(pixels.to(self._real.dtype), *args, **kwargs)

    def decode(self, latents: Tensor, *args: Any, **kwargs: Any) -> Any:
        """As the autoencoder's own."""
        return self._real.decode(latents.to(self._real.dtype), *args, **kwargs)
