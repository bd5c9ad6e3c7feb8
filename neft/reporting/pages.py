"""One style for all HTML pages: each is a single file without outside assets, in light and dark,
for desk and phone.
"""

from __future__ import annotations

import html

_STYLE = """
:root { color-scheme: light dark; --text: #1c1e21; --soft: #5b616b; --line: #d5d9df; --ground: #fff; --raised: #f4f6f8;
  --accent: #0b62a8; --string: #1a6b36; }
@media (prefers-color-scheme: dark) { :root { --text: #e6e8eb; --soft: #a3abb6; --line: #3a4049; --ground: #15181c;
  --raised: #20252b; --accent: #7fbdf3; --string: #8fd6a4; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.2rem 1rem 3rem; max-width: 84rem; background: var(--ground); color: var(--text);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0 0 .3rem; } h2 { font-size: 1.1rem; margin: 1.8rem 0 .5rem; }
p.lead, dd, .soft { color: var(--soft); } p.lead { margin: 0 0 1rem; max-width: 50rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .88rem; }
th, td { padding: .35rem .5rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
thead th { border-bottom: 2px solid var(--text); vertical-align: bottom; font-weight: 600; white-space: normal; }
.wide th:first-child { position: sticky; left: 0; background: var(--ground); }
th:first-child, td:nth-child(2), th:nth-child(2) { text-align: left; } tbody th { font-weight: 600; }
dl { font-size: .85rem; display: grid; grid-template-columns: max-content 1fr; gap: .15rem .8rem; }
dt { font-weight: 600; } dd { margin: 0; overflow-wrap: anywhere; }
pre { background: var(--raised); padding: 1rem; border-radius: 6px; overflow-x: auto; font-size: .88rem; line-height: 1.45; }
"""


def page(title: str, lead: str, body: str, style: str = "") -> str:
    """A whole HTML page. title and lead are plain text, body and style are HTML and CSS that the
    caller vouches for.
    """
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{html.escape(title)}</title>
<style>{_STYLE}{style}</style>
</head>
<body>
<h1>{html.escape(title)}</h1>
<p class="lead">{html.escape(lead)}</p>
{body}
</body>
</html>
"""
