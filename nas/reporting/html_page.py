"""A page in one file: no scripts, nothing fetched, pictures inside; for wide and narrow, light and dark screens.

Everything that comes in as text is escaped here; what is called `html` is markup already.
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
<title>$title</title>
<style>$style</style>
</head>
<body>
<h1>$title</h1>
$body
</body>
</html>
""")


def page(title: str, introduction: str, sections: Mapping[str, str]) -> str:
    """The whole file.

    Args:
        title: of the page.
        introduction: one paragraph.
        sections: heading -> html; those of nothing are left out.
    """
    parts = [f"<h2>{escape(heading)}</h2>\n{html}" for heading, html in sections.items() if html]
    body = "\n".join([paragraph(introduction), *parts])
    return PAGE.substitute(title=escape(title), style=STYLE, body=body)


def paragraph(text: str) -> str:
    """Plain text."""
    return f"<p>{escape(text)}</p>"


def wide(html: str) -> str:
    """What may be wider than the screen, and then scrolls on its own; nothing stays nothing."""
    return f'<div class="wide" tabindex="0">{html}</div>' if html else ""


def picture(path: Path, caption: str) -> str:
    """An SVG file, inside the page, with its caption."""
    data = base64.b64encode(path.read_bytes()).decode()
    image = wide(f'<img alt="{escape(caption)}" src="data:image/svg+xml;base64,{data}">')
    return f'{image}\n<p class="quiet">{escape(caption)}</p>'


def links(targets: Mapping[Path, str]) -> str:
    """A list of links: path relative to the page -> what is said about it."""
    items = [
        f'<li><a href="{escape(quote(path.as_posix()))}">{escape(path.as_posix())}</a> {escape(said)}</li>'
        for path, said in targets.items()
    ]
    return f"<ul>{''.join(items)}</ul>" if items else ""


def terms(pairs: Iterable[tuple[str, str]]) -> str:
    """A list of names and what they stand for."""
    items = [f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in pairs]
    return f"<dl>{''.join(items)}</dl>" if items else ""


def folded(summary: str, html: str) -> str:
    """What is shown when asked for."""
    return f"<details><summary>{escape(summary)}</summary>{html}</details>" if html else ""


def preformatted(text: str) -> str:
    """Text as it stands, line by line."""
    return f"<pre>{escape(text)}</pre>"
