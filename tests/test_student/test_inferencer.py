"""Images in, names out: from files, folders, arrays and URLs, whatever some of them hold."""

import http.server
import os
import shutil
import threading
from functools import partial

import numpy as np
import pytest
import torch
from mmcv import imread
from mmpretrain.structures import DataSample
from PIL import Image

import mmlgd
from mmlgd.utils.files import WriteError
from tests.disks import full_after
from tests.words import change_words

PNG = 'class0/0.png'


@pytest.fixture(scope='module')
def inferencer(lgd_checkpoint):
    return mmlgd.ZeroShotInferencer(lgd_checkpoint, device='cpu')


@pytest.fixture
def folder(images, tmp_path):
    """Two good images, one of them in a sub-folder, and a good deal else."""
    root = tmp_path / 'in'
    (root / 'sub').mkdir(parents=True)
    Image.open(images / PNG).save(root / 'a.png')
    Image.open(images / PNG).save(root / 'sub/b.bmp')
    (root / 'notes.txt').write_text('no image')
    (root / 'broken.jpg').write_bytes(b'\xff\xd8 no image')
    (root / 'empty.png').touch()
    return root


def scores(results):
    return np.stack([result['pred_scores'] for result in results])


def test_a_file(inferencer, images, lgd_model):
    (result,) = inferencer(str(images / PNG))
    names = lgd_model['text']['vocabulary']
    assert inferencer.classes == names
    assert result['pred_scores'].shape == (5,) and result['pred_scores'].sum() == pytest.approx(1)
    assert result['pred_label'] == result['pred_scores'].argmax()
    assert result['pred_score'] == pytest.approx(result['pred_scores'].max())
    assert result['pred_class'] == names[result['pred_label']] == result['topk'][0][0]
    assert result['topk'] == sorted(result['topk'], key=lambda item: -item[1]) and len(result['topk']) == 5
    assert (result['index'], result['img_path']) == (0, str(images / PNG))
    (two,) = inferencer(images / PNG, topk=2)  # a Path is fine, too
    assert two['topk'] == result['topk'][:2]


def test_scores_are_the_classifier_s(inferencer, images, lgd_checkpoint):
    """By hand, at the default size: short side 256, the middle 224, RGB with ImageNet's statistics."""
    image = Image.open(images / 'class1/4.png').convert('RGB')  # 48 x 40
    image = image.resize((307, 256), Image.BILINEAR)
    x = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None, :, 16:240, 41:265].float()
    mean, std = torch.tensor([[123.675, 116.28, 103.53], [58.395, 57.12, 57.375]])[..., None, None]
    with torch.no_grad():
        expected = mmlgd.get_zero_shot_classifier(lgd_checkpoint)((x - mean) / std)
    (result,) = inferencer(images / 'class1/4.png')
    np.testing.assert_allclose(result['pred_scores'], expected[0].numpy(), atol=1e-3)


def test_other_names_and_templates(lgd_checkpoint, images, tiny_clip):
    options = dict(templates=['a drawing of a {}.'], teacher=dict(model=tiny_clip), device='cpu')
    new = mmlgd.ZeroShotInferencer(lgd_checkpoint, ['boat', 'hen'], **options)
    (result,) = new(images / PNG)
    assert new.classes == ['boat', 'hen'] and result['pred_class'] in new.classes and len(result['topk']) == 2


def test_a_folder_with_subfolders_in_batches_of_any_size(inferencer, images):
    results = inferencer(str(images), batch_size=5)
    assert [result['img_path'] for result in results] == sorted(map(str, images.rglob('*.png')))
    assert [result['index'] for result in results] == list(range(12))
    np.testing.assert_allclose(scores(inferencer(str(images), batch_size=1)), scores(results), atol=1e-5)


