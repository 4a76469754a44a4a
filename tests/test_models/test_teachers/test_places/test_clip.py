"""Places of each kind of open_clip tower: what a place says is what the tower says if it pools that place alone."""

import open_clip
import pytest
import torch
import torch.nn.functional as F
from open_clip.model import _build_vision_tower
from torch import nn

from mmlgd import OpenCLIPTeacher
from mmlgd.models.teachers import TeacherError
from mmlgd.models.teachers.attention_pool import PooledTokenAttention
from mmlgd.models.teachers.places import open_clip_places
from mmlgd.models.teachers.places.clip import tower_places

from ..shrunken import write_teacher

# Architecture, and how many pixels a place stands for; of each kind of tower and pooling.
FAMILIES = {
    'RN50': 32,
    'ViT-B-32-quickgelu': 32,
    'ViT-bigG-14-CLIPA': 14,
    'coca_ViT-B-32': 32,
    'convnext_tiny': 32,
    'convnext_large_d': 32,
    'MobileCLIP-S1': 32,
    'MobileCLIP-B': 16,
    'EVA02-B-16': 16,
    'ViTamin-S': 16,
    'ViT-B-16-SigLIP2': 16,
    'PE-Core-T-16-384': 16,
}


@pytest.fixture(scope='module')
def small(tmp_path_factory):
    """Names of small random teachers."""
    pytest.importorskip('transformers')
    folder, names = tmp_path_factory.mktemp('teachers'), {}

    def name_of(model):
        if model not in names:
            names[model] = write_teacher(folder / model, model)
        return names[model]

    return name_of


@pytest.mark.parametrize('model', FAMILIES)
def test_each_family_embeds_places_with_its_image(model, small):
    teacher = OpenCLIPTeacher(small(model))
    x = torch.rand(2, 3, *teacher.image_size, generator=torch.Generator().manual_seed(0)) * 255
    found = teacher.encode(x, places=True)
    torch.testing.assert_close(found.image, teacher.encode_image(x), atol=1e-5, rtol=0)
    grid = tuple(side // FAMILIES[model] for side in teacher.image_size)
    assert teacher.has_places and found.places.shape == (2, *grid, teacher.embed_dim)
    assert found.places.dtype == torch.float32 and not found.places.is_inference()
    torch.testing.assert_close(found.places.norm(dim=-1), torch.ones(2, *grid))
    assert (found.places.flatten(1, 2).std(1) > 1e-5).any(), 'all places are equal'
    torch.testing.assert_close(teacher.encode_places(x), found.places)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        half = teacher.encode_places(x)
    assert half.dtype == torch.float32
    assert (half * found.places).sum(-1).mean() > 0.98


@pytest.mark.parametrize('model', FAMILIES)
def test_each_family_takes_larger_images_that_need_not_be_square(model, small):
    size = (6 * FAMILIES[model], 8 * FAMILIES[model])
    own, larger = OpenCLIPTeacher(small(model)), OpenCLIPTeacher(small(model), places_size=size)
    x = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0)) * 255
    found = larger.encode(x, places=True)
    assert found.places.shape == (1, 6, 8, own.embed_dim)
    # The image's embedding comes from the same pass; without places, all is as it was.
    assert (found.image - larger.encode_image(x)).abs().max() > 1e-6
    torch.testing.assert_close(larger.encode_image(x), own.encode_image(x))


