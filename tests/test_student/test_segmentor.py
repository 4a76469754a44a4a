"""The student, or its teacher, as a model that mmsegmentation's tools evaluate."""

import runpy
import sys

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS, MODELS, DefaultScope
from mmengine.runner import Runner, load_checkpoint
from PIL import Image

import mmlgd
from mmlgd.errors import ConfigError
from mmlgd.registry import MODELS as OURS
from mmlgd.student.segment import IGNORED
from tests import ROOT
from tests.pretended_card import pretended_card

CONFIGS = ROOT / 'configs/benchmarks/zero_shot_segmentation'
NAMES = ['sky', 'road|street', 'tree']
OWN = dict(names=['cat', 'dog', 'red panda', 'tree', 'car'], templates=['a photo of a {}.', 'a {}.'])  # of training


@pytest.fixture
def build(lgd_checkpoint, tiny_clip):
    def make(**settings):
        base = dict(type='mmlgd.ZeroShotSegmentor', checkpoint=str(lgd_checkpoint), names=NAMES)
        return OURS.build({**base, 'teacher_options': dict(model=tiny_clip), **settings}).eval()

    return make


@pytest.fixture(scope='module')
def streets(tmp_path_factory):
    """Three images of two sizes with masks, as in CamVid; 11 is no label."""
    root, rng = tmp_path_factory.mktemp('streets'), np.random.default_rng(0)
    for k, size in enumerate([(40, 60), (50, 40), (40, 60)]):
        for folder, array in (
            ('images/val', rng.integers(0, 256, (*size, 3), dtype=np.uint8)),
            ('annotations/val', rng.choice([0, 1, 2, 11], size).astype(np.uint8)),
        ):
            (root / folder).mkdir(parents=True, exist_ok=True)
            Image.fromarray(array).save(root / folder / f'{k}.png')
    (root / 'names.txt').write_text('\n'.join(NAMES))
    return root


def options(streets, tiny_clip):
    return {
        'data_root': str(streets),
        'ignore_index': 11,
        'img_suffix': '.png',
        'test_dataloader.num_workers': 0,
        'test_dataloader.persistent_workers': False,
        'model.teacher_options': dict(model=tiny_clip),
    }


def iou_of(predictions, streets):
    """Mean IoU in loops."""
    masks = [np.asarray(Image.open(streets / f'annotations/val/{k}.png')) for k in range(3)]
    ious = []
    for name in range(3):
        pairs = [((p == name) & (m != 11), m == name) for p, m in zip(predictions, masks)]
        ious.append(sum((p & m).sum() for p, m in pairs) / sum((p | m).sum() for p, m in pairs))
    return 100 * np.mean(ious)


@pytest.mark.parametrize('settings', [OWN, {}, dict(scored='teacher')], ids=['own names', 'other names', 'teacher'])
def test_all_of_it_follows_the_device(build, settings):
    """With other names, the student is another one than that of the checkpoint."""
    segmentor, image = build(**settings), 255 * torch.rand(3, 40, 60)  # no bytes, which a GPU cannot resize
    expected = segmentor([image])[0]
    with pretended_card():
        torch.testing.assert_close(segmentor.to('cuda')([image.to('cuda')])[0], expected)


def test_mmsegmentation_evaluates_what_the_student_segments(lgd_checkpoint, tiny_clip, streets, tmp_path):
    pytest.importorskip('mmseg')
    metrics = mmlgd.test(
        CONFIGS / 'masks.py', lgd_checkpoint, work_dir=tmp_path, cfg_options=options(streets, tiny_clip)
    )
    student = mmlgd.Student(lgd_checkpoint, device='cpu', teacher=dict(model=tiny_clip))
    found = [one.labels.numpy() for one in student.segment(streets / 'images', NAMES)]
    assert metrics['mIoU'] == pytest.approx(iou_of(found, streets), abs=0.01)


def test_the_tool_of_mmsegmentation_takes_the_config_that_a_test_leaves(
    lgd_checkpoint, tiny_clip, streets, tmp_path, monkeypatch
):
    """That of our folder has a None for each variable, which other tools do not fill in."""
    mmseg = pytest.importorskip('mmseg')
    tool = ROOT.__class__(mmseg.__file__).parent / '.mim/tools/test.py'
    if not tool.is_file():
        pytest.skip('this mmsegmentation was installed without its tools')
    changes, said = options(streets, tiny_clip), []
    expected = mmlgd.test(CONFIGS / 'masks.py', lgd_checkpoint, work_dir=tmp_path / 'ours', cfg_options=changes)
    command = [str(tool), str(tmp_path / 'ours/masks.py'), str(lgd_checkpoint), '--work-dir', str(tmp_path / 'theirs')]
    monkeypatch.setattr(sys, 'argv', command)
    test = Runner.test
    monkeypatch.setattr(Runner, 'test', lambda runner: said.append(test(runner)))
    runpy.run_path(str(tool), run_name='__main__')
    assert said == [expected]


