"""What does the base model make of the prompts, layer by layer? Hidden states for the `probe`
selector.

Reads   MODEL/                     the base model; model.json, its record {base_hash, …}
        train.jsonl, dev.jsonl     rows of a task with a fixed list of answers
Writes  STATES (safetensors)       per split and layer float32 [rows, hidden]: means over the prompt's tokens; the rows' classes
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from neft import plugins
from neft.errors import NeftError
from neft.schema import Strict
from neft.script import parser, run
from neft.storage import files


class Spec(Strict):
    """Which prompts, and how they are read."""

    task: Annotated[Any, plugins.block("tasks")]
    max_length: int
    """Tokens of a prompt; rows with a longer one are left out."""
    precision: str
    trust_remote_code: bool = False


def main(argv: Sequence[str] | None = None) -> None:
    arguments = parser(__doc__, Spec)
    arguments.add_argument("--model", required=True, help="base model, a Hugging Face directory")
    arguments.add_argument("--model-record", required=True, help="its record, with the base hash")
    arguments.add_argument("--train", required=True, help="rows to fit classifiers on")
    arguments.add_argument("--dev", required=True, help="rows to measure their accuracy on")
    arguments.add_argument("--threads", type=int, default=1, help="CPU threads")
    arguments.add_argument("--states", required=True, help="file to write")
    args = arguments.parse_args(argv)

    import torch

    from neft.data import encode
    from neft.models import runtime
    from neft.selection import states

    spec: Spec = args.spec
    device = runtime.start(args.threads)
    model, tokenizer = runtime.load_model(
        args.model, spec.precision, spec.trust_remote_code, device
    )
    task = plugins.load("tasks", spec.task.kind)
    choices = task.choices(spec.task)
    classes, means, dropped = {}, {}, {}
    for split in ("train", "dev"):
        rows = files.read_rows(getattr(args, split))
        prompts = [encode.prompt_ids(tokenizer, task.messages(row, spec.task)) for row in rows]
        kept = [number for number, prompt in enumerate(prompts) if len(prompt) <= spec.max_length]
        if not kept:
            raise NeftError(
                f"{getattr(args, split)}: no prompt of at most {spec.max_length} tokens"
            )
        targets = [task.target(rows[number], spec.task) for number in kept]
        classes[split] = torch.tensor(
            [choices.index(target) for target in targets], dtype=torch.int32
        )
        means[split] = states.means(model, [prompts[number] for number in kept])
        dropped[split] = len(rows) - len(kept)
    about = {
        "base_hash": files.read_json(args.model_record)["base_hash"],
        "dropped_too_long": dropped,
    }
    states.States(choices, classes, means).save(args.states, about)


if __name__ == "__main__":
    run(main)
