"""The error that says why a study is left out."""

import pickle

from pneumonia.rejection import Reason, StudyError


def test_it_crosses_from_a_worker_process_whole():
    for error in (StudyError(Reason.COLOUR, "3 samples"), StudyError("view", "DOE", discreet="view: another")):
        back = pickle.loads(pickle.dumps(error))
        assert (back.reason, back.detail, back.discreet) == (error.reason, error.detail, error.discreet)
        assert type(back.reason) is type(error.reason)


def test_a_log_says_the_reason_alone_unless_another_text_is_given():
    assert str(StudyError(Reason.COLOUR, "DOE")) == "colour: DOE"
    assert StudyError(Reason.COLOUR, "DOE").discreet == "colour"
    assert StudyError("view", "DOE", discreet="view: another").discreet == "view: another"
