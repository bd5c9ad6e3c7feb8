from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

import tiny
from neft.core.neurons import describe
from neft.errors import NeftError
from neft.models.convert import check, convert
from neft.models.identity import base_hash
from neft.models.runtime import load_model


@pytest.fixture(scope="module")
def gguf(tiny_model, tmp_path_factory) -> Path:
    return tiny.write_gguf(tmp_path_factory.mktemp("gguf") / "model.gguf", tiny_model)


@pytest.fixture
def copy(tiny_model, tmp_path) -> Path:
    """The tiny model, to be spoilt."""
    return Path(shutil.copytree(tiny_model, tmp_path / "published"))


def edit(path: Path, **changes) -> None:
    values = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in values.items() if value is not None}))


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def fails(message: str):
    return pytest.raises(NeftError, match=f"^{re.escape(message)}$")


def test_a_directory_keeps_its_weights_and_tokens(tiny_model, tmp_path):
    convert(tiny_model, tmp_path / "out", "float32")
    before, after = weights(tiny_model), weights(tmp_path / "out")
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    text = tiny.CHAT_TEMPLATE + " é 12"
    published, written = (
        AutoTokenizer.from_pretrained(folder) for folder in (tiny_model, tmp_path / "out")
    )
    assert written(text)["input_ids"] == published(text)["input_ids"]
    assert written.chat_template == tiny.CHAT_TEMPLATE


def test_weights_are_rounded_to_the_number_format_asked_for(tiny_model, tmp_path):
    convert(tiny_model, tmp_path / "out", "bfloat16")
    before, after = weights(tiny_model), weights(tmp_path / "out")
    assert all(torch.equal(before[name].bfloat16(), after[name]) for name in before)
    assert json.loads((tmp_path / "out" / "config.json").read_text())["dtype"] == "bfloat16"


def test_the_same_model_gives_the_same_bytes(tiny_model, tmp_path):
    for name in ("one", "two"):
        convert(tiny_model, tmp_path / name, "bfloat16")
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes(), path.name


def test_everybody_may_read_what_is_written(tiny_model, tmp_path):
    convert(tiny_model, tmp_path / "out", "float32")
    (tmp_path / "plain").write_text("")
    assert {path.stat().st_mode for path in (tmp_path / "out").iterdir()} == {
        (tmp_path / "plain").stat().st_mode
    }


def test_sharded_weights_are_read(tiny_model, tmp_path):
    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    model.save_pretrained(tmp_path / "shards", max_shard_size="40KB")
    AutoTokenizer.from_pretrained(tiny_model).save_pretrained(tmp_path / "shards")
    assert len(list((tmp_path / "shards").glob("*.safetensors"))) > 1
    convert(tmp_path / "shards", tmp_path / "out", "float32")
    assert all(
        torch.equal(tensor, weights(tmp_path / "out")[name])
        for name, tensor in weights(tiny_model).items()
    )


def test_gguf_gives_the_model_it_was_made_from(gguf, tiny_model, tmp_path):
    convert(gguf, tmp_path / "out", "float32")
    before, after = weights(tiny_model), weights(tmp_path / "out")
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["tie_word_embeddings"] and "quantization_config" not in config


def test_gguf_gives_the_tokenizer_it_was_made_from_and_keeps_digits_apart(
    gguf, tiny_model, tmp_path
):
    convert(gguf, tmp_path / "out", "float32")
    published, written = (
        AutoTokenizer.from_pretrained(folder) for folder in (tiny_model, tmp_path / "out")
    )
    chat = [{"role": "user", "content": "Open the file: été"}]
    assert written.apply_chat_template(chat, tokenize=False) == published.apply_chat_template(
        chat, tokenize=False
    )
    text = published.apply_chat_template(chat, tokenize=False)
    assert written(text)["input_ids"] == published(text)["input_ids"]
    pieces = written.backend_tokenizer.pre_tokenizer.pre_tokenize_str("file  12")
    assert [piece for piece, _ in pieces] == ["file", "ĠĠ", "1", "2"]


