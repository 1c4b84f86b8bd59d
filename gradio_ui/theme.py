"""How the page looks: a room lit by a safelight. Fonts are the system's, nothing is fetched."""

from pathlib import Path

import gradio as gr

CSS = Path(__file__).with_name("page.css")

#: Gradio chooses light or dark from this parameter; a darkroom has no light side. Set before
#: its scripts run, so that nothing flashes.
ALWAYS_DARK = """<script>
const here = new URL(location.href);
if (here.searchParams.get("__theme") !== "dark") {
  here.searchParams.set("__theme", "dark");
  history.replaceState(null, "", here);
}
</script>
<meta name="color-scheme" content="dark"><meta name="referrer" content="no-referrer">
<link rel="icon" href="data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' \
viewBox='0 0 16 16'%3E%3Ccircle cx='8' cy='8' r='6' fill='%23e5484d'/%3E%3C/svg%3E">"""

_RED = "#e5484d"
_TEXT = "#ece7e4"
_MUTED = "#a39b97"
_ROOM = "#0e0c0c"
_BENCH = "#161313"
_TRAY = "#1e1a1a"
_EDGE = "#332c2b"

_COLOURS = {
    "body_background_fill": _ROOM,
    "body_text_color": _TEXT,
    "body_text_color_subdued": _MUTED,
    "background_fill_primary": _BENCH,
    "background_fill_secondary": _TRAY,
    "border_color_primary": _EDGE,
    "border_color_accent": _RED,
    "color_accent_soft": "#3a1a1b",
    "block_background_fill": _BENCH,
    "block_border_color": _EDGE,
    "block_label_background_fill": _BENCH,
    "block_label_text_color": _MUTED,
    "block_title_text_color": _MUTED,
    "block_info_text_color": _MUTED,
    "input_background_fill": _TRAY,
    "input_border_color": _EDGE,
    "input_border_color_focus": _RED,
    "input_placeholder_color": "#857c78",
    "slider_color": _RED,
    "checkbox_background_color": _TRAY,
    "checkbox_background_color_selected": _RED,
    "checkbox_border_color": _EDGE,
    "checkbox_border_color_selected": _RED,
    "checkbox_label_background_fill": _TRAY,
    "checkbox_label_background_fill_hover": "#282222",
    "checkbox_label_background_fill_selected": "#3a1a1b",
    "checkbox_label_border_color": _EDGE,
    "checkbox_label_border_color_selected": _RED,
    "checkbox_label_text_color": _TEXT,
    "checkbox_label_text_color_selected": _TEXT,
    "button_primary_background_fill": "#c93a3f",
    "button_primary_background_fill_hover": "#d9464b",
    "button_primary_border_color": "#c93a3f",
    "button_primary_text_color": "#ffffff",
    "button_secondary_background_fill": _TRAY,
    "button_secondary_background_fill_hover": "#282222",
    "button_secondary_border_color": _EDGE,
    "button_secondary_text_color": _TEXT,
}


def theme() -> gr.themes.Base:
    """The theme for `launch`."""
    base = gr.themes.Base(
        primary_hue=gr.themes.colors.red,
        neutral_hue=gr.themes.colors.stone,
        radius_size=gr.themes.sizes.radius_md,
        font=["system-ui", "-apple-system", "Segoe UI", "sans-serif"],
        font_mono=["ui-monospace", "SFMono-Regular", "Menlo", "monospace"],
    )
    both = {f"{name}{mode}": value for name, value in _COLOURS.items() for mode in ("", "_dark")}
    return base.set(**both)
