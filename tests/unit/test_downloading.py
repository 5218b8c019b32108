"""Files that a description names by web addresses, fetched from a real https server of this PC."""

import hashlib
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import trustme
import yaml

from care_bridge.cli.main import main
from care_bridge.errors import PackageError, PackageFormatError, PackageIntegrityError
from care_bridge.package.collecting import add_model
from care_bridge.package.downloading import fetched_file
from care_bridge.package.package import load_package
from care_bridge.package.store import place_folder
from care_bridge.runtime.restorer import restore
from tests.packages import tiny_package

DATA = b"weights of a network" * 1000
SHA256 = hashlib.sha256(DATA).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves `files` by path; what begins with http is a redirection."""

    def __init__(self, certificate):
        super().__init__(("localhost", 0), Handler)
        self.files = {"/weights": DATA}
        self.asked = []
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            certificate.configure_cert(context)
            self.socket = context.wrap_socket(self.socket, server_side=True)
        scheme = "https" if certificate else "http"
        self.address = f"{scheme}://localhost:{self.server_port}"

    def handle_error(self, request, client_address):
        """A client that goes away is what some of the tests are about."""


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        found = self.server.files.get(self.path)
        if found is None:
            self.send_error(404)
        elif isinstance(found, str):
            self.send_response(302)
            self.send_header("Location", found)
            self.end_headers()
        else:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(found)

    def log_message(self, *arguments):
        pass


def running(server):
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    return server


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def server(authority, tmp_path, monkeypatch):
    """A server whose certificate this process trusts, and a cache of the test's own."""
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("no_proxy", "localhost")
    with running(Server(authority.issue_cert("localhost"))) as server:
        yield server
        server.shutdown()


def cached(tmp_path):
    return [path.name for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_a_file_is_fetched_once_and_kept_under_its_hash(server, tmp_path):
    for _ in range(2):
        path = fetched_file(f"{server.address}/weights", SHA256.upper(), Path("p"))
        assert path.read_bytes() == DATA
    assert server.asked == ["/weights"]
    assert cached(tmp_path) == [SHA256]


def test_a_redirection_to_https_is_followed(server):
    server.files["/moved"] = f"{server.address}/weights"
    path = fetched_file(f"{server.address}/moved", SHA256, Path("p"))
    assert path.read_bytes() == DATA


@pytest.mark.parametrize(
    ("address", "sha256", "error", "line"),
    [
        pytest.param("{}/weights", None, PackageIntegrityError, "without its sha256", id="no-hash"),
        pytest.param("{}/weights", "12", PackageIntegrityError, "without its", id="half-a-hash"),
        pytest.param("{}/weights", "0" * 64, PackageIntegrityError, "is not the file", id="hash"),
        pytest.param("{}/nothing", SHA256, PackageError, "cannot be fetched.*Not Found", id="404"),
        pytest.param("{}/round", SHA256, PackageError, "cannot be fetched", id="round-and-round"),
        pytest.param("{}/to-http", SHA256, PackageIntegrityError, "no https", id="to-http"),
        pytest.param("{}/to-file", SHA256, PackageError, "cannot be fetched", id="to-file"),
        pytest.param("http://localhost:1/w", SHA256, PackageIntegrityError, "no https", id="http"),
        pytest.param("file:///etc/passwd", SHA256, PackageIntegrityError, "no https", id="file"),
        pytest.param("ftp://localhost/w", SHA256, PackageIntegrityError, "no https", id="ftp"),
        pytest.param("https://localhost:1/w", SHA256, PackageError, "cannot be", id="nobody"),
        pytest.param("https://", SHA256, PackageError, "cannot be fetched", id="no-host"),
        pytest.param("https://[::1/w", SHA256, PackageError, "cannot be fetched", id="no-address"),
        pytest.param("https://a b\n/w", SHA256, PackageError, "cannot be fetched", id="blanks"),
    ],
)
def test_what_is_not_fetched_is_said_in_one_line(server, tmp_path, address, sha256, error, line):
    with running(Server(None)) as plain:
        plain.files["/weights"] = DATA
        server.files |= {
            "/round": f"{server.address}/round",
            "/to-http": f"{plain.address}/weights",
            "/to-file": "file:///etc/passwd",
        }
        with pytest.raises(error, match=line) as caught:
            fetched_file(address.format(server.address), sha256, Path("p"))
        plain.shutdown()
        assert plain.asked == []
    assert "\n" not in str(caught.value)
    assert cached(tmp_path) == []


def test_a_file_is_fetched_up_to_a_size(server, tmp_path):
    with pytest.raises(PackageIntegrityError, match="more than 100 bytes"):
        fetched_file(f"{server.address}/weights", SHA256, Path("p"), most=100)
    assert cached(tmp_path) == []


def test_a_certificate_of_nobody_is_refused(server, tmp_path, monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(PackageError, match="certificate"):
        fetched_file(f"{server.address}/weights", SHA256, Path("p"))


@pytest.fixture
def far(server, tmp_path):
    """The description of a package whose weights and test image lie on the server."""
    whole = tiny_package(tmp_path / "whole")
    rdf = yaml.safe_load((whole / "rdf.yaml").read_text())
    folder = tmp_path / "far"
    folder.mkdir()
    for entry in (rdf["weights"]["onnx"], rdf["inputs"][0]["test_tensor"]):
        name = entry["source"]
        server.files[f"/{name}"] = (whole / name).read_bytes()
        entry["source"] = f"{server.address}/{name}"
    (folder / "rdf.yaml").write_text(yaml.safe_dump(rdf))
    for file in whole.iterdir():
        if f"/{file.name}" not in server.files and file.name != "rdf.yaml":
            file.rename(folder / file.name)
    return folder


def test_nothing_is_fetched_unless_it_is_allowed(server, far):
    for use in (lambda: load_package(far).weights(), lambda: add_model(far)):
        with pytest.raises(PackageFormatError, match="models add PACKAGE --allow-download"):
            use()
    assert server.asked == []


def test_an_added_package_has_in_it_what_was_fetched(server, far, capsys):
    assert main(["models", "add", str(far), "--allow-download"]) == 0
    assert "is kept as" in capsys.readouterr().out
    assert sorted(server.asked) == ["/test_input.npy", "/weights.onnx"]
    assert main(["models", "add", str(far), "--allow-download"]) == 0
    assert "was there already" in capsys.readouterr().out
    server.shutdown()
    package = load_package("far")
    assert package.source == place_folder("user") / "far.zip"
    assert package.weights() == server.files["/weights.onnx"]
    image = np.random.default_rng(0).poisson(99, (40, 44)).astype(np.uint16)
    assert restore(image, axes="YX", package="far").shape == (40, 44)


def test_another_file_than_the_description_means_is_not_kept(server, far, capsys):
    server.files["/weights.onnx"] = DATA
    assert main(["models", "add", str(far), "--allow-download"]) == 1
    assert "is not the file" in capsys.readouterr().err
    assert not place_folder("user").exists()
