"""Every way by which a file of somebody else's comes in: a malicious pickle is refused there, and runs nothing."""

import copy
import importlib
import json
import shutil
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import default_collate
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.model import BaseModel
from mmengine.runner import CheckpointLoader, Runner, load_checkpoint
from torch import nn

import mmlgd
from mmlgd.checkpoints import CheckpointError, read_checkpoint
from mmlgd.checkpoints.fitting import read_start
from mmlgd.checkpoints.loaders import read_training
from mmlgd.checkpoints.starts import start_from
from mmlgd.cli.__main__ import main
from mmlgd.engine.checks.pretrained_hook import PretrainedCheckHook
from mmlgd.errors import MMLGDError
from mmlgd.evaluation import load_frozen
from mmlgd.figures.banks import read_banks
from mmlgd.figures.neighbours import read_prototypes
from mmlgd.models.teachers.classifiers import load_classifier
from mmlgd.models.teachers.sentences import check_encoder, load_sentence_encoder
from mmlgd.registry import MODELS
from mmlgd.store import TeacherStore
from mmlgd.student import get_student, get_zero_shot_classifier
from mmlgd.text import embed_class_names
from tests import ROOT
from tests.malicious import ENDLESS, WRITERS, Attack

TOOLS = ROOT / 'tools'
SMALL = dict(type='mmpretrain.ResNet', depth=18, base_channels=8, stem_channels=8)


pytestmark = pytest.mark.usefixtures('loads_safely')


@pytest.fixture
def marker(tmp_path):
    yield tmp_path / 'executed'
    assert not (tmp_path / 'executed').exists(), 'code in the file was executed'


@pytest.fixture(params=WRITERS)
def bad(request, marker, tmp_path):
    """A checkpoint with a call in it, in each of the formats that torch.load knows."""
    file = tmp_path / 'bad.pth'
    WRITERS[request.param](dict(state_dict={'backbone.w': torch.zeros(1)}, meta=dict(extra=Attack(marker))), file)
    return str(file)


def _pretrained(file):
    MODELS.build(dict(SMALL, init_cfg=dict(type='Pretrained', checkpoint=file))).init_weights()


def _hook(file):
    model = nn.Module()
    model.backbone = MODELS.build(dict(SMALL, init_cfg=dict(type='Pretrained', checkpoint=file)))
    runner = type('Runner', (), dict(_train_loop=type('Loop', (), dict(dataloader=None)), model=model))
    PretrainedCheckHook().before_run(runner)


CHECKPOINTS = dict(
    read_checkpoint=read_checkpoint,
    student=mmlgd.Student,
    get_student=get_student,
    get_zero_shot_classifier=get_zero_shot_classifier,
    inferencer=mmlgd.ZeroShotInferencer,
    student_of_train=lambda file: start_from(Config(dict(model=dict(backbone=dict(SMALL)))), file),
    read_start=read_start,
    load_frozen=load_frozen,
    load_from_of_a_config=lambda file: get_student(Config(dict(model=dict(backbone=dict(SMALL)), load_from=file))),
    mmengine_loader=CheckpointLoader.load_checkpoint,
    mmengine_load=lambda file: load_checkpoint(nn.Linear(1, 1), file),
    init_cfg=_pretrained,
    check_hook=_hook,
    torchvision_weights=lambda file: load_classifier('torchvision:resnet18', file),
    mmpretrain_weights=lambda file: load_classifier('mmpretrain:resnet18_8xb32_in1k', file),
    timm_weights=lambda file: load_classifier('timm:resnet18', file),
    lite_weights=lambda file: load_classifier('efficientnet-lite:lite0', file),
)


@pytest.mark.parametrize('way', CHECKPOINTS)
def test_a_malicious_checkpoint_is_refused(way, bad):
    if way.split('_')[0] in ('timm', 'lite'):
        pytest.importorskip(dict(timm='timm', lite='efficientnet_lite_pytorch')[way.split('_')[0]])
    with pytest.raises(MMLGDError, match=r'(?s)not executed|not a checkpoint'):
        CHECKPOINTS[way](bad)