def test_the_teacher_is_evaluated_in_the_same_way(lgd_checkpoint, tiny_clip, streets, tmp_path, build):
    pytest.importorskip('mmseg')
    changes = {**options(streets, tiny_clip), 'model.scored': 'teacher'}
    metrics = mmlgd.test(CONFIGS / 'masks.py', lgd_checkpoint, work_dir=tmp_path, cfg_options=changes)
    segmenter = build(scored='teacher').segmenter
    files = sorted((streets / 'images/val').iterdir())
    images = [np.asarray(Image.open(file))[..., ::-1] for file in files]
    found = [segmenter.segment(image).labels.numpy() for image in images]
    assert metrics['mIoU'] == pytest.approx(iou_of(found, streets), abs=0.01)


def test_it_is_built_in_the_scope_of_mmsegmentation(lgd_checkpoint):
    pytest.importorskip('mmseg')
    with DefaultScope.overwrite_default_scope('mmseg'):
        model = MODELS.build(dict(type='mmlgd.ZeroShotSegmentor', checkpoint=str(lgd_checkpoint), **OWN))
    assert model.class_names == OWN['names']


def test_an_image_without_an_answer_is_refused(build):
    with pytest.raises(ConfigError, match='in a tensor of images are NaN or infinite'):
        build()([torch.full((3, 64, 64), torch.nan)])


def test_samples_have_labels_and_scores_at_the_size_of_the_masks(build):
    structures = pytest.importorskip('mmseg.structures')
    model = build(background=0.4, background_label=0)
    images = [torch.randint(0, 256, (3, *size), dtype=torch.uint8) for size in ((40, 60), (64, 64))]
    samples = [structures.SegDataSample(metainfo=dict(ori_shape=shape)) for shape in ((80, 120), (64, 64))]
    found = model.test_step(dict(inputs=images, data_samples=samples))
    for sample, shape in zip(found, ((80, 120), (64, 64))):
        labels, scores = sample.pred_sem_seg.data, sample.seg_logits.data.softmax(dim=0)
        assert labels.shape == (1, *shape) and scores.shape == (3, *shape)
        best, clear = scores.amax(dim=0), (scores.amax(dim=0) - 0.4).abs() > 1e-5
        expected = torch.where(best >= 0.4, scores.argmax(dim=0), 0)
        assert torch.equal(labels[0][clear], expected[clear]) and IGNORED not in labels
    (alone,) = model(images[1:])
    torch.testing.assert_close(alone, found[1].seg_logits.data.softmax(dim=0))


@pytest.mark.parametrize('direction, axis', [('horizontal', -1), ('vertical', -2), ('diagonal', (-2, -1))])
def test_flips_of_test_time_augmentation_are_undone(build, direction, axis):
    structures = pytest.importorskip('mmseg.structures')
    model, image = build(), torch.randint(0, 256, (3, 64, 64), dtype=torch.uint8)
    told = [dict(ori_shape=(64, 64)), dict(ori_shape=(64, 64), flip=True, flip_direction=direction)]
    samples = [structures.SegDataSample(metainfo=one) for one in told]
    plain, flipped = model.test_step(dict(inputs=[image, image.flip(axis)], data_samples=samples))
    assert torch.equal(plain.pred_sem_seg.data, flipped.pred_sem_seg.data)


def test_test_time_augmentation_averages_scores(build):
    """As `tools/test.py --tta` of mmsegmentation does."""
    structures = pytest.importorskip('mmseg.structures')
    from mmseg.models import SegTTAModel

    model, image = build(), torch.randint(0, 256, (3, 40, 60), dtype=torch.uint8)
    half = image[:, ::2, ::2]
    told = [dict(ori_shape=(40, 60), img_path='a'), dict(ori_shape=(40, 60), img_path='a', flip=True)]
    told[1].update(flip_direction='horizontal')
    samples = [[structures.SegDataSample(metainfo=one)] for one in told]
    (found,) = SegTTAModel(module=model).test_step(dict(inputs=[[image], [half.flip(-1)]], data_samples=samples))
    views = [model._segment(one, (40, 60)).scores for one in (image, half)]
    expected = (views[0] + views[1]) / 2
    clear = expected.topk(2, dim=0).values.diff(dim=0)[0].abs() > 1e-5
    assert torch.equal(found.pred_sem_seg.data[0][clear], expected.argmax(dim=0)[clear])


