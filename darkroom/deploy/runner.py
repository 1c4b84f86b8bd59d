"""Steps carried out in order. A run that was stopped anywhere is gone on with by another run."""

from collections.abc import Sequence

from client.errors import ClientError
from darkroom.deploy.errors import StepFailed, translated_here
from darkroom.deploy.journal import Journal
from darkroom.deploy.step import Step
from darkroom.errors import DarkroomError
from jobs.errors import JobsError
from records.errors import RecordsError

#: What steps may fail of. Anything else is a defect of ours and shows where it is.
_CAUSES = (DarkroomError, ClientError, JobsError, RecordsError, OSError)


def run(steps: Sequence[Step], journal: Journal, *, again: str) -> None:
    """Carry out what `check` does not find done; `again` is the command that goes on."""
    for number, step in enumerate(steps, start=1):
        heading = f"[{number}/{len(steps)}] {step.name}"
        try:
            with translated_here():
                standing = step.check()
            if standing.done:
                journal.say(f"{heading}: {standing.says or 'nothing to do'}")
                continue
            reason = f" ({standing.says})" if standing.says else ""
            with journal.doing(f"{heading}, {step.takes}{reason} ..."), translated_here():
                step.apply()
        except KeyboardInterrupt:
            journal.say(f"{heading}: stopped. To go on: {again}")
            raise
        except _CAUSES as cause:
            journal.note(f"failed: {heading}: {cause}")
            # AWS's own words, whole. Other causes may quote an address that is a permission.
            if isinstance(cause, RecordsError) and cause.__cause__:
                journal.note(str(cause.__cause__))
            raise StepFailed(
                f"{heading} has failed:\n{cause}\n\nTo go on from here: {again}\n"
                f"All that was said is in {journal.path}"
            ) from cause
        journal.say(f"{heading}: done")
