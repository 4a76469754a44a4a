"""The measured values of one model on its features, and their table."""

import statistics
from typing import Optional

from .frozen import Features, FrozenModel
from .probes import choose_c, knn_accuracy, linear_accuracy, top1, unit_rows
from .splits import Split

STAR = '* not zero-shot: the accuracy of its own head, which was trained with labels.'


def measure(
    model: FrozenModel,
    seen: Features,
    unseen: Features,
    train: Split,
    val: Split,
    draws: dict[str, dict[int, list[int]]],
    k: int,
    c: Optional[float],
    order: Optional[list[int]],
) -> dict:
    """Measure one model on its features.

    Args:
        model (FrozenModel): The model.
        seen (Features): Features of the training images.
        unseen (Features): Features of the evaluation images.
        train (Split): Training images.
        val (Split): Evaluation images.
        draws (Dict[str, Dict[int, List[int]]]): Labelled images of the probes, by labels and seed.
        k (int): Nearest neighbours.
        c (float, optional): Inverse penalty of the probes; None chooses it for each probe.
        order (List[int], optional): For each label, the row of its name in the banks; None without zero-shot.

    Returns:
        dict: ``zero_shot``, ``synonyms``, ``own_head``, ``knn``, ``linear`` and ``c``, see :func:`evaluate`.
    """
    num_classes = int(max(train.labels.max(), val.labels.max())) + 1
    result = dict(zero_shot=None, synonyms=None, own_head=None)
    banks = {} if order is None else dict(zero_shot=model.bank, synonyms=model.synonyms)
    for names, bank in banks.items():
        if bank is not None:
            result[names] = top1(unseen.embeddings @ bank.cpu()[order].T, val.labels)
    if model.head is not None and model.head.out_features == num_classes:
        scores, classes = model.head.cpu()(unseen.features), model.head_classes or []
        if val.folders and sorted(classes) == sorted(val.folders):  # its training may have had them in another order
            scores = scores[:, [classes.index(folder) for folder in val.folders]]
        result['own_head'] = top1(scores, val.labels)
    result['knn'] = knn_accuracy(unit_rows(seen.features), train.labels, unit_rows(unseen.features), val.labels, k)
    result.update(linear={labels: {} for labels in draws}, c={labels: {} for labels in draws})
    for labels, seeds in draws.items():
        for seed, chosen in seeds.items():
            labelled = seen.features[chosen], train.labels[chosen]
            own_c = c or choose_c(*labelled)
            result['c'][labels][str(seed)] = own_c
            result['linear'][labels][str(seed)] = linear_accuracy(*labelled, unseen.features, val.labels, own_c)
    return result


def drop_of(result: dict) -> Optional[float]:
    """Compute how many points the zero-shot accuracy is lower with synonyms.

    Args:
        result (dict): From :func:`measure`; an earlier table has no ``synonyms``.

    Returns:
        float | None: Points; negative if it is higher. None without both accuracies.

    Examples:
        >>> drop_of(dict(zero_shot=40.0, synonyms=31.5)), drop_of(dict(zero_shot=40.0))
        (8.5, None)
    """
    both = result['zero_shot'], result.get('synonyms')
    return None if None in both else both[0] - both[1]


def probe_title(labels: str) -> str:
    """Write the title of a probe's column.

    Args:
        labels (str): The labels that the probe saw: a share, or a number for each class.

    Returns:
        str: The title.

    Examples:
        >>> probe_title('10%'), probe_title('5')
        ('linear, 10%', 'linear, 5 a class')
    """
    return f'linear, {labels}' + ('' if labels.endswith('%') else ' a class')


def as_rows(report: dict) -> tuple[list[str], list[list[str]]]:
    """Write the results of :func:`evaluate` as the cells of a table.

    Args:
        report (dict): The return value of :func:`evaluate`.

    Returns:
        Tuple[List[str], List[List[str]]]: Titles of the columns; and for each model its name and its values. The
        accuracy of a classifier's own head is in the first column, with a star. With synonyms, two columns have the
        zero-shot accuracy with them and how many points it is lower.
    """
    results = report['results']
    probes = map(probe_title, next(iter(results.values()))['linear'])
    has_synonyms = any(drop_of(result) is not None for result in results.values())
    titles = ['zero-shot', *(['with synonyms', 'drop'] if has_synonyms else []), f'{report["k"]}-NN', *probes]
    rows = []
    for name, result in results.items():
        own = '–' if result['own_head'] is None else f'{result["own_head"]:.1f}*'
        cells = [own if result['zero_shot'] is None else f'{result["zero_shot"]:.1f}']
        if has_synonyms:
            cells += ['–', '–'] if (drop := drop_of(result)) is None else [f'{result["synonyms"]:.1f}', f'{drop:.1f}']
        cells.append(f'{result["knn"]:.1f}')
        for values in result['linear'].values():
            spread = f' ± {statistics.stdev(values.values()):.1f}' if len(values) > 1 else ''
            cells.append(f'{statistics.mean(values.values()):.1f}{spread}')
        rows.append([name, *cells])
    return titles, rows


def as_markdown(report: dict) -> str:
    """Write the results of :func:`evaluate` as a Markdown table.

    Args:
        report (dict): The return value of :func:`evaluate`.

    Returns:
        str: The cells of :func:`as_rows`, and what a star means.
    """
    titles, rows = as_rows(report)
    lines = [
        f'| | {" | ".join(titles)} |',
        '|---' * (1 + len(titles)) + '|',
        *(f'| {" | ".join(row)} |' for row in rows),
    ]
    if any(result['own_head'] is not None for result in report['results'].values()):
        lines += ['', f'\\{STAR}']  # as Markdown writes a star
    return '\n'.join(lines)
