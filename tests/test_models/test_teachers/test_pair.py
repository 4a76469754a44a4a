"""A pair of teachers is one teacher: its words, scaled, beside its looks."""

import copy
import math
import pickle

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmlgd import ConSETeacher, TeacherPair
from mmlgd.checkpoints.teacher_ids import same_teacher, teacher_key, teacher_to_build
from mmlgd.errors import ConfigError
from mmlgd.models import BaseTeacher
from mmlgd.models.teachers import TeacherError, pair
from mmlgd.models.teachers.settings import build_teacher, lacks_statistics, names_scale, updated, with_statistics_of

from .test_conse import NAMES, PIXELS, Sentences
from .test_places.test_classifiers import conse, pixelwise

WORDS = dict(type='mmlgd.ConSETeacher', top_k=2, class_names=NAMES, **PIXELS)


def looker(width=5, side=8):
    """Settings of a small network, whose features are 2 x 2 places."""
    torch.manual_seed(1)
    layers = [nn.Conv2d(3, width, side // 2, side // 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    network = nn.Sequential(*layers, nn.Linear(width, 7))
    return dict(backbone=network, image_size=side, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4))


def pixels(count=4, seed=0, side=8):
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(seed)) * 255


def pair_of(looks=None, words=None, share=0.75, **more):
    looks, words = looks or looker(), words or conse()
    statistics = TeacherPair(words, dict(looks, **more), 0.5).measured(pixels(8, seed) for seed in range(4))
    return TeacherPair(words, dict(looks, statistics=statistics, **more), share)


def test_images_and_places_are_words_beside_looks_and_names_are_words_alone():
    teacher = pair_of()
    words, x = teacher.words, pixels()
    found, told = teacher.encode(x, places=True), words.encode(x, places=True)
    names = teacher.encode_text(['a cat', 'a dog'])
    assert teacher.embed_dim == 3 + 5 and found.places.shape == (4, 8, 8, 8) and teacher.names_scale == 0.5
    for rows, of_words in (
        (found.image, told.image),
        (found.places, told.places),
        (teacher.encode_image(x), told.image),
    ):
        torch.testing.assert_close(rows.norm(dim=-1), torch.ones(rows.shape[:-1]))
        torch.testing.assert_close(rows[..., :3], 0.5 * of_words, atol=1e-7, rtol=1e-6)
        torch.testing.assert_close(rows[..., 3:].norm(dim=-1), torch.full(rows.shape[:-1], 0.75**0.5))
        torch.testing.assert_close(rows @ names.T, 0.5 * of_words @ words.encode_text(['a cat', 'a dog']).T)
    assert torch.equal(names[:, :3], words.encode_text(['a cat', 'a dog'])) and not names[:, 3:].any()
    assert not found.image.requires_grad and not teacher.train().looks.training


def test_looks_are_standardised_features():
    teacher = pair_of()
    network, x = teacher.looks.network, torch.cat([pixels(8, seed) for seed in range(4)])
    features = looker()['backbone'][:4](
        (x / 255 - torch.tensor([0.4, 0.5, 0.6]).view(3, 1, 1)) / torch.tensor([0.2, 0.3, 0.4]).view(3, 1, 1)
    )
    expected = F.normalize((features - features.mean(0)) / features.std(0, correction=0), dim=-1)
    torch.testing.assert_close(F.normalize(teacher.encode_image(x)[:, 3:], dim=-1), expected, atol=1e-4, rtol=1e-3)
    assert network.channels == 5
    # Fewer dimensions, by a fixed map that keeps angles between most vectors.
    wide = pair_of(looker(64))
    narrow = pair_of(looker(64), looks_dim=48)
    assert (wide.embed_dim, narrow.embed_dim) == (3 + 64, 3 + 48)
    projection = narrow.looks.projection
    torch.testing.assert_close(projection.T @ projection, torch.eye(48), atol=1e-5, rtol=0)
    assert torch.equal(projection, pair_of(looker(64), looks_dim=48).looks.projection)
    a, b = (F.normalize(t.encode_image(x)[:, 3:], dim=-1) for t in (wide, narrow))
    assert (a @ a.T - b @ b.T).abs().mean() < 0.1


