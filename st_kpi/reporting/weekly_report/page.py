"""The review as one HTML file that needs nothing else: no network, no folder beside it."""

import base64
import gzip
import json
import os
import tempfile
from functools import cache
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

from st_kpi.errors import ConfigurationError
from st_kpi.reporting.weekly_report import document
from st_kpi.reporting.weekly_report.review import Review
from st_kpi.reporting.weekly_report.workbook import workbook

#: What the page is called where nobody names it: a link to it stays right.
FILE = "weekly-review.html"

_PARTS = files("st_kpi.reporting.weekly_report") / "parts"
#: In the order in which they need each other.
_SCRIPTS = (
    "vendor/d3-path.min.js",
    "vendor/d3-shape.min.js",
    "exact.js",
    "review.js",
    "chart.js",
    "opened.js",
    "page.js",
)


def write(review: Review, file: Path) -> int:
    """Write the page, replacing an older one only when it is complete; returns its size in bytes.

    Raises ``ConfigurationError`` where the file cannot be written.
    """
    content = html(review).encode()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            dir=file.parent, prefix=f".{file.name}.", delete=False
        ) as new:
            new.write(content)
        os.chmod(new.name, 0o644)
        os.replace(new.name, file)
    except OSError as error:
        raise ConfigurationError(
            f"The report {file} cannot be written: {error.strerror}."
        ) from None
    return len(content)


def html(review: Review) -> str:
    """The whole page as text."""
    opened = document.opened_weeks(review)
    return _template().render(
        title=f"Weekly review, week of {review.numbers.chosen}",
        style=_text("page.css"),
        scripts=[_text(name) for name in _SCRIPTS],
        overview=_json(document.overview(review)),
        weeks={week: _packed(_dumped(plain).encode()) for week, plain in opened.items()},
        workbook=base64.b64encode(workbook(review.numbers)).decode(),
    )


@cache
def _template() -> Template:
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string((_PARTS / "page.html").read_text(encoding="utf-8"))


def _text(name: str) -> Markup:
    """A part of the page that is ours, as it is."""
    return Markup((_PARTS / name).read_text(encoding="utf-8"))


def _json(plain: document.Plain) -> Markup:
    """JSON inside a script element, where a name may say ``</script>``."""
    text = _dumped(plain)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def _dumped(plain: document.Plain) -> str:
    return json.dumps(plain, ensure_ascii=False, separators=(",", ":"))


def _packed(content: bytes) -> str:
    return base64.b64encode(gzip.compress(content, mtime=0)).decode()