IN_TOOLS = dict(
    publish=lambda file, out: mmlgd.publish(file, out),
    export=lambda file, out: mmlgd.export(file, out / 's.pth', to='torchvision'),
    onnx=lambda file, out: mmlgd.export(file, out / 's.onnx', to='onnx'),
    convert=lambda file, out: mmlgd.convert(file, out / 's.pth', arch='resnet18'),
    banks=lambda file, out: read_banks(file),
    prototypes=lambda file, out: read_prototypes(file),
    neighbours=lambda file, out: mmlgd.draw_neighbours(file, [str(out)]),
    embeddings=lambda file, out: mmlgd.draw_map(file, [str(out)]),
    evaluate=lambda file, out: mmlgd.evaluate(file, data=out, out=out / 'table'),
)


@pytest.mark.parametrize('name', IN_TOOLS)
def test_a_malicious_checkpoint_is_refused_by_the_tools(name, bad, tmp_path):
    pytest.importorskip('sklearn' if name == 'evaluate' else 'mmlgd')
    (tmp_path / 'out').mkdir()
    with pytest.raises(MMLGDError, match=r'(?s)not executed|not a checkpoint'):
        IN_TOOLS[name](bad, tmp_path / 'out')
    assert not list((tmp_path / 'out').iterdir())


class Toy(BaseModel):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 1)

    def forward(self, inputs, mode='tensor'):
        return dict(loss=self.layer(inputs).sum()) if mode == 'loss' else [{}]


class Better(BaseMetric):
    """Each evaluation is better than the one before, so that the best checkpoint is replaced."""

    best = 0

    def process(self, data_batch, data_samples):
        self.results.append(0)

    def compute_metrics(self, results):
        Better.best += 1
        return dict(score=float(Better.best))


HOOK = dict(type='CheckpointHook', interval=1, max_keep_ckpts=1, save_best='score', rule='greater')


def toy_runner(work_dir, epochs=1, **settings):
    loader = dict(dataset=[torch.ones(2)] * 4, sampler=dict(type='DefaultSampler', shuffle=False), batch_size=2)
    loader.update(collate_fn=lambda rows: dict(inputs=default_collate(rows)))
    return Runner(
        Toy(),
        str(work_dir),
        train_dataloader=loader,
        train_cfg=dict(by_epoch=True, max_epochs=epochs),
        optim_wrapper=dict(optimizer=dict(type='AdamW', lr=0.1)),
        param_scheduler=dict(type='OneCycleLR', eta_max=0.1, total_steps=10, by_epoch=False),
        val_dataloader=loader,
        val_cfg={},
        val_evaluator=Evaluator(Better()),
        experiment_name=f'toy_{work_dir.name}_{epochs}_{len(list(work_dir.glob("*")))}',
        log_level='ERROR',
        **{**dict(default_hooks=dict(checkpoint=HOOK)), **settings},
    )


@pytest.mark.parametrize('how', ['load_from', 'resume', 'last_checkpoint'])
def test_the_runner_refuses_a_malicious_checkpoint(how, bad, tmp_path):
    settings = dict(load_from=bad) if how == 'load_from' else dict(load_from=bad, resume=True)
    if how == 'last_checkpoint':
        settings = dict(resume=True)
        (tmp_path / 'run').mkdir()
        (tmp_path / 'run/last_checkpoint').write_text(bad)
    with pytest.raises(MMLGDError, match=r'(?s)not executed|not a checkpoint'):
        toy_runner(tmp_path / 'run', **settings).train()


@pytest.mark.parametrize('content', ['../secret.txt', '/etc/passwd', 'http://127.0.0.1:9/x.pth', 'a\0b', '', '~/x'])
def test_the_file_named_by_last_checkpoint_is_read_as_data(content, tmp_path):
    (tmp_path / 'secret.txt').write_text('secret')
    (tmp_path / 'run').mkdir()
    (tmp_path / 'run/last_checkpoint').write_text(content.replace('../', f'{tmp_path}/run/../'))
    with pytest.raises(MMLGDError):
        toy_runner(tmp_path / 'run', resume=True).train()


def test_a_checkpoint_of_our_own_resumes_and_tidies_up(tmp_path):
    toy_runner(tmp_path / 'run').train()
    best = next((tmp_path / 'run').glob('best_*.pth'))
    runner = toy_runner(tmp_path / 'run', epochs=2, resume=True)
    runner.train()
    assert runner.epoch == 2 and runner.message_hub.get_scalar('train/loss').data[0].size == 4
    assert [file.name for file in (tmp_path / 'run').glob('epoch_*.pth')] == ['epoch_2.pth']
    assert not best.exists()  # the best of the first start gave way to a better one


def test_a_checkpoint_does_not_choose_what_is_deleted(tmp_path):
    """mmengine deletes what a resumed checkpoint calls the last best one."""
    toy_runner(tmp_path / 'theirs').train()
    victim, (file,) = tmp_path / 'precious.txt', (tmp_path / 'theirs').glob('epoch_1.pth')
    victim.write_text('keep me')
    content = read_checkpoint(file)
    told = content['message_hub']['runtime_info']
    assert 'best_ckpt' in told
    told.update(best_ckpt=str(victim), last_ckpt=str(victim), keep_ckpt_ids=['../../precious.txt', '..', 1, 2, 3])
    for best in (str(victim), f'{tmp_path}/mine/../precious.txt', '../precious.txt', 5):
        told['best_ckpt'] = best
        (tmp_path / 'mine').mkdir(exist_ok=True)
        torch.save(content, tmp_path / 'mine/epoch_1.pth')
        toy_runner(tmp_path / 'mine', epochs=2, load_from=str(tmp_path / 'mine/epoch_1.pth'), resume=True).train()
        assert victim.read_text() == 'keep me'


@pytest.mark.parametrize('content', [dict(state_dict=None), {1: torch.zeros(1)}, dict(state_dict={1: torch.zeros(1)})])
def test_weights_without_names_are_refused(content, tmp_path):
    torch.save(content, tmp_path / 'a.pth')
    with pytest.raises(CheckpointError, match='a.pth has .* as its state_dict'):
        read_training(str(tmp_path / 'a.pth'))


@pytest.fixture(scope='module')
def of_training(tmp_path_factory):
    """A checkpoint of a whole run, to be changed."""
    folder = tmp_path_factory.mktemp('theirs') / 'run'
    toy_runner(folder).train()
    return read_checkpoint(folder / 'epoch_1.pth')


def _resume_from(content, folder, **settings):
    folder.mkdir(exist_ok=True)
    torch.save(content, folder / 'epoch_1.pth')
    runner = toy_runner(folder, epochs=2, load_from=str(folder / 'epoch_1.pth'), resume=True, **settings)
    runner.train()
    return runner


CODE = '__import__("os").mkdir("MARK")\ngpu_ids = range(8)'


@pytest.mark.parametrize('config', [CODE, 'import os\nos.mkdir("MARK")', dict(a=CODE), [CODE], 5, '{{ $MARK:x }}'])
@pytest.mark.parametrize('key', ['config', 'cfg'])
def test_a_resumed_run_executes_no_config(key, config, of_training, marker, tmp_path):
    config = config.replace('MARK', str(marker)) if isinstance(config, str) else config
    content = copy.deepcopy(of_training)
    content['meta'].update({key: config, 'seed': 7})
    content['message_hub']['runtime_info']['cfg'] = config
    runner = _resume_from(content, tmp_path / 'mine')
    assert (runner.epoch, runner.iter, runner.seed) == (2, 4, 7)
    # Nor is it handed on, to be executed out of this run's own checkpoints.
    assert 'MARK' not in str(runner.message_hub.get_info('cfg')) and str(marker) not in runner.message_hub.get_info(
        'cfg'
    )


def _without(*path):
    def change(content):
        for key in path[:-1]:
            content = content[key]
        del content[path[-1]]

    return change


