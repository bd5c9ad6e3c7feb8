"""A tiny model and tiny parallel text, made on the spot: real files of the real formats, small
enough to train in a second.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import tarfile
import zipfile
from pathlib import Path

VERBS = {
    "Open": "Ouvrir",
    "Close": "Fermer",
    "Save": "Enregistrer",
    "Delete": "Supprimer",
    "Show": "Afficher",
    "Hide": "Masquer",
}
THINGS = {
    "the file": "le fichier",
    "the folder": "le dossier",
    "the window": "la fenêtre",
    "the notebook": "le carnet",
    "the settings": "les paramètres",
    "the last cell": "la dernière cellule",
    "the selected text": "le texte sélectionné",
    "the left sidebar": "la barre latérale gauche",
    "all of the tabs": "tous les onglets",
    "this terminal session": "cette session de terminal",
}
# SmolLM2's own: what the default model's chats look like.
CHAT_TEMPLATE = """{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system
You are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>
' }}{% endif %}{{'<|im_start|>' + message['role'] + '
' + message['content'] + '<|im_end|>' + '
'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant
' }}{% endif %}"""
SPECIAL_TOKENS = [
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
]  # ids 0, 1, 2 as in SmolLM2: pad, bos, eos


def pairs() -> list[tuple[str, str]]:
    """Sixty English sentences with their French translations, all different."""
    combinations = itertools.product(VERBS.items(), THINGS.items())
    return [
        (f"{verb} {thing}", f"{verbe} {chose}") for (verb, verbe), (thing, chose) in combinations
    ]


def write_pairs(path: Path) -> Path:
    """Write the pairs as TSV with the columns `en` and `fr`: what a user brings."""
    path.write_text(
        "en\tfr\n" + "".join(f"{source}\t{target}\n" for source, target in pairs()),
        encoding="utf-8",
    )
    return path


def write_rows(path: Path) -> Path:
    """Write the pairs as JSON Lines {id, source, target}: what the pipeline makes of them."""
    rows = [
        {"id": number, "source": source, "target": target}
        for number, (source, target) in enumerate(pairs())
    ]
    path.write_text(
        "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8"
    )
    return path


def make_tokenizer():
    """A byte-level BPE tokenizer of 384 tokens with SmolLM2's special tokens and chat template."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()  # all bytes, so that every text has tokens
    trainer = trainers.BpeTrainer(
        vocab_size=384,
        special_tokens=SPECIAL_TOKENS,
        initial_alphabet=alphabet,
        show_progress=False,
    )
    tokenizer.train_from_iterator(
        [text for pair in pairs() for text in pair] + [CHAT_TEMPLATE], trainer
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<|endoftext|>",
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
        chat_template=CHAT_TEMPLATE,
        model_max_length=256,
    )


def make_tiny_model(
    folder: Path,
    dtype: str = "float32",
    layers: int = 2,
    tied: bool = True,
    seed: int = 0,
    intermediate: int = 64,
) -> Path:
    """Write a random Llama (hidden 32, 4 heads of which 2 for keys) and its tokenizer as a Hugging
    Face directory.

    `tied` shares the input embedding with the head, as SmolLM2 does. The same arguments give the
    same weights.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = make_tokenizer()
    config = LlamaConfig(
        hidden_size=32,
        intermediate_size=intermediate,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        vocab_size=len(tokenizer),
        max_position_embeddings=256,
        tie_word_embeddings=tied,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    with torch.random.fork_rng():  # the caller's own random numbers stay as they were
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config).to(getattr(torch, dtype))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def write_wheel(folder: Path, package: str, version: str, members: dict[str, bytes]) -> Path:
    """Write a wheel that pip accepts, with these files in it; the same arguments give the same
    bytes.
    """
    distribution = f"{package.replace('-', '_')}-{version}"
    metadata = f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n"
    tags = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    info = {"METADATA": metadata, "WHEEL": tags, "RECORD": ""}
    everything = members | {
        f"{distribution}.dist-info/{name}": text.encode() for name, text in info.items()
    }
    path = folder / f"{distribution}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for name, content in everything.items():
            wheel.writestr(zipfile.ZipInfo(name), content)
    return path


def write_tar(path: Path, members: dict[str, bytes]) -> Path:
    """Write a tar archive, compressed as its suffix says; an sdist is one with a single folder in
    it.
    """
    with tarfile.open(path, f"w:{path.suffix[1:]}") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def write_gguf(path: Path, model_folder: Path) -> Path:
    """Write a Hugging Face Llama as GGUF, in float32, the way llama.cpp's converter lays it out."""
    import gguf
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(model_folder)
    tokenizer = AutoTokenizer.from_pretrained(model_folder)
    config = model.config
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_vocab_size(config.vocab_size)

    bpe = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(sorted(bpe["vocab"], key=bpe["vocab"].get))
    kinds = [gguf.TokenType.CONTROL] * len(SPECIAL_TOKENS)
    writer.add_token_types(kinds + [gguf.TokenType.NORMAL] * (config.vocab_size - len(kinds)))
    writer.add_token_merges([" ".join(pair) for pair in bpe["merges"]])
    writer.add_bos_token_id(tokenizer.bos_token_id)
    writer.add_eos_token_id(tokenizer.eos_token_id)
    writer.add_unk_token_id(tokenizer.pad_token_id)
    writer.add_pad_token_id(tokenizer.eos_token_id)  # SmolLM2's file, too, pads with the end token
    writer.add_add_bos_token(False)
    writer.add_chat_template(tokenizer.chat_template)

    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    for name, tensor in model.state_dict().items():
        stem, suffix = name.rsplit(".", 1)
        if stem == "lm_head" and config.tie_word_embeddings:
            continue
        for part, heads in (
            ("q_proj", config.num_attention_heads),
            ("k_proj", config.num_key_value_heads),
        ):
            if part in stem:  # llama.cpp interleaves the two halves that rotary embedding turns
                tensor = (
                    tensor.reshape(heads, 2, -1, tensor.shape[1])
                    .swapaxes(1, 2)
                    .reshape(tensor.shape)
                )
        writer.add_tensor(f"{names.get_name(stem)}.{suffix}", tensor.contiguous().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def write_hub_cache(cache: Path, kind: str, repo: str, revision: str, source: Path) -> Path:
    """Lay a folder's files out as the hub's cache holds a downloaded commit; kind: "models" or
    "datasets".
    """
    storage = cache / f"{kind}--{repo.replace('/', '--')}"
    snapshot = storage / "snapshots" / revision
    (storage / "blobs").mkdir(parents=True)
    (storage / "refs").mkdir()
    (storage / "refs" / "main").write_text(revision)
    for path in sorted(p for p in source.rglob("*") if p.is_file()):
        blob = storage / "blobs" / hashlib.sha256(path.read_bytes()).hexdigest()
        blob.write_bytes(path.read_bytes())
        link = snapshot / path.relative_to(source)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(blob)
    return cache


def output_rows(outputs, references, sources=None) -> list[dict]:
    """Rows as generation writes them, with the keys that metrics read."""
    sources = sources or [""] * len(outputs)
    return [
        {"id": number, "source": source, "reference": reference, "output": output, "text": output}
        for number, (source, reference, output) in enumerate(
            zip(sources, references, outputs, strict=True)
        )
    ]
