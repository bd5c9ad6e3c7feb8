"""What every metric says of itself."""

import pytest

from neft import plugins


@pytest.mark.parametrize("kind", plugins.available("metrics"))
def test_a_metric_says_which_tasks_it_fits_and_how_it_is_ranked_and_printed(kind):
    metric = plugins.load("metrics", kind)
    options = {"model": "a/b", "revision": "0" * 40} if kind == "comet" else {}
    spec = metric.Spec.model_validate({"kind": kind, **options})
    assert set(plugins.available("tasks")) >= metric.FITS > set()
    assert isinstance(metric.higher_is_better(spec), bool)
    assert metric.decimals(spec) >= 0


@pytest.mark.parametrize("task", plugins.available("tasks"))
def test_every_task_has_a_metric_that_fits_it(task):
    assert any(task in plugins.load("metrics", m).FITS for m in plugins.available("metrics"))
