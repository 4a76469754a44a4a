"""Commands to reproduce, and what comes next."""

import json

import numpy as np

from mmlgd.pages.blocks import Code, Text
from mmlgd.pages.commands import commands_of, next_steps
from mmlgd.pages.folders import read_folder
from mmlgd.pages.trained import facts

START = '20260101_120000/vis_data/config.py'
ON_TWO = 'torchrun --nproc_per_node 2 -m mmlgd.cli train'


def test_a_training_is_reproduced_from_its_config(work_dir):
    folder = work_dir('my run')
    (code,) = commands_of(read_folder(folder))
    assert code.lines == [f"{ON_TWO} '{folder}/{START}' --launcher pytorch --work-dir work_dirs/again"]
    (folder / 'recipe').mkdir()
    (folder / 'recipe/pretrain.py').write_text("_base_ = 'mmlgd::lgd/ours.py'\nmodel = dict()\n")
    code, config = commands_of(read_folder(folder))
    assert code.lines == [f"{ON_TWO} '{folder}/recipe/pretrain.py' --launcher pytorch --work-dir work_dirs/again"]
    assert config.lines == ["_base_ = 'mmlgd::lgd/ours.py'", 'model = dict()']
    assert ['recipe', 'lgd/ours.py'] in facts(read_folder(folder))[0].rows


def test_a_training_on_one_device_is_a_plain_command(work_dir):
    folder = work_dir()
    (log,) = folder.glob('*/*.log')
    log.write_text(log.read_text().replace('GPU number: 2', 'GPU number: 1'))
    (code,) = commands_of(read_folder(folder))
    assert code.lines == [f'mmlgd train {folder}/{START} --work-dir work_dirs/again']


def test_a_training_that_went_on_is_reproduced_from_its_first_start(work_dir):
    folder = work_dir()
    (first,) = folder.glob('*/vis_data')
    for number, changes in ((1, f'resume = True\nload_from = {str(folder / "epoch_2.pth")!r}\n'), (2, '')):
        later = folder / f'20260102_12000{number}/vis_data'
        later.mkdir(parents=True)
        (later / 'config.py').write_text((first / 'config.py').read_text() + changes)
        (later / 'scalars.json').write_text('{"loss": 1.0, "iter": 25, "step": 25}')
        (code,) = commands_of(read_folder(folder))
        assert f'{folder}/{START} ' in code.lines[0] if number == 1 else f'{later}/config.py ' in code.lines[0]


def test_a_store_is_written_first(work_dir):
    folder = work_dir()
    (config,) = folder.glob('*/vis_data/config.py')
    config.write_text(config.read_text().replace('teacher=dict(', "teacher=dict(store='/my/store',", 1))
    said, code = commands_of(read_folder(folder))  # the config in full: its teacher is the store
    assert '/my/store' in said.text and code.lines == [
        f'{ON_TWO} {folder}/{START} --launcher pytorch --work-dir work_dirs/again'
    ]
    recipe = folder / 'recipe/pretrain.py'
    recipe.parent.mkdir()
    recipe.write_text('model = dict()\n')
    code, _ = commands_of(read_folder(folder))
    train = f'{ON_TWO} {recipe} --store /my/store --launcher pytorch --work-dir work_dirs/again'
    assert code.lines == [f'mmlgd store {recipe} --out /my/store', train]


