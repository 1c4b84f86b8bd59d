"""What is known of a message in hand, also to who has to give it back in a hurry."""

from dataclasses import dataclass

from bridge.generation import Generation
from jobs.job import Job
from records.lease import Lease


@dataclass
class InHand:
    """One message between its receipt and its verdict."""

    job: Job | None = None
    lease: Lease | None = None
    generation: Generation | None = None

    @property
    def held(self) -> Lease | None:
        """The lease as it is now, with the attempt that Serve has accepted."""
        return self.generation.held if self.generation else self.lease

    @property
    def waiting(self) -> bool:
        """Serve does not know of its job yet."""
        return self.generation is None or not self.generation.placed
