"""Train a tiny real COMET model offline: a script for COMET's own Python (`python
tests/helpers/tiny_comet.py FOLDER`).

Writes  FOLDER/encoder/                                      random XLM-R (2 layers, hidden 64), its own SentencePiece tokenizer
        FOLDER/lightning_logs/version_0/hparams.yaml       what `comet-train` leaves
        FOLDER/lightning_logs/version_0/checkpoints/*.ckpt
"""

from __future__ import annotations

import csv
import os
import random
import subprocess
import sys
from pathlib import Path

import tiny

COMMON = """
seed_everything: 1
trainer:
  class_path: pytorch_lightning.trainer.trainer.Trainer
  init_args: {accelerator: cpu, devices: 1, max_epochs: EPOCHS, logger: true, enable_progress_bar: false,
              num_sanity_val_steps: 0, default_root_dir: FOLDER, log_every_n_steps: 50, gradient_clip_val: 1.0}
early_stopping:
  class_path: pytorch_lightning.callbacks.early_stopping.EarlyStopping
  init_args: {monitor: val_pearson, mode: max, patience: 99, min_delta: 0.0}
model_checkpoint:
  class_path: pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint
  init_args: {monitor: val_pearson, mode: max, save_top_k: 1, save_weights_only: true}
regression_metric:
  class_path: comet.models.RegressionMetric
  init_args: {encoder_model: XLM-RoBERTa, pretrained_model: FOLDER/encoder, load_pretrained_weights: true,
              local_files_only: true, nr_frozen_epochs: 0,
              keep_embeddings_frozen: false, optimizer: AdamW, encoder_learning_rate: 1.0e-3,
              learning_rate: 1.0e-3, layerwise_decay: 1.0, layer: mix, layer_transformation: softmax, layer_norm: false,
              loss: mse, dropout: 0.0, batch_size: 32, hidden_sizes: [64], activations: Tanh,
              train_data: [FOLDER/train.csv], validation_data: [FOLDER/dev.csv]}
"""


def corrupt(text: str, share: float, pick: random.Random) -> str:
    """A text of which about this share of words is wrong: another word, or none."""
    words = [word for _, target in tiny.pairs() for word in target.split()]
    kept = [
        word if pick.random() >= share else pick.choice([*pick.sample(words, 3), ""])
        for word in text.split()
    ]
    return " ".join(word for word in kept if word) or pick.choice(words)


def write_data(path: Path, rows: int, seed: int) -> None:
    """Translations of known quality: score = share of words that were left as they are."""
    pick = random.Random(seed)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["src", "mt", "ref", "score"])
        for _ in range(rows):
            source, target = pick.choice(tiny.pairs())
            mt = corrupt(target, pick.choice([0, 0.15, 0.3, 0.5, 0.7, 1.0]), pick)
            same = sum(a == b for a, b in zip(mt.split(), target.split(), strict=False))
            writer.writerow([source, mt, target, same / max(len(mt.split()), len(target.split()))])


def make_encoder(folder: Path) -> None:
    """A random XLM-R with the tokenizer class of the real one."""
    import sentencepiece
    import torch
    from transformers import XLMRobertaConfig, XLMRobertaModel, XLMRobertaTokenizerFast

    folder.mkdir(parents=True)
    texts = iter([text for pair in tiny.pairs() for text in pair])
    model = folder / "sentencepiece.bpe.model"
    with model.open("wb") as file:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=texts,
            model_writer=file,
            vocab_size=200,
            hard_vocab_limit=False,
            minloglevel=2,
            num_threads=1,
        )
    tokenizer = XLMRobertaTokenizerFast(vocab_file=str(model))
    tokenizer.save_pretrained(folder)
    torch.manual_seed(1)
    config = XLMRobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=128,
        max_position_embeddings=130,
        type_vocab_size=1,
    )
    XLMRobertaModel(config, add_pooling_layer=False).save_pretrained(folder)


def main(folder: Path) -> None:
    """Make everything and train."""
    make_encoder(folder / "encoder")
    write_data(folder / "train.csv", rows=1500, seed=1)
    write_data(folder / "dev.csv", rows=150, seed=2)
    settings = folder / "train.yaml"
    settings.write_text(COMMON.replace("FOLDER", str(folder)).replace("EPOCHS", "6"))
    command = [sys.executable, "-m", "comet.cli.train", "--cfg", str(settings)]
    subprocess.run(command, check=True, cwd=folder, env=os.environ | {"HF_HUB_OFFLINE": "1"})


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
