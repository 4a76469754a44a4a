# The runtime of pre-training, with the hooks that check names, steps and banks.
_base_ = 'runtime.py'

default_hooks = dict(
    vocabulary=dict(type='mmlgd.VocabularyCheckHook'),
    steps=dict(type='mmlgd.StepsCheckHook'),
    finite=dict(type='mmlgd.FiniteCheckHook'),
    answers=dict(type='mmlgd.AnswersHook'),
    bank_health=dict(type='mmlgd.BankHealthHook'),
    curves=dict(type='mmlgd.CurvesHook'),
    progress=dict(type='mmlgd.ProgressHook'),
    summary=dict(type='mmlgd.SummaryHook'),
)