def test_an_array_is_bgr(inferencer, images):
    bgr = imread(str(images / PNG))
    from_file, as_bgr, as_rgb = inferencer([images / PNG, bgr, bgr[..., ::-1].copy()])
    np.testing.assert_allclose(as_bgr['pred_scores'], from_file['pred_scores'], atol=1e-6)
    assert not np.allclose(as_rgb['pred_scores'], from_file['pred_scores'], atol=1e-6)
    assert as_bgr['img_path'] is None


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def test_a_url(inferencer, images, tmp_path):
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), partial(Quiet, directory=str(images)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f'http://127.0.0.1:{server.server_port}/{PNG}?size=full'
    try:
        (result,) = inferencer(url, show_dir=tmp_path)
    finally:
        server.shutdown()
        server.server_close()
    np.testing.assert_allclose(scores([result]), scores(inferencer(images / PNG)), atol=1e-6)
    assert result['img_path'] == url and (tmp_path / '0.png').is_file()
    with pytest.warns(UserWarning, match=f'{server.server_port}/class0/0.png.* cannot be read'):
        assert len(inferencer([url, images / PNG])) == 1


def test_data_samples(inferencer, images):
    (sample,) = inferencer(images / PNG, return_datasamples=True)
    assert isinstance(sample, DataSample) and sample.pred_score.shape == (5,)


def test_a_corrupt_image_does_not_take_the_others_along(inferencer, folder):
    with pytest.warns(UserWarning) as caught:
        results = inferencer(folder, batch_size=2)
    assert [result['img_path'] for result in results] == [str(folder / 'a.png'), str(folder / 'sub/b.bmp')]
    assert [result['index'] for result in results] == [0, 3]
    told = [str(warning.message) for warning in caught if 'is skipped' in str(warning.message)]
    assert ['broken.jpg' in told[0], 'empty.png' in told[1]] == [True, True] and len(told) == 2


@pytest.mark.filterwarnings('ignore:.*is skipped')
def test_pipes_devices_loops_and_hidden_files_do_not_stop_it(inferencer, images, tmp_path):
    for name in ('a.png', '._a.png', 'new\nline.png'):
        shutil.copy(images / PNG, tmp_path / name)
    os.mkfifo(tmp_path / 'pipe.png')
    (tmp_path / 'zero.png').symlink_to('/dev/zero')
    (tmp_path / 'loop').symlink_to('.')
    (tmp_path / 'broken\n.png').write_bytes(b'')
    with pytest.warns(UserWarning, match=r'broken\\n.png cannot be read'):
        results = inferencer(tmp_path)
    assert [result['img_path'] for result in results] == [str(tmp_path / name) for name in ('a.png', 'new\nline.png')]
    for name in ('pipe.png', 'zero.png'):
        with pytest.raises(FileNotFoundError, match='pipes and devices'):
            inferencer(tmp_path / name)


def test_or_it_stops_before_any_prediction(inferencer, folder, monkeypatch):
    monkeypatch.setattr(inferencer.model, 'test_step', lambda batch: pytest.fail('predicted'))
    with pytest.raises(ValueError, match='broken.jpg cannot be read'):
        inferencer(folder, on_error='raise')
    with pytest.raises(ValueError, match="'skip' or 'raise', got 'ignore'"):
        inferencer(folder, on_error='ignore')


@pytest.mark.filterwarnings('ignore:.*is skipped')
def test_what_is_wrong_is_named_at_once(inferencer, folder, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match='None of 1 images can be read; the first is .*broken.jpg'):
        inferencer(folder / 'broken.jpg')
    monkeypatch.setattr(inferencer.model, 'test_step', lambda batch: pytest.fail('predicted'))
    (tmp_path / 'nothing').mkdir()
    for inputs, error, message in (
        ([folder / 'a.png', folder / 'missing.png'], FileNotFoundError, "'.*missing.png'"),
        ([folder / 'a.png', tmp_path / 'nothing'], FileNotFoundError, 'No file in .*nothing or its'),
        ([folder / 'a.png', np.zeros((2, 8, 8, 3))], ValueError, r'got shape \(2, 8, 8, 3\)'),
        (np.zeros((0, 5, 3), np.uint8), ValueError, r'got shape \(0, 5, 3\)'),
        *((np.zeros((8, 8, 3), kind), ValueError, f'of {kind}') for kind in ('float32', 'bool', 'int64')),
        (torch.zeros(3, 8, 8), ValueError, 'got a Tensor'),
        ([folder / 'a.png', None], ValueError, 'got a NoneType'),
        ([], ValueError, 'empty list'),
    ):
        with pytest.raises(error, match=message):
            inferencer(inputs)
    with pytest.raises(TypeError, match='showdir'):
        inferencer(folder / 'a.png', showdir='here')


@pytest.mark.filterwarnings('ignore:.*is skipped')
def test_drawn_images(inferencer, folder, tmp_path):
    Image.open(folder / 'a.png').save(folder / 'a.jpg')  # the same name but for its ending
    before = (folder / 'a.png').read_bytes()
    inferencer(folder, show_dir=tmp_path / 'out/deep')
    shown = {path.relative_to(tmp_path / 'out/deep').as_posix() for path in (tmp_path / 'out').rglob('*.png')}
    assert shown == {'a.png', 'a_1.png', 'sub/b.png'}
    inferencer(folder / 'a.png', show_dir=folder)  # into the folder itself: nothing is overwritten
    assert (folder / 'a.png').read_bytes() == before and (folder / 'a_0.png').is_file()


def test_a_folder_of_images_may_have_the_name_of_a_drawing(inferencer, images, tmp_path):
    (tmp_path / 'in/a.png').mkdir(parents=True)
    for name in ('a.jpg', 'a.png/b.jpg'):
        Image.open(images / PNG).save(tmp_path / 'in' / name)
    inferencer(tmp_path / 'in', show_dir=tmp_path / 'out')
    shown = {path.relative_to(tmp_path / 'out').as_posix() for path in (tmp_path / 'out').rglob('*') if path.is_file()}
    assert shown == {'a_0.png', 'a.png/b.png'}


def test_a_full_disk_is_named(inferencer, images, tmp_path):
    with full_after(100), pytest.raises(WriteError, match='Cannot write .*0.png'):
        inferencer(images / PNG, show_dir=tmp_path)


def test_a_drawing_names_the_class_in_words(inferencer, images, tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr(
        'mmlgd.student.inferencer.captioned', lambda image, *told: written.append(told) or Image.new('L', (8, 8))
    )
    (result,) = inferencer(images / PNG, show_dir=tmp_path / 'out')
    ((names, best, score),) = written
    assert (names[best], score) == (result['pred_class'], pytest.approx(result['pred_score']))


def test_colours_stay_what_they_are_in_drawings(inferencer, tmp_path):
    blue = np.zeros((80, 80, 3), np.uint8)
    blue[..., 0] = 255  # BGR
    Image.new('RGB', (80, 80), (0, 0, 255)).save(tmp_path / 'blue.png')
    inferencer([blue, tmp_path / 'blue.png'], show_dir=tmp_path / 'out')
    for name in ('0.png', 'blue.png'):
        red, green, blue = np.array(Image.open(tmp_path / 'out' / name).convert('RGB'))[-5, -5]
        assert blue > 200 and red < 60 and green < 60


@pytest.mark.parametrize('resize', [True, False])
def test_the_pipeline_is_that_of_training(resize, lgd_checkpoint, images, tmp_path):
    """Its image size counts; without one, images of several sizes still go through."""
    checkpoint = torch.load(lgd_checkpoint, weights_only=True)
    step = "dict(type='Resize', scale=(32, 32)), " if resize else ''
    checkpoint['meta']['cfg'] += (
        f"test_dataloader = dict(dataset=dict(pipeline=[dict(type='LoadImageFromFile'), {step}"
        f"dict(type='mmpretrain.PackInputs')]))\n"
    )
    torch.save(checkpoint, tmp_path / 'epoch_1.pth')
    inferencer = mmlgd.ZeroShotInferencer(tmp_path / 'epoch_1.pth', device='cpu')
    seen = []
    inferencer.model.backbone.register_forward_pre_hook(lambda module, inputs: seen.append(tuple(inputs[0].shape)))
    small = np.zeros((40, 40, 3), np.uint8)
    results = inferencer([images / PNG, images / 'class1/1.png', small])
    assert len(results) == 3
    assert seen == ([(3, 3, 32, 32)] if resize else [(2, 3, 40, 48), (1, 3, 40, 40)])


def test_names_are_drawn_as_they_are(lgd_checkpoint, images, tmp_path):
    content = torch.load(lgd_checkpoint, weights_only=True)
    change_words(content, class_names=[f'${k}\\frac{{$ & {"x" * 900}' for k in range(5)])
    torch.save(content, tmp_path / 'odd.pth')
    inferencer = mmlgd.ZeroShotInferencer(tmp_path / 'odd.pth', device='cpu')
    inferencer(images / PNG, show_dir=tmp_path / 'out')
    assert Image.open(tmp_path / 'out/0.png').width < 500
