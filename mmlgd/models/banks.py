"""The two banks that guide the student: class names as text, and class prototypes of the teacher's image embeddings."""

from pathlib import Path
from typing import Optional, Union

import torch
import torch.nn.functional as F
from mmengine.device import get_device
from mmengine.dist import all_gather
from mmengine.logging import print_log
from torch import Tensor

from mmlgd.checkpoints.files import CheckpointError
from mmlgd.checkpoints.teacher_ids import same_teacher
from mmlgd.checkpoints.words import tensor_of, words_of
from mmlgd.errors import brief, shown
from mmlgd.registry import MODELS
from mmlgd.text import DEFAULT_TEMPLATES, embed_class_names, load_templates, load_vocabulary, phrasings
from mmlgd.text.characters import unreadable
from mmlgd.utils.numerics import is_finite, usable_rows
from mmlgd.utils.validation import checked_settings, require

from .base_bank import NAMES, PROTOTYPES, QUEUED, Bank, BankRows, saved_role
from .teachers import BaseTeacher


def read_text_state(
    state: dict, source: Union[str, Path] = 'The checkpoint', prefix: str = 'textual_bank.', finite: bool = True
) -> dict:
    """Read the textual bank of a checkpoint with its names and templates.

    Args:
        state (dict): A state dict with a textual bank in it.
        source (str | Path): Where the state dict is from, for the error message.
        prefix (str): Prefix of the bank's keys. Defaults to ``'textual_bank.'``.
        finite (bool): Refuse a bank with NaN or Inf, or with rows that are no unit rows. Defaults to True.

    Returns:
        dict: ``bank`` (K, D) float32, ``class_names`` (K strings), ``templates`` (strings) and ``teacher_id``.

    Raises:
        CheckpointError: The textual bank is missing or damaged.
    """
    told, bank = words_of(state.get(f'{prefix}_extra_state')), state.get(f'{prefix}bank')
    names, templates = told.get('class_names'), told.get('templates')
    is_text = all(
        isinstance(texts, list) and texts and all(isinstance(text, str) for text in texts)
        for texts in (names, templates)
    )
    is_bank = isinstance(bank, Tensor) and bank.is_floating_point() and bank.ndim == 2 and is_text
    if not is_bank or len(bank) != len(names) or not isinstance(told.get('teacher_id'), str):
        shape = tuple(getattr(bank, 'shape', ()))
        raise CheckpointError(
            f'{source} has no readable textual bank: expected {prefix}bank (K, D), and with it K class_names, '
            f'templates and a teacher_id; got a bank of shape {shape} and {brief(sorted(told), 200)}. Give a '
            f'checkpoint of LGD training, or its published file.'
        )
    if fault := next((f'{text[:50]!r} {unreadable(text)}' for text in (*names, *templates) if unreadable(text)), ''):
        raise CheckpointError(
            f'{source} has class names or templates that are not text: {fault}. Training accepts no such names, so '
            f'the file was changed afterwards: get it again from its source.'
        )
    bank = bank.float()
    if finite and not usable_rows(bank).all():
        fault = 'rows of another length than 1' if is_finite(bank) else 'NaN or infinite numbers'
        raise CheckpointError(f'{source} has {fault} in {prefix}bank. Give an earlier checkpoint.')
    return dict(bank=bank, class_names=names, templates=templates, teacher_id=told['teacher_id'])


def read_visual_state(state: dict, source: Union[str, Path] = 'The checkpoint') -> tuple[Tensor, Tensor]:
    """Read the visual bank of a checkpoint.

    Args:
        state (dict): A state dict.
        source (str | Path): Where the state dict is from, for the error message.

    Returns:
        Tuple[Tensor, Tensor]: ``bank`` (K, D) float32 and ``visited`` (K,) bool.

    Raises:
        CheckpointError: The visual bank is missing or damaged, or it is a queue of images.
    """
    if saved_role(state, 'visual_bank') == QUEUED:
        raise CheckpointError(
            f'The visual bank of {source} is a queue of images: it has no class prototypes. Give a checkpoint of a run '
            f'with a mmlgd.VisualSemanticsBank.'
        )
    bank, visited = (state.get(f'visual_bank.{name}') for name in ('bank', 'visited'))
    are_tensors = isinstance(bank, Tensor) and isinstance(visited, Tensor)
    if not are_tensors or not bank.is_floating_point() or bank.ndim != 2 or visited.shape != bank.shape[:1]:
        raise CheckpointError(
            f'{source} has no readable visual bank: expected visual_bank.bank (K, D) and visual_bank.visited (K,). '
            f'Give a checkpoint of LGD training.'
        )
    if not is_finite(bank):
        raise CheckpointError(f'{source} has NaN or infinite numbers in visual_bank.bank. Give an earlier checkpoint.')
    return bank.float(), visited.bool()


