"""Whatever bytes a reader gets, it gives rows or says in one message what is wrong: no other
exception, no hang, no file.

Ten thousand cases together, the same in every run: valid files with bytes changed, cut out or put
in, arbitrary text in the alphabets of the formats, and whole files of ours whose hash is right and
whose content makes no sense.
"""

from __future__ import annotations

import copy
import io
import json
import shutil
import struct
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save

import tiny
from neft.config import loader
from neft.core.delta import Delta
from neft.core.mask import NeuronMask
from neft.data import archives, catalogs, readers
from neft.errors import NeftError
from neft.models import checkpoint, convert
from neft.selection.states import States
from neft.storage import files, sealed
from neft.workflow.plan.run_figures import RunFigurePlan
from neft.workflow.plan.runs import RunPlan
from neft.workflow.plan.tune import TunePlan

ROOT = Path(__file__).resolve().parents[3]
CONFIG = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
TASKS = yaml.safe_load((ROOT / "configs/tasks.yaml").read_text(encoding="utf-8"))
PO = (
    b'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=UTF-8\\n"\n\n#: a.py:1\n#,'
    b' fuzzy\nmsgctxt "menu"\nmsgid "Open"\nmsgstr "Ouvrir"\n\nmsgid "One file"\nmsgid_plural "%d'
    b' files"\nmsgstr[0] "Un fichier"\nmsgstr[1] "%d fichiers"\n\n#~ msgid "x"\n'
)
ROWS = (
    b'{"source": "Open \\u00e9", "target": ["a", "b"], "n": 1}\n{"source": "Close", "target": null,'
    b' "n": -2.5e3}\n'
)
TABLE = b'en,fr\n"Open, then\nclose",Ouvrir\nSave,"Enre""gistrer"\n'
ALPHABETS = [
    '{}[]":,\\u0019.e-+ntrfalsNaInfiy \n\r\t',
    "\"',\n\r\t\\|;a ",
    'msgidtrxplural_[0]"\\#~,: \nfuzzy',
    "\x00\ufeff\u2028\ud800é\n\t ",
]


def mo(entries: dict[bytes, bytes]) -> bytes:
    head, size = b"", 28 + 16 * len(entries)
    texts = b""
    tables: list[bytes] = [b"", b""]
    for pair in sorted(entries.items()):
        for place, text in enumerate(pair):
            tables[place] += struct.pack("<2I", len(text), size + len(texts))
            texts += text + b"\0"
    head = struct.pack("<7I", 0x950412DE, 0, len(entries), 28, 28 + 8 * len(entries), 0, 0)
    return head + tables[0] + tables[1] + texts


MO = mo(
    {
        b"": b"Content-Type: text/plain; charset=UTF-8\n",
        b"menu\x04Open": b"Ouvrir",
        b"One\0Two": "Un\0Deux é".encode(),
    }
)


def bytes_like(*seeds: bytes) -> st.SearchStrategy[bytes]:
    """Valid files with some changes, texts in the alphabets of the formats, and anything at all."""

    @st.composite
    def changed(draw: Callable[[Any], Any]) -> bytes:
        content = bytearray(draw(st.sampled_from(seeds)))
        for _ in range(draw(st.integers(1, 4))):
            start = draw(st.integers(0, len(content)))
            end = draw(
                st.integers(
                    start, min(len(content), start + draw(st.sampled_from([0, 1, 1, 4, 64])))
                )
            )
            content[start:end] = draw(
                st.binary(max_size=6)
                | st.sampled_from([b"", b"\xff\xff\xff\xff", b"\0\0\0\0", b"\n", b'"'])
            )
        return bytes(content)

    texts = st.sampled_from(ALPHABETS).flatmap(lambda letters: st.text(letters, max_size=60))
    deep = st.sampled_from(
        [b"[" * 100_000, b'{"a":' * 100_000, b"9" * 5_000, b'{"n": ' + b"9" * 5_000 + b"}"]
    )
    return (
        changed()
        | texts.map(lambda text: text.encode("utf-8", "surrogatepass"))
        | st.binary(max_size=200)
        | deep
    )


