"""Hugging Face's host: told at once where it has no address, which its own library asks for again and again."""

import socket
import time
from pathlib import Path
from typing import Optional
from urllib.parse import urlparse
from urllib.request import getproxies

from huggingface_hub import constants, try_to_load_from_cache

_PAUSE = 1.0  # seconds before the second look at an address: a network may be just coming up


def found_without_host(repository: str, *files: str, cache_dir: Optional[str] = None) -> Optional[str]:
    """Find a file of a repository where its host has no address, as on a machine without a network.

    huggingface_hub asks such a host six times for each file, in 23 seconds, also for one in its cache. A host that has
    an address, however slow, is left to it, and so are a proxy, which looks for the host itself, and its own
    ``HF_HUB_OFFLINE``.

    Args:
        repository (str): ``'ORG/NAME'``; a folder on this machine has no host to ask.
        *files (str): Names in it, one of which is enough.
        cache_dir (str, optional): Folder of downloads. Defaults to None: huggingface_hub's.

    Returns:
        str, optional: The first of these files in the cache; None if the host can be asked.

    Raises:
        ConnectionError: The host has no address, and none of the files is in the cache.
    """
    is_proxied = bool({'http', 'https', 'all'} & getproxies().keys())
    if constants.HF_HUB_OFFLINE or is_proxied or Path(repository).is_dir():
        return None
    host = urlparse(constants.ENDPOINT).hostname
    for pause in (0, _PAUSE):
        time.sleep(pause)
        try:
            socket.getaddrinfo(host, None)
            return None
        except OSError as error:
            fault = error
    cached = (try_to_load_from_cache(repository, file, cache_dir=cache_dir) for file in files)
    if there := next((file for file in cached if isinstance(file, str)), None):
        return there
    raise ConnectionError(f'{host} has no address here: {fault}')