def test_a_tool_that_loads_the_same_checkpoint_is_served_and_another_refused(build, lgd_checkpoint):
    model = build()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    load_checkpoint(model, str(lgd_checkpoint), map_location='cpu')
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    content = torch.load(lgd_checkpoint, weights_only=True)['state_dict']
    content['backbone.conv1.weight'] += 1
    with pytest.raises(ConfigError, match='other weights'):
        model.load_state_dict(content)


@pytest.mark.parametrize(
    'settings, message',
    [
        (dict(names=None), 'needs a checkpoint and names'),
        (dict(checkpoint=None), 'needs a checkpoint and names'),
        (dict(scored='both'), "scored='student' or 'teacher'"),
        (dict(size=-1), 'size from 1'),
        (dict(widow=3), 'no setting widow'),
    ],
)
def test_bad_settings_are_named(build, settings, message):
    with pytest.raises(ConfigError, match=message):
        build(**settings)


def test_there_is_nothing_to_train(build):
    with pytest.raises(ConfigError, match='no loss'):
        build()([torch.zeros(3, 64, 64)], mode='loss')


def test_a_data_set_with_another_number_of_classes_is_refused(lgd_checkpoint, tiny_clip, streets, tmp_path):
    pytest.importorskip('mmseg')
    changes = {**options(streets, tiny_clip), 'model.names': ['sky', 'road']}
    with pytest.raises(ConfigError, match='has 3 classes, but the vocabulary has 2 names'):
        mmlgd.test(CONFIGS / 'masks.py', lgd_checkpoint, work_dir=tmp_path, cfg_options=changes)


@pytest.mark.parametrize(
    'name, classes', [('ade20k', 150), ('cityscapes', 19), ('pascal_voc12', 21), ('coco-stuff164k', 171)]
)
def test_a_config_has_the_names_of_its_data_set(name, classes, lgd_checkpoint, tiny_clip):
    pytest.importorskip('mmseg')
    from mmlgd.run.testing import test_config

    cfg = test_config(CONFIGS / f'{name}.py', lgd_checkpoint)
    assert cfg.model.checkpoint == str(lgd_checkpoint) and cfg.load_from is None
    dataset = cfg.test_dataloader.dataset
    assert cfg.model.names == list(DATASETS.get(dataset.type).METAINFO['classes'])
    assert not [step for step in dataset.pipeline if 'Resize' in step.type]
    base = Config.fromfile(CONFIGS / f'{name}.py')
    assert base.custom_imports == dict(imports=['mmlgd'], allow_failed_imports=False)
    model = OURS.build({**cfg.model, 'teacher_options': dict(model=tiny_clip), 'templates': 'plain'})
    assert len(model.class_names) == classes == len(model.segmenter.bank)


def test_the_data_sets_lie_where_mmsegmentation_puts_them():
    """Folders, suffixes and evaluation are those of mmsegmentation's own configs."""
    mmseg = pytest.importorskip('mmseg')
    folder = ROOT.__class__(mmseg.__file__).parent / '.mim/configs/_base_/datasets'
    if not folder.is_dir():
        pytest.skip('this mmsegmentation was installed without its configs')
    for name in ('ade20k', 'cityscapes', 'pascal_voc12', 'coco-stuff164k'):
        ours, theirs = Config.fromfile(CONFIGS / f'{name}.py'), Config.fromfile(folder / f'{name}.py')
        one, other = ours.test_dataloader.dataset, theirs.test_dataloader.dataset
        assert one.type == f'mmseg.{other.type}' and one.data_prefix == other.data_prefix
        assert one.data_root.rstrip('/') == other.data_root.rstrip('/') and one.get('ann_file') == other.get('ann_file')
        assert ours.test_evaluator.iou_metrics == theirs.test_evaluator.iou_metrics


def test_it_needs_no_mmsegmentation(lgd_checkpoint, monkeypatch):
    """To be built; tests/test_import.py imports all rooms without it."""
    for module in ('mmseg', *(name for name in sys.modules if name.startswith('mmseg.'))):
        monkeypatch.setitem(sys.modules, module, None)
    names, templates = ['cat', 'dog', 'red panda', 'tree', 'car'], ['a photo of a {}.', 'a {}.']
    assert len(mmlgd.ZeroShotSegmentor(str(lgd_checkpoint), names, templates).class_names) == 5
