"""COMET (Rei et al. 2020, 2022): sums up the scores of segments that `predict_comet.py` made in
COMET's own environment.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, model_validator

from neft.scoring.rows import Rows
from neft.scoring.score import Resampled, Score, mean_score, ratio

if TYPE_CHECKING:
    import numpy as np

FITS = frozenset({"translation"})

READS = frozenset({"segments"})

# What XLM-R, the encoder of COMET's models, was pre-trained on (Conneau et al. 2020, appendix A),
# as ISO 639-1 or, after a slash, 639-3 codes.
_COVERED = """
af/afr am/amh ar/ara as/asm az/aze be/bel bg/bul bn/ben br/bre bs/bos ca/cat cs/ces cy/cym da/dan de/deu el/ell en/eng eo/epo
es/spa et/est eu/eus fa/fas/pes/prs fi/fin fr/fra fy/fry ga/gle gd/gla gl/glg gu/guj ha/hau he/heb hi/hin hr/hrv hu/hun hy/hye
id/ind is/isl it/ita ja/jpn jv/jav ka/kat kk/kaz km/khm kn/kan ko/kor ku/kur/kmr ky/kir la/lat lo/lao lt/lit lv/lav/lvs
mg/mlg/plt mk/mkd ml/mal mn/mon/khk mr/mar ms/msa/zsm my/mya ne/nep/npi nl/nld no/nb/nn/nor/nob/nno om/orm/gaz or/ori/ory
pa/pan pl/pol ps/pus/pbt pt/por ro/ron ru/rus sa/san sd/snd si/sin sk/slk sl/slv so/som sq/sqi/als sr/srp su/sun sv/swe
sw/swa/swh ta/tam te/tel th/tha tl/tgl/fil tr/tur ug/uig uk/ukr ur/urd uz/uzb/uzn vi/vie xh/xho yi/yid/ydd zh/zho/cmn/yue
""".replace("/", " ").split()
_ENCODERS = ("XLM-RoBERTa", "XLM-RoBERTa-XL")


class Spec(Resampled):
    """COMET: a trained model's judgement of a translation beside its source and reference, times
    100.
    """

    kind: Literal["comet"]
    model: str | None = Field(None, pattern=r"^[\w.-]+/[\w.-]+$")
    """A model of the hub (`Unbabel/wmt22-comet-da`), of which `checkpoints/model.ckpt` and
    `hparams.yaml` are fetched.
    """
    revision: str | None = Field(None, pattern=r"^[0-9a-f]{40}$")
    """Its commit, 40 hexadecimal digits."""
    checkpoint: str | None = None
    """Instead of a model of the hub, a local checkpoint (`.ckpt`), with `hparams.yaml` in the
    folder above its own.
    """
    sha256: str | None = Field(None, pattern=r"^[0-9a-f]{64}$")
    """Hash of a checkpoint that you trust: it must match, and the checkpoint may then hold more
    than numbers (it is a pickle, which can run code when it is loaded). Without a hash such a
    checkpoint is refused.
    """
    encoder: str = "FacebookAI/xlm-roberta-large"
    """The encoder that the model was trained on, of which configuration and tokenizer are needed: a
    model of the hub, with its `encoder_revision`, or without that a local folder.
    """
    encoder_revision: str | None = Field(None, pattern=r"^[0-9a-f]{40}$")
    """Commit of an encoder of the hub, 40 hexadecimal digits."""
    batch_size: int = Field(16, ge=1)
    """Segments scored at once."""

    @model_validator(mode="after")
    def _one_model(self) -> Self:
        if (self.model is None) == (self.checkpoint is None):
            raise ValueError("needs either `model` (with `revision`) or `checkpoint`")
        if (self.model is None) != (self.revision is None):
            raise ValueError(
                "`model` and `revision` belong together: a branch may change, and with it the"
                " scores"
            )
        return self


def fetch_specs(spec: Spec) -> dict[str, dict[str, Any]]:
    """The settings of fetch_hub.py for what must be fetched: "metrics" (the model) and
    "encoders".
    """
    found = {}
    if spec.model:
        found["metrics"] = (
            spec.model,
            spec.revision,
            ["checkpoints/model.ckpt", "hparams.yaml"],
        )
    if spec.encoder_revision:
        found["encoders"] = (
            spec.encoder,
            spec.encoder_revision,
            ["*.json", "*.model", "*.txt"],
        )
    return {
        key: {"repo": repo, "revision": revision, "repo_type": "model", "patterns": patterns}
        for key, (repo, revision, patterns) in found.items()
    }


def local_paths(spec: Spec) -> list[str]:
    """Files and folders that must be there."""
    found = [] if spec.encoder_revision else [spec.encoder]
    if spec.checkpoint:
        found += [spec.checkpoint, str(Path(spec.checkpoint).parents[1] / "hparams.yaml")]
    return found


def predict_spec(spec: Spec) -> dict[str, Any]:
    """The settings of predict_comet.py."""
    model = f"{spec.model}@{spec.revision}" if spec.model else None
    return {"model": model, "sha256": spec.sha256, "batch_size": spec.batch_size}


def higher_is_better(spec: Spec) -> bool:
    """Whether the best score is the highest."""
    return True


def decimals(spec: Spec) -> int:
    """How many places tables and figures show."""
    return 1


def margin(spec: Spec) -> float:
    """Below this a difference is of no practical weight, unless `report.margin` says otherwise."""
    return 0.5


def title(spec: Spec) -> str:
    """The name of the score in tables and figures."""
    return "COMET"


def score(rows: Rows, spec: Spec, language: str) -> Score:
    """The mean of the segments' scores x 100, which a model may put below 0 or above 100.

    rows: output rows, each with its `segment` score and `scorer`, the record of what scored it
    (`rows.read_outputs`).
    """
    scorer = rows[0]["scorer"]
    notes = []
    if scorer["encoder"] in _ENCODERS and re.split("[-_]", language.lower())[0] not in _COVERED:
        notes.append(
            f"COMET's encoder was not trained on the language {language}: its scores there mean"
            " little."
        )
    if scorer["empty"]:
        notes.append(f"{scorer['empty']} of {len(rows)} outputs are empty and count as 0.")
    return mean_score(_segments(rows), scorer["signature"], spec, notes=notes)


def statistics(rows: Rows, spec: Spec, language: str) -> np.ndarray:
    """Of each row, [rows, 2] float64: its score x 100 and 1."""
    import numpy as np

    return np.array([[one, 1.0] for one in _segments(rows)])


def value(sums: np.ndarray, spec: Spec) -> np.ndarray:
    """The mean from sums [..., 2] over rows, x 100."""
    return ratio(sums)


def signature(rows: Rows, spec: Spec, language: str) -> str:
    """Which COMET, and which model."""
    return str(rows[0]["scorer"]["signature"])


def _segments(rows: Rows) -> list[float]:
    return [100 * row["segment"] for row in rows]
