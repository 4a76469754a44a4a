"""What the command leaves out of its output."""

import runpy
import warnings


def test_warnings_of_the_stack_about_its_own_code_are_left_out():
    of_the_stack = (
        'pkg_resources is deprecated as an API.',
        'DeprecationWarning: `num_anchors` is deprecated, for consistency or also use `num_base_priors` instead',
        '``build_loss`` would be deprecated soon, please use ``mmseg.registry.MODELS.build()`` ',
        'Warning: The bbox is out of bounds, the drawn bbox may not be in the image',
    )
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter('always')
        runpy.run_module('mmlgd.cli.__main__')
        for text in (*of_the_stack, 'of a user'):
            warnings.warn(text, UserWarning, stacklevel=1)
    # runpy itself warns, in another category, where another test has imported the module before.
    assert [str(one.message) for one in told if one.category is UserWarning] == ['of a user']
