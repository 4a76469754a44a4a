# Dense LGD on 8 GPUs. Each of them adds 1024 places in a step, so a queue of 8192 would hold the latest step alone. This
# one holds 8 steps, as that of one GPU does; SEED's queue of images is as long.
_base_ = 'dense.py'

dense = dict(place_queue=dict(size=65536))
