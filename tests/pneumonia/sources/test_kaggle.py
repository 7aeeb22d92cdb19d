"""Kaggle's client, played by a fake: what it downloads is used, and each refusal says what to do."""

import sys
import types
import zipfile

import pytest

from pneumonia.archive import StudyArchive
from pneumonia.sources import kaggle
from pneumonia.sources.kaggle import KaggleError

FILES = {
    "stage_2_train_images/a.dcm": b"A",
    "stage_2_test_images/t.dcm": b"T",
    "stage_2_train_labels.csv": b"patientId,x,y,width,height,Target\na,,,,,0\n",
    "stage_2_detailed_class_info.csv": b"patientId,class\na,Normal\n",
    "stage_2_sample_submission.csv": b"patientId,PredictionString\nt,\n",
}


class Client:
    """Answers like KaggleApi: writes the competition's zip, or raises."""

    def __init__(self, error=None, cut=0):
        self.error, self.cut, self.asked = error, cut, []

    def competition_download_files(self, competition, path=None, force=False, quiet=True):
        self.asked.append(competition)
        if self.error:
            raise self.error
        name = f"{path}/{competition}.zip"
        with zipfile.ZipFile(name, "w") as made:
            for member, content in FILES.items():
                made.writestr(member, content)
        if self.cut:
            with open(name, "r+b") as stream:  # noqa: PTH123
                stream.truncate(self.cut)


class HTTPError(Exception):
    """As requests raises it, with the response."""

    def __init__(self, status):
        super().__init__(f"{status} Client Error")
        self.response = types.SimpleNamespace(status_code=status)


class ApiError(Exception):
    """As older clients raise it, with the status itself."""

    def __init__(self, status):
        super().__init__(str(status))
        self.status = status


def test_downloads_once_for_both_stages(tmp_path):
    client = Client()
    kaggle.fetch_labelled(tmp_path / "source", tmp_path / "raw", client=client)
    kaggle.fetch_test(tmp_path / "source", tmp_path / "raw_test", client=client)
    assert client.asked == ["rsna-pneumonia-detection-challenge"]
    assert StudyArchive(tmp_path / "raw/images.zip").studies == ["a"]
    assert StudyArchive(tmp_path / "raw_test/images.zip").studies == ["t"]


def test_a_broken_download_is_tried_again_and_then_said(tmp_path):
    with pytest.raises(KaggleError, match="did not leave a whole archive"):
        kaggle.download(tmp_path, Client(cut=50))
    assert kaggle.download(tmp_path, Client()).is_file()


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (HTTPError(403), r"accept the challenge's rules at .*rsna-pneumonia-detection-challenge/rules"),
        (ApiError(403), r"accept the challenge's rules"),
        (HTTPError(401), r"create a new API token"),
        (HTTPError(404), r"update its client"),
        (ConnectionError("no route"), r"ConnectionError: no route\); run it again, or download .* set source to local"),
    ],
)
def test_refusals_say_what_to_do(tmp_path, error, message):
    with pytest.raises(KaggleError, match=message):
        kaggle.download(tmp_path, Client(error))


def install(monkeypatch, api):
    module = types.ModuleType("kaggle.api.kaggle_api_extended")
    module.KaggleApi = api
    for name in ("kaggle", "kaggle.api"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, module.__name__, module)


def test_no_client(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "kaggle", None)
    with pytest.raises(KaggleError, match=r"pip install -e '\.\[kaggle\]'"):
        kaggle.download(tmp_path)


@pytest.mark.parametrize("error", [SystemExit(1), OSError("Could not find kaggle.json"), ValueError("bad token")])
def test_no_credentials(monkeypatch, tmp_path, error):
    class Api:
        def authenticate(self):
            raise error

    install(monkeypatch, Api)
    with pytest.raises(KaggleError, match=r"~/\.kaggle/kaggle\.json, or set KAGGLE_USERNAME and KAGGLE_KEY"):
        kaggle.download(tmp_path)


def test_connects_with_the_installed_client(monkeypatch):
    class Api:
        authenticated = False

        def authenticate(self):
            self.authenticated = True

    install(monkeypatch, Api)
    assert kaggle.connect().authenticated