def test_a_dimension_that_never_changes_says_nothing():
    looks = looker()
    looks['backbone'][0].weight.data[0], looks['backbone'][0].bias.data[0] = 0.0, 1 / 3
    found = pair_of(looks).encode_image(pixels())
    assert found.isfinite().all() and not found[:, 3].any() and found[:, 4].any()
    looks['backbone'][0].weight.data.zero_()
    with pytest.raises(TeacherError, match='std of their features is .*all images are the same'):
        pair_of(looks)
    looks['backbone'][0].weight.data.fill_(math.nan)
    with pytest.raises(TeacherError, match='mean of their features is NaN'):
        pair_of(looks)


def test_without_a_share_of_looks_it_is_its_words():
    words, x = conse(), pixels()
    teacher = TeacherPair(words, looker(), 0.0)  # needs no statistics
    assert torch.equal(teacher.encode_image(x), words.encode_image(x))
    assert torch.equal(teacher.encode_places(x), words.encode_places(x))
    assert torch.equal(teacher.encode_text(['a cat']), words.encode_text(['a cat']))
    assert teacher.identity == words.identity and teacher.embed_dim == 3 and teacher.names_scale == 1
    assert updated(dict(type='mmlgd.TeacherPair', words=WORDS, looks='logits', looks_share=0)) == WORDS
    default = dict(type='mmlgd.TeacherPair', words=WORDS, looks='logits')  # a store may be compared with either
    assert updated(default) == updated(dict(default, looks_share=0.9)) == dict(default, looks_share=0.9)


@pytest.mark.parametrize('looks', ['logits', 'features', 'similarity'])
def test_one_network_runs_once_for_both(looks):
    words = conse()
    if looks == 'features':
        settings = dict(backbone=copy.deepcopy(words.classifier), **PIXELS)
        teacher = pair_of(settings, words)
        apart = pair_of(dict(settings, places_size=16), words)  # other settings, so another pass
        assert not apart.looks.is_shared
        torch.testing.assert_close(teacher.encode_image(pixels()), apart.encode_image(pixels()), atol=1e-6, rtol=1e-5)
    else:
        teacher = TeacherPair(words, looks)
    assert teacher.looks.is_shared
    passes = []
    for module in {
        id(m): m for m in (*words.modules(), *teacher.looks.modules()) if isinstance(m, nn.AdaptiveAvgPool2d)
    }.values():
        module.register_forward_hook(lambda *args: passes.append(args))
    share = teacher.names_scale
    torch.testing.assert_close(
        teacher.encode_image(pixels())[:, :3], share * words.encode_image(pixels()), atol=1e-6, rtol=1e-5
    )
    assert len(passes) == 2  # one by the pair, one by its words alone
    x = pixels()
    places = teacher.encode_places(x)
    torch.testing.assert_close(places[..., :3], share * words.encode_places(x), atol=1e-6, rtol=1e-5)


def test_conse_of_earlier_versions_is_the_same_teacher():
    """The formula of ``visual_share`` before December 2026, written out."""
    earlier = dict(WORDS, classifier=pixelwise(), text_encoder=Sentences(), visual_share=0.9)
    teacher, words, x = build_teacher(earlier, 'x'), conse(), pixels()
    logits = words.classifier((x / 255 - 0.5) / 0.5)
    looks = (logits - logits.mean(-1, keepdim=True)) @ torch.randn(3, 128, generator=torch.Generator().manual_seed(0))
    expected = torch.cat([0.1**0.5 * words.encode_image(x), 0.9**0.5 * F.normalize(looks, dim=-1)], dim=-1)
    torch.testing.assert_close(teacher.encode_image(x), expected, atol=1e-6, rtol=1e-6)
    assert '/top2/visual0.9/classes-' in teacher.identity
    assert teacher.identity.replace('visual0.9/', '') == words.identity
    assert teacher.names_scale == 1  # its configs have scaled their temperatures
    assert names_scale(updated(earlier)) == pytest.approx(0.1**0.5)
    for share in (1, -0.1, 'much', None):  # in a foreign store
        with pytest.raises(ConfigError, match=r'looks_share in \[0, 1\), got'):
            names_scale(dict(type='mmlgd.TeacherPair', looks='logits', looks_share=share))
    none = build_teacher(dict(earlier, visual_share=0.0), 'x')
    assert none.identity == words.identity and none.embed_dim == 3


