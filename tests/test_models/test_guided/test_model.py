"""A guided model of each library and kind: it trains with its teacher, and is the plain model everywhere else."""

import copy

import pytest
import torch
import torch.nn.functional as F
from mmengine.hooks import EMAHook
from mmengine.model import ExponentialMovingAverage
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmengine.runner.checkpoint import get_state_dict, load_state_dict

from mmlgd import Guided
from mmlgd.errors import ConfigError
from mmlgd.models.guided import unguided
from mmlgd.registry import MODELS
from tests.devices import on_each_device
from tests.test_models.reference import bilinear, cross_entropy
from tests.test_models.test_step import step_without_waiting

from .models import CLASSES, KINDS, batch_of, guided, settings_of

SGD = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.01))


@pytest.fixture
def teacher(tiny_clip):
    return dict(type='mmlgd.OpenCLIPTeacher', model=tiny_clip)


@pytest.fixture(params=KINDS)
def kind(request):
    pytest.importorskip(KINDS[request.param])
    init_default_scope(KINDS[request.param])
    return request.param


@pytest.fixture
def detector(teacher):
    pytest.importorskip('mmdet')
    init_default_scope('mmdet')
    return lambda **guide: guided(settings_of('retinanet'), teacher, **guide)


def losses_of(model, kind):
    torch.manual_seed(0)
    data = model.data_preprocessor(batch_of(kind), True)
    return model(**data, mode='loss')


def test_each_kind_takes_a_step_of_all_its_weights(kind, teacher):
    model = guided(settings_of(kind), teacher).train()
    losses = losses_of(model, kind)
    names = {'guide.loss_place_cosine', 'guide.loss_place_textual'}
    names |= {'guide.loss_cosine', 'guide.loss_textual'} if kind == 'classifier' else set()
    assert {name for name in losses if 'guide.loss' in name} == names
    total, _ = model.parse_losses(losses)
    own, _ = model.parse_losses({name: value for name, value in losses.items() if not name.startswith('guide')})
    assert total.item() == pytest.approx(1.2 * own.item(), rel=1e-4)  # a share of 0.2, exact in the first step
    before = model.guide.kept['projection'].mlp[0].weight.clone()
    total.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.guide.parameters())
    build_optim_wrapper(model, copy.deepcopy(SGD)).step()
    assert not torch.equal(model.guide.kept['projection'].mlp[0].weight, before)


def test_the_teacher_sees_the_pixels_of_the_batch_in_its_own_statistics(kind, teacher):
    model, data = guided(settings_of(kind), teacher), batch_of(kind)
    first = data['inputs'][0].float()
    inputs = model.data_preprocessor(copy.deepcopy(data), True)['inputs']
    found = model.guide.teacher.normalized(inputs)[0, :, : first.shape[1], : first.shape[2]]
    mean, std = model.guide.teacher.mean, model.guide.teacher.std
    torch.testing.assert_close(found, (first.flip(0) / 255 - mean) / std, atol=1e-4, rtol=0)  # loaded as BGR


def test_the_looks_of_a_pair_are_compared_without_the_padding(teacher):
    pytest.importorskip('mmdet')
    init_default_scope('mmdet')
    looks = dict(backbone='similarity:timm:resnet18', weights=False, image_size=64)
    pair = dict(type='mmlgd.TeacherPair', words=teacher, looks=looks)
    model, seen = guided(settings_of('retinanet'), pair).train(), []
    model.guide.criterion.terms[-1].register_forward_hook(lambda module, args, loss: seen.append(args[1].shape[:2]))
    assert losses_of(model, 'retinanet')['guide.loss_looks_similarity'].isfinite()
    assert seen == [(1, 2), (1, 2)]  # of 2 x 2 places, the upper two and the left two have their middle on the images
    with pytest.raises(ConfigError, match='No term of model.guide.loss reads the similarities of model.guide.teacher'):
        guided(settings_of('retinanet'), pair, loss=dict(terms=[dict(type='mmlgd.CosineTerm', on='places')]))


