from mmengine.logging import print_log

from mmlgd.utils.logs import log_from


def test_warnings_alone_until_the_end(log):
    with log_from('WARNING'):
        print_log('said', 'current')
        print_log('warned', 'current', 30)
    print_log('said later', 'current')
    assert log.messages == ['warned', 'said later']