@MODELS.register_module()
class TextualSemanticsBank(Bank):
    r"""Textual semantics bank (TSB): one frozen text embedding for each class name.

    .. math:: \text{TSB}_k = \text{unit}\Big(\sum_p \text{unit}\big(f(\text{template}_p(\text{name}_k))\big)\Big)

    The checkpoint holds class names, templates and the teacher's identity beside the rows. A checkpoint of another
    teacher never loads: its student uses another embedding space. A checkpoint with other names or templates loads only
    with ``transfer=True``.

    Args:
        teacher (BaseTeacher): Provides the text tower; not kept.
        vocabulary (str | Path | list | dict): Class names, see :func:`~mmlgd.text.load_vocabulary`. Row k is label k.
        templates (str | list): Prompt templates, see :func:`~mmlgd.text.load_templates`. Defaults to
            ``'openai-imagenet-80'``, as published.
        transfer (bool): Keep this bank when a checkpoint with other names or templates is loaded. This allows zero-shot
            evaluation on a vocabulary that the student was not trained with. Defaults to False.
        cache_dir (str, optional): Folder of cached text embeddings, in addition to those that come with the teacher.
            Defaults to ``$MMLGD_CACHE``, else ``~/.cache/mmlgd``.
        device (str | torch.device, optional): Where the text tower runs. Defaults to None: the accelerator if there is
            one.

    Attributes:
        bank (Tensor): (K, D) float32, rows of unit length.
        class_names (List[str]): K names.

    Raises:
        VocabularyError: The vocabulary is empty, or holds a duplicate, empty or non-string name.
    """

    role = NAMES

    @checked_settings
    def __init__(
        self,
        teacher: BaseTeacher,
        vocabulary: Union[str, Path, list, dict],
        templates: Union[str, list] = DEFAULT_TEMPLATES,
        transfer: bool = False,
        cache_dir: Optional[str] = None,
        device: Union[str, torch.device, None] = None,
    ):
        super().__init__()
        self.class_names: list[str] = load_vocabulary(vocabulary)
        self.templates: list[str] = load_templates(templates)
        self.teacher_id = teacher.identity
        self.transfer = transfer
        # A text tower is slow on a CPU (80,000 prompts for ImageNet): move it to the accelerator for this one use.
        home = teacher.mean.device
        teacher.to(device or get_device())
        bank = embed_class_names(
            teacher.encode_text,
            teacher.embed_dim,
            self.teacher_id,
            self.class_names,
            self.templates,
            cache_dir,
            kept_in=teacher.text_cache,
            prepare=teacher.prepare,
        )
        teacher.to(home)
        self._tell_cut_off(teacher)
        self.register_buffer('bank', bank)

    def _tell_cut_off(self, teacher: BaseTeacher) -> None:
        words = [word for name in self.class_names for word in phrasings(name)]
        if cut := teacher.cut_off(words, self.templates):
            print_log(
                f'The text tower of {self.teacher_id} does not read {len(cut)} class names to their end, first '
                f'{shown(cut[0])!r}: what is cut off has no effect. Give shorter names; `mmlgd names` lists them.',
                'current',
                30,
            )

    def rows(self) -> BankRows:
        """Return the rows without a copy: names never change."""
        return BankRows(self.bank)

    def update(self, teacher_embeddings: Tensor, textual_bank: Tensor) -> None:
        """Do nothing: names are frozen."""

    def get_extra_state(self) -> Tensor:
        """Encode names, templates and teacher as (bytes,) uint8."""
        return tensor_of(dict(class_names=self.class_names, templates=self.templates, teacher_id=self.teacher_id))

    def set_extra_state(self, state: Tensor) -> None:
        """Set nothing: :meth:`_load_from_state_dict` has compared the state with this bank's own."""

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args) -> None:
        if f'{prefix}_extra_state' in state_dict:
            difference = self._difference(
                read_text_state(state_dict, prefix=prefix, finite=False)
            )  # a broken step may have saved NaN or Inf
        else:
            difference = ''
        if difference and self.transfer:
            print_log(f'Zero-shot transfer: keeping the {len(self.class_names)} names of the config. {difference}')
            state_dict[f'{prefix}bank'] = self.bank
        elif difference:
            raise CheckpointError(
                f'{difference} To continue that run, give its vocabulary and templates; to evaluate its student on '
                f'these names, add `--cfg-options model.text.transfer=True`.'
            )
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _difference(self, saved: dict) -> str:
        """Describe how a checkpoint's bank differs from this one; empty if it does not."""
        if not same_teacher(saved['teacher_id'], self.teacher_id):
            raise CheckpointError(
                f'The checkpoint was distilled from the teacher {saved["teacher_id"]!r}, this config has '
                f'{self.teacher_id!r}: their embeddings cannot be compared. Use the same teacher and weights.'
            )
        ours, theirs = self.class_names, saved['class_names']
        if len(ours) != len(theirs):
            return f'The checkpoint has {len(theirs)} class names, this config {len(ours)}.'
        for k, (our, their) in enumerate(zip(ours, theirs)):
            if our != their:
                return f'Class name {k} is {their!r} in the checkpoint and {our!r} in this config.'
        if self.templates != saved['templates']:
            return f'The checkpoint has {len(saved["templates"])} other prompt templates.'
        return ''

    def extra_repr(self) -> str:
        """Describe size and source, for ``print(model)``."""
        return f'names={len(self.class_names)}, templates={len(self.templates)}, teacher={self.teacher_id}'