def test_a_classifier_without_places_compares_images(teacher):
    init_default_scope('mmpretrain')
    settings = settings_of('classifier')
    settings.backbone = dict(type='VisionTransformer', arch='deit-tiny', img_size=64, out_type='cls_token')
    settings.neck, settings.head = None, dict(type='VisionTransformerClsHead', num_classes=3, in_channels=192)
    model = guided(settings, teacher).train()
    data = batch_of('classifier')
    data['inputs'] = data['inputs'][..., :64]
    losses = model(**model.data_preprocessor(data, True), mode='loss')
    assert {name for name in losses if 'guide.loss' in name} == {'guide.loss_cosine', 'guide.loss_textual'}
    with pytest.raises(ConfigError, match='has no places'):
        guided(settings, teacher, loss=dict(terms=[dict(type='mmlgd.CosineTerm', on='places')]))


def test_it_is_the_plain_model_but_for_its_loss(kind, teacher):
    settings = settings_of(kind)
    torch.manual_seed(0)
    plain = MODELS.build(copy.deepcopy(settings))
    plain.init_weights()
    torch.manual_seed(0)
    model = guided(settings, teacher)
    model.init_weights()
    assert isinstance(model, type(plain)) and isinstance(model, Guided)
    ours, theirs = model.state_dict(), plain.state_dict()
    assert list(ours) == list(theirs) == list(get_state_dict(model))
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs), 'the same start'
    plain.eval(), model.eval()
    data = batch_of(kind)
    with torch.no_grad():
        for x, y in zip(predictions(model, data), predictions(plain, data)):
            assert torch.equal(x, y)
    torch.manual_seed(1)
    plain_losses = losses_of(plain.train(), kind)
    torch.manual_seed(1)
    losses = losses_of(model.train(), kind)
    for name, value in plain_losses.items():
        for one, other in zip(*(x if isinstance(x, list) else [x] for x in (losses[name], value))):
            assert torch.equal(one, other)
    other = MODELS.build(settings)
    other.load_state_dict(model.state_dict(), strict=True)
    model.load_state_dict(other.state_dict(), strict=True)
    load_state_dict(model, other.state_dict(), strict=True)  # mmengine's


def test_settings_for_all_layers_of_the_plain_model_leave_the_guide_out(teacher):
    init_default_scope('mmpretrain')
    settings = dict(settings_of('classifier'), init_cfg=[dict(type='Constant', layer='Linear', val=0.5)])
    starts = []
    for build in (MODELS.build, lambda plain: guided(plain, teacher)):
        torch.manual_seed(0)
        model = build(copy.deepcopy(settings))
        model.init_weights()
        starts.append(model.state_dict())
    assert all(torch.equal(starts[1][key], value) for key, value in starts[0].items())
    assert model.guide.kept['projection'].mlp[0].weight.std() > 0 and [*model._modules][-1] == 'guide'


def predictions(model, data):
    one = {name: value[:1] for name, value in copy.deepcopy(data).items()}  # mmsegmentation's batches are of one size
    found = model.test_step(one)
    for sample in found:
        if 'pred_instances' in sample:
            yield from (sample.pred_instances.bboxes, sample.pred_instances.scores)
        elif 'seg_logits' in sample:
            yield sample.seg_logits.data
        else:
            yield sample.pred_score


def test_loading_weights_leaves_the_guide_alone(detector):
    model, other = detector(), detector()
    before = model.guide.saved()
    model.load_state_dict(other.state_dict(), strict=True)
    assert all(torch.equal(value, before[name]) for name, value in model.guide.saved().items())
    assert not torch.equal(before['projection.mlp.0.weight'], other.guide.saved()['projection.mlp.0.weight'])
    model.guide.restore(other.guide.saved())
    assert torch.equal(model.guide.kept['projection'].mlp[0].weight, other.guide.kept['projection'].mlp[0].weight)


