"""Two processes on one machine: what must be equal on all ranks is, and only one of them reads the class names."""

from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from mmengine.dist import get_rank
from mmengine.model import MMDistributedDataParallel
from mmengine.runner import Runner

from mmlgd import QueueBank, VisualSemanticsBank
from mmlgd.registry import MODELS
from mmlgd.text import embed_class_names
from tests.children import in_one_worker, outcomes
from tests.devices import CARD

pytestmark = in_one_worker


def unit(n, d, seed=0):
    return F.normalize(torch.randn(n, d, generator=torch.Generator().manual_seed(seed)), dim=-1)


def images(seed):
    return torch.randn(8, 3, 64, 64, generator=torch.Generator().manual_seed(seed))


def bank_of(batches, device='cpu'):
    bank = VisualSemanticsBank(5, 8, momentum=0.9).to(device)
    for batch in batches:
        bank.update(batch.to(device), unit(5, 8).to(device))
    return bank


def queue_of(batches, device='cpu'):
    queue = QueueBank(11, 8).to(device)
    for batch in batches:
        queue.update(batch.to(device))
    return queue.state_dict()


class CountingTower:
    """A text tower that knows how many prompts it was asked."""

    asked = 0

    def __call__(self, prompts):
        self.asked += len(prompts)
        return unit(len(prompts), 8)


def student_of(model):
    return {key: value for key, value in model.state_dict().items() if key.startswith(('backbone', 'neck'))}


def seen(folder, lgd_config, device):
    torch.backends.cudnn.allow_tf32 = False
    results, rank = {}, get_rank()
    results['bank'] = bank_of((unit(8, 8, step + 1).chunk(2)[rank] for step in range(3)), device).bank
    results['queue'] = queue_of((unit(8, 8, step + 1).chunk(2)[rank] for step in range(3)), device)
    tower = CountingTower()
    words, prepared = (8, 'teacher', ['cat', 'dog'], ['a {}', 'the {}']), []
    for _ in range(2):
        results['text'] = embed_class_names(tower, *words, prepare=lambda: prepared.append(rank))
    results['asked'], results['prepared'] = tower.asked, prepared

    torch.manual_seed(rank)  # ranks whose seeds differ, as with mmengine's diff_rank_seed
    model = MMDistributedDataParallel(MODELS.build(lgd_config).to(device))
    model.eval()  # batch norm of a rank's own half is no batch norm of all
    # As mmengine does before training: each entry of the state dict goes to the other ranks.
    Runner._init_model_weights(SimpleNamespace(model=model))
    results['start'] = {key: value.clone() for key, value in student_of(model.module).items()}
    for step in range(2):
        losses = model(images(step).chunk(2)[rank].to(device), mode='loss')
        sum(losses.values()).backward()
    results['lgd bank'] = model.module.visual_bank.bank
    results['gradients'] = {name: p.grad for name, p in model.module.named_parameters()}
    results['dense'] = dense_steps(lgd_config, device)
    return results


def dense_steps(lgd_config, device):
    """Two steps of dense LGD with a top-down path; each rank draws places of its own."""
    terms = [
        dict(bank='text', on='places', places=9),
        dict(bank='place_queue', on='places', places=9, self_logit=True),
        dict(type='mmlgd.SimilarityTerm'),
    ]
    config = {
        **lgd_config,
        'backbone': dict(lgd_config['backbone'], out_indices=(2, 3)),
        'places': dict(stages=[0, 1]),
        'place_queue': dict(size=25),
        'loss': dict(type='mmlgd.DistillationLoss', terms=terms),
    }
    torch.manual_seed(get_rank())
    model = MMDistributedDataParallel(MODELS.build(config).to(device))  # without find_unused_parameters
    model.eval()
    Runner._init_model_weights(SimpleNamespace(model=model))
    seen = []
    model.module.criterion.register_forward_hook(lambda module, args, losses: seen.append(args[1].drawn_places()))
    for step in range(2):
        model.zero_grad()
        sum(model(images(step).chunk(2)[get_rank()].to(device), mode='loss').values()).backward()
    gradients = {name: p.grad for name, p in model.module.named_parameters()}
    return dict(queue=model.module.place_queue.state_dict(), drawn=seen, gradients=gradients)


@pytest.fixture(scope='module', params=['cpu', CARD])
def device(request):
    """One card serves both processes."""
    return request.param


@pytest.fixture(scope='module')
def ranks(tmp_path_factory, lgd_model, device):
    return outcomes(seen, tmp_path_factory.mktemp('ranks') / 'pair', lgd_model, device, device=device)


def test_the_bank_is_that_of_the_joint_batch(ranks):
    alone = bank_of(unit(8, 8, step + 1) for step in range(3)).bank
    for rank in ranks:
        torch.testing.assert_close(rank['bank'], alone)


def test_the_queue_is_that_of_the_joint_batch(ranks):
    alone = queue_of(unit(8, 8, step + 1) for step in range(3))
    assert alone['pointer'] == 24 % 11
    for rank in ranks:
        for key, value in alone.items():
            assert torch.equal(rank['queue'][key], value)


def test_one_rank_encodes_the_class_names_for_all(ranks):
    first, second = ranks
    assert torch.equal(first['text'], second['text'])
    assert first['asked'] == 4 and second['asked'] == 0
    assert first['prepared'] == [0] and second['prepared'] == [1]  # once: the second time it is read


def test_lgd_under_ddp_is_lgd_on_the_joint_batch(ranks, lgd_model, device):
    """Bank and gradients, accumulated over two steps, of which the second sees the bank that the first left."""
    first, second = ranks
    slack = 1 if device == 'cpu' else 10  # a card's kernels add in another order
    alone = MODELS.build(lgd_model).eval()
    alone.load_state_dict(first['start'], strict=False)
    for step in range(2):
        sum(alone(images(step), mode='loss').values()).backward()
    for rank in ranks:
        torch.testing.assert_close(rank['lgd bank'], alone.visual_bank.bank, atol=slack * 1e-5, rtol=1e-4)
        for name, parameter in alone.named_parameters():
            tolerance = dict(atol=slack * 1e-5, rtol=slack * 1e-3)
            torch.testing.assert_close(rank['gradients'][name], parameter.grad, **tolerance, msg=name)
    assert torch.equal(first['lgd bank'], second['lgd bank'])
    assert all(torch.equal(first['gradients'][name], second['gradients'][name]) for name in first['gradients'])


def test_dense_lgd_under_ddp_ends_with_one_queue_of_the_places_of_all_ranks(ranks):
    """The places that both ranks drew, rank by rank; all that is trained gets the same gradient on both."""
    first, second = (rank['dense'] for rank in ranks)
    queue = QueueBank(25, 32)
    for drawn in zip(first['drawn'], second['drawn']):
        assert not torch.equal(*drawn)
        queue.update(torch.cat(drawn))
    assert queue.pointer == 36 % 25
    for key, value in queue.state_dict().items():
        assert torch.equal(first['queue'][key], value) and torch.equal(second['queue'][key], value)
    assert {name.split('.')[0] for name in first['gradients']} == {'backbone', 'neck', 'places'}
    assert first['gradients']['places.laterals.0.weight'].abs().sum() > 0
    assert all(torch.equal(first['gradients'][name], value) for name, value in second['gradients'].items())