def _as(value, *path):
    def change(content):
        for key in path[:-1]:
            content = content[key]
        content[path[-1]] = value

    return change


MALFORMED = dict(
    no_meta=_without('meta'),
    no_epoch=_without('meta', 'epoch'),
    meta_of_text=_as('x', 'meta'),
    epoch_of_text=_as('1', 'meta', 'epoch'),
    epoch_of_before=_as(-1, 'meta', 'epoch'),
    iter_of_true=_as(True, 'meta', 'iter'),
    seed_too_great=_as(2**70, 'meta', 'seed'),
    seed_of_text=_as('7', 'meta', 'seed'),
    hub_of_text=_as('x', 'message_hub'),
    info_of_a_list=_as([], 'message_hub', 'runtime_info'),
    scalars_of_text=_as('x', 'message_hub', 'log_scalars'),
    optimizer_of_a_list=_as([], 'optimizer'),
    schedules_of_text=_as('x', 'param_schedulers'),
    schedule_of_text=_as(['x'], 'param_schedulers'),
    weights_of_a_list=_as([], 'state_dict'),
    weights_by_number=_as({1: torch.zeros(1)}, 'state_dict'),
)


@pytest.mark.parametrize('name', MALFORMED)
def test_a_broken_training_state_is_refused(name, of_training, tmp_path):
    content = copy.deepcopy(of_training)
    MALFORMED[name](content)
    with pytest.raises(CheckpointError, match='cannot resume'):
        _resume_from(content, tmp_path / 'mine')


def _state(*path, **changes):
    def change(content):
        for key in path:
            content = content[key]
        content.update(changes)

    return change


def _lists(depth=45):
    """A list of two lists of two lists ...: a few bytes of a file, and more than any memory when written out."""
    value = [0]
    for _ in range(depth):
        value = [value, value]
    return value


OTHERS = dict(
    a_small_state=_state('optimizer', 'state', 0, exp_avg=torch.zeros(1)),
    a_rate_of_text=lambda content: content['optimizer']['param_groups'][0].update(lr='0.1'),
    a_method=lambda content: content['param_schedulers'][0].update(_get_value=1.0),
    steps_of_text=lambda content: content['param_schedulers'][0].update(last_step='2'),
    lists_in_lists=lambda content: content['param_schedulers'][0].update(base_values=_lists()),
    lists_in_an_optimizer=_state('optimizer', param_groups=_lists()),
)


@pytest.mark.parametrize('name', OTHERS)
def test_a_state_that_is_not_of_this_run_is_refused(name, of_training, tmp_path):
    content = copy.deepcopy(of_training)
    OTHERS[name](content)
    with pytest.raises(CheckpointError, match=r'its (optimizer|param_schedulers)|Its values would take'):
        _resume_from(content, tmp_path / 'mine', default_hooks=dict(checkpoint=dict(type='mmlgd.AtomicCheckpointHook')))


def test_a_state_of_this_run_is_resumed(of_training, tmp_path):
    hooks = dict(checkpoint=dict(type='mmlgd.AtomicCheckpointHook'))
    runner = _resume_from(of_training, tmp_path / 'mine', default_hooks=hooks)
    assert runner.iter == 4 and runner.optim_wrapper.optimizer.state_dict()['state'][0]['step'] == 4
    assert runner.param_schedulers[0].state_dict()['_global_step'] == 4