def test_the_identity_follows_words_looks_and_statistics_but_no_names():
    teacher, words = pair_of(), conse()
    other_words = pair_of(words=conse(top_k=1))
    other_images = TeacherPair(
        words, dict(looker(), statistics=TeacherPair(words, looker()).measured([pixels(16, 9)])), 0.75
    )
    others = [other_words, other_images, pair_of(share=0.5), pair_of(looks_dim=4), pair_of(looker(side=16))]
    for other in others:
        assert not same_teacher(teacher.identity, other.identity)
    assert same_teacher(teacher.identity, pair_of().identity)
    assert same_teacher(teacher.identity, teacher.identity.replace('looks/Sequential/', 'looks/elsewhere:net.pth/'))
    # Names have no looks: their embeddings are kept for all looks of this width.
    assert teacher_key(teacher.identity) == teacher_key(other_images.identity) != teacher_key(other_words.identity)
    for copied in (copy.deepcopy(teacher), pickle.loads(pickle.dumps(teacher))):
        assert copied.identity == teacher.identity
        assert torch.equal(copied.encode_image(pixels()), teacher.encode_image(pixels()))


def test_words_see_images_of_any_ratio_as_they_do_alone():
    """The size is chosen once: that of 24 x 8 pixels is 14 x 5, and that of 14 x 5 would be another."""
    teacher, x = pair_of(), pixels(side=24)[..., :8]
    assert teacher.keep_ratio()
    told = teacher.words.encode(x, places=True)
    found = teacher.encode(x, places=True)
    assert told.places.shape[1:3] == found.places.shape[1:3] == (14, 5)
    torch.testing.assert_close(found.places[..., :3], 0.5 * told.places, atol=1e-7, rtol=1e-6)


