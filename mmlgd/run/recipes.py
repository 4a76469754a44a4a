"""Recipes of pre-training: their choice, their numbers, and their configs on top of ours."""

from dataclasses import dataclass
from typing import Any, Optional

from mmlgd.errors import ConfigError

# The base configs of the recipes, below configs/.
BASES = {
    'paper': 'lgd/lgd_resnet18_1xb256-coslr-200e_images.py',
    'small-data': 'small/lgd_resnet18_1xb64-onecycle_images.py',
}
# The same with terms on places.
DENSE = {
    'paper': 'lgd/dense_resnet18_1xb256-coslr-200e_images.py',
    'small-data': 'small/dense_resnet18_1xb64-onecycle_images.py',
}
LONG = 10_000_000  # views of images; with at least so many, the paper's schedule is long enough: 39,000 steps of 256
FIRST_RUN = 32_000  # views; ten minutes on one core at 64 px, for ResNet-18 with ConSE
SHORT = 64_000  # views; with fewer, 32 images a step teach a student more than 64: docs/pretrain.md
FEW_STEPS = 150  # after 180 steps, students of 30 classes were clearly above random in every column: docs/pretrain.md
_FEW_BATCHES = 4  # a folder with fewer of the usual batch gets one that fits
PLACES = 8192  # of each GPU in the queue of places, of 8 steps or more: a step adds 1024 of each GPU at most
STRIDE = 32  # pixels of a place of ResNets, MobileNets and most other students
WHAT = {  # {} is the teacher's temperature
    'paper': "SGD with a cosine, temperatures 0.2 and {}, both banks of names, MoCo-v2's views",
    'small-data': 'AdamW in one cycle, temperatures 0.05 and {}, both banks of names and a queue, light views',
}
TEMPERATURE, CONSE_TEMPERATURE = 0.01, 0.04  # of the words' teacher; the second with ConSE in the small-data recipe


@dataclass
class Plan:
    """The numbers of a run.

    Attributes:
        recipe (str): ``'paper'`` or ``'small-data'``.
        epochs (int): Number of epochs.
        batch_size (int): Images per step and GPU.
        size (int): Side of the images in pixels.
        images (int): Number of images, or the limit of the count.
        gpus (int): Number of GPUs.
        reasons (List[str]): The choices, their reasons, and what to expect.
        dense (bool): Compare places, too.
    """

    recipe: str
    epochs: int
    batch_size: int
    size: int
    images: int
    gpus: int
    reasons: list[str]
    dense: bool = False

    @property
    def base(self) -> str:
        """str: The recipe's config, below ``configs/``."""
        return (DENSE if self.dense else BASES)[self.recipe]


