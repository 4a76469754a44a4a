# The folder where tools/demo renders the world (--work-dir changes it), and the names of the objects in it.
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
