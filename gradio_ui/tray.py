"""The developing tray: what is seen where the picture will be."""

from gradio_ui.status import StatusLine, Tone

_WORDS = {
    Tone.IDLE: "Your picture develops here",
    Tone.STOPPED: "Stopped: no picture",
    Tone.FAILED: "No picture",
    Tone.BUSY: "",
    Tone.DONE: "No picture",
}


def tray(line: StatusLine) -> str:
    """The tray for that state of the job; it brightens as the job advances."""
    developed = line.fraction or 0
    return (
        f'<div class="tray {line.tone}" style="--developed:{developed:.3f}">'
        f"<div></div><p>{_WORDS[line.tone]}</p></div>"
    )
