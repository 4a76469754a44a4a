"""Completed annotations have the score that their boxes deserve."""

import json

import numpy as np
import pytest

from mmlgd.datasets.boxes import BoxesError
from mmlgd.datasets.boxes.complete import completed, require_complete


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
    told, notes = completed(dict(categories=[], annotations=rows), 'a.json')
    assert len(notes) == 1 and score(told['annotations']) == pytest.approx(1)


def test_what_lacks_nothing_is_left_as_it_is():
    told = dict(categories=[dict(id=1), dict(id=3)], annotations=boxes()[1:])
    assert completed(told, 'a.json') == (told, []) and completed(told, 'a.json')[0] is told


def test_what_is_ignored_is_a_crowd_for_both_libraries():
    told, (note,) = completed(dict(categories=[], annotations=boxes(ignore=1)[1:]), 'a.json')
    assert '3 annotations have ignore=1 without iscrowd=1' in note
    assert all(one['iscrowd'] == 1 and 'ignore' not in one for one in told['annotations'])


def test_the_ap_of_a_class_stands_beside_its_name(tmp_path):
    coco_metric = pytest.importorskip('mmdet.evaluation').CocoMetric
    categories = [dict(id=7, name='cat'), dict(id=3, name='dog')]
    rows = [
        dict(id=k, image_id=1, category_id=category, bbox=[20 * k, 0, 10, 10], area=100, iscrowd=0)
        for k, category in ((1, 7), (2, 3))
    ]
    told = dict(images=[dict(id=1, width=100, height=10)], categories=categories, annotations=rows)

    def scores(content):
        (tmp_path / 'a.json').write_text(json.dumps(content))
        metric = coco_metric(str(tmp_path / 'a.json'), classwise=True)
        metric.dataset_meta = dict(classes=('cat', 'dog'))
        cat_alone = dict(bboxes=np.array([[20.0, 0, 30, 10]]), scores=np.array([0.9]), labels=np.array([0]))
        told = metric.compute_metrics([(dict(img_id=1, width=100, height=10), dict(img_id=1, **cat_alone))])
        return told['cat_precision'], told['dog_precision']

    assert scores(told) == (0, 1)  # mmdetection's own, which is what this is about
    whole, (note,) = completed(told, 'a.json')
    assert scores(whole) == (1, 0) and '1 categories have ids that do not rise' in note
    assert [(one['id'], one['name']) for one in whole['categories']] == [(1, 'cat'), (2, 'dog')]
    with pytest.raises(BoxesError, match='Number .* the categories upwards'):
        require_complete(told, 'a.json', is_scored=True, by_class=True)
    require_complete(told, 'a.json', is_scored=True)
