"""Small models of each library and kind, and batches for them. They build in a moment, and learn nothing."""

import copy

import torch
from mmengine.config import Config
from mmengine.structures import PixelData

from mmlgd.registry import MODELS
from mmlgd.utils.configs import _configs_of

CLASSES = ['cat', 'dog', 'tree']
NARROW = dict(depth=18, base_channels=8, stem_channels=8, init_cfg=None, frozen_stages=-1, norm_eval=False)
WIDTHS = [8, 16, 32, 64]
KINDS = dict(
    retinanet='mmdet', faster_rcnn='mmdet', detr='mmdet', rtmdet='mmdet', segmentor='mmseg', classifier='mmpretrain'
)


def settings_of(kind):
    """Settings of a plain model."""
    return copy.deepcopy(globals()[f'_{kind}']())


def _of_mmdet(name):
    return Config.fromfile(_configs_of('mmdet') / f'{name}.py').model


def _retinanet():
    model = _of_mmdet('retinanet/retinanet_r18_fpn_1x_coco')
    model.backbone.update(NARROW)
    model.neck.update(in_channels=WIDTHS, out_channels=16)
    model.bbox_head.update(num_classes=3, in_channels=16, feat_channels=16, stacked_convs=1)
    return model


def _faster_rcnn():
    model = _of_mmdet('faster_rcnn/faster-rcnn_r50_fpn_1x_coco')
    model.backbone.update(NARROW)
    model.neck.update(in_channels=WIDTHS, out_channels=16)
    model.rpn_head.update(in_channels=16, feat_channels=16)
    model.roi_head.bbox_roi_extractor.out_channels = 16
    model.roi_head.bbox_head.update(num_classes=3, in_channels=16, fc_out_channels=16)
    return model


def _detr():
    model = _of_mmdet('detr/detr_r50_8xb2-150e_coco')
    model.num_queries, model.test_cfg = 5, dict(max_per_img=5)
    model.backbone.update(NARROW)
    model.neck.update(in_channels=[64], out_channels=16)
    for part in (model.encoder, model.decoder):
        part.num_layers = 1
        part.layer_cfg.ffn_cfg.update(embed_dims=16, feedforward_channels=16)
    model.encoder.layer_cfg.self_attn_cfg.update(embed_dims=16, num_heads=2)
    for name in ('self_attn_cfg', 'cross_attn_cfg'):
        model.decoder.layer_cfg[name].update(embed_dims=16, num_heads=2)
    model.positional_encoding.num_feats = 8
    model.bbox_head.update(num_classes=3, embed_dims=16)
    return model


def _rtmdet():
    model = _of_mmdet('rtmdet/rtmdet_tiny_8xb32-300e_coco')
    model.data_preprocessor.batch_augments = None
    model.backbone.update(deepen_factor=0.167, widen_factor=0.125, norm_cfg=dict(type='BN'), init_cfg=None)
    model.neck.update(in_channels=[32, 64, 128], out_channels=16, num_csp_blocks=1, norm_cfg=dict(type='BN'))
    model.bbox_head.update(num_classes=3, in_channels=16, feat_channels=16, norm_cfg=dict(type='BN'))
    return model


def _segmentor():
    return Config(
        dict(
            type='EncoderDecoder',
            data_preprocessor=dict(
                type='SegDataPreProcessor', mean=[120.0] * 3, std=[60.0] * 3, bgr_to_rgb=True, size_divisor=32
            ),
            backbone=dict(type='ResNet', **NARROW),
            decode_head=dict(
                type='FPNHead',
                in_channels=WIDTHS,
                in_index=[0, 1, 2, 3],
                feature_strides=[4, 8, 16, 32],
                channels=16,
                num_classes=3,
                norm_cfg=dict(type='BN'),
                align_corners=False,
                loss_decode=dict(type='CrossEntropyLoss'),
            ),
            train_cfg=dict(),
            test_cfg=dict(mode='whole'),
        )
    )._cfg_dict


def _classifier():
    return Config(
        dict(
            type='ImageClassifier',
            data_preprocessor=dict(mean=[120.0] * 3, std=[60.0] * 3, to_rgb=True),
            backbone=dict(type='ResNet', depth=18, base_channels=8, stem_channels=8),
            neck=dict(type='GlobalAveragePooling'),
            head=dict(type='LinearClsHead', num_classes=3, in_channels=64, loss=dict(type='CrossEntropyLoss')),
        )
    )._cfg_dict


def guided(plain, teacher, **guide):
    """Build a plain model with a guide that has its names."""
    settings = copy.deepcopy(plain)
    kind = settings.pop('type')
    guide = dict(teacher=teacher, text=dict(templates='plain'), **guide)
    model = MODELS.build(dict(settings, type='mmlgd.Guided', plain=kind, guide=guide))
    model.guide.name(CLASSES)
    return model


def batch_of(kind, shapes=((96, 128), (128, 64)), seed=0):
    """A batch as a data loader gives it, of images that differ in size."""
    generator = torch.Generator().manual_seed(seed)
    library = KINDS[kind]
    if library == 'mmpretrain':
        shapes = [(64, 96)] * len(shapes)
    inputs = [torch.randint(0, 256, (3, *shape), generator=generator, dtype=torch.uint8) for shape in shapes]
    samples = [_sample(library, shape, generator) for shape in shapes]
    return dict(inputs=torch.stack(inputs) if library == 'mmpretrain' else inputs, data_samples=samples)


def _sample(library, shape, generator):
    meta = dict(img_shape=shape, ori_shape=shape, scale_factor=(1.0, 1.0), img_path='image.png')
    if library == 'mmpretrain':
        from mmpretrain.structures import DataSample

        return DataSample(metainfo=meta).set_gt_label(int(torch.randint(0, 3, (), generator=generator)))
    if library == 'mmseg':
        from mmseg.structures import SegDataSample

        mask = torch.randint(0, 3, (1, *shape), generator=generator)
        return SegDataSample(metainfo=meta, gt_sem_seg=PixelData(data=mask))
    from mmdet.structures import DetDataSample
    from mmdet.structures.bbox import HorizontalBoxes
    from mmengine.structures import InstanceData

    sample = DetDataSample(metainfo=meta)
    boxes = HorizontalBoxes(torch.tensor([[4.0, 6.0, 40.0, 60.0], [20.0, 30.0, 50.0, 70.0]]))
    sample.gt_instances = InstanceData(bboxes=boxes, labels=torch.tensor([0, 2]))
    sample.ignored_instances = InstanceData(bboxes=HorizontalBoxes(torch.zeros(0, 4)), labels=torch.zeros(0).long())
    return sample
