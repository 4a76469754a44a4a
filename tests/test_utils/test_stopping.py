"""Signals wait for what must not be cut."""

import os
import signal
import threading

import pytest
from torch.utils.data import DataLoader

from mmlgd.utils.stopping import Stopped, stoppable, unbroken


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_waits_for_the_end_of_a_block(number, capfd):
    done = []
    with pytest.raises(Stopped) as stopped, stoppable():
        with unbroken():
            signal.raise_signal(number)
            done.append('the rest of the step')
        done.append('the next step')
    assert done == ['the rest of the step'] and 'Stopping after this step' in capfd.readouterr().err
    assert (stopped.value.number, stopped.value.code, stopped.value.is_cut) == (number, 128 + number, False)


def test_outside_of_a_block_it_stops_at_once():
    with pytest.raises(Stopped), stoppable():
        signal.raise_signal(signal.SIGINT)
        raise AssertionError('It went on.')


def test_twice_the_same_stops_at_once_and_another_is_the_same_told_again():
    with pytest.raises(Stopped) as stopped, stoppable(), unbroken():
        signal.raise_signal(signal.SIGINT)  # of the terminal,
        signal.raise_signal(signal.SIGTERM)  # and of the parent, which has heard the terminal as well
        signal.raise_signal(signal.SIGINT)
        raise AssertionError('It went on.')
    assert stopped.value.is_cut


def test_a_batch_system_may_say_it_to_parent_and_child_which_hears_it_twice():
    done = []
    with pytest.raises(Stopped) as stopped, stoppable(), unbroken():
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        done.append('the rest of the step')
    assert done and not stopped.value.is_cut


def test_the_end_of_processes_that_read_images_is_no_fault_then():
    with pytest.raises(Stopped) as stopped, stoppable():
        batches = iter(DataLoader(range(100), num_workers=2))
        next(batches)
        with unbroken():
            signal.raise_signal(signal.SIGTERM)
            for process in batches._workers:
                process.terminate()
                process.join()
    assert not stopped.value.is_cut


def test_while_a_stopped_run_saves_its_state_the_parent_s_signal_is_late():
    with stoppable():
        try:
            signal.raise_signal(signal.SIGINT)
        except Stopped:
            signal.raise_signal(signal.SIGTERM)


def test_a_fault_in_a_block_is_told_rather_than_a_signal():
    with pytest.raises(ZeroDivisionError), stoppable(), unbroken():
        signal.raise_signal(signal.SIGINT)
        raise ZeroDivisionError


def test_handlers_are_put_back_and_ignored_signals_stay_ignored():
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with stoppable():
            assert signal.getsignal(signal.SIGTERM) == signal.SIG_IGN != signal.getsignal(signal.SIGINT)
            with stoppable():  # a tool inside a tool
                pass
            assert signal.getsignal(signal.SIGINT) != signal.default_int_handler
        assert signal.getsignal(signal.SIGINT) == signal.default_int_handler
    finally:
        signal.signal(signal.SIGTERM, before)


def test_another_thread_and_code_without_a_tool_stay_as_they_are():
    def run():
        with stoppable(), unbroken():
            found.append(signal.getsignal(signal.SIGINT))

    found = []
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert found == [signal.default_int_handler]
    with pytest.raises(KeyboardInterrupt) as stopped, unbroken():
        signal.raise_signal(signal.SIGINT)
    assert not isinstance(stopped.value, Stopped)


def test_a_process_that_reads_images_leaves_ctrl_c_to_its_owner():
    with stoppable():
        child = os.fork()
        if not child:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGTERM)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGTERM
