"""
Find the neurons to train: tune everything for a few steps, see which neurons moved, keep the budget's share; or look at the first
gradients, or at what the hidden states tell apart.
NEEDS  results/{name}/model/{model}/  results/{name}/data/{dataset}/{train,dev}.jsonl
MAKES  results/{name}/mask/{model}/{dataset}/seed{seed}/{mask}.{safetensors,json}
"""

from neft.workflow.plan.select import SelectPlan

SELECT = SelectPlan(CONFIG)


wildcard_constraints:
    variant="(-noise|-shuffled)?(-step[0-9]+)?",


rule train_probe:
    """Full fine-tuning for a few steps, kept in float32; for masks of an early step up to that one. Of a control on other rows."""
    input:
        unpack(MODEL.inputs),
        train="results/{name}/data/{dataset}/train.jsonl",
        dev="results/{name}/data/{dataset}/dev.jsonl",
    output:
        # Only its distances from the base model are needed, so it goes as soon as these exist.
        folder=(directory if CONFIG.probe.keep else lambda path: temp(directory(path)))(
            "results/{name}/probe/{model}/{dataset}/seed{seed}{variant}/model"
        ),
        metrics="results/{name}/probe/{model}/{dataset}/seed{seed}{variant}/metrics.json",
        history="results/{name}/probe/{model}/{dataset}/seed{seed}{variant}/history.jsonl",
    log:
        "results/{name}/probe/{model}/{dataset}/seed{seed}{variant}/probe.log",
    benchmark:
        "results/{name}/probe/{model}/{dataset}/seed{seed}{variant}/benchmark.tsv"
    conda:
        "../envs/main.yaml"
    threads: THREADS * RANKS["train_probe"]
    resources:
        gpu=GPU,
        mem_mb=NEEDS.probe_mb,
        runtime=NEEDS.probe_minutes,
    params:
        spec=SELECT.train_probe,
        code=SELECT.train_probe_code,
    shell:
        r"""
        PYTHONPATH=. python -m neft.workflow.gpus {resources.gpu} python -m neft.workflow.processes {resources.gpu} scripts/select/train_probe.py \
            --spec {params.spec:q} \
            --model {input.model:q} \
            --model-record {input.model_record:q} \
            --train {input.train:q} \
            --dev {input.dev:q} \
            --checkpoints "$(dirname {output.metrics:q})"/checkpoints \
            --threads {threads} \
            --folder {output.folder:q} \
            --metrics {output.metrics:q} \
            --history {output.history:q} |& tee {log:q}
        """


rule compare_neurons:
    """How far every neuron turned and moved from the base model to the probe."""
    input:
        unpack(MODEL.inputs),
        probe="results/{name}/probe/{model}/{dataset}/seed{seed}{variant}/model",
    output:
        distances="results/{name}/similarity/{model}/{dataset}/seed{seed}{variant}.safetensors",
        norms="results/{name}/similarity/{model}/{dataset}/seed{seed}{variant}.norms.safetensors",
    log:
        "results/{name}/similarity/{model}/{dataset}/seed{seed}{variant}.log",
    benchmark:
        "results/{name}/similarity/{model}/{dataset}/seed{seed}{variant}.benchmark.tsv"
    conda:
        "../envs/main.yaml"
    threads: THREADS
    resources:
        mem_mb=grown(2000),
        runtime=grown(60),
    params:
        spec=SELECT.compare_neurons,
        code=code("compare_neurons"),
    shell:
        r"""
        PYTHONPATH=. python scripts/select/compare_neurons.py \
            --spec {params.spec:q} \
            --base {input.model:q} \
            --tuned {input.probe:q} \
            --distances {output.distances:q} \
            --norms {output.norms:q} |& tee {log:q}
        """


rule sum_gradients:
    """How large every neuron's gradient is over the first batches."""
    input:
        unpack(MODEL.inputs),
        train="results/{name}/data/{dataset}/train.jsonl",
    output:
        gradients="results/{name}/gradient/{model}/{dataset}/seed{seed}/{mask}.safetensors",
    log:
        "results/{name}/gradient/{model}/{dataset}/seed{seed}/{mask}.log",
    benchmark:
        "results/{name}/gradient/{model}/{dataset}/seed{seed}/{mask}.benchmark.tsv"
    conda:
        "../envs/main.yaml"
    threads: THREADS
    resources:
        gpu=GPU,
        mem_mb=6000,
        runtime=60,
    params:
        spec=SELECT.sum_gradients,
        code=SELECT.sum_gradients_code,
    shell:
        r"""
        PYTHONPATH=. python -m neft.workflow.gpus {resources.gpu} python scripts/select/sum_gradients.py \
            --spec {params.spec:q} \
            --model {input.model:q} \
            --model-record {input.model_record:q} \
            --train {input.train:q} \
            --threads {threads} \
            --gradients {output.gradients:q} |& tee {log:q}
        """


rule read_activations:
    """How strongly the base model's neurons answer to the train rows."""
    input:
        unpack(MODEL.inputs),
        train="results/{name}/data/{dataset}/train.jsonl",
    output:
        activations="results/{name}/activation/{model}/{dataset}.safetensors",
    log:
        "results/{name}/activation/{model}/{dataset}.log",
    benchmark:
        "results/{name}/activation/{model}/{dataset}.benchmark.tsv"
    conda:
        "../envs/main.yaml"
    threads: THREADS
    resources:
        gpu=GPU,
        mem_mb=4000,
        runtime=120,
    params:
        spec=SELECT.read_activations,
        code=SELECT.read_activations_code,
    shell:
        r"""
        PYTHONPATH=. python -m neft.workflow.gpus {resources.gpu} python scripts/select/read_activations.py \
            --spec {params.spec:q} \
            --model {input.model:q} \
            --model-record {input.model_record:q} \
            --train {input.train:q} \
            --threads {threads} \
            --activations {output.activations:q} |& tee {log:q}
        """


rule read_states:
    """What the base model makes of prompts with a known class: each layer's mean hidden states."""
    input:
        unpack(MODEL.inputs),
        train="results/{name}/data/{dataset}/train.jsonl",
        dev="results/{name}/data/{dataset}/dev.jsonl",
    output:
        states="results/{name}/states/{model}/{dataset}.safetensors",
    log:
        "results/{name}/states/{model}/{dataset}.log",
    benchmark:
        "results/{name}/states/{model}/{dataset}.benchmark.tsv"
    conda:
        "../envs/main.yaml"
    threads: THREADS
    resources:
        gpu=GPU,
        mem_mb=4000,
        runtime=120,
    params:
        spec=SELECT.read_states,
        code=SELECT.read_states_code,
    shell:
        r"""
        PYTHONPATH=. python -m neft.workflow.gpus {resources.gpu} python scripts/select/read_states.py \
            --spec {params.spec:q} \
            --model {input.model:q} \
            --model-record {input.model_record:q} \
            --train {input.train:q} \
            --dev {input.dev:q} \
            --threads {threads} \
            --states {output.states:q} |& tee {log:q}
        """


rule select_neurons:
    """Rank the neurons by one selector and keep the budget's share."""
    input:
        unpack(SELECT.select_neurons_inputs),
    output:
        mask="results/{name}/mask/{model}/{dataset}/seed{seed}/{mask}.safetensors",
        record="results/{name}/mask/{model}/{dataset}/seed{seed}/{mask}.json",
    log:
        "results/{name}/mask/{model}/{dataset}/seed{seed}/{mask}.log",
    benchmark:
        "results/{name}/mask/{model}/{dataset}/seed{seed}/{mask}.benchmark.tsv"
    conda:
        "../envs/main.yaml"
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        spec=SELECT.select_neurons,
        code=SELECT.select_neurons_code,
        reads=lambda w, input: options(
            input,
            "distances",
            "references",
            "norms",
            "gradients",
            "activations",
            "states",
            "masks",
        ),
    shell:
        r"""
        PYTHONPATH=. python scripts/select/select_neurons.py \
            --spec {params.spec:q} \
            --seed {wildcards.seed} \
            --model {input.model:q} \
            --model-record {input.model_record:q} \
            --mask {output.mask:q} \
            --record {output.record:q} \
            {params.reads:q} |& tee {log:q}
        """
