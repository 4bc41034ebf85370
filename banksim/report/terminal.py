"""A terminal: one line that rewrites itself (a bar, its share, and text), and lengths of time as text.

    ██████████░░░░░░░░░░  43%  2 min 5 s left  recall 81 % of 57  lag 3.1 ms  12.4 TPS  day 1, 14:23

The parts of the text come in the order of their worth: on a narrow terminal the last ones are left out.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from typing import TextIO

BAR_WIDTH = 20

CLEAR = "\r\x1b[K"
_CYAN, _RESET = "\x1b[36m", "\x1b[0m"


def can_rewrite(stream: TextIO, environ: Mapping[str, str]) -> bool:
    return stream.isatty() and environ.get("TERM") != "dumb"


def bar(share: float) -> str:
    """BAR_WIDTH signs, of which ``share`` (0..1) are full."""
    full = round(BAR_WIDTH * min(1.0, max(0.0, share)))
    return "█" * full + "░" * (BAR_WIDTH - full)


def length_text(length_s: float) -> str:
    """Wall time: "14 min 24 s", "2 h 5 min", "0.9 s"."""
    if length_s < 60:
        return f"{length_s:.3g} s"
    total_s = round(length_s)
    if total_s < 3600:
        return f"{total_s // 60} min {total_s % 60} s" if total_s % 60 else f"{total_s // 60} min"
    minutes = round(length_s / 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes % 60 else f"{minutes // 60} h"


class Line:
    """The line on one terminal."""

    def __init__(self, stream: TextIO, colour: bool) -> None:
        self._stream = stream
        self._colour = colour
        self._drawn = False
        self._gone = False

    def draw(self, share: float, parts: Sequence[str]) -> None:
        width = shutil.get_terminal_size().columns - 1
        drawn = f"{_CYAN}{bar(share)}{_RESET}" if self._colour else bar(share)
        text = f" {share:4.0%}"
        for part in parts:
            if BAR_WIDTH + len(text) + 2 + len(part) > width:
                break
            text += f"  {part}"
        self._write(f"{CLEAR}{drawn}{text}")
        self._drawn = True

    def clear(self, anyway: bool = False) -> None:
        """Take the line away, if it is there; ``anyway``: another process may have drawn one."""
        if self._drawn or anyway:
            self._write(CLEAR)
            self._drawn = False

    def _write(self, text: str) -> None:
        if self._gone:
            return
        encoding = getattr(self._stream, "encoding", None) or "ascii"
        try:
            text.encode(encoding)
        except UnicodeEncodeError:
            text = text.replace("█", "#").replace("░", ".").encode(encoding, "replace").decode(encoding)
        try:
            self._stream.write(text)
            self._stream.flush()
        except OSError:  # the terminal has gone away; the program goes on
            self._gone = True