def test_only_names_and_numbers_of_a_saved_log_are_kept(of_training, tmp_path):
    content, log = copy.deepcopy(of_training), of_training['message_hub']['log_scalars']['train/loss']
    scalars, info, keys = (content['message_hub'][key] for key in ('log_scalars', 'runtime_info', 'resumed_keys'))
    names = ['train/\x1b]0;x\x07', 'train/a\nb', 'train/\u202ea', 'train/' + 'x' * 1000, 7]
    scalars.update(dict.fromkeys(names, log), text='x', tensor=torch.zeros(()))
    keys.update(dict.fromkeys(names, True), text='yes')
    odd = dict(
        escape='\x1b[31m',
        long='x' * 10_000,
        large=2**70,
        function=of_training['param_schedulers'][0]['anneal_func'],
    )
    kept = dict(score=0.5, names=['a', 'b'], nested=dict(a=(1, None)), of_numpy=np.float32(1), tensor=torch.ones(()))
    info.update(odd, **kept)
    torch.save(content, tmp_path / 'a.pth')
    hub = read_training(str(tmp_path / 'a.pth'))['message_hub']
    assert hub['log_scalars'].keys() == of_training['message_hub']['log_scalars'].keys()
    assert hub['resumed_keys'].keys() == of_training['message_hub']['resumed_keys'].keys()
    assert hub['runtime_info'].keys() & {*odd, *kept} == kept.keys()
    scalars.update({f'train/{k}': log for k in range(5000)})
    torch.save(content, tmp_path / 'a.pth')
    assert len(read_training(str(tmp_path / 'a.pth'))['message_hub']['log_scalars']) == 1000


@pytest.mark.parametrize('source', ['pavi://x', 's3://bucket/x.pth', 'openmmlab:s3://x.pth', 'petrel://x'])
def test_storages_that_would_be_unpickled_are_refused(source):
    with pytest.raises(MMLGDError, match='copy the file here'):
        CheckpointLoader.load_checkpoint(source)


ONLINE = dict(
    read_checkpoint=read_checkpoint,
    get_student=get_student,
    mmengine_loader=CheckpointLoader.load_checkpoint,
    mmengine_load=lambda url: load_checkpoint(nn.Linear(1, 1), url),
    init_cfg=_pretrained,
    read_start=read_start,
    by_a_name=lambda url: read_start('open-mmlab://mine'),
)


@pytest.mark.parametrize('way', ONLINE)
@pytest.mark.parametrize('writer', WRITERS)
def test_a_malicious_download_is_refused(way, writer, served, marker, tmp_path, monkeypatch):
    folder, host = served
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'torch'))
    monkeypatch.setenv('MMENGINE_HOME', str(tmp_path))  # where a user's own names are
    (tmp_path / 'open_mmlab.json').write_text(json.dumps(dict(mine=f'{host}/bad.pth')))
    WRITERS[writer](dict(state_dict={}, extra=Attack(marker)), folder / 'bad.pth')
    with pytest.raises(MMLGDError, match=r'(?s)not executed|not a checkpoint'):
        ONLINE[way](f'{host}/bad.pth')


def test_a_malicious_teacher_is_refused(bad, tiny_clip, tmp_path):
    with pytest.raises(MMLGDError, match='Only weights are read'):
        mmlgd.OpenCLIPTeacher('ViT-S-32-alt', pretrained=bad)
    folder = tmp_path / 'clip'
    folder.mkdir()
    config = Path(tiny_clip.partition(':')[2], 'open_clip_config.json')
    (folder / config.name).write_text(config.read_text())
    Path(bad).rename(folder / 'open_clip_pytorch_model.bin')
    with pytest.raises(MMLGDError, match='Only weights are read'):
        mmlgd.OpenCLIPTeacher(f'local-dir:{folder}')


def sentence_folder(root, bad=None, parts=None, activation=None):
    """A sentence encoder in sentence-transformers' own layout, small and random."""
    sentence_transformers = pytest.importorskip('sentence_transformers')
    transformers = pytest.importorskip('transformers')
    config = transformers.BertConfig(
        vocab_size=30, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8
    )
    transformers.BertModel(config).save_pretrained(root / 'bert')
    words = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', 'cat']
    (root / 'bert/vocab.txt').write_text('\n'.join(words))
    transformers.BertTokenizerFast(str(root / 'bert/vocab.txt')).save_pretrained(root / 'bert')
    parts_of = importlib.import_module('sentence_transformers.models')
    bert = parts_of.Transformer(str(root / 'bert'))
    modules = [bert, parts_of.Pooling(8, 'mean'), parts_of.Dense(8, 4)]
    sentence_transformers.SentenceTransformer(modules=modules, device='cpu').save(str(root / 'encoder'))
    folder = root / 'encoder'
    if bad:
        for file in [*folder.glob('*.safetensors'), *folder.glob('*.bin')]:
            file.unlink()
        Path(bad).rename(folder / 'pytorch_model.bin')
    if parts:
        listed = json.loads((folder / 'modules.json').read_text())
        listed[1]['type'] = parts
        (folder / 'modules.json').write_text(json.dumps(listed))
    if activation:
        (file,) = folder.glob('*_Dense/config.json')
        file.write_text(json.dumps(dict(json.loads(file.read_text()), activation_function=activation)))
    return folder


