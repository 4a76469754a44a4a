import open_clip
import pytest
import torch
from open_clip.model import resize_pos_embed
from open_clip.transformer import VisionTransformer

from mmlgd.models.teachers.places.sizes import for_size


def vit(size=64):
    torch.manual_seed(0)
    return VisionTransformer(size, 16, width=32, layers=2, heads=2, mlp_ratio=2.0, output_dim=8).eval()


@pytest.mark.parametrize('size', [(96, 96), (96, 128), (32, 64), (32, 128)])
def test_position_embeddings_are_those_of_open_clip(size):
    tower, images = vit(), torch.randn(2, 3, *size)
    larger = vit(size)
    state = {f'visual.{key}': value for key, value in tower.state_dict().items()}
    if size != (32, 128):  # as many places as before: open_clip would take their embeddings as they lie
        resize_pos_embed(state, torch.nn.ModuleDict(dict(visual=larger)))
    with torch.no_grad():
        got = for_size(tower, size)(images)
        if size != (32, 128):
            larger.load_state_dict({key.removeprefix('visual.'): value for key, value in state.items()})
            torch.testing.assert_close(got, larger(images))
    assert got.shape == (2, 8)


def test_the_copy_shares_its_weights_and_leaves_the_tower_alone(tiny_clip):
    for tower in (vit(), open_clip.create_model(tiny_clip).visual):
        before = {key: value.clone() for key, value in tower.state_dict().items()}
        copied = for_size(tower, (96, 64))
        assert all(torch.equal(value, before[key]) for key, value in tower.state_dict().items())
        shared = {id(p) for p in tower.parameters()} & {id(p) for p in copied.parameters()}
        assert len(shared) == len(list(tower.parameters())) - 1  # all but the position embedding
        copied.double()
        assert all(p.dtype == torch.float64 for p in tower.parameters() if id(p) in shared)