def fuzz(strategy: st.SearchStrategy[Any], cases: int) -> Callable[[Any], Any]:
    """So many cases of a strategy, the same every time, as the argument `case`."""
    checks = [
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.large_base_example,
    ]
    chosen = settings(
        max_examples=cases,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=checks,
    )
    return lambda test: chosen(given(case=strategy)(test))


def survives(read: Callable[[], Any]) -> Any:
    """What a reader gives, or None where it says in a message what is wrong; any other exception
    fails the test.
    """
    try:
        result = read()
        return list(result) if isinstance(result, Iterable) else result
    except NeftError as error:
        assert str(error).strip()
        str(error).encode("utf-8", "backslashreplace")
    return None


COLUMNS = {"source": "source", "target": "target"}


@pytest.mark.parametrize("form", ["json", "jsonl", "tsv", "csv"])
@fuzz(
    bytes_like(ROWS, TABLE, b"[" + ROWS.replace(b"\n", b",", 1) + b"]", b"source\ttarget\na\tb\n"),
    cases=1000,
)
def test_rows_of_text(form, case):
    def read():
        for row in readers.parse(io.BytesIO(case), "file", form):
            record = readers.pick(row, COLUMNS, structured=["target"])
            json.dumps(record, ensure_ascii=False).encode()  # so that it can be written

    survives(read)


@fuzz(bytes_like(ROWS), cases=500)
def test_our_own_rows_and_records(tmp_path, case):
    path = tmp_path / "file"
    path.write_bytes(case)
    survives(lambda: files.read_rows(path))
    survives(lambda: files.read_json(path))
    survives(lambda: readers.aligned({"source": path, "target": path}))


@pytest.mark.parametrize(
    ("read", "seeds"),
    [
        (catalogs.po, [PO]),
        (catalogs.mo, [MO]),
        (catalogs.jupyter, [b'{"": {}, "Open": ["Ouvrir"]}']),
    ],
)
def test_catalogs(read, seeds):
    @fuzz(bytes_like(*seeds), cases=1000)
    def run(case):
        survives(lambda: [readers.pick(row, COLUMNS) for row in read(case, "catalog")])

    run()


def test_a_catalog_whose_texts_overlap_does_not_unpack_to_a_multiple_of_itself():
    count = 20_000
    whole = struct.pack("<2I", 8 * count, 28) * count
    bomb = struct.pack("<7I", 0x950412DE, 0, count, 28, 28, 0, 0) + whole
    with pytest.raises(NeftError, match="its texts are longer than the file"):
        list(catalogs.mo(bomb, "bomb.mo"))


def test_half_a_character_in_json_is_named_with_its_line():
    row = next(readers.parse(io.BytesIO(b'{"source": "a \\ud83d b"}\n'), "file.jsonl", "jsonl"))
    with pytest.raises(
        NeftError, match=r"^file\.jsonl:1: column 'source' holds half a character \(\\ud83d without"
    ):
        readers.pick(row, {"source": "source"})


@pytest.fixture(scope="module")
def packed(tmp_path_factory) -> dict[str, bytes]:
    """A small archive of each format."""
    folder = tmp_path_factory.mktemp("packed")
    members = {"a/one.txt": b"one\n" * 30, "a/two.json": b"{}"}
    found = {
        f"a.{suffix}": tiny.write_tar(folder / f"a.{suffix}", members).read_bytes()
        for suffix in ("tar.gz", "tar.bz2", "tar.xz")
    }
    found["a.whl"] = tiny.write_wheel(folder, "package", "1.0", members).read_bytes()
    return found


