# The other phone-sized backbone, of half its width. A config that has this as a base names what it takes from here.
mobilenetv2 = dict(_delete_=True, type='mmpretrain.MobileNetV2', widen_factor=0.5, out_indices=(7,))
mobilenetv2_channels = 1280