def most_counted(epochs: Optional[int], batch_size: Optional[int], gpus: int) -> int:
    """Say how many images are worth counting: more change nothing in a plan.

    Args:
        epochs (int, optional): As for :func:`plan_run`, and so are the others.
        batch_size (int, optional): Images per step and GPU.
        gpus (int): Number of GPUs.

    Returns:
        int: Number of images.
    """
    return max(LONG // (epochs or 200) + 1, FIRST_RUN, (batch_size or _FEW_BATCHES * 256) * gpus)


def plan_run(
    images: int,
    recipe: Optional[str] = None,
    epochs: Optional[int] = None,
    batch_size: Optional[int] = None,
    size: Optional[int] = None,
    gpus: int = 1,
    has_card: bool = True,
    is_conse: bool = True,
    dense: bool = False,
) -> Plan:
    """Choose the settings of a run that were not given.

    Args:
        images (int): Number of images, or :func:`most_counted`.
        recipe (str, optional): ``'paper'`` or ``'small-data'``. Defaults to None: the paper's if all epochs together
            have at least :data:`LONG` views, else small-data.
        epochs (int, optional): Defaults to None: 200; on a CPU, except with the paper's recipe, as many as have
            :data:`FIRST_RUN` views.
        batch_size (int, optional): Images per step and GPU. Defaults to None: 256; small-data 64, or 32 with fewer than
            :data:`SHORT` views per GPU. In a small folder, one that fits.
        size (int, optional): Image side in pixels. Defaults to None: 224; on a CPU with the small-data recipe, 64, or
            128 if it is dense: an image of 64 px has 4 places.
        gpus (int): Number of GPUs. Defaults to 1.
        has_card (bool): Whether there is a GPU. Defaults to True.
        is_conse (bool): Whether the teacher is ConSE. Others take most of the time on a CPU. Defaults to True.
        dense (bool): Compare places, too. Defaults to False.

    Returns:
        Plan: The plan, with reasons to print.

    Examples:
        >>> plan = plan_run(3000, has_card=False)
        >>> plan.recipe, plan.epochs, plan.batch_size, plan.size
        ('small-data', 10, 32, 64)
        >>> plan_run(1_281_167).recipe
        'paper'
    """
    reasons = []
    given_epochs = epochs
    there = f'{"at least " if images >= most_counted(epochs, batch_size, gpus) else ""}{images:,} images'
    if epochs is None:
        is_first = not has_card and recipe != 'paper'
        views = FIRST_RUN // 4 if dense else FIRST_RUN  # of twice the side
        epochs = min(200, max(1, views // images)) if is_first else 200
    if recipe is None:
        recipe = 'paper' if images * epochs >= LONG else 'small-data'
        than, other = ('at least', 'small-data') if recipe == 'paper' else ('fewer than', 'paper')
        reasons.append(
            f'Recipe {recipe}: {there} x {epochs} epochs are {than} {LONG:,} views. '
            f'{_what(recipe, is_conse)}. --recipe {other} chooses the other: {_what(other, is_conse)}.'
        )
    if size is None:
        size = (128 if dense else 64) if recipe == 'small-data' and not has_card else 224
    if batch_size is None:
        usual = 256 if recipe == 'paper' else 32 if images * epochs < SHORT * gpus else 64
        batch_size = _batch_size(usual, images // gpus)
    steps = epochs * (images // (batch_size * gpus))
    if not has_card and given_epochs is None and recipe == 'small-data':
        reasons.append(
            f'No GPU: this is a first run of {epochs} epochs at {size} px. Its first steps will say how long it takes '
            f'here. With more time, increase --epochs first (four times as many help a lot), then --size.'
        )
    if recipe == 'paper' and images * epochs < LONG:
        reasons.append(
            f'This run has {steps:,} steps, and the schedule and temperatures of the paper are for '
            f'{LONG // 256:,} and more: with few images it ends hardly better than a random student. --recipe '
            f'small-data is made for few.'
        )
    if not has_card and not is_conse:
        reasons.append(
            'No GPU: the teacher takes most of the time here. --teacher conse, which pip installs, is many times '
            'faster; --store DIR runs a teacher only once, for this run and later ones.'
        )
    if steps < FEW_STEPS:
        enough = -(-FEW_STEPS * epochs // max(1, steps))
        reasons.append(
            f'This run has {steps} steps, and its student will hardly be better than a random one. This helps: '
            f'--epochs {enough} or more, a smaller --batch-size, more images (without labels they cost nothing).'
        )
    if dense and size % STRIDE:
        whole = -(-size // STRIDE) * STRIDE
        reasons.append(
            f'Most students have places of {STRIDE} px, and images of {size} px have no whole number of them: the last '
            f"places reach over the border, and lie beside the teacher's. --size {whole} has all of them in line."
        )
    return Plan(recipe, epochs, batch_size, size, images, gpus, reasons, dense)


def _batch_size(usual: int, images: int) -> int:
    """Fit a batch to a small folder: the steps of an epoch leave out as few of its images as possible."""
    if images >= _FEW_BATCHES * usual:
        return usual
    steps = max(1, round(images / usual))
    return max(2, min(images // steps, usual + usual // 4))


def _what(recipe: str, is_conse: bool) -> str:
    return WHAT[recipe].format(CONSE_TEMPERATURE if is_conse and recipe == 'small-data' else TEMPERATURE)


def recipe_settings(
    plan: Plan,
    teacher: dict,
    vocabulary: Any,
    student: Optional[dict],
    dataset: dict,
    workers: int,
    seed: int,
) -> dict:
    """Collect the changes of a run to the base config of its recipe.

    Args:
        plan (Plan): The plan of the run.
        teacher (dict): Config of the teacher.
        vocabulary (str | list | dict): Class names.
        student (dict, optional): Config of the backbone. None: the backbone of the base.
        dataset (dict): Settings of the data set: folder, and the policy for bad images.
        workers (int): Processes per GPU that read images.
        seed (int): Seed of weights, order and augmentation.

    Returns:
        dict: Settings that mmengine merges into the base.
    """
    text = dict(vocabulary=dict(vocabulary, _delete_=True) if isinstance(vocabulary, dict) else vocabulary)
    is_conse = has_conse(teacher)
    if is_conse:
        text['templates'] = usual_templates(teacher)
    is_pair = 'looks' in teacher  # the words of C-RADIO are a text tower alone
    halves = [half for half in ('words', 'looks') if is_pair and isinstance(teacher[half], dict)]
    compiled = {half: {'compile': 'auto', **teacher[half]} for half in halves} or {'compile': 'auto'}
    model = dict(teacher={'_delete_': True, **compiled, **{k: v for k, v in teacher.items() if k not in compiled}})
    model['text'] = text
    if student is not None:
        model['backbone'] = dict(student, _delete_=True)
    if plan.dense and plan.gpus > 1:
        model['place_queue'] = dict(size=PLACES * plan.gpus)
    settings = dict(model=model, train_dataloader=dict(batch_size=plan.batch_size, num_workers=workers))
    settings['train_dataloader']['dataset'] = {**dataset, 'size': plan.size}
    settings['auto_scale_lr'] = dict(base_batch_size=plan.batch_size * plan.gpus)
    settings['randomness'] = dict(seed=seed)
    settings['train_cfg'] = dict(max_epochs=plan.epochs)
    settings.update(_paper(plan) if plan.recipe == 'paper' else _small_data(plan, model, is_conse))
    return settings


def _paper(plan: Plan) -> dict:
    """Set the published schedule: lr 0.03 for 256 images per step, 5 epochs of warm-up or a quarter of the run."""
    warm_up, common = min(5, plan.epochs // 4), dict(by_epoch=True, convert_to_iter_based=True)
    span = dict(T_max=plan.epochs - warm_up, begin=warm_up, end=plan.epochs)
    schedule = [dict(type='CosineAnnealingLR', **span, **common)]
    if warm_up:
        schedule.insert(0, dict(type='LinearLR', start_factor=1e-4, begin=0, end=warm_up, **common))
    lr = 0.03 * plan.batch_size * plan.gpus / 256
    return dict(optim_wrapper=dict(optimizer=dict(lr=_rounded(lr))), param_scheduler=schedule)


def _small_data(plan: Plan, model: dict, is_conse: bool) -> dict:
    """Set the study's schedule: lr 2e-3 for 64 images per step, scaled by the square root; a queue that fills up."""
    model['queue'] = dict(size=min(8192, plan.images))
    if is_conse:
        # Looks beside names; similarities to names shrink by sqrt(0.1), and the temperature follows, to 0.0126.
        words = model['teacher'].get('words')
        if words is None:
            words = {key: value for key, value in model['teacher'].items() if key != '_delete_'}
            share = words.pop('visual_share', 0.9)  # as earlier versions called it
            pair = dict(type='mmlgd.TeacherPair', words=words, looks='logits', looks_share=share)
            model['teacher'] = dict(pair, _delete_=True)
        if plan.size <= 128:  # the classifier gains nothing from enlarging small images to its own 224 px
            words.setdefault('image_size', (128, 128))
        model['loss'] = dict(teacher_temperature=CONSE_TEMPERATURE)
        if plan.dense:
            # It sees an image at twice the size, and names four places where the student has one.
            words.setdefault('places_size', 2 * plan.size)
            model['loss'] = dict(terms=_with_names_at(CONSE_TEMPERATURE, plan.base))
    lr = _rounded(2e-3 * (plan.batch_size * plan.gpus / 64) ** 0.5)
    cycle = dict(type='OneCycleLR', eta_max=lr, total_steps=plan.epochs, pct_start=0.15)
    cycle.update(by_epoch=True, convert_to_iter_based=True)
    return dict(optim_wrapper=dict(optimizer=dict(lr=lr)), param_scheduler=[cycle])


def has_conse(teacher: dict) -> bool:
    """Check whether a teacher, or the words of a pair, is ConSE.

    Args:
        teacher (dict): Its config.

    Returns:
        bool: Whether it is.
    """
    words = teacher.get('words')
    return has_conse(words) if isinstance(words, dict) else str(teacher.get('type')).endswith('ConSETeacher')


def usual_templates(teacher: dict) -> str:
    """Choose the prompt templates of a teacher's names, where none are given.

    Args:
        teacher (dict): Its config.

    Returns:
        str: Name of a set: plain for ConSE, whose sentence encoder was not trained on captions.
    """
    from mmlgd.text import DEFAULT_TEMPLATES

    return 'plain' if has_conse(teacher) else DEFAULT_TEMPLATES


def _with_names_at(temperature: float, base: str) -> list[dict]:
    """Read the terms of a config, and set the teacher's temperature of names and prototypes."""
    from mmlgd.run.written import base_of  # reads the config by a large package, which the help does not need

    terms = base_of(base)['model']['loss']['terms']
    return [
        dict(term, teacher_temperature=temperature) if term['bank'] in ('text', 'visual') else term for term in terms
    ]


def _rounded(lr: float) -> float:
    return float(f'{lr:.6g}')


def check_recipe(recipe: Optional[str]) -> None:
    """Refuse an unknown recipe.

    Args:
        recipe (str, optional): Name of the recipe.

    Raises:
        ConfigError: There is no recipe of this name.
    """
    if recipe is not None and recipe not in BASES:
        raise ConfigError(f'There is no recipe {recipe!r}. Expected one of {", ".join(BASES)}.')
