from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

import finished
from neft.errors import NeftError
from neft.results import runs
from neft.storage import files
from scripts.report import show_samples

METHODS = ("base", "full", "neft")


@pytest.fixture
def root(tmp_path):
    return finished.write(tmp_path / "root", finished.runs(methods=METHODS))


def show(root, folder, **options):
    spec = {
        "title": "Sample outputs",
        "samples": 10,
        "seed": 1,
        "metrics": ["accuracy", "chrf"],
    } | options
    spec["languages"] = {finished.TEST: {"source": "en", "output": "fr"}}
    path = folder / "samples.html"
    show_samples.main(
        [
            "--spec",
            finished.spec(finished.runs(methods=METHODS), **spec),
            "--results",
            str(root),
            "--page",
            str(path),
        ]
    )
    return path.read_text(encoding="utf-8")


def sentences(page):
    return [int(number) for number in re.findall(r"sentence (\d+)<", page)]


def test_a_sample_of_the_asked_size_is_drawn_by_its_seed(root, tmp_path):
    first, again, other = (sentences(show(root, tmp_path, seed=seed)) for seed in (1, 1, 2))
    assert len(first) == 10 and first == again != other and first == sorted(set(first))


def test_more_than_there_are_shows_all(root, tmp_path):
    assert sentences(show(root, tmp_path, samples=1000)) == list(range(60))


def test_every_method_stands_under_its_sentence_with_its_own_score(root, tmp_path):
    page = show(root, tmp_path)
    number = sentences(page)[0]
    card = page[page.index(f"sentence {number}<") : page.index("</article>")]
    assert re.findall(r'<th scope="row">(\w+)</th>', card) == list(METHODS)
    run = runs.from_spec(finished.runs(methods=("neft",)))[0]
    paths = runs.paths(root, run)
    assert f">{files.read_rows(paths.outputs)[number]['output']}<" in card
    assert f">{files.read_json(paths.scores['chrf'])['segments'][number]:.1f}<" in card
    assert "beside each output its chrF++" in page


def test_texts_say_their_language(root, tmp_path):
    page = show(root, tmp_path)
    card = page[page.index("<article>") : page.index("</article>")]
    assert card.count('<span lang="en">') == 1
    assert card.count('<b lang="fr">') == 1
    assert card.count('<span lang="fr">') == len(METHODS)


def test_without_a_metric_there_are_no_scores(root, tmp_path):
    assert 'class="score"' not in show(root, tmp_path, metrics=[])


def rewrite(root, method, **changes):
    run = runs.from_spec(finished.runs(methods=(method,)))[0]
    path = runs.paths(root, run).outputs
    files.write_rows(path, [row | changes for row in files.read_rows(path)])


def test_text_is_escaped(root, tmp_path):
    rewrite(root, "neft", output="<img src=x onerror=alert(1)> & co")
    page = show(root, tmp_path)
    assert "&lt;img src=x onerror=alert(1)&gt; &amp; co" in page and "<img" not in page


def test_empty_and_unfinished_outputs_are_marked(root, tmp_path):
    rewrite(root, "neft", output="")
    rewrite(root, "full", finished=False)
    page = show(root, tmp_path)
    assert page.count("(empty)") == 10 and page.count("cut off") == 10


def test_outputs_of_another_test_set_are_refused(root, tmp_path):
    run = runs.from_spec(finished.runs(methods=("neft",)))[0]
    path = runs.paths(root, run).outputs
    files.write_rows(path, files.read_rows(path)[:50])
    with pytest.raises(NeftError, match=r"ui-en-fr: outputs and scores have \[50, 60\] rows"):
        show(root, tmp_path)


def test_the_page_is_whole_html_that_fetches_nothing(root, tmp_path):
    page = show(root, tmp_path)
    assert not re.search(r"https?:|src=|<link|@import|url\(", page)
    open_tags: list[str] = []

    class Checker(HTMLParser):
        def handle_starttag(self, tag, attributes):
            if tag not in ("meta", "br", "input", "wbr"):
                open_tags.append(tag)

        def handle_endtag(self, tag):
            assert open_tags.pop() == tag

    Checker().feed(page)
    assert open_tags == []