@pytest.mark.parametrize('model', ['RN50', 'ViT-bigG-14-CLIPA', 'convnext_tiny', 'MobileCLIP-S1', 'ViTamin-S'])
def test_where_the_tower_is_linear_after_pooling_the_image_is_the_mean_of_its_places(model, small):
    teacher = OpenCLIPTeacher(small(model))
    if model == 'RN50':  # attention weighs by keys, and adds positions to values
        pool = teacher.image_tower.attnpool
        pool.positional_embedding.zero_()
        pool.k_proj.weight.zero_()
    for norm in teacher.image_tower.modules():  # a norm after the pooling would divide by what only the mean has
        if isinstance(norm, nn.LayerNorm) and model in ('ViT-bigG-14-CLIPA', 'convnext_tiny', 'ViTamin-S'):
            norm.forward = lambda x: x
    images = torch.randn(2, 3, *teacher.image_size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        found = teacher.places_tower(images)
    torch.testing.assert_close(found.places.mean((1, 2)), found.image, atol=1e-4 * found.image.abs().max(), rtol=1e-4)


@pytest.mark.parametrize('model', ['ViT-B-16-SigLIP2', 'coca_ViT-B-32', 'PE-Core-T-16-384'])
def test_a_pooling_by_attention_that_sees_equal_tokens_names_them_as_the_image(model, small):
    places = OpenCLIPTeacher(small(model)).places_tower
    tower = places.tower
    if model.startswith('coca'):
        tokens = torch.randn(1, 1, 32).expand(1, 17, 32)
        places.embed = lambda images, blocks: tokens
        size = tower.image_size
    else:
        tokens = torch.randn(1, 1, 64).expand(1, 100 + tower.num_prefix_tokens, 64)
        tower.forward_features = lambda images: tokens
        size = (160, 160)
    with torch.no_grad():
        found = places(torch.zeros(1, 3, *size))
    expected = found.image[:, None, None].expand_as(found.places)
    torch.testing.assert_close(found.places, expected, atol=1e-5, rtol=1e-4)


def test_residual_and_mlp_of_the_last_block_are_a_choice(small):
    teachers = {
        (residual, mlp): OpenCLIPTeacher(small('ViT-B-32-quickgelu'), places_residual=residual, places_mlp=mlp)
        for residual in (False, True)
        for mlp in (False, True)
    }
    x = torch.rand(1, 3, 128, 128) * 255
    places = [teacher.encode_places(x) for teacher in teachers.values()]
    assert len({teacher.identity for teacher in teachers.values()}) == 4
    assert all((one - other).abs().max() > 1e-4 for k, one in enumerate(places) for other in places[:k])
    tower, x = teachers[True, True].image_tower, torch.randn(1, 3, 128, 128)
    with torch.no_grad():
        *blocks, last = tower.transformer.resblocks
        tokens = tower._embeds(x)
        for block in blocks:
            tokens = block(tokens)
        expected = tower.ln_post(last(tokens[:, 6:7]))[:, 0] @ tower.proj
        torch.testing.assert_close(teachers[True, True].places_tower(x).places[:, 1, 1], expected)


@pytest.mark.parametrize('model', ['RN50', 'ViT-B-16-SigLIP2', 'convnext_tiny'])
def test_a_tower_without_a_class_token_does_not_ignore_the_choice(model, small):
    with pytest.raises(TeacherError, match='no class token.*places_mlp=True'):
        OpenCLIPTeacher(small(model), places_mlp=True)


@pytest.mark.parametrize('model', FAMILIES)
def test_images_keep_their_ratio_as_with_a_size_of_that_ratio(model, small):
    """The tower at the ratio of the batch is the tower that is built for images of that size."""
    teacher = OpenCLIPTeacher(small(model))
    side = teacher.image_size[0]
    wide = torch.rand(2, 3, side, 3 * side, generator=torch.Generator().manual_seed(0)) * 255
    before = teacher.encode(wide[..., :side], places=True)
    assert teacher.size_for(wide, True) == teacher.image_size
    assert teacher.keep_ratio()
    size = teacher.size_for(wide, True)
    assert size[0] < size[1] and size != teacher.image_size == teacher.size_for(wide, False)
    expected = OpenCLIPTeacher(small(model), places_size=size).encode(wide, places=True)
    for found, one in zip(teacher.encode(wide, places=True)[:2], expected):
        torch.testing.assert_close(found, one, atol=1e-5, rtol=0)
    torch.testing.assert_close(teacher.encode(wide[..., :side], places=True).places, before.places)


@pytest.mark.parametrize(
    'size, message',
    [
        ((100, 96), r'cannot take places_size=\(100, 96\): expected multiples of \(32, 32\)'),
        (0, 'places_size in pixels, a number or .height, width., got 0'),
        ((64, -64), 'got .64, -64.'),
    ],
)
def test_wrong_sizes_are_refused(size, message, small):
    with pytest.raises(TeacherError, match=message):
        OpenCLIPTeacher(small('RN50'), places_size=size)


def test_the_size_is_part_of_the_identity_only_where_it_differs(tiny_clip):
    ids = [OpenCLIPTeacher(tiny_clip, places_size=size).identity for size in (None, 64, (64, 64), 128, (128, 64))]
    assert ids[0] == ids[1] == ids[2] and len(set(ids)) == 3


@pytest.mark.parametrize(
    'model, stride',
    [
        ('RN50', 16),
        ('RN50', 8),
        ('timm', 16),
        ('timm', 8),
        ('timm', 4),
        ('convnext_base', 16),
        ('convnext_base', 4),
        ('convnext_base', 2),
    ],
)
def test_a_finer_stride_adds_places_between_those_that_were_there(model, stride, small, tiny_clip):
    """Every 32 / stride-th place, and the image, are those of the tower as it is."""
    name = tiny_clip if model == 'timm' else small(model)
    own, finer = OpenCLIPTeacher(name), OpenCLIPTeacher(name, places_stride=stride)
    side, step = own.image_size[0], 32 // stride
    x = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0)) * 255
    before, after = own.encode(x, places=True), finer.encode(x, places=True)
    assert after.places.shape[1:3] == (side // stride, side // stride)
    torch.testing.assert_close(after.places[:, ::step, ::step], before.places, atol=1e-5, rtol=0)
    torch.testing.assert_close(after.image, before.image, atol=1e-5, rtol=0)
    torch.testing.assert_close(finer.encode_image(x), own.encode_image(x))
    assert finer.identity != own.identity


def test_a_place_between_is_what_the_tower_says_to_a_moved_image(tiny_clip):
    own, finer = (OpenCLIPTeacher(tiny_clip, places_size=384, places_stride=stride) for stride in (None, 16))
    x = torch.rand(1, 3, 384, 384, generator=torch.Generator().manual_seed(0)) * 255
    moved = own.encode_places(x.roll((-16, -16), (2, 3)))
    # Far from the border, where padding and what was rolled around it do not matter.
    torch.testing.assert_close(finer.encode_places(x)[:, 11:14:2, 11:14:2], moved[:, 5:7, 5:7], atol=1e-5, rtol=0)


def test_stride_and_size_go_together(small):
    teacher = OpenCLIPTeacher(small('RN50'), places_size=(96, 128), places_stride=16)
    assert teacher.encode_places(torch.rand(1, 3, 96, 128)).shape[1:3] == (6, 8)


@pytest.mark.parametrize('model, stride', [('RN50', 32), ('RN50', 12), ('RN50', 0), ('ViT-B-32-quickgelu', 16)])
def test_a_stride_that_a_tower_cannot_have_is_refused(model, stride, small):
    with pytest.raises(TeacherError, match=f'cannot have places_stride={stride}'):
        OpenCLIPTeacher(small(model), places_stride=stride)


def test_a_tower_without_places_says_so(tiny_clip):
    class Unknown(nn.Module):
        def forward(self, images):
            return images.flatten(1)

    assert open_clip_places(Unknown(), (8, 8)) is None
    with pytest.raises(TeacherError, match='The tower X has no places'):
        open_clip_places(Unknown(), (8, 8), (16, 16), name='The tower X')
    teacher = OpenCLIPTeacher(tiny_clip)
    teacher.places_tower = None
    assert not teacher.has_places
    with pytest.raises(TeacherError, match="The image tower of 'local-dir:.*has no places"):
        teacher.encode_places(torch.zeros(1, 3, 64, 64))


@pytest.mark.parametrize('model', FAMILIES)
def test_two_halves_of_an_image_are_two_groups_of_places(model, small):
    cell = FAMILIES[model]
    teacher = OpenCLIPTeacher(small(model), places_size=8 * cell)
    tiles = torch.rand(2, 3, cell, cell, generator=torch.Generator().manual_seed(0)) * 255
    x = torch.cat([tile.repeat(1, 8, 4) for tile in tiles], dim=-1)[None]  # each half has one texture
    places = teacher.encode_places(x)[0]
    places = places - places.mean((0, 1))  # some random towers say nearly the same of all images
    left, right = places[1:-1, 1:3].flatten(0, 1), places[1:-1, 5:-1].flatten(0, 1)
    centres = F.normalize(torch.stack([left.mean(0), right.mean(0)]), dim=-1)
    assert ((left @ centres.T).argmax(1) == 0).all() and ((right @ centres.T).argmax(1) == 1).all()


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.parametrize('model', sorted({*open_clip.list_models()} - {'vit_relpos_medium_patch16_cls_224'}))
def test_image_towers_of_full_size_have_places(model):
    """Shapes alone, without memory: weights are random, so no output could be compared."""
    config = open_clip.get_model_config(model)
    vision = config['vision_cfg']
    with torch.device('meta'), torch.no_grad():
        tower = _build_vision_tower(config['embed_dim'], vision).eval()
        tower.output_tokens = False
        if hasattr(tower, 'attnpool'):
            tower.attnpool = PooledTokenAttention(tower.attnpool)
        found = tower_places(tower)(torch.zeros(2, 3, vision['image_size'], vision['image_size']))
    assert found.image.shape == (2, config['embed_dim'])
    assert found.places.shape[0] == 2 and found.places.ndim == 4 and found.places.shape[-1] == config['embed_dim']
