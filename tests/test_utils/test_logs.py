from mmengine.logging import print_log

from mmlgd.utils.logs import warnings_alone


def test_warnings_alone_until_the_end(log):
    with warnings_alone():
        print_log('said', 'current')
        print_log('warned', 'current', 30)
    print_log('said later', 'current')
    assert log.messages == ['warned', 'said later']
