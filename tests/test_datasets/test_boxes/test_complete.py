"""Completed annotations have the score that their boxes deserve."""

import pytest

from mmlgd.datasets.boxes.complete import completed


def boxes(**changes):
    return [
        dict(id=k, image_id=1, category_id=1, bbox=[20 * k, 0, 10, 10], area=100, iscrowd=0) | changes for k in range(4)
    ]


def score(rows):
    """Of a detector that finds every box, by pycocotools."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    truth = COCO()
    images, categories = [dict(id=1, width=100, height=10)], [dict(id=1, name='cat')]
    truth.dataset = dict(info={}, images=images, categories=categories, annotations=rows)
    truth.createIndex()
    found = [dict(image_id=1, category_id=1, bbox=one['bbox'], score=0.9 - k / 10) for k, one in enumerate(rows)]
    scored = COCOeval(truth, truth.loadRes(found), 'bbox')
    scored.evaluate()
    scored.accumulate()
    scored.summarize()
    return scored.stats[0]


@pytest.mark.parametrize('changes', [{}, dict(iscrowd=None), dict(area=0), dict(area=None), dict(id='a')])
def test_a_perfect_detector_has_a_perfect_score(changes):
    pytest.importorskip('pycocotools')
    rows = boxes(**changes)
    if not changes:  # the ids from 0, which are what this is about
        assert score(rows) < 0.6
    if changes.get('id'):
        rows = [dict(one, id=f'a{k}') for k, one in enumerate(rows)]
    told, notes = completed(dict(annotations=rows), 'a.json')
    assert len(notes) == 1 and score(told['annotations']) == pytest.approx(1)


def test_what_lacks_nothing_is_left_as_it_is():
    told = dict(annotations=boxes()[1:])
    assert completed(told, 'a.json') == (told, []) and completed(told, 'a.json')[0] is told
