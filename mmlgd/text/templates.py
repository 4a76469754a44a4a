"""Prompt templates: the sentences that a class name is put into before the text tower reads it."""

from typing import Union

from open_clip import OPENAI_IMAGENET_TEMPLATES, SIMPLE_IMAGENET_TEMPLATES

from mmlgd.errors import MMLGDError

from .characters import unreadable

DEFAULT_TEMPLATES = 'openai-imagenet-80'
SLOT = '{}'
_SETS: dict[str, list[str]] = {
    DEFAULT_TEMPLATES: [template(SLOT) for template in OPENAI_IMAGENET_TEMPLATES],
    'openai-imagenet-7': [template(SLOT) for template in SIMPLE_IMAGENET_TEMPLATES],
    'plain': [SLOT],
}


class TemplateError(MMLGDError, ValueError):
    """A prompt template without exactly one place for the class name, or an unknown set of templates."""


def load_templates(templates: Union[str, list[str]]) -> list[str]:
    """Read prompt templates.

    Args:
        templates (str | list): ``'openai-imagenet-80'`` (CLIP's ensemble, which LGD uses), ``'openai-imagenet-7'``
            (CLIP's short subset), ``'plain'`` (the bare name), or a list of sentences with one ``{}`` each.

    Returns:
        List[str]: P sentences, each with one ``{}``.

    Raises:
        TemplateError: Unknown set, empty list, or a sentence without exactly one ``{}``; the message names it.

    Examples:
        >>> len(load_templates('openai-imagenet-80')), load_templates(['a photo of a {}.'])
        (80, ['a photo of a {}.'])
    """
    if isinstance(templates, str):
        if templates not in _SETS:
            raise TemplateError(
                f'Unknown set of prompt templates {templates!r}, expected one of {sorted(_SETS)} or a list of '
                f"sentences such as ['a photo of a {{}}.']."
            )
        return list(_SETS[templates])
    if not isinstance(templates, (list, tuple)):
        raise TemplateError(
            f'Prompt templates are the name of a set or a list of sentences, got a {type(templates).__name__}.'
        )
    templates = list(templates)
    if not templates:
        raise TemplateError("The list of prompt templates is empty; ['{}'] stands for the bare class name.")
    for template in templates:
        if not isinstance(template, str) or template.count(SLOT) != 1:
            raise TemplateError(
                f'A prompt template is a sentence with one {SLOT} for the class name, got {template!r}.'
            )
        if fault := unreadable(template):
            raise TemplateError(f'The prompt template {template[:50]!r} {fault}. Give a plain sentence.')
    return templates


def fill(template: str, name: str) -> str:
    """Put a class name into a template by plain replacement: braces in a name have no meaning.

    Args:
        template (str): A sentence with one ``{}``.
        name (str): The class name.

    Returns:
        str: The prompt.

    Examples:
        >>> fill('a photo of a {}.', 'red panda')
        'a photo of a red panda.'
    """
    return template.replace(SLOT, name)