def test_padding_never_is_the_end_token(gguf, copy, tmp_path):
    edit(copy / "tokenizer_config.json", pad_token=None)
    for source in (gguf, copy):
        out = tmp_path / source.stem
        convert(source, out, "float32")
        tokenizer = AutoTokenizer.from_pretrained(out)
        assert (tokenizer.pad_token, tokenizer.eos_token) == ("<|endoftext|>", "<|im_end|>")
        for name in ("config.json", "generation_config.json"):
            values = json.loads((out / name).read_text())
            assert (values["pad_token_id"], values["eos_token_id"], values["bos_token_id"]) == (
                0,
                2,
                1,
            )


def test_all_published_end_tokens_stay_and_sampling_settings_go(copy, tmp_path):
    edit(copy / "generation_config.json", eos_token_id=[0, 2], temperature=0.6, do_sample=True)
    convert(copy, tmp_path / "out", "float32")
    generation = json.loads((tmp_path / "out" / "generation_config.json").read_text())
    assert generation["eos_token_id"] == [2, 0]
    assert not {"temperature", "do_sample"} & set(generation)


def test_a_given_chat_template_is_used(copy, tmp_path):
    (copy / "chat_template.jinja").unlink()
    convert(copy, tmp_path / "out", "float32", chat_template="{{ messages[0]['content'] }}!")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert (
        tokenizer.apply_chat_template([{"role": "user", "content": "Hi"}], tokenize=False) == "Hi!"
    )


def test_a_model_without_a_chat_template_is_refused_with_the_key_that_gives_one(copy, tmp_path):
    (copy / "chat_template.jinja").unlink()
    with fails(
        f"{copy}: the tokenizer has no chat template; give one as `chat_template` of this model"
    ):
        convert(copy, tmp_path / "out", "float32")


@pytest.mark.parametrize(
    "template, message",
    [
        (
            "{% for m in messages %}",
            "the chat template can't be rendered: Unexpected end of template. ",
        ),
        (
            "{{ messages[0]['text'] }}",
            "the chat template leaves out the user's message; it gives ''",
        ),
    ],
)
def test_a_chat_template_that_cannot_work_is_refused(copy, tmp_path, template, message):
    with pytest.raises(NeftError, match=f"^{re.escape(f'{copy}: {message}')}"):
        convert(copy, tmp_path / "out", "float32", chat_template=template)


def test_a_tokenizer_without_an_end_token_is_refused(copy, tmp_path):
    edit(copy / "tokenizer_config.json", eos_token=None)
    with fails(
        f"{copy}: the tokenizer names no end token; set eos_token in its tokenizer_config.json"
    ):
        convert(copy, tmp_path / "out", "float32")


def test_a_tokenizer_larger_than_the_embedding_is_refused(copy, tmp_path):
    tokenizer = AutoTokenizer.from_pretrained(copy)
    tokenizer.add_tokens(["<new>"])
    tokenizer.save_pretrained(copy)
    with fails(f"{copy}: the tokenizer has 385 tokens, the model's embedding 384"):
        convert(copy, tmp_path / "out", "float32")


def test_weights_that_lack_a_tensor_are_refused(copy, tmp_path):
    from safetensors.torch import save_file

    tensors = weights(copy)
    del tensors["model.norm.weight"]
    save_file(tensors, copy / "model.safetensors", {"format": "pt"})
    with fails(f"{copy}: 1 tensors of the model are not in its files, such as model.norm.weight"):
        convert(copy, tmp_path / "out", "float32")


def test_truncated_weights_are_refused(copy, tmp_path):
    file = copy / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(
        NeftError, match=f"^{copy}: transformers can't load it as a causal language model: "
    ):
        convert(copy, tmp_path / "out", "float32")


