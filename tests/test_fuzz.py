"""Hundreds of bad inputs: each is an error of our own class, and none a traceback from the depths.

Derandomised: every run tries the same. What is accidentally good is read; how many were refused is counted.
"""

import copy
import importlib
import json
import math
import re
import shutil
from collections import Counter
from contextlib import suppress

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mmengine.logging.history_buffer import HistoryBuffer
from torch import nn

import mmlgd
from mmlgd.checkpoints import read_checkpoint
from mmlgd.checkpoints.words import tensor_of, words_of
from mmlgd.cli.__main__ import main
from mmlgd.converters.onnx_file import load_part
from mmlgd.errors import MMLGDError
from mmlgd.evaluation import load_frozen
from mmlgd.figures.banks import read_banks
from mmlgd.figures.neighbours import read_prototypes
from mmlgd.registry import MODELS
from mmlgd.store import CachedTeacher, TeacherStore
from mmlgd.student import get_student, get_zero_shot_classifier
from mmlgd.student.saved import SavedStudent
from mmlgd.text import embed_class_names, fill, load_templates, load_vocabulary
from mmlgd.utils.building import build_part
from tests import ROOT
from tests.malicious import Call, write_archive

TOOLS = ROOT / 'tools'
REFUSED = Counter()
# Of each test's tries; the others were good by accident. Fewer: something bad is taken for good.
LEAST = dict(
    test_vocabulary_files=100,
    test_vocabularies_of_a_config=110,
    test_templates=80,
    test_parts_of_a_model=200,
    test_models=35,
    test_files_of_a_store=70,
    test_descriptions_of_a_store=60,
    test_bytes_of_a_checkpoint=100,
    test_pickles_of_a_checkpoint=100,
    test_contents_of_a_checkpoint=30,
    test_configs_inside_a_checkpoint=15,
    test_arguments_of_the_command=60,
)


@pytest.fixture(autouse=True)
def counted(request):
    """Count what one test, with all its tries, has refused."""
    REFUSED.clear()
    yield
    if not request.session.testsfailed:
        assert sum(REFUSED.values()) >= LEAST.get(request.node.name, 0), REFUSED


def tries(count):
    return settings(max_examples=count, suppress_health_check=list(HealthCheck))


def attempt(kind, call):
    """Let a call succeed, or refuse in its own words; any other error fails the test."""
    try:
        call()
    except MMLGDError as error:
        assert len(str(error)) > 20
        REFUSED[kind] += 1
        return error
    return None


TEXT = st.text(max_size=12) | st.sampled_from(
    ['{}', '{0.__class__}', '%s', '../../x', '/etc/passwd', '\0', 'os.system']
)
NUMBERS = st.integers(-3, 3) | st.sampled_from([10**30, -(2**63), math.nan, math.inf, -math.inf, 1e-300, 0.5])
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT | st.binary(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3) | st.tuples(inner, inner),
    max_leaves=6,
)


def damaged(content: bytes):
    """Bytes of a file that was cut off, overwritten in a few places, or is another file."""
    positions = st.integers(0, max(0, len(content) - 1))
    flips = st.lists(st.tuples(positions, st.integers(0, 255)), min_size=1, max_size=8)

    def flipped(where):
        changed = bytearray(content)
        for position, byte in where:
            changed[position] = byte
        return bytes(changed)

    return st.one_of(positions.map(lambda end: content[:end]), flips.map(flipped), st.binary(max_size=64))


@tries(150)
@given(content=st.binary(max_size=40) | st.text(alphabet='ab\n\t \0\r\x85{}é\ufeff', max_size=30).map(str.encode))
def test_vocabulary_files(content, tmp_path_factory):
    file = tmp_path_factory.getbasetemp() / 'names.txt'
    file.write_bytes(content)
    attempt('vocabulary', lambda: load_vocabulary(str(file)))


@tries(150)
@given(value=VALUES | st.builds(lambda v: dict(union=v), VALUES) | TEXT.map(lambda t: t * 400))
def test_vocabularies_of_a_config(value):
    attempt('vocabulary', lambda: load_vocabulary(value))


@tries(150)
@given(value=VALUES | st.lists(TEXT.map('a {} of '.__add__), min_size=1, max_size=3), name=TEXT)
def test_templates(value, name):
    def call():
        for template in load_templates(value):
            before, after = template.split('{}')
            assert fill(template, name) == before + name + after  # whatever is in braces, it is text

    attempt('templates', call)


