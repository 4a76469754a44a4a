"""What a run was made from is known by its digests, in every process."""

from mmlgd.studies.runs import contents


def test_a_set_in_a_config_has_one_digest(tmp_path):
    """Its order differs between processes, as here between two ways to write it."""
    assert repr({0, 8}) != repr({8, 0})
    files = [tmp_path / f'{name}.py' for name in 'abc']
    for file, kept in zip(files, ('{0, 8}', '{8, 0}', '{0, 7}')):
        file.write_text(f'model = dict(parts=[dict(kept={kept})], size=(1, 2))')
    one, same, other = (contents(str(file))[str(file)] for file in files)
    assert one == same != other