def test_commands_of_results(evaluated, compared, proven, studied):
    (code,) = commands_of(read_folder(proven()))
    words = 'mmlgd prove --config c.py --starts random=none lgd=a.pth --fractions 10% 100% --seeds 0 1'
    assert code.lines == [f'{words} --metric coco/bbox_mAP']
    table = proven('with options') / 'table.json'
    told = dict(json.loads(table.read_text()), cfg_options=dict(scale=[64, 64]))
    for options, written in ((None, "'scale=[64,64]'"), (['scale=(64,64)'], "'scale=(64,64)'")):  # a tuple was a list
        table.write_text(json.dumps(dict(told, options=options)))
        (code,) = commands_of(read_folder(table.parent))
        assert code.lines == [f'{words} --metric coco/bbox_mAP --cfg-options {written}']
    (code,) = commands_of(read_folder(evaluated()))
    assert code.lines == [
        'mmlgd evaluate a.pth --data /my/data --names cat dog --k 20 --labels 10% --seeds 0 1 --students random=none '
        '--teacher'
    ]
    options = dict(folders=dict(train='train', val='test'), synonyms=['a cat', 'a dog'], c=0.01, size=64)
    options.update(names=[f'n{k}' for k in range(50)], backbone='b.py', teacher_options=['pretrained=w.pt'])
    table = evaluated('all options') / 'table.json'
    table.write_text(json.dumps(dict(json.loads(table.read_text()), **options)))
    code, told = commands_of(read_folder(table.parent))
    words = "--val test --names NAMES --synonyms 'a cat' 'a dog' --k 20 --labels 10% --seeds 0 1 --c 0.01 --size 64"
    assert (
        f'{words} --backbone b.py --students random=none --teacher-options pretrained=w.pt --teacher' in code.lines[0]
    )
    assert told.text == 'NAMES is a text file with the 50 names in table.json, one a line.'
    folder = compared({'random': {'0': 1.0}})
    (said,) = commands_of(read_folder(folder))
    assert isinstance(said, Text) and 'not known' in said.text
    for name, told in (
        ('a', dict(command=['python', '-m', 'mmlgd.cli', 'train', 'c.py'])),
        ('b', []),
        ('c', dict(command=1)),
    ):
        (folder / name).mkdir()
        (folder / name / 'result.json').write_text(json.dumps(told))
    (code,) = commands_of(read_folder(folder))
    assert code.lines == ['mmlgd train c.py']
    (studied / 'lgd_seed0').mkdir()
    (studied / 'lgd_seed0/train.json').write_text(json.dumps(dict(arguments=['a.py', '--work-dir', 'x y'])))
    (code,) = commands_of(read_folder(studied))
    assert code.lines == ["mmlgd train a.py --work-dir 'x y'"]


def test_what_is_missing_is_asked_for(work_dir, evaluated, compared):
    run = read_folder(work_dir())
    assert 'still rising' not in _texts(next_steps([run], []))  # too short a log to tell
    run.curves['agreement'] = np.arange(20.0), np.linspace(10, 60, 20)
    told = _texts(next_steps([run], []))
    assert 'still rising' in told and '`mmlgd evaluate' in told and '`mmlgd prove`' in told
    results = [read_folder(evaluated()), read_folder(compared({'random': {'0': 1.0}}))]
    told = _texts(next_steps([run], results))
    assert '`mmlgd evaluate' not in told and '`mmlgd prove`' not in told
    run.checkpoint = None
    (code,) = (block for block in next_steps([run], results) if isinstance(block, Code))
    assert code.lines[0].endswith(f'{START} --launcher pytorch --work-dir {run.folder} --resume')


def test_a_run_that_was_made_longer_goes_on_with_the_config_that_made_it_longer(work_dir):
    folder = work_dir()
    (first,) = folder.glob('*/vis_data')
    (folder / 'recipe').mkdir()
    (folder / 'recipe/pretrain.py').write_text((first / 'config.py').read_text())  # ends before epoch 3
    later = folder / '20260102_120000/vis_data'
    later.mkdir(parents=True)
    longer = '\nresume = True\ntrain_cfg = dict(by_epoch=True, max_epochs=9)\n'
    (later / 'config.py').write_text((first / 'config.py').read_text() + longer)
    (later / 'scalars.json').write_text('{"loss": 1.0, "iter": 31, "epoch": 4, "step": 31}')
    code, *_ = (block for block in next_steps([read_folder(folder)], []) if isinstance(block, Code))
    assert code.lines == [f'mmlgd train {later}/config.py --work-dir {folder} --resume']


def test_a_student_that_uses_few_names_gets_advice_that_it_has_not_followed(work_dir):
    run = read_folder(work_dir())
    for who, used in (('', 1.0), ('teacher_', 4.0)):
        run.curves[f'{who}effective_classes'] = np.array([3.0]), np.array([used])
    assert '--batch-size), --recipe small-data, and names' in _texts(next_steps([run], []))
    run.config['model']['queue'] = dict(size=8)  # as that recipe has it
    assert '--batch-size), and names' in _texts(next_steps([run], []))


def _texts(blocks):
    return ' '.join(block.text for block in blocks if isinstance(block, Text))
