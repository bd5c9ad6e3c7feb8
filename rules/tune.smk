"""
Tune the base model with every method, once for each trial of its grid (learning rates, epochs) and beyond, while the best is at
the grid's edge; and keep the best on dev loss.
NEEDS  results/{name}/model/{model}/  results/{name}/data/{dataset}/{train,dev}.jsonl  results/{name}/mask/…
MAKES  results/{name}/tune/{model}/{dataset}/{method}/seed{seed}/{trial}/…  results/{name}/tune/…/search/{round}.json
       results/{name}/tune/{model}/{dataset}/{method}/seed{seed}/chosen/{delta.safetensors,delta.json,metrics.json,history.jsonl}
"""

from neft.storage.files import read_json
from neft.workflow.plan.tune import TRIAL, TunePlan

# A round of the search is known when its job has run: until then Snakemake plans no further.
TUNE = TunePlan(
    CONFIG,
    lambda w, round: read_json(
        checkpoints.weigh_trials.get(
            name=CONFIG.name,
            model=w.model,
            dataset=w.dataset,
            method=w.method,
            seed=w.seed,
            round=round,
        ).output.round
    )["add"],
)


wildcard_constraints:
    trial=TRIAL,
    round="[0-9]+",


rule tune_model:
    """Tune the base model with one method at one learning rate and number of epochs; keep what changed."""
    input:
        unpack(TUNE.tune_model_inputs),
        train="results/{name}/data/{dataset}/train.jsonl",
        dev="results/{name}/data/{dataset}/dev.jsonl",
    output:
        delta="results/{name}/tune/{model}/{dataset}/{method}/seed{seed}/{trial}/delta.safetensors",
        record="results/{name}/tune/{model}/{dataset}/{method}/seed{seed}/{trial}/delta.json",
        metrics="results/{name}/tune/{model}/{dataset}/{method}/seed{seed}/{trial}/metrics.json",
        history="results/{name}/tune/{model}/{dataset}/{method}/seed{seed}/{trial}/history.jsonl",
    log:
        "results/{name}/tune/{model}/{dataset}/{method}/seed{seed}/{trial}/tune.log",
    benchmark:
        "results/{name}/tune/{model}/{dataset}/{method}/seed{seed}/{trial}/benchmark.tsv"
    conda:
        "../envs/main.yaml"
    threads: THREADS * RANKS["tune_model"]
    resources:
        gpu=GPU,
        mem_mb=NEEDS.tune_mb,
        runtime=NEEDS.tune_minutes,
    params:
        spec=TUNE.tune_model,
        code=TUNE.tune_model_code,
        mask=lambda w, input: options(input, "mask"),
    shell:
        r"""
        PYTHONPATH=. python -m neft.workflow.gpus {resources.gpu} python -m neft.workflow.processes {resources.gpu} scripts/tune/tune_model.py \
            --spec {params.spec:q} \
            --model {input.model:q} \
            --model-record {input.model_record:q} \
            --train {input.train:q} \
            --dev {input.dev:q} \
            --checkpoints "$(dirname {output.delta:q})"/checkpoints \
            --threads {threads} \
            --delta {output.delta:q} \
            --record {output.record:q} \
            --metrics {output.metrics:q} \
            --history {output.history:q} \
            {params.mask:q} |& tee {log:q}
        """


checkpoint weigh_trials:
    """Whether a method's best trial is at the edge of those so far; then name the next one."""
    input:
        metrics=TUNE.weigh_trials_inputs,
    output:
        round="results/{name}/tune/{model}/{dataset}/{method}/seed{seed}/search/{round}.json",
    log:
        "results/{name}/tune/{model}/{dataset}/{method}/seed{seed}/search/{round}.log",
    benchmark:
        "results/{name}/tune/{model}/{dataset}/{method}/seed{seed}/search/{round}.benchmark.tsv"
    conda:
        "../envs/main.yaml"
    resources:
        runtime=10,
    params:
        spec=TUNE.weigh_trials,
        code=code("weigh_trials"),
    shell:
        r"""
        PYTHONPATH=. python scripts/tune/weigh_trials.py \
            --spec {params.spec:q} \
            --metrics {input.metrics:q} \
            --round {output.round:q} |& tee {log:q}
        """


rule choose_trial:
    """Of a method's trials keep the one with the lowest dev loss."""
    input:
        unpack(TUNE.choose_trial_inputs),
    output:
        delta="results/{name}/tune/{model}/{dataset}/{method}/seed{seed}/chosen/delta.safetensors",
        record="results/{name}/tune/{model}/{dataset}/{method}/seed{seed}/chosen/delta.json",
        metrics="results/{name}/tune/{model}/{dataset}/{method}/seed{seed}/chosen/metrics.json",
        history="results/{name}/tune/{model}/{dataset}/{method}/seed{seed}/chosen/history.jsonl",
        summary="results/{name}/tune/{model}/{dataset}/{method}/seed{seed}/chosen/trials.json",
    log:
        "results/{name}/tune/{model}/{dataset}/{method}/seed{seed}/chosen/choose.log",
    benchmark:
        "results/{name}/tune/{model}/{dataset}/{method}/seed{seed}/chosen/benchmark.tsv"
    conda:
        "../envs/main.yaml"
    resources:
        runtime=10,
    params:
        spec=TUNE.choose_trial,
        code=code("choose_trial"),
        folders=TUNE.folders,
    shell:
        r"""
        PYTHONPATH=. python scripts/tune/choose_trial.py \
            --spec {params.spec:q} \
            --trials {params.folders:q} \
            --delta {output.delta:q} \
            --record {output.record:q} \
            --metrics {output.metrics:q} \
            --history {output.history:q} \
            --summary {output.summary:q} |& tee {log:q}
        """
