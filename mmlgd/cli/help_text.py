"""Turns the docstring of a function into the help of a command."""

import re
from collections.abc import Iterable

from docstring_parser import parse


def help_of(docstring: str, options: Iterable[str]) -> tuple[str, dict[str, str]]:
    r"""Rewrite a docstring for the terminal.

    Markup is removed, and a parameter that is an option is written as one. Sentences that start with 'In Python' are
    removed, too, and the defaults None, True and False, which a shell user gets by leaving the option out.

    Args:
        docstring (str): A Google-style docstring.
        options (Iterable[str]): Names of the parameters that are options.

    Returns:
        Tuple[str, Dict[str, str]]: The description, and the help of each parameter.

    Examples:
        >>> help_of('Train with ``amp``.\n\nArgs:\n    amp (bool): Mixed precision. Defaults to False.', ['amp'])
        ('Train with --amp.', {'amp': 'Mixed precision.'})
    """
    told = parse(docstring)
    description = '\n\n'.join(text for text in (told.short_description, told.long_description) if text)
    helps = {one.arg_name: _plain(one.description or '', options) for one in told.params}
    return _plain(description, options), helps


def _plain(text: str, options: Iterable[str]) -> str:
    text = re.sub(r':\w+:`~?([^`]*)`', lambda found: found[1].rpartition('.')[2], text)
    text = re.sub(r'``(\w+)``', lambda found: _name(found[1], options), text).replace('``', '')
    paragraphs = [' '.join(part.split()) for part in text.split('\n\n')]
    return '\n\n'.join(_for_the_shell(part) for part in paragraphs)


def _name(word: str, options: Iterable[str]) -> str:
    return f'--{word.replace("_", "-")}' if word in options else word


def _for_the_shell(text: str) -> str:
    text = re.sub(r'(?:^|(?<=\. ))In Python\b.*?\.(?: |$)', '', text)
    text = re.sub(r' ?Defaults to (?:None|True|False)\.', '', text)
    return text.replace('Defaults to None: ', 'Defaults to ').strip()
