# Where tools/demo renders the world (with --work-dir, elsewhere), and the names of the things in it.
data_root = 'work_dirs/demo/world'
things = (
    'ball',
    'box',
    'star',
    'ring',
    'cross',
    'heart',
    'moon',
    'fish',
    'tree',
    'house',
)