@pytest.fixture(scope='module')
def encoder(tmp_path_factory):
    return sentence_folder(tmp_path_factory.mktemp('encoder'))


def test_a_sentence_encoder_loads_and_a_malicious_one_is_refused(tmp_path, marker):
    assert load_sentence_encoder(str(sentence_folder(tmp_path / 'good'))).encode(['cat']).shape == (1, 4)
    bad = tmp_path / 'bad.bin'
    WRITERS['zip'](dict(extra=Attack(marker)), bad)
    with pytest.raises(MMLGDError):
        load_sentence_encoder(str(sentence_folder(tmp_path / 'pickle', bad=bad)))


@pytest.mark.parametrize('parts', ['evil.Pooling', 'os.system', 'subprocess.Popen', 'torch.nn.Linear', 5])
def test_a_sentence_encoder_brings_no_code(parts, tmp_path, marker):
    folder = sentence_folder(tmp_path, parts=parts)
    (folder / 'evil.py').write_text(f'import os\nos.mkdir({str(marker)!r})\nclass Pooling: pass\n')
    with pytest.raises(MMLGDError, match='code of its own.*not executed'):
        load_sentence_encoder(str(folder))


def test_a_sentence_encoder_calls_nothing_but_activations(tmp_path):
    with pytest.raises(MMLGDError, match=r"code of its own \('os.getcwd'\)"):
        load_sentence_encoder(str(sentence_folder(tmp_path, activation='os.getcwd')))
    (tmp_path / 'encoder/modules.json').write_text('{"a":')
    with pytest.raises(MMLGDError, match='damaged'):
        load_sentence_encoder(str(tmp_path / 'encoder'))


def _router(folder):
    listed = json.loads((folder / 'modules.json').read_text())
    (folder / 'evil').mkdir()
    (folder / 'router_config.json').write_text(
        json.dumps(
            dict(types={'evil': 'evil.Evil'}, structure={'query': ['evil']}, parameters=dict(default_route='query'))
        )
    )
    listed[0] = dict(listed[0], path='', type='sentence_transformers.models.Router')
    (folder / 'modules.json').write_text(json.dumps(listed))


def _setting(file, **settings):
    def attack(folder):
        path = folder / file
        told = json.loads(path.read_text()) if path.is_file() else {}
        path.write_text(json.dumps({**told, **settings}))

    return attack


def _elsewhere(folder):
    listed = json.loads((folder / 'modules.json').read_text())
    listed[1]['path'] = '../elsewhere'
    (folder / 'modules.json').write_text(json.dumps(listed))


def _parts(*parts, **files):
    def attack(folder):
        listed = [dict(idx=k, name=str(k), **part) for k, part in enumerate(parts)]
        (folder / 'modules.json').write_text(json.dumps(listed))
        for name, settings in files.items():
            (folder / name).parent.mkdir(exist_ok=True)
            _setting(name, **settings)(folder)

    return attack


