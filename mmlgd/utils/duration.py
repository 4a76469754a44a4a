"""A duration for a reader."""


def duration(seconds: float) -> str:
    """Write a duration for people.

    Args:
        seconds (float): Its seconds.

    Returns:
        str: With two digits that matter.

    Examples:
        >>> duration(42), duration(700), duration(16500), duration(300000)
        ('42 s', '12 min', '4.6 h', '3.5 days')
    """
    if seconds < 90:
        return f'{seconds:.0f} s'
    if seconds < 90 * 60:
        return f'{seconds / 60:.0f} min'
    return f'{seconds / 3600:.1f} h' if seconds < 48 * 3600 else f'{seconds / 86400:.1f} days'
