"""The COCO weights come whole or not at all."""

import http.server
import sys
import threading

import pytest

from mrcnn.download import download_trained_weights

CONTENT = bytes(range(256)) * 5000  # more than one block


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/missing.h5":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT[:1000] if self.path == "/broken.h5" else CONTENT)

    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def address():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_download(address, tmp_path):
    path = tmp_path / "weights" / "coco.h5"
    download_trained_weights(path, verbose=0, url=f"{address}/whole.h5")
    assert path.read_bytes() == CONTENT
    assert [p.name for p in path.parent.iterdir()] == ["coco.h5"]


def test_without_tqdm_there_is_no_bar(address, tmp_path, monkeypatch, capsys):
    download_trained_weights(tmp_path / "one.h5", url=f"{address}/whole.h5")
    assert "one.h5: 100%" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "tqdm", None)
    download_trained_weights(tmp_path / "two.h5", url=f"{address}/whole.h5")
    assert (tmp_path / "two.h5").read_bytes() == CONTENT
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("url", "why"),
    [("{}/missing.h5", "404"), ("{}/broken.h5", "1000 of 1280000 bytes"), ("http://127.0.0.1:9/x.h5", "refused")],
)
def test_a_download_that_fails_leaves_nothing_and_says_what_to_do(address, tmp_path, url, why):
    with pytest.raises(ConnectionError, match=rf"(?s){why}.*put it at .*coco\.h5"):
        download_trained_weights(tmp_path / "coco.h5", verbose=0, url=url.format(address))
    assert not list(tmp_path.iterdir())
