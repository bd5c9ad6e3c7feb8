"""From a model as published to the base model of all runs: one Hugging Face directory of one number
format.

Reads   a Hugging Face directory with safetensors weights, or one GGUF file
Writes  a Hugging Face directory: safetensors, tokenizer with a chat template and a padding token of its own
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from neft.errors import NeftError
from neft.storage.files import read_json, writing

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")
SHARD = "4GB"
SENTENCE = "  Où est-ce ?\n12 345 files,  7 × 8; 日本語 it's"


def convert(
    source: Path,
    folder: Path,
    dtype: str,
    chat_template: str | None = None,
    trust_remote_code: bool = False,
) -> None:
    """Write the model at `source` into `folder`, its weights rounded to `dtype` ("bfloat16" or
    "float32").

    chat_template: Jinja text that replaces the tokenizer's own. trust_remote_code: let the
    directory's own Python code run. Raises NeftError if the model can't be used, saying why, or if
    what was written doesn't read back the same.
    """
    if source.suffix == ".gguf":
        model, tokenizer = _load_gguf(source, dtype)
    else:
        check(source, trust_remote_code)
        model, tokenizer = _load_folder(source, dtype, trust_remote_code)
    rows = model.get_input_embeddings().weight.shape[0]
    if len(tokenizer) > rows:
        raise NeftError(
            f"{source}: the tokenizer has {len(tokenizer):,} tokens, the model's embedding {rows:,}"
        )
    _set_template(tokenizer, source, chat_template)
    _set_special_tokens(model, tokenizer, source)
    with writing(folder):
        model.save_pretrained(folder, max_shard_size=SHARD)
        tokenizer.save_pretrained(folder)
    for path in folder.iterdir():
        path.chmod(
            (folder / "config.json").stat().st_mode
        )  # safetensors writes files that only their owner may read
    _verify(model, tokenizer, folder, trust_remote_code)


def check(folder: Path, trust_remote_code: bool = False) -> None:
    """Raise NeftError, saying what is wrong, unless the directory holds a whole model that is safe
    to load.
    """
    if not folder.is_dir():
        raise NeftError(f"{folder}: no such directory; expected a Hugging Face model directory")
    if not (folder / "config.json").is_file():
        raise NeftError(f"{folder}: no config.json; expected a Hugging Face model directory")
    config = read_json(folder / "config.json")
    if not isinstance(config, dict):
        raise NeftError(
            f"{folder / 'config.json'}: expected a JSON object, got {type(config).__name__}"
        )
    if (
        folder / "adapter_config.json"
    ).exists():  # transformers would load the base that it names, from anywhere
        raise NeftError(
            f"{folder}: refused, it holds a PEFT adapter (adapter_config.json); give the model with"
            " it merged in"
        )
    weights = sorted(path.name for path in folder.glob("*.safetensors"))
    pickles = sorted(path.name for pattern in PICKLES for path in folder.glob(pattern))
    if not weights and pickles:
        raise NeftError(
            f"{folder}: refused, its weights are pickled ({', '.join(pickles[:3])}), and reading a"
            " pickle can run any code; give a version of the model with .safetensors weights"
        )
    from neft.models.checkpoint import INDEX, shards

    needed = shards(folder / INDEX) if (folder / INDEX).is_file() else ["model.safetensors"]
    missing = [name for name in needed if name not in weights]
    if missing:
        raise NeftError(
            f"{folder}: missing weights: {', '.join(missing)}; there are:"
            f" {', '.join(weights) or 'none'}"
        )
    if "quantization_config" in config:
        settings = config["quantization_config"]
        method = (
            settings.get("quant_method", "unknown method")
            if isinstance(settings, dict)
            else "unknown method"
        )
        raise NeftError(
            f"{folder}: refused, its weights are quantized ({method}); give the model as published"
            " before that"
        )
    if "auto_map" in config and not trust_remote_code and not _is_known(config.get("model_type")):
        raise NeftError(
            f"{folder}: refused, '{config.get('model_type')}' needs Python code of its own"
            " (auto_map in config.json); if you trust that code, set `trust_remote_code: true` for"
            " this model"
        )


def _is_known(model_type: object) -> bool:
    from transformers import CONFIG_MAPPING

    return isinstance(model_type, str) and model_type in CONFIG_MAPPING


def _load_folder(source: Path, dtype: str, trust: bool) -> tuple[Any, PreTrainedTokenizerBase]:
    place = {"pretrained_model_name_or_path": source, "trust_remote_code": trust}
    model, tokenizer = _load(source, place, dtype=dtype, use_safetensors=True)
    if not trust:
        model.config.__dict__.pop("auto_map", None)  # the code that it names isn't copied
    return model, tokenizer


def _load_gguf(source: Path, dtype: str) -> tuple[Any, PreTrainedTokenizerBase]:
    from gguf import GGUFReader
    from tokenizers import pre_tokenizers
    from transformers import GgufConfig

    with source.open("rb") as file:
        if file.read(4) != b"GGUF":
            raise NeftError(f"{source}: not a GGUF file: it doesn't start with 'GGUF'")
    place = {"pretrained_model_name_or_path": source.parent, "gguf_file": source.name}
    model, tokenizer = _load(
        source, place, dtype=dtype, quantization_config=GgufConfig(dequantize=True)
    )
    splitter = GGUFReader(source).fields.get("tokenizer.ggml.pre")
    if splitter is not None and splitter.contents() == "smollm":
        # transformers doesn't know that this vocabulary was learned with every digit apart
        # (llama.cpp: \p{N}).
        digits, bytes_ = (
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        )
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, bytes_])
    return model, tokenizer


def _load(
    source: Path, place: dict[str, Any], **options: Any
) -> tuple[Any, PreTrainedTokenizerBase]:
    """Let transformers load model and tokenizer; place: where from, options: for the model
    alone.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(**place)
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            **place, **options, output_loading_info=True
        )
    except Exception as error:  # foreign files in a library that checks few of their values
        what = (
            f"{type(error).__name__}: {error}"
            if isinstance(error, LookupError | TypeError | AttributeError)
            else error
        )
        raise NeftError(
            f"{source}: transformers can't load it as a causal language model: {what}"
        ) from error
    model, found = loaded
    if found["missing_keys"]:  # transformers would go on with random numbers
        some = ", ".join(sorted(found["missing_keys"])[:3])
        raise NeftError(
            f"{source}: {len(found['missing_keys'])} tensors of the model are not in its files,"
            f" such as {some}"
        )
    return model, tokenizer


