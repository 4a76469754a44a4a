# MobileNetV2 at half its width. A config with this base picks what it needs by name.
mobilenetv2 = dict(_delete_=True, type='mmpretrain.MobileNetV2', widen_factor=0.5, out_indices=(7,))
mobilenetv2_channels = 1280