PART, CALLED = 'sentence_transformers.models.', 'torch.utils.collect_env.main'
BERT = [dict(path='', type=f'{PART}Transformer'), dict(path='1', type=f'{PART}Pooling')]
ENCODERS = dict(
    router=_router,
    auto_map=_setting('config.json', auto_map={'AutoModel': 'evil.Evil'}, model_type='evil'),
    tokenizer=_setting(
        'tokenizer_config.json', auto_map={'AutoTokenizer': ['evil.Evil', None]}, tokenizer_class='Evil'
    ),
    arguments=_setting('sentence_bert_config.json', model_args=dict(trust_remote_code=True)),
    more=_setting('sentence_bert_config.json', tokenizer_args=dict(auto_map='evil.Evil')),
    another=_setting('sentence_bert_config.json', tokenizer_name_or_path='../elsewhere'),
    adapter=_setting('adapter_config.json', auto_mapping=dict(parent_library='evil', base_model_class='Evil')),
    elsewhere=_elsewhere,
    in_the_root=_parts(dict(path='', type=f'{PART}Dense'), **{'config.json': dict(activation_function=CALLED)}),
    dense_first=_parts(dict(path='1_Dense', type=f'{PART}Dense'), dict(path='', type=f'{PART}Transformer')),
    shared=_parts(
        dict(path='', type=f'{PART}Transformer'),
        dict(path='1', type=f'{PART}Pooling'),
        dict(path='./1', type=f'{PART}Dense'),
    ),
    of_a_pooling=_parts(*BERT, **{'1/config.json': dict(activation_function=CALLED)}),
    of_a_part=_parts(dict(BERT[0], module='evil')),
    function=_parts(*BERT, dict(path='2', type=f'{PART}Dense'), **{'2/config.json': dict(activation_function=CALLED)}),
    arguments_needed=_parts(
        *BERT,
        dict(path='2', type=f'{PART}Dense'),
        **{'2/config.json': dict(activation_function='torch.nn.modules.activation.MultiheadAttention')},
    ),
    method=_setting('sentence_bert_config.json', modality_config=dict(text=dict(method='save_pretrained'))),
    output=_setting(
        'sentence_bert_config.json', modality_config=dict(text=dict(method='forward', method_output_name='__class__'))
    ),
    processing=_setting('sentence_bert_config.json', processing_kwargs=dict(chat_template=dict(a='{{ evil }}'))),
    backend=_setting('sentence_bert_config.json', backend='onnx'),
    other_kind=_setting('config_sentence_transformers.json', model_type='CrossEncoder'),
    of_the_whole=_setting('config_sentence_transformers.json', module='evil.Evil'),
    kernels=_setting('config.json', attn_implementation='evil/kernels'),
)


class Evil(ModuleType):
    """A module that can be imported, and leaves a mark when something is taken from it."""

    def __init__(self, marker):
        super().__init__('evil')
        self.__dict__['_marker'] = marker

    def __getattr__(self, name):
        if name[0] != '_':
            self._marker.mkdir(exist_ok=True)
        raise AttributeError(name)


@pytest.mark.parametrize('by', ['folder', 'repository'])
@pytest.mark.parametrize('attack', ENCODERS)
def test_no_setting_of_a_sentence_encoder_runs_code(attack, by, encoder, tmp_path, marker, monkeypatch):
    folder = shutil.copytree(encoder, tmp_path / 'encoder')
    (folder / 'evil.py').write_text(f'import os\nos.mkdir({str(marker)!r})\nclass Evil: pass\n')
    monkeypatch.setitem(sys.modules, 'evil', Evil(marker))  # as if it lay in the folder that the command runs in
    ENCODERS[attack](folder)
    with pytest.raises(MMLGDError, match='brings code of its own|expected (a folder below|one folder for each)'):
        load_sentence_encoder(_published(folder, tmp_path, monkeypatch) if by == 'repository' else str(folder))


def _published(folder, tmp_path, monkeypatch):
    """Put it where huggingface_hub keeps what it has downloaded."""
    monkeypatch.setattr('huggingface_hub.constants.HF_HUB_OFFLINE', True)
    monkeypatch.setenv('SENTENCE_TRANSFORMERS_HOME', str(tmp_path / 'cache'))
    place = tmp_path / 'cache/models--org--encoder'
    (place / 'refs').mkdir(parents=True)
    (place / 'refs/main').write_text('0123456789' * 4)
    shutil.copytree(folder, place / 'snapshots' / ('0123456789' * 4))
    return 'org/encoder'