def _set_template(tokenizer: PreTrainedTokenizerBase, source: Path, template: str | None) -> None:
    """Use the given chat template, else the tokenizer's own, and see that it renders."""
    from jinja2 import TemplateError

    if template is not None:
        tokenizer.chat_template = template
    if tokenizer.chat_template is None:
        raise NeftError(
            f"{source}: the tokenizer has no chat template; give one as `chat_template` of this"
            " model"
        )
    try:
        text = tokenizer.apply_chat_template(
            [{"role": "user", "content": "Hello"}], tokenize=False, add_generation_prompt=True
        )
    except (TemplateError, TypeError) as error:
        raise NeftError(f"{source}: the chat template can't be rendered: {error}") from error
    if "Hello" not in text:
        raise NeftError(
            f"{source}: the chat template leaves out the user's message; it gives {text[:200]!r}"
        )


def _set_special_tokens(model: Any, tokenizer: PreTrainedTokenizerBase, source: Path) -> None:
    """Give padding a token that isn't the end token, and say the same in tokenizer, config and
    generation config.

    Where both are one, code that leaves padding out of the loss leaves out the end of every answer
    too, and the tuned model never stops.
    """
    from transformers import GenerationConfig

    if tokenizer.eos_token_id is None:
        raise NeftError(
            f"{source}: the tokenizer names no end token; set eos_token in its"
            " tokenizer_config.json"
        )
    if tokenizer.pad_token_id in (None, tokenizer.eos_token_id):
        special = [
            token for _, token in sorted(tokenizer.added_tokens_decoder.items()) if token.special
        ]
        taken = (tokenizer.eos_token, tokenizer.bos_token)
        free = [
            str(token)
            for token in special
            if str(token) not in taken and str(token) not in tokenizer.chat_template
        ]
        if not free:
            raise NeftError(
                f"{source}: the tokenizer has no token for padding: each of its special tokens"
                " marks the beginning or the end; set pad_token in its tokenizer_config.json"
            )
        tokenizer.pad_token = free[0]
    published = (
        model.generation_config.eos_token_id if model.generation_config is not None else None
    )
    others = published if isinstance(published, list) else [published]
    ends = list(dict.fromkeys(i for i in [tokenizer.eos_token_id, *others] if i is not None))
    ids = {
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": ends if len(ends) > 1 else ends[0],
        "pad_token_id": tokenizer.pad_token_id,
    }
    model.config.update(ids)
    # Only the ids: the publisher's sampling settings must not leak into a comparison of methods.
    model.generation_config = GenerationConfig(**ids)  # type: ignore[no-untyped-call]


def _verify(model: Any, tokenizer: PreTrainedTokenizerBase, folder: Path, trust: bool) -> None:
    """Read the directory back and compare it with what was to be written."""
    from transformers import AutoTokenizer, GenerationConfig

    from neft.models.identity import base_hash

    again = AutoTokenizer.from_pretrained(folder, trust_remote_code=trust)
    config, generation = read_json(folder / "config.json"), GenerationConfig.from_pretrained(folder)
    same = {
        "weights": base_hash(folder, trust) == base_hash(model),
        "tokens": again(SENTENCE)["input_ids"] == tokenizer(SENTENCE)["input_ids"],
        "chat template": again.chat_template == tokenizer.chat_template,
        "padding token": (
            again.pad_token_id
            == config["pad_token_id"]
            == generation.pad_token_id
            == tokenizer.pad_token_id
        ),
        "end token": (
            again.eos_token_id == tokenizer.eos_token_id
            and config["eos_token_id"] == generation.eos_token_id
        ),
    }
    wrong = [what for what, holds in same.items() if not holds]
    if wrong:
        raise NeftError(
            f"{folder}: the converted model doesn't read back as it was written: {', '.join(wrong)}"
        )