PARTS = {
    'mmlgd.LGDLoss': [
        'student_temperature',
        'teacher_temperature',
        'alpha',
        'self_logit',
        'queue_weight',
        'queue_teacher_temperature',
    ],
    'mmlgd.VisualSemanticsBank': ['num_classes', 'embed_dim', 'momentum', 'normalize'],
    'mmlgd.QueueBank': ['size', 'embed_dim'],
    'mmlgd.ProjectionNeck': ['in_channels', 'out_channels', 'hid_channels'],
    'mmlgd.MoCoV2Augmentation': ['brightness', 'hue', 'sigma', 'flip_prob'],
    'mmlgd.CachedTeacher': ['store', 'teacher'],
    'mmlgd.OpenCLIPTeacher': ['model', 'pretrained', 'cache_dir', 'compile'],
    'mmlgd.ConSETeacher': ['classifier', 'weights', 'top_k', 'image_size', 'compile'],
    'mmlgd.TeacherPair': ['words', 'looks', 'looks_share'],
    'mmlgd.CosineLoss': ['alpha'],
    'mmlgd.DistillationLoss': ['terms'],
    'mmlgd.CrossEntropyTerm': [
        'bank',
        'on',
        'weight',
        'student_temperature',
        'teacher_temperature',
        'self_logit',
        'name',
    ],
    'mmlgd.CosineTerm': ['on', 'weight', 'name'],
}
SMALL_VALUES = VALUES.filter(lambda value: not (isinstance(value, int) and value > 100))  # no bank beyond the memory


@tries(250)
@given(data=st.data())
def test_parts_of_a_model(data):
    name = data.draw(st.sampled_from(sorted(PARTS)))
    keys = st.sampled_from([*PARTS[name], 'unknown'])
    config = data.draw(st.dictionaries(keys, SMALL_VALUES, min_size=1, max_size=3))
    if name.endswith('Teacher'):
        config = {'model': 'x', **config} if 'OpenCLIP' in name else config  # none of its own is built
        config = {'classifier': 'x', **config} if 'ConSE' in name else config
    attempt('parts', lambda: build_part(dict(config, type=name), 'model.part'))


@tries(40)
@given(data=st.data())
def test_models(data, lgd_model):
    config = copy.deepcopy(lgd_model)
    part = data.draw(
        st.sampled_from(['backbone', 'neck', 'teacher', 'text', 'loss', 'visual_bank', 'queue', 'compile'])
    )
    inner = config.setdefault(part, {})
    if isinstance(inner, dict) and inner and data.draw(st.booleans()):
        inner[data.draw(st.sampled_from([*sorted(inner), 'unknown']))] = data.draw(SMALL_VALUES)
    else:
        config[part] = data.draw(SMALL_VALUES)
    attempt('models', lambda: MODELS.build(config))


@pytest.fixture(scope='module')
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp('store')
    teacher = dict(id='t', embed_dim=3, image_size=[8, 8], mean=[0.5] * 3, std=[0.5] * 3, config=dict(type='x'))
    description = dict(
        teacher=teacher,
        views=2,
        seed=0,
        noise=0,
        images=dict(count=700, names='a', sizes='b'),
        pipeline=[dict(type='x')],
        augmentation=None,
        libraries=dict(python='3'),
        probes=[dict(row=0, pixels='a')],
    )
    store = TeacherStore.create(folder, description)
    for shard in range(store.num_shards):
        store.write(shard, np.eye(3)[np.zeros(len(store.rows_of(shard)), int)])
    return folder


def read_all(folder):
    store = TeacherStore(folder)
    CachedTeacher(folder)
    store.require_complete()
    rows = store.num_views * store.num_images
    assert len(store[0]) == len(store[rows - 1]) == store.embed_dim
    assert set(store.missing(verify=True)) <= set(range(store.num_shards))


@tries(130)
@given(data=st.data())
def test_files_of_a_store(data, store, tmp_path_factory):
    folder = tmp_path_factory.getbasetemp() / 'damaged_store'
    shutil.copytree(store, folder, dirs_exist_ok=True)
    names = ['store.json', 'shards/00000.npy', 'shards/00001.npy', 'shards/00000.crc32']
    file = folder / data.draw(st.sampled_from(names))
    if data.draw(st.integers(0, 9)) == 0:
        file.unlink()
    else:
        file.write_bytes(data.draw(damaged(file.read_bytes())))
    attempt('store', lambda: read_all(folder))


JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=4,
)


