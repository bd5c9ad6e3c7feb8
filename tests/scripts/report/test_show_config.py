from __future__ import annotations

import html
import json
import re

import yaml

from scripts.report import show_config

CONFIG = {
    "name": "quickstart",
    "seeds": [1, 2],
    "methods": {"neft": {"kind": "neft", "learning_rate": 5e-6, "mask": None}},
    "task": {"prompt": "Translate:\n{source} <b>", "language": "français"},
}


def show(tmp_path, config):
    show_config.main(
        ["--spec", json.dumps({"config": config}), "--page", str(tmp_path / "config.html")]
    )
    return (tmp_path / "config.html").read_text(encoding="utf-8")


def test_the_page_holds_the_whole_configuration_as_yaml(tmp_path):
    code = re.search(r"<pre[^>]*>(.*)</pre>", show(tmp_path, CONFIG), re.DOTALL)[1]
    assert yaml.safe_load(html.unescape(re.sub(r"<[^>]+>", "", code))) == CONFIG


def test_keys_keep_their_order_and_templates_their_lines(tmp_path):
    text = html.unescape(re.sub(r"<[^>]+>", "", show(tmp_path, CONFIG)))
    assert text.index("seeds:") < text.index("methods:") < text.index("task:")
    assert "prompt: |-\n    Translate:\n    {source} <b>\n" in text


def test_text_is_escaped(tmp_path):
    page = show(tmp_path, {"name": "x", "prompt": "<script>alert(1)</script>"})
    assert "<script" not in page