@pytest.mark.parametrize("name", ["a.whl", "a.tar.gz", "a.tar.bz2", "a.tar.xz"])
def test_archives(name, packed, tmp_path):
    @fuzz(bytes_like(packed[name]), cases=300)
    def run(case):
        (tmp_path / name).write_bytes(case)
        survives(lambda: archives.texts(tmp_path / name, "*.txt"))

    run()
    assert [path.name for path in tmp_path.rglob("*")] == [name]


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.dates()
    | st.binary(max_size=3)
    | st.sampled_from(
        [
            "similarity",
            "neft",
            "bleu",
            "files",
            "hub",
            "../x",
            "{source}",
            "",
            "a b",
            "$(touch x)",
            0,
            -1,
            1e308,
            2**70,
        ]
    ),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=3)
    ),
    max_leaves=6,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every key and element in a configuration."""
    inside = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    return [place for key, part in inside for place in [(*path, key), *places(part, (*path, key))]]


@st.composite
def configs(draw):
    """A configuration with a few of its values replaced, removed, moved or added."""
    result = copy.deepcopy(draw(st.sampled_from([CONFIG, TASKS])))
    for _ in range(draw(st.integers(1, 3))):
        *path, last = draw(st.sampled_from(places(result)))
        block = result
        for step in path:
            block = block[step]
        action = draw(st.sampled_from(["replace", "replace", "replace", "remove", "copy", "add"]))
        if action == "replace":
            block[last] = draw(VALUES)
        elif action == "copy":
            *other, key = draw(st.sampled_from(places(result)))
            source = result
            for step in [*other, key]:
                source = source[step]
            block[last] = copy.deepcopy(source)
        elif action == "remove":
            del block[last]
        elif isinstance(block, dict):
            block[draw(st.text(max_size=6) | st.integers() | st.none())] = draw(VALUES)
    return result


@fuzz(configs() | VALUES, cases=1500)
def test_configurations(case):
    def read():
        runs = RunPlan(loader.load(case))
        runs.all()
        RunFigurePlan(runs).names()
        for name, method in runs.config.methods.items():
            if method.kind != "base":
                TunePlan(runs.config).grid(name)

    survives(read)


def header(tensors: Any, body: bytes = b"") -> bytes:
    text = tensors if isinstance(tensors, bytes) else json.dumps(tensors, default=str).encode()
    return struct.pack("<Q", len(text)) + text + body


SAFETENSORS = save(
    {"a": torch.zeros(2, 3), "b": torch.ones(4, dtype=torch.int32)},
    {"neft": '{"format": "mask", "version": 1}'},
)
NUMBERS = (
    st.integers(-9, 40) | st.floats() | st.sampled_from([2**31, 2**63, 2**70, "1", None, True, []])
)
ENTRIES = st.fixed_dictionaries(
    {},
    optional={
        "dtype": st.sampled_from([*checkpoint.DTYPES, "F4", "X", 3, None, []]),
        "shape": st.lists(NUMBERS, max_size=3) | NUMBERS,
        "data_offsets": st.lists(NUMBERS, min_size=1, max_size=3) | NUMBERS,
    },
)
HEADERS = st.dictionaries(
    st.sampled_from(["a", "b", "__metadata__", ""]), ENTRIES | VALUES, max_size=3
).map(lambda entries: header(entries, bytes(24)))


@fuzz(
    bytes_like(
        SAFETENSORS, header({"a": {"dtype": "F4", "shape": [2], "data_offsets": [0, 1]}}, b"\0")
    )
    | HEADERS,
    cases=1500,
)
def test_safetensors_files(tmp_path, case):
    path = tmp_path / "file.safetensors"
    path.write_bytes(case)
    sealed.format_of(path)
    for read in (Delta.load, NeuronMask.load, States.load):
        assert survives(lambda read=read: read(path)) is None
    (tmp_path / "model.safetensors").write_bytes(case)
    survives(
        lambda: [
            stored.read()
            for stored in checkpoint.Checkpoint(tmp_path).tensors.values()
            if stored.numel < 1000
        ]
    )


NAMES = st.sampled_from(
    [
        "a",
        "a.weight:0.index",
        "a.weight:0.values",
        "a.lora_A.weight",
        "a.lora_B.weight",
        "train.0",
        "dev.0",
        "",
    ]
)
TENSORS = st.builds(
    lambda shape, dtype: torch.zeros(shape, dtype=dtype),
    st.lists(st.integers(0, 3), max_size=3),
    st.sampled_from([torch.int32, torch.int64, torch.float32, torch.bfloat16, torch.bool]),
)
SITE = {
    "module": "a",
    "kind": "up_proj",
    "axis": "row",
    "start": 0,
    "count": 3,
    "length": 2,
    "dim": 0,
}
METADATA = st.fixed_dictionaries(
    {},
    optional={
        "kind": st.sampled_from(["neurons", "tensors", "lora", None, []]),
        "base_hash": st.just("0" * 64) | VALUES,
        "adapter_config": st.fixed_dictionaries({"r": NUMBERS, "lora_alpha": NUMBERS}) | VALUES,
        "hidden_size": NUMBERS,
        "selector": st.dictionaries(st.text(max_size=3), NUMBERS, max_size=2) | VALUES,
        "budget": NUMBERS,
        "sites": (
            st.dictionaries(
                NAMES,
                st.just(SITE)
                | st.builds(
                    lambda key, value: SITE | {key: value}, st.sampled_from(list(SITE)), NUMBERS
                )
                | VALUES,
                max_size=2,
            )
            | VALUES
        ),
        "choices": VALUES,
        "layers": NUMBERS,
    },
)


@fuzz(
    st.tuples(
        st.sampled_from(["mask", "delta", "states"]),
        st.dictionaries(NAMES, TENSORS, max_size=3),
        METADATA,
    ),
    cases=1000,
)
def test_whole_files_of_ours_with_content_that_makes_no_sense(tmp_path, case):
    what, tensors, metadata = case
    path = tmp_path / "file.safetensors"
    sealed.save(path, what, tensors, json.loads(json.dumps(metadata, default=str)))
    loaded = survives(
        lambda: {"mask": NeuronMask, "delta": Delta, "states": States}[what].load(path)
    )
    if isinstance(loaded, NeuronMask):
        assert (
            loaded.count >= 0
            and isinstance(loaded.parameters, int)
            and loaded.base_hash[:12] is not None
        )
        loaded.counts_by_kind(), loaded.counts_by_layer(), loaded.sha256
    elif isinstance(loaded, Delta):
        assert loaded.parameters >= 0 and loaded.base_hash


INDEXES = st.dictionaries(
    st.text(max_size=4),
    st.sampled_from(["model-1.safetensors", "../../secret.safetensors", "/etc/passwd", ".", ""])
    | VALUES,
    max_size=3,
)


@fuzz(st.fixed_dictionaries({}, optional={"weight_map": INDEXES | VALUES}) | VALUES, cases=300)
def test_an_index_of_a_models_files_leads_nowhere_else(tmp_path, case):
    path = tmp_path / "model.safetensors.index.json"
    path.write_text(json.dumps(case, default=str))
    names = survives(lambda: checkpoint.shards(path))
    assert names is None or all(
        Path(name).name == name and name.endswith(".safetensors") for name in names
    )


@fuzz(
    st.dictionaries(
        st.sampled_from(["model_type", "auto_map", "quantization_config", "hidden_size"]), VALUES
    )
    | VALUES,
    cases=200,
)
def test_a_models_config(tmp_path, case):
    (tmp_path / "config.json").write_text(json.dumps(case, default=str))
    (tmp_path / "model.safetensors").write_bytes(SAFETENSORS)
    survives(lambda: convert.check(tmp_path))


@pytest.mark.parametrize(
    "change",
    [{"hidden_size": "32"}, {"num_attention_heads": 0}, {"vocab_size": None}, {"model_type": 3}],
)
def test_a_models_config_that_transformers_stumbles_over_is_one_message(
    tiny_model, tmp_path, change
):
    folder = Path(shutil.copytree(tiny_model, tmp_path / "model"))
    values = files.read_json(folder / "config.json") | change
    (folder / "config.json").write_text(json.dumps(values))
    with pytest.raises(NeftError) as error:
        convert.convert(folder, tmp_path / "out", "float32")
    assert str(folder) in str(error.value)
