import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from mmlgd import OpenCLIPTeacher, TextualSemanticsBank, VisualSemanticsBank
from mmlgd.checkpoints import CheckpointError
from mmlgd.checkpoints.words import tensor_of, words_of
from mmlgd.models.banks import read_text_state, read_visual_state

from .reference import lgka


def unit(n, d, seed=0):
    return F.normalize(torch.randn(n, d, generator=torch.Generator().manual_seed(seed)), dim=-1)


@settings(max_examples=25)
@given(
    n=st.integers(1, 12),
    k=st.integers(1, 6),
    momentum=st.sampled_from([0.0, 0.5, 0.999, 1.0]),
    seed=st.integers(0, 10**6),
)
def test_update_is_lgka(n, k, momentum, seed):
    bank, tsb = VisualSemanticsBank(k, 8, momentum), unit(k, 8, seed)
    expected, visited = bank.bank, bank.visited
    for step in range(3):
        t = unit(n, 8, seed + step + 1)
        expected, visited = lgka(expected, visited, t, tsb, momentum)
        bank.update(t, tsb)
    torch.testing.assert_close(bank.bank.double(), expected, atol=1e-6, rtol=1e-5)
    assert bank.visited.tolist() == [bool(v) for v in visited]


def test_rows_start_as_equal_random_unit_vectors_everywhere():
    torch.manual_seed(1)
    first = VisualSemanticsBank(7, 16)
    torch.manual_seed(2)
    second = VisualSemanticsBank(7, 16)
    assert torch.equal(first.bank, second.bank)
    torch.testing.assert_close(first.bank.norm(dim=-1), torch.ones(7))
    assert not first.visited.any()


def test_update_is_in_place_float32_and_without_gradient():
    bank, tsb = VisualSemanticsBank(3, 8), unit(3, 8)
    address = bank.bank.data_ptr()
    bank.update(unit(4, 8).half().requires_grad_(), tsb)
    assert bank.bank.data_ptr() == address and bank.bank.dtype == torch.float32 and not bank.bank.requires_grad


def test_published_rows_shrink_and_normalised_rows_stay_on_the_sphere():
    tsb = unit(1, 8)
    published, normalised = VisualSemanticsBank(1, 8, 0.5), VisualSemanticsBank(1, 8, 0.5, normalize=True)
    for seed in range(3):
        published.update(unit(6, 8, seed), tsb)
        normalised.update(unit(6, 8, seed), tsb)
    assert published.bank.norm() < 0.99
    torch.testing.assert_close(normalised.bank.norm(dim=-1), torch.ones(1))


@pytest.mark.parametrize('value', [0.0, float('nan'), float('inf')])
@pytest.mark.parametrize('normalize', [False, True])
def test_a_broken_embedding_moves_no_row(value, normalize):
    bank, alone = (VisualSemanticsBank(5, 8, momentum=0.9, normalize=normalize) for _ in range(2))
    for step in range(2):
        t, whole = unit(6, 8, step), torch.tensor([True, False, True, True, False, True])
        alone.update(t[whole], unit(5, 8))
        t[~whole] = value
        bank.update(t, unit(5, 8))
    torch.testing.assert_close(bank.bank, alone.bank)
    assert torch.equal(bank.visited, alone.visited)


def test_pseudo_classes_are_those_of_float32_under_autocast():
    """Half of the embeddings lie within rounding of the border between two classes."""
    tsb = unit(32, 64)
    t = F.normalize(tsb[:-1] + tsb[1:] + 1e-3 * torch.randn(31, 64, generator=torch.Generator().manual_seed(1)), dim=-1)
    plain, autocast = VisualSemanticsBank(32, 64), VisualSemanticsBank(32, 64)
    plain.update(t, tsb)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        autocast.update(t, tsb)
        assert ((t @ tsb.T).argmax(dim=1) != (t.double() @ tsb.double().T).argmax(dim=1)).any()  # bf16 would differ
    assert torch.equal(autocast.bank, plain.bank) and torch.equal(autocast.visited, plain.visited)


@pytest.mark.parametrize('momentum', [-0.1, 1.1])
def test_momentum_out_of_range_is_refused(momentum):
    with pytest.raises(ValueError, match='momentum'):
        VisualSemanticsBank(3, 8, momentum)


@pytest.fixture
def teacher(tiny_clip):
    return OpenCLIPTeacher(tiny_clip)


