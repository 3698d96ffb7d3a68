"""What the explorer and the playgrounds share: a widget that is also a page, which needs no kernel and no network."""

import base64
import html
import re
import uuid
from pathlib import Path

import anywidget
import matplotlib as mpl
import numpy as np
import traitlets

from adlib import find_output
from adlib.explorer.quantize import CMAP, pack
from adlib.settings import write


def read_script(name: str) -> str:
    """A widget's script, with what all of them share before it."""
    return "".join(Path(__file__).with_name(file).read_text(encoding="utf-8") for file in ("shared.js", name))


def palette() -> np.ndarray:
    """(256, 3) uint8: the colours of every heatmap, from cold to hot."""
    return mpl.colormaps[CMAP](np.arange(256), bytes=True)[:, :3]


class Playground(anywidget.AnyWidget):
    """A widget whose traits in `STATE` can be moved in a notebook, and in the static form beside it or on a page.

    A subclass sets `_esm`, `title` and `STATE`, and says in `_contents` from what its script works.
    """

    STATE: tuple[str, ...] = ()
    title = ""
    _data = traitlets.Bytes().tag(sync=True)
    _wanted = traitlets.Bool().tag(sync=True)       # the browser asks for _data where no static form holds it
    _id = traitlets.Unicode().tag(sync=True)

    def __init__(self, **state):
        super().__init__(_id=uuid.uuid4().hex, **state)

    def _contents(self, *, static: bool = False) -> tuple[dict, dict]:
        """A header and arrays for `quantize.pack`; for a static form perhaps fewer."""
        return {}, {}

    def _in_words(self) -> str:
        """What stands where no script runs."""
        return f"{self.title}."

    def _pack(self, *, static: bool = False) -> bytes:
        header, arrays = self._contents(static=static)
        state = {name: getattr(self, name) for name in self.STATE}
        return pack({"title": self.title, "static": static, "state": state} | header, arrays)

    @traitlets.observe("_wanted")
    def _hand_over(self, change) -> None:
        if self._wanted and not self._data:
            self._data = self._pack()

    def to_html(self, path: str | Path) -> Path:
        """Write one page that holds everything and needs neither a kernel nor a network."""
        page = (f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-'
                f'width"><title>{html.escape(self.title)}</title>\n<style>:root {{ color-scheme: light dark }} body '
                f'{{ max-width: 1180px; margin: 0 auto; padding: 8px }}</style>\n<body>{self._form()}</body></html>\n')
        path = find_output(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        return write(path, lambda file: file.write(page.encode()))

    def _form(self) -> str:
        """The static form, for a page or a notebook's output."""
        chosen = f"adlib-{uuid.uuid4().hex}"
        script, doors = re.subn(r"export default (door\(\w+\));", rf'\1.start("{chosen}");', str(self._esm))
        assert doors == 1, "a widget's script ends with its door"
        return (f'<div id="{chosen}" data-adlib-static="{self._id}">{html.escape(self._in_words())} (This is drawn '
                f'by a script; trust the notebook, or open it as a page in a browser.)</div>\n'
                f'<script type="text/plain" id="{chosen}-data">{base64.b64encode(self._pack(static=True)).decode()}'
                f'</script>\n<script type="module">\n{script}</script>\n')

    def _ipython_display_(self) -> None:
        from IPython.display import HTML, display

        display(HTML(self._form()))
        display(self._repr_mimebundle_()[0], raw=True)