@tries(130)
@given(data=st.data())
def test_descriptions_of_a_store(data, store, tmp_path_factory):
    folder = tmp_path_factory.getbasetemp() / 'described_store'
    shutil.copytree(store, folder, dirs_exist_ok=True)
    told = json.loads((store / 'store.json').read_text())
    part = data.draw(st.sampled_from([told, told['teacher'], told['images'], told['probes'][0]]))
    key = data.draw(st.sampled_from(sorted(part)))
    if data.draw(st.booleans()):
        part[key] = data.draw(JSON)
    else:
        del part[key]
    (folder / 'store.json').write_text(json.dumps(told))
    attempt('store', lambda: read_all(folder))


@pytest.mark.parametrize(
    'text', ['[' * 100_000, '{"format": 1e999}', '1' * 10_000, '"\\ud800"', 'NaN', '\0', '{"a":1}']
)
def test_json_of_its_own_kind(text, store, tmp_path):
    (tmp_path / 'store.json').write_text(text)
    assert attempt('store', lambda: TeacherStore(tmp_path))


@tries(100)
@given(data=st.data())
def test_text_caches(data, tmp_path_factory):
    folder = tmp_path_factory.getbasetemp() / 'text_cache'

    def tower(prompts):
        return nn.functional.normalize(torch.arange(1.0, 9).repeat(len(prompts), 1))

    def embed():
        return embed_class_names(tower, 8, 'teacher', ['cat', 'dog'], ['a {}'], str(folder))

    rows = embed()
    (file,) = (folder / 'text').iterdir()
    file.write_bytes(data.draw(damaged(file.read_bytes())))
    read = embed()  # a cache is never needed: what is damaged is computed anew
    assert read.shape == rows.shape and torch.isfinite(read).all()
    file.unlink()


@pytest.mark.parametrize('shape', [(2, 7), (3, 8), (8,), (0, 8)])
def test_a_text_cache_of_another_shape(shape, tmp_path):
    from safetensors.torch import save_file

    arguments = (lambda prompts: torch.eye(8)[: len(prompts)], 8, 't', ['cat', 'dog'], ['a {}'], str(tmp_path))
    rows = embed_class_names(*arguments)
    (file,) = (tmp_path / 'text').iterdir()
    save_file(dict(embeddings=torch.ones(shape)), file)
    assert torch.equal(embed_class_names(*arguments), rows)


@tries(150)
@given(data=st.data())
def test_bytes_of_a_checkpoint(data, tmp_path_factory):
    file = tmp_path_factory.getbasetemp() / 'bytes.pth'
    good = tmp_path_factory.getbasetemp() / 'good.pth'
    if not good.exists():
        torch.save(dict(state_dict={'backbone.w': torch.ones(3)}, meta=dict(cfg='model = dict()')), good)
    file.write_bytes(data.draw(damaged(good.read_bytes())))
    attempt('checkpoints', lambda: read_checkpoint(file))


def calls_of(arguments):
    """Calls of what a checkpoint may name, with whatever arguments and state."""
    functions = [
        np.ndarray,
        np.dtype,
        np.ones(1).__reduce__()[0],
        np.float64(1).__reduce__()[0],
        HistoryBuffer,
        getattr,
    ]
    functions += [dict().__class__, set, torch.Size, torch._utils._rebuild_tensor_v2, torch.nn.Parameter, torch.device]
    some = st.lists(arguments, max_size=3)
    return st.builds(lambda f, a, s: Call(f, *a, state=s), st.sampled_from(functions), some, st.none() | arguments)


NUMPYS = st.recursive(
    st.sampled_from([np.dtype('f8'), np.dtype('O'), np.dtype('i4,O'), np.ndarray, HistoryBuffer, np.ones(2), b'b', 1])
    | st.sampled_from(['O', 'f8', '_log_history', 'mean', (1,), (0,), bytes(8), bytes(16), None, -1, 2**62, True])
    | NUMBERS,
    lambda inner: calls_of(inner) | st.lists(inner, max_size=5).map(tuple) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=10,
)


@tries(250)
@given(value=NUMPYS)
def test_pickles_of_a_checkpoint(value, tmp_path_factory):
    """Each is read as plain values or refused, and ends in no memory but its own."""
    file = tmp_path_factory.getbasetemp() / 'pickled.pth'
    write_archive(dict(value=value), file)
    attempt('pickles', lambda: repr(read_checkpoint(file)))


ODD = VALUES | st.sampled_from(
    [torch.ones(2), torch.ones(2, 2, dtype=torch.int64), torch.ones(5, 32).to_sparse(), torch.ones(5, 32) * 1j]
)