@pytest.mark.parametrize('kind', ENDLESS)
@pytest.mark.parametrize('name', ['modules.json', 'x_config.json', 'vocab.txt', 'README.md', '1_Pooling/config.json'])
def test_an_encoder_of_which_a_file_never_ends_is_refused(kind, name, encoder, tmp_path):
    folder = shutil.copytree(encoder, tmp_path / 'encoder')
    (folder / name).unlink(missing_ok=True)
    ENDLESS[kind](folder / name)
    with pytest.raises(MMLGDError, match='cannot be read: it (is a pipe|has)'):
        check_encoder(folder)


def test_all_encoders_as_saved_are_known(encoder, tmp_path):
    """What sentence-transformers writes, with each kind of part and the activations of torch."""
    parts_of = importlib.import_module('sentence_transformers.models')
    from sentence_transformers import SentenceTransformer

    parts = [*SentenceTransformer(str(encoder), device='cpu')][:1]
    parts += [parts_of.Pooling(8, 'cls'), parts_of.LayerNorm(8), parts_of.Dropout(0.1), parts_of.Normalize()]
    parts += [parts_of.Dense(8, 8, activation_function=call) for call in (None, nn.GELU(), nn.SiLU(), nn.Identity())]
    model = SentenceTransformer(modules=parts, device='cpu', prompts=dict(query='q: '), similarity_fn_name='dot')
    model.save(str(tmp_path / 'saved'))
    check_encoder(tmp_path / 'saved')
    assert load_sentence_encoder(str(tmp_path / 'saved')).encode(['cat']).shape == (1, 8)


def test_a_sentence_encoder_of_a_repository_loads(encoder, tmp_path, monkeypatch):
    found = load_sentence_encoder(_published(encoder, tmp_path, monkeypatch)).encode(['cat'])
    np.testing.assert_array_equal(found, load_sentence_encoder(str(encoder)).encode(['cat']))


def test_a_store_is_plain_arrays(tmp_path, marker):
    store = TeacherStore.create(tmp_path, dict(views=1, images=dict(count=2), teacher=dict(embed_dim=3)))
    store.write(0, np.eye(3)[:2])
    file = tmp_path / 'shards/00000.npy'
    np.save(file, np.array([Attack(marker)], dtype=object), allow_pickle=True)
    with pytest.raises(MMLGDError, match='cannot be read'):
        TeacherStore(tmp_path)[0]
    WRITERS['pickle'](Attack(marker), file)
    with pytest.raises(MMLGDError, match='cannot be read'):
        TeacherStore(tmp_path)[0]
    np.savez(tmp_path / 'x.npz', a=np.eye(2))
    (tmp_path / 'x.npz').replace(file)
    with pytest.raises(MMLGDError, match='cannot be read'):
        TeacherStore(tmp_path)[0]


@pytest.mark.parametrize('writer', WRITERS)
def test_the_text_cache_is_safetensors(writer, tmp_path, marker):
    def tower(prompts):
        return nn.functional.normalize(torch.arange(1.0, 9).repeat(len(prompts), 1))

    arguments = (tower, 8, 'teacher', ['cat', 'dog'], ['a {}'], str(tmp_path))
    rows = embed_class_names(*arguments)
    (file,) = (tmp_path / 'text').iterdir()
    WRITERS[writer](dict(embeddings=Attack(marker)), file)
    assert torch.equal(embed_class_names(*arguments), rows)  # computed anew


@pytest.mark.parametrize('name', ['train', 'test'])
def test_a_command_prints_the_error_in_one_line(name, bad, recipe):
    arguments = dict(train=['--student', bad], test=[bad])[name]
    with pytest.raises(SystemExit, match=r'(?s)^error: .*(not executed|not a checkpoint)'):
        main([name, str(recipe), *arguments], standalone_mode=False)