def test_rows_are_unit_means_over_templates(teacher):
    names, templates = ['cat', 'red panda'], ['a photo of a {}.', 'the {}']
    bank = TextualSemanticsBank(teacher, names, templates).bank
    for row, name in zip(bank, names):
        prompts = torch.stack([teacher.encode_text([t.replace('{}', name)])[0] for t in templates])
        torch.testing.assert_close(row, F.normalize(prompts.mean(0), dim=0), atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(bank.norm(dim=-1), torch.ones(2))


def test_names_that_are_too_long_are_told(teacher, log):
    long = 'red panda ' * 6  # 12 tokens; this tower reads 16, with 2 around the prompt
    TextualSemanticsBank(teacher, ['cat', long], ['the {}', '{} which is a rather long description of an animal'])
    assert 'to their end' not in log.text
    TextualSemanticsBank(teacher, [f'cat|{long}', 'dog'], ['the {}', 'a very bad photo of a {}'])
    assert "does not read 1 class names to their end, first 'red panda" in log.text


def test_a_checkpoint_keeps_names_templates_and_teacher(teacher, tmp_path):
    names = ['cat|kitty', 'dog']  # with all phrasings
    bank = TextualSemanticsBank(teacher, names, ['a {}'])
    torch.save(bank.state_dict(), tmp_path / 'bank.pth')
    state = torch.load(tmp_path / 'bank.pth', weights_only=True)
    told = dict(class_names=names, templates=['a {}'], teacher_id=teacher.identity)
    assert words_of(state['_extra_state']) == told
    TextualSemanticsBank(teacher, names, ['a {}']).load_state_dict(state)


@pytest.mark.parametrize(
    'names, templates, message',
    [
        (['cat', 'dog', 'cow'], ['a {}'], '2 class names, this config 3'),
        (['cat', 'cow'], ['a {}'], "Class name 1 is 'dog' in the checkpoint and 'cow'"),
        (['cat', 'dog'], ['the {}'], 'prompt templates'),
    ],
)
def test_a_checkpoint_of_other_text_loads_only_as_transfer(teacher, names, templates, message):
    saved = TextualSemanticsBank(teacher, ['cat', 'dog'], ['a {}']).state_dict()
    with pytest.raises(ValueError, match=message):
        TextualSemanticsBank(teacher, names, templates).load_state_dict(saved)
    bank = TextualSemanticsBank(teacher, names, templates, transfer=True)
    rows = bank.bank.clone()
    bank.load_state_dict(saved)
    assert torch.equal(bank.bank, rows)


def test_a_checkpoint_of_another_teacher_never_loads(teacher):
    bank = TextualSemanticsBank(teacher, ['cat'], ['a {}'], transfer=True)
    saved = bank.state_dict()
    saved['_extra_state'] = tensor_of({**words_of(saved['_extra_state']), 'teacher_id': 'open_clip/other'})
    with pytest.raises(ValueError, match="distilled from the teacher 'open_clip/other'"):
        bank.load_state_dict(saved)


def text_state(names=('cat', 'dog'), templates=('a {}.',), bank=None):
    told = dict(class_names=list(names), templates=list(templates), teacher_id='open_clip/tiny')
    return {'textual_bank._extra_state': told, 'textual_bank.bank': unit(2, 8) if bank is None else bank}


@pytest.mark.parametrize(
    'changes, message',
    [
        (dict(names=('cat', 'a\0b')), r"'a\\x00b' has the control character"),
        (dict(names=('cat', '\ud800')), "has the lone surrogate '.ud800'"),
        (dict(names=('cat', '\x1b[31m')), 'has the control character'),
        (dict(names=('cat', 'x' * 100_000)), 'has 100000 characters'),
        (dict(templates=('a {}\n',)), 'has the control character'),
        (dict(bank=torch.full((2, 8), float('nan'))), 'NaN or infinite numbers in textual_bank.bank'),
        (dict(bank=torch.zeros(2, 8)), 'rows of another length than 1 in textual_bank.bank'),
        (dict(bank=torch.ones(2, 8)), 'rows of another length than 1'),
    ],
)
def test_names_out_of_a_checkpoint_are_words(changes, message):
    with pytest.raises(CheckpointError, match=f'epoch_2.pth has .*{message}') as caught:
        read_text_state(text_state(**changes), 'epoch_2.pth')
    assert len(str(caught.value)) < 500
    assert read_text_state(text_state(names=('$\\frac{', 'Köln')))['class_names'] == ['$\\frac{', 'Köln']


def test_a_broken_visual_bank_is_refused():
    state = {'visual_bank.bank': torch.full((2, 8), float('inf')), 'visual_bank.visited': torch.ones(2).bool()}
    with pytest.raises(CheckpointError, match='NaN or infinite numbers in visual_bank.bank'):
        read_visual_state(state)