def test_a_file_that_only_calls_itself_gguf_is_refused(tmp_path):
    (tmp_path / "a.gguf").write_bytes(b"PK..")
    with fails(f"{tmp_path}/a.gguf: not a GGUF file: it doesn't start with 'GGUF'"):
        convert(tmp_path / "a.gguf", tmp_path / "out", "float32")


def test_a_missing_directory_is_named(tmp_path):
    with fails(f"{tmp_path}/none: no such directory; expected a Hugging Face model directory"):
        check(tmp_path / "none")


def test_a_directory_without_config_is_refused(copy):
    (copy / "config.json").unlink()
    with fails(f"{copy}: no config.json; expected a Hugging Face model directory"):
        check(copy)


def test_pickled_weights_are_refused_by_name(copy):
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    reason = (
        "and reading a pickle can run any code; give a version of the model with .safetensors"
        " weights"
    )
    with fails(f"{copy}: refused, its weights are pickled (pytorch_model.bin), {reason}"):
        check(copy)


def test_a_missing_shard_is_named(copy):
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model.safetensors"}}
    (copy / "model.safetensors.index.json").write_text(json.dumps(index))
    with fails(
        f"{copy}: missing weights: model-00001-of-00002.safetensors; there are: model.safetensors"
    ):
        check(copy)


def test_quantized_weights_are_refused(copy):
    edit(copy / "config.json", quantization_config={"quant_method": "gptq", "bits": 4})
    with fails(
        f"{copy}: refused, its weights are quantized (gptq); give the model as published before"
        " that"
    ):
        check(copy)


def test_code_of_its_own_is_refused_and_never_run_unless_trusted(copy):
    (copy / "modeling_own.py").write_text(f"open({str(copy / 'ran')!r}, 'w')")
    edit(
        copy / "config.json",
        model_type="own",
        auto_map={"AutoModelForCausalLM": "modeling_own.Own"},
    )
    reason = "if you trust that code, set `trust_remote_code: true` for this model"
    with fails(
        f"{copy}: refused, 'own' needs Python code of its own (auto_map in config.json); {reason}"
    ):
        check(copy)
    check(copy, trust_remote_code=True)
    assert not (copy / "ran").exists()


def test_a_known_architecture_is_loaded_without_the_code_that_comes_with_it(copy, tmp_path):
    (copy / "modeling_own.py").write_text(f"open({str(copy / 'ran')!r}, 'w')")
    edit(copy / "config.json", auto_map={"AutoModelForCausalLM": "modeling_own.Own"})
    convert(copy, tmp_path / "out", "float32")
    assert not (copy / "ran").exists()
    assert "auto_map" not in json.loads((tmp_path / "out" / "config.json").read_text())


def test_a_trusted_architecture_of_its_own_is_converted_hashed_described_and_loaded_again(
    copy, tmp_path
):
    (copy / "modeling_own.py").write_text(
        "from transformers import LlamaConfig, LlamaForCausalLM\n\n\n"
        'class OwnConfig(LlamaConfig):\n    model_type = "own"\n\n\n'
        "class OwnForCausalLM(LlamaForCausalLM):\n    config_class = OwnConfig\n"
    )
    auto_map = {
        "AutoConfig": "modeling_own.OwnConfig",
        "AutoModelForCausalLM": "modeling_own.OwnForCausalLM",
    }
    edit(
        copy / "config.json", model_type="own", architectures=["OwnForCausalLM"], auto_map=auto_map
    )
    folder = tmp_path / "out"
    convert(copy, folder, "float32", trust_remote_code=True)
    shutil.rmtree(copy)  # what was written stands alone
    model, _ = load_model(folder, "float32", trust_remote_code=True)
    assert type(model).__name__ == "OwnForCausalLM"
    assert base_hash(folder, trust_remote_code=True) == base_hash(model)
    assert describe(folder, trust_remote_code=True)["architecture"] == "OwnForCausalLM"
    with pytest.raises(NeftError, match=r"trust_remote_code"):
        base_hash(folder)