def test_rates_of_parts_and_averages_of_weights_see_the_plain_model(detector):
    model = detector()
    keys = dict(backbone=dict(lr_mult=0.1), neck=dict(lr_mult=0.5), guide=dict(lr_mult=2.0))
    groups = dict(SGD, paramwise_cfg=dict(custom_keys=keys))
    wrapper = build_optim_wrapper(model, groups)
    rates = {id(p): group['lr'] for group in wrapper.optimizer.param_groups for p in group['params']}
    expected = dict(backbone=0.001, neck=0.005, guide=0.02)  # a key is for every name that it is in
    for name, p in model.named_parameters():
        assert rates[id(p)] == pytest.approx(expected.get(name.split('.')[0], 0.01))
    averaged = ExponentialMovingAverage(model, momentum=0.5, update_buffers=True)
    assert averaged.module.guide.teacher is model.guide.teacher  # no copy of the teacher
    with torch.no_grad():
        model.backbone.conv1.weight.add_(2)
    for _ in range(2):
        averaged.update_parameters(model)
    assert torch.equal(averaged.module.backbone.conv1.weight, model.backbone.conv1.weight)
    checkpoint = dict(state_dict=get_state_dict(model))
    hook = EMAHook()
    hook.src_model, hook.ema_model = model, averaged
    hook.before_save_checkpoint(None, checkpoint)
    assert set(checkpoint['ema_state_dict']) == {'steps', *(f'module.{key}' for key in model.state_dict())}


def test_the_backbone_runs_once(detector):
    model, passes = detector().train(), []
    model.backbone.register_forward_hook(lambda *args: passes.append(1))
    losses_of(model, 'retinanet')
    assert passes == [1] and len(model.backbone._forward_hooks) == 1  # its own is gone