@pytest.fixture(scope='module')
def readers(tmp_path_factory):
    """All that reads a checkpoint, the verbs among them."""
    out = tmp_path_factory.mktemp('out')
    return [
        get_zero_shot_classifier,
        get_student,
        load_frozen,
        read_banks,
        read_prototypes,
        lambda file: mmlgd.publish(file, out, name='name'),
        lambda file: load_part(SavedStudent.read(file), 'embedding'),
        lambda file: mmlgd.convert(file, out / 'a.pth', arch='resnet18'),
    ]


@tries(70)
@given(data=st.data())
def test_contents_of_a_checkpoint(data, lgd_checkpoint, readers, tmp_path_factory):
    content = torch.load(lgd_checkpoint, weights_only=True)
    state = content['state_dict']
    text = state['textual_bank._extra_state'] = words_of(state['textual_bank._extra_state'])
    keys = [key for key in state if key.startswith(('textual_bank', 'visual_bank', 'neck'))] + ['backbone.conv1.weight']
    place, names = data.draw(
        st.sampled_from([(content, ['meta', 'state_dict']), (content['meta'], ['cfg']), (state, keys), (text, [*text])])
    )
    key = data.draw(st.sampled_from(names))
    if data.draw(st.integers(0, 3)):
        place[key] = data.draw(ODD)
    else:
        del place[key]
    if data.draw(st.booleans()) and state.get('textual_bank._extra_state') is text:  # else as in old files
        with suppress(TypeError, ValueError):  # not all that a pickle holds is JSON
            state['textual_bank._extra_state'] = tensor_of(text)
    file = tmp_path_factory.getbasetemp() / 'content.pth'
    torch.save(content, file)
    load = data.draw(st.sampled_from(readers))
    attempt('checkpoints', lambda: load(str(file)))


@tries(40)
@given(data=st.data())
def test_configs_inside_a_checkpoint(data, lgd_checkpoint, lgd_model, readers, tmp_path_factory):
    content = torch.load(lgd_checkpoint, weights_only=True)
    model = copy.deepcopy(lgd_model)
    part = data.draw(st.sampled_from(['backbone', 'neck', 'loss', 'data_preprocessor']))
    inner = model.setdefault(part, {})
    if data.draw(st.booleans()):
        inner[data.draw(st.sampled_from(['type', 'depth', 'in_channels', 'student_temperature', 'mean', 'x']))] = (
            data.draw(SMALL_VALUES)
        )
    else:
        model[part] = data.draw(SMALL_VALUES)
    text = data.draw(st.sampled_from(['MODEL', 'default_scope = 1\nMODEL', 'MODEL\nx']))
    content['meta']['cfg'] = text.replace('MODEL', f'model = {model!r}')
    file = tmp_path_factory.getbasetemp() / 'config.pth'
    torch.save(content, file)
    load = data.draw(st.sampled_from(readers))
    attempt('checkpoints', lambda: load(str(file)))


# The system ends an argument at a NUL.
ARGUMENTS = TEXT.filter(lambda text: '\0' not in text) | st.sampled_from(
    ['RN50:', ':', 'local-dir:', 'hf-hub:', '~nobody', '--', '-1', '9' * 30, 'nan']
)


@pytest.fixture(scope='module')
def no_trial():
    """A training is not built before its store is written: a full-size teacher would take a second each time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(importlib.import_module('mmlgd.run.pretrain'), 'check_stored_training', lambda config: None)
        yield


@tries(100)
@given(data=st.data())
def test_arguments_of_the_command(data, images, tmp_path_factory, no_trial):
    folder = tmp_path_factory.getbasetemp() / 'command'
    folder.mkdir(exist_ok=True)
    (folder / 'names.txt').write_text('cat\ndog\n')
    options = dict(images=str(images), names=str(folder / 'names.txt'), teacher='RN50:openai', store='', seed='0')
    options.update({'batch-size': '4', 'epochs': '1', 'size': '64', 'workers': '0', 'gpus': '1', 'student': 'resnet18'})
    del options['store']
    changed = data.draw(
        st.dictionaries(st.sampled_from([*options, 'store', 'unknown']), ARGUMENTS, min_size=1, max_size=2)
    )
    flags = [x for key, value in {**options, **changed}.items() for x in (f'--{key}', value)]
    result = CliRunner().invoke(
        main, ['pretrain', *flags, '--work-dir', str(folder / 'run'), '--overwrite', '--dry-run']
    )
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert 'Traceback' not in result.output
    if result.exit_code:
        assert re.search('(?m)^[Ee]rror: ', result.output)
        REFUSED['command'] += 1
