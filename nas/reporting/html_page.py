"""A page in one file: no scripts, nothing fetched, pictures inside; for wide and narrow, light and dark screens.

Everything that comes in as text is escaped here; what is called `html` or `svg` is markup already.
"""

import base64
from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path
from string import Template
from typing import Final
from urllib.parse import quote

STYLE: Final = """
:root { color-scheme: light dark; --page: #fbfbfa; --text: #1c1e21; --quiet: #59606b; --line: #d9dce1; --link: #0b5cad }
@media (prefers-color-scheme: dark) {
  :root { --page: #16181c; --text: #e6e7ea; --quiet: #a2a9b5; --line: #3a3f48; --link: #7db7f2 }
}
body { margin: 0 auto; max-width: 72rem; padding: 1rem clamp(1rem, 4vw, 3rem) 4rem; background: var(--page);
  color: var(--text); font: 1rem/1.55 system-ui, sans-serif; overflow-wrap: anywhere }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 1.5rem 0 .5rem }
h2 { font-size: 1.2rem; margin: 2.5rem 0 .75rem; border-bottom: 1px solid var(--line); padding-bottom: .3rem }
p, ul, dl { max-width: 46rem }
a { color: var(--link) }
.quiet, th { color: var(--quiet); font-size: .9rem }
.wide { overflow-x: auto; margin: .75rem 0 }
.wide:has(img) { background: white; border: 1px solid var(--line); border-radius: .4rem; padding: .5rem }
img { display: block; max-width: 100%; height: auto; margin: 0 auto }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; white-space: nowrap }
th, td { padding: .3rem .55rem; border-bottom: 1px solid var(--line); text-align: left }
dt { font-weight: 600; margin-top: .5rem }
dd { margin: 0 }
summary { cursor: pointer; margin: .75rem 0 }
pre { overflow-x: auto; font-size: .85rem }
@media (max-width: 40rem) {
  .wide img { max-width: none; width: 44rem }
  .wide:has(img) + .quiet::after { content: " Scroll sideways to see the rest." }
}
"""
PAGE: Final = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
$refresh<title>$title</title>
<style>$style</style>
</head>
<body>
<h1>$title</h1>
$body
</body>
</html>
""")


def page(title: str, introduction: str, sections: Mapping[str, str], refresh: int | None = None) -> str:
    """Make the whole file.

    Args:
        title: one line.
        introduction: one paragraph.
        sections: heading -> html; empty ones are left out.
        refresh: seconds after which a browser reads the file again; None for a page that will not change.
    """
    parts = [f"<h2>{escape(heading)}</h2>\n{html}" for heading, html in sections.items() if html]
    body = "\n".join([paragraph(introduction), *parts])
    again = f'<meta http-equiv="refresh" content="{refresh}">\n' if refresh else ""
    return PAGE.substitute(title=escape(title), style=STYLE, body=body, refresh=again)


def paragraph(text: str) -> str:
    """Make a paragraph of plain text."""
    return f"<p>{escape(text)}</p>"


def scrolling(html: str) -> str:
    """Let what is wider than the screen scroll on its own; nothing stays nothing."""
    return f'<div class="wide" tabindex="0">{html}</div>' if html else ""


def picture(content: bytes, caption: str, kind: str = "svg+xml") -> str:
    """Put a picture into the page, SVG or of another `kind` of image, with its caption."""
    data = base64.b64encode(content).decode()
    image = scrolling(f'<img alt="{escape(caption)}" src="data:image/{kind};base64,{data}">')
    return f'{image}\n<p class="quiet">{escape(caption)}</p>'


def links(targets: Mapping[Path, str]) -> str:
    """Make a list of links: path relative to the page -> remark on it."""
    items = [
        f'<li><a href="{escape(quote(path.as_posix()))}">{escape(path.as_posix())}</a> {escape(remark)}</li>'
        for path, remark in targets.items()
    ]
    return f"<ul>{''.join(items)}</ul>" if items else ""


def terms(pairs: Iterable[tuple[str, str]]) -> str:
    """Make a list of names and what they stand for."""
    items = [f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in pairs]
    return f"<dl>{''.join(items)}</dl>" if items else ""


def details(summary: str, html: str) -> str:
    """Hide `html` under a summary until a reader asks for it; nothing stays nothing."""
    return f"<details><summary>{escape(summary)}</summary>{html}</details>" if html else ""


def code_block(text: str) -> str:
    """Show text as it stands, line by line."""
    return f"<pre>{escape(text)}</pre>"