@pytest.mark.parametrize('module, level, stride', [('backbone', 1, 8), ('neck', 2, 32), ('backbone.layer2', -1, 8)])
def test_any_module_can_be_watched(module, level, stride, detector):
    model, seen = detector(feature=module, level=level).train(), []
    model.guide.criterion.register_forward_hook(lambda module, args, losses: seen.append(args[0].places))
    losses_of(model, 'retinanet')
    assert seen[0].shape[1:3] == (128 // stride, 128 // stride)


def test_a_backbone_whose_stages_are_recomputed_has_the_same_gradients(teacher):
    pytest.importorskip('mmseg')
    init_default_scope('mmseg')
    settings = settings_of('segmentor')
    model = guided(settings, teacher).train()
    settings.backbone.with_cp = True
    other = guided(settings, teacher).train()
    other.load_state_dict(model.state_dict())
    other.guide.restore(model.guide.saved())
    for one in (model, other):
        one.parse_losses(losses_of(one, 'segmentor'))[0].backward()
    for (name, p), q in zip(model.named_parameters(), other.parameters()):
        torch.testing.assert_close(p.grad, q.grad, msg=name)


@on_each_device
def test_a_step_never_waits_for_the_device(teacher, device):
    init_default_scope('mmpretrain')
    model = guided(settings_of('classifier'), teacher).to(device).train()
    data = batch_of('classifier')
    for sample in data['data_samples']:
        sample.set_gt_label(sample.gt_label.to(device))
    step_without_waiting(model, dict(data, inputs=data['inputs'].to(device)), device)


def test_a_step_in_bf16_and_one_of_two_halves(teacher):
    """Autocast leaves the terms in float32; two accumulated halves have the mean of their gradients."""
    pytest.importorskip('mmpretrain')
    init_default_scope('mmpretrain')
    model = guided(settings_of('classifier'), teacher, weight=0.5).train()
    wrapper = build_optim_wrapper(model, dict(SGD, type='mmlgd.Bfloat16OptimWrapper'))
    log = model.train_step(batch_of('classifier'), wrapper)
    assert log['guide.loss_place_textual'].dtype == torch.float32 and log['loss'].isfinite()

    gradients = []
    batches = [batch_of('classifier', seed=seed) for seed in (1, 2)]
    for counts in (1, 2):
        one = guided(settings_of('classifier'), teacher, weight=0.5).eval()  # without statistics of a batch
        one.load_state_dict(model.state_dict())
        one.guide.restore(model.guide.saved())
        wrapper = build_optim_wrapper(one, dict(copy.deepcopy(SGD), accumulative_counts=counts))
        if counts == 2:
            wrapper.initialize_count_status(one, 0, 2)
            before = one.head.fc.weight.detach().clone()
            for batch in batches:
                one.train_step(copy.deepcopy(batch), wrapper)
        else:
            before = one.head.fc.weight.detach().clone()
            losses = [
                one.parse_losses(one(**one.data_preprocessor(copy.deepcopy(b), True), mode='loss'))[0] for b in batches
            ]
            wrapper.update_params(sum(losses) / 2)
        gradients.append(one.head.fc.weight - before)
    torch.testing.assert_close(*gradients, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize(
    'guide, message',
    [
        (dict(feature='stem'), "'stem' is no module of this GuidedRetinaNet, which has data_preprocessor, backbone"),
        (dict(level=4), r'level=4, but backbone returns 4 feature.s.: .*Give 0 to 3'),
        (dict(feature='bbox_head'), 'bbox_head does not run when this GuidedRetinaNet extracts features'),
        (dict(focus='cats'), "focus='objects' or none, got focus='cats'"),
        (dict(weight='often'), "weight='auto' or a number"),
        (dict(weight=1.0, share=0.3), "share=0.3 is of weight='auto'"),
        (dict(fade=2.0), r'fade, a share of the training, in \[0, 1\], got 2.0'),
        (dict(loss=dict(terms=[dict(bank='queue')])), 'bank'),
        (dict(names=['cat']), 'no setting names'),
        (dict(backbone=dict(depth=18)), 'no setting backbone: the model that it guides is the one around it'),
    ],
)
def test_what_does_not_fit_is_refused(guide, message, detector):
    with pytest.raises(ConfigError, match=message):
        detector(**guide)


def test_a_layer_of_a_transformer_has_places_as_its_backbone_has(teacher):
    init_default_scope('mmpretrain')
    settings = settings_of('classifier')
    settings.backbone = dict(type='VisionTransformer', arch='deit-tiny', img_size=64, out_type='cls_token')
    settings.neck, settings.head = None, dict(type='VisionTransformerClsHead', num_classes=3, in_channels=192)
    with pytest.raises(ConfigError, match="focus='objects' reads .* which a classifier lacks"):
        guided(settings, teacher, feature='backbone.layers.11', focus='objects')
    model = guided(settings, teacher, feature='backbone.layers.11').train()
    data = batch_of('classifier')
    data['inputs'] = data['inputs'][..., :64]
    losses = model(**model.data_preprocessor(data, True), mode='loss')
    assert model.guide.feature.backbone is model.backbone and losses['guide.loss_place_cosine'].isfinite()


def test_a_feature_with_its_channels_last_is_refused(teacher):
    init_default_scope('mmpretrain')
    settings = settings_of('classifier')
    name = 'swin_tiny_patch4_window7_224'
    settings.backbone = dict(type='TIMMBackbone', model_name=name, features_only=True, out_indices=(3,))
    settings.neck, settings.head = None, dict(type='LinearClsHead', num_classes=3, in_channels=768)
    with pytest.raises(ConfigError, match=r'gives features as \(N, H, W, C\)'):
        guided(settings, teacher)


def test_a_store_is_no_guide():
    init_default_scope('mmpretrain')
    with pytest.raises(ConfigError, match='is a store .*Give the live teacher'):
        guided(settings_of('classifier'), dict(type='mmlgd.CachedTeacher', store='/my/store'))


def test_a_teacher_without_places_is_refused(detector, monkeypatch):
    monkeypatch.setattr('mmlgd.models.teachers.openclip.open_clip_places', lambda *args, **kwargs: None)
    with pytest.raises(ValueError, match='has no places'):
        detector()


@pytest.mark.parametrize(
    'change, message',
    [
        (lambda x: x[:, :8], 'returns 2 features of 8 channels for 2 image.*expected one of 16 channels'),
        (lambda x: torch.cat([x] * 3), 'returns 6 features of 16 channels for 2 image'),
    ],
)
def test_a_feature_that_differs_in_training_is_refused(change, message, detector, monkeypatch):
    """As those of PIDNet, which has more outputs in training, and of TridentNet, which has three of each image."""
    model = detector(feature='neck', level=0).train()
    neck, head = type(model.neck), type(model.bbox_head)
    forward, loss = neck.forward, head.loss
    monkeypatch.setattr(neck, 'forward', lambda self, x: (change(forward(self, x)[0]), *forward(self, x)))
    monkeypatch.setattr(head, 'loss', lambda self, x, samples: loss(self, x[1:], samples))
    with pytest.raises(ConfigError, match=message):
        losses_of(model, 'retinanet')


def test_a_neck_after_the_feature_may_need_larger_images(teacher):
    pytest.importorskip('mmdet')
    init_default_scope('mmdet')
    settings, width = settings_of('retinanet'), 64
    settings.backbone.out_indices = (3,)
    settings.neck = dict(type='SSDNeck', in_channels=[width], out_channels=[width] * 5)
    settings.neck.update(
        level_strides=[1] * 4, level_paddings=[0] * 4
    )  # of the 7 x 7 places of 224 pixels none is left
    assert guided(settings, teacher).guide.feature.width == width


def test_statistics_of_one_number_are_those_of_all_channels(teacher):
    init_default_scope('mmpretrain')
    settings, one = settings_of('classifier'), settings_of('classifier')
    one.data_preprocessor.update(mean=[120.0], std=[60.0])
    ours, theirs = (guided(each, teacher).guide.teacher for each in (one, settings))
    assert torch.equal(ours.scale, theirs.scale) and torch.equal(ours.shift, theirs.shift)


def test_sizes_of_files_are_no_padding_of_a_classifier(teacher):
    """Transforms of torchvision leave the size of the file in the sample, which may be smaller than the crop."""
    init_default_scope('mmpretrain')
    model, seen = guided(settings_of('classifier'), teacher).train(), []
    model.guide.criterion.register_forward_hook(lambda module, args, losses: seen.append(args[1].extents))
    data = batch_of('classifier')
    for sample in data['data_samples']:
        sample.set_metainfo(dict(img_shape=(20, 30)))
    model(**model.data_preprocessor(data, True), mode='loss')
    assert seen == [None]


def test_a_plain_model_must_be_named(teacher):
    pytest.importorskip('mmdet')
    init_default_scope('mmdet')
    for plain in ('RetinaNot', 'ResNet', None, 'mmlgd.Guided'):
        with pytest.raises(ConfigError, match='plain=TYPE'):
            MODELS.build(dict(type='mmlgd.Guided', plain=plain, guide=dict(teacher=teacher)))
    with pytest.raises(ConfigError, match='guide=dict'):
        MODELS.build(dict(settings_of('retinanet'), type='mmlgd.Guided', plain='RetinaNet'))


def test_a_step_before_there_are_names_is_refused(detector, teacher):
    settings = settings_of('retinanet')
    kind = settings.pop('type')
    model = MODELS.build(dict(settings, type='mmlgd.Guided', plain=kind, guide=dict(teacher=teacher)))
    with pytest.raises(ConfigError, match='no class names yet.*GuideHook'):
        losses_of(model, 'retinanet')
    looks = dict(loss=dict(terms=[dict(type='mmlgd.SimilarityTerm', on='places')]))  # no names, but a hook
    settings['guide'] = dict(teacher=teacher, **looks)
    model = MODELS.build(dict(settings, type='mmlgd.Guided', plain=kind))
    with pytest.raises(ConfigError, match='GuideHook'):
        losses_of(model, 'retinanet')
    model.guide.name(None)
    assert losses_of(model, 'retinanet')['guide.loss_place_similarity'].isfinite()


def test_settings_without_the_guide_are_those_of_the_plain_model():
    pytest.importorskip('mmdet')
    settings = settings_of('retinanet')
    wrapped = {**settings, 'type': 'mmlgd.Guided', 'plain': settings['type'], 'guide': dict(teacher=dict())}
    assert unguided(wrapped) == settings and unguided(settings) is settings


def test_the_loss_of_a_padded_batch_with_a_flip_is_the_reference(detector):
    """From raw pixels: the teacher's own statistics, and each place of the images alone, one by one."""
    import mmcv
    import numpy as np
    from mmdet.registry import TRANSFORMS
    from mmengine.dataset import pseudo_collate

    model = detector(weight=1.0).train()
    teacher, rng = model.guide.teacher, np.random.default_rng(0)
    raw = [rng.integers(0, 256, shape, dtype=np.uint8) for shape in ((100, 150, 3), (150, 80, 3))]
    scales, packed, pixels = [(96, 96), (128, 128)], [], []
    for image, scale, flips in zip(raw, scales, (1.0, 0.0)):
        result = dict(img=image, img_shape=image.shape[:2], ori_shape=image.shape[:2])
        for step in (
            dict(type='Resize', scale=scale, keep_ratio=True),
            dict(type='RandomFlip', prob=flips),
            dict(type='PackDetInputs', meta_keys=('img_shape', 'flip')),
        ):
            result = TRANSFORMS.build(step)(result)
        annotated = batch_of('retinanet')['data_samples'][0]
        for part in ('gt_instances', 'ignored_instances'):
            setattr(result['data_samples'], part, getattr(annotated, part))
        packed.append(result)
        resized, _ = mmcv.imrescale(image, scale, return_scale=True)
        pixels.append(torch.from_numpy(np.ascontiguousarray(resized[:, ::-1] if flips else resized)).float())
    shapes = [tuple(p.shape[:2]) for p in pixels]
    assert shapes == [(64, 96), (128, 68)]
    data = model.data_preprocessor(pseudo_collate(packed), True)
    h, w = data['inputs'].shape[-2:]
    assert (h, w) == (128, 96)

    found = model(**copy.deepcopy(data), mode='loss')
    mean = torch.tensor([123.675, 116.28, 103.53])  # RGB, of the detector
    with torch.no_grad():
        seen = mean.expand(2, h, w, 3).clone()  # the padding of a normalised batch is the mean colour
        for k, (one, (tall, wide)) in enumerate(zip(pixels, shapes)):
            seen[k, :tall, :wide] = one.flip(-1)
        seen = (seen / 255 - teacher.mean.flatten()) / teacher.std.flatten()
        size = teacher.size_for(data['inputs'], True)
        seen = F.interpolate(seen.permute(0, 3, 1, 2), size, mode='bicubic', antialias=True)
        grid = teacher.places_tower.of_size(size)(seen).places  # (2, gh, gw, D)
        gh, gw = grid.shape[1:3]
        feature = model.backbone(data['inputs'])[-1]
        names = model.guide._frozen.bank.bank
        cosines, entropies = [], []
        for k, (tall, wide) in enumerate(shapes):
            own = torch.zeros(*feature.shape[-2:], 32)
            for y in range(own.shape[0]):
                for x in range(own.shape[1]):
                    own[y, x] = F.normalize(model.guide.kept['projection'].mlp(feature[k, :, y, x]), dim=0)
            own = bilinear(own, gh, gw)
            for y in range(gh):
                for x in range(gw):
                    if (y + 0.5) * h / gh >= tall or (x + 0.5) * w / gw >= wide:
                        continue
                    s, t = own[y, x], F.normalize(grid[k, y, x], dim=0)
                    cosines.append(1 - (s @ t).item())
                    entropies.append(cross_entropy((names @ t / 0.01).tolist(), (names @ s / 0.2).tolist()))
    assert len(cosines) < 2 * gh * gw
    assert found['guide.loss_place_cosine'].item() == pytest.approx(sum(cosines) / len(cosines), rel=1e-4)
    assert found['guide.loss_place_textual'].item() == pytest.approx(sum(entropies) / len(entropies), rel=1e-3)


def test_classes_are_in_the_log_of_a_model(detector):
    assert detector().guide.class_names == CLASSES


def test_settings_that_nothing_reads_are_refused(detector):
    looks = dict(terms=[dict(type='mmlgd.SimilarityTerm', on='places')])
    with pytest.raises(ConfigError, match="focus='objects' chooses which places are drawn"):
        detector(loss=looks, focus='objects')
    with pytest.raises(ConfigError, match='model.guide.text .* no term of model.guide.loss reads them'):
        detector(loss=looks)


def test_a_frozen_feature_is_refused(teacher):
    pytest.importorskip('mmdet')
    init_default_scope('mmdet')
    settings = settings_of('retinanet')
    model = guided(settings, teacher).train()
    model.backbone.requires_grad_(False)  # as a hook may do
    with pytest.raises(ConfigError, match='output of backbone needs no gradient.*such as neck'):
        losses_of(model, 'retinanet')
    settings.backbone.frozen_stages = 4
    with pytest.raises(ConfigError, match='output of backbone needs no gradient.*such as neck'):
        guided(settings, teacher)
    losses_of(guided(settings, teacher, feature='neck').train(), 'retinanet')
    settings.backbone = dict(
        type='mmpretrain.MobileNetV2', widen_factor=0.35, frozen_stages=7, out_indices=(1, 2, 4, 6)
    )
    settings.neck.in_channels = [8, 16, 32, 56]
    with pytest.raises(ConfigError, match='output of backbone needs no gradient'):  # it freezes them in train()
        guided(settings, teacher)


def test_names_may_come_twice_but_not_others(detector):
    """A runner that has trained may test, or train on: its hook reads the names again."""
    model = detector()
    bank = model.guide.class_names
    model.guide.name(CLASSES)
    assert model.guide.class_names is bank
    with pytest.raises(ConfigError, match='was to be given.*Build the model anew'):
        model.guide.name(['cat', 'dog', 'car'])


def test_one_class_is_told(teacher, monkeypatch):
    pytest.importorskip('mmdet')
    init_default_scope('mmdet')
    told = []
    monkeypatch.setattr('mmlgd.models.guided.guide.print_log', lambda message, *args: told.append(message))
    settings = settings_of('retinanet')
    kind = settings.pop('type')
    guide = dict(teacher=teacher, text=dict(templates='plain'))
    model = MODELS.build(dict(settings, type='mmlgd.Guided', plain=kind, guide=guide))
    model.guide.name(['cell'])
    assert 'one class' in told[0] and model.guide.class_names == ['cell']


def test_a_detector_that_is_taught_by_itself_is_refused_with_a_cure(teacher):
    pytest.importorskip('mmdet')
    init_default_scope('mmdet')
    branches = dict(type='MultiBranchDataPreprocessor', data_preprocessor=dict(type='DetDataPreprocessor'))
    settings = dict(
        type='mmlgd.Guided',
        plain='SoftTeacher',
        detector=settings_of('faster_rcnn'),
        data_preprocessor=branches,
        semi_train_cfg=dict(freeze_teacher=True),
        guide=dict(teacher=teacher),
    )
    with pytest.raises(ConfigError, match='GuidedSoftTeacher trains on several batches.*Guide the detector in it'):
        MODELS.build(settings)