@MODELS.register_module()
class VisualSemanticsBank(Bank):
    r"""Visual semantics bank (VSB): a moving prototype of each class in the teacher's image embeddings.

    :meth:`update` is the paper's language-guided knowledge aggregation (LGKA). Each teacher embedding of the
    global batch goes to its nearest class name, :math:`y = \arg\max_k t \cdot \text{TSB}_k`; with :math:`\bar t_k` the
    mean of the embeddings assigned to class k,

    .. math:: \text{VSB}_k \leftarrow \begin{cases} \bar t_k & \text{on the first visit} \\
              m\,\text{VSB}_k + (1 - m)\,\bar t_k & \text{afterwards} \end{cases}

    Before its first visit a row is a random unit vector, the same on every rank and in every run.

    Args:
        num_classes (int): K.
        embed_dim (int): D.
        momentum (float): m in [0, 1], the weight of the OLD value, as in the paper (in mmengine's averaged models,
            momentum is the weight of the new value). Defaults to 0.999, as published.
        normalize (bool): Keep rows at unit length after each update. Defaults to False, as published.

    Attributes:
        bank (Tensor): (K, D) float32.
        visited (Tensor): (K,) bool.

    Raises:
        ConfigError: ``momentum`` is outside [0, 1].

    Examples:
        >>> import torch
        >>> from mmlgd import VisualSemanticsBank
        >>> bank = VisualSemanticsBank(num_classes=3, embed_dim=3)
        >>> bank.update(torch.eye(3)[:2], torch.eye(3))
        >>> bank.visited.tolist()
        [True, True, False]
    """

    role = PROTOTYPES

    @checked_settings
    def __init__(self, num_classes: int, embed_dim: int, momentum: float = 0.999, normalize: bool = False):
        super().__init__()
        require(min(num_classes, embed_dim) > 0, f'Expected a bank of (K, D) rows, got ({num_classes}, {embed_dim}).')
        require(0 <= momentum <= 1, f'Expected a momentum (weight of the old value) in [0, 1], got {momentum}.')
        self.momentum = momentum
        self.normalize = normalize
        self._start_random(num_classes, embed_dim)

    @torch.no_grad()
    def update(self, teacher_embeddings: Tensor, textual_bank: Tensor) -> None:
        """Aggregate one step's teacher embeddings, in place, without a loop over K or a wait for the device.

        In a distributed run the embeddings of all ranks are gathered first, so that all ranks end with the same
        bank. Call it after the step's losses, which must see the old bank. All is computed in float32, under autocast
        as well. Rows that are zero, NaN or Inf are ignored: they would stay in the bank and in all later checkpoints.

        Args:
            teacher_embeddings (Tensor): (N, D), unit rows, of this rank.
            textual_bank (Tensor): (K, D), unit rows.
        """
        t = torch.cat(all_gather(teacher_embeddings.float()))  # (N*ranks, D)
        usable = usable_rows(t)  # (N*ranks,)
        t = torch.where(usable[:, None], t, 0.0)
        with torch.autocast(t.device.type, enabled=False):  # bf16 would give up to 5 % of the images another class
            pseudo_class = (t @ textual_bank.float().T).argmax(dim=1)  # (N*ranks,)
        mean = torch.zeros_like(self.bank).index_add_(0, pseudo_class, t)  # (K, D), the sum so far
        # index_add_, because bincount reads the maximum of its input back to the host.
        count = mean.new_zeros(len(mean)).index_add_(0, pseudo_class, usable.float())  # (K,)
        mean /= count.clamp(min=1)[:, None]
        # How far each row moves towards its mean: 0 without a visit, 1 on its first visit, 1 - m afterwards.
        step = torch.where(self.visited, 1 - self.momentum, 1.0) * (count > 0)  # (K,)
        self.bank.lerp_(mean, step[:, None])
        if self.normalize:
            self.bank.copy_(F.normalize(self.bank, dim=-1))
        self.visited |= count > 0

    def extra_repr(self) -> str:
        """Describe shape and options, for ``print(model)``."""
        k, d = self.bank.shape
        return f'num_classes={k}, embed_dim={d}, momentum={self.momentum}, normalize={self.normalize}'