def test_sizes_that_agree_share_one_batch(monkeypatch):
    sizes = []
    resize = pair.resized
    monkeypatch.setattr(pair, 'resized', lambda x, size, *more: sizes.append(tuple(size)) or resize(x, size, *more))
    same, other = pair_of(), pair_of(looker(side=16))
    for teacher, expected in ((same, [(8, 8)]), (other, [(8, 8), (16, 16)])):
        sizes.clear()
        teacher.encode_image(pixels(side=24))
        assert sizes == expected
    bgr = pair_of()
    bgr.expect_pixels((10.0, 20.0, 30.0), (2.0, 3.0, 4.0), bgr=True)
    x = pixels()
    mine = (x.flip(1) - torch.tensor([10.0, 20.0, 30.0]).view(3, 1, 1)) / torch.tensor([2.0, 3.0, 4.0]).view(3, 1, 1)
    torch.testing.assert_close(bgr.encode_image(mine), same.encode_image(x), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_looks_are_float32_under_autocast(dtype):
    for teacher in (pair_of(), TeacherPair(conse(), 'logits')):
        with torch.autocast('cpu', dtype=dtype):
            found = teacher.encode(pixels(), places=True)
        assert found.image.dtype == found.places.dtype == torch.float32
        assert F.cosine_similarity(found.places, teacher.encode_places(pixels()), dim=-1).mean() > 0.99


def test_only_similarities_change_no_embedding():
    words, x = conse(), pixels()
    teacher = TeacherPair(words, dict(looker(), backbone=looker()['backbone']))
    own = TeacherPair(words, 'similarity')
    assert own.identity == words.identity and own.embed_dim == 3 and own.has_looks and not teacher.has_looks
    found = own.encode(x, places=True)
    assert torch.equal(found.image, words.encode_image(x)) and own.encode(x).looks is None
    assert torch.equal(found.places, words.encode_places(x))
    assert found.looks.shape == (4, 8, 8, 3)
    torch.testing.assert_close(found.looks, F.normalize(((x / 255 - 0.5) / 0.5).permute(0, 2, 3, 1), dim=-1))


def test_a_map_of_similarities_has_no_share():
    own = TeacherPair(conse(), 'similarity', 0.0)
    assert own.has_looks and own.names_scale == 1 and own.encode(pixels(), places=True).looks is not None
    settings = dict(type='mmlgd.TeacherPair', words=WORDS, looks='similarity', looks_share=0.0)
    assert updated(settings) == settings


def test_looks_need_no_head_of_the_words_classifier():
    """Only looks that are its own do: here a convolution gives the classes, as in SqueezeNet."""
    classifier = nn.Sequential(nn.Conv2d(3, 3, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    classifier[2].num_classes = 3
    teacher = pair_of(words=conse(classifier))
    assert not teacher.looks.is_shared and teacher.encode_image(pixels()).shape == (4, 8)
    with pytest.raises(TeacherError, match='has no linear layer at its end'):
        TeacherPair(conse(classifier), 'similarity')


def test_the_text_tower_goes():
    teacher = pair_of()
    teacher.free_text_tower()
    assert teacher.words.text_encoder is None and teacher.encode_image(pixels()).shape == (4, 8)
    with pytest.raises(RuntimeError, match='freed'):
        teacher.encode_text(['a cat'])


def test_tokens_are_those_of_the_words(monkeypatch):
    teacher = pair_of()
    monkeypatch.setattr(teacher.words, 'count_tokens', lambda prompts: ([len(prompt) for prompt in prompts], 77))
    assert teacher.count_tokens(['cat', 'a dog']) == ([3, 5], 77)


def test_looks_of_the_words_classifier_may_have_sizes_of_their_own():
    words = dict(classifier='torchvision:resnet18', weights=False, text_encoder=Sentences(), class_names='in1k')
    looks = dict(backbone='torchvision:resnet18', weights=False)
    for own, expected in ((dict(), 64), (dict(image_size=96), 96), (dict(places_size=32), 64)):
        teacher = TeacherPair(ConSETeacher(**words, image_size=(64, 64)), {**looks, **own})
        assert teacher.looks.network.image_size == (expected, expected) and not teacher.looks.is_shared


class Wordless(BaseTeacher):
    """A teacher without a classifier."""

    def __init__(self):
        super().__init__(4, (8, 8), (0.5,) * 3, (0.5,) * 3)
        self.identity = 'wordless'

    identity = ''

    def _encode_image(self, images):
        return images.mean((2, 3)).repeat(1, 2)[:, :4]


def test_any_teacher_can_have_looks():
    teacher = pair_of(words=Wordless())
    assert teacher.encode_image(pixels()).shape == (4, 9) and not teacher.has_places
    with pytest.raises(TeacherError, match='Wordless has no places'):
        teacher.encode_places(pixels())


@pytest.mark.parametrize(
    'settings, message',
    [
        (dict(looks_share=1.0), r'looks_share in \[0, 1\), got 1.0'),
        (dict(looks=dict(image_size=8)), 'Expected looks as "library:model"'),
        (dict(looks=''), 'Expected looks as "library:model"'),
        (dict(looks='resnet18'), "named 'library:model'"),
        (dict(looks=dict(looker(), looks_dim=0)), 'looks_dim of at least 1'),
        (dict(looks=dict(looker(), lookz=1)), 'LooksNetwork has no setting lookz'),
        (dict(looks=dict(backbone='logits', looks_dim=3)), "looks='logits' .*take no more settings"),
        (dict(looks=dict(backbone='similarity', image_size=3)), "looks='similarity' .*take no more settings"),
        (dict(looks=dict(backbone=nn.Identity())), 'looks of Identity need image_size, mean and std'),
        (dict(looks=dict(looker(), backbone=nn.Identity())), r'gives .*, expected features \(N, C\)'),
        (dict(looks=dict(looker(), statistics='AAAA')), 'expected 10 finite ones'),
        (dict(looks=dict(looker(), statistics='no base64!')), 'expected 10 finite ones'),
        (dict(words=Wordless(), looks='logits'), "looks='logits' .*a Wordless has none"),
        (dict(words=Wordless(), looks='similarity'), "looks='similarity' .*a Wordless has none"),
        (dict(words=dict(type='mmlgd.CrossEntropyTerm', bank='text')), 'words is a CrossEntropyTerm, .*not a teacher'),
    ],
)
def test_contradictions_are_refused(settings, message):
    with pytest.raises((ConfigError, TeacherError), match=message):
        TeacherPair(**{**dict(words=conse(), looks=looker()), **settings})


def test_a_pair_of_a_pair_is_refused():
    with pytest.raises(TeacherError, match='A store goes around the pair'):
        TeacherPair(pair_of(), looker())


def test_looks_without_statistics_embed_nothing():
    teacher = TeacherPair(conse(), looker())
    for call in (lambda: teacher.identity, lambda: teacher.encode_image(pixels())):
        with pytest.raises(TeacherError, match='looks Sequential have no statistics yet.*statistics='):
            call()
    with pytest.raises(TeacherError, match='at least 16; got 4'):
        teacher.measured([pixels()])
    with pytest.raises(TeacherError, match='need no statistics'):
        TeacherPair(conse(), 'logits').measured([pixels()])


def test_statistics_go_from_config_to_config():
    ours = dict(type='mmlgd.TeacherPair', words=WORDS, looks='timm:resnet18')
    looks = dict(backbone='timm:resnet18', statistics='abc')
    told = dict(ours, looks=looks)
    assert lacks_statistics(ours) and not lacks_statistics(told)
    assert (
        with_statistics_of(ours, told)
        == told
        == with_statistics_of(told, dict(told, looks=dict(looks, statistics='d')))
    )
    stored = dict(type='mmlgd.CachedTeacher', store='x', teacher=told)
    assert with_statistics_of(ours, stored) == told and not lacks_statistics(stored)
    moved = dict(ours, looks=dict(backbone='timm:resnet18', weights='/new/place.pth', compile=True))
    assert with_statistics_of(moved, told)['looks'] == dict(moved['looks'], statistics='abc')
    for other in (dict(looks, image_size=64), dict(looks, backbone='timm:resnet34'), 'logits'):
        assert with_statistics_of(dict(ours, looks=other), told)['looks'] == other
    for no_need in (dict(ours, looks_share=0.0), dict(ours, looks='similarity'), dict(ours, looks='logits'), WORDS):
        assert not lacks_statistics(no_need) and with_statistics_of(no_need, told) == no_need


def test_places_in_a_foreign_pair_must_be_named():
    told = dict(type='mmlgd.TeacherPair', words=WORDS, looks=dict(backbone='timm:resnet18', statistics='a' * 5000))
    assert teacher_to_build(told) == told
    for foreign, named in (
        (dict(told, looks=dict(told['looks'], weights='/tmp/x.pth')), dict(looks=dict(weights='mine.pth'))),
        (dict(told, words=dict(WORDS, text_encoder='/tmp/x')), dict(words=dict(text_encoder='mine'))),
    ):
        with pytest.raises(ValueError, match=r'has a teacher with (looks.weights|words.text_encoder)='):
            teacher_to_build(foreign)
        half = next(iter(named))
        key, value = next(iter(named[half].items()))
        for one in (named, {f'{half}.{key}': value}):  # as a command line has it
            assert teacher_to_build(foreign, one)[half] == {**foreign[half], **named[half]}
    radio = dict(type='mmlgd.RADIOTeacher', words=dict(type='mmlgd.OpenCLIPTeacher', model='local-dir:/tmp/x'))
    foreign = dict(told, words=radio)
    with pytest.raises(ValueError, match=r'dict\(words=dict\(words=dict\(model=.*--teacher-options words.words.model='):
        teacher_to_build(foreign)
    found = teacher_to_build(foreign, {'words.words.model': 'local-dir:/mine'})
    assert found['words']['words']['model'] == 'local-dir:/mine'
