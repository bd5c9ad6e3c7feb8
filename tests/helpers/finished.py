"""The files of finished runs, with numbers like real ones: what tables, figures and pages are made
from.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tiny
from neft.results.layout import Layout
from neft.results.runs import UNTUNED, Run, from_spec, paths
from scripts.score import compare_methods, score_outputs

TRIALS = 3
MODEL, DATASET, TEST = "smollm2-135m-instruct", "ui-en-fr", "ui-en-fr"
METRICS = {
    "bleu": {"kind": "bleu", "tokenize": "auto", "lowercase": False, "bootstrap": 100},
    "chrf": {"kind": "chrf", "word_order": 2, "bootstrap": 100},
}
# name: (kind, trained parameters, learning rate, share of words that come out wrong)
METHODS = {
    "base": ("base", 0, 0.0, 0.9),
    "full": ("full", 134_515_008, 1e-4, 0.30),
    "embed": ("embed", 28_311_552, 1e-3, 0.70),
    "in_out": ("modules", 53_084_160, 2e-4, 0.33),
    "lora": ("lora", 12_214_272, 5e-4, 0.40),
    "neft": ("neft", 12_106_368, 3e-4, 0.36),
    "neft_random": ("neft", 12_106_368, 3e-4, 0.45),
    "neft_reversed": ("neft", 12_106_368, 3e-4, 0.55),
}


def runs(
    seeds: tuple[int, ...] = (1,), dataset: str = DATASET, methods: tuple[str, ...] = tuple(METHODS)
) -> list[dict[str, Any]]:
    """The runs of a spec, as the workflow passes them."""
    result = []
    for method in methods:
        kind = METHODS[method][0]
        for seed in seeds if kind != "base" else (0,):
            tuned_on = dataset if kind != "base" else "untuned"
            names = {
                "model": MODEL,
                "dataset": tuned_on,
                "method": method,
                "kind": kind,
                "seed": seed,
                "test": TEST,
            }
            result.append(names | {"metrics": list(METRICS)})
    return result


def write(
    root: Path, runs: list[dict[str, Any]], rows: int = 60, pairs: Sequence[tuple[str, str]] = ()
) -> Path:
    """Write the files of every run under root: outputs, losses and measurements made up; scores, and
    comparisons with `full` and of these pairs, computed.
    """
    for run in runs:
        folder = Path(run["model"], run["dataset"], run["method"], f"seed{run['seed']}")
        _write(root / "generate" / folder / f"{run['test']}.jsonl", _outputs(run, rows))
        if run["dataset"] != "untuned":
            history = _history(run)
            _write(root / "tune" / folder / "chosen" / "history.jsonl", history)
            metrics = root / "tune" / folder / "chosen" / "metrics.json"
            metrics.write_text(json.dumps(_metrics(run, history)), encoding="utf-8")
            trials = [{"trial": f"lr{rate}", "chosen": rate == 1} for rate in range(TRIALS)]
            metrics.with_name("trials.json").write_text(json.dumps(trials), encoding="utf-8")
            near = Layout(root).near(run["dataset"], run["test"])
            near.parent.mkdir(parents=True, exist_ok=True)
            near.write_text(json.dumps({"rows": rows, "near": {"0.66": 6, "0.8": 3}}))
    _score(root, from_spec(runs), pairs)
    return root


def spec(runs: list[dict[str, Any]], **more: Any) -> str:
    """The JSON text of a script's --spec."""
    return json.dumps({"runs": runs, **more})


def _score(root: Path, runs: list[Run], pairs: Sequence[tuple[str, str]]) -> None:
    for run in runs:
        files = paths(root, run)
        for name, metric in METRICS.items():
            options = {"metric": metric, "language": "fr"}
            outputs, score = str(files.outputs), str(files.scores[name])
            arguments = ["--outputs", outputs, "--score", score]
            score_outputs.main(["--spec", json.dumps(options), *arguments])
    for model, dataset, test in {(r.model, r.dataset, r.test) for r in runs if r.tuned}:
        place = [
            run
            for run in runs
            if (run.model, run.test) == (model, test) and run.dataset in (dataset, UNTUNED)
        ]
        methods = dict.fromkeys(run.method for run in place)
        with_full = [(method, "full") for method in methods if method != "full"]
        options = {
            "language": "fr",
            "runs": [{"method": run.method, "seed": run.seed} for run in place],
            "pairs": [*(with_full if "full" in methods else []), *pairs],
        }
        if not options["pairs"]:
            continue
        for name, metric in METRICS.items():
            target = Layout(root).comparisons(model, dataset, test, name)
            outputs = [str(paths(root, run).outputs) for run in place]
            arguments = ["--outputs", *outputs, "--comparisons", str(target)]
            compare_methods.main(["--spec", json.dumps(options | {"metric": metric}), *arguments])


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8"
    )


def _outputs(run: dict[str, Any], rows: int) -> list[dict[str, Any]]:
    wrong = METHODS[run["method"]][3]
    pick = random.Random(f"{run['method']} {run['dataset']} {run['seed']}")
    result = []
    for number, (source, target) in enumerate(tiny.pairs()[:rows]):
        output = " ".join(
            pick.choice(["the", "un", "page", "plan"]) if pick.random() < wrong else word
            for word in target.split()
        )
        result.append(
            {
                "id": number,
                "source": source,
                "reference": target,
                "output": output,
                "text": output,
                "finished": True,
                "tokens": 9,
            }
        )
    return result


def _history(run: dict[str, Any]) -> list[dict[str, Any]]:
    _, parameters, _, wrong = METHODS[run["method"]]
    pick = random.Random(f"{run['method']} {run['seed']}")
    seconds = 1.0 + parameters / 134_515_008
    result = []
    for step in range(1, 101):
        loss = 1.2 + wrong + 2.3 * 0.95**step
        row = {"step": step, "epoch": step / 50, "seconds": round(step * seconds, 2)}
        result.append({"split": "train", **row, "loss": loss + pick.gauss(0, 0.15)})
        if step % 10 == 0:
            result.append({"split": "dev", **row, "loss": loss + 0.1})
    return result


def _metrics(run: dict[str, Any], history: list[dict[str, Any]]) -> dict[str, Any]:
    kind, parameters, rate, _ = METHODS[run["method"]]
    seconds = history[-1]["seconds"] + run["seed"]
    return {
        "method": run["method"],
        "kind": kind,
        "learning_rate": rate,
        "epochs": 2.0,
        "seed": run["seed"],
        "trainable_parameters": parameters,
        "total_parameters": 134_515_008,
        "percent": 100 * parameters / 134_515_008,
        "dev_loss": history[-1]["loss"] + run["seed"] / 1000,
        "train_seconds": seconds,
        "tokens_per_second": 110_000 / seconds,
        "peak_memory_bytes": 1_500_000_000 + 12 * parameters,
        "delta_bytes": 2 * parameters,
        "mask_sha256": "ab" * 32 if kind == "neft" else None,
    }
