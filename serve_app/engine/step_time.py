"""How long a forward takes by its rows, learnt while serving: t(rows) = a + b * rows."""

#: Older measurements count this much less with each new one: a device gets hot or is shared.
FORGETTING = 0.98
#: More rows are not worth waiting for if they raise the rows per second by less than this.
MIN_GAIN = 0.02
#: Beyond this no device gained anything in any published table.
MAX_ROWS = 64


class StepTime:
    """The line through the measured forwards of one key."""

    def __init__(self, max_rows: int = MAX_ROWS) -> None:
        self._max_rows = max_rows
        self._seen: set[int] = set()
        # Sums of weights, rows, seconds, rows squared, rows times seconds.
        self._n = self._x = self._y = self._xx = self._xy = 0.0
        #: Seconds (a, b) of t = a + b * rows; None before two sizes were measured.
        self.line: tuple[float, float] | None = None

    def measured(self, rows: int, seconds: float) -> None:
        """Learn from one forward. The first of its size also pays for choosing kernels."""
        if rows not in self._seen:
            self._seen.add(rows)
            return
        for name, value in (
            ("_n", 1.0),
            ("_x", rows),
            ("_y", seconds),
            ("_xx", rows * rows),
            ("_xy", rows * seconds),
        ):
            setattr(self, name, FORGETTING * getattr(self, name) + value)
        self.line = self._fitted()

    def limit(self, max_rows: int) -> None:
        """Never more rows than this again: the device was out of memory."""
        self._max_rows = min(self._max_rows, max_rows)

    @property
    def usual_rows(self) -> float:
        """Mean rows of a forward of late; 0 before anything was measured."""
        return self._x / self._n if self._n else 0.0

    def _fitted(self) -> tuple[float, float] | None:
        spread = self._n * self._xx - self._x * self._x
        if spread <= 1e-9 * max(1.0, self._xx * self._n):
            return None
        b = (self._n * self._xy - self._x * self._y) / spread
        a = (self._y - b * self._x) / self._n
        # Noise may tilt a flat line below zero.
        return max(0.0, a), max(0.0, b)

    def seconds(self, rows: float) -> float:
        """Expected time of a forward; 0 before anything was measured."""
        if (line := self.line) is not None:
            return line[0] + line[1] * rows
        return self._y / self._n if self._n else 0.0

    def allows(self, rows: int, more: int) -> bool:
        """Whether a forward of `rows` should take `more` along."""
        if rows == 0:
            return True
        if rows + more > self._max_rows:
            return False
        line = self.line
        if line is None:
            return True
        a, b = line
        now, then = rows / (a + b * rows), (rows + more) / (a + b * (rows + more))
        return then / now - 1 >= MIN_GAIN
